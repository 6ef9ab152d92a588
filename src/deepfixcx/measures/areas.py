"""Areas under curves, with 95 % intervals over patients, alone and in pairs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.errors import LabelError
from deepfixcx.measures.intervals import Estimate, Floats, Interval, known_pairs, member_numbers

__all__ = [
    "areas_of_draws",
    "auc_difference",
    "auc_estimate",
    "auc_interval",
    "average_precision",
    "average_precision_interval",
    "precisions_of_draws",
    "roc_auc",
]


def roc_auc(labels: ArrayLike, scores: ArrayLike, groups: ArrayLike | None = None) -> float:
    """Return the area under the ROC curve: how often a positive scores higher than a negative.

    Parameters
    ----------
    labels : array_like, shape (N,)
        1, 0, or NaN where unknown.
    scores : array_like, shape (N,)
        The higher, the rather yes; any scale. Equal scores count half.
    groups : array_like, shape (N,), optional
        Compare only images of one group, such as their view or the fold that scored them. That is
        the mean of the groups' areas, weighted by their pairs of a positive and a negative.

    Returns
    -------
    float
        0 to 1, and 0.5 by chance; NaN if there is no pair to compare.

    Raises
    ------
    LabelError
        Shapes that differ, other labels than 1, 0 and NaN, or scores that are not finite.

    References
    ----------
    Hanley and McNeil, The meaning and use of the area under a ROC curve, Radiology, 1982.

    Examples
    --------
    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    >>> roc_auc([0, 1, 0, 1], [0.1, 0.2, 0.8, 0.9], groups=["AP", "AP", "PA", "PA"])
    1.0
    """
    truth, values, kept = known_pairs(labels, scores)
    members = member_numbers(groups, kept)
    return float(areas_of_draws(truth, values, members, np.ones((1, len(truth)), np.int64))[0])


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the area under the precision-recall curve, as a sum of steps.

    Parameters
    ----------
    labels, scores : array_like, shape (N,)
        As in `roc_auc`.

    Returns
    -------
    float
        0 to 1; by chance the share of yes. NaN if there is no yes.

    Raises
    ------
    LabelError
        As `roc_auc`.

    Examples
    --------
    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 3)
    0.833
    """
    truth, values, _ = known_pairs(labels, scores)
    return float(precisions_of_draws(truth, values, np.ones((1, len(truth)), np.int64))[0])


def precisions_of_draws(truth: Floats, values: Floats, counts: NDArray[np.int64]) -> Floats:
    """Return one average precision for each row of `counts`; NaN where a draw has no positive."""
    order = np.argsort(-values, kind="stable")
    last = np.flatnonzero(np.diff(values[order], append=-np.inf))  # of equal scores
    times = counts[:, order]
    found = np.cumsum(times * truth[order], axis=1)[:, last]
    called = np.cumsum(times, axis=1)[:, last]
    precision = np.divide(found, called, out=np.zeros(found.shape), where=called > 0)
    steps = (np.diff(found, prepend=0, axis=1) * precision).sum(axis=1)
    total = found[:, -1] if len(last) else np.zeros(len(counts))
    areas: Floats = np.full(len(counts), np.nan)
    np.divide(steps, total, out=areas, where=total > 0)
    return areas


def areas_of_draws(
    truth: Floats, values: Floats, members: NDArray[np.int64], counts: NDArray[np.int64]
) -> Floats:
    """Return one area for each row of `counts`, which says how often each image is there."""
    right = np.zeros(len(counts))
    pairs = np.zeros(len(counts))
    for group in range(int(members.max(initial=-1)) + 1):
        here = np.flatnonzero(members == group)
        here = here[np.argsort(values[here], kind="stable")]
        firsts = np.flatnonzero(np.diff(values[here], prepend=-np.inf))  # of equal scores
        times = counts[:, here]
        yes = np.add.reduceat(times * truth[here], firsts, axis=1)
        no = np.add.reduceat(times * (1 - truth[here]), firsts, axis=1)
        right += (yes * (np.cumsum(no, axis=1) - no / 2)).sum(axis=1)
        pairs += yes.sum(axis=1) * no.sum(axis=1)
    areas = np.full(len(counts), np.nan)
    np.divide(right, pairs, out=areas, where=pairs > 0)
    return areas


AREA_WEIGHT, PRECISION_WEIGHT = 8, 2
"""Degrees of freedom that the assumed design effect is worth; chosen by `benchmarks.coverage`."""

FEWEST = 3
"""Patients with positives, and with negatives, below which nothing can be said of an AUC."""

MOST_BLOCKS = 500
"""More patients are left out in so many blocks, rather than one by one."""


