"""What a file of images holds: its format, the facts about its images, and its frames.

The format is recognized from the first bytes; names and extensions lie.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import NonFiniteError, OversizedImageError, PixelsShapeError

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "NOT_FINITE",
    "READ",
    "SNIFFED_BYTES",
    "ZERO_SIZE",
    "ImageFacts",
    "ImageFrames",
    "OpenedImage",
    "check_size",
    "full_range",
    "sniff",
    "spread",
    "upright",
]

DEFAULT_MAX_PIXELS: Final = 2**28
"""Height x width x frames above which a file is refused: 1024 slices of 512 x 512."""

ZERO_SIZE: Final = (
    "the header declares a height, a width or a number of frames of zero; export the image again"
)
NOT_FINITE: Final = "some pixels are NaN or infinite; replace them, and save the image again"


@dataclass(frozen=True, slots=True)
class ImageFrames:
    """The pixels of one file.

    Parameters
    ----------
    pixels : NDArray
        Frames of shape ``(F, C, H, W)`` with C = 1 (gray) or 3 (RGB): uint8 or uint16 over their
        full range, or float32 in [0, 1].
    bits : int
        8 or 16: the depth at which an output file keeps the precision of this one.
    format : str
        ``"PNG"``, ``"JPEG"``, ``"TIFF"``, ``"BMP"``, ``"DICOM"`` or ``"NIfTI"``.
    notes : tuple of str
        One sentence for each thing that the file says and that was not followed, such as a window
        beside all values. No value of the file is in it.

    Examples
    --------
    >>> import numpy as np
    >>> ImageFrames(np.zeros((1, 1, 4, 6), np.uint8), bits=8, format="PNG").pixels.shape
    (1, 1, 4, 6)
    """

    pixels: NDArray[Any]
    bits: int
    format: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What a file says about its image, and what is wrong with it.

    A number is 0 and a text is empty where the file does not say, or cannot be trusted to say.

    Parameters
    ----------
    format : str
        ``"PNG"``, ``"JPEG"``, ``"TIFF"``, ``"BMP"``, ``"DICOM"``, ``"NIfTI"``, or empty.
    width, height : int
        Size of a frame in pixels, before an EXIF orientation is applied.
    channels : int
        1 for gray, 3 for colour (a palette counts as colour), as stored.
    bits : int
        Bits per sample; for DICOM the bits stored.
    photometric : str
        DICOM's photometric interpretation; otherwise ``"grayscale"``, ``"rgb"``, ``"palette"``,
        ``"cmyk"``, ``"ycbcr"`` or ``"lab"``.
    frames : int
        Frames of a DICOM file, pages of a TIFF file, slices of a NIfTI file; otherwise 1.
    transfer_syntax : str
        Name of DICOM's transfer syntax.
    notes : tuple of str
        As of `ImageFrames`; empty where the pixels were not decoded.
    problem : str
        Name of the error that `read_image` raises for this file, empty if it reads.
    reason : str
        The message of that error.

    Examples
    --------
    >>> ImageFacts(format="BMP", width=6, height=4).problem
    ''
    """

    format: str = ""
    width: int = 0
    height: int = 0
    channels: int = 0
    bits: int = 0
    photometric: str = ""
    frames: int = 0
    transfer_syntax: str = ""
    notes: tuple[str, ...] = ()
    problem: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class OpenedImage:
    """A file whose header was read, and the function that decodes its pixels."""

    facts: ImageFacts
    decode: Callable[[], ImageFrames]


def check_size(height: int, width: int, frames: int, max_pixels: int) -> None:
    """Refuse an image without pixels, or with more than `max_pixels`."""
    if min(height, width, frames) <= 0:
        raise PixelsShapeError(ZERO_SIZE)
    if height * width * frames > max_pixels:
        raise OversizedImageError(
            f"the image declares more than {max_pixels:,} pixels; if you trust the file, "
            "raise max_pixels (--max-pixels)"
        )


def full_range(frames: NDArray[Any]) -> NDArray[np.float32]:
    """Scale numbers without a declared range: the smallest becomes 0, the largest 1."""
    low, high = float(frames.min()), float(frames.max())
    if not np.isfinite([low, high]).all():
        raise NonFiniteError(NOT_FINITE)
    return spread(frames, low, high)


def spread(values: NDArray[Any], low: float, high: float) -> NDArray[np.float32]:
    """Scale linearly so that `low` becomes 0 and `high` 1, and clip."""
    if low == high:
        return np.zeros(values.shape, np.float32)
    # Halves first: high - low of extreme floats may not fit into a float.
    scaled = (values * 0.5 - low * 0.5) / (high * 0.5 - low * 0.5)
    return np.clip(scaled, 0, 1).astype(np.float32)


