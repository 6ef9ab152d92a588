"""What names, numbers and dates are searched by: runs of letters and digits, in ASCII."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator
from itertools import permutations, product
from typing import Final

from anyascii import anyascii

__all__ = [
    "NON_ASCII",
    "NO_DATE",
    "SHORTEST_JOINED",
    "TOKENS",
    "folded",
    "folded_run",
    "keys_of",
    "signed_dates",
]

SHORTEST_JOINED, SHORTEST_NAME, SHORTEST_NUMBER = 4, 2, 5
"""Letters of a string that may be split; of a name that stands alone; digits of a number."""

NO_DATE: Final = frozenset(f"{year}0101" for year in (1900, 1901, 1970, 1980, 2000, 2001))
"""What programs write where they know no date."""

NON_ASCII: Final = re.compile(r"[^\x00-\x7f]+")
TOKENS: Final = re.compile(r"[A-Za-z]+|[0-9]+")
_PARTS: Final = re.compile(r"[\s^,;=]+")
_WRITTEN: Final = {"a": ("a", "ae"), "o": ("o", "oe"), "u": ("u", "ue")}
_PAIRS: Final = (("ae", "a"), ("oe", "o"), ("ue", "u"), ("aa", "a"), ("ss", "s"))
_RUSSIAN: Final = (("shch", "schtsch"), ("zh", "sch"), ("ch", "tsch"), ("v", "w"), ("y", "j"))
_MONTHS: Final = (
    "jan januar january janvier enero gennaio januari janeiro",
    "feb februar february fevrier febrero febbraio februari fevereiro",
    "mar marz mrz march mars marzo maart marco",
    "apr april avril abril aprile",
    "may mai mayo maggio mei maio",
    "jun juni june juin junio giugno junho",
    "jul juli july juillet julio luglio julho",
    "aug august aout agosto augustus",
    "sep sept september septembre septiembre settembre setembro",
    "oct okt oktober october octobre octubre ottobre outubro",
    "nov november novembre noviembre novembro",
    "dec dez dezember december decembre diciembre dicembre dezembro",
)


def folded(text: str) -> str:
    """Return a text in ASCII: accents left out, other alphabets transliterated."""
    if text.isascii():
        return text
    return NON_ASCII.sub(lambda found: folded_run(found[0]), unicodedata.normalize("NFC", text))


@functools.lru_cache(1 << 15)
def folded_run(run: str) -> str:
    """Return a run of letters that are not ASCII as it is written in ASCII."""
    return "".join(
        "" if unicodedata.combining(letter)
        else "".join(filter(str.isalnum, anyascii(letter))) if letter.isalnum()
        else " "
        for letter in unicodedata.normalize("NFKC", run)
    )  # fmt: skip


def keys_of(text: str, kind: str) -> frozenset[str]:
    """Return what a name, number, date or text is searched by: runs of letters and digits."""
    if kind == "name":
        return frozenset(_name_keys(text))
    if kind == "date":
        return frozenset(_date_keys(text))
    if kind == "number":
        return frozenset(_id_keys(text))
    return frozenset()


def _name_keys(name: str) -> Iterator[str]:
    for group in name.split("="):  # alphabetic, ideographic, phonetic
        parts = [part for part in _PARTS.split(group) if part][:5]
        joined = []
        for part in parts:
            tokens = [token.lower() for token in TOKENS.findall(folded(part))]
            mixed = any(token.isdigit() for token in tokens)
            for token in tokens:
                if token.isalpha() and len(token) >= (3 if mixed else SHORTEST_NAME):
                    yield from _spelled(token, part)
            joined.append("".join(tokens))
        for part, run in zip(parts, joined, strict=True):
            if len(run) >= SHORTEST_JOINED and run.isalpha():
                yield from _spelled(run, part)
        runs = [run for run in joined if run]
        for count in range(2, min(len(runs), 3) + 1):
            for order in permutations(runs[:4], count):
                if len("".join(order)) >= SHORTEST_JOINED:
                    yield "".join(order)
        for one, other in permutations(runs[:4], 2):
            if len(other) >= SHORTEST_JOINED and one.isalpha():
                yield from (one[0] + other, other + one[0])


def _spelled(word: str, written: str) -> Iterator[str]:
    """Yield the ways in which a word is written in ASCII: Müller, Mueller and Muller are one."""
    yield word
    if len(word) < SHORTEST_JOINED:
        return
    if word.startswith(("mc", "mac")):
        yield from (
            "mc" + word.removeprefix("mac").removeprefix("mc"),
            "mac" + word.removeprefix("mac").removeprefix("mc"),
        )
    plain = word
    for pair, letter in _PAIRS:
        if pair in word:
            yield word.replace(pair, letter)
            plain = plain.replace(pair, letter)
    yield plain
    vowels = [number for number, letter in enumerate(plain) if letter in _WRITTEN][:4]
    for choice in product((0, 1), repeat=len(vowels)):
        letters = list(plain)
        for number, longer in zip(vowels, choice, strict=True):
            letters[number] = _WRITTEN[plain[number]][longer]
        yield "".join(letters)
    if "å" in written.casefold():
        yield plain.replace("a", "aa")
    if any("\u0370" <= letter <= "\u052f" for letter in written):  # Greek and Cyrillic
        for ours, theirs in _RUSSIAN:
            yield word.replace(ours, theirs)
            word = word.replace(ours, theirs) if ours in ("v", "y") else word
        yield from (word, plain.replace("oy", "ou"))


def _id_keys(text: str) -> Iterator[str]:
    tokens = [token.lower() for token in TOKENS.findall(folded(text))]
    whole = "".join(tokens)
    if len(whole) >= SHORTEST_NUMBER and any(token.isdigit() for token in tokens):
        bare = whole.lstrip("0") if whole.isdigit() else whole
        if len(bare) >= SHORTEST_NUMBER:
            yield bare
    for token in tokens:
        bare = token.lstrip("0")
        if token.isdigit() and len(bare) >= SHORTEST_NUMBER + 1:
            yield bare


def _date_keys(text: str) -> Iterator[str]:
    found = re.match(r"(\d{4})[.\-/]?(\d{2})[.\-/]?(\d{2})", text.strip())
    if found is None:
        return
    year, month, day = found.groups()
    if year < "1880" or f"{year}{month}{day}" in NO_DATE or not 1 <= int(month) <= 12:
        return
    for name in _MONTHS[int(month) - 1].split():
        for each in {day, day.lstrip("0")}:
            yield from (f"{each}{name}{year}", f"{name}{each}{year}", f"{year}{name}{each}")
            yield from (f"{each}{name}{year[2:]}", f"{each}de{name}de{year}")
            yield from (f"{name}{each}{ending}{year}" for ending in ("st", "nd", "rd", "th"))
    yield from (year + month + day, day + month + year, month + day + year)


def signed_dates(text: str) -> Iterator[tuple[int, str]]:
    """Yield where a date of three numbers with signs between stands, as ``yyyymmdd``, any order."""
    for found in _SIGNED.finditer(text):
        one, two, three = found["a"], found["b"], found["c"]
        for year, month, day in ((one, two, three), (three, two, one), (three, one, two)):
            if len(year) in (2, 4) and len(month) < 3 and len(day) < 3:
                yield found.start(), f"{year}{int(month):02}{int(day):02}"


_SIGNED: Final = re.compile(
    r"(?=(?<![0-9.])(?P<a>\d{1,4})(?P<s>[-./_ ]{1,2})(?P<b>\d{1,2})(?P=s)(?P<c>\d{4}|\d\d)"
    r"(?![0-9]))"
)
