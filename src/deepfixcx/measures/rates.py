"""Shares of right decisions, such as sensitivity, with intervals over patients."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from deepfixcx.measures._pairs import Floats, known_pairs, member_numbers
from deepfixcx.measures.bootstrap import Interval, patient_bootstrap

__all__ = ["rate_interval"]

NORMAL_QUANTILE = 1.959964
"""97.5 % of a standard normal distribution lie below it."""


def rate_interval(
    right: ArrayLike, patients: ArrayLike, samples: int = 1000, seed: int = 0
) -> Interval:
    """Return a share with its 95 % interval over patients.

    Where all or none are right, every draw of patients has the same share, and quantiles of draws
    would claim certainty. There the interval is that of Wilson. Its number of observations is the
    effective number of patients, (sum m)^2 / sum m^2 for m images each: as if the images of one
    patient were always right or wrong together.

    Parameters
    ----------
    right : array_like, shape (N,)
        1, 0, or NaN where an image does not count.
    patients : array_like, shape (N,)
        Whose image it is.
    samples, seed : int
        As in `patient_bootstrap`.

    Returns
    -------
    Interval
        NaN where no image counts.

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
    if not len(counted) or 0 < counted.mean() < 1:
        return patient_bootstrap(_share, right, np.zeros(np.shape(right)), patients, samples, seed)
    images = np.bincount(member_numbers(patients, kept))
    effective = images.sum() ** 2 / (images**2).sum()
    unsure = float(NORMAL_QUANTILE**2 / (effective + NORMAL_QUANTILE**2))
    return Interval(1.0, 1 - unsure, 1.0) if counted[0] else Interval(0.0, 0.0, unsure)


def _share(right: Floats, _: Floats) -> float:
    return float(right.mean()) if len(right) else float("nan")
