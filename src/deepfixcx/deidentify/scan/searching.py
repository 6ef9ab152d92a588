"""One file of what is shared, searched for every string of the sources; which files there are."""

from __future__ import annotations

import hmac
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydicom import dcmread
from pydicom.dataset import Dataset

from deepfixcx.deidentify.scan.contents import Contents, Part
from deepfixcx.deidentify.scan.evidence import Finding, ScannedFile
from deepfixcx.deidentify.scan.harmless import Own, Reasons
from deepfixcx.deidentify.scan.needles import SHORTEST_NAME, Needle
from deepfixcx.deidentify.scan.search import Searcher, TokenSearcher, forms
from deepfixcx.deidentify.scan.sources import refusal, tag_name
from deepfixcx.deidentify.scan.texts import Text, decoded, drawn, texts_of
from deepfixcx.deidentify.silence import silence
from deepfixcx.errors import DeidentifyError

__all__ = ["Entry", "Search", "list_files"]

LINK = "it is a link; whether its target is shared depends on how the folder is copied"
SPECIAL = "it is not a regular file, so it was not opened"


class Entry(NamedTuple):
    """One thing in a folder."""

    path: Path
    target: str = ""
    has_content: bool = True
    problem: str = ""


def list_files(where: Path) -> list[Entry]:
    """Return everything below a folder that is to be shared, or a file itself."""
    if not where.is_dir():
        if not where.exists():
            raise DeidentifyError(f"there is no file or folder {str(where)!r}; check the path")
        return [_entry(where, Path(where).resolve())]
    found = []
    for folder, folders, names in os.walk(where, onerror=refusal(where)):
        found += [_entry(Path(folder, name), None) for name in names]
        found += [_entry(Path(folder, each), None) for each in folders if _is_link(folder, each)]
        if not folders and not names and Path(folder) != where:
            found.append(Entry(Path(folder), has_content=False))
    if not any(each.has_content or each.target for each in found):
        raise DeidentifyError(f"{str(where)!r} contains no file; check the path")
    return sorted(found)


def _entry(path: Path, resolved: Path | None) -> Entry:
    target = os.readlink(path) if path.is_symlink() and resolved is None else ""
    try:
        mode = path.stat().st_mode
    except OSError:
        return Entry(path, target, has_content=False, problem=LINK if target else SPECIAL)
    regular = stat.S_ISREG(mode)
    if target:
        return Entry(path, target, has_content=regular, problem=LINK)
    return Entry(path, has_content=regular, problem="" if regular else SPECIAL)


def _is_link(folder: str, name: str) -> bool:
    return Path(folder, name).is_symlink()


DEEPEST_TEXT: Final = 3
"""Encodings of a text inside each other, such as base64 of quoted-printable."""

SHORTEST_IN_TEXT: Final = 3
"""Letters of a name in a text. In elements of DICOM and names of files two are enough."""

MOMENT: Final = 14
"""Digits of a date with its time."""

MOST_DECODED: Final = 1 << 26
"""Characters of a text that are looked into for other encodings."""

NUMERIC: Final = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})
TEXTUAL: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
PATIENT: Final = frozenset({0x00100010, 0x00100020})
PSEUDONYM: Final = re.compile("P[A-Z2-7]{16}")
"""What a release writes for the name and number of a patient: no word of it is a short name."""

_LETTERS, _LETTERS_BEFORE = re.compile(rb"[A-Za-z]*"), re.compile(rb"[A-Za-z]*\Z")
SIZES: Final = frozenset({0x00280008, 0x00280010, 0x00280011})


