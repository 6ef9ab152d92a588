"""The format of a file from its first bytes; names and extensions lie."""

from __future__ import annotations

import zlib
from typing import Final

__all__ = ["SNIFFED_BYTES", "sniff"]

SNIFFED_BYTES: Final = 1024
"""How many bytes from the start `sniff` needs."""

_SIGNATURES: Final = {
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "JPEG": (b"\xff\xd8\xff",),
    "TIFF": (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
}
_BMP_HEADER_SIZES: Final = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_GZIP: Final = b"\x1f\x8b\x08"
_FIRST_VALUES: Final = frozenset({b"UL", b"CS", b"DA", b"TM", b"UI", b"SH", b"LO", b"PN", b"OB"})


def sniff(head: bytes) -> str:
    """Name the image format of a file.

    Parameters
    ----------
    head : bytes
        The first `SNIFFED_BYTES` bytes of the file, or all of a shorter one.

    Returns
    -------
    str
        ``"PNG"``, ``"JPEG"``, ``"TIFF"``, ``"BMP"``, ``"DICOM"``, ``"NIfTI"`` (plain or in gzip),
        or empty.

    Examples
    --------
    >>> sniff(b"GIF89a"), sniff(bytes(128) + b"DICM")
    ('', 'DICOM')
    """
    # First, because the preamble of a DICOM file may hold the header of a TIFF file.
    if head[128:132] == b"DICM":
        return "DICOM"
    for name, signatures in _SIGNATURES.items():
        if head.startswith(signatures):
            return name
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    if _is_nifti(_inflated(head) if head.startswith(_GZIP) else head):
        return "NIfTI"
    return "DICOM" if _is_bare_dataset(head) else ""


def _is_nifti(head: bytes) -> bool:
    """Tell whether this is the header of a NIfTI file in one piece, in either byte order."""
    if head[4:12] == b"n+2\x00\r\n\x1a\n":
        return True
    sized = head[:4] in (b"\x5c\x01\x00\x00", b"\x00\x00\x01\x5c")
    return sized and head[344:348] in (b"n+1\x00", b"")  # less of a header may come out of gzip


def _inflated(head: bytes) -> bytes:
    """Return what the first bytes of a file in gzip hold, as far as it can be told."""
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
