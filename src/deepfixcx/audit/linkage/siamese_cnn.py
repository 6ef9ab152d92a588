"""A siamese convolutional network, which learns by contrast first, then by a protocol.

Contrast: in every epoch each patient is shown once, a probe, and as its partner another record of
the patient where there is one, otherwise the probe itself. Both are changed at random, by as much
as two visits differ. Each is to find its partner among those of the others in the batch. So
patients with one image teach, too, and a batch of n has n (n - 1) pairs of strangers.

The protocol is that of PriCheXy-Net's evaluation: Adam with a learning rate of 1e-4 on pairs in
batches of 32, binary cross-entropy, an end after 5 epochs without a lower loss on patients set
aside. There, a ResNet-50 began with what it had learned from a million photographs. Here a small
network begins with what contrast taught it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.audit.features import CODE_AXES, Array, rooted
from deepfixcx.audit.linkage.pairs import Pairs, Similarity
from deepfixcx.audit.linkage.siamese import EMBEDDING, Protocol, Siamese, seeded, set_aside, train
from deepfixcx.measures import roc_auc

require("torch", extra="audit")

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Contrast", "fit_siamese_cnn", "learn_by_contrast", "vary"]

TURN, STRETCH, SHIFT = 0.12, 0.1, 0.1
"""Radians; share of the size; share of half a side."""

GAIN, OFFSET, GRAIN = 0.2, 0.2, 0.05
"""In deviations of a channel."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """How an embedding is learned."""

    # Of AdamW
    learning_rate: float
    decay: float
    # Patients in a step
    batch: int
    # By which similarities, cosines, are divided
    temperature: float
    # Most epochs; after how many the patients set aside are asked; and so many times they may be
    # separated no better before it ends
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
    """Train a siamese network, and keep the weights that distinguish validation patients best.

    Chen et al., arXiv:2002.05709.
    """
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
            owners = learning.probe_owners[rows]
            shown = vary(probes[learning.probe_places[rows]])
            partners = vary(_partners(learning, rows, probes, gallery, generator))
            cosines = siamese.embed(shown) @ siamese.embed(partners).T / protocol.temperature
            optimizer.zero_grad()
            torch.autograd.backward(_loss(cosines, (owners @ owners.T).toarray() > 0))
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
    """Turn, stretch and shift images, change brightness and contrast, and add grain."""

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


WIDTHS = (16, 32, 64, 128)
GROUPS = 8
LEAST_TO_HALVE = 8
"""Pixels a side from which on a block halves them."""

DROPPED = 0.3
FIRST_SCALE = 5.0
"""Of the cosine of two embeddings, before the protocol learns it."""

CONTRAST = Contrast(
    learning_rate=1e-3, decay=1e-4, batch=128, temperature=0.1, epochs=60, every=5, patience=4
)
PROTOCOL = Protocol(learning_rate=1e-4, batch=32, pairs=200, epochs=30, patience=5)


def fit_siamese_cnn(training: Pairs, seed: int) -> Similarity:
    """Train on images, on codes with a channel for each band, or on vectors as images of 1 pixel.

    Packhäuser et al., doi:10.1007/978-3-031-43904-9_26.
    """
    probes, gallery = _Channels(training.probes), _Channels(training.gallery)
    generator = np.random.default_rng(seed)
    learning, aside = set_aside(training, generator)
    with seeded(seed):
        siamese = _Cosines(_network(gallery(training.gallery[:1])))
        seen = probes(training.all_probes), gallery(training.all_gallery)
        learn_by_contrast(siamese, learning, aside, *seen, CONTRAST, generator)
        train(siamese, learning, aside, *seen, PROTOCOL, generator)
    return lambda one, other: siamese.compare(probes(one), gallery(other))


class _Cosines(Siamese):
    """Judges the angle of two embeddings."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        self.head = nn.Linear(1, 1)
        nn.init.constant_(self.head.weight, FIRST_SCALE)

    def embed(self, records: Tensor) -> Tensor:
        """Return embeddings of length 1, (B, 128)."""
        return F.normalize(self.network(records), dim=-1)

    def judge(self, one: Tensor, other: Tensor) -> Tensor:
        """Return log odds of pairs of embeddings (..., 128)."""
        odds: Tensor = self.head((one * other).sum(-1, keepdim=True))[..., 0]
        return odds


class _Channels:
    """Records as images (B, channels, h, w), each channel with mean 0 and deviation 1."""

    def __init__(self, records: Array) -> None:
        images = _as_images(records)
        self._mean = images.mean(axis=(0, 2, 3), keepdims=True)
        deviation = images.std(axis=(0, 2, 3), keepdims=True)
        self._deviation = np.where(deviation > 1e-6, deviation, 1)

    def __call__(self, records: Array) -> Tensor:
        images = (_as_images(records) - self._mean) / self._deviation
        return torch.from_numpy(np.ascontiguousarray(images, np.float32))


def _as_images(records: Array) -> Array:
    numbers = rooted(records)
    if numbers.ndim == 4:
        return numbers
    if numbers.ndim == CODE_AXES[1]:
        numbers = np.moveaxis(numbers, 5, 3)
    if numbers.ndim in CODE_AXES:
        return numbers.reshape(len(numbers), -1, *numbers.shape[-2:])
    return numbers.reshape(len(numbers), -1, 1, 1)


class _Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.GroupNorm(GROUPS, after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.GroupNorm(GROUPS, after),
        )
        self.shortcut = nn.Conv2d(before, after, 1, stride)

    def forward(self, images: Tensor) -> Tensor:
        both: Tensor = self.path(images) + self.shortcut(images)
        return torch.relu(both)


def _network(example: Tensor) -> nn.Module:
    channels, side = example.shape[1], min(example.shape[2:])
    layers: list[nn.Module] = []
    for width in WIDTHS:
        stride = 2 if side >= LEAST_TO_HALVE else 1
        side = -(-side // stride)
        layers.append(_Block(channels, width, stride))
        channels = width
    last = nn.Linear(channels * side * side, EMBEDDING)
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(side), nn.Flatten(), nn.Dropout(DROPPED), last
    )
