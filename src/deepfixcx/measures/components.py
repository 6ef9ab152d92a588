"""Principal components from the smaller of the two matrices of products."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["principal_components"]

LEAST_SHARE = 1e-10
"""Components with less of the largest variance are rounding errors."""


def principal_components(
    centred: NDArray[np.float64], most: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return unit directions and sums of squares along them, the largest first.

    Parameters
    ----------
    centred : ndarray of float64, shape (N, n)
        Vectors whose mean is 0.
    most : int
        Components at most; those that are rounding errors are left out.

    Returns
    -------
    directions : ndarray of float64, shape (n, K)
        K is 0 where all vectors are 0.
    squares : ndarray of float64, shape (K,)
        Divided by N, they are variances.

    Examples
    --------
    >>> vectors = np.array([[3.0, 0], [-3, 0], [0, 1], [0, -1]])
    >>> directions, squares = principal_components(vectors, 2)
    >>> np.abs(directions).round(6).tolist(), squares.round(6).tolist()
    ([[1.0, 0.0], [0.0, 1.0]], [18.0, 2.0])
    """
    few = len(centred) < centred.shape[1]
    squares, vectors = np.linalg.eigh(centred @ centred.T if few else centred.T @ centred)
    order = np.argsort(squares)[::-1][:most]
    order = order[squares[order] > LEAST_SHARE * max(float(squares.max(initial=0.0)), 0.0)]
    chosen, kept = vectors[:, order], squares[order]
    return (centred.T @ chosen / np.sqrt(kept) if few else chosen), kept
