"""The attackers by name, the weakest first: distance, whitening, and networks.

Those that need torch load it when they are asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from deepfixcx.audit.features import Array, Components, Standard, flatten, minus_distances
from deepfixcx.audit.linkage.pairs import Fit, Pairs, Similarity
from deepfixcx.measures import roc_auc

__all__ = ["ATTACKERS", "REFERENCES", "Whitened", "fit_distance", "fit_whitening"]


def fit_distance(*_: object) -> Similarity:
    """Compare by Euclidean distance, whatever there is to train on.

    Gaudio et al., doi:10.1002/widm.1495.
    """
    return minus_distances


Floats = NDArray[np.float64]

MOST_COMPONENTS = 128
MOST_DIFFERENCES = 20_000
"""Differences beyond so many say nothing new; as many are drawn."""

SHRINKAGES = (0.05, 0.2, 0.5)
TRIES, ASIDE = 3, 0.35
"""How often patients are set aside to choose a way, and which share of them."""


def fit_whitening(training: Pairs, seed: int) -> Similarity:
    """Learn from pairs of one patient what changes between visits.

    Ioffe, doi:10.1007/11744085_41.
    """
    whitened = Whitened(training, np.random.default_rng(seed))

    def compare(one: Array, other: Array) -> Array:
        x, y = whitened.probes(one), whitened.gallery(other)
        return np.asarray(WAYS[whitened.way](x, y, whitened.spread), np.float32)

    return compare


class Whitened:
    """The space in which changes within patients have variance 1 in every direction.

    Probes and records are scaled by themselves first: a mechanism may have shrunk the one and not
    the other, and an attacker sees that.
    """

    def __init__(self, training: Pairs, generator: np.random.Generator) -> None:
        probes, gallery = flatten(training.probes), flatten(training.gallery)
        self._probes, self._gallery = Standard.fit(probes), Standard.fit(gallery)
        both = np.concatenate([self._probes(probes), self._gallery(gallery)])
        self._components = Components.fit(both, MOST_COMPONENTS)
        sides = (
            self._components(self._probes(flatten(training.all_probes))),
            self._components(self._gallery(flatten(training.all_gallery))),
        )
        self.way, shrinkage, alone = _best(training, sides, generator)
        self._whiten, self.spread = _whitening(training, sides, shrinkage, alone, generator)

    @property
    def width(self) -> int:
        """Number of directions, K."""
        return len(self.spread)

    def probes(self, records: Array) -> Array:
        """Return whitened probes, (p, K)."""
        components = self._components(self._probes(flatten(records)))
        return np.asarray(components @ self._whiten, np.float32)

    def gallery(self, records: Array) -> Array:
        """Return whitened records, (g, K)."""
        components = self._components(self._gallery(flatten(records)))
        return np.asarray(components @ self._whiten, np.float32)


# -- helpers ----------------------------------------------------------------------------------


Sides = tuple[Array, Array]
"""Components of all probes, and of all records."""

Choice = tuple[str, float, bool]
"""How to compare, how much to shrink, and whether to learn from pairs of two probes."""


def _best(training: Pairs, sides: Sides, generator: np.random.Generator) -> Choice:
    """Return what does best on patients set aside."""
    several = training.all_probes is not training.all_gallery
    alone = several and bool(training.among_probes().match.any())
    learned = [(shrinkage, False) for shrinkage in SHRINKAGES]
    learned += [(shrinkage, True) for shrinkage in SHRINKAGES if alone]
    areas: dict[Choice, float] = dict.fromkeys(
        [(way, shrinkage, alone) for way in WAYS for shrinkage, alone in learned], 0.0
    )
    for _ in range(TRIES):
        learning, aside = training.split(ASIDE, generator)
        if not learning.some_match() or not aside.some_match():
            continue
        truth = aside.match[aside.usable]
        for shrinkage, alone in learned:
            if alone and not learning.among_probes().match.any():
                continue
            whiten, spread = _whitening(learning, sides, shrinkage, alone, generator)
            x = np.asarray(sides[0][aside.probe_places] @ whiten, np.float32)
            y = np.asarray(sides[1][aside.gallery_places] @ whiten, np.float32)
            for way, compare in WAYS.items():
                area = roc_auc(truth, compare(x, y, spread)[aside.usable])
                areas[way, shrinkage, alone] += area
    return max(areas, key=lambda choice: areas[choice])


def _whitening(
    pairs: Pairs, sides: Sides, shrinkage: float, alone: bool, generator: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return the matrix after which changes within patients have variance 1, and the spread."""
    if alone:
        pairs, sides = pairs.among_probes(), (sides[0], sides[0])
    probes, gallery = sides[0][pairs.probe_places], sides[1][pairs.gallery_places]
    within = _within(probes, gallery, pairs.match, generator)
    size = max(float(np.trace(within)) / len(within), 1e-30)
    within *= 1 - shrinkage
    within[np.diag_indices_from(within)] += shrinkage * size
    values, vectors = np.linalg.eigh(within)
    whiten = vectors / np.sqrt(values)
    total = np.cov(np.concatenate([probes, gallery]) @ whiten, rowvar=False)
    spread, axes = np.linalg.eigh(np.atleast_2d(total) - np.eye(len(within)))
    return whiten @ axes, np.maximum(spread, 0)


