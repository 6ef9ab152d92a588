"""Do probabilities come true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.errors import LabelError
from deepfixcx.measures._pairs import Floats, known_pairs

__all__ = ["Reliability", "expected_calibration_error", "reliability_curve"]


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
        raise LabelError("calibration needs probabilities from 0 to 1; these scores leave it")
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
