"""A small siamese network that begins as whitening and learns what is left to learn.

Its input are directions in which changes within patients are alike; its first embedding is the
input itself, so that training, stopped by patients set aside, can only add to the attacker of
`whitening`.
"""

from __future__ import annotations

import numpy as np

from deepfixcx._optional import require
from deepfixcx.audit.features import Array
from deepfixcx.audit.linkage.pairs import Pairs, Similarity
from deepfixcx.audit.linkage.siamese import Protocol, Siamese, seeded, set_aside, train
from deepfixcx.audit.linkage.whitening import Whitened

require("torch", extra="audit")

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["fit_siamese_mlp"]

HIDDEN = 128
PROTOCOL = Protocol(learning_rate=1e-3, batch=128, pairs=4000, epochs=60, patience=8)


def fit_siamese_mlp(training: Pairs, seed: int) -> Similarity:
    """Train on pairs of whitened components.

    Parameters
    ----------
    training : Pairs
        With pairs of four or more patients.
    seed : int
        Of weights, pairs and the patients set aside.

    Raises
    ------
    AuditError
        Too few patients.

    References
    ----------
    Packhäuser et al., Deep learning-based patient re-identification is able to exploit the
    biometric nature of medical chest X-ray data, Scientific Reports, 2022,
    doi:10.1038/s41598-022-19045-3, of siamese networks; theirs is far larger.
    """
    generator = np.random.default_rng(seed)
    learning, aside = set_aside(training, generator)
    whitened = Whitened(learning, generator)

    def probes(records: Array) -> Tensor:
        return torch.from_numpy(whitened.probes(records))

    def gallery(records: Array) -> Tensor:
        return torch.from_numpy(whitened.gallery(records))

    with seeded(seed):
        siamese = _Angles(whitened.width)
        seen = probes(training.all_probes), gallery(training.all_gallery)
        train(siamese, learning, aside, *seen, PROTOCOL, generator)
    return lambda one, other: siamese.compare(probes(one), gallery(other))


class _Angles(Siamese):
    """Judges the angle of two embeddings, each the input and what a network adds to it."""

    def __init__(self, width: int) -> None:
        last = nn.Linear(HIDDEN, width)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        super().__init__(
            nn.Sequential(
                nn.Linear(width, HIDDEN), nn.LayerNorm(HIDDEN), nn.GELU(), nn.Dropout(0.3), last
            )
        )
        self.strength = nn.Parameter(torch.ones(width))
        self.head = nn.Linear(1, 1)
        nn.init.constant_(self.head.weight, 5.0)

    def embed(self, records: Tensor) -> Tensor:
        """Return embeddings of length 1, (B, width)."""
        return F.normalize(records * self.strength + self.network(records), dim=-1)

    def judge(self, one: Tensor, other: Tensor) -> Tensor:
        """Return log odds of pairs of embeddings (..., width)."""
        odds: Tensor = self.head((one * other).sum(-1, keepdim=True))[..., 0]
        return odds
