"""NIfTI: slices become frames, or one volume, upright and ready for display; and a volume a file.

nibabel knows the fields of the header and what its affine means. The bytes are read here: only as
many as the header announces, so that a small file in gzip cannot fill the memory.
"""

from __future__ import annotations

import gzip
import io
import math
import zlib
from typing import Any, BinaryIO, Final, cast

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.errors import (
    ContradictoryHeaderError,
    DamagedImageError,
    NonFiniteError,
    NoPixelsError,
    NotAVolumeError,
    PixelsShapeError,
    UnsupportedImageError,
)
from deepfixcx.images.frames import (
    NOT_FINITE,
    ImageFacts,
    ImageFrames,
    OpenedImage,
    check_size,
    spread,
)
from deepfixcx.images.volumes import (
    Turned,
    Volume,
    directions,
    lies_on_its_side,
    stored_order,
    stored_places,
    turned_of,
)

__all__ = ["is_bare_volume", "nifti_bytes", "nifti_values", "nifti_volume", "open_nifti"]

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
    codes = directions(header.get_best_affine())
    dtype = np.dtype(header.get_data_dtype())
    colour = bool(dtype.names) or _is_colour(header)
    lying = lies_on_its_side(codes)
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
    return slices if lies_on_its_side(codes) else slices.swapaxes(1, 2)


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


# -- volumes ----------------------------------------------------------------------------------

_DATA_OFFSET: Final = 352
"""Bytes before the voxels of a file without extensions."""

_LONGEST_AXIS: Final = 32767
_MILLIMETRES: Final = {"meter": 1000.0, "micron": 0.001}


def nifti_volume(stream: BinaryIO, max_pixels: int) -> Volume:
    """Read a NIfTI file as one volume for each time point."""
    opened = open_nifti(stream)
    facts, header = opened.facts, _header(_inflating(stream))
    check_size(facts.height, facts.width, facts.frames, max_pixels)
    shape = tuple(int(number) for number in header.get_data_shape())
    if len(shape) < 3 or shape[2] < 2:
        raise NotAVolumeError(
            "this NIfTI file holds one slice; exclude the file, or omit --volumes"
        )
    if facts.channels != 1:
        raise NotAVolumeError("NIfTI of colours is no volume of one value a voxel; exclude it")
    frames = opened.decode()
    voxels = frames.pixels.reshape(-1, 1, shape[2], facts.height, facts.width)
    affine = np.asarray(header.get_best_affine(), np.float64)
    affine[:3] *= _MILLIMETRES.get(header.get_xyzt_units()[0], 1)
    notes = frames.notes
    if not np.isfinite(affine).all():
        affine = np.diag([*map(float, header.get_zooms()[:3]), 1.0])
        notes = (*notes, "the affine of the NIfTI header is not finite and was not applied")
    turned = turned_of(affine, voxels.shape[2:])
    if turned[3]:
        voxels = voxels[:, :, ::-1]
    upright = affine @ stored_places(turned, voxels.shape[2:])
    return Volume(voxels, upright, frames.bits, "NIfTI", turned, notes)


def nifti_values(stream: BinaryIO, volume: Volume) -> NDArray[Any]:
    """Return what the file of a volume stores, scaled as it states: (T, D, H, W)."""
    header = _header(_inflating(stream))
    codes = directions(header.get_best_affine())
    stored = _upright(_values(_inflating(stream), header), codes)
    slope, intercept = _scaling(header)
    if (slope, intercept) != (1, 0):
        stored = (stored.astype(np.float64) * slope + intercept).astype(np.float32)
    values = stored.reshape(len(volume.voxels), *volume.size)
    return values[:, ::-1] if volume.turned[3] else values


def nifti_bytes(
    voxels: NDArray[Any], affine: NDArray[np.float64], turned: Turned, *, bits: int
) -> bytes:
    """Return a NIfTI file in gzip of a volume (D, H, W) in [0, 1], stored as its source was.

    The header is made here: nothing but the size, the place in space and the depth is in it.
    """
    values = np.asarray(voxels, np.float64)
    if not np.isfinite(values).all():
        raise NonFiniteError(NOT_FINITE)
    dtype = np.dtype(f"<u{bits // 8}")
    whole = np.rint(np.clip(values, 0, 1) * np.iinfo(dtype).max).astype(dtype)
    stored = stored_order(whole, turned).T
    placed = affine @ np.linalg.inv(stored_places(turned, whole.shape))
    head = _bare_header(stored.shape, placed, dtype)
    return gzip.compress(head + stored.tobytes(order="F"), mtime=0)


def _bare_header(
    shape: tuple[int, ...], affine: NDArray[np.float64], dtype: np.dtype[Any]
) -> bytes:
    """Return the bytes before the voxels; the same for an affine that was read from them."""
    if max(shape) > _LONGEST_AXIS:
        raise PixelsShapeError(
            f"an axis of the volume is longer than the {_LONGEST_AXIS:,} voxels of NIfTI-1; write "
            "codes, or --size compact"
        )
    header = require("nibabel", extra="nifti").Nifti1Header(endianness="<")
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    rounded = affine.astype(np.float32).astype(np.float64)  # as it is stored
    header.set_sform(rounded, code=1)
    header.set_qform(rounded, code=1, strip_shears=True)
    header.set_xyzt_units("mm")
    header.set_slope_inter(1 / np.iinfo(dtype).max, 0)
    header["cal_max"], header["vox_offset"] = 1, _DATA_OFFSET
    return bytes(header.binaryblock) + bytes(_DATA_OFFSET - len(header.binaryblock))


def is_bare_volume(content: bytes, bits: int) -> bool:
    """Return whether a file is one that `nifti_bytes` can have made: it holds voxels alone."""
    member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = member.decompress(content)
    except zlib.error:
        return False
    if content[3] or not member.eof or member.unused_data or len(plain) < _DATA_OFFSET:
        return False  # names and comments of gzip, or bytes behind its end
    header = _header(cast(BinaryIO, io.BytesIO(plain)))
    shape, dtype = tuple(map(int, header.get_data_shape())), np.dtype(header.get_data_dtype())
    if len(shape) != 3 or dtype != np.dtype(f"<u{bits // 8}"):
        return False
    head = _bare_header(shape, header.get_sform(), dtype)
    return plain[:_DATA_OFFSET] == head and len(plain) == len(head) + math.prod(shape) * (
        dtype.itemsize
    )
