"""What is searched for: every string of the sources that may identify a person.

Strings are searched for as they are written, in all their spellings; names, numbers and dates also
by their keys: runs of letters and digits in ASCII.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import permutations, product
from typing import Final, NamedTuple

from anyascii import anyascii
from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom._uid_dict import UID_dictionary

__all__ = [
    "NON_ASCII",
    "NO_DATE",
    "SHORTEST",
    "SHORTEST_JOINED",
    "TOKENS",
    "Needle",
    "Needles",
    "Spelling",
    "folded",
    "folded_run",
    "keys_of",
    "signed_dates",
    "spellings",
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


SHORTEST: Final = 4
"""Strings of fewer characters are not searched for: they are everywhere."""

NO_NAMES: Final = frozenset(
    ["anon", "anonymous", "anonymized", "name", "none", "patient", "removed", "unknown", "unnamed"]
)
"""What stands where a name was."""

_GENERIC: Final = """
abdomen archive axial brain broken chest codes copy coronal damaged data dataset deepfixcx default
demo dicom download each example examples export failures false file files folder frame from front
frontal generated have head here hospital image images import into knee lateral lossy lung
malformed manifest mask medical more most only original output over patients pelvis phantom
private public radiograph release report room sagittal sample scan scanner scans scout series
shard shared shoulder side slice some spine study such test tests than that then there this thorax
train true truncated validation ward were with xray xrays your
"""
GENERIC: Final = NO_NAMES.union(_GENERIC.split())
"""Words that identify no person; folders of images and columns of tables are called so."""

NUMBERS: Final = frozenset(
    {"(0008,0050)", "(0010,0020)", "(0010,1000)", "(0010,1090)", "(0010,2154)", "(0010,2155)"}
    | {"(0020,0010)", "(0038,0010)", "(0038,0060)", "(0040,2016)", "(0040,2017)"}
)
"""Elements whose numbers are a patient's or an examination's, however they are written."""

_BETWEEN_NAMES = re.compile(r"[\s^=,;]+")
_BETWEEN_PARTS = re.compile(r"[^\w]+|_+")
_DATE = re.compile(r"(\d{4})[.\-/]?(\d{2})[.\-/]?(\d{2})")
_NUMBERS = re.compile(r"\w*\d[\w\-./]{4,}")
_DECIMAL = re.compile(r"[-+]?\d+\.\d*(?:[eE][-+]?\d+)?")


class Spelling(NamedTuple):
    """One way to write a string."""

    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class Needle:
    """A string to search for, and where sources have it."""

    text: str
    kind: str
    tags: frozenset[str]
    patients: frozenset[int] = frozenset()

    @property
    def is_patient(self) -> bool:
        """Whether an element about the patient has it, not one about another person."""
        return any(tag.startswith("(0010,") for tag in self.tags)


_Found = dict[str, tuple[str, set[str], set[int]]]


@dataclass(slots=True)
class Needles:
    """All strings of all sources, each once."""

    _found: _Found = field(default_factory=dict)
    _keys: _Found = field(default_factory=dict)

    def add(self, text: str, kind: str, tag: str, patient: int = 0) -> None:
        """Add a string of a header, in all its spellings, and its keys."""
        for spelling in spellings(text, kind):
            known = self._found.setdefault(spelling.text, (spelling.kind, set(), set()))
            known[1].add(tag)
            known[2].add(patient)
        keyed = "number" if kind == "id" and tag in NUMBERS else kind
        for key in keys_of(text, keyed):
            if key not in NO_NAMES:
                known = self._keys.setdefault(key, (kind, set(), set()))
                known[1].add(tag)
                known[2].add(patient)

    def without(self, allowed: Iterable[str]) -> Needles:
        """Return all but these, whatever their case, and all but what only these elements hold."""
        low = {text.casefold() for text in allowed}
        keys = {"".join(filter(str.isalnum, folded(text))).lower() for text in allowed}

        def kept(known: _Found, named: set[str]) -> _Found:
            return {
                text: found
                for text, found in known.items()
                if text.casefold() not in named and not {tag.casefold() for tag in found[1]} <= low
            }

        return Needles(kept(self._found, low), kept(self._keys, keys))

    def __iter__(self) -> Iterator[Needle]:
        """Yield them, sorted, so that a report does not depend on the order of files."""
        for text, (kind, tags, patients) in sorted(self._found.items()):
            yield Needle(text, kind, frozenset(tags), frozenset(patients))

    def keys(self) -> dict[str, Needle]:
        """Return what is searched by tokens, by what `keys_of` makes of it."""
        return {
            key: Needle(key, kind, frozenset(tags), frozenset(patients))
            for key, (kind, tags, patients) in sorted(self._keys.items())
        }

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._found)


@functools.lru_cache(1 << 16)
def spellings(text: str, kind: str) -> frozenset[Spelling]:
    """Return the ways in which a string may be written elsewhere."""
    text = " ".join(text.replace("\0", " ").split())
    if text in UID_dictionary:
        return frozenset()
    made = {
        "name": _names,
        "date": _dates,
        "uid": _uids,
        "file name": _file_names,
    }.get(kind, _texts)(text)
    general = NO_NAMES if kind == "name" else GENERIC | dicom_words()
    return frozenset(
        Spelling(each, kind)
        for each in made
        if _is_long(each) and each.casefold() not in general and len(set(each)) > 1
    )


@functools.cache
def dicom_words() -> frozenset[str]:
    """Return the words by which the standard calls its own attributes and formats."""
    entries = [entry[2] for entry in (*DicomDictionary.values(), *RepeatersDictionary.values())]
    entries += [entry[0] for entry in UID_dictionary.values()]
    entries += [entry[4] for entry in DicomDictionary.values()]  # as programs spell them
    words = re.findall(r"[a-z]+", " ".join(entries).casefold())
    return frozenset(word for word in words if len(word) >= SHORTEST)


def _is_long(text: str) -> bool:
    # Two characters of Chinese are a name, as six bytes.
    return len(text) >= SHORTEST or len(text.encode("utf-8", "replace")) >= 6


def _names(text: str) -> set[str]:
    found = {text}
    for group in text.split("="):  # alphabetic, ideographic, phonetic
        parts = [part for part in _BETWEEN_NAMES.split(group) if part]
        for words in map(str.split, group.split("^")):  # Ji Woo: each word is short
            found |= {sign.join(words) for sign in (" ", "-", "_")}
        found |= set(parts) | {group}
        if len(parts) > 1:
            first, second = parts[:2]
            for one, other in ((first, second), (second, first)):
                found |= {f"{one}{sign}{other}" for sign in (" ", "^", "_", "-", ".", "", ", ")}
    return found


def _dates(text: str) -> set[str]:
    found = _DATE.match(text)
    if found is None:
        return {text}
    year, month, day = found.groups()
    if f"{year}{month}{day}" in NO_DATE or year < "1880":
        return set()
    orders = ((year, month, day), (day, month, year), (month, day, year))
    return {sign.join(order) for order in orders for sign in "-./"} | {year + month + day}


def _uids(text: str) -> set[str]:
    # Those of the standard say what something is, not which one.
    return set() if text in UID_dictionary or text.count(".") < 3 else {text}


def _file_names(text: str) -> set[str]:
    parts = [part for part in _BETWEEN_PARTS.split(text) if part]
    # Numbers of few digits count files.
    named = {part for part in parts if not part.isdigit() or len(part) > 5}
    named = {part for part in named if part.casefold() not in GENERIC}
    return named | ({text} if len(parts) > 1 and named else set())


def _texts(text: str) -> set[str]:
    numbers = set(_NUMBERS.findall(text))
    found = {text} | {number.strip("-./") for number in numbers}
    return {each for each in found if not _DECIMAL.fullmatch(each)}
