"""The stored samples of a TIFF page: every strip and tile, whole, or a named error."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import ContradictoryHeaderError, DamagedImageError, UnsupportedImageError
from deepfixcx.images.codestream import codestream_size

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

__all__ = ["COMPRESSIONS", "JPEG", "planes_of", "samples_of"]

_LZW, JPEG, _LERC = 5, 7, 34887
_JPEG_2000: Final = frozenset({33003, 33004, 33005, 34712})
COMPRESSIONS: Final = _JPEG_2000 | {1, 2, 3, 4, _LZW, JPEG, 8, _LERC, 32773, 32946, 34925, 50000}
"""What is decoded; strips and tiles of other kinds have headers that nothing here checks."""

_BY_LIBTIFF: Final = frozenset({2, 3, 4, _LZW})
_LIBTIFF_BYTES: Final = 1 << 26
_JPEG_END: Final = b"\xff\xd9"


def planes_of(file: TiffFile, page: TiffPage, planes: int) -> Iterator[NDArray[Any]]:
    """Yield the samples ``(S, H, W)`` of planes that lie behind each other."""
    for plane in range(planes):
        yield _plain_samples(file, page, page.dataoffsets[0] + plane * page.nbytes)


def _plain_samples(file: TiffFile, page: TiffPage, offset: int) -> NDArray[Any]:
    handle = file.filehandle
    handle.seek(offset)
    content = handle.read(page.nbytes)
    if len(content) < page.nbytes:
        raise DamagedImageError("the file ends within its pixels; copy it again from its source")
    dtype = np.dtype(page.dtype).newbyteorder(file.byteorder)
    stored = np.frombuffer(content, dtype)
    return _channels_first(stored.reshape(page.shaped))


def samples_of(file: TiffFile, page: TiffPage) -> NDArray[Any]:
    """Decode a page to its stored samples ``(S, H, W)``."""
    plain = page.is_contiguous and page.fillorder == 1 and page.predictor == 1
    if plain and sum(page.databytecounts) >= page.nbytes:
        return _plain_samples(file, page, page.dataoffsets[0])
    handle = file.filehandle
    ordinary = page.bitspersample in (1, 8, 16) and page.planarconfig == 1
    if page.compression in _BY_LIBTIFF and ordinary and handle.size <= _LIBTIFF_BYTES:
        handle.seek(0)  # libtiff decodes LZW twice as fast as tifffile's decoder, fax a little
        decoded = imagecodecs.tiff_decode(handle.read(handle.size), index=page.index)
        if decoded.shape != page.shape or decoded.dtype != page.dtype:
            raise DamagedImageError("the TIFF header is damaged; copy the file from its source")
        return _channels_first(decoded.reshape(page.shaped))
    samples = np.empty(page.shaped, page.dtype)
    for index, content in enumerate(_segments(file, page)):
        tables = {"jpegtables": page.jpegtables} if page.compression == JPEG else {}
        try:
            segment, (s, _, y, x, _), shape = page.decode(content, index, **tables)
        except NotImplementedError:
            raise UnsupportedImageError(
                "TIFF samples that are packed in this way are not read; save the file without "
                "compression"
            ) from None
        part = np.asarray(segment)[0, : page.imagelength - y, : page.imagewidth - x]
        samples[s, 0, y : y + shape[1], x : x + shape[2]] = part
    return _channels_first(samples)


def _channels_first(stored: NDArray[Any]) -> NDArray[Any]:
    """Turn tifffile's ``(S, 1, H, W, C)`` into ``(S * C, H, W)`` in this machine's byte order."""
    native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    return native[:, 0, :, :, 0] if len(stored) > 1 else np.moveaxis(native[0, 0], -1, 0)


def _segments(file: TiffFile, page: TiffPage) -> Iterator[bytes]:
    """Read every strip or tile, and refuse what is cut off or far larger than it says."""
    handle, count = file.filehandle, math.prod(page.chunked)
    offsets, sizes = page.dataoffsets, page.databytecounts
    if count == 1 and len(offsets) == 1 and not any(sizes):
        sizes = (handle.size - offsets[0],)  # some writers leave the size of a single strip out
    if len(offsets) < count or len(sizes) < count:
        raise DamagedImageError("the TIFF header lacks strips or tiles; copy the file again")
    height = page.tilelength if page.is_tiled else page.rowsperstrip
    width = page.tilewidth if page.is_tiled else page.imagewidth
    for offset, size in zip(offsets[:count], sizes[:count], strict=True):
        if not offset and not size:
            raise UnsupportedImageError(
                "a sparse TIFF file omits strips or tiles; save it again with all of them"
            )
        handle.seek(offset)
        content: bytes = handle.read(size)
        if len(content) < size:
            raise DamagedImageError("the file ends within its pixels; copy it again")
        declared = _declared_size(page, content)
        if declared and (declared[0] > height or declared[1] > width):
            raise ContradictoryHeaderError(
                "a strip or tile is larger than the TIFF header says; copy the file again"
            )
        if page.compression == JPEG and not content.rstrip(b"\0").endswith(_JPEG_END):
            raise DamagedImageError("a JPEG strip or tile is truncated; copy the file again")
        yield content


def _declared_size(page: TiffPage, content: bytes) -> tuple[int, int] | None:
    """Read height and width from a strip or tile that has a header of its own."""
    if page.compression == JPEG or page.compression in _JPEG_2000:
        return codestream_size(content)
    if page.compression == _LERC and content[:6] == b"Lerc2 " and len(content) >= 22:
        at = 14 if int.from_bytes(content[6:10], "little") >= 3 else 10
        height, width = struct.unpack_from("<II", content, at)
        return height, width
    return None
