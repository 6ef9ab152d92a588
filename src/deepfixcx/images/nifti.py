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
from deepfixcx.errors import (
    ContradictoryHeaderError,
    DamagedImageError,
    NonFiniteError,
    NoPixelsError,
    UnsupportedImageError,
)
from deepfixcx.images.frames import NOT_FINITE, ImageFacts, ImageFrames, OpenedImage, spread

__all__ = ["open_nifti"]

_GZIP: Final = b"\x1f\x8b"
_HEADER_BYTES: Final = 540
_FIRST_BYTES: Final = 348
_NEWER: Final = (b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c")
_FARTHEST: Final = 1 << 28
"""Pixels that begin behind so many bytes of extensions belong to no sound file."""

_BINARY: Final = 1
_COLOUR_INTENTS: Final = frozenset({1007, 2003, 2004})
"""Vector, which SimpleITK and ITK-SNAP write for colour; RGB vector and RGBA vector."""

_FEWEST_GRAYS: Final = 8 / 256
"""Floats that cover less of a display range inherited it, from 8-bit pictures for example."""


def open_nifti(stream: BinaryIO) -> OpenedImage:
    """Read the header of a NIfTI file, plain or in gzip."""
    header = _header(_inflating(stream))
    if int(header["datatype"]) == _BINARY:
        raise UnsupportedImageError("NIfTI of one bit per voxel is not read; save it as 8 bits")
    shape = tuple(int(number) for number in header.get_data_shape())
    if len(shape) < 2:
        raise NoPixelsError("this NIfTI file has fewer than two axes; exclude the file")
    if min(shape) < 1:
        raise ContradictoryHeaderError(
            "the NIfTI header declares an axis of length zero; copy the file again from its source"
        )
    codes = _directions(header)
    dtype = np.dtype(header.get_data_dtype())
    colour = bool(dtype.names) or _is_colour(header)
    lying = _lies_on_its_side(codes)
    facts = ImageFacts(
        format="NIfTI",
        height=shape[0 if lying else 1],
        width=shape[1 if lying else 0],
        channels=3 if colour else 1,
        bits=8 if dtype.names else 8 * dtype.itemsize,
        photometric="rgb" if colour else "grayscale",
        frames=math.prod(shape[2:4]) if colour else math.prod(shape[2:]),
    )
    return OpenedImage(facts, lambda: _decoded(stream, header, codes))


def _is_colour(header: Any) -> bool:
    """Return whether a fifth axis holds colours."""
    shape, dtype = header.get_data_shape(), np.dtype(header.get_data_dtype())
    return (
        len(shape) == 5
        and shape[4] in (3, 4)
        and int(header["intent_code"]) in _COLOUR_INTENTS
        and dtype.kind == "u"
        and dtype.itemsize <= 2
    )


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
        raise DamagedImageError("the file ends within its header; copy it again from its source")
    kind = nibabel.Nifti2Header if newer else nibabel.Nifti1Header
    return kind(content[:size], check=False)


def _directions(header: Any) -> tuple[str, str]:
    """Say where the first two axes lead: two of R, L, A, P, S, I; empty where unknown."""
    nibabel = require("nibabel", extra="nifti")
    affine = header.get_best_affine()
    if not np.isfinite(affine).all():
        return "", ""
    first, second, _ = nibabel.aff2axcodes(affine)
    return first or "", second or ""


def _lies_on_its_side(codes: tuple[str, str]) -> bool:
    """Return whether the first axis, and not the second, is to be the rows."""
    order = "RLAPSI"
    return bool(codes[0] and codes[1]) and order.index(codes[0]) > order.index(codes[1])


def _decoded(stream: BinaryIO, header: Any, codes: tuple[str, str]) -> ImageFrames:
    stored = _upright(_values(_inflating(stream), header), codes)
    slope, intercept = _scaling(header)
    notes: list[str] = []
    if stored.ndim == 4:  # colour, and perhaps an alpha that is dropped
        if (slope, intercept) != (1, 0):
            raise UnsupportedImageError(
                "NIfTI colours with a slope or an intercept are not read; save them unscaled"
            )
        pixels = np.moveaxis(stored[..., :3], -1, 1)
    else:
        pixels = _displayed(stored, header, (slope, intercept), notes)[:, np.newaxis]
    bits = 8 if pixels.dtype == np.uint8 else 16
    return ImageFrames(np.require(pixels, None, ["C", "W"]), bits, "NIfTI", tuple(notes))


def _values(stream: BinaryIO, header: Any) -> NDArray[Any]:
    """Read the stored values: ``(X, Y, F)``, with a trailing axis for colour."""
    shape, dtype = header.get_data_shape(), np.dtype(header.get_data_dtype())
    offset = int(header.get_data_offset())
    if not 0 <= offset <= _FARTHEST:
        raise ContradictoryHeaderError(
            "the NIfTI header gives no usable offset of the pixels (vox_offset); correct it, or "
            "copy the file again from its source"
        )
    if dtype.kind not in "iufV":
        raise UnsupportedImageError(
            "NIfTI of complex numbers is not read; save their magnitude instead"
        )
    colour = _is_colour(header)
    if math.prod(shape[4:]) > 1 and not colour:
        raise UnsupportedImageError(
            "NIfTI with several values per voxel (for example a vector field) is not an image; "
            "save the value to be shown as a separate volume"
        )
    size = math.prod(int(number) for number in shape) * dtype.itemsize
    stream.seek(offset)
    content = stream.read(size)
    if len(content) < size:
        raise DamagedImageError("the file ends within its pixels; copy it again from its source")
    stream.read(1)  # at the end of a file in gzip its checksum is compared
    if dtype.names:
        samples = np.frombuffer(content, np.uint8).reshape(-1, dtype.itemsize)
        return samples.reshape(*shape[:2], -1, dtype.itemsize, order="F")
    values: NDArray[Any] = np.frombuffer(content, dtype)
    values = values.astype(dtype.newbyteorder("="), copy=False)
    if colour:
        return values.reshape(*shape[:2], math.prod(shape[2:4]), shape[4], order="F")
    return values.reshape(*shape[:2], -1, order="F")


def _upright(volume: NDArray[Any], codes: tuple[str, str]) -> NDArray[Any]:
    """Turn ``(X, Y, F)`` into frames ``(F, H, W)``, as a radiologist looks at them."""
    flips = tuple(slice(None, None, -1 if code and code in "RAS" else 1) for code in codes)
    slices = np.moveaxis(volume[flips], 2, 0)
    return slices if _lies_on_its_side(codes) else slices.swapaxes(1, 2)


def _scaling(header: Any) -> tuple[float, float]:
    """Return slope and intercept; 1 and 0 where the header has none."""
    if not np.isfinite(header["scl_inter"]) and np.isfinite(header["scl_slope"]):
        if header["scl_slope"] == 0:
            return 1.0, 0.0
        raise ContradictoryHeaderError(
            "the NIfTI header has a slope, but its intercept is not a number; correct the "
            "intercept (scl_inter)"
        )
    slope, intercept = header.get_slope_inter()
    return 1.0 if slope is None else slope, 0.0 if intercept is None else intercept


def _displayed(
    stored: NDArray[Any], header: Any, scaling: tuple[float, float], notes: list[str]
) -> NDArray[Any]:
    """Bring gray frames ``(F, H, W)`` to float32 in [0, 1]; plain 8-bit ones stay."""
    slope, intercept = scaling
    window = float(header["cal_min"]), float(header["cal_max"])
    windowed = bool(np.isfinite(window).all() and window[0] < window[1])
    if stored.dtype == np.uint8 and not windowed and scaling == (1, 0):
        return stored
    ends = sorted(float(end) * slope + intercept for end in (stored.min(), stored.max()))
    if not np.isfinite(ends).all():
        raise NonFiniteError(NOT_FINITE)
    if windowed:
        beside = window[1] <= ends[0] or ends[1] <= window[0]
        covered = min(ends[1], window[1]) - max(ends[0], window[0])
        wide = covered < _FEWEST_GRAYS * (window[1] - window[0]) and ends[0] < ends[1]
        wide = wide and stored.dtype.kind == "f"
        windowed = not beside and not wide
        if not windowed:
            notes.append(
                "the display range of the NIfTI header (cal_min, cal_max) does not fit the values "
                "and was not applied"
            )
    low, high = window if windowed else ends
    shown = np.empty(stored.shape, np.float32)
    for frame, target in zip(stored, shown, strict=True):
        target[:] = spread(frame.astype(np.float64) * slope + intercept, low, high)
    return shown
