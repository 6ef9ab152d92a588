"""What links without records: labels and other known columns, by a likelihood ratio.

The attacker learns on other patients how labels of one patient agree, and compares that with two
patients: a shared rare label says more than a shared common one. `fit_label_ratio` is the baseline
of every linkage attack; `fit_beside_labels` adds it to an attacker that compares records.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.audit.features import Array, Standard
from deepfixcx.audit.linkage.pairs import Fit, Pairs, Records, Similarity
from deepfixcx.audit.linkage.trial import Searches
from deepfixcx.errors import AuditError
from deepfixcx.measures.solvers import logistic_regression

__all__ = [
    "encode_columns",
    "fit_beside_labels",
    "fit_label_ratio",
    "gallery_distances",
    "label_distances",
    "labels_of",
    "stand_ins",
]

Floats = NDArray[np.float64]
Cells = NDArray[np.int64]

Beside = Callable[[Array, Array, Array, Array], Array]
"""Compares probes and records, given their labels too."""

MOST_CATEGORIES = 12
"""A column with more different values is a number: two values are compared by their distance."""

BINS = 8
PRIOR = 10.0
"""So many pairs of one patient are assumed to agree as those of two patients do."""

MOST_PAIRS = 20_000
PENALTY = 10.0
ASIDE = 0.35


def encode_columns(columns: Sequence[Sequence[Any]]) -> Array:
    """Turn columns of a table into numbers, (N, L): numbers as they are, words as 0, 1, 2, …."""
    encoded = []
    for column in columns:
        words = ["" if value is None else str(value).strip() for value in column]
        known = sorted({word for word in words if word and word.lower() != "nan"})
        try:
            table = {word: float(word) for word in known}
        except ValueError:
            table = {word: float(number) for number, word in enumerate(known)}
        encoded.append([table.get(word, np.nan) for word in words])
    return np.array(encoded, np.float32).T.reshape(-1, len(columns))


def labels_of(records: Records, labels: ArrayLike, images: int) -> Array:
    """Return the mean of the known labels of the images of each record, (R, L), or NaN."""
    values = np.asarray(labels, np.float32)
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or len(values) != images:
        raise AuditError(
            f"labels are numbers (N, L) of {images} images, got shape {np.shape(labels)}"
        )
    known = np.isfinite(values)
    share = records.images(images)
    sums, counts = share @ np.where(known, values, 0), share @ known.astype(np.float32)
    means = np.full(sums.shape, np.nan, np.float32)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means


def label_distances(one: Array, other: Array) -> Array:
    """Return the mean difference of two label vectors, (p, g); an unknown one lies halfway."""
    x, y = (np.nan_to_num(np.asarray(each, np.float32), nan=0.5) for each in (one, other))
    return np.asarray(
        sum(np.abs(a[:, None] - b[None]) for a, b in zip(x.T, y.T, strict=True)) / x.shape[1],
        np.float32,
    )


def fit_label_ratio(training: Pairs, probes: Array, gallery: Array) -> Similarity:
    """Learn from labels of training pairs how probable labels are of one patient and of two."""
    cells = [
        _Cells.of(x, y)
        for x, y in zip(
            probes[training.probe_places].T, gallery[training.gallery_places].T, strict=True
        )
    ]

    def tables(pairs: Pairs) -> list[Floats]:
        sides = probes[pairs.probe_places].T, gallery[pairs.gallery_places].T
        weights = _pair_weights(pairs)
        return [
            _log_ratios(kind.places(x, y), kind.count, weights)
            for kind, x, y in zip(cells, *sides, strict=True)
        ]

    def look_up(ratios: list[Floats], x: Array, y: Array) -> list[Floats]:
        return [
            ratio[kind.places(a, b)]
            for ratio, kind, a, b in zip(ratios, cells, x.T, y.T, strict=True)
        ]

    # weights are learned on patients whom the tables have not seen
    learning, aside = training.split(0.5, np.random.default_rng(0))
    combine: Callable[[list[Any]], Floats] = _plain_sum
    if learning.some_match() and aside.some_match():
        sides = probes[aside.probe_places], gallery[aside.gallery_places]
        combine = _learn_sum(look_up(tables(learning), *sides), aside)
    ratios = tables(training)
    return lambda x, y: np.asarray(combine(look_up(ratios, x, y)), np.float32)


def fit_beside_labels(
    fit: Fit, training: Pairs, probes: Array, gallery: Array, compare: Similarity, seed: int
) -> Beside:
    """Add to an attacker on records what labels say, with weights learned on patients set aside."""
    by_label = fit_label_ratio(training, probes, gallery)
    learning, aside = training.split(ASIDE, np.random.default_rng(seed))
    combine = None
    if learning.some_match() and aside.some_match():
        features = [
            _standard(fit(learning, seed)(aside.probes, aside.gallery)),
            fit_label_ratio(learning, probes, gallery)(
                probes[aside.probe_places], gallery[aside.gallery_places]
            ),
        ]
        combine = _learn_sum(features, aside)

    def both(x: Array, y: Array, of_x: Array, of_y: Array) -> Array:
        known, agreeing = _standard(compare(x, y)), by_label(of_x, of_y)
        if combine is None:
            return np.asarray(known + _standard(agreeing), np.float32)
        return np.asarray(combine([known, agreeing]), np.float32)

    return both


def gallery_distances(gallery: NDArray[Any]) -> Array:
    """Return how far the labels (g, L) of each two records are apart, (g, g)."""
    known = np.isfinite(gallery)
    means = np.where(known, gallery, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, gallery, means).astype(np.float32)
    scores = Standard.fit(filled)(filled)
    return label_distances(scores, scores)


def stand_ins(searches: Searches, distance: Array, generator: np.random.Generator) -> Searches:
    """Replace each true record by that of a stranger with the same labels, or the nearest."""
    true = np.zeros_like(searches.true)
    for row, (own, strangers) in enumerate(zip(searches.true, searches.stranger, strict=True)):
        free = np.flatnonzero(strangers)[generator.permutation(int(strangers.sum()))]
        for record in np.flatnonzero(own)[
            : len(free) - 1
        ]:  # one record of another patient remains for comparison
            place = int(np.argmin(distance[record, free]))
            true[row, free[place]] = True
            free = np.delete(free, place)
    kept = true.any(axis=1)
    strangers = searches.stranger[kept] & ~true[kept]
    return Searches(searches.probes[kept], searches.patients[kept], true[kept], strangers)


# -- helpers ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, slots=True)
class _Cells:
    """How pairs of values of one column fall into cells."""

    values: Floats
    edges: Floats

    @classmethod
    def of(cls, one: Array, other: Array) -> _Cells:
        both = np.concatenate([one, other]).astype(np.float64).round(3)
        values = np.unique(both[np.isfinite(both)])
        if len(values) <= MOST_CATEGORIES:
            return cls(values, np.zeros(0))
        sample = values[np.linspace(0, len(values) - 1, min(len(values), 200)).astype(int)]
        apart = np.abs(sample[:, None] - sample[None])
        inner = np.quantile(apart[apart > 0], np.linspace(0, 1, BINS)[:-1] ** 2)
        return cls(np.zeros(0), np.unique(np.concatenate([[1e-6], inner])))

    @property
    def count(self) -> int:
        return len(self.edges) + 2 if len(self.edges) else (len(self.values) + 1) ** 2

    def places(self, one: Array, other: Array) -> Cells:
        """Return the cell of each pair, (p, g); unknown values have cells of their own."""
        if len(self.edges):
            apart = np.abs(one.astype(np.float64)[:, None] - other.astype(np.float64)[None])
            cells = np.searchsorted(self.edges, apart, "right")
            return np.where(np.isfinite(apart), cells, len(self.edges) + 1).astype(np.int64)
        x, y = self._numbers(one)[:, None], self._numbers(other)[None]
        return np.minimum(x, y) * (len(self.values) + 1) + np.maximum(x, y)

    def _numbers(self, column: Array) -> Cells:
        rounded = column.astype(np.float64).round(3)
        numbers = np.searchsorted(self.values, rounded).clip(0, max(len(self.values) - 1, 0))
        seen = np.isin(rounded, self.values)
        return np.where(seen, numbers, len(self.values)).astype(np.int64)


def _pair_weights(pairs: Pairs) -> tuple[Floats, Floats]:
    """Return weights of pairs of one patient, each probe counting the same, and of two, (p, g)."""
    same = pairs.match / np.maximum(pairs.match.sum(axis=1, keepdims=True), 1)
    return same, (pairs.usable & ~pairs.match).astype(np.float64)


def _log_ratios(cells: Cells, count: int, weights: tuple[Floats, Floats]) -> Floats:
    """Return the log likelihood ratio of each cell; of one patient, shrunken towards 0."""
    same, two = (np.bincount(cells.ravel(), each.ravel(), minlength=count) for each in weights)
    strangers = (two + 0.5) / (two.sum() + 0.5 * count)
    return np.asarray(
        np.log((same + PRIOR * strangers) / (same.sum() + PRIOR)) - np.log(strangers), np.float64
    )


def _plain_sum(features: list[Any]) -> Floats:
    return np.asarray(sum(features), np.float64)


def _learn_sum(features: list[Any], pairs: Pairs) -> Callable[[list[Any]], Floats]:
    """Learn by logistic regression how to weigh features (p, g): columns depend on each other."""
    usable = pairs.usable | pairs.match
    truth = pairs.match[usable]
    if len(features) == 1 or truth.all() or not truth.any():
        return _plain_sum
    strangers = np.flatnonzero(~truth)
    if len(strangers) > MOST_PAIRS:
        strangers = strangers[:: len(strangers) // MOST_PAIRS + 1]
    chosen = np.sort(np.concatenate([np.flatnonzero(truth), strangers]))
    seen = np.stack([feature[usable][chosen] for feature in features], axis=1)
    # not scaled: log likelihood ratios have one unit, and a rare label is not made loud
    weights, _ = logistic_regression(
        seen, truth[chosen], PENALTY, balanced=True, solvers=("newton-cholesky", "lbfgs")
    )
    weights = np.maximum(weights, 0)
    return lambda each: np.asarray(np.tensordot(weights, np.stack(each), 1), np.float64)


def _standard(values: Any) -> Floats:
    numbers = np.asarray(values, np.float64)
    deviation = float(numbers.std())
    centred = numbers - numbers.mean()
    return centred / deviation if deviation > 0 else np.zeros_like(centred)
