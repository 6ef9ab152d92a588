"""Records as vectors, and their patients in folds: what every attack begins with.

An attacker never trains on the patients it is tested on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.errors import AuditError
from deepfixcx.measures.solvers import principal_components

__all__ = [
    "CODE_AXES",
    "Components",
    "Standard",
    "flatten",
    "minus_distances",
    "patient_folds",
    "patient_numbers",
    "rooted",
    "set_aside",
]

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


# -- patients ---------------------------------------------------------------------------------

ASIDE = 0.2


def patient_numbers(patients: ArrayLike) -> NDArray[np.int64]:
    """Give the patients numbers from 0, whatever they are called."""
    names = np.asarray(patients)
    if names.ndim != 1 or not len(names):
        raise AuditError(
            f"patients are one list with an entry for each image; got shape {names.shape}"
        )
    numbers: NDArray[np.int64] = np.unique(names, return_inverse=True)[1].astype(np.int64)
    return numbers


def patient_folds(
    owners: NDArray[np.int64], folds: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Give each patient a fold, so that folds have about as many images and as many pairs."""
    images = np.bincount(owners)
    if not 2 <= folds <= len(images):
        raise AuditError(
            f"{len(images)} patients cannot be divided into {folds} folds; take 2 or more folds "
            f"and at least as many patients"
        )
    order = generator.permutation(len(images))
    order = order[np.argsort(-images[order], kind="stable")]
    numbers = np.empty(len(images), np.int64)
    numbers[order] = np.arange(len(images)) % folds
    return numbers


def set_aside(
    owners: NDArray[np.int64], generator: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return places to learn from, and those of a fifth of the patients, to choose by."""
    patients = generator.permutation(np.unique(owners))
    if len(patients) < 2:
        raise AuditError("an attacker needs two patients or more to learn from, and there is one")
    held = np.isin(owners, patients[: max(1, round(ASIDE * len(patients)))])
    return np.flatnonzero(~held), np.flatnonzero(held)
