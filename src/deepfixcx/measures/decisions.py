"""From scores to decisions: thresholds, confusion counts, and calibration of probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx._optional import require
from deepfixcx.errors import LabelError
from deepfixcx.measures.intervals import (
    VALUES_AT_ONCE,
    Floats,
    Interval,
    known_pairs,
    member_numbers,
)

__all__ = [
    "Confusion",
    "Reliability",
    "calibration_interval",
    "confusion_at",
    "expected_calibration_error",
    "reliability_curve",
    "youden_threshold",
]


@dataclass(frozen=True, slots=True)
class Confusion:
    """Decisions against labels, counted; the rates are NaN where there is nothing to divide by.

    Attributes
    ----------
    true_positives, false_positives, true_negatives, false_negatives : int
        Images that were rightly or wrongly called yes, and rightly or wrongly called no.

    Examples
    --------
    >>> found = Confusion(8, 1, 9, 2)
    >>> found.sensitivity, found.specificity, found.accuracy
    (0.8, 0.9, 0.85)
    """

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int

    @property
    def sensitivity(self) -> float:
        """Share of yes that were called yes."""
        return _share(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def specificity(self) -> float:
        """Share of no that were called no."""
        return _share(self.true_negatives, self.true_negatives + self.false_positives)

    @property
    def precision(self) -> float:
        """Share of what was called yes that is yes."""
        return _share(self.true_positives, self.true_positives + self.false_positives)

    @property
    def accuracy(self) -> float:
        """Share of decisions that are right."""
        right = self.true_positives + self.true_negatives
        return _share(right, right + self.false_positives + self.false_negatives)


def confusion_at(labels: ArrayLike, scores: ArrayLike, threshold: float) -> Confusion:
    """Count right and wrong decisions, where a score of at least `threshold` is a yes.

    Parameters
    ----------
    labels, scores : array_like, shape (N,)
        As in `roc_auc`.
    threshold : float
        On the scale of the scores.

    Returns
    -------
    Confusion
        Over the images whose label is known.

    Raises
    ------
    LabelError
        As `roc_auc`.

    Examples
    --------
    >>> confusion_at([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], 0.4).sensitivity
    0.5
    """
    truth, values, _ = known_pairs(labels, scores)
    yes, called = truth == 1, values >= threshold
    return Confusion(
        int((yes & called).sum()),
        int((~yes & called).sum()),
        int((~yes & ~called).sum()),
        int((yes & ~called).sum()),
    )


def youden_threshold(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the threshold with the largest sensitivity + specificity.

    It lies halfway between two scores, so that it does not depend on the last digit of one. Of
    several equally good ones the highest is taken. Choose it on other images than those on which
    you report decisions.

    Parameters
    ----------
    labels, scores : array_like, shape (N,)
        As in `roc_auc`.

    Returns
    -------
    float
        For `confusion_at`; NaN unless there are positives and negatives.

    Raises
    ------
    LabelError
        As `roc_auc`.

    References
    ----------
    Youden, Index for rating diagnostic tests, Cancer, 1950.

    Examples
    --------
    >>> youden_threshold([0, 0, 1, 1], [1, 2, 4, 5])
    3.0
    """
    truth, values, _ = known_pairs(labels, scores)
    yes = float(truth.sum())
    if yes in (0, len(truth)):
        return float("nan")
    distinct, place = np.unique(values, return_inverse=True)
    yes_from = np.cumsum(np.bincount(place, truth)[::-1])[::-1]
    no_from = np.cumsum(np.bincount(place, 1 - truth)[::-1])[::-1]
    gain = yes_from / yes - no_from / (len(truth) - yes)
    best = int(np.flatnonzero(gain == gain.max())[-1])
    if best == 0:
        return float(distinct[0])
    between = distinct[best - 1] / 2 + distinct[best] / 2
    return float(between if between > distinct[best - 1] else distinct[best])


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


LARGEST_MULTIPLE, STEPS = 3.0, 61
"""Of the measured gaps, that are tried as true ones; fewer are always enough in practice."""


@dataclass(frozen=True, eq=False, slots=True)
class Reliability:
    """What probabilities said and what came true, bin by bin; empty bins are left out.

    Attributes
    ----------
    predicted : ndarray, shape (K,)
        Mean probability in the bin.
    observed : ndarray, shape (K,)
        Share of yes in the bin.
    counts : ndarray of int64, shape (K,)
        Images in the bin.

    Examples
    --------
    >>> curve = reliability_curve([0, 1, 1, 1], [0.1, 0.9, 0.9, 0.2], bins=2)
    >>> curve.observed.tolist(), curve.counts.tolist()
    ([0.5, 1.0], [2, 2])
    """

    predicted: Floats
    observed: Floats
    counts: NDArray[np.int64]


