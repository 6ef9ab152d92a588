"""Records, the input and output of mechanisms, and the labels that may be released with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.errors import MechanismError

__all__ = [
    "MIN_PATIENTS",
    "Records",
    "SafeLabels",
    "label_patterns",
    "patients_per_group",
    "safe_labels",
]

MIN_PATIENTS = 11
"""Default of the fewest patients of any combination of released labels: statistical offices
publish no cell of a table that counts fewer than 11 people (CMS cell size suppression policy)."""


@dataclass(frozen=True, eq=False, slots=True)
class Records:
    """Codes, or vectors made of them, before or after a mechanism.

    Attributes
    ----------
    array : ndarray of float32, shape (M, ...)
        Codes (M, C, 4**J, P, P), vectors (M, K), or small images (M, C, s, s).
    labels : ndarray of float32, shape (M, L)
        1, 0, or NaN where unknown; released with the records.
    patients : ndarray of str, shape (N,)
        Patient of each source image; not released.
    members : tuple of ndarray of int64, length M
        Source images behind each record; not released.

    Raises
    ------
    MechanismError
        The parts do not fit together, or a number is not finite.

    Examples
    --------
    >>> records = Records.of(np.zeros((3, 2)), [1, 0, 1], ["a", "a", "b"])
    >>> len(records), records.patient_counts.tolist()
    (3, [1, 1, 1])
    """

    array: NDArray[np.float32]
    labels: NDArray[np.float32]
    patients: NDArray[np.str_]
    members: tuple[NDArray[np.int64], ...]

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        count = len(self.array)
        if self.array.ndim < 2 or not self.array[0:1].size:
            raise MechanismError(
                f"records are an array (M, ...) with numbers in it, got shape {self.array.shape}"
            )
        if self.labels.ndim != 2 or len(self.labels) != count or len(self.members) != count:
            raise MechanismError(
                f"{count} records need as many rows of labels and members, got labels of shape "
                f"{self.labels.shape} and {len(self.members)} members"
            )
        if not np.isfinite(self.array).all():
            raise MechanismError("a record holds NaN or infinity; encode the images again")

    @classmethod
    def of(cls, array: ArrayLike, labels: ArrayLike, patients: ArrayLike) -> Records:
        """Make one record of each image.

        Parameters
        ----------
        array : array_like, shape (N, ...)
            Codes; `Code.array`.
        labels : array_like, shape (N,) or (N, L)
            1, 0, or NaN where unknown.
        patients : array_like, shape (N,)
            Patient of each image.
        """
        values = np.asarray(array, np.float32)
        truth = np.asarray(labels, np.float32)
        owners = np.asarray(patients).astype(np.str_)
        if owners.shape != (len(values),):
            raise MechanismError(f"{len(values)} images need as many patients, got {owners.shape}")
        own = tuple(np.array([place]) for place in range(len(values)))
        return cls(values, truth[:, None] if truth.ndim == 1 else truth, owners, own)

    def __len__(self) -> int:
        """Return the number of records, M."""
        return len(self.array)

    @property
    def flat(self) -> NDArray[np.float32]:
        """The records as vectors, shape (M, n)."""
        return self.array.reshape(len(self), -1)

    @property
    def patient_counts(self) -> NDArray[np.int64]:
        """Number of different patients behind each record, shape (M,)."""
        return np.array([len(set(self.patients[each].tolist())) for each in self.members], np.int64)

    def patient_of_each(self) -> NDArray[np.str_]:
        """Return the patient of each record, shape (M,); raise if one is of several patients."""
        if len(self) and self.patient_counts.max() > 1:
            raise MechanismError(
                "this mechanism needs records of one patient each, and these records are mixed; "
                "apply mixing last"
            )
        return self.patients[[int(each[0]) for each in self.members]]

    def with_array(self, array: ArrayLike) -> Records:
        """Return the same records with other values."""
        return Records(np.asarray(array, np.float32), self.labels, self.patients, self.members)

    def with_labels(self, labels: NDArray[np.float32]) -> Records:
        """Return the same records with other labels."""
        return Records(self.array, labels, self.patients, self.members)

    def with_known(self, columns: Sequence[int]) -> Records:
        """Keep some labels, and the records with a known value of one of them."""
        labels = self.labels[:, list(columns)]
        known = np.flatnonzero(~np.isnan(labels).all(axis=1))
        return self.with_labels(labels).select(known)

    def select(self, places: Sequence[int] | NDArray[Any]) -> Records:
        """Keep some of the records; members still count the same source images."""
        chosen = np.arange(len(self))[np.asarray(places)]
        members = tuple(self.members[place] for place in chosen)
        return Records(self.array[chosen], self.labels[chosen], self.patients, members)


def label_patterns(labels: NDArray[np.float32]) -> NDArray[np.int64]:
    """Give the rows of labels (M, L) numbers, equal rows (also in unknown labels) the same."""
    known = np.where(np.isnan(labels), 2, labels)
    if not labels.shape[1]:
        return np.zeros(len(labels), np.int64)
    return np.unique(known, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def patients_per_group(groups: NDArray[np.int64], patients: NDArray[np.str_]) -> NDArray[np.int64]:
    """Count the different patients of each group, groups being numbered from 0."""
    owner = np.unique(patients, return_inverse=True)[1].reshape(-1)
    pairs = np.unique(np.stack([groups, owner]), axis=1)
    return np.bincount(pairs[0], minlength=int(groups.max(initial=-1)) + 1).astype(np.int64)


@dataclass(frozen=True, eq=False, slots=True)
class SafeLabels:
    """The labels of a release; every combination covers enough patients."""

    kept: tuple[int, ...]
    dropped: tuple[int, ...]
    labels: NDArray[np.float32]
    withheld: NDArray[np.bool_]
    merged: bool


def safe_labels(
    labels: NDArray[np.float32],
    patients: NDArray[np.str_],
    minimum: int = MIN_PATIENTS,
    positives: int | None = None,
) -> SafeLabels:
    """Return the labels that may be released, each combination shared by `minimum` patients."""
    if minimum < 2:
        raise MechanismError(f"the fewest patients of a combination are 2 or more, got {minimum}")
    if not (np.isnan(labels) | (labels == 0) | (labels == 1)).all():
        raise MechanismError(
            "a label is 1, 0 or unknown; replace a column of other numbers, such as age, with "
            "columns for ranges of values"
        )
    fewest = max(minimum, positives or 0)
    kept = list(range(labels.shape[1]))
    while True:
        merged = _merged(labels[:, kept], patients, minimum)
        known = ~np.isnan(merged)
        small = [
            place
            for place in range(len(kept))
            if min(len(set(patients[merged[:, place] == state].tolist())) for state in (0, 1))
            < fewest
        ]
        if not small:
            break
        # first those that are too rare by themselves; then the last one that merging made so
        alone = [
            place
            for place in small
            if min(len(set(patients[labels[:, kept[place]] == state].tolist())) for state in (0, 1))
            < fewest
        ]
        for place in reversed(alone or small[-1:]):
            del kept[place]
    chosen = labels[:, kept]
    dropped = tuple(column for column in range(labels.shape[1]) if column not in kept)
    lost = bool((~known & ~np.isnan(chosen)).any())
    withheld: NDArray[np.bool_] = ~np.asarray(known.any(axis=1), np.bool_)
    return SafeLabels(tuple(kept), dropped, merged, withheld, lost)


def _merged(
    labels: NDArray[np.float32], patients: NDArray[np.str_], minimum: int
) -> NDArray[np.float32]:
    """Make labels of rare combinations unknown, the last first, until no combination is rare."""
    merged = labels.copy()
    for column in reversed(range(labels.shape[1])):
        rare = _rare(merged, patients, minimum)
        if not rare.any():
            break
        merged[rare, column] = np.nan
    merged[_rare(merged, patients, minimum)] = np.nan
    return merged


def _rare(
    labels: NDArray[np.float32], patients: NDArray[np.str_], minimum: int
) -> NDArray[np.bool_]:
    """Return which rows have labels that fewer patients share, and any label at all."""
    patterns = label_patterns(labels)
    few = patients_per_group(patterns, patients)[patterns] < minimum
    return np.asarray(few & ~np.isnan(labels).all(axis=1), np.bool_)
