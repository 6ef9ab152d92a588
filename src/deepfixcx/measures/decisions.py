"""From scores to a yes or no: thresholds, and decisions counted against labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from deepfixcx.measures._pairs import known_pairs

__all__ = ["Confusion", "confusion_at", "youden_threshold"]


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
        For `confusion_at`; NaN unless there are yes and no.

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
