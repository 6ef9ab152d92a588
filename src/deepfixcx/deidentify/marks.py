"""Marks: sets whose intersection is empty where a value holds nothing of a patient.

`marks_of` lists what an `Identity` answers yes to; `Questions` stands in for an identity and lists
what a value asks. If both sets have nothing in common, each answer is no. The reverse does not
hold: a common mark calls for the comparison itself.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterable
from typing import Final

from deepfixcx.deidentify.identity import (
    LONGER_THAN_KNOWN,
    SHORTEST_NUMBER,
    SHORTEST_PART,
    SHORTEST_WORD,
    UID_IN_TEXT,
    Identity,
)
from deepfixcx.deidentify.spelling import CAMEL, TOKEN, dates_in, folded, sound

__all__ = [
    "ALWAYS",
    "Marks",
    "Questions",
    "marks_of",
    "marks_of_digits",
    "marks_of_text",
    "merged",
]

Marks = frozenset[Hashable]

ALWAYS: Final = "always"
"""Mark of every identity, and of a value that has to be compared in any case."""

FOREIGN: Final = "foreign"
"""Mark of identities with parts in other scripts, and of texts that are not ASCII."""

TEXT: Final = "text"
"""Mark of every text, and of identities that have to be compared in any case."""

LONGEST_RUN, LONGEST_TOKEN, MOST_TOKENS = 64, 32, 150
"""Letters of joined tokens and of one; tokens of a text whose runs are listed."""


def marks_of(identity: Identity) -> Marks:
    """Return the marks of an identity."""
    known = identity.joined | identity.words | identity.numbers
    marks: set[Hashable] = {ALWAYS, *identity.dates}
    marks.update("#" + each for each in identity.numbers)
    marks.update("=" + each.lstrip("0") for each in known if each.isdigit())
    marks.update("i" + each for each in identity.initials)
    marks.update("j" + each for each in identity.joined)
    marks.update("h" + each for each in known)
    marks.update("p" + each for each in identity.words if len(each) >= SHORTEST_PART)
    marks.update("." + each for each in identity.uids)
    if identity.parts:
        marks.add(FOREIGN)
    longest = max(map(len, known), default=0) + LONGER_THAN_KNOWN
    if longest > LONGEST_RUN or any(map(str.isascii, identity.parts)):
        marks.add(TEXT)
    return frozenset(marks)


def merged(identities: Iterable[Identity]) -> Identity:
    """Return one identity of all."""
    made = Identity()
    for each in identities:
        for name in ("words", "joined", "initials", "parts", "numbers", "dates", "uids", "written"):
            getattr(made, name).update(getattr(each, name))
    made.index()
    return made


class Questions(Identity):
    """Is asked like an identity, answers no, and notes the marks for which the answer is yes."""

    __slots__ = ("marks",)

    def __init__(self) -> None:
        super().__init__()
        self.marks: set[Hashable] = set()

    def stands_in_text(self, text: str, *, shortest: int = 1) -> bool:
        """Note a text."""
        del shortest
        self.marks |= marks_of_text(text)
        return False

    def is_number(self, value: object) -> bool:
        """Note a number; what is no whole one is compared as a text."""
        text = str(value)
        try:
            number = float(text)
        except ValueError:
            return self.stands_in_text(text)
        if not number.is_integer() or abs(number) >= 1e18:
            return self.stands_in_text(text)
        digits = str(abs(int(number)))
        self.marks.add("#" + digits)
        self.marks.update(dates_in(digits, 8))
        return False

    def has_number(self, text: str) -> bool:
        """Note the runs of digits of a text."""
        self.marks |= marks_of_digits(text)
        return False

    def stands_in_bytes(self, value: bytes, encodings: Iterable[str] = ()) -> bool:
        """Note that bytes are always compared."""
        del value, encodings
        self.marks.add(ALWAYS)
        return False


def marks_of_digits(text: str) -> Marks:
    """Return the marks of the runs of digits of a text."""
    if not text.isascii():
        return frozenset((ALWAYS,))
    return frozenset("#" + each for each in TOKEN.findall(text) if each.isdigit())


@functools.lru_cache(1 << 14)
def marks_of_text(text: str) -> Marks:
    """Return the marks of a text."""
    if not text:
        return frozenset()
    marks: set[Hashable] = {TEXT}
    if not text.isascii():
        marks.add(FOREIGN)
    ascii_text = folded(text)
    marks.update("." + each for each in UID_IN_TEXT.findall(text))
    marks.update(dates_in(ascii_text.lower(), 6))
    for spelled in {ascii_text.lower(), CAMEL.sub(" ", ascii_text).lower()}:
        tokens = TOKEN.findall(spelled)
        if len(tokens) > MOST_TOKENS or any(len(token) > LONGEST_TOKEN for token in tokens):
            return frozenset((ALWAYS,))
        for first, token in enumerate(tokens):
            _add_token(token, marks)
            _add_runs(token, tokens[first + 1 :], marks)
    return frozenset(marks)


def _add_token(token: str, marks: set[Hashable]) -> None:
    if token.isdigit():
        marks.update(("#" + token, "#" + token.lstrip("0")))
        return
    heard = sound(token)
    marks.update(("i" + token, "j" + token, "h" + heard))
    for first in range(len(heard) - SHORTEST_PART + 1):
        for last in range(first + SHORTEST_PART, len(heard) + 1):
            marks.add("p" + heard[first:last])


def _add_runs(run: str, tokens: list[str], marks: set[Hashable]) -> None:
    single = len(run) == 1
    for token in tokens:
        run += token
        if len(run) > LONGEST_RUN:
            return
        single = single and len(token) == 1
        if single:
            marks.add("i" + run)
        if len(run) >= SHORTEST_NUMBER and run.isdigit():
            marks.add("=" + run.lstrip("0"))
        if len(run) >= SHORTEST_WORD:
            marks.update(("j" + run, "h" + sound(run)))