class Search:
    """Searches files for strings, numbers and dates."""

    def __init__(
        self,
        needles: Sequence[Needle],
        keys: Mapping[str, Needle],
        terms: Mapping[tuple[str, str], AbstractSet[int]],
        own: Own,
        secret: bytes,
    ) -> None:
        self._searcher = Searcher(form for needle in needles for form in forms(needle))
        self._tokens = TokenSearcher(keys)
        self._numbers = {key: each for key, each in keys.items() if key.isdigit() and len(key) > 4}
        self._spoken = {needle.text.casefold(): needle for needle in (*keys.values(), *needles)}
        self._terms, self._own, self._secret = terms, own, secret

    def file(self, entry: Entry, name: str) -> ScannedFile:
        """Search one thing in the folder: its name, where it points to, and what is in it."""
        reasons = Reasons(entry.path if entry.has_content else None, self._terms, self._own.words)
        one = _File(self._secret, reasons, self._own, name)
        size, problems = 0, [entry.problem] if entry.problem else []
        self._look(one, Part("file name", name.encode("utf-8", "surrogateescape"), []), None, 0)
        target = entry.target.encode("utf-8", "surrogateescape")
        self._look(one, Part("target of a link", target, []), None, 0)
        if entry.has_content:
            contents = Contents(entry.path)
            try:
                size = entry.path.stat().st_size
                for part in contents.parts():
                    self._look(one, part, contents, 0)
                self._elements(one, entry.path)
            except OSError as error:
                problems.append(f"it cannot be read: {error.strerror or 'not readable'}")
            problems += contents.problems
        return ScannedFile(name, size, tuple(one.findings.values()), "; ".join(problems))

    def with_words(self, scanned: ScannedFile, words: list[str] | None) -> ScannedFile:
        """Add what can be read in the pixels of a file."""
        if words is None:
            return scanned
        low = {word.strip(".,;:()").casefold() for word in words}
        read = tuple(
            finding(self._spoken[word], "burned in", -1, "pixels", self._secret)
            for word in sorted(low & set(self._spoken))
        )
        return replace(scanned, findings=(*scanned.findings, *read), words=len(words))

    def _look(self, one: _File, part: Part, contents: Contents | None, depth: int) -> None:
        for offset, form in self._searcher.find(part.data, part.bulk):
            one.add(form.needle, part, offset, len(form.data), form.encoding)
        in_name = part.where in ("file name", "target of a link", "name in an archive")
        for text in texts_of(part.data, part.bulk):
            shortest = SHORTEST_NAME if in_name else SHORTEST_IN_TEXT
            if part.where == "file" and part.data[128:132] == b"DICM":
                shortest = SHORTEST_IN_TEXT + 1  # two letters name a kind of value there
            self._look_in(one, part, text, shortest)
            if depth < DEEPEST_TEXT and contents is not None and len(text.text) <= MOST_DECODED:
                self._look_further(one, part, text, contents, depth)

    def _look_in(self, one: _File, part: Part, text: Text, shortest: int) -> None:
        for at, needle in self._tokens.find(text.text, shortest):
            one.add(needle, part, text.offset(at), len(needle.text), text.encoding, split=True)

    def _look_further(
        self, one: _File, part: Part, text: Text, contents: Contents, depth: int
    ) -> None:
        """Search what a text says when it is decoded."""
        if part.where == "packed text":
            page = drawn(text.text)
            self._look_in(one, Part("drawn text", page.encode(), []), Text(page, 0, 0, "PDF"), 3)
        same = text.text.encode("utf-8", "surrogateescape")
        for how, packed in decoded(text.text):
            if packed != same:
                for inner in contents.inside(f"{how} in {part.where}"[:64], packed, depth + 1):
                    self._look(one, inner, contents, depth + 1)

    def _elements(self, one: _File, path: Path) -> None:
        """Compare the values of a DICOM file: numbers as numbers, and names of two letters."""
        try:
            with path.open("rb") as file:
                if file.read(132)[128:] != b"DICM":
                    return
            with silence():
                header = dcmread(path, stop_before_pixels=True)
                found = list(_values(header))
        except OSError:
            raise
        except Exception:  # whatever pydicom raises: its bytes were searched
            return
        for tag, nested, vr, value in found:
            where = Part("element", b"", [])
            if vr in NUMERIC and (nested or tag not in SIZES):
                digits = _digits(value)
                needle = self._numbers.get(digits)
                if needle is None and len(digits) == MOMENT:
                    needle = self._numbers.get(digits[:8])
                if needle is not None:
                    one.add(needle, where, -1, 0, "number", split=True)
            elif vr in TEXTUAL and not (tag in PATIENT and PSEUDONYM.fullmatch(value.strip())):
                patients = self._terms.get((tag_name(tag), value.strip().casefold()), frozenset())
                for _, needle in self._tokens.find(value, SHORTEST_NAME):
                    if not one.is_own(needle) and not patients - needle.patients:
                        one.add(needle, where, -1, 0, "text", split=True)


