"""One volume in: a NIfTI file, an enhanced multi-frame DICOM file, or the slices of a DICOM series.

Rows, columns and slices have one order for all formats: rows and columns as a radiologist looks at
a slice, and slices along their normal, the cross product of the directions of columns and rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.errors import NotAVolumeError
from deepfixcx.images.frames import DEFAULT_MAX_PIXELS, SNIFFED_BYTES, sniff
from deepfixcx.images.reading import guarded

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from deepfixcx.images.dicom.reading import DicomValues

__all__ = [
    "Turned",
    "Volume",
    "directions",
    "lies_on_its_side",
    "move_affine",
    "read_series",
    "read_volume",
    "read_with_values",
    "stored_order",
    "stored_places",
    "turn_upright",
    "turned_of",
]


Turned = tuple[bool, bool, bool, bool]
"""Whether the first stored axis holds rows, and whether columns, rows, slices run backwards."""


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """The voxels of one input."""

    voxels: NDArray[Any]
    """(T, 1, D, H, W) of uint8 over its full range, or float32 in [0, 1]; T time points."""
    affine: NDArray[np.float64]
    """(4, 4): millimetres to the right, front and head (RAS) of a voxel (column, row, slice, 1)."""
    bits: int
    """8 or 16: the depth at which an output file keeps the precision of this one."""
    format: str
    turned: Turned = (False, False, False, False)
    """Whether the source's first axis holds rows, and its columns, rows, slices run backwards."""
    notes: tuple[str, ...] = ()
    """One sentence for each thing that the file says and that was not followed."""
    headers: tuple[Dataset, ...] = ()
    """DICOM headers of the slices in order along their normal; none of multi-frame files."""

    @property
    def size(self) -> tuple[int, int, int]:
        """Slices, rows and columns."""
        depth, height, width = self.voxels.shape[2:]
        return depth, height, width


def read_volume(stream: BinaryIO, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Volume:
    """Read one file that holds a volume; a file that holds none is refused with the reason."""

    def read() -> Volume:
        stream.seek(0)
        kind = sniff(stream.read(SNIFFED_BYTES))
        stream.seek(0)
        if kind == "NIfTI":
            from deepfixcx.images.nifti import nifti_volume

            return nifti_volume(stream, max_pixels)
        if kind == "DICOM":
            from deepfixcx.images.dicom.series import volume_of_slices

            return volume_of_slices([stream], max_pixels)
        if not kind:
            raise NotAVolumeError("the content is neither NIfTI nor DICOM; exclude the file")
        raise NotAVolumeError(
            f"{kind} holds images without a place in space; convert it to NIfTI, exclude the file, "
            "or omit --volumes"
        )

    return guarded(read)


def read_series(slices: Iterable[BinaryIO], *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Volume:
    """Read the files of one DICOM series; each is read and may be closed before the next."""
    from deepfixcx.images.dicom.series import volume_of_slices

    return guarded(lambda: volume_of_slices(slices, max_pixels))


def read_with_values(
    files: Sequence[BinaryIO], *, max_pixels: int = DEFAULT_MAX_PIXELS
) -> tuple[Volume, DicomValues]:
    """Read a volume, and the values of its file (T, D, H, W) before any window."""

    def read() -> tuple[Volume, DicomValues]:
        files[0].seek(0)
        if sniff(files[0].read(SNIFFED_BYTES)) == "DICOM":
            from deepfixcx.images.dicom.series import volume_and_values

            return volume_and_values(files, max_pixels)
        from deepfixcx.images.dicom.reading import DicomValues
        from deepfixcx.images.nifti import nifti_values

        volume = read_volume(files[0], max_pixels=max_pixels)
        return volume, DicomValues(nifti_values(files[0], volume), "", ())

    return guarded(read)


# -- where voxels lie ---------------------------------------------------------------------------


def directions(affine: NDArray[np.float64]) -> tuple[str, str]:
    """Say where the first two axes lead: two of R, L, A, P, S, I; empty where unknown."""
    if not np.isfinite(affine).all():
        return "", ""
    nibabel = require("nibabel", extra="nifti")
    first, second, _ = nibabel.aff2axcodes(affine)
    return first or "", second or ""


def lies_on_its_side(codes: tuple[str, str]) -> bool:
    """Return whether the first axis, and not the second, is to be the rows."""
    order = "RLAPSI"
    return bool(codes[0] and codes[1]) and order.index(codes[0]) > order.index(codes[1])


def turned_of(affine: NDArray[np.float64], size: tuple[int, ...]) -> Turned:
    """Say how stored axes have to be turned; `size` is that of the volume (D, H, W)."""
    codes = directions(affine)
    first, second = (bool(code and code in "RAS") for code in codes)
    lying = lies_on_its_side(codes)
    turned = lying, *((second, first) if lying else (first, second)), False
    against = np.linalg.det((affine @ stored_places(turned, size))[:3, :3]) < 0
    return *turned[:3], bool(against)


def stored_places(turned: Turned, size: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the matrix that takes (column, row, slice, 1) to a place of the stored array."""
    upright = np.eye(4)
    for axis, (flip, length) in enumerate(zip(turned[1:], size[::-1], strict=True)):
        if flip:
            upright[axis, axis], upright[axis, 3] = -1, length - 1
    return upright[[1, 0, 2, 3]] if turned[0] else upright


def stored_order(volume: NDArray[Any], turned: Turned) -> NDArray[Any]:
    """Turn a volume (D, H, W) back into its stored axes, the third of them first."""
    way = tuple(slice(None, None, -1 if flip else 1) for flip in turned[:0:-1])
    stored = volume[way]
    return stored.swapaxes(1, 2) if turned[0] else stored


def turn_upright(stored: NDArray[Any], turned: Turned) -> NDArray[Any]:
    """Turn stored axes, the third of them first, into a volume (D, H, W)."""
    volume = stored.swapaxes(1, 2) if turned[0] else stored
    return volume[tuple(slice(None, None, -1 if flip else 1) for flip in turned[:0:-1])]


def move_affine(
    affine: NDArray[np.float64], offset: Sequence[float], step: Sequence[float]
) -> NDArray[np.float64]:
    """Return the affine of a new lattice: its voxel i lies at ``offset + step * i`` of the old.

    Both are in the order slices, rows, columns.
    """
    lattice = np.diag([*step[::-1], 1.0])
    lattice[:3, 3] = offset[::-1]
    return np.asarray(affine @ lattice, np.float64)
