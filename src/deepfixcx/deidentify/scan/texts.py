"""Bytes as the texts that a reader would see in them, whatever they are encoded in."""

from __future__ import annotations

import base64
import binascii
import contextlib
import functools
import gzip
import html
import quopri
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

__all__ = ["Text", "decoded", "nifti_values", "texts_of"]

STEP, OVERLAP, MANY = 1 << 22, 1 << 12, 64
LEAST_PRINTABLE: Final = 0.85
"""Of what a run of base64 or of hexadecimal digits must hold to be a text."""

_BETWEEN: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]+")
_LETTER: Final = rb"[\x09\x0a\x0d\x20-\x7e\xa0-\xff]"
_WIDE: Final = tuple(
    re.compile(b"(?:%s){3,}" % form.replace(b"@", _LETTER))
    for form in (rb"@\0(?!\0)", rb"(?<!\0)\0@", rb"@\0\0\0", rb"\0\0\0@")
)
_HEX: Final = re.compile(r"(?:(?:0x|\\x|%|=|\\)?[0-9A-Fa-f]{2}[ \t:,;-]?(?:\r?\n)?){8,}")
_NOT_HEX: Final = re.compile(r"0x|[^0-9A-Fa-f]")
_BASE64: Final = re.compile(
    r"[A-Za-z0-9+/_-]{12,}(?:[ \t]*\r?\n[ \t]*[A-Za-z0-9+/_-]{2,})*={0,2}|[A-Za-z0-9+/_-]{7,}={1,2}"
)
_ESCAPED: Final = re.compile(
    r"\\(?:u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,8})\}|x([0-9A-Fa-f]{2})|(0[4-7][0-7]|1[0-7]{2})|[nrt])"
)
_UTF7: Final = re.compile(r"\+([A-Za-z0-9+/]{2,})-?")
_QUOTED: Final = re.compile(r"=(?:[0-9A-F]{2}|\r?\n)")
_DRAWN: Final = re.compile(r"\(((?:[^()\\]|\\.){1,200})\)")


class Text(NamedTuple):
    """A text in bytes."""

    text: str
    start: int
    width: int
    encoding: str

    def offset(self, at: int) -> int:
        """Return where a character stands in the bytes."""
        if self.width:
            return self.start + self.width * at
        return self.start + len(self.text[:at].encode("utf-8", "surrogateescape"))


def texts_of(data: Any, bulk: Sequence[tuple[int, int]] = ()) -> Iterator[Text]:
    """Yield what can be read in bytes, in blocks that overlap."""
    if len(bulk) > MANY:  # hashes in a table: one text with gaps, and not thousands
        blank = bytearray(data)
        for start, stop in bulk:
            blank[start:stop] = b"\n" * (stop - start)
        data, bulk = bytes(blank), ()
    at = 0
    for start, stop in [*bulk, (len(data), len(data))]:
        for first in range(at, max(at, start), STEP):
            last = min(start, first + STEP + OVERLAP)
            yield from _of_block(data[first:last], first)
        at = max(at, stop)


def _of_block(block: bytes, first: int) -> Iterator[Text]:
    if not block:
        return
    plain = _BETWEEN.sub(lambda found: b"\n" * len(found[0]), block)
    text = plain.decode("utf-8", "surrogateescape")
    yield Text(text, first, 1 if len(text) == len(block) else 0, "utf-8")
    if any("\udc80" <= letter <= "\udcff" for letter in text[:OVERLAP]) or not text.isascii():
        yield Text(plain.decode("latin-1"), first, 1, "latin-1")
    if b"\0" in block:
        for pattern, width in zip(_WIDE, (2, 2, 4, 4), strict=True):
            for found in pattern.finditer(block):
                letters = bytes(byte for byte in found[0] if byte).decode("latin-1")
                name = f"utf-{8 * width}"
                yield Text(letters, first + found.start(), width, name)


