"""Thousands of strings searched in any number of bytes, in one pass.

Every place of the bytes is looked up by its first four bytes in a table of bits; what is left, a
few places in a thousand, is compared exactly.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepfixcx.deidentify.scan.needles import Needle

__all__ = ["LONG_IN_BULK", "Form", "Searcher", "forms"]

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
    """The bytes of a string in one encoding."""

    data: bytes
    needle: Needle
    encoding: str
    stride: int
    apart_from: str


def forms(needle: Needle) -> Iterator[Form]:
    """Yield a string in every encoding that can write it, each sequence of bytes once."""
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


LONG_IN_BULK = 8
"""Characters of a string that is searched for among pixels and numbers. Shorter ones are there by
chance: in 100 MB of random bytes every second string of four letters is found."""

STEP = 1 << 22
BITS = 24
PREFIX = 4

_LETTERS = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyz")
_DIGITS = frozenset(b"0123456789")


class Searcher:
    """Finds strings in bytes, whatever their case."""

    def __init__(self, forms: Iterable[Form]) -> None:
        self._by_prefix: dict[int, dict[int, dict[bytes, list[Form]]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(list))
        )
        self._longest = PREFIX
        for form in forms:
            prefix = int.from_bytes(form.data[:PREFIX], "little")
            self._by_prefix[prefix][len(form.data)][form.data].append(form)
            self._longest = max(self._longest, len(form.data))
        self._prefixes: NDArray[np.uint32] = np.array(sorted(self._by_prefix), dtype=np.uint32)
        self._table = np.zeros(1 << BITS, bool)
        self._table[_places(self._prefixes)] = True

    def find(self, data: Any, bulk: Sequence[tuple[int, int]] = ()) -> Iterator[tuple[int, Form]]:
        """Yield where strings stand, and which."""
        starts = [first for first, _ in bulk]
        for start in range(0, len(data), STEP):
            # A little of both neighbours: for strings across the border, and what stands beside.
            before = min(2, start)
            low = data[start - before : start + STEP + self._longest + 2].lower()
            for at in self._candidates(low, before, STEP):
                for form in self._forms_at(low, at):
                    where = start - before + at
                    long = len(form.needle.text) >= LONG_IN_BULK
                    before_it = bisect_right(starts, where) - 1
                    if long or before_it < 0 or where >= bulk[before_it][1]:
                        yield where, form

    def _candidates(self, low: bytes, before: int, step: int) -> list[int]:
        """Return the places of a block where some string may begin."""
        values = np.frombuffer(low, np.uint8).astype(np.uint32)
        if len(values) < PREFIX or not len(self._prefixes):
            return []
        four = values[:-3] | values[1:-2] << 8 | values[2:-1] << 16 | values[3:] << 24
        keys: NDArray[np.uint32] = four[before : before + step].astype(np.uint32, copy=False)
        places = np.flatnonzero(self._table[_places(keys)])
        found = np.searchsorted(self._prefixes, keys[places]).clip(max=len(self._prefixes) - 1)
        sure = places[self._prefixes[found] == keys[places]]
        return [int(place) + before for place in sure]

    def _forms_at(self, low: bytes, at: int) -> Iterator[Form]:
        prefix = int.from_bytes(low[at : at + PREFIX], "little")
        for length, known in self._by_prefix[prefix].items():
            for form in known.get(low[at : at + length], ()):
                if _stands_apart(low, at, form):
                    yield form


def _places(keys: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return (keys * np.uint32(2654435761)) >> np.uint32(32 - BITS)


def _stands_apart(low: bytes, at: int, form: Form) -> bool:
    if not form.apart_from:
        return True
    beside = _LETTERS if form.apart_from == "letters" else _DIGITS
    # Of UTF-16 the letter is the one byte of two that is not zero.
    before = low[max(0, at - form.stride) : at]
    after = low[at + len(form.data) : at + len(form.data) + form.stride]
    return not any(_is_of(unit, beside, form.stride) for unit in (before, after))


def _is_of(unit: bytes, kind: frozenset[int], stride: int) -> bool:
    if len(unit) < stride:
        return False
    significant = [byte for byte in unit if byte]
    return len(significant) == 1 and significant[0] in kind
