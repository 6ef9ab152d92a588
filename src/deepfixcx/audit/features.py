"""Records as vectors: square roots of codes, standard scores, principal components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.measures.components import principal_components

__all__ = ["CODE_AXES", "Components", "Standard", "flatten", "minus_distances", "rooted"]

Array = NDArray[np.float32]

CODE_AXES = (5, 6)
"""Arrays of so many axes are codes (B, C, 4**J, P, P) or (B, C, 4**J, P, P, F)."""


def rooted(values: NDArray[Any]) -> Array:
    """Take square roots of codes, keeping the signs; other arrays stay as they are."""
    numbers = np.asarray(values, np.float32)
    if numbers.ndim not in CODE_AXES:
        return numbers
    return np.copysign(np.sqrt(np.abs(numbers)), numbers)


def flatten(values: NDArray[Any]) -> Array:
    """Return one vector for each record, shape (R, n)."""
    numbers = rooted(values)
    return numbers.reshape(len(numbers), int(np.prod(numbers.shape[1:])))


@dataclass(frozen=True, eq=False, slots=True)
class Standard:
    """Standard scores: each number less its mean, by its deviation."""

    mean: Array
    deviation: Array

    @classmethod
    def fit(cls, vectors: Array) -> Standard:
        """Learn means and deviations; a number that never changes becomes zero."""
        deviation = vectors.std(axis=0)
        least = 1e-6 * max(float(np.abs(vectors).max(initial=0)), 1e-30)
        return cls(vectors.mean(axis=0), np.where(deviation > least, deviation, np.inf))

    def __call__(self, vectors: Array) -> Array:
        """Return the scores, same shape."""
        return np.asarray((vectors - self.mean) / self.deviation, np.float32)


@dataclass(frozen=True, eq=False, slots=True)
class Components:
    """Principal components, not scaled: columns of `directions`."""

    directions: Array

    @classmethod
    def fit(cls, vectors: Array, most: int) -> Components:
        """Learn at most so many components of centred vectors, the strongest first."""
        count = max(1, min(most, len(vectors) - 1, vectors.shape[1]))
        directions, _ = principal_components(vectors.astype(np.float64), count)
        if not directions.shape[1]:  # equal vectors
            directions = np.zeros((vectors.shape[1], 1))
        return cls(np.asarray(directions, np.float32))

    def __call__(self, vectors: Array) -> Array:
        """Return components, shape (R, K)."""
        return np.asarray(vectors @ self.directions, np.float32)


def minus_distances(probes: NDArray[Any], gallery: NDArray[Any]) -> Array:
    """Return minus the Euclidean distance of each probe to each record, (p, g)."""
    one = probes.reshape(len(probes), -1).astype(np.float64)
    other = gallery.reshape(len(gallery), -1).astype(np.float64)
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1)[None] - 2 * one @ other.T
    return np.asarray(-np.sqrt(np.maximum(squares, 0)), np.float32)
