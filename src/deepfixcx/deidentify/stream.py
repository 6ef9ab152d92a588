"""Elements of a DICOM file as they lie in its bytes, in the ordinary form.

Whatever is not ordinary raises `UnusualError`, and such files are left to pydicom: no preamble, a
length that does not fit, elements out of order, value representations that do not exist.
"""

from __future__ import annotations

import functools
import zlib
from struct import Struct
from typing import Final, NamedTuple

from pydicom._uid_dict import UID_dictionary
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID, ImplicitVRLittleEndian

__all__ = [
    "PIXELS",
    "SHORT",
    "Coding",
    "Element",
    "UnusualError",
    "deflated",
    "file_meta",
    "split",
    "standard_vr",
]

PIXELS: Final = 0x7FE00010
LONG: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
SHORT: Final = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
"""Value representations by the size of their length field."""

MOST_INFLATED: Final = 1 << 28
"""Bytes of a deflated file; a larger one is left to pydicom."""

_UNDEFINED: Final = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DEEPEST: Final = 16
_META_STARTS: Final = b"\2\0\0\0UL\4\0"
_SYNTAX: Final = 0x00020010


class UnusualError(Exception):
    """Leaves a file to the code for whole headers."""


class Element(NamedTuple):
    """Where an element lies: its first byte, the first byte of its value, its end."""

    tag: int
    vr: bytes
    first: int
    value: int
    last: int


class Coding:
    """How elements are encoded."""

    def __init__(self, *, implicit: bool, little: bool) -> None:
        order = "<" if little else ">"
        self.implicit, self.little = implicit, little
        self._with_vr, self._without_vr = Struct(f"{order}HH2sH"), Struct(f"{order}HHL")
        self.length = Struct(f"{order}L")
        self.short = Struct(f"{order}H")

    def elements(self, content: bytes, at: int) -> list[Element]:
        """Find the elements of one level, in ascending order up to the end."""
        found, before, size = [], 0xFFFF, len(content)
        while at < size:
            first = at
            tag, vr, length, at = self._begin(content, at)
            if tag <= before:
                raise UnusualError
            last = at + length
            if length == _UNDEFINED:
                if tag == PIXELS and vr in (b"OB", b"OW"):
                    last = self._end(content, at, -1)
                else:
                    self._check_sequence(tag, vr)
                    last = self._end(content, at, 0)
            if last > size:
                raise UnusualError
            found.append(Element(tag, vr, first, at, last))
            at, before = last, tag
        return found

    def encoded(self, old: bytes, vr: bytes, value: bytes) -> bytes:
        """Return an element with the tag and kind of another one and a value of even length."""
        if self.implicit:
            return old[:4] + self.length.pack(len(value)) + value
        if vr in SHORT:
            return old[:6] + self.short.pack(len(value)) + value
        return old[:8] + self.length.pack(len(value)) + value

    def _begin(self, content: bytes, at: int) -> tuple[int, bytes, int, int]:
        """Return tag, value representation, length and place of the value of an element."""
        if self.implicit:
            group, element, length = self._without_vr.unpack_from(content, at)
            return group << 16 | element, b"", length, at + 8
        group, element, vr, length = self._with_vr.unpack_from(content, at)
        if vr in SHORT:
            return group << 16 | element, vr, length, at + 8
        if vr not in LONG:
            raise UnusualError
        return group << 16 | element, vr, self.length.unpack_from(content, at + 8)[0], at + 12

    def _check_sequence(self, tag: int, vr: bytes) -> None:
        if vr != b"SQ" and not (self.implicit and standard_vr(tag) == b"SQ"):
            raise UnusualError

    def _end(self, content: bytes, at: int, depth: int) -> int:
        """Return the end of a sequence without length; below a depth of 0, of fragments."""
        if depth > _DEEPEST:
            raise UnusualError
        while True:
            group, element, length = self._without_vr.unpack_from(content, at)
            tag, at = group << 16 | element, at + 8
            if tag == _SEQUENCE_END and not length:
                return at
            if tag != _ITEM or (depth < 0 and length == _UNDEFINED):
                raise UnusualError
            if length != _UNDEFINED:
                at += length
                continue
            while True:
                group, element, length = self._without_vr.unpack_from(content, at)
                if group << 16 | element == _ITEM_END:
                    at += 8
                    break
                tag, vr, length, at = self._begin(content, at)
                if length != _UNDEFINED:
                    at += length
                    continue
                self._check_sequence(tag, vr)
                at = self._end(content, at, depth + 1)


_EXPLICIT: Final = Coding(implicit=False, little=True)


@functools.lru_cache(1 << 12)
def standard_vr(tag: int) -> bytes:
    """Return the value representation of an element in the standard, or nothing."""
    return dictionary_VR(tag).encode() if dictionary_has_tag(tag) else b""


@functools.lru_cache(64)
def _known_syntax(text: bytes) -> UID:
    syntax = UID(text.rstrip(b"\0").decode("ascii"))
    if UID_dictionary.get(syntax, ("", ""))[1] != "Transfer Syntax":
        raise UnusualError
    return syntax


def split(content: bytes) -> tuple[UID, Coding, bytes, list[Element]]:
    """Return syntax, coding, the bytes (inflated if they are deflated), and the elements in them.

    Elements of the file meta information are not among them.
    """
    if content[128:132] != b"DICM" or content[132:140] != _META_STARTS:
        raise UnusualError
    end = 144 + int.from_bytes(content[140:144], "little")
    meta = {each.tag: each for each in _EXPLICIT.elements(content[:end], 132)}
    name = meta.get(_SYNTAX)
    if name is None or any(tag >> 16 != 2 for tag in meta):
        raise UnusualError
    syntax = _known_syntax(content[name.value : name.last])
    if syntax.is_deflated:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        content = inflater.decompress(content[end:], MOST_INFLATED)
        if not inflater.eof or len(content) == MOST_INFLATED:
            raise UnusualError
        end = 0
    implicit = syntax == ImplicitVRLittleEndian
    coding = Coding(implicit=implicit, little=bool(syntax.is_little_endian))
    if implicit and content[end + 4 : end + 6].isalpha():  # pydicom doubts the syntax then
        raise UnusualError
    elements = coding.elements(content, end)
    if not elements or elements[0].tag >> 16 == 2:
        raise UnusualError
    return syntax, coding, content, elements


def deflated(content: bytes) -> bytes:
    """Return bytes as pydicom deflates them."""
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    made = deflater.compress(content) + deflater.flush()
    return made + bytes(len(made) % 2)


def file_meta(syntax: UID, kind: bytes, instance: bytes) -> bytes:
    """Return preamble and file meta information as pydicom writes them."""
    before, after = _around_instance(syntax, kind)
    padded = instance + bytes(len(instance) % 2)
    element = b"\2\0\3\0UI" + len(padded).to_bytes(2, "little") + padded
    length = len(before) + len(element) + len(after)
    start = _META_STARTS + length.to_bytes(4, "little")
    return b"".join((bytes(128), b"DICM", start, before, element, after))


@functools.lru_cache(256)
def _around_instance(syntax: UID, kind: bytes) -> tuple[bytes, bytes]:
    """Return what pydicom writes before and behind the instance in file meta information."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = UID(kind.decode()), syntax
    meta.MediaStorageSOPInstanceUID = UID("1.2")
    stream = DicomBytesIO()
    write_file_meta_info(stream, meta, enforce_standard=True)
    before, instance, after = stream.getvalue().partition(b"\2\0\3\0UI\4\x001.2\0")
    if not instance:
        raise UnusualError
    return before[12:], after
