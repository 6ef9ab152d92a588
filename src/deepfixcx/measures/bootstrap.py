"""Intervals over patients: two images of one patient are not two observations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.errors import LabelError
from deepfixcx.measures._pairs import Floats, known_pairs, member_numbers
from deepfixcx.measures.ranking import areas_of_draws, roc_auc

__all__ = ["Interval", "auc_interval", "patient_bootstrap"]

Metric = Callable[[Floats, Floats], float]

QUANTILES = (0.025, 0.975)
"""Between them lie 95 % of the draws."""

VALUES_AT_ONCE = 4_000_000
"""Draws are worked off in runs of at most so many numbers, 32 MB each."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and its 95 % interval; NaN where there is none.

    Attributes
    ----------
    value : float
        The figure itself.
    low, high : float
        Where the interval begins and ends.

    Examples
    --------
    >>> print(Interval(0.8912, 0.861, 0.9183))
    0.891 [0.861, 0.918]
    >>> print(Interval.unknown())
    not measured
    """

    value: float
    low: float
    high: float

    @classmethod
    def of_draws(cls, value: float, draws: Floats) -> Interval:
        """Return a figure with the quantiles of its draws, of which NaN does not count."""
        known = draws[np.isfinite(draws)]
        if not len(known):
            return cls(value, float("nan"), float("nan"))
        low, high = np.quantile(known, QUANTILES)
        return cls(value, float(low), float(high))

    @classmethod
    def unknown(cls) -> Interval:
        """Return what stands for a figure that cannot be had."""
        return cls(float("nan"), float("nan"), float("nan"))

    def __str__(self) -> str:
        """Return value and interval with three digits; of what there is."""
        if math.isnan(self.value):
            return "not measured"
        if math.isnan(self.low):
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def patient_bootstrap(
    metric: Metric,
    labels: ArrayLike,
    scores: ArrayLike,
    patients: ArrayLike,
    samples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return a metric with its 95 % interval over patients.

    Patients are drawn with replacement, each with all images, and the interval is that of the
    2.5 % and 97.5 % quantiles. `roc_auc` is not called again and again: see `auc_interval`.

    Parameters
    ----------
    metric : callable
        ``metric(labels, scores)`` gives a number, or NaN where the draw has none.
    labels, scores : array_like, shape (N,)
        As in `roc_auc`.
    patients : array_like, shape (N,)
        Whose image it is; `Dataset.patients`.
    samples : int
        Number of draws.
    seed : int
        Of the draws.

    Returns
    -------
    Interval
        `low` and `high` are NaN if no draw has a value.

    Raises
    ------
    LabelError
        As `roc_auc`.

    References
    ----------
    Efron and Tibshirani, An introduction to the bootstrap, 1993, section 13.3.

    Examples
    --------
    >>> from deepfixcx.measures import average_precision
    >>> labels, scores = [0, 0, 1, 1, 0, 1], [0.1, 0.4, 0.35, 0.8, 0.2, 0.9]
    >>> interval = patient_bootstrap(average_precision, labels, scores, list("aabbcc"))
    >>> interval.low <= interval.value <= interval.high
    True
    """
    if metric is roc_auc:
        return auc_interval(labels, scores, patients, samples=samples, seed=seed)
    truth, values, kept = known_pairs(labels, scores)
    owners = member_numbers(patients, np.ones(len(kept), np.bool_))
    drawn = [
        metric(np.repeat(truth, times), np.repeat(values, times))
        for counts in _resamples(owners, samples, seed)
        for times in counts[:, kept]
    ]
    return Interval.of_draws(metric(truth, values), np.array(drawn))


def auc_interval(
    labels: ArrayLike,
    scores: ArrayLike,
    patients: ArrayLike,
    groups: ArrayLike | None = None,
    samples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return the area under the ROC curve with its 95 % interval over patients.

    Parameters
    ----------
    labels, scores : array_like, shape (N,) or (N, L)
        As in `roc_auc`. Of several labels the mean area is taken, over those that have a yes and
        a no.
    patients : array_like, shape (N,)
        Whose image it is.
    groups : array_like, shape (N,), optional
        Compare only images of one group; as in `roc_auc`.
    samples, seed : int
        As in `patient_bootstrap`. The same patients and seed give the same draws.

    Returns
    -------
    Interval
        NaN where there is no pair to compare.

    Raises
    ------
    LabelError
        As `roc_auc`.

    Examples
    --------
    >>> scores = np.linspace(0, 1, 40)
    >>> labels = (np.random.default_rng(0).random(40) < scores).astype(float)
    >>> print(auc_interval(labels, scores, np.arange(40) // 2))
    0.803 [0.590, 0.958]
    """
    truth, values = np.asarray(labels, np.float64), np.asarray(scores, np.float64)
    if truth.ndim == 1:
        truth, values = truth[:, None], values[..., None]
    if truth.shape != values.shape or truth.ndim != 2:
        raise LabelError(f"labels are {np.shape(labels)} and scores {np.shape(scores)}; give pairs")
    owners = member_numbers(patients, np.ones(len(truth), np.bool_))
    columns = [known_pairs(truth[:, place], values[:, place]) for place in range(truth.shape[1])]
    points, draws = [], []
    for known, ranked, kept in columns:
        members = member_numbers(groups, kept)
        once = np.ones((1, len(known)), np.int64)
        point = float(areas_of_draws(known, ranked, members, once)[0])
        if np.isfinite(point):
            points.append(point)
            parts = [
                areas_of_draws(known, ranked, members, counts[:, kept])
                for counts in _resamples(owners, samples, seed)
            ]
            draws.append(np.concatenate(parts))
    if not points:
        return Interval.unknown()
    return Interval.of_draws(float(np.mean(points)), np.mean(draws, axis=0))


def _resamples(owners: NDArray[np.int64], samples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Draw patients, and yield how often each image is in each draw, (a few draws, N)."""
    generator = np.random.default_rng(seed)
    patients = int(owners.max(initial=-1)) + 1
    at_once = max(1, VALUES_AT_ONCE // max(len(owners), 1))
    for start in range(0, samples, at_once):
        rows = min(at_once, samples - start)
        drawn = generator.integers(0, max(patients, 1), (rows, patients))
        drawn += patients * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * patients)
        yield counts.reshape(rows, patients)[:, owners]