def upright(frames: NDArray[Any], orientation: object) -> NDArray[Any]:
    """Turn frames ``(..., H, W)`` as an orientation of Exif or TIFF (1 to 8) says."""
    if orientation in (5, 6, 7, 8):
        frames = frames.swapaxes(-1, -2)
    if orientation in (3, 4, 7, 8):
        frames = frames[..., ::-1, :]
    return frames[..., ::-1] if orientation in (2, 3, 6, 7) else frames


# -- the format of a file, from its first bytes

READ: Final = ("PNG", "JPEG", "TIFF", "BMP", "DICOM", "NIfTI")
"""The formats that are read."""

SNIFFED_BYTES: Final = 1024
"""How many bytes from the start `sniff` needs."""

_SIGNATURES: Final = {
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "JPEG": (b"\xff\xd8\xff",),
    "TIFF": (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
}
_OTHER_IMAGES: Final = {
    "GIF": (b"GIF87a", b"GIF89a"),
    "JPEG XL": (b"\xff\x0a", b"\x00\x00\x00\x0cJXL \x0d\x0a\x87\x0a"),
    "JPEG 2000": (b"\x00\x00\x00\x0cjP  \x0d\x0a\x87\x0a", b"\xff\x4f\xff\x51"),
    "JPEG XR": (b"II\xbc\x01",),
    "NRRD": (b"NRRD000",),
    "MetaImage": (b"ObjectType =", b"NDims =", b"Comment ="),
    "Photoshop": (b"8BPS\x00",),
    "OpenEXR": (b"v/1\x01",),
    "Radiance HDR": (b"#?RADIANCE", b"#?RGBE"),
}
"""Formats of images that are named, and not read."""

_BOXED: Final = {b"avif": "AVIF", b"avis": "AVIF", b"crx ": "Canon raw"}
_BMP_HEADER_SIZES: Final = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_SIZE_348: Final = (b"\x5c\x01\x00\x00", b"\x00\x00\x01\x5c")
_GZIP: Final = b"\x1f\x8b\x08"
_FIRST_VALUES: Final = frozenset({b"UL", b"CS", b"DA", b"TM", b"UI", b"SH", b"LO", b"PN", b"OB"})


def sniff(head: bytes) -> str:
    """Name the image format of a file."""
    # First, because the preamble of a DICOM file may hold the header of a TIFF file.
    if head[128:132] == b"DICM":
        return "DICOM"
    for name, signatures in _SIGNATURES.items():
        if head.startswith(signatures):
            return name
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    inner = _inflated(head) if head.startswith(_GZIP) else head
    if _is_nifti(inner):
        return "NIfTI"
    return "DICOM" if _is_bare_dataset(head) else _other_image(inner)


def _other_image(head: bytes) -> str:
    """Name a format of images that is not read, or return nothing."""
    for name, signatures in _OTHER_IMAGES.items():
        if head.startswith(signatures):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, min(len(head), 64), 4))}
        found = next((name for brand, name in _BOXED.items() if brand in brands), "")
        return found or ("HEIC" if brands & {b"heic", b"heix", b"mif1", b"hevc"} else "")
    if re.match(rb"P[1-6]\s+(#|\d)|P7\nWIDTH |P[fF]\n\d", head):
        return "PNM"
    if head[:4] in _SIZE_348 and len(head) >= 348:
        return "NIfTI pair (.hdr and .img)" if head[344:348] == b"ni1\x00" else "Analyze 7.5"
    return ""


def _is_nifti(head: bytes) -> bool:
    """Return whether this is the header of a NIfTI file in one piece, in either byte order."""
    if head[4:12] == b"n+2\x00\r\n\x1a\n":
        return True
    # less of a header may come out of gzip
    return head[:4] in _SIZE_348 and head[344:348] in (b"n+1\x00", b"")


def _inflated(head: bytes) -> bytes:
    """Return what the first bytes of a file in gzip hold, as far as it can be read."""
    try:
        # Without the checksum at the end of a short file: whether it is right is asked later.
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(head[:-8], SNIFFED_BYTES)
    except zlib.error:
        return b""


def _is_bare_dataset(head: bytes) -> bool:
    """Return whether a DICOM data set starts right here, without the 132 bytes before it."""
    little = head[:2] in (b"\x02\x00", b"\x08\x00") and head[3:4] == b"\x00"
    big = head[:3] in (b"\x00\x02\x00", b"\x00\x08\x00")
    if len(head) < 16 or not (little or big):
        return False
    if head[4:6] in _FIRST_VALUES:
        return True
    # Without value representations: four bytes of length, even and short for such an element.
    length = int.from_bytes(head[4:8], "little")
    return little and length % 2 == 0 and length <= 64
