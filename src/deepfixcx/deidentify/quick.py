"""Headers from bytes to bytes: an element that is known from an earlier file is not handled again.

The headers of a hospital repeat themselves. Each new element passes once through the code for whole
headers (`Walk`, `erase`, `check`), alone with the elements that it depends on. Its new bytes are
kept, with the marks of what it states of the patient and of what its new value would have to be
compared with. Where both meet within a file, the value itself is compared. Whatever is not ordinary
and every find is left to `Deidentifier.apply`; a test compares the two byte by byte.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Sequence
from io import BytesIO
from typing import Final, NamedTuple

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, MediaStorageDirectoryStorage

from deepfixcx.deidentify.actions import Action, Handled, stamp
from deepfixcx.deidentify.deidentifier import Deidentifier, check, claimed, is_device_tag, tag_at
from deepfixcx.deidentify.elements import patient_of
from deepfixcx.deidentify.identity import Identity
from deepfixcx.deidentify.leftovers import erase
from deepfixcx.deidentify.marks import ALWAYS, Questions, marks_of, merged
from deepfixcx.deidentify.plain import Known, Plain, is_plain_set
from deepfixcx.deidentify.silence import silence
from deepfixcx.deidentify.stream import (
    PIXELS,
    Coding,
    Element,
    UnusualError,
    deflated,
    file_meta,
    split,
)
from deepfixcx.deidentify.walking import CODE_SCHEME, PIXEL_TAGS, REFERENCED_STUDY, Walk

__all__ = ["QuickHeader", "quick_header"]

CHARACTER_SET: Final = 0x00080005
KIND, INSTANCE = 0x00080016, 0x00080018
NAME, NUMBER = 0x00100010, 0x00100020

DEPENDED_ON: Final = (CHARACTER_SET, CODE_SCHEME, 0x00280100, 0x00280103)
"""What other elements depend on: character set, whose codes are standard, bits, sign."""

OF_NUMBER: Final = (NUMBER, 0x00100021)
OF_PATIENT: Final = (*OF_NUMBER, NAME, 0x00100030, 0x0020000D, INSTANCE)
"""What `patient_of` reads, if the patient has a number and if not."""

STAMPED: Final = {
    NAME: b"PN", NUMBER: b"LO", 0x00120062: b"CS", 0x00120063: b"LO", 0x00120064: b"SQ",
    0x0018A001: b"SQ", 0x00280303: b"CS",
}  # fmt: skip
"""What every new header gets, whatever the old one has there."""

REFUSED: Final = frozenset({0x00041220, *(PIXEL_TAGS - {PIXELS})})
"""Directories, and pixels that are stored otherwise."""

DATE_OF_DEVICE: Final = "(0018,1200)"
"""Date of Last Calibration: K under Device Identity, C under Modified Dates."""

ABOUT_PIXELS: Final = frozenset({0x0008, 0x0028, 0x2050, 0x7FE0})
"""Groups of elements that state how pixels are stored and shown; overlays are in 60xx."""

LONGEST_KEPT, MOST_KEPT = 1 << 14, 1 << 26
"""Bytes of an element that is kept, and of all, roughly."""


class QuickHeader(NamedTuple):
    """A new header as bytes, and where the old elements lie in the bytes of the file."""

    meta: bytes
    before: bytes
    behind: bytes
    pseudonym: str
    syntax: UID
    coding: Coding
    content: bytes
    elements: dict[int, Element]

    def image(self) -> Dataset:
        """Return what the old header states of the pixels, and the pixels."""
        content, coding = self.content, self.coding
        about = b"".join(
            content[each.first : each.last]
            for tag, each in self.elements.items()
            if tag >> 16 in ABOUT_PIXELS or tag >> 24 == 0x60
        )
        image = read_dataset(BytesIO(about), coding.implicit, coding.little)
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = self.syntax
        return image

    def pixels(self, length: int | None) -> bytes:
        """Return the element of the pixels, cut behind so many bytes where they have a length."""
        each = self.elements[PIXELS]
        raw = self.content[each.first : each.last]
        if length is None or length == each.last - each.value:
            return raw
        value = self.content[each.value : each.value + length] + bytes(length % 2)
        return self.coding.encoded(raw, each.vr, value)

    def file(self, pixels: bytes) -> bytes:
        """Return the new file with an element of pixels."""
        content = b"".join((self.before, pixels, self.behind))
        return self.meta + (deflated(content) if self.syntax.is_deflated else content)


def quick_header(deidentifier: Deidentifier, content: bytes) -> QuickHeader | None:
    """De-identify the header of a file with pixels; None where `Deidentifier.apply` has to."""
    profile = deidentifier.profile
    if profile.private or profile.rules or profile.keep_text:
        return None
    memory = _memory(deidentifier)
    try:
        with silence():
            return memory.header(content)
    except Exception:  # pydicom raises whatever damaged bytes lead to; the other code says what
        return None


@functools.lru_cache(4)
def _memory(deidentifier: Deidentifier) -> _Memory:
    return _Memory(deidentifier)


class _Memory:
    """The elements of earlier files, by what their reading depends on."""

    def __init__(self, deidentifier: Deidentifier) -> None:
        self._by = deidentifier
        self._rooms: dict[Hashable, _Room] = {}

    def header(self, content: bytes) -> QuickHeader:
        """De-identify one header."""
        syntax, coding, content, elements = split(content)
        found = {each.tag: each for each in elements}
        if found.keys() & REFUSED or not {PIXELS, KIND, INSTANCE} <= found.keys():
            raise UnusualError
        if not coding.implicit and (
            found[PIXELS].vr not in (b"OB", b"OW")
            or any(found[tag].vr != vr for tag, vr in STAMPED.items() if tag in found)
        ):
            raise UnusualError
        room = self._room(coding, content, found)
        patient = room.patient(content, found)
        new = room.elements(content, found, patient)
        kind, instance = (new[tag][8:].rstrip(b"\0") for tag in (KIND, INSTANCE))
        if kind == MediaStorageDirectoryStorage.encode():
            raise UnusualError
        tags = sorted(new)
        before = b"".join(new[tag] for tag in tags if tag < PIXELS)
        behind = b"".join(new[tag] for tag in tags if tag > PIXELS)
        meta = file_meta(syntax, kind, instance)
        return QuickHeader(meta, before, behind, patient.pseudonym, syntax, coding, content, found)

    def _room(self, coding: Coding, content: bytes, found: dict[int, Element]) -> _Room:
        around = tuple(
            (tag, content[found[tag].first : found[tag].last])
            for tag in DEPENDED_ON
            if tag in found
        )
        if sum(room.size for room in self._rooms.values()) > MOST_KEPT:
            self._rooms.clear()
        key = (coding.implicit, coding.little, around)
        room = self._rooms.get(key)
        if room is None:
            room = self._rooms[key] = _Room(self._by, coding, around)
        return room


class _Patient:
    """What is known of the elements of one patient, whose pseudonym and shifted dates they hold."""

    def __init__(self, pseudonym: str, days: int) -> None:
        self.pseudonym, self.days = pseudonym, days
        self.known: dict[Hashable, Known] = {}


class _Room:
    """What is known of elements that are read in the same way."""

    def __init__(
        self, by: Deidentifier, coding: Coding, around: tuple[tuple[int, bytes], ...]
    ) -> None:
        self.by, self.coding, self.around = by, coding, around
        name = dict(around).get(CHARACTER_SET)
        self._plain = Plain(by, coding) if is_plain_set(name and name[8:]) else None
        self.size = 0
        self._known: dict[Hashable, Known] = {}
        self._patients: dict[Hashable, _Patient] = {}
        self._stamps: dict[Hashable, dict[int, bytes]] = {}

    def patient(self, content: bytes, found: dict[int, Element]) -> _Patient:
        """Return the patient of a header."""
        number = found.get(NUMBER)
        has_number = number and content[number.value : number.last].strip(b" \0")
        tags = OF_NUMBER if has_number else OF_PATIENT
        parts = [(tag, content[found[tag].first : found[tag].last]) for tag in tags if tag in found]
        key = tuple(parts)
        patient = self._patients.get(key)
        if patient is None:
            known = patient_of(self._read(parts))
            patient = _Patient(self.by.key.pseudonym(known), self.by.key.days(known))
            self._patients[key] = patient
            self.size += 1024
        return patient

    def elements(
        self, content: bytes, found: dict[int, Element], patient: _Patient
    ) -> dict[int, bytes]:
        """Return the new elements by their tag."""
        new: dict[int, bytes] = {}
        used: list[tuple[Known, Hashable, Element]] = []
        shared, own = self._known, patient.known
        for tag, each in found.items():
            if tag == PIXELS:
                continue
            raw = content[each.first : each.last]
            key: Hashable = raw
            if tag & 0x10000:  # what a private element is depends on whose block it is in
                key = (raw, _creator(content, found, tag))
            known = shared.get(key) or own.get(key) or self._learned(key, each, raw, patient)
            if known.content:
                new[tag] = known.content
            if known.states is not None or known.asks or known.device:
                used.append((known, key, each))
        lost = self._compare(used, patient, content, new)
        return new | self._stamped(patient, lost, any(known.device for known, _, _ in used))

    def _stamped(self, patient: _Patient, lost: frozenset[str], device: bool) -> dict[int, bytes]:
        """Return the elements that every new header gets.

        They depend on which elements that an option kept were lost, and on whether a date of a
        device was shifted.
        """
        key = (lost, device)
        if key not in self._stamps:
            walk = self._walk(patient)
            walk.handled += [Handled(path, Action.KEEP, "option") for path in lost]
            if device:
                walk.handled.append(Handled(DATE_OF_DEVICE, Action.CLEAN, "option"))
            erased = [Handled(path, Action.EMPTY, "name inside") for path in lost]
            header = self._read([])
            stamp(header, *claimed(self.by.profile, walk, erased))
            header.PatientName = header.PatientID = "P"
            written = self._written(header)
            self._stamps[key] = {tag: written.get(tag, b"") for tag in STAMPED}
        stamps = self._stamps[key]
        value = patient.pseudonym.encode()
        value += b" " * (len(value) % 2)
        return stamps | {
            tag: self.coding.encoded(stamps[tag], STAMPED[tag], value) for tag in (NAME, NUMBER)
        }

    def _compare(
        self,
        used: list[tuple[Known, Hashable, Element]],
        patient: _Patient,
        content: bytes,
        new: dict[int, bytes],
    ) -> frozenset[str]:
        """Compare values with the patient where marks meet; empty what is of the patient, in place.

        Returns which of these an option had kept.
        """
        marks = frozenset((ALWAYS,)).union(*(known.marks for known, _, _ in used))
        met = [one for one in used if not marks.isdisjoint(one[0].asks)]
        whole = merged(known.states for known, _, _ in used if known.states) if met else Identity()
        lost: set[str] = set()
        for known, key, each in met:
            if known.header is None:
                known = self._walked(key, each, content[each.first : each.last], patient)
                patient.known[key] = known
                self._known.pop(key, None)
            header = Dataset(dict((known.header or Dataset()).items()))
            erased = self._erased(header, whole, patient)
            if not erased:
                continue
            if any("[" in done.path for done in erased):
                self._known.pop(key, None)  # items are changed in place
                patient.known.pop(key, None)
            if any(tag_at(done.path.partition("[")[0]) != each.tag for done in erased):
                raise UnusualError
            check(known.old, header, self.by.profile)
            new[each.tag] = self._written(header).get(each.tag, b"")
            lost |= {done.path for done in erased} & known.kept
        return frozenset(lost)

    def _erased(self, header: Dataset, identity: Identity, patient: _Patient) -> list[Handled]:
        profile = self.by.profile
        return erase(
            header,
            identity,
            frozenset({patient.pseudonym}),
            dates_moved=profile.retain_dates or profile.retain_full_dates,
            keep_pixels=True,
        )

    def _learned(self, key: Hashable, each: Element, raw: bytes, patient: _Patient) -> Known:
        """Return what becomes of an element, and keep it."""
        known = self._plain.known(each, raw, patient.days) if self._plain else None
        if known is None:
            known = self._walked(key, each, raw, patient)
        if len(raw) <= LONGEST_KEPT and each.tag != INSTANCE:
            self.size += 2 * len(raw) + (1024 if known.header else 256)
            (patient.known if known.own else self._known)[key] = known
        return known

    def _walked(self, key: Hashable, each: Element, raw: bytes, patient: _Patient) -> Known:
        """Send an element through the code for whole headers."""
        parts = [(each.tag, raw)]
        if isinstance(key, tuple) and key[1]:
            parts.append((each.tag >> 16 << 16 | (each.tag & 0xFFFF) >> 8, key[1]))
        old = self._read(parts)
        identity = Identity.of(old, without=self.by.profile.keeps_identifier)
        marks = marks_of(identity)
        action = self.by.profile.action(each.tag)
        if action is Action.REMOVE and not each.tag >> 16 & 1:
            return Known(b"", identity, marks)
        if action is Action.EMPTY and each.vr == b"SQ" and each.tag != REFERENCED_STUDY:
            list(old[each.tag].value or [])  # raises where it cannot be read
            return Known(self.coding.encoded(raw, b"SQ", b""), identity, marks)
        walk = self._walk(patient)
        new = walk.header(old)
        questions = Questions()
        self._erased(new, questions, patient)
        check(old, new, self.by.profile)
        return Known(
            self._written(new).get(each.tag, b""),
            identity if len(marks) > 1 else None,
            marks,
            frozenset(questions.marks),
            any(
                done.action is Action.CLEAN and is_device_tag(tag_at(done.path))
                for done in walk.handled
            ),
            any(
                done.action is Action.CLEAN or tag_at(done.path) in (NAME, NUMBER)
                for done in walk.handled
            ),
            old,
            new,
            frozenset(
                done.path
                for done in walk.handled
                if done.action is Action.KEEP and done.reason == "option"
            ),
        )

    def _walk(self, patient: _Patient) -> Walk:
        return Walk(self.by.profile, self.by.key, patient.pseudonym, patient.days, keep_pixels=True)

    def _read(self, parts: Sequence[tuple[int, bytes]]) -> Dataset:
        """Read elements, with those that their reading depends on."""
        content = b"".join(raw for _, raw in sorted({*self.around, *parts}))
        return read_dataset(BytesIO(content), self.coding.implicit, self.coding.little)

    def _written(self, header: Dataset) -> dict[int, bytes]:
        stream = DicomBytesIO()
        stream.is_implicit_VR, stream.is_little_endian = self.coding.implicit, self.coding.little
        write_dataset(stream, header)
        content = stream.getvalue()
        found = self.coding.elements(content, 0)
        return {each.tag: content[each.first : each.last] for each in found}


def _creator(content: bytes, found: dict[int, Element], tag: int) -> bytes:
    """Return the element that says whose block a private element is in."""
    creator = found.get(tag >> 16 << 16 | (tag & 0xFFFF) >> 8)
    return b"" if creator is None else content[creator.first : creator.last]
