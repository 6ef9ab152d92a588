"""95 % intervals over patients: two images of one patient are not two observations.

An AUC, a share or a mean in [0, 1] has a score interval in the manner of Wilson and Newcombe: its
limits are the values at which the measured one would lie just within sampling error. It does not
collapse at 0 or 1, and it stays in [0, 1]. The sampling error is that of independent images times
a design effect; that is the one measured between patients, shrunken towards the one of images
that agree perfectly within each patient, because few patients measure it badly. `python -m
benchmarks.coverage` compares this choice with others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx._optional import require
from deepfixcx.errors import LabelError

__all__ = [
    "Estimate",
    "Floats",
    "Interval",
    "draw_patients",
    "joint_error",
    "known_pairs",
    "member_numbers",
    "patient_bootstrap",
    "patient_means",
]

Floats = NDArray[np.float64]


def known_pairs(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return labels and scores where the label is known, and where that is."""
    truth, values = np.asarray(labels, np.float64), np.asarray(scores, np.float64)
    if truth.ndim != 1 or truth.shape != values.shape:
        raise LabelError(
            f"labels and scores are two lists of one length, got shapes {truth.shape} and "
            f"{values.shape}"
        )
    known = ~np.isnan(truth)
    truth, values = truth[known], values[known]
    if not np.isin(truth, (0, 1)).all():
        raise LabelError("labels must be 1, 0, or NaN if unknown; other numbers were found")
    if not np.isfinite(values).all():
        raise LabelError("some scores are NaN or infinity; the model diverged")
    return truth, values, known


def member_numbers(groups: ArrayLike | None, kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Give the groups of the images that are kept a number each."""
    if groups is None:
        return np.zeros(int(kept.sum()), np.int64)
    names = np.asarray(groups)
    if names.shape != kept.shape:
        raise LabelError(
            f"there are {len(kept)} images and groups or patients of shape {names.shape}; "
            f"give one for each image"
        )
    return np.unique(names[kept], return_inverse=True)[1].astype(np.int64)


def patient_means(values: ArrayLike, owners: NDArray[np.int64], patients: int) -> Floats:
    """Return the mean of each patient's values, shape (patients,); NaN counts as no value."""
    numbers = np.asarray(values, np.float64)
    known = np.isfinite(numbers)
    sums = np.bincount(owners[known], numbers[known], minlength=patients)
    counts = np.bincount(owners[known], minlength=patients)
    means = np.full(patients, np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means


def draw_patients(
    patients: int, samples: int, seed: int | np.random.Generator
) -> NDArray[np.int64]:
    """Draw patients with replacement: how often each is in each draw, shape (samples, patients)."""
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, max(patients, 1), (samples, patients))
    drawn += patients * np.arange(samples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=samples * patients)
    return counts.reshape(samples, patients)


Metric = Callable[[Floats, Floats], float]

ERROR = 0.05
"""Intervals miss the truth so often."""

JOINT_DRAWS = 4000

VALUES_AT_ONCE = 4_000_000
"""Draws are worked off in runs of at most so many numbers, 32 MB each."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and its 95 % interval; NaN where there is none.

    Attributes
    ----------
    value : float
        The value itself.
    low, high : float
        Where the interval begins and ends.

    Examples
    --------
    >>> print(Interval(0.8912, 0.861, 0.9183))
    0.891 [0.861, 0.918]
    >>> print(Interval.unknown())
    not measured
    >>> print(Interval(1.0, float("nan"), float("nan")))
    1.000 (too few patients for an interval)
    """

    value: float
    low: float
    high: float

    @classmethod
    def of_draws(cls, value: float, draws: Floats, patients: int | None = None) -> Interval:
        """Return a value with the quantiles of its bootstrap draws; NaN does not count.

        With the number of `patients` that were drawn, the quantiles are those that make up for
        few of them: percentile intervals are too narrow as if n were n - 1 and t normal
        (Hesterberg, What teachers should know about the bootstrap, The American Statistician,
        2015, section 4.3).
        """
        known = draws[np.isfinite(draws)]
        if not len(known) or (patients is not None and patients < 2):
            return cls(value, math.nan, math.nan)
        tail = ERROR / 2
        if patients is not None:
            special = require("scipy.special", extra="sklearn")
            wide = math.sqrt(patients / (patients - 1)) * special.stdtrit(patients - 1, tail)
            tail = float(special.ndtr(wide))
        low, high = np.quantile(known, (tail, 1 - tail))
        return cls(value, float(low), float(high))

    @classmethod
    def unknown(cls) -> Interval:
        """Return what stands for a value that cannot be measured."""
        return cls(math.nan, math.nan, math.nan)

    def to_dict(self, digits: int | None = None) -> dict[str, float | None]:
        """Return what JSON files hold: ``value``, ``low`` and ``high``; None stands for NaN.

        >>> Interval(0.891234, 0.86, float("nan")).to_dict(3)
        {'value': 0.891, 'low': 0.86, 'high': None}
        """
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        if digits is not None:
            numbers = {name: round(number, digits) for name, number in numbers.items()}
        return {name: each if math.isfinite(each) else None for name, each in numbers.items()}

    @classmethod
    def from_json(cls, found: object) -> Interval:
        """Read the content of a JSON file of any version: `to_dict`, a list of three, or a number.

        >>> Interval.from_json([0.891, 0.861, None])
        Interval(value=0.891, low=0.861, high=nan)
        """
        parts: Sequence[object] = (found, None, None)
        if isinstance(found, Mapping):
            parts = [found.get(name) for name in ("value", "low", "high")]
        elif isinstance(found, list) and len(found) == 3:  # until version 0.2
            parts = found
        numbers = (float(each) if isinstance(each, int | float) else math.nan for each in parts)
        return cls(*numbers)

    def __str__(self) -> str:
        """Return value and interval with three digits, or why there is none."""
        if math.isnan(self.value):
            return "not measured"
        if math.isnan(self.low):
            return f"{self.value:.3f} (too few patients for an interval)"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, eq=False, slots=True)
