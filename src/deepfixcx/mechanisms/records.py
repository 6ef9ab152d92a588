"""Records: what a mechanism takes and gives, with the images that each record was made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.errors import MechanismError

__all__ = ["Records", "label_patterns"]


@dataclass(frozen=True, eq=False, slots=True)
class Records:
    """Codes, or vectors made of them, before or after a mechanism.

    Attributes
    ----------
    array : ndarray of float32, shape (M, ...)
        Codes (M, C, 4**J, P, P), vectors (M, K), or small images (M, C, s, s).
    labels : ndarray of float32, shape (M, L)
        1, 0, or NaN where unknown; released beside the records.
    patients : ndarray of str, shape (N,)
        Whose each source image is. Not released.
    members : tuple of ndarray of int64, length M
        Which source images each record stands for. Not released.

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
            Whose image it is.
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
        """Of how many different patients each record's members are, shape (M,)."""
        return np.array([len(set(self.patients[each].tolist())) for each in self.members], np.int64)

    def patient_of_each(self) -> NDArray[np.str_]:
        """Return whose each record is, shape (M,).

        Raises
        ------
        MechanismError
            A record is of several patients.
        """
        if len(self) and self.patient_counts.max() > 1:
            raise MechanismError(
                "this needs records of one patient each, and these are mixed; mix last"
            )
        return self.patients[[int(each[0]) for each in self.members]]

    def with_array(self, array: ArrayLike) -> Records:
        """Return the same records with other numbers."""
        return Records(np.asarray(array, np.float32), self.labels, self.patients, self.members)

    def select(self, places: Sequence[int] | NDArray[Any]) -> Records:
        """Keep some of the records; members still count the same source images."""
        chosen = np.arange(len(self))[np.asarray(places)]
        members = tuple(self.members[place] for place in chosen)
        return Records(self.array[chosen], self.labels[chosen], self.patients, members)


def label_patterns(labels: NDArray[np.float32]) -> NDArray[np.int64]:
    """Give rows of labels numbers, equal ones (unknown labels too) the same.

    Parameters
    ----------
    labels : ndarray, shape (M, L)
        1, 0, or NaN.

    Returns
    -------
    ndarray of int64, shape (M,)

    Examples
    --------
    >>> label_patterns(np.array([[1, np.nan], [0, 1], [1, np.nan]], np.float32)).tolist()
    [1, 0, 1]
    """
    known = np.where(np.isnan(labels), 2, labels)
    if not labels.shape[1]:
        return np.zeros(len(labels), np.int64)
    return np.unique(known, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
