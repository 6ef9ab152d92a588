"""What a compressed frame declares about itself: size, components, precision, colour space.

It is compared with the header around it before a decoder allocates memory for either.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

__all__ = ["Codestream", "codestream_size", "ends_before", "has_pair", "read_codestream"]

_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_LOSSLESS: Final = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_ARITHMETIC: Final = frozenset(range(0xC9, 0xD0)) - {0xCC}
_HIERARCHICAL: Final = frozenset({0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF})
_WITHOUT_LENGTH: Final = frozenset(range(0xD0, 0xD9)) | {0x01}
_JPEG: Final = b"\xff\xd8"
_JPEG_2000: Final = b"\xff\x4f\xff\x51"
_JPEG_XL: Final = b"\xff\x0a"
_JPEG_XL_BOXES: Final = b"\x00\x00\x00\x0cJXL \x0d\x0a\x87\x0a"
_JPEG_XL_RATIOS: Final = ((1, 1), (6, 5), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


@dataclass(frozen=True, slots=True)
class Codestream:
    """The header of a compressed frame."""

    kind: str
    height: int
    width: int
    components: int = 0
    precision: int = 0
    signed: bool = False
    subsampled: bool = False
    colour: str = ""
    process: str = ""
    header_end: int = 0


def codestream_size(frame: bytes) -> tuple[int, int] | None:
    """Read height and width from a JPEG, JPEG-LS, JPEG 2000, HTJ2K or JPEG XL codestream."""
    found = read_codestream(frame)
    return None if found is None else (found.height, found.width)


def read_codestream(frame: bytes) -> Codestream | None:
    """Read the header of a compressed frame, or return None where there is none."""
    if frame[:2] == _JPEG:
        return _read_jpeg(frame)
    if frame[:2] == _JPEG_XL or frame[:12] == _JPEG_XL_BOXES:
        return _read_jpeg_xl(frame)
    start = frame.find(_JPEG_2000, 0, 1024)  # some files wrap the codestream in JP2 boxes
    return None if start < 0 else _read_jpeg_2000(frame, start)


def ends_before(frame: bytes, header: Codestream) -> bool:
    """Return whether a second codestream follows the first one in the same frame."""
    # Behind a header, neither JPEG nor JPEG 2000 can contain these bytes but at a new start.
    if header.kind == "JPEG 2000":
        return frame.find(_JPEG_2000, header.header_end) >= 0
    start = b"\xff\xd9" + _JPEG + b"\xff"
    return has_pair(frame, _JPEG, header.header_end) and frame.find(start, header.header_end) >= 0


def has_pair(content: bytes, pair: bytes, begin: int) -> bool:
    """Return whether two bytes follow each other; numpy finds them sooner, but for a few bytes."""
    if len(content) - begin < 1 << 13:
        return content.find(pair, begin) >= 0
    wanted = int.from_bytes(pair, "little")
    return any(
        bool((np.frombuffer(content, "<u2", (len(content) - at) // 2, at) == wanted).any())
        for at in (begin, begin + 1)
    )


def _read_jpeg(frame: bytes) -> Codestream | None:
    found: Codestream | None = None
    jfif, adobe, at = False, "", 2
    while at + 4 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:  # a fill byte before the marker
            at += 1
            continue
        if marker in _WITHOUT_LENGTH:
            at += 2
            continue
        end = at + 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
        segment = frame[at + 4 : end]
        if marker == 0xE0 and segment[:5] == b"JFIF\x00":
            jfif = True
        elif marker == 0xEE and segment[:5] == b"Adobe" and len(segment) >= 12:
            adobe = {0: "RGB", 1: "YBR"}.get(segment[11], "")
        elif marker in _FRAMES and found is None:
            if len(frame) < at + 9:
                return None
            found = _start_of_frame(marker, segment)
        at = end
        if marker == 0xDA or end <= at - 2:
            break
    if found is None:
        return None
    colour = "both" if jfif and adobe == "RGB" else adobe or ("YBR" if jfif else "")
    return replace(found, colour=colour, header_end=min(at, len(frame)))


def _start_of_frame(marker: int, segment: bytes) -> Codestream:
    count = segment[5] if len(segment) > 5 else 0
    factors = segment[7 : 6 + 3 * count : 3]
    process = ""
    if marker in _HIERARCHICAL:
        process = "hierarchical"
    elif marker in _ARITHMETIC:
        process = "arithmetic"
    elif marker in _LOSSLESS:
        process = "lossless"
    return Codestream(
        "JPEG-LS" if marker == 0xF7 else "JPEG",
        height=int.from_bytes(segment[1:3], "big"),
        width=int.from_bytes(segment[3:5], "big"),
        components=count,
        precision=segment[0],
        subsampled=len(set(factors)) > 1,
        process=process,
    )


def _read_jpeg_2000(frame: bytes, start: int) -> Codestream | None:
    size = frame[start + 4 :]
    if len(size) < 20:
        return None
    right, bottom, left, top = (int.from_bytes(size[at : at + 4], "big") for at in (4, 8, 12, 16))
    count = int.from_bytes(size[36:38], "big")
    parts = size[38 : 38 + 3 * count]
    depths = set(parts[::3])
    found = Codestream(
        "JPEG 2000",
        height=bottom - top,
        width=right - left,
        components=count,
        precision=max((depth & 0x7F for depth in depths), default=-1) + 1,
        signed=any(depth & 0x80 for depth in depths),
        subsampled=any(step != 1 for step in parts[1::3] + parts[2::3]),
    )
    at = start + 4 + int.from_bytes(size[:2], "big")
    colour = ""
    while frame[at : at + 1] == b"\xff" and frame[at + 1 : at + 2] not in (b"\x90", b"\x93", b""):
        if frame[at + 1] == 0x52 and len(frame) > at + 8:  # coding style default
            colour = "transform" if frame[at + 8] else "no transform"
        at += 2 + max(2, int.from_bytes(frame[at + 2 : at + 4], "big"))
    return replace(found, colour=colour, header_end=min(at, len(frame)))


def _read_jpeg_xl(frame: bytes) -> Codestream | None:
    at = 0
    if frame[:12] == _JPEG_XL_BOXES:
        at = 12
        while True:
            length, kind = int.from_bytes(frame[at : at + 4], "big"), frame[at + 4 : at + 8]
            if kind in (b"jxlc", b"jxlp"):
                at += 8 if kind == b"jxlc" else 12
                break
            if length < 8 or at + length >= len(frame):
                return None
            at += length
    if frame[at : at + 2] != _JPEG_XL:
        return None
    bits = _Bits(frame[at + 2 : at + 18])
    small = bits.read(1)
    height = 8 * (bits.read(5) + 1) if small else bits.size()
    ratio = bits.read(3)
    if ratio:
        across, down = _JPEG_XL_RATIOS[ratio - 1]
        width = height * across // down
    else:
        width = 8 * (bits.read(5) + 1) if small else bits.size()
    default = bits.read(1)
    # Orientation 1 and no size for display, preview or animation: six bits that are 0.
    odd = not default and bits.read(1) and bits.read(6)
    odd = odd or (not default and bits.read(1))  # floating-point samples
    precision = 8
    if not default and not odd:
        choice = bits.read(2)
        precision = bits.read(6) + 1 if choice == 3 else (8, 10, 12)[choice]
    process = "animated, turned or floating-point" if odd else ""
    return Codestream("JPEG XL", height, width, precision=precision, process=process)


class _Bits:
    """Reads numbers from the least significant bit on."""

    def __init__(self, content: bytes) -> None:
        self._left = int.from_bytes(content, "little")

    def read(self, count: int) -> int:
        value = self._left & (1 << count) - 1
        self._left >>= count
        return value

    def size(self) -> int:
        return self.read((9, 13, 18, 30)[self.read(2)]) + 1
