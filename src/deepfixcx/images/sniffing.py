"""The format of a file from its first bytes; names and extensions lie."""

from __future__ import annotations

from typing import Final

__all__ = ["SNIFFED_BYTES", "sniff"]

SNIFFED_BYTES: Final = 132
"""How many bytes from the start `sniff` needs."""

_SIGNATURES: Final = {
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "JPEG": (b"\xff\xd8\xff",),
    "TIFF": (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
}
_BMP_HEADER_SIZES: Final = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
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
        ``"PNG"``, ``"JPEG"``, ``"TIFF"``, ``"BMP"``, ``"DICOM"``, or empty.

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
    return "DICOM" if _is_bare_dataset(head) else ""


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