class Estimate:
    """A measured value in [0, 1] with what its intervals, alone or together, are made of."""

    value: float  # NaN where nothing can be measured
    influence: Floats  # (patients,), how much each moves the value; squares sum to the variance
    degrees: float  # of freedom of that variance; below 1 where it says nothing
    # sample sizes, (positives, negatives) of an AUC or (all,) of a share: in images, and in
    # patients whose images agree perfectly (Kish's effective sizes)
    images: tuple[float, ...]
    patients: tuple[float, ...]
    weight: float  # degrees of freedom that the assumption of perfect agreement is worth

    @property
    def variance(self) -> float:
        """Between patients."""
        return float(self.influence @ self.influence)

    def interval(self, error: float = ERROR) -> Interval:
        """Return the value with limits that both are missed with probability `error` at most."""
        if math.isnan(self.value):
            return Interval.unknown()
        if self.degrees < 1:
            return Interval(self.value, math.nan, math.nan)
        assumed = _error_variance(0.5, self.patients) / _error_variance(0.5, self.images)
        measured, independent = assumed, _error_variance(self.value, self.images)
        if self.variance > 0 and independent > 0:
            measured = self.variance / independent
        freedom = self.degrees + self.weight
        effect = (self.degrees * measured + self.weight * assumed) / freedom
        special = require("scipy.special", extra="sklearn")
        quantile = special.stdtrit(freedom, 1 - error / 2)
        if not self.variance:  # all is assumed, nothing was estimated
            quantile = special.ndtri(1 - error / 2)
        reach = float(quantile) * math.sqrt(effect)
        low, high = (self._limit(end, reach) for end in (0.0, 1.0))
        return Interval(self.value, low, high)

    def _limit(self, end: float, reach: float) -> float:
        """Return the value towards 0 or 1 from which the measured one is just within reach."""
        within, beyond = self.value, end
        for _ in range(50):
            middle = (within + beyond) / 2
            near = reach * math.sqrt(_error_variance(middle, self.images))
            if abs(self.value - middle) <= near:
                within = middle
            else:
                beyond = middle
        return within if within != self.value else beyond

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, with nine digits."""
        short = {name: [float(f"{each:.9g}") for each in getattr(self, name)]
                 for name in ("influence", "images", "patients")}  # fmt: skip
        value = None if math.isnan(self.value) else self.value
        return {"value": value, "degrees": self.degrees, "weight": self.weight, **short}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Estimate:
        """Make the estimate again that `to_dict` returned."""
        return cls(
            math.nan if values["value"] is None else float(values["value"]),
            np.array(values["influence"], np.float64),
            float(values["degrees"]),
            tuple(map(float, values["images"])),
            tuple(map(float, values["patients"])),
            float(values["weight"]),
        )

    @classmethod
    def mean(cls, several: Sequence[tuple[Estimate, NDArray[np.int64]]], patients: int) -> Estimate:
        """Return the mean of estimates of parts of the patients, who may be in several parts."""
        known = [pair for pair in several if not math.isnan(pair[0].value)]
        moved = np.zeros(patients)
        if not known:
            return replace(several[0][0], influence=moved)
        for estimate, numbers in known:
            moved[numbers] += estimate.influence / len(known)
        parts = [estimate for estimate, _ in known]
        return cls(
            float(np.mean([each.value for each in parts])),
            moved,
            min(each.degrees for each in parts),
            tuple(np.mean([each.images for each in parts], axis=0).tolist()),
            tuple(np.mean([each.patients for each in parts], axis=0).tolist()),
            parts[0].weight,
        )

    def less(self, other: Estimate, error: float = ERROR) -> Interval:
        """Return how much larger this value is than another one of the same patients."""
        one, two = self.interval(error), other.interval(error)
        spread = math.sqrt(self.variance * other.variance)
        shared = float(self.influence @ other.influence) / spread if spread else 0.0

        def arm(first: float, second: float) -> float:
            return math.sqrt(max(first**2 + second**2 - 2 * shared * first * second, 0.0))

        value = one.value - two.value
        return Interval(
            value,
            value - arm(one.value - one.low, two.high - two.value),
            value + arm(one.high - one.value, two.value - two.low),
        )


def patient_bootstrap(
    metric: Metric,
    labels: ArrayLike,
    scores: ArrayLike,
    patients: ArrayLike,
    samples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return any metric with its 95 % bootstrap interval over patients.

    Patients are drawn with replacement, each with all images; see `Interval.of_draws`. For an AUC,
    an average precision, a share, a mean or a calibration error take the interval of that name: it
    covers the truth more often with few patients.

    Parameters
    ----------
    metric : callable
        ``metric(labels, scores)`` gives a number, or NaN where the draw has none.
    labels, scores : array_like, shape (N,)
        As in `roc_auc`.
    patients : array_like, shape (N,)
        The patient of each image; `Dataset.patients`.
    samples : int
        Number of draws.
    seed : int
        Of the draws.

    Returns
    -------
    Interval
        `low` and `high` are NaN if no draw has a value, or all images are of one patient.

    Raises
    ------
    LabelError
        As `roc_auc`.

    References
    ----------
    Efron and Tibshirani, An introduction to the bootstrap, 1993, section 13.3.

    Examples
    --------
    >>> from deepfixcx.measures import youden_threshold
    >>> labels, scores = [0, 0, 1, 1, 0, 1], [0.1, 0.4, 0.35, 0.8, 0.2, 0.9]
    >>> interval = patient_bootstrap(youden_threshold, labels, scores, list("aabbcc"))
    >>> interval.low <= interval.value <= interval.high
    True
    """
    truth, values, kept = known_pairs(labels, scores)
    owners = member_numbers(patients, np.ones(len(kept), np.bool_))
    drawn = [
        metric(np.repeat(truth, times), np.repeat(values, times))
        for counts in _resamples(owners, samples, seed)
        for times in counts[:, kept]
    ]
    there = len(np.unique(owners[kept]))
    return Interval.of_draws(metric(truth, values), np.array(drawn), there)


