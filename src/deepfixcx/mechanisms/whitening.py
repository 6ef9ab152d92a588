"""Whitened principal components of codes, and directions in them that labels or patients have."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import MechanismError
from deepfixcx.measures.solvers import principal_components

__all__ = [
    "Whitening",
    "identity_directions",
    "label_matrix",
    "signed_square",
    "signed_square_root",
    "task_directions",
]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Whitening:
    """Principal components of the signed square roots of codes, each scaled to variance 1."""

    shape: tuple[int, ...]
    mean: Array
    scale: Array
    components: Array
    deviations: Array

    @classmethod
    def fit(cls, array: NDArray[np.float32], components: int) -> Whitening:
        """Learn at most so many components from codes or vectors (N, ...)."""
        values = _roots(array)
        if len(values) < 2:
            raise MechanismError(f"components need 2 records or more, got {len(array)}")
        mean, deviation = values.mean(axis=0), values.std(axis=0)
        scale = np.where(deviation > 0, deviation, 1.0)
        centred = (values - mean) / scale
        directions, squares = principal_components(centred, max(1, components))
        if not len(squares):
            raise MechanismError("all records are equal, so there is nothing to learn from")
        deviations = np.sqrt(squares / len(values))
        return cls(array.shape[1:], mean, scale, directions, deviations)

    def scores(self, array: NDArray[np.float32]) -> Array:
        """Return components of variance 1, shape (N, K)."""
        if array.shape[1:] != self.shape:
            raise MechanismError(
                f"this mechanism was fitted on records of shape {self.shape}, got "
                f"{array.shape[1:]}; encode with the same spec and channels"
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
    """Return the root of the absolute values, with the signs."""
    wide = values.astype(np.float64)
    return np.copysign(np.sqrt(np.abs(wide)), wide)


def signed_square(values: Array) -> Array:
    """Undo `signed_square_root`."""
    return np.copysign(values * values, values)


def _roots(array: NDArray[np.float32]) -> Array:
    flat = array.reshape(len(array), math.prod(array.shape[1:]))  # there may be no record at all
    return signed_square_root(flat) if array.ndim > 2 else flat.astype(np.float64)


SHRINKAGE = 0.2
"""Share of the unit matrix in a covariance within patients: few have several images."""

LEAST = 1e-8
"""Below this share of the first covariance, nothing is left to explain."""


def label_matrix(labels: NDArray[np.float32]) -> Array:
    """Return labels (N, L) centred and scaled to variance 1; unknown ones are 0, their mean."""
    known = ~np.isnan(labels)
    values = np.where(known, labels, 0).astype(np.float64)
    counts = known.sum(axis=0)
    mean = values.sum(axis=0) / np.maximum(counts, 1)
    centred = np.where(known, values - mean, 0.0)
    deviation = np.sqrt((centred**2).mean(axis=0))
    if not labels.shape[1] or (deviation == 0).any():
        raise MechanismError(
            "this mechanism preserves labels, so every label needs a positive and a negative "
            "image; omit the label, or use more images"
        )
    return np.asarray(centred / deviation, np.float64)


def task_directions(scores: Array, labels: NDArray[np.float32], directions: int) -> Array:
    """Return unit directions (K, D) of partial least squares between scores (N, K) and labels."""
    cross = scores.T @ label_matrix(labels)
    least = LEAST * np.linalg.norm(cross)
    basis = np.zeros((scores.shape[1], 0))
    found: list[Array] = []
    for count in range(directions):
        left, strengths, _ = np.linalg.svd(cross, full_matrices=False)
        if strengths[0] <= least or count >= scores.shape[1]:
            raise MechanismError(
                f"{directions} directions were requested, but labels and images have only {count}"
            )
        found.append(left[:, 0])
        loading = scores.T @ (scores @ left[:, 0])
        loading -= basis @ (basis.T @ loading)
        loading /= np.linalg.norm(loading)
        basis = np.column_stack([basis, loading])
        cross -= np.outer(loading, loading @ cross)
    return np.column_stack(found)


def identity_directions(
    scores: Array, patients: NDArray[np.str_], directions: int, protected: Array
) -> Array:
    """Return orthonormal directions (K, R) that distinguish patients, orthogonal to `protected`."""
    _, owner, images = np.unique(patients, return_inverse=True, return_counts=True)
    several = images[owner] > 1
    if not several.any():
        raise MechanismError(
            "this mechanism learns identity from patients with two images or more, and no "
            "patient has two"
        )
    sums = np.zeros((len(images), scores.shape[1]))
    np.add.at(sums, owner, scores)
    apart = (scores - (sums / images[:, None])[owner])[several]
    within = apart.T @ apart / max(len(apart) - len(set(owner[several].tolist())), 1)
    trace = np.trace(within) / len(within)
    within = (1 - SHRINKAGE) * within + SHRINKAGE * trace * np.eye(len(within))
    # of whitened components, those that vary least within patients separate patients best
    free = _complement(protected, len(within))
    variances, vectors = np.linalg.eigh(free.T @ within @ free)
    kept = vectors[:, np.argsort(variances)[: min(directions, free.shape[1])]]
    return np.asarray(free @ kept, np.float64)


def _complement(directions: Array, size: int) -> Array:
    """Return an orthonormal basis of what is orthogonal to the columns."""
    if not directions.shape[1]:
        return np.eye(size)
    whole, _ = np.linalg.qr(directions, mode="complete")
    return np.asarray(whole[:, directions.shape[1] :], np.float64)