def auc_interval(
    labels: ArrayLike,
    scores: ArrayLike,
    patients: ArrayLike,
    groups: ArrayLike | None = None,
) -> Interval:
    """Return the area under the ROC curve with its 95 % interval over patients.

    The variance is that of Obuchowski for clustered data, the interval a score interval with the
    error of Hanley and McNeil, as Newcombe's method 5, for as many effective patients.

    Parameters
    ----------
    labels, scores : array_like, shape (N,) or (N, L)
        As in `roc_auc`. Of several labels the mean area is taken, over those that have positives
        and negatives.
    patients : array_like, shape (N,)
        The patient of each image.
    groups : array_like, shape (N,), optional
        Compare only images of one group; as in `roc_auc`.

    Returns
    -------
    Interval
        In [0, 1]. `value` is NaN where there is no pair to compare; `low` and `high` are NaN where
        fewer than three patients have positives or negatives.

    Raises
    ------
    LabelError
        As `roc_auc`.

    References
    ----------
    Obuchowski, Nonparametric analysis of clustered ROC curve data, Biometrics, 1997; Newcombe,
    Confidence intervals for an effect size measure based on the Mann-Whitney statistic, part 2,
    Statistics in Medicine, 2006.

    Examples
    --------
    >>> scores = np.linspace(0, 1, 40)
    >>> labels = (np.random.default_rng(0).random(40) < scores).astype(float)
    >>> print(auc_interval(labels, scores, np.arange(40) // 2))
    0.803 [0.539, 0.928]
    >>> print(auc_interval([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], list("aabb")))
    1.000 (too few patients for an interval)
    """
    return auc_estimate(labels, scores, patients, groups).interval()


def auc_difference(
    labels: ArrayLike,
    scores: ArrayLike,
    others: ArrayLike,
    patients: ArrayLike,
    groups: ArrayLike | None = None,
) -> Interval:
    """Return how much larger the area of some scores is than that of others of the same images.

    Parameters
    ----------
    labels, scores, patients, groups
        As in `auc_interval`.
    others : array_like, shape (N,) or (N, L)
        The scores to compare with.

    Returns
    -------
    Interval
        In [-1, 1]; paired by patients.

    Raises
    ------
    LabelError
        As `roc_auc`.

    Examples
    --------
    >>> labels, owners = np.arange(60) % 2, np.arange(60)
    >>> noise = np.random.default_rng(0).normal(size=(2, 60))
    >>> auc_difference(labels, 2 * labels + noise[0], noise[1], owners).low > 0
    True
    """
    ours, theirs = (auc_estimate(labels, each, patients, groups) for each in (scores, others))
    return ours.less(theirs)


def auc_estimate(
    labels: ArrayLike, scores: ArrayLike, patients: ArrayLike, groups: ArrayLike | None = None
) -> Estimate:
    """Return what the interval of an AUC, or joint ones of several, are made of."""
    truth, values = np.asarray(labels, np.float64), np.asarray(scores, np.float64)
    if truth.ndim == 1:
        truth, values = truth[:, None], values[..., None]
    if truth.shape != values.shape or truth.ndim != 2:
        raise LabelError(
            f"labels have shape {np.shape(labels)} and scores {np.shape(scores)}; shapes must be "
            "equal"
        )
    owners = member_numbers(patients, np.ones(len(truth), np.bool_))
    count = int(owners.max(initial=-1)) + 1
    columns = []
    for known, ranked, kept in map(known_pairs, truth.T, values.T):
        column = _Column.of(known, ranked, owners[kept], member_numbers(groups, kept), count)
        if column is not None:
            columns.append(column)
    if not columns:
        return Estimate(math.nan, np.zeros(count), 0, (1.0, 1.0), (1.0, 1.0), AREA_WEIGHT)
    variances = np.array([each.influence @ each.influence for each in columns])
    degrees = np.array([each.degrees for each in columns])
    freedom = float(degrees.max())
    if freedom >= 1 and variances.any():  # labels of one patient may go together
        freedom = float(np.average(np.maximum(degrees, 1), weights=variances))
    images, effective = (
        tuple(len(columns) / (1 / np.array(sizes)).sum(axis=0))
        for sizes in ([each.images for each in columns], [each.patients for each in columns])
    )
    return Estimate(
        float(np.mean([each.value for each in columns])),
        np.mean([each.influence for each in columns], axis=0),
        freedom,
        images,
        effective,
        AREA_WEIGHT,
    )


