"""What links without codes: labels alone. And strangers who stand in for a patient's records."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.audit.features import Array
from deepfixcx.audit.linkage.records import Records
from deepfixcx.audit.linkage.trial import Searches
from deepfixcx.errors import AuditError

__all__ = ["label_similarity", "labels_of", "stand_ins"]

UNKNOWN = 0.5
"""An unknown label lies between yes and no."""


def labels_of(records: Records, labels: ArrayLike, images: int) -> Array:
    """Return the labels of each record, (R, L): the mean of those of its images.

    Raises
    ------
    AuditError
        Labels of another number of images.
    """
    values = np.asarray(labels, np.float32)
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or len(values) != images:
        raise AuditError(
            f"labels are numbers (N, L) of {images} images, got shape {np.shape(labels)}"
        )
    known = np.where(np.isnan(values), np.float32(UNKNOWN), values)
    share = records.images(images)
    return np.asarray((share @ known) / share.sum(axis=1)[:, None], np.float32)


def label_similarity(probes: Array, gallery: Array) -> Array:
    """Return how well labels agree, (p, g): minus the mean difference of two label vectors.

    Examples
    --------
    >>> label_similarity(np.array([[1, 0]], np.float32), np.array([[1, 0], [1, 1]])).tolist()
    [[0.0, -0.5]]
    """
    alike = np.zeros((len(probes), len(gallery)), np.float32)
    for one, other in zip(probes.T, gallery.T, strict=True):
        alike -= np.abs(one[:, None] - other[None])
    return alike / np.float32(probes.shape[1])


def stand_ins(
    searches: Searches, gallery: NDArray[Any], generator: np.random.Generator
) -> Searches:
    """Replace each true record by that of a stranger with the same labels, or the nearest.

    What an attacker reaches then, it reaches without any record of the patient: by what patients
    with such labels have in common.

    Parameters
    ----------
    searches : Searches
        Of a test.
    gallery : ndarray, shape (g, L)
        Labels of its records.
    generator : numpy Generator
        Who stands in.
    """
    distance = -label_similarity(gallery, gallery)
    true = np.zeros_like(searches.true)
    for row, (own, strangers) in enumerate(zip(searches.true, searches.stranger, strict=True)):
        free = np.flatnonzero(strangers)[generator.permutation(int(strangers.sum()))]
        for record in np.flatnonzero(own)[: len(free) - 1]:  # one stranger is left to tell from
            place = int(np.argmin(distance[record, free]))
            true[row, free[place]] = True
            free = np.delete(free, place)
    kept = true.any(axis=1)
    strangers = searches.stranger[kept] & ~true[kept]
    return Searches(searches.probes[kept], searches.patients[kept], true[kept], strangers)
