"""Two networks of one kind and one head, trained on pairs; and the network of codes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.audit.features import Array
from deepfixcx.audit.linkage.attackers import Whitened
from deepfixcx.audit.linkage.pairs import Pairs, Similarity
from deepfixcx.errors import AuditError

require("torch", extra="audit")

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["EMBEDDING", "Protocol", "Siamese", "fit_siamese_mlp", "seeded", "set_aside", "train"]

EMBEDDING = 128
ASIDE = 0.25
"""Share of the patients by whom training is stopped."""

VALIDATION_PAIRS = 2000
ROWS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a siamese network is trained."""

    # Of Adam
    learning_rate: float
    # Pairs in a step, half of them of one patient on average
    batch: int
    # Most pairs of one patient in an epoch; there are as many pairs of strangers, drawn anew in
    # each
    pairs: int
    # Most epochs; those without a lower loss on the patients set aside, after which it ends
    epochs: int
    patience: int


class Siamese(nn.Module):
    """Embeds two records with one network and judges the difference of the embeddings."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.head = nn.Linear(EMBEDDING, 1)

    def embed(self, records: Tensor) -> Tensor:
        """Return embeddings (B, 128) in [0, 1]."""
        embedding: Tensor = torch.sigmoid(self.network(records))
        return embedding

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Return log odds that pairs are of one patient, (B,)."""
        return self.judge(self.embed(one), self.embed(other))

    def judge(self, one: Tensor, other: Tensor) -> Tensor:
        """Return log odds of pairs of embeddings (..., 128)."""
        odds: Tensor = self.head((one - other).abs())[..., 0]
        return odds

    @torch.no_grad()
    def compare(self, probes: Tensor, gallery: Tensor) -> Array:
        """Return log odds of every probe and record, (p, g)."""
        self.eval()
        one, other = (
            torch.cat([self.embed(part) for part in torch.split(side, ROWS_AT_ONCE)])
            for side in (probes, gallery)
        )
        rows = [self.judge(part[:, None], other[None]) for part in torch.split(one, ROWS_AT_ONCE)]
        return np.asarray(torch.cat(rows).numpy(), np.float32)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Make what torch draws depend on a seed alone, and leave its own state as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def set_aside(training: Pairs, generator: np.random.Generator) -> tuple[Pairs, Pairs]:
    """Return what a network learns from, and the patients by whom it stops."""
    learning, aside = training.split(ASIDE, generator)
    if not learning.some_match() or not aside.some_match():
        raise AuditError(
            "a siamese network needs four or more patients with two records to train on; take "
            "more images, or the attackers distance and whitening"
        )
    return learning, aside


def train(
    siamese: Siamese,
    learning: Pairs,
    aside: Pairs,
    probes: Tensor,
    gallery: Tensor,
    protocol: Protocol,
    generator: np.random.Generator,
) -> None:
    """Train a siamese network, and leave its best weights in it."""
    held = _balanced(aside, VALIDATION_PAIRS // 2, generator)
    optimizer = torch.optim.Adam(siamese.parameters(), lr=protocol.learning_rate)
    best = copy.deepcopy(siamese.state_dict())
    best_loss, since = _loss(siamese, probes, gallery, held), 0
    for _ in range(protocol.epochs):
        rows, columns, same = _balanced(learning, protocol.pairs, generator)
        siamese.train()
        for start in range(0, len(rows), protocol.batch):
            part = slice(start, start + protocol.batch)
            optimizer.zero_grad()
            odds = siamese(probes[rows[part]], gallery[columns[part]])
            loss = F.binary_cross_entropy_with_logits(odds, same[part])
            torch.autograd.backward(loss)
            optimizer.step()
        now = _loss(siamese, probes, gallery, held)
        since += 1
        if now < best_loss:
            best, best_loss, since = copy.deepcopy(siamese.state_dict()), now, 0
        if since >= protocol.patience:
            break
    siamese.load_state_dict(best)


Drawn = tuple[Tensor, Tensor, Tensor]
"""Places of probes, places of records, and 1 where they are of one patient."""


def _balanced(pairs: Pairs, most: int, generator: np.random.Generator) -> Drawn:
    """Draw as many pairs of one patient as of strangers, in random order."""
    rows, columns = np.nonzero(pairs.match)
    chances = 1 / pairs.match.sum(axis=1)[rows]
    count = min(most, len(rows))
    chosen = generator.choice(len(rows), count, replace=False, p=chances / chances.sum())
    others = _strangers(pairs, count, generator)
    same = np.concatenate([np.ones(count), np.zeros(len(others[0]))])
    order = generator.permutation(len(same))
    return (
        torch.from_numpy(pairs.probe_places[np.concatenate([rows[chosen], others[0]])[order]]),
        torch.from_numpy(pairs.gallery_places[np.concatenate([columns[chosen], others[1]])[order]]),
        torch.from_numpy(same[order].astype(np.float32)),
    )


def _strangers(
    pairs: Pairs, count: int, generator: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw pairs of two patients by their numbers in row order; no list of all of them is made."""
    ends = np.cumsum(pairs.usable.sum(axis=1) - pairs.match.sum(axis=1))  # matches are usable
    chosen = generator.integers(0, int(ends[-1]), count)
    rows = np.searchsorted(ends, chosen, side="right")
    places = chosen - np.concatenate([[0], ends])[rows]
    columns = [
        np.flatnonzero(pairs.usable[row] & ~pairs.match[row])[place]
        for row, place in zip(rows, places, strict=True)
    ]
    return rows, np.array(columns, np.int64)


@torch.no_grad()
def _loss(siamese: Siamese, probes: Tensor, gallery: Tensor, drawn: Drawn) -> float:
    siamese.eval()
    rows, columns, same = drawn
    (one, of_rows), (other, of_columns) = (
        torch.unique(places, return_inverse=True) for places in (rows, columns)
    )
    left, right = (
        torch.cat([siamese.embed(part) for part in torch.split(side, ROWS_AT_ONCE)])
        for side in (probes[one], gallery[other])
    )
    odds = siamese.judge(left[of_rows], right[of_columns])
    return float(F.binary_cross_entropy_with_logits(odds, same))


HIDDEN = 128
PROTOCOL = Protocol(learning_rate=1e-3, batch=128, pairs=4000, epochs=60, patience=8)


def fit_siamese_mlp(training: Pairs, seed: int) -> Similarity:
    """Train on pairs of whitened components.

    Packhäuser et al., doi:10.1038/s41598-022-19045-3.
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