def average_precision_interval(
    labels: ArrayLike, scores: ArrayLike, patients: ArrayLike
) -> Interval:
    """Return the area under the precision-recall curve with its 95 % interval over patients.

    The variance is that of the jackknife over patients; the interval is that of a share of as many
    images as there are positives.

    Parameters
    ----------
    labels, scores, patients : array_like, shape (N,)
        As in `auc_interval`.

    Returns
    -------
    Interval
        In [0, 1]; without limits where fewer than three patients have positives.

    Raises
    ------
    LabelError
        As `roc_auc`.

    References
    ----------
    Boyd et al., Area under the precision-recall curve: point estimates and confidence intervals,
    ECML PKDD, 2013, of the binomial interval.

    Examples
    --------
    >>> labels = np.arange(40) % 2
    >>> print(average_precision_interval(labels, labels + np.arange(40) % 3, np.arange(40)))
    0.740 [0.544, 0.871]
    """
    truth, ranked, kept = known_pairs(labels, scores)
    owners = member_numbers(patients, np.ones(len(kept), np.bool_))[kept]
    images = np.bincount(owners[truth == 1])
    there = int((images > 0).sum())
    if not there:
        return Interval.unknown()
    blocks = np.unique(owners, return_inverse=True)[1] % MOST_BLOCKS
    whole = precisions_of_draws(truth, ranked, np.ones((1, len(truth)), np.int64))[0]
    left = _precisions_without(truth, ranked, blocks)
    known = left[np.isfinite(left)]
    influence = math.sqrt((len(known) - 1) / len(known)) * (known.mean() - known)
    effective = float(images.sum() ** 2 / (images**2).sum())
    degrees = there - 1 if there >= FEWEST else 0
    return Estimate(
        float(whole), influence, degrees, (float(images.sum()),), (effective,), PRECISION_WEIGHT
    ).interval()


def _precisions_without(truth: Floats, values: Floats, blocks: NDArray[np.int64]) -> Floats:
    """Return the average precision without each block of images; NaN where no positive is left.

    Only thresholds with a positive count, and what a block takes from them is a cumulative sum.
    """
    order = np.argsort(-values, kind="stable")
    yes = truth[order] == 1
    tie = np.cumsum(np.diff(values[order], prepend=np.inf) != 0) - 1  # of equal scores
    called_by = np.cumsum(np.bincount(tie))
    positives = np.bincount(tie[yes], minlength=len(called_by))
    thresholds = np.flatnonzero(positives)
    steps, called = positives[thresholds], called_by[thresholds]
    found = np.cumsum(steps)
    first = np.searchsorted(thresholds, tie)  # the first threshold that calls an image
    of_block = np.argsort(blocks[order], kind="stable")
    ends = np.cumsum(np.bincount(blocks))
    left = np.full(len(ends), np.nan)
    for block, places in enumerate(np.split(of_block, ends[:-1])):
        lost = np.bincount(first[places][yes[places]], minlength=len(steps))
        fewer = np.bincount(first[places], minlength=len(steps) + 1)[:-1]
        kept, there = found - np.cumsum(lost), called - np.cumsum(fewer)
        if kept[-1] > 0:
            precision = np.divide(kept, there, out=np.zeros(len(kept)), where=there > 0)
            left[block] = ((steps - lost) * precision).sum() / kept[-1]
    return left


@dataclass(frozen=True, eq=False, slots=True)
class _Column:
    """The area of one label: value, influence, degrees, and sizes in images and in patients."""

    value: float
    influence: Floats
    degrees: int
    images: tuple[float, float]
    patients: tuple[float, float]

    @classmethod
    def of(
        cls,
        truth: Floats,
        scores: Floats,
        owners: NDArray[np.int64],
        members: NDArray[np.int64],
        count: int,
    ) -> _Column | None:
        """Compare positives and negatives of each group; None where there is no pair."""
        won, pairs = np.zeros(len(truth)), np.zeros(len(truth))
        for group in range(int(members.max(initial=-1)) + 1):
            here = np.flatnonzero(members == group)
            above = here[truth[here] == 1]
            below = here[truth[here] == 0]
            won[above] = _wins(scores[above], scores[below])
            won[below] = len(above) - _wins(scores[below], scores[above])
            pairs[above], pairs[below] = len(below), len(above)
        if not (total := pairs[truth == 1].sum()):
            return None
        value = float(won[truth == 1].sum() / total)
        influence = np.zeros(count)
        sizes, effective, seen = [], [], []
        for label in (1, 0):
            here = (truth == label) & (pairs > 0)
            images = np.bincount(owners[here], minlength=count)
            there = int((images > 0).sum())
            part = np.bincount(owners[here], won[here] - value * pairs[here], count) / total
            influence += part * math.sqrt(there / max(there - 1, 1))
            sizes.append(float(images.sum()))
            effective.append(float(images.sum() ** 2 / (images**2).sum()))
            seen.append(there)
        degrees = min(seen) - 1 if min(seen) >= FEWEST else 0
        return cls(value, influence, degrees, (sizes[0], sizes[1]), (effective[0], effective[1]))


def _wins(scores: Floats, others: Floats) -> Floats:
    """Return how many of the others each score exceeds; equal ones count half."""
    ranked = np.sort(others)
    sides = (np.searchsorted(ranked, scores, side) for side in ("left", "right"))
    return np.asarray(sum(sides) / 2, np.float64)
