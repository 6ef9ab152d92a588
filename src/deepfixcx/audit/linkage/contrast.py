"""Learn an embedding in which records of one patient lie near each other, and strangers far.

In every epoch each patient is shown once: a probe, and as its partner another record of the patient
where there is one, otherwise the probe itself. Both are changed at random, by as much as two visits
differ. Each is to find its partner among those of the others in the batch. So patients with one
image teach, too, and a batch of n has n (n - 1) pairs of strangers rather than n.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.audit.linkage.pairs import Pairs
from deepfixcx.audit.linkage.siamese import Siamese
from deepfixcx.measures import roc_auc

require("torch", extra="audit")

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Contrast", "learn_by_contrast", "vary"]

TURN, STRETCH, SHIFT = 0.12, 0.1, 0.1
"""Radians; share of the size; share of half a side."""

GAIN, OFFSET, GRAIN = 0.2, 0.2, 0.05
"""In deviations of a channel."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """How an embedding is learned.

    Attributes
    ----------
    learning_rate, decay : float
        Of AdamW.
    batch : int
        Patients in a step.
    temperature : float
        By which similarities, cosines, are divided.
    epochs, every, patience : int
        Most epochs; after how many the patients set aside are asked; and so many times they may be
        told apart no better before it ends.
    """

    learning_rate: float
    decay: float
    batch: int
    temperature: float
    epochs: int
    every: int
    patience: int


def learn_by_contrast(
    siamese: Siamese,
    learning: Pairs,
    aside: Pairs,
    probes: Tensor,
    gallery: Tensor,
    protocol: Contrast,
    generator: np.random.Generator,
) -> None:
    """Train a siamese network, and leave the weights in it that tell patients set aside best.

    Parameters
    ----------
    siamese : Siamese
        With its first weights.
    learning, aside : Pairs
        What to learn from, and by which to stop.
    probes, gallery : Tensor
        What the network sees of all probes and records, (N, channels, h, w).
    protocol : Contrast
        How.
    generator : numpy Generator
        For batches and partners; torch draws the changes.

    References
    ----------
    Chen et al., A simple framework for contrastive learning of visual representations, ICML, 2020,
    arXiv:2002.05709; Khosla et al., Supervised contrastive learning, NeurIPS, 2020,
    arXiv:2004.11362.
    """
    related = (learning.probe_owners @ learning.probe_owners.T).toarray() > 0
    optimizer = torch.optim.AdamW(
        siamese.parameters(), lr=protocol.learning_rate, weight_decay=protocol.decay
    )
    best = copy.deepcopy(siamese.state_dict())
    best_area, since = _area(siamese, aside, probes, gallery), 0
    for epoch in range(1, protocol.epochs + 1):
        siamese.train()
        order = _one_of_each(learning, generator)
        for start in range(0, len(order), protocol.batch):
            rows = order[start : start + protocol.batch]
            shown = vary(probes[learning.probe_places[rows]])
            partners = vary(_partners(learning, rows, probes, gallery, generator))
            cosines = siamese.embed(shown) @ siamese.embed(partners).T / protocol.temperature
            optimizer.zero_grad()
            torch.autograd.backward(_loss(cosines, related[np.ix_(rows, rows)]))
            optimizer.step()
        if epoch % protocol.every:
            continue
        area, since = _area(siamese, aside, probes, gallery), since + 1
        if area > best_area:
            best, best_area, since = copy.deepcopy(siamese.state_dict()), area, 0
        if since >= protocol.patience:
            break
    siamese.load_state_dict(best)


def vary(images: Tensor) -> Tensor:
    """Turn, stretch and shift images, change brightness and contrast, and add grain.

    Parameters
    ----------
    images : Tensor, shape (B, channels, h, w)
        Each channel with mean 0 and deviation 1.

    Returns
    -------
    Tensor
        Of the same shape; each image is changed in its own way.
    """

    def between(most: float) -> Tensor:
        return (2 * torch.rand(len(images)) - 1) * most

    turn, tall, wide = between(TURN), 1 + between(STRETCH), 1 + between(STRETCH)
    across = torch.stack([wide * turn.cos(), -wide * turn.sin(), between(SHIFT)], 1)
    down = torch.stack([tall * turn.sin(), tall * turn.cos(), between(SHIFT)], 1)
    places = F.affine_grid(torch.stack([across, down], 1), list(images.shape), align_corners=False)
    moved = F.grid_sample(images, places, padding_mode="border", align_corners=False)
    gain, offset = (each[:, None, None, None] for each in (1 + between(GAIN), between(OFFSET)))
    return moved * gain + offset + GRAIN * torch.randn(moved.shape)


def _one_of_each(learning: Pairs, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return a probe of each patient, in random order."""
    rows, patients = learning.probe_owners.nonzero()
    order = generator.permutation(len(rows))
    first = np.unique(patients[order], return_index=True)[1]
    return np.asarray(generator.permutation(rows[order][first]), np.int64)


def _partners(
    learning: Pairs,
    rows: NDArray[np.int64],
    probes: Tensor,
    gallery: Tensor,
    generator: np.random.Generator,
) -> Tensor:
    """Return another record of each probe's patient, or the probe where there is none."""
    partners = probes[learning.probe_places[rows]].clone()
    for place, row in enumerate(rows):
        others = np.flatnonzero(learning.match[row])
        if len(others):
            partners[place] = gallery[learning.gallery_places[generator.choice(others)]]
    return partners


def _loss(cosines: Tensor, related: NDArray[np.bool_]) -> Tensor:
    """Ask each to find its partner, and each partner to be found; patients do not repel."""
    same = related & ~np.eye(len(related), dtype=np.bool_)
    apart = cosines.masked_fill(torch.from_numpy(same), -torch.inf)
    truth = torch.arange(len(apart))
    return (F.cross_entropy(apart, truth) + F.cross_entropy(apart.T, truth)) / 2


def _area(siamese: Siamese, aside: Pairs, probes: Tensor, gallery: Tensor) -> float:
    alike = siamese.compare(probes[aside.probe_places], gallery[aside.gallery_places])
    return roc_auc(aside.match[aside.usable], alike[aside.usable])
