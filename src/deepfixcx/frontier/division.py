"""Which patients a mechanism is fitted on, and which are released."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import MechanismError

__all__ = ["divide_patients", "patient_folds"]

Places = NDArray[np.int64]


def divide_patients(patients: NDArray[np.str_], public: float, seed: int) -> tuple[Places, Places]:
    """Divide the patients at random into those that are public and those that are released.

    Patients with several images, without whom nobody could be linked, and patients with one are
    divided in the same proportion.

    Parameters
    ----------
    patients : ndarray of str, shape (N,)
        Whose each image is.
    public : float
        Share of the patients that mechanisms are fitted on, between 0 and 1.
    seed : int
        Another seed, another division.

    Returns
    -------
    ndarray of int64, ndarray of int64
        Places of the images of the public patients, and of the released ones.

    Raises
    ------
    MechanismError
        A part would be empty.

    Examples
    --------
    >>> patients = np.array(list("aabbccdd"))
    >>> public, released = divide_patients(patients, 0.5, seed=0)
    >>> len(public), set(patients[public]) & set(patients[released])
    (4, set())
    """
    owners, numbers, images = np.unique(patients, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(owners))
    is_public = np.zeros(len(owners), bool)
    for kind in (order[images[order] > 1], order[images[order] == 1]):
        is_public[kind[: round(public * len(kind))]] = True
    if is_public.all() or not is_public.any():
        raise MechanismError(
            f"{len(owners)} patients cannot be divided so that {public:g} of them are public; take "
            f"another share or more patients"
        )
    return np.flatnonzero(is_public[numbers]), np.flatnonzero(~is_public[numbers])


def patient_folds(patients: NDArray[np.str_], folds: int, seed: int) -> Places:
    """Give each image a fold, so that none shares a patient with another and all are as large.

    Parameters
    ----------
    patients : ndarray of str, shape (N,)
        Whose each image is.
    folds : int
        How many, 2 or more.
    seed : int
        Another seed, other folds.

    Returns
    -------
    ndarray of int64, shape (N,)

    Raises
    ------
    MechanismError
        Fewer patients than folds.

    Examples
    --------
    >>> np.bincount(patient_folds(np.array(list("aabbccdd")), 2, seed=0)).tolist()
    [4, 4]
    """
    owners, numbers, images = np.unique(patients, return_inverse=True, return_counts=True)
    if not 2 <= folds <= len(owners):
        raise MechanismError(
            f"{len(owners)} patients cannot be divided into {folds} folds; take 2 or more folds "
            f"and at least as many patients"
        )
    order = np.random.default_rng(seed).permutation(len(owners))
    order = order[np.argsort(-images[order], kind="stable")]
    fold = np.empty(len(owners), np.int64)
    fold[order] = np.arange(len(owners)) % folds
    return fold[numbers]
