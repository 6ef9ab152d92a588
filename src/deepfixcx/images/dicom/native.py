"""Uncompressed gray DICOM images, straight from their bytes.

To parse a header with pydicom and ask it for the pixels costs several times more than the pixels
themselves, where they are few. Here is what comes of both for ordinary files; whatever is out of
the ordinary is left to pydicom, and so is every error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, cached_property
from struct import Struct
from typing import Any, Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement, empty_value_for_VR
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

__all__ = [
    "Header",
    "PlainHeader",
    "native_frames",
    "plain_header",
    "plain_instance",
    "without_unused_bits",
]

_WITH_VR: Final = Struct("<HH2sH")
_WITHOUT_VR: Final = Struct("<HHL")
_LENGTH: Final = Struct("<L")
_UNDEFINED: Final = 0xFFFFFFFF
# Value representations by the size of their length field.
_LONG: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SHORT: Final = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_META_GROUP: Final = 0x0002
_META_STARTS: Final = b"\x02\x00\x00\x00UL\x04\x00"
_SYNTAX: Final = 0x00020010
_SYNTAXES: Final = {
    b"1.2.840.10008.1.2\x00": ImplicitVRLittleEndian,
    b"1.2.840.10008.1.2.1\x00": ExplicitVRLittleEndian,
}
_CHARACTER_SET: Final = 0x00080005
_INSTANCE: Final = 0x00080018
_PLAIN_UID: Final = re.compile(rb"[0-9.]{1,64}")
_CHARACTER_SETS: Final = frozenset({b"", b"ISO_IR 6", b"ISO_IR 100", b"ISO_IR 192"})
_IMAGE_GROUP: Final = 0x0028
_PHOTOMETRIC: Final = 0x00280004
_GRAY: Final = {b"MONOCHROME1 ": "MONOCHROME1", b"MONOCHROME2 ": "MONOCHROME2"}
_NUMBERS: Final = {
    0x00280002: "SamplesPerPixel",
    0x00280010: "Rows",
    0x00280011: "Columns",
    0x00280100: "BitsAllocated",
    0x00280101: "BitsStored",
    0x00280102: "HighBit",
    0x00280103: "PixelRepresentation",
}
# Lookup tables, functional groups, and pixels that are floats.
_REFUSED: Final = frozenset(
    {0x00283000, 0x00283010, 0x52009229, 0x52009230, 0x7FE00008, 0x7FE00009}
)
_PRESENTATION: Final = 0x00089205
_SHAPE: Final = 0x20500020
_PIXELS: Final = 0x7FE00010


class Header(Protocol):
    """What answers for the elements of a header, as a pydicom data set does."""

    def get(self, key: Any, default: Any = None, /) -> Any:
        """Return the value of an element by its DICOM keyword."""


class PlainHeader:
    """The elements about the image of a file that `plain_header` could read."""

    def __init__(
        self,
        known: dict[str, int | str],
        raw: dict[BaseTag, RawDataElement],
        syntax: UID,
        at: int,
        length: int,
    ) -> None:
        self._known, self._raw = known, raw
        self.syntax, self.at, self.length = syntax, at, length

    @cached_property
    def elements(self) -> Dataset:
        """The elements as pydicom has them; most files need none of them converted."""
        return Dataset(cast("Any", self._raw))

    def get(self, key: Any, default: Any = None, /) -> Any:
        """Return the value of an element by its DICOM keyword."""
        if key in self._known:
            return self._known[key]
        # pydicom takes longer to say that it lacks an element than to decode a small image.
        return self.elements.get(key, default) if _tag_of(key) in self._raw else default


@cache
def _tag_of(keyword: str) -> int | None:
    return tag_for_keyword(keyword)


def plain_header(head: bytes) -> PlainHeader | None:
    """Read the header of an uncompressed gray image in little endian."""
    if head[128:132] != b"DICM" or head[132:140] != _META_STARTS:
        return None
    known: dict[str, int | str] = {}
    elements: dict[BaseTag, RawDataElement] = {}
    for tag, vr, at, length in _elements(head, 132):
        if tag == _PIXELS:
            syntax = ExplicitVRLittleEndian if vr else ImplicitVRLittleEndian
            sound = vr in (None, b"OB", b"OW") and "PhotometricInterpretation" in known
            return PlainHeader(known, elements, syntax, at, length) if sound else None
        value = head[at : at + length]
        if tag >> 16 == _IMAGE_GROUP or tag == _SHAPE:
            raw = _raw(tag, vr, at, value)
            elements[raw.tag] = raw
        if tag in _NUMBERS and vr in (None, b"US") and length == 2:
            known[_NUMBERS[tag]] = value[0] | value[1] << 8
        elif tag == _PHOTOMETRIC and value in _GRAY:
            known["PhotometricInterpretation"] = _GRAY[value]
        elif tag == _PRESENTATION and value.strip() != b"MONOCHROME":
            return None  # a supplemental palette
        elif tag in _REFUSED or (tag == _CHARACTER_SET and value.strip() not in _CHARACTER_SETS):
            return None
    return None


def plain_instance(head: bytes) -> str | None:
    """Read the SOP Instance UID of a file in little endian; None where pydicom must do it."""
    if head[128:132] != b"DICM" or head[132:140] != _META_STARTS:
        return None
    for tag, _, at, length in _elements(head, 132):
        if tag == _INSTANCE:
            value = head[at : at + length].removesuffix(b"\0")
            return value.decode() if _PLAIN_UID.fullmatch(value) else None
        if tag > _INSTANCE:
            return None
    return None


def _elements(head: bytes, at: int) -> Iterator[tuple[int, bytes | None, int, int]]:
    """Yield tag, value representation, place and length of values, as long as all is in order."""
    syntax, implicit, before = None, False, 0
    while at + 12 <= len(head):
        if before >> 16 == _META_GROUP and head[at : at + 2] != _META_STARTS[:2]:
            # The data set begins, in the syntax named before.
            implicit = syntax == ImplicitVRLittleEndian
            if syntax is None or (implicit and head[at + 4 : at + 6].isalpha()):
                return  # what looks like a value representation makes pydicom doubt the syntax
        vr: bytes | None = None
        if implicit:
            group, element, length = _WITHOUT_VR.unpack_from(head, at)
        else:
            group, element, vr, length = _WITH_VR.unpack_from(head, at)
        at += 8
        if vr in _LONG:
            (length,) = _LENGTH.unpack_from(head, at)
            at += 4
        elif not implicit and vr not in _SHORT:
            return
        tag = group << 16 | element
        if length == _UNDEFINED or tag <= before:
            return
        if tag == _SYNTAX:
            syntax = _SYNTAXES.get(head[at : at + length])
        yield tag, vr, at, length
        at, before = at + length, tag


def _raw(tag: int, vr: bytes | None, at: int, value: bytes) -> RawDataElement:
    """Make the element that pydicom would make."""
    name = vr.decode() if vr else None
    content = value or cast("bytes | None", empty_value_for_VR(name, raw=True))
    return RawDataElement(BaseTag(tag), name, len(value), content, at, vr is None, True)


def native_frames(header: PlainHeader, value: bytes | memoryview) -> NDArray[Any] | None:
    """Read the stored values of an uncompressed gray image."""
    count = header.get("NumberOfFrames", 1)
    numbers = [header.get(name) for name in _NUMBERS.values()]
    if not all(isinstance(number, int) for number in (*numbers, count)):
        return None
    samples, height, width, allocated, stored, high, sign = numbers
    sound = samples == 1 and allocated in (8, 16) and stored - 1 <= high < allocated
    if not (sound and stored > 0 and sign in (0, 1) and count > 0 and height > 0 and width > 0):
        return None
    size = count * height * width
    if not 0 <= len(value) - size * allocated // 8 <= 1:  # truncated, or more than the frames
        return None
    words: NDArray[Any] = np.frombuffer(value, f"<{'ui'[sign]}{allocated // 8}", size)
    values = without_unused_bits(words, allocated - 1 - high, allocated - stored)
    return values.reshape(count, height, width)


def without_unused_bits(words: NDArray[Any], left: int, unused: int) -> NDArray[Any]:
    """Return the values of words that store only some of their bits."""
    if not unused:
        return words
    inside = left == unused and words.dtype.kind == "u"
    if inside and words.max(initial=0) <= np.iinfo(words.dtype).max >> unused:
        return words
    kept: NDArray[Any] = (words << left) >> unused
    return kept
