r"""Thousands of strings searched in any number of bytes, in one pass.

Every place of the bytes is looked up by its first four bytes in a table of bits; what is left, a
few places in a thousand, is compared exactly.

Names, numbers and dates are also found by their tokens, however split, joined or transliterated:
``Muster-\nmann`` is Mustermann, ``t1_Mustermann7`` holds it, Mustermannheim does not.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepfixcx.deidentify.scan.needles import (
    NON_ASCII,
    SHORTEST_JOINED,
    TOKENS,
    Needle,
    folded_run,
    signed_dates,
)

__all__ = ["LONG_IN_BULK", "Form", "Searcher", "TokenSearcher", "forms"]

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


LONG_WORD, LONG_NUMBER = 6, 7
"""Letters and digits of a string that is found although it is split."""

_TIME: Final = re.compile(rb"(?:[01]\d|2[0-3])(?:[0-5]\d){1,2}\d{0,6}(?!\d)")
"""What follows the date of a moment."""

_CLASSES: Final = np.zeros(256, np.uint8)
_CLASSES[ord("a") : ord("z") + 1] = 1
_CLASSES[ord("A") : ord("Z") + 1] = 2
_CLASSES[ord("0") : ord("9") + 1] = 3


class TokenSearcher:
    """Finds keys in texts, by their tokens."""

    def __init__(self, keys: Mapping[str, Needle]) -> None:
        long = {key: needle for key, needle in keys.items() if len(key) >= SHORTEST_JOINED}
        self._short = {key: keys[key] for key in keys.keys() - long.keys()}
        self._searcher = Searcher(
            Form(key.encode(), needle, "text", 1, "") for key, needle in long.items()
        )
        whole = {key: each for key, each in long.items() if each.kind == "date" and key.isdigit()}
        self._moments = {key.encode() for key in whole if key[:2] in ("18", "19", "20")}
        self._dates = {form: each for key, each in whole.items() for form in (key, key[2:])}

    def find(self, text: str, shortest: int = SHORTEST_JOINED) -> Iterator[tuple[int, Needle]]:
        """Yield where keys stand in a text, by its characters, and which."""
        plain, places = _placed(text)
        data = np.frombuffer(plain, np.uint8)
        kinds = _CLASSES[data]
        kept = np.flatnonzero(kinds)
        if not len(kept):
            return
        starts = _starts(kinds, kept)
        squeezed = data[kept].tobytes().lower()
        ends = np.append(starts[1:], np.uint8(1))
        for at, form in self._searcher.find(squeezed):
            stop = at + len(form.data)
            begins = starts[at] or _after_zeros(squeezed, at, starts)
            ended = ends[stop - 1] or (form.data in self._moments and _TIME.match(squeezed, stop))
            if begins and ended and self._holds(form, plain[kept[at] : kept[stop - 1]]):
                yield _place(places, int(kept[at])), form.needle
        if self._dates:
            for at, written in signed_dates(plain.decode("ascii")):
                if written in self._dates:
                    yield _place(places, at), self._dates[written]
        if self._short and shortest < SHORTEST_JOINED:
            for found in TOKENS.finditer(plain.decode("ascii")):
                needle = self._short.get(found[0].lower())
                if needle is None or len(found[0]) < shortest:
                    continue
                # Digits beside the two letters of an operator make a code of them: MC19US03.
                mixed = plain[found.start() - 1 : found.start()] + plain[found.end() :][:1]
                if len(found[0]) > 2 or needle.is_patient or not re.search(rb"\d", mixed):
                    yield _place(places, found.start()), needle

    def _holds(self, form: Form, span: bytes) -> bool:
        """Return whether what stands between the tokens of a place may be left out of account."""
        if len(span) < len(form.data):  # nothing does
            return True
        if form.data.isdigit():  # a table of numbers is not one long number
            return len(form.data) >= LONG_NUMBER and not (b"," in span or b"\\" in span)
        return len(form.data) >= LONG_WORD


def _placed(text: str) -> tuple[bytes, list[tuple[int, int]]]:
    """Return a text in ASCII, and where its runs of other letters moved what follows them."""
    if text.isascii():
        return text.encode("ascii"), []
    done, places, last, length = [], [(0, 0)], 0, 0
    for found in NON_ASCII.finditer(text):
        run = folded_run(found[0])
        length += found.start() - last + len(run)
        done += [text[last : found.start()], run]
        last = found.end()
        places.append((length, last))
    return "".join([*done, text[last:]]).encode("ascii", "replace"), places


def _place(places: list[tuple[int, int]], at: int) -> int:
    if not places:
        return at
    before = max((pair for pair in places if pair[0] <= at), default=(0, 0))
    return before[1] + at - before[0]


def _starts(kinds: NDArray[np.uint8], kept: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Return for each letter and digit whether a token begins with it."""
    here, gap = kinds[kept], np.diff(kept, prepend=-2) > 1
    before = np.roll(here, 1)
    digit = (here == 3) != (before == 3)
    camel = (here == 2) & (before == 1)
    after = np.append(here[1:], np.uint8(0))
    # Of MRMustermann the second word begins with the last of the capitals.
    last_capital = (here == 2) & (before == 2) & (after == 1)
    result: NDArray[np.uint8] = (gap | digit | camel | last_capital).astype(np.uint8)
    result[0] = 1
    return result


def _after_zeros(squeezed: bytes, at: int, starts: NDArray[np.uint8]) -> bool:
    if not squeezed[at : at + 1].isdigit():
        return False
    while at > 0 and not starts[at]:
        at -= 1
        if squeezed[at] != ord("0"):
            return False
    return bool(starts[at])