def joint_error(estimates: Sequence[Estimate], seed: int = 0, error: float = ERROR) -> float:
    """Return the error of each of several intervals with which all of them hold at once."""
    if len(estimates) < 2:
        return error
    generator = np.random.default_rng(seed)
    moved = np.stack([each.influence for each in estimates], axis=1)
    size = np.sqrt((moved**2).sum(axis=0))
    flat = size == 0
    largest = np.empty(JOINT_DRAWS)
    at_once = max(1, VALUES_AT_ONCE // max(len(moved), 1))
    for start in range(0, JOINT_DRAWS, at_once):
        rows = slice(start, min(start + at_once, JOINT_DRAWS))
        count = rows.stop - rows.start
        drawn = generator.standard_normal((count, len(moved))) @ (moved / np.where(flat, 1, size))
        drawn[:, flat] = generator.standard_normal((count, int(flat.sum())))  # as if independent
        largest[rows] = np.abs(drawn).max(axis=1)
    special = require("scipy.special", extra="sklearn")
    return min(error, float(2 * special.ndtr(-np.quantile(largest, 1 - error))))


def _error_variance(value: float, sizes: tuple[float, ...]) -> float:
    """Return the variance of a share, or of an area by Hanley and McNeil as Newcombe has it."""
    if len(sizes) == 1:
        return value * (1 - value) / sizes[0]
    yes, no = sizes
    more = (yes + no) / 2 - 1
    terms = 1 + more * (1 - value) / (2 - value) + more * value / (1 + value)
    return max(value * (1 - value) * terms / (yes * no), 0.0)


def _resamples(owners: NDArray[np.int64], samples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Draw patients, and yield how often each image is in each draw, (a few draws, N)."""
    generator = np.random.default_rng(seed)
    patients = int(owners.max(initial=-1)) + 1
    at_once = max(1, VALUES_AT_ONCE // max(len(owners), 1))
    for start in range(0, samples, at_once):
        rows = min(at_once, samples - start)
        yield draw_patients(patients, rows, generator)[:, owners]
