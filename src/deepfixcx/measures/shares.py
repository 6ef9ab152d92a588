"""Shares and means, such as sensitivity or a patient's precision, with intervals over patients."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx._optional import require
from deepfixcx.errors import LabelError
from deepfixcx.measures.intervals import (
    ERROR,
    Estimate,
    Floats,
    Interval,
    known_pairs,
    member_numbers,
)

__all__ = ["mean_difference", "mean_interval", "rate_interval"]

SHARE_WEIGHT, DIFFERENCE_WEIGHT = 4, 1
"""Degrees of freedom that the assumed design effect is worth; chosen by `benchmarks.coverage`."""


def rate_interval(
    right: ArrayLike,
    patients: ArrayLike,
) -> Interval:
    """Return a share, such as accuracy or sensitivity, with its 95 % interval over patients.

    Parameters
    ----------
    right : array_like, shape (N,)
        1, 0, or NaN where an image does not count.
    patients : array_like, shape (N,)
        The patient of each image.

    Returns
    -------
    Interval
        In [0, 1]; NaN where no image counts, and without limits where all are of one patient.

    Raises
    ------
    LabelError
        As `roc_auc`.

    References
    ----------
    Wilson, Probable inference, the law of succession, and statistical inference, Journal of the
    American Statistical Association, 1927; Kish, Survey sampling, 1965, of the effective number.

    Examples
    --------
    >>> print(rate_interval(np.ones(11), np.arange(11)))
    1.000 [0.741, 1.000]
    >>> print(rate_interval(np.zeros(22), np.arange(22) // 2))
    0.000 [0.000, 0.259]
    """
    counted, _, kept = known_pairs(right, np.zeros(np.shape(right)))
    owners = member_numbers(patients, np.ones(len(kept), np.bool_))[kept]
    return _share(counted, owners, int(owners.max(initial=-1)) + 1).interval()


def mean_interval(values: ArrayLike, bounds: tuple[float, float] | None = None) -> Interval:
    """Return the mean of one value for each patient with its 95 % interval.

    Parameters
    ----------
    values : array_like, shape (patients,)
        NaN does not count.
    bounds : (float, float), optional
        What no value can leave, such as (0, 1) for a patient's precision; the interval respects
        it, and is not a point where all values are equal. Without bounds it is Student's.

    Returns
    -------
    Interval
        NaN without a value, and without limits for one patient.

    Examples
    --------
    >>> print(mean_interval([0.0, 1.0, 1.0, np.nan, 0.0], (0, 1)))
    0.500 [0.108, 0.892]
    >>> print(mean_interval([20.0, 22.0, 24.0]))
    22.000 [17.032, 26.968]
    """
    if bounds is not None:
        return _mean(np.asarray(values, np.float64), bounds, SHARE_WEIGHT)
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return Interval.unknown()
    value = float(known.mean())
    if len(known) < 2:
        return Interval(value, math.nan, math.nan)
    special = require("scipy.special", extra="sklearn")
    quantile = float(special.stdtrit(len(known) - 1, 1 - ERROR / 2))
    reach = quantile * float(known.std(ddof=1)) / math.sqrt(len(known))
    return Interval(value, value - reach, value + reach)


def mean_difference(
    values: ArrayLike, others: ArrayLike, bounds: tuple[float, float] | None = None
) -> Interval:
    """Return how much larger the mean of some values is than that of others of the same patients.

    Parameters
    ----------
    values, others : array_like, shape (patients,)
        Patients of whom one of them is NaN do not count.
    bounds : (float, float), optional
        As in `mean_interval`, for both.

    Returns
    -------
    Interval
        Paired by patients.

    Examples
    --------
    >>> print(mean_difference([0.9, 0.8, 1.0, 0.7], [0.5, 0.6, 0.5, 0.6], (0, 1)))
    0.300 [-0.377, 0.768]
    """
    gain = np.asarray(values, np.float64) - np.asarray(others, np.float64)
    if bounds is None:
        return mean_interval(gain)
    width = bounds[1] - bounds[0]
    return _mean(gain, (-width, width), DIFFERENCE_WEIGHT)


def _mean(values: Floats, bounds: tuple[float, float], weight: float) -> Interval:
    """Return the mean of bounded values, as that of a share between the bounds."""
    known = values[np.isfinite(values)]
    (low, high), count = bounds, len(known)
    if count and (known.min() < low or known.max() > high):
        raise LabelError(f"values are outside the bounds {low} to {high}; use wider bounds")
    share = _share((known - low) / (high - low), np.arange(count), count, weight).interval()
    return Interval(*(low + (high - low) * each for each in (share.value, share.low, share.high)))


def _share(
    values: Floats, owners: NDArray[np.int64], patients: int, weight: float = SHARE_WEIGHT
) -> Estimate:
    """Return the mean of values in [0, 1] over images, patients being independent."""
    images = np.bincount(owners, minlength=patients)
    there = int((images > 0).sum())
    if not there:
        return Estimate(math.nan, np.zeros(patients), 0, (1.0,), (1.0,), weight)
    value = float(values.mean())
    influence = np.bincount(owners, values - value, patients) / images.sum()
    influence *= math.sqrt(there / max(there - 1, 1))
    effective = float(images.sum() ** 2 / (images**2).sum())
    return Estimate(value, influence, there - 1, (float(images.sum()),), (effective,), weight)
