"""What an audit attacks: a release, and what its owner knows of the images behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.audit.features import Array
from deepfixcx.audit.membership import Remake
from deepfixcx.audit.reconstruction.released import Released, numbers_of
from deepfixcx.errors import AuditError

__all__ = ["PublicImages", "Target"]


@dataclass(frozen=True, eq=False)
class PublicImages:
    """Images of patients who are not in the release, as anyone may hold them.

    Attributes
    ----------
    images : ndarray of float32, shape (M, C, S, S)
        As `Target.images`.
    encoded : ndarray of float32, shape (M, ...)
        As `Target.encoded`.
    patients : ndarray, shape (M,)
        Patient of each image.
    labels : array_like, shape (M, L), optional
        The same columns as `Target.labels`.
    """

    images: Array
    encoded: Array
    patients: NDArray[np.str_]
    labels: ArrayLike | None = None


@dataclass(frozen=True, eq=False)
class Target:
    """A release, and what its owner knows of the images it was made of.

    Attributes
    ----------
    released : Code, or ndarray of shape (R, ...)
        What was released.
    images : ndarray of float32, shape (N, C, S, S)
        The source images in [0, 1], 64 to 128 pixels a side.
    encoded : ndarray of float32, shape (N, ...)
        The source images in the form of the release, without any mechanism that is not published:
        codes by the same spec.
    patients : ndarray, shape (N,)
        Patient of each source image.
    members : sequence of sequences of int, optional
        Source images of each record; by default record r is image r.
    labels : array_like, shape (N, L), optional
        What may be known beside the codes, as in `attack_linkage`: labels and known columns.
    attributes : mapping of str to sequence of N words
        What could be inferred, such as the sex; empty where unknown.
    record_labels : array_like, shape (R, K), optional
        Labels that are released beside the records; the first K columns of `labels` are of the
        same names.
    label_names : tuple of K str
        Their names.
    remake : callable, optional
        Applies the same mechanism to some of the images; see `deepfixcx.audit.membership.Remake`.
    public : PublicImages, optional
        Images of other patients, for attackers who have no others, and as non-members.
    """

    released: Released
    images: Array
    encoded: Array
    patients: NDArray[np.str_]
    members: Sequence[Sequence[int]] | None = None
    labels: ArrayLike | None = None
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    record_labels: ArrayLike | None = None
    label_names: tuple[str, ...] = ()
    remake: Remake | None = None
    public: PublicImages | None = None

    def members_of_each(self) -> Sequence[Sequence[int]]:
        """Return the source images of each record."""
        count = len(numbers_of(self.released))
        return [(image,) for image in range(count)] if self.members is None else self.members

    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return a record for each source image that is in one or more, and which image that is."""
        record_of: dict[int, int] = {}
        for record, images in enumerate(self.members_of_each()):
            for image in images:
                record_of.setdefault(image, record)
        places = sorted(record_of)
        return np.array([record_of[place] for place in places]), np.array(places, np.int64)

    def is_plain(self) -> bool:
        """Whether every image is released once, as whoever holds it would encode it."""
        behind = self.members_of_each()
        places = [image for images in behind for image in images]
        if len(places) != len(behind) or sorted(places) != list(range(len(self.encoded))):
            return False
        return np.array_equal(numbers_of(self.released), self.encoded[places])

    def check(self) -> None:
        """Refuse parts that do not belong together, or that hold no numbers.

        Raises
        ------
        AuditError
            They do not.
        """
        counts = len(self.images), len(self.encoded), len(self.patients)
        if len(set(counts)) > 1:
            raise AuditError(f"images, encoded images and patients are as many, got {counts}")
        records = len(numbers_of(self.released))
        if self.record_labels is not None and len(np.asarray(self.record_labels)) != records:
            raise AuditError(
                f"there are {records} records and released labels of "
                f"{len(np.asarray(self.record_labels))}; the release is damaged"
            )
        for name, values in (
            ("records", numbers_of(self.released)),
            ("encoded images", self.encoded),
            ("images", self.images),
        ):
            if not np.isfinite(values).all():
                raise AuditError(f"the {name} hold NaN or infinity; make the release again")
