"""PNG and JPEG without pillow: plain files decoded in one call, and PNG files written.

Pillow hands a file to its decoder in pieces and copies the image twice on its way to an array.
imagecodecs decodes at once, with the same libraries. It is asked only where the two cannot
differ, and whatever it refuses is left to pillow, so that a damaged file has the same error.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.errors import NonFiniteError, PixelsError, PixelsShapeError
from deepfixcx.images.codestream import has_pair
from deepfixcx.io.files import write_file

__all__ = [
    "decode_deep_png",
    "decode_plain",
    "plain_jpeg_shape",
    "png_bytes",
    "png_chunks",
    "write_png",
]

LARGEST: Final = 1 << 26
"""Files of more bytes are not taken into memory whole."""

_JPEG_END: Final = b"\xff\xd9"
_JPEG_START: Final = b"\xff\xd8"
_SEQUENTIAL: Final = frozenset({0xC0, 0xC1})
_START_OF_SCAN: Final = 0xDA
_QUANTIZATION: Final = 0xDB
_LARGEST_SIDE: Final = 65_500  # of libjpeg as pillow has it
_TABLE_BYTES: Final = 65  # of a quantization table for 8 bits
_FEWEST_BYTES: Final = {0xC4: 0, 0xDD: 0, 0xE0: 14, 0xEE: 12, 0xFE: 0}
"""Other segments, with the bytes that pillow needs of them; APP1 may turn the image."""

_ADAM7: Final = (
    *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)),
    (1, 0, 2, 1),
)
"""First row, first column, and steps of both, for each pass of an interlaced PNG file."""

_PNG_START: Final = b"\x89PNG\r\n\x1a\n"
_PNG_END: Final = b"\x00\x00\x00\x00IEND\xae\x42\x60\x82"
_BEFORE_PIXELS: Final = frozenset(
    {b"IHDR", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD", b"pHYs", b"tIME"}
    | {b"tEXt", b"zTXt", b"iTXt"}
)


def decode_plain(
    stream: BinaryIO, format_name: str, shape: tuple[int, ...], dtype: type[np.unsignedinteger]
) -> NDArray[Any] | None:
    """Decode a whole file whose header was read."""
    import imagecodecs

    if stream.seek(0, io.SEEK_END) > LARGEST:
        return None
    stream.seek(0)
    content = stream.read()
    decoder: Callable[[bytes], NDArray[Any]]
    if format_name == "JPEG":
        # Libjpeg fills up a file that was cut off, where pillow sees that bytes are missing. But
        # in a scan no decoder reads beyond an end marker, so here none can miss bytes.
        plain, decoder = _is_one_jpeg(content), imagecodecs.jpeg8_decode
    else:
        plain, decoder = _is_plain_png(content), imagecodecs.png_decode
    if not plain:
        return None
    try:
        pixels = decoder(content)
    except Exception:  # pillow will say what is wrong with it
        return None
    return pixels if pixels.shape == shape and pixels.dtype == dtype else None


def plain_jpeg_shape(head: bytes) -> tuple[int, ...] | None:
    """Read the size of a JPEG file in gray or three colours whose first scan is the whole image."""
    shape: tuple[int, ...] | None = None
    for marker, segment, end in _segments(head):
        if marker == _START_OF_SCAN:
            components = (*shape, 1)[2] if shape else 0
            whole = segment[:1] == bytes([components]) and len(segment) == 4 + 2 * components
            # Behind it there is room for the end marker, which must not lie in this segment.
            return shape if whole and end + 2 <= len(head) else None
        if marker in _SEQUENTIAL:
            shape = None if shape else _frame_shape(segment)
            if shape is None:
                return None
        elif marker == _QUANTIZATION:
            if len(segment) % _TABLE_BYTES or max(segment[::_TABLE_BYTES], default=16) >= 16:
                return None
        elif len(segment) < _FEWEST_BYTES.get(marker, len(head)):
            return None
    return None


def _segments(head: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield the marker, the content and the end of each whole segment of a JPEG file."""
    at = 2
    while head[at : at + 1] == b"\xff":
        end = at + 2 + int.from_bytes(head[at + 2 : at + 4], "big")
        if not at + 4 <= end <= len(head):
            return
        yield head[at + 1], head[at + 4 : end], end
        at = end


def _frame_shape(segment: bytes) -> tuple[int, ...] | None:
    """Read the size from a frame header of 8 bits a sample."""
    if len(segment) < 6 or segment[0] != 8 or segment[5] not in (1, 3):
        return None
    height, width = int.from_bytes(segment[1:3], "big"), int.from_bytes(segment[3:5], "big")
    sound = 0 < height <= _LARGEST_SIDE and 0 < width <= _LARGEST_SIDE
    if len(segment) != 6 + 3 * segment[5] or not sound:
        return None
    return (height, width) if segment[5] == 1 else (height, width, 3)


def _is_one_jpeg(content: bytes) -> bool:
    """Return whether a JPEG file ends with its end marker and holds no second image."""
    return content.endswith(_JPEG_END) and not has_pair(content, _JPEG_START, 2)


