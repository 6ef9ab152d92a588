r"""Names, numbers and dates found by their tokens, however split, joined or transliterated.

A text becomes ASCII without anything but letters and digits; where one token ends and the next
begins is remembered beside it. A string is found where it begins and ends with tokens, whatever
stands between them: ``Muster-\nmann`` is Mustermann, ``t1_Mustermann7`` holds it, Mustermannheim
does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deepfixcx.deidentify.scan.keys import (
    NON_ASCII,
    SHORTEST_JOINED,
    TOKENS,
    folded_run,
    signed_dates,
)
from deepfixcx.deidentify.scan.needles import Needle
from deepfixcx.deidentify.scan.search import Form, Searcher

__all__ = ["TokenSearcher"]

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
    """Tell for each letter and digit whether a token begins with it."""
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
