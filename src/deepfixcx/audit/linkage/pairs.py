"""What attackers learn from and compare: records of a release, and pairs of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.audit.features import Array
from deepfixcx.errors import AuditError

__all__ = ["Fit", "Pairs", "Records", "Similarity"]

Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Pairs:
    """What an attacker trains on.

    Attributes
    ----------
    all_probes, all_gallery : ndarray of float32, shapes (p', ...) and (g', ...)
        Everything that is looked for, and everything it is looked for in. In the mode
        released-released both are the same records.
    probe_places, gallery_places : ndarray of int64, shapes (p,) and (g,)
        Which of them there are here.
    probe_owners, gallery_owners : sparse matrix, shapes (p, patients) and (g, patients)
        Whose they are; a mixed record has several owners.
    match : ndarray of bool, shape (p, g)
        Pairs that share a patient and no image.
    usable : ndarray of bool, shape (p, g)
        Pairs that share no image. Others teach an attacker nothing.

    Examples
    --------
    >>> records, places = np.zeros((2, 3), np.float32), np.arange(2)
    >>> match = np.eye(2, dtype=np.bool_)
    >>> pairs = Pairs(records, records, places, places, np.eye(2), np.eye(2), match, ~match)
    >>> pairs.probes.shape
    (2, 3)
    """

    all_probes: Array
    all_gallery: Array
    probe_places: Places
    gallery_places: Places
    probe_owners: Any
    gallery_owners: Any
    match: NDArray[np.bool_]
    usable: NDArray[np.bool_]

    @property
    def probes(self) -> Array:
        """The probes here, (p, ...)."""
        return self.all_probes[self.probe_places]

    @property
    def gallery(self) -> Array:
        """The records here, (g, ...)."""
        return self.all_gallery[self.gallery_places]

    def some_match(self) -> bool:
        """Whether two records are of one patient, and two are not."""
        return bool(self.match.any() and (self.usable & ~self.match).any())

    def among_probes(self) -> Pairs:
        """Return the pairs of two probes, which an attacker who holds them knows without a release.

        Probes in the mode released-raw are images, all of them different.
        """
        apart = ~np.eye(len(self.probe_places), dtype=np.bool_)
        related = (self.probe_owners @ self.probe_owners.T).toarray() > 0
        return Pairs(
            self.all_probes,
            self.all_probes,
            self.probe_places,
            self.probe_places,
            self.probe_owners,
            self.probe_owners,
            related & apart,
            apart,
        )

    def some(self, probes: Places, gallery: Places) -> Pairs:
        """Keep these probes and these records."""
        return Pairs(
            self.all_probes,
            self.all_gallery,
            self.probe_places[probes],
            self.gallery_places[gallery],
            self.probe_owners[probes],
            self.gallery_owners[gallery],
            self.match[np.ix_(probes, gallery)],
            self.usable[np.ix_(probes, gallery)],
        )

    def split(self, share: float, generator: np.random.Generator) -> tuple[Pairs, Pairs]:
        """Set some patients aside, to stop training early by them.

        Returns
        -------
        Pairs, Pairs
            Those of records and probes without any patient that was set aside, and of those with.
        """
        matched = self.probe_owners[self.match.any(axis=1)].sum(axis=0) > 0
        held = np.zeros(self.probe_owners.shape[1], np.int32)
        for kind in (
            matched,
            ~matched,
        ):  # records of other patients are set aside, too, to distinguish patients from
            members = generator.permutation(np.flatnonzero(kind))
            held[members[: round(share * len(members))]] = 1
        probes, gallery = self.probe_owners @ held > 0, self.gallery_owners @ held > 0
        return (
            self.some(np.flatnonzero(~probes), np.flatnonzero(~gallery)),
            self.some(np.flatnonzero(probes), np.flatnonzero(gallery)),
        )


Similarity = Callable[[Array, Array], Array]
"""Function of probes (p, ...) and records (g, ...): similarity of each pair, (p, g), any scale."""

Fit = Callable[[Pairs, int], Similarity]
"""An attacker: given what to train on and a seed, it returns how it compares."""


class Records:
    """What was released, or what an attacker holds: numbers, and the images they are made of.

    Parameters
    ----------
    array : array_like, shape (R, ...)
        Codes (R, C, 4**J, P, P), pixels (R, C, H, W), or vectors (R, n). Finite.
    members : sequence of R sequences of int, optional
        Source images of each record, numbered from 0. Left away, record r is image r.

    Raises
    ------
    AuditError
        Another number of members than of records, a record of no image, or numbers that are not
        finite.

    Examples
    --------
    >>> mixed = Records(np.zeros((2, 5)), members=[(0, 1, 2), (3, 4, 5)])
    >>> mixed.owners(np.array([0, 0, 1, 1, 2, 3])).toarray().astype(int).tolist()
    [[1, 1, 0, 0], [0, 1, 1, 1]]
    """

    def __init__(self, array: NDArray[Any], members: Sequence[Sequence[int]] | None = None) -> None:
        self.array = np.asarray(array, np.float32)
        if self.array.ndim < 2 or not len(self.array):
            raise AuditError(f"records are an array (R, ...) of one or more, got {np.shape(array)}")
        if not np.isfinite(self.array).all():
            raise AuditError("records hold NaN or infinity; attacks need finite numbers")
        chosen = [(number,) for number in range(len(self.array))] if members is None else members
        self.members: tuple[tuple[int, ...], ...] = tuple(
            tuple(int(image) for image in dict.fromkeys(images)) for images in chosen
        )
        if len(self.members) != len(self.array):
            raise AuditError(
                f"there are {len(self.array)} records and members of {len(self.members)}; name "
                f"the source images of each record"
            )
        if min(map(len, self.members)) < 1 or min(map(min, self.members)) < 0:
            raise AuditError("every record needs one image or more, numbered from 0")

    def __len__(self) -> int:
        """Return the number of records, R."""
        return len(self.array)

    def images(self, count: int) -> Any:
        """Return which of `count` source images are in each record, a sparse matrix (R, count).

        Raises
        ------
        AuditError
            There is a member beyond the last image.
        """
        if max(map(max, self.members)) >= count:
            raise AuditError(
                f"members name image {max(map(max, self.members))}, but there are {count} "
                "images, numbered from 0"
            )
        lengths = [len(images) for images in self.members]
        rows = np.repeat(np.arange(len(self)), lengths)
        columns = np.concatenate([np.array(images, np.int64) for images in self.members])
        sparse = require("scipy.sparse", extra="audit")
        ones = np.ones(len(rows), np.int32)
        return sparse.csr_array((ones, (rows, columns)), shape=(len(self), count))

    def owners(self, patients: NDArray[np.int64]) -> Any:
        """Return which patients are in each record, a sparse matrix of 0 and 1, (R, patients)."""
        images = self.images(len(patients))
        sparse = require("scipy.sparse", extra="audit")
        ones = np.ones(len(patients), np.int32)
        whose = sparse.csr_array((ones, (np.arange(len(patients)), patients)))
        return ((images @ whose) > 0).astype(np.int32)