def reliability_curve(labels: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> Reliability:
    """Compare probabilities with what came true, in bins of equal width.

    Parameters
    ----------
    labels : array_like, shape (N,)
        1, 0, or NaN where unknown.
    probabilities : array_like, shape (N,)
        In [0, 1].
    bins : int
        Bins between 0 and 1.

    Returns
    -------
    Reliability
        Of the bins that hold images.

    Raises
    ------
    LabelError
        As `roc_auc`, or a probability outside [0, 1].

    Examples
    --------
    >>> curve = reliability_curve([0, 1, 1, 1], [0.25, 0.25, 0.95, 0.85], bins=2)
    >>> curve.observed.tolist(), curve.counts.tolist()
    ([0.5, 1.0], [2, 2])
    """
    truth, values, _ = known_pairs(labels, probabilities)
    if ((values < 0) | (values > 1)).any():
        raise LabelError("calibration needs probabilities from 0 to 1; some scores are outside")
    place = np.minimum((values * bins).astype(np.int64), bins - 1)
    counts = np.bincount(place, minlength=bins)
    used = counts > 0
    predicted = np.bincount(place, values, bins)[used] / counts[used]
    observed = np.bincount(place, truth, bins)[used] / counts[used]
    return Reliability(predicted, observed, counts[used])


def expected_calibration_error(
    labels: ArrayLike, probabilities: ArrayLike, bins: int = 10
) -> float:
    """Return how far probabilities are from what came true, on average over images.

    Parameters
    ----------
    labels, probabilities, bins
        As in `reliability_curve`.

    Returns
    -------
    float
        0 to 1, the lower the better; NaN without known labels.

    Raises
    ------
    LabelError
        As `reliability_curve`.

    References
    ----------
    Naeini et al., Obtaining well calibrated probabilities using Bayesian binning, AAAI, 2015.

    Examples
    --------
    >>> round(expected_calibration_error([0, 1, 1, 1], [0.25, 0.25, 0.95, 0.85], bins=2), 3)
    0.175
    """
    curve = reliability_curve(labels, probabilities, bins)
    total = curve.counts.sum()
    if not total:
        return float("nan")
    return float((curve.counts * np.abs(curve.predicted - curve.observed)).sum() / total)


def calibration_interval(
    labels: ArrayLike,
    probabilities: ArrayLike,
    patients: ArrayLike,
    bins: int = 10,
    samples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return the calibration error without its bias, with a 95 % interval over patients.

    The error sums distances, so chance alone makes it positive: 0.14 on average for 50 images with
    perfect probabilities, and a bootstrap adds the same once more. Here multiples of the measured
    gaps between probabilities and shares, 0 among them, are taken for the true ones, and chance is
    drawn with a Gaussian multiplier for each patient. The value is the multiple under which the
    plain error is the median; `low` is the least under which it is not in the upper 2.5 %. `high`
    is the plain error with its sampling error, which bias makes safe.

    Parameters
    ----------
    labels, probabilities, bins
        As in `reliability_curve`.
    patients : array_like, shape (N,)
        The patient of each image.
    samples, seed : int
        Of the draws.

    Returns
    -------
    Interval
        In [0, 1]; NaN without known labels, and without limits where all are of one patient.

    Raises
    ------
    LabelError
        As `reliability_curve`.

    References
    ----------
    Broecker and Smith, Increasing the reliability of reliability diagrams, Weather and Forecasting,
    2007, of the errors of perfect probabilities; Kumar, Liang and Ma, Verified uncertainty
    calibration, NeurIPS, 2019, of the bias.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> probabilities = generator.random(50)
    >>> labels = generator.random(50) < probabilities
    >>> round(expected_calibration_error(labels, probabilities), 2)
    0.19
    >>> calibration_interval(labels, probabilities, np.arange(50)).low
    0.0
    """
    plain = expected_calibration_error(labels, probabilities, bins)
    truth, values, kept = known_pairs(labels, probabilities)
    if not len(truth):
        return Interval.unknown()
    owners = np.unique(
        member_numbers(patients, np.ones(len(kept), np.bool_))[kept], return_inverse=True
    )[1]
    count = int(owners.max()) + 1
    if count < 2:
        return Interval(plain, float("nan"), float("nan"))
    place = np.minimum((values * bins).astype(np.int64), bins - 1)
    moved = np.zeros((count, bins))
    np.add.at(moved, (owners, place), (truth - values) / len(truth))
    gaps = moved.sum(axis=0)
    moved -= np.bincount(owners)[:, None] / len(truth) * gaps
    special = require("scipy.special", extra="sklearn")
    quantile = float(special.stdtrit(count - 1, 0.975))
    moved *= np.sqrt(count / (count - 1)) * quantile / special.ndtri(0.975)
    generator = np.random.default_rng(seed)
    chance = np.empty((samples, bins))
    at_once = max(1, VALUES_AT_ONCE // count)
    for start in range(0, samples, at_once):
        some = chance[start : start + at_once]
        some[:] = generator.standard_normal((len(some), count)) @ moved
    multiples = np.linspace(0, LARGEST_MULTIPLE, STEPS)
    below = np.array(
        [(np.abs(times * gaps + chance).sum(axis=1) <= plain).mean() for times in multiples]
    )
    least = multiples[np.argmax(below <= 0.975)]
    middle = max(multiples[below >= 0.5], default=0.0)
    error = special.ndtri(0.975) * float(np.sqrt(((moved @ np.sign(gaps)) ** 2).sum()))
    return Interval(float(middle * plain), float(least * plain), min(plain + error, 1.0))