def decoded(text: str) -> Iterator[tuple[str, bytes]]:
    """Yield what a text says once more when it is decoded: how, and the bytes."""
    for how, sign, decode in _DECODERS:
        if not re.search(sign, text):  # at once, before words are looked at
            continue
        for found in _around(sign).finditer(text):
            packed = decode(found[0])
            if packed != found[0].encode("utf-8", "surrogateescape"):
                yield how, packed
    for found in _BASE64.finditer(text):
        yield from _from_base64(found[0])
    for found in _HEX.finditer(text):
        digits = _NOT_HEX.sub("", found[0])
        for shifted in (digits, digits[1:]):
            packed = bytes.fromhex(shifted[: len(shifted) // 2 * 2])
            if _is_text(packed):
                yield "hexadecimal", packed


def drawn(text: str) -> str:
    """Return the strings that a page of PDF draws, joined."""
    return "".join(_DRAWN.findall(text))


@functools.cache
def _around(sign: str) -> re.Pattern[str]:
    """Return what finds the words that hold a sign, together with those that follow."""
    word = rf"[^\s,;\"'<>]{{0,200}}{sign}[^\s\"'<>]{{0,200}}"
    return re.compile(rf"{word}(?:\s?{word})*")


def _letter(found: re.Match[str]) -> str:
    code = found[1] or found[2] or found[3]
    number = int(code, 16) if code else int(found[4] or "40", 8)
    return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else " "


def _from_utf7(found: re.Match[str]) -> str:
    try:
        text = found[0].encode().decode("utf-7")
        text.encode()  # half of a pair is no text: these letters are something else
    except UnicodeError:
        return found[0]
    return text


def _from_base64(run: str) -> Iterator[tuple[str, bytes]]:
    letters = re.sub(r"[\s=]", "", run).replace("-", "+").replace("_", "/")
    for start in range(4):  # of a word that stands before it, letters may belong to the run
        piece = letters[start:]
        piece = piece[: len(piece) - (len(piece) % 4 == 1)]
        try:
            packed = base64.b64decode(piece + "=" * (-len(piece) % 4))
        except binascii.Error:
            continue
        if _is_text(packed) or packed.startswith((b"\x1f\x8b", b"PK\x03\x04", b"\x89PNG", b"BZh")):
            yield "base64", packed
            return


def _is_text(packed: bytes) -> bool:
    if len(packed) < 6:
        return False
    with contextlib.suppress(UnicodeDecodeError):
        text = packed.decode("utf-8")
        if not text.isascii() and all(each.isprintable() or each in "\r\n\t" for each in text):
            return True
    letters = packed.replace(b"\0", b"")
    printable = sum(32 <= byte < 127 or byte in b"\r\n\t" or byte >= 0xA0 for byte in letters)
    ascii_letters = sum(chr(byte).isalnum() for byte in letters if byte < 127)
    return printable >= LEAST_PRINTABLE * len(letters) and ascii_letters * 2 >= len(letters) > 0


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


_DECODERS: Final[tuple[tuple[str, str, Callable[[str], bytes]], ...]] = (
    ("percent", "%[0-9A-Fa-f]{2}", lambda text: unquote_to_bytes(_bytes(text))),
    ("entities", "&#?[0-9A-Za-z]{1,31};", lambda text: _bytes(html.unescape(text))),
    ("escapes", _ESCAPED.pattern, lambda text: _bytes(_ESCAPED.sub(_letter, text))),
    ("quoted-printable", _QUOTED.pattern, lambda text: quopri.decodestring(_bytes(text))),
    ("utf-7", _UTF7.pattern, lambda text: _bytes(_UTF7.sub(_from_utf7, text))),
)


# -- the texts of a NIfTI file ----------------------------------------------------------------

MOST_HEADER: Final = 1 << 16

_NIFTI: Final = {
    348: (108, "f", {"data_type": (4, 10), "db_name": (14, 18), "descrip": (148, 80),
                     "aux_file": (228, 24), "intent_name": (328, 16)}),
    540: (168, "q", {"descrip": (240, 80), "aux_file": (320, 24), "intent_name": (508, 16)}),
}  # fmt: skip
"""Of NIfTI-1 and NIfTI-2: where the offset of the voxels stands, and each text with its length."""


def nifti_values(path: Path) -> Iterator[tuple[bytes, str]]:
    """Yield the texts of a NIfTI header and of its extensions, with where they stand."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if packed else path.open("rb") as opened:
            content = opened.read(MOST_HEADER)
    except (OSError, EOFError, zlib.error):
        return
    for order in "<>":
        size = struct.unpack(f"{order}i", content[:4].ljust(4, b"\0"))[0]
        if size not in _NIFTI or len(content) < size + 4:
            continue
        at, kind, texts = _NIFTI[size]
        (voxels,) = struct.unpack_from(f"{order}{kind}", content, at)
        for name, (start, length) in texts.items():
            yield content[start:][:length], f"NIfTI {name}"
        last = int(voxels) if size < voxels < MOST_HEADER else len(content)
        extensions = content[size + 4 : last]
        while len(extensions) > 8:
            (length,) = struct.unpack_from(f"{order}i", extensions)
            taken = length if 8 < length <= len(extensions) else len(extensions)
            yield extensions[8:taken], "NIfTI extension"
            extensions = extensions[taken:]