def _is_plain_png(content: bytes) -> bool:
    """Return whether the chunks of a PNG file follow each other from its first to its last byte."""
    if not (content.startswith(_PNG_START) and content.endswith(_PNG_END)) or content[28]:
        return False  # interlaced, for which imagecodecs' libpng prints a warning
    at, last = len(_PNG_START), len(content) - len(_PNG_END)
    while at < last and content[at + 4 : at + 8] in _BEFORE_PIXELS:
        at += 12 + int.from_bytes(content[at : at + 4], "big")
    while at < last and content[at + 4 : at + 8] == b"IDAT":
        at += 12 + int.from_bytes(content[at : at + 4], "big")
    return at == last


def decode_deep_png(content: bytes) -> NDArray[Any]:
    """Decode a PNG file of 16 bits a sample to ``(H, W)`` or ``(H, W, C)``."""
    import imagecodecs

    if not content[28]:
        decoded: NDArray[Any] = imagecodecs.png_decode(content)
        return decoded
    width, height = struct.unpack(">II", content[16:24])
    samples = {0: 1, 2: 3, 4: 2, 6: 4}[content[25]]
    sizes = [(-(-(height - y) // down), -(-(width - x) // step)) for y, x, down, step in _ADAM7]
    lengths = [rows * (1 + 2 * samples * columns) * (columns > 0) for rows, columns in sizes]
    data = zlib.decompressobj().decompress(b"".join(_image_data(content)), sum(lengths))
    if len(data) < sum(lengths):
        raise ValueError("too few bytes of pixels")
    pixels = np.empty((height, width, samples), np.uint16)
    at = 0
    for (y, x, down, step), size, length in zip(_ADAM7, sizes, lengths, strict=True):
        if length:
            header = struct.pack(">II", size[1], size[0]) + content[24:28] + b"\0"
            lines = zlib.compress(data[at : at + length], 0)
            image = _chunk(b"IHDR", header) + _chunk(b"IDAT", lines)
            part = imagecodecs.png_decode(_PNG_START + image + _PNG_END)
            pixels[y::down, x::step] = part.reshape(*size, samples)
        at += length
    return pixels


def _image_data(content: bytes) -> Iterator[bytes]:
    """Yield the data of the chunks that hold pixels, each checked."""
    for kind, start, end in png_chunks(content):
        if kind == b"IDAT":
            data = content[start:end]
            if zlib.crc32(kind + data).to_bytes(4, "big") != content[end : end + 4]:
                raise ValueError("a checksum is wrong")
            yield data


def png_chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each chunk of a PNG file, and where its data begin and end."""
    at = len(_PNG_START)
    while at + 12 <= len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4], "big")
        yield content[at + 4 : at + 8], at + 8, end
        at = end + 4


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


# -- writing


def write_png(path: str | os.PathLike[str], pixels: ArrayLike, *, bits: int) -> None:
    """Write a gray or RGB image; the same pixels always give the same bytes.

    The file appears under its name only once it is complete: it is written under a hidden name
    beside it, then renamed. An existing file is replaced.

    Parameters
    ----------
    path : path-like
        The file to write; its folder exists.
    pixels : array_like
        Floats ``(C, H, W)``, C = 1 or 3. They are clipped to [0, 1] and rounded.
    bits : int
        8 or 16 per sample, for gray and for RGB.

    Raises
    ------
    PixelsError
        A masked array with masked pixels: a PNG has no mask, so what lies below would be written.
    PixelsShapeError
        Not ``(C, H, W)`` with C = 1 or 3 and at least one pixel.
    NonFiniteError
        NaN or infinity among the pixels.
    PixelsError
        `bits` is neither 8 nor 16.
    OSError
        The folder cannot be written, or is full. Nothing is left behind.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "ramp.png"
    >>> write_png(path, np.linspace(0, 1, 12).reshape(1, 3, 4), bits=8)
    >>> path.read_bytes()[1:4]
    b'PNG'
    """
    write_file(path, png_bytes(pixels, bits=bits), replace=True, durable=False)


def png_bytes(pixels: ArrayLike, *, bits: int) -> bytes:
    """Return the file that `write_png` writes."""
    if np.ma.is_masked(pixels):
        raise PixelsError(
            "the array has masked pixels, which a PNG cannot store; fill them first "
            "(numpy.ma.filled)"
        )
    array = np.asarray(pixels, np.float64)
    if array.ndim != 3 or array.shape[0] not in (1, 3) or array.size == 0:
        raise PixelsShapeError(f"a PNG needs pixels (C, H, W) with C = 1 or 3, not {array.shape}")
    if bits not in (8, 16):
        raise PixelsError(f"a PNG has 8 or 16 bits per sample here, not {bits}")
    if not np.isfinite(array).all():
        raise NonFiniteError("the pixels contain NaN or infinity, which a PNG cannot store")
    import imagecodecs  # pillow has no 16-bit RGB

    dtype = np.uint8 if bits == 8 else np.uint16
    samples = np.rint(np.clip(array, 0, 1) * np.iinfo(dtype).max).astype(dtype)
    last = samples[0] if len(samples) == 1 else np.ascontiguousarray(np.moveaxis(samples, 0, -1))
    return bytes(imagecodecs.png_encode(last, level=6))
