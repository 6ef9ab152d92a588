"""Means and bootstrap draws over patients."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Floats", "draw_patients", "patient_means"]

Floats = NDArray[np.float64]


def patient_means(values: ArrayLike, owners: NDArray[np.int64], patients: int) -> Floats:
    """Return the mean of each patient's values, NaN where there is none.

    Parameters
    ----------
    values : array_like, shape (N,)
        NaN does not count.
    owners : ndarray of int64, shape (N,)
        Number of the patient of each value, from 0.
    patients : int
        How many there are.

    Examples
    --------
    >>> patient_means([1.0, 3.0, 5.0], np.array([0, 0, 2]), 3).tolist()
    [2.0, nan, 5.0]
    """
    numbers = np.asarray(values, np.float64)
    known = np.isfinite(numbers)
    sums = np.bincount(owners[known], numbers[known], minlength=patients)
    counts = np.bincount(owners[known], minlength=patients)
    means = np.full(patients, np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means


def draw_patients(patients: int, samples: int, seed: int) -> NDArray[np.int64]:
    """Draw patients with replacement: how often each is in each draw, shape (samples, patients)."""
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, max(patients, 1), (samples, patients))
    drawn += patients * np.arange(samples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=samples * patients)
    return counts.reshape(samples, patients)
