"""The size that a compressed frame declares in its own header.

It is compared with the size that the file around it declares before a decoder allocates memory
for either.
"""

from __future__ import annotations

__all__ = ["codestream_size"]

_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_WITHOUT_LENGTH = frozenset(range(0xD0, 0xD9)) | {0x01}


def codestream_size(frame: bytes) -> tuple[int, int] | None:
    """Read height and width from a JPEG, JPEG-LS, JPEG 2000 or HTJ2K codestream.

    Parameters
    ----------
    frame : bytes
        The compressed frame, from its first byte.

    Returns
    -------
    tuple of int or None
        ``(height, width)``; None where the frame does not start like any of them, or ends before
        it says its size.

    References
    ----------
    ITU-T T.81 annex B (JPEG), T.87 annex C (JPEG-LS), T.800 annex A (JPEG 2000).

    Examples
    --------
    >>> frame = bytes.fromhex("ffd8 ffc0 000b 08 0003 0005 01 011100")
    >>> codestream_size(frame)
    (3, 5)
    """
    if frame[:2] == b"\xff\xd8":
        return _jpeg_size(frame)
    start = frame.find(b"\xff\x4f\xff\x51", 0, 1024)  # some files wrap the codestream in JP2 boxes
    if start < 0 or len(frame) < start + 24:
        return None
    right, bottom, left, top = (
        int.from_bytes(frame[start + at : start + at + 4], "big") for at in (8, 12, 16, 20)
    )
    return bottom - top, right - left


def _jpeg_size(frame: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(frame):
        if frame[at] != 0xFF:
            return None
        marker = frame[at + 1]
        if marker in _START_OF_FRAME:
            height = int.from_bytes(frame[at + 5 : at + 7], "big")
            return height, int.from_bytes(frame[at + 7 : at + 9], "big")
        if marker == 0xFF:  # a fill byte before the marker
            at += 1
        elif marker in _WITHOUT_LENGTH:
            at += 2
        else:
            at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return None
