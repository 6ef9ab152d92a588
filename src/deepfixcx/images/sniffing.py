"""The format of a file from its first bytes; names and extensions lie."""

from __future__ import annotations

import re
import zlib
from typing import Final

__all__ = ["READ", "SNIFFED_BYTES", "sniff"]

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
    """Tell whether this is the header of a NIfTI file in one piece, in either byte order."""
    if head[4:12] == b"n+2\x00\r\n\x1a\n":
        return True
    return head[:4] in _SIZE_348 and head[344:348] in (
        b"n+1\x00",
        b"",
    )  # less of a header may come out of gzip


def _inflated(head: bytes) -> bytes:
    """Return what the first bytes of a file in gzip hold, as far as it can be read."""
    try:
        # Without the checksum at the end of a short file: whether it is right is asked later.
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(head[:-8], SNIFFED_BYTES)
    except zlib.error:
        return b""


def _is_bare_dataset(head: bytes) -> bool:
    """Tell whether a DICOM data set starts right here, without the 132 bytes before it."""
    little = head[:2] in (b"\x02\x00", b"\x08\x00") and head[3:4] == b"\x00"
    big = head[:3] in (b"\x00\x02\x00", b"\x00\x08\x00")
    if len(head) < 16 or not (little or big):
        return False
    if head[4:6] in _FIRST_VALUES:
        return True
    # Without value representations: four bytes of length, even and short for such an element.
    length = int.from_bytes(head[4:8], "little")
    return little and length % 2 == 0 and length <= 64
