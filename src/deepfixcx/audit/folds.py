"""Divide patients into folds, so that an attacker never trains on the patients it is tested on."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.errors import AuditError

__all__ = ["patient_folds", "patient_numbers", "set_aside"]

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
