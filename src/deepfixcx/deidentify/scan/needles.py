"""What is searched for: every string of the sources that may identify a person."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom._uid_dict import UID_dictionary

from deepfixcx.deidentify.scan.keys import NO_DATE, folded, keys_of

__all__ = ["SHORTEST", "Needle", "Needles", "Spelling", "spellings"]

SHORTEST: Final = 4
"""Strings of fewer characters are not searched for: they are everywhere."""

NO_NAMES: Final = frozenset(
    ["anon", "anonymous", "anonymized", "name", "none", "patient", "removed", "unknown", "unnamed"]
)
"""What stands where a name was."""

GENERIC: Final = NO_NAMES.union(
    ("abdomen", "archive", "axial", "brain", "broken", "chest", "codes", "copy", "coronal"),
    ("damaged", "data", "dataset", "deepfixcx", "default", "demo", "dicom", "download", "each"),
    ("example", "examples", "export", "failures", "false", "file", "files", "folder", "frame"),
    ("from", "front", "frontal", "generated", "have", "head", "here", "hospital", "image"),
    ("images", "import", "into", "knee", "lateral", "lossy", "lung", "malformed", "manifest"),
    ("mask", "medical", "more", "most", "only", "original", "output", "over", "patients"),
    (
        "pelvis",
        "phantom",
        "private",
        "public",
        "radiograph",
        "release",
        "report",
        "room",
        "sagittal",
    ),
    ("sample", "scan", "scanner", "scans", "scout", "series", "shard", "shared", "shoulder"),
    ("side", "slice", "some", "spine", "study", "such", "test", "tests", "than"),
    ("that", "then", "there", "this", "thorax", "train", "true", "truncated", "validation"),
    ("ward", "were", "with", "xray", "xrays", "your"),
)
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
        for words in map(str.split, group.split("^")):  # Ji Woo, of which each word is short
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