def _within(
    probes: Array, gallery: Array, match: NDArray[np.bool_], generator: np.random.Generator
) -> Floats:
    """Return the covariance of what changes within a patient, each probe counting the same."""
    rows, columns = np.nonzero(match)
    weights = 1 / match.sum(axis=1)[rows]
    if len(rows) > MOST_DIFFERENCES:
        chosen = generator.choice(len(rows), MOST_DIFFERENCES, replace=False)
        rows, columns, weights = rows[chosen], columns[chosen], weights[chosen]
    differences = (probes[rows] - gallery[columns]).astype(np.float64)
    return np.asarray((differences.T * weights) @ differences / (2 * weights.sum()), np.float64)


def _angle(x: Array, y: Array, _: Floats) -> Floats:
    one, other = (
        side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-30) for side in (x, y)
    )
    return np.asarray(one @ other.T, np.float64)


def _distance(x: Array, y: Array, _: Floats) -> Floats:
    return np.asarray(minus_distances(x, y), np.float64)


def _log_ratio(x: Array, y: Array, spread: Floats) -> Floats:
    """Return the log likelihood ratio of one patient and two, less a constant."""
    one, other = x.astype(np.float64), y.astype(np.float64)
    both = spread / (2 * spread + 1)
    alone = spread**2 / ((spread + 1) * (2 * spread + 1))
    squares = (one**2 @ alone)[:, None] + (other**2 @ alone)[None]
    return np.asarray((one * both) @ other.T - squares / 2, np.float64)


WAYS: Mapping[str, Callable[[Array, Array, Floats], Floats]] = {
    "angle": _angle,
    "distance": _distance,
    "log ratio": _log_ratio,
}


def _siamese_mlp(training: Pairs, seed: int) -> Similarity:
    from deepfixcx.audit.linkage.siamese import fit_siamese_mlp

    return fit_siamese_mlp(training, seed)


def _siamese_cnn(training: Pairs, seed: int) -> Similarity:
    from deepfixcx.audit.linkage.siamese_cnn import fit_siamese_cnn

    return fit_siamese_cnn(training, seed)


ATTACKERS: Mapping[str, Fit] = {
    "distance": fit_distance,
    "whitening": fit_whitening,
    "siamese-mlp": _siamese_mlp,
    "siamese-cnn": _siamese_cnn,
}

REFERENCES: Mapping[str, str] = {
    "labels": "Fellegi and Sunter 1969, doi:10.1080/01621459.1969.10501049",
    "distance": "Gaudio et al. 2023, doi:10.1002/widm.1495",
    "whitening": "Ioffe 2006, doi:10.1007/11744085_41",
    "siamese-mlp": "Packhäuser et al. 2022, doi:10.1038/s41598-022-19045-3",
    "siamese-cnn": "Packhäuser et al. 2023, doi:10.1007/978-3-031-43904-9_26",
}
