"""Directions in whitened codes: those that labels need, and those that tell patients apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import MechanismError

__all__ = ["identity_directions", "label_matrix", "task_directions"]

Array = NDArray[np.float64]

SHRINKAGE = 0.2
"""Share of the unit matrix in a covariance within patients: few have several images."""

LEAST = 1e-8
"""Below this share of what there was at first nothing is left to explain."""


def label_matrix(labels: NDArray[np.float32]) -> Array:
    """Return labels centred and scaled to variance 1, unknown ones as their mean.

    Parameters
    ----------
    labels : ndarray, shape (N, L)
        1, 0, or NaN.

    Returns
    -------
    ndarray, shape (N, L)

    Raises
    ------
    MechanismError
        A label without both yes and no.

    Examples
    --------
    >>> label_matrix(np.array([[0], [1], [np.nan]], np.float32))[:, 0].round(2).tolist()
    [-1.22, 1.22, 0.0]
    """
    known = ~np.isnan(labels)
    values = np.where(known, labels, 0).astype(np.float64)
    counts = known.sum(axis=0)
    mean = values.sum(axis=0) / np.maximum(counts, 1)
    centred = np.where(known, values - mean, 0.0)
    deviation = np.sqrt((centred**2).mean(axis=0))
    if not labels.shape[1] or (deviation == 0).any():
        raise MechanismError(
            "this mechanism keeps what labels need, so every label needs a yes and a no among the "
            "images that it is fitted on; leave a label away, or take more images"
        )
    return np.asarray(centred / deviation, np.float64)


def task_directions(scores: Array, labels: NDArray[np.float32], directions: int) -> Array:
    """Return the directions of partial least squares (SIMPLS).

    Parameters
    ----------
    scores : ndarray, shape (N, K)
        Centred.
    labels : ndarray, shape (N, L)
        1, 0, or NaN.
    directions : int
        How many; later ones explain what the earlier ones leave.

    Returns
    -------
    ndarray, shape (K, directions)
        Unit columns; ``scores @ directions`` are the latent variables.

    Raises
    ------
    MechanismError
        There are not so many.

    References
    ----------
    de Jong, SIMPLS, Chemometrics and Intelligent Laboratory Systems, 1993,
    doi:10.1016/0169-7439(93)85002-X.
    """
    cross = scores.T @ label_matrix(labels)
    least = LEAST * np.linalg.norm(cross)
    basis = np.zeros((scores.shape[1], 0))
    found: list[Array] = []
    for count in range(directions):
        left, strengths, _ = np.linalg.svd(cross, full_matrices=False)
        if strengths[0] <= least or count >= scores.shape[1]:
            raise MechanismError(
                f"{directions} directions were asked for, and labels and images have only {count}"
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
    """Return the directions along which images of one patient agree and those of others differ.

    Parameters
    ----------
    scores : ndarray, shape (N, K)
        Whitened.
    patients : ndarray, shape (N,)
        Whose image it is.
    directions : int
        How many; fewer where there are fewer.
    protected : ndarray, shape (K, D)
        Directions that may not be lost; the result is orthogonal to them.

    Returns
    -------
    ndarray, shape (K, R)
        Orthonormal columns; R is at most `directions`.

    Raises
    ------
    MechanismError
        No patient has two images.

    References
    ----------
    Belhumeur et al., Eigenfaces vs. Fisherfaces, IEEE TPAMI, 1997, doi:10.1109/34.598228.
    """
    _, owner, images = np.unique(patients, return_inverse=True, return_counts=True)
    several = images[owner] > 1
    if not several.any():
        raise MechanismError(
            "identity is learned from patients with two images or more, and there is none"
        )
    sums = np.zeros((len(images), scores.shape[1]))
    np.add.at(sums, owner, scores)
    apart = (scores - (sums / images[:, None])[owner])[several]
    within = apart.T @ apart / max(len(apart) - len(set(owner[several].tolist())), 1)
    trace = np.trace(within) / len(within)
    within = (1 - SHRINKAGE) * within + SHRINKAGE * trace * np.eye(len(within))
    # where all varies alike, what varies least within patients tells them apart best
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
