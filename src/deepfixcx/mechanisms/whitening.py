"""Codes as a few uncorrelated numbers of equal size, and back: whitened principal components."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import MechanismError

__all__ = ["Whitening", "signed_square", "signed_square_root"]

Array = NDArray[np.float64]

LEAST_SHARE = 1e-10
"""Components with less of the largest variance are rounding errors."""


@dataclass(frozen=True, eq=False, slots=True)
class Whitening:
    """Principal components of the signed square roots of codes, each scaled to variance 1.

    Numbers of a code differ in size by orders of magnitude, so roots are taken and every number is
    scaled by its deviation first. Vectors (N, K) are taken without roots.

    Attributes
    ----------
    shape : tuple of int
        Of one record.
    mean, scale : ndarray, shape (n,)
        Of the roots.
    components : ndarray, shape (n, K)
        Orthonormal columns.
    deviations : ndarray, shape (K,)
        Of the components, in descending order.

    Examples
    --------
    >>> codes = np.random.default_rng(0).random((50, 1, 4, 2, 2), np.float32)
    >>> whitening = Whitening.fit(codes, components=16)
    >>> scores = whitening.scores(codes)
    >>> scores.shape, bool(np.allclose(whitening.rebuild(scores), codes, atol=1e-5))
    ((50, 16), True)
    """

    shape: tuple[int, ...]
    mean: Array
    scale: Array
    components: Array
    deviations: Array

    @classmethod
    def fit(cls, array: NDArray[np.float32], components: int) -> Whitening:
        """Learn from records.

        Parameters
        ----------
        array : ndarray, shape (N, ...)
            Codes or vectors.
        components : int
            Most components, K; fewer where the records have fewer.

        Raises
        ------
        MechanismError
            Fewer than two records, or all are equal.
        """
        values = _roots(array)
        if len(values) < 2:
            raise MechanismError(f"components are learned from 2 records or more, got {len(array)}")
        mean, deviation = values.mean(axis=0), values.std(axis=0)
        scale = np.where(deviation > 0, deviation, 1.0)
        centred = (values - mean) / scale
        if len(centred) < centred.shape[1]:  # the small side is decomposed
            variances, vectors = np.linalg.eigh(centred @ centred.T)
        else:
            variances, vectors = np.linalg.eigh(centred.T @ centred)
        order = np.argsort(variances)[::-1][: max(1, components)]
        order = order[variances[order] > LEAST_SHARE * max(float(variances.max()), 0.0)]
        if not len(order):
            raise MechanismError("all records are equal, so there is nothing to learn from")
        if len(centred) < centred.shape[1]:
            chosen = centred.T @ vectors[:, order] / np.sqrt(variances[order])
        else:
            chosen = vectors[:, order]
        deviations = np.sqrt(variances[order] / len(values))
        return cls(array.shape[1:], mean, scale, chosen, deviations)

    def scores(self, array: NDArray[np.float32]) -> Array:
        """Return components of variance 1, shape (N, K).

        Raises
        ------
        MechanismError
            Records of another shape than those learned from.
        """
        if array.shape[1:] != self.shape:
            raise MechanismError(
                f"this was fitted on records of shape {self.shape}, got {array.shape[1:]}; encode "
                f"with the same spec and channels"
            )
        centred = (_roots(array) - self.mean) / self.scale
        whitened: Array = centred @ self.components / self.deviations
        return whitened

    def rebuild(self, scores: Array) -> NDArray[np.float32]:
        """Return records (N, ...) with these components, the inverse of `scores` within them."""
        values = (scores * self.deviations) @ self.components.T * self.scale + self.mean
        whole = signed_square(values) if len(self.shape) > 1 else values
        return whole.reshape(len(scores), *self.shape).astype(np.float32)


def signed_square_root(values: NDArray[np.float32]) -> Array:
    """Return the root of the absolute values, with the signs.

    Examples
    --------
    >>> signed_square_root(np.array([-4, 9], np.float32)).tolist()
    [-2.0, 3.0]
    """
    wide = values.astype(np.float64)
    return np.copysign(np.sqrt(np.abs(wide)), wide)


def signed_square(values: Array) -> Array:
    """Undo `signed_square_root`."""
    return np.copysign(values * values, values)


def _roots(array: NDArray[np.float32]) -> Array:
    flat = array.reshape(len(array), math.prod(array.shape[1:]))  # there may be no record at all
    return signed_square_root(flat) if array.ndim > 2 else flat.astype(np.float64)