class _File:
    """What was found in one file so far."""

    def __init__(self, secret: bytes, reasons: Reasons, own: Own, name: str) -> None:
        self.findings: dict[tuple[str, str], Finding] = {}
        self._secret, self._reasons, self._own, self._name = secret, reasons, own, name
        self._same: set[tuple[str, str, tuple[str, ...]]] = set()

    def add(
        self,
        needle: Needle,
        part: Part,
        offset: int,
        length: int,
        encoding: str,
        *,
        split: bool = False,
    ) -> None:
        """Add a place of a string, unless one that has no reason is known already."""
        key = (needle.text, part.where)
        if key in self.findings and not self.findings[key].harmless:
            return
        new = finding(needle, part.where, offset, encoding, self._secret)
        same = (part.where if part.where != "element" else "file", needle.kind, new.tags)
        if split and same in self._same:  # one string, found as it is written
            return
        why = self._reasons.why(needle, offset, length) if part.where == "file" else ""
        why = why or self._own_reason(needle, part, offset)
        if not why:
            self._same.add(same)
        elif split and any(
            same == (each.where, each.kind, each.tags) for each in self.findings.values()
        ):
            return
        if key not in self.findings or not why:
            self.findings[key] = replace(new, harmless=why)

    def is_own(self, needle: Needle) -> bool:
        """Return whether a string is a word that the program writes."""
        return needle.text.isalpha() and needle.text.lower() in self._own.words

    def _own_reason(self, needle: Needle, part: Part, offset: int) -> str:
        if self._own.checksum is None:
            return ""
        if self._name in self._own.repeated:
            return "repeats files of the release that are searched themselves"
        if offset < 0:
            return ""
        if part.where == "file name":
            return self._own.why(self._name, part.where, needle, "", 0)
        if part.where != "file" or not self._name.endswith((".csv", ".json", ".safetensors")):
            return ""
        if needle.kind == "name":  # of eight letters and more also inside a word: the whole one
            needle = replace(needle, text=_word_around(part.data, offset, len(needle.text)))
        start = part.data.rfind(b"\n", 0, offset) + 1
        stop = part.data.find(b"\n", offset)
        line = part.data[start : stop if stop >= 0 else len(part.data)][: 1 << 20]
        text = line.decode("utf-8", "replace").rstrip("\r")
        column = len(line[: offset - start].decode("utf-8", "replace"))
        return self._own.why(self._name, part.where, needle, text, column)


def finding(needle: Needle, where: str, offset: int, encoding: str, secret: bytes) -> Finding:
    """Return a finding, which does not say of what."""
    text = needle.text.encode("utf-8", "surrogatepass")
    digest = hmac.digest(secret, text, sha256).hex()[:16]
    tags = tuple(sorted(needle.tags))
    return Finding(where, offset, needle.kind, tags, encoding, len(needle.text), digest)


def _word_around(data: Any, start: int, length: int) -> str:
    """Return the letters of ASCII that a place lies in."""
    before = _LETTERS_BEFORE.search(data[max(0, start - 64) : start])
    after = _LETTERS.match(data[start : start + length + 64])
    found = (before[0] if before else b"") + (after[0] if after else b"")
    return bytes(found).decode("ascii") or " "


def _values(header: Dataset, outermost: int = 0) -> Iterator[tuple[int, bool, str, str]]:
    """Yield the outermost tag, whether the element lies in a sequence, its kind and a value."""
    for tag in list(header.keys()):
        try:
            element = header[tag]
            value: Any = element.value
            if element.VR == "SQ":
                for item in value or []:
                    yield from _values(item, outermost or int(tag))
            elif element.VR in NUMERIC | TEXTUAL and value is not None:
                for each in value if element.VM > 1 else [value]:
                    yield outermost or int(tag), outermost > 0, element.VR, str(each)
        except Exception:  # damaged: its bytes were searched
            continue


def _digits(value: str) -> str:
    try:
        number = float(value)
    except ValueError:
        return ""
    whole = math.isfinite(number) and number.is_integer() and abs(number) < 1e18
    return str(abs(int(number))) if whole else ""
