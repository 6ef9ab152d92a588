"""A string as bytes: in every encoding that headers, tables and file systems use."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from deepfixcx.deidentify.scan.needles import Needle

__all__ = ["Form", "forms"]

ENCODINGS = (
    ["utf-8", "utf-16-le", "utf-16-be", "latin-1"]
    + [f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 9, 15)]
    + ["cp1252", "koi8-r", "tis-620"]
    + ["shift_jis", "iso2022_jp", "euc_jp", "euc_kr", "gb18030", "big5", "utf-32-le", "utf-32-be"]
)
"""The first three are all ways to write letters without accents: the others write those alike."""

LONG_WORD = 8
"""Shorter words only count where no letter or digit stands beside them."""

_ESCAPES = re.compile(rb"\x1b[$()\-,./][^\x1b]?[A-Z@]?")


class Form(NamedTuple):
    """The bytes of a string in one encoding.

    Attributes
    ----------
    data : bytes
        With the letters A to Z in lower case, as what they are searched in.
    needle : Needle
        What it is a form of.
    encoding : str
        The encoding.
    stride : int
        Bytes of one letter or digit beside it.
    apart_from : str
        What must not stand beside it: ``letters`` or digits, ``digits``, or nothing.
    """

    data: bytes
    needle: Needle
    encoding: str
    stride: int
    apart_from: str


def forms(needle: Needle) -> Iterator[Form]:
    """Yield a string in every encoding that can write it, each sequence of bytes once.

    Examples
    --------
    >>> sorted(form.encoding for form in forms(Needle("Muster", "name", frozenset())))
    ['utf-16-be', 'utf-16-le', 'utf-8']
    """
    apart_from = ""
    if needle.text.isascii():
        if needle.text.isdigit():
            apart_from = "digits"
        elif len(needle.text) < LONG_WORD:
            apart_from = "letters"
    seen = set()
    for text in _cases(needle.text):
        for encoding in ENCODINGS[:3] if text.isascii() else ENCODINGS:
            try:
                data = text.encode(encoding)
            except UnicodeEncodeError:
                continue
            if encoding == "iso2022_jp":  # a header may switch back and forth elsewhere
                data = _ESCAPES.sub(b"", data)
            data = data.lower()
            if len(data) >= 4 and data not in seen:
                seen.add(data)
                stride = 2 if encoding.startswith("utf-16") else 1
                yield Form(data, needle, encoding, stride, apart_from)


def _cases(text: str) -> list[str]:
    """Return a text in the cases and with the accents that it may be written with."""
    if text.isascii():
        return [text]  # case is taken care of, byte by byte
    plain = unicodedata.normalize("NFKD", text)
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    written = [text, text.upper(), text.lower(), text.title(), unicodedata.normalize("NFD", text)]
    return list(dict.fromkeys([*written, *([plain] if plain.isascii() else [])]))
