"""Do scores put yes above no: areas under curves."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.measures._pairs import Floats, known_pairs, member_numbers

__all__ = ["areas_of_draws", "average_precision", "precisions_of_draws", "roc_auc"]


def roc_auc(labels: ArrayLike, scores: ArrayLike, groups: ArrayLike | None = None) -> float:
    """Return the area under the ROC curve: how often a yes scores higher than a no.

    Parameters
    ----------
    labels : array_like, shape (N,)
        1, 0, or NaN where unknown.
    scores : array_like, shape (N,)
        The higher, the rather yes; any scale. Equal scores count half.
    groups : array_like, shape (N,), optional
        Compare only images of one group, such as their view or the fold that scored them. That is
        the mean of the groups' areas, weighted by their pairs of a yes and a no.

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
