"""NIfTI volumes: slices become frames, upright and ready for display.

nibabel knows the fields of the header and what its affine means. The bytes are read here: only as
many as the header announces, so that a small file in gzip cannot fill the memory.
"""

from __future__ import annotations

import gzip
import math
from typing import Any, BinaryIO, Final, cast

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.errors import DecodeError, NonFiniteError, NoPixelsError
from deepfixcx.images.frames import ImageFacts, ImageFrames, OpenedImage, spread

__all__ = ["open_nifti"]

_GZIP: Final = b"\x1f\x8b"
_HEADER_BYTES: Final = 540
_FIRST_BYTES: Final = 348
_NEWER: Final = (b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c")
_FARTHEST: Final = 1 << 28
"""Pixels that begin behind so many bytes of extensions belong to no sound file."""


def open_nifti(stream: BinaryIO) -> OpenedImage:
    """Read the header of a NIfTI file, plain or in gzip.

    Frames are the slices along the third axis of the array, in stored order; of a series of
    volumes (4-D) first all slices of the first volume, then those of the second, and so on. Within
    a frame the affine decides what is up: rows run from superior to inferior, or from anterior to
    posterior in an axial slice; columns run from the patient's right to the left, or from anterior
    to posterior in a sagittal slice. Where the affine says nothing, the second axis is the rows.

    Gray values go from the header's display range (``cal_min`` to ``cal_max``) to [0, 1], from the
    smallest to the largest value of the file where it has none. Plain 8-bit values stay.

    Parameters
    ----------
    stream : binary file
        Positioned at its first byte; stays in use until the pixels are decoded.

    Returns
    -------
    OpenedImage
        The facts, and a function that decodes the frames ``(F, C, H, W)``.

    Raises
    ------
    DecodeError
        The header is cut off or contradicts itself. What else nibabel raises on a damaged header
        passes through: the caller turns it into this error.
    NoPixelsError
        Numbers that are no image: fewer than two axes.
    MissingExtraError
        nibabel is not installed.

    References
    ----------
    NIfTI-1 Data Format, nifti1.h, 2007; NIfTI-2, 2011.

    Examples
    --------
    >>> import io
    >>> nibabel = require("nibabel", extra="nifti")
    >>> volume = nibabel.Nifti1Image(np.zeros((6, 4, 3), np.uint8), np.eye(4))
    >>> facts = open_nifti(io.BytesIO(volume.to_bytes())).facts
    >>> facts.height, facts.width, facts.frames
    (4, 6, 3)
    """
    header = _header(_inflating(stream))
    shape = tuple(int(number) for number in header.get_data_shape())
    if len(shape) < 2:
        raise NoPixelsError("this NIfTI file has fewer than two axes: it is no image; leave it out")
    if min(shape) < 1:
        raise DecodeError("the header declares an axis without numbers; copy the file again")
    codes = _directions(header)
    dtype = np.dtype(header.get_data_dtype())
    lying = _lies_on_its_side(codes)
    facts = ImageFacts(
        format="NIfTI",
        height=shape[0 if lying else 1],
        width=shape[1 if lying else 0],
        channels=3 if dtype.names else 1,
        bits=8 if dtype.names else 8 * dtype.itemsize,
        photometric="rgb" if dtype.names else "grayscale",
        frames=math.prod(shape[2:]),
    )
    return OpenedImage(facts, lambda: _decoded(stream, header, codes))


def _inflating(stream: BinaryIO) -> BinaryIO:
    """Return the file from its first byte, out of gzip."""
    stream.seek(0)
    packed = stream.read(len(_GZIP)) == _GZIP
    stream.seek(0)
    return cast(BinaryIO, gzip.GzipFile(fileobj=stream)) if packed else stream


def _header(stream: BinaryIO) -> Any:
    nibabel = require("nibabel", extra="nifti")
    content = stream.read(_HEADER_BYTES)
    newer = content[:4] in _NEWER
    size = _HEADER_BYTES if newer else _FIRST_BYTES
    if len(content) < size:
        raise DecodeError("the file ends within its header; copy it again from its source")
    kind = nibabel.Nifti2Header if newer else nibabel.Nifti1Header
    return kind(content[:size], check=False)


def _directions(header: Any) -> tuple[str, str]:
    """Say where the first two axes lead: two of R, L, A, P, S, I; empty where nobody knows."""
    nibabel = require("nibabel", extra="nifti")
    affine = header.get_best_affine()
    if not np.isfinite(affine).all():
        return "", ""
    first, second, _ = nibabel.aff2axcodes(affine)
    return first or "", second or ""


def _lies_on_its_side(codes: tuple[str, str]) -> bool:
    """Tell whether the first axis, and not the second, is to be the rows."""
    order = "RLAPSI"
    return bool(codes[0] and codes[1]) and order.index(codes[0]) > order.index(codes[1])


def _decoded(stream: BinaryIO, header: Any, codes: tuple[str, str]) -> ImageFrames:
    stored = _upright(_values(_inflating(stream), header), codes)
    if stored.ndim == 4:  # colour, and perhaps an alpha that is dropped
        pixels = np.moveaxis(stored[..., :3], -1, 1)
        return ImageFrames(np.require(pixels, None, ["C", "W"]), bits=8, format="NIfTI")
    gray = _displayed(stored, header)[:, np.newaxis]
    bits = 8 if gray.dtype == np.uint8 else 16
    return ImageFrames(np.require(gray, None, ["C", "W"]), bits=bits, format="NIfTI")


def _values(stream: BinaryIO, header: Any) -> NDArray[Any]:
    """Read the stored values: ``(X, Y, F)``, with a trailing axis for colour."""
    shape, dtype = header.get_data_shape(), np.dtype(header.get_data_dtype())
    offset = int(header.get_data_offset())
    if not 0 <= offset <= _FARTHEST:
        raise DecodeError("the header says of no usable place where the pixels begin")
    if dtype.kind not in "iufV":
        raise DecodeError("complex numbers are not displayed here; save their magnitude instead")
    size = math.prod(int(number) for number in shape) * dtype.itemsize
    stream.seek(offset)
    content = stream.read(size)
    if len(content) < size:
        raise DecodeError("the file ends within its pixels; copy it again from its source")
    stream.read(1)  # at the end of a file in gzip its checksum is compared
    if dtype.names:
        samples = np.frombuffer(content, np.uint8).reshape(-1, dtype.itemsize)
        return samples.reshape(*shape[:2], -1, dtype.itemsize, order="F")
    values: NDArray[Any] = np.frombuffer(content, dtype)
    return values.astype(dtype.newbyteorder("="), copy=False).reshape(*shape[:2], -1, order="F")


def _upright(volume: NDArray[Any], codes: tuple[str, str]) -> NDArray[Any]:
    """Turn ``(X, Y, F)`` into frames ``(F, H, W)``, as a radiologist looks at them."""
    flips = tuple(slice(None, None, -1 if code and code in "RAS" else 1) for code in codes)
    slices = np.moveaxis(volume[flips], 2, 0)
    return slices if _lies_on_its_side(codes) else slices.swapaxes(1, 2)


def _displayed(stored: NDArray[Any], header: Any) -> NDArray[Any]:
    """Bring gray frames ``(F, H, W)`` to float32 in [0, 1]; plain 8-bit ones stay."""
    slope, intercept = header.get_slope_inter()
    slope, intercept = 1.0 if slope is None else slope, 0.0 if intercept is None else intercept
    window = float(header["cal_min"]), float(header["cal_max"])
    windowed = bool(np.isfinite(window).all() and window[0] < window[1])
    if stored.dtype == np.uint8 and not windowed and (slope, intercept) == (1, 0):
        return stored
    ends = sorted(float(end) * slope + intercept for end in (stored.min(), stored.max()))
    if not np.isfinite(ends).all():
        raise NonFiniteError("NaN or infinity among the pixels; replace them in the source")
    beside = window[1] <= ends[0] or ends[1] <= window[0]
    low, high = window if windowed and not beside else ends
    shown = np.empty(stored.shape, np.float32)
    for frame, target in zip(stored, shown, strict=True):
        target[:] = spread(frame.astype(np.float64) * slope + intercept, low, high)
    return shown
