"""Records of a release, and the source images that each was made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.errors import AuditError

__all__ = ["Records"]


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
            raise AuditError("every record is made of one image or more, numbered from 0")

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
                f"members name image {max(map(max, self.members))}, and patients are given of "
                f"{count} images, numbered from 0"
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
