"""One header walked element by element; dates are moved, descriptions reduced to known words."""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Callable
from datetime import date, timedelta
from importlib.resources import files
from typing import Any, Final

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.pixels.utils import get_expected_length
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from deepfixcx.deidentify.actions import Action, Handled
from deepfixcx.deidentify.elements import (
    dummy,
    emptied,
    is_registered,
    made,
    replaced_uids,
    text_values,
)
from deepfixcx.deidentify.key import Key
from deepfixcx.deidentify.profile import PrivateElement, Profile, creator_of
from deepfixcx.errors import DeidentifyError

__all__ = ["PIXEL_TAGS", "Walk", "cleaned", "harmless_words", "shifted"]

PIXEL_TAGS: Final = frozenset(
    {0x7FE00001, 0x7FE00002, 0x7FE00003, 0x7FE00008, 0x7FE00009, 0x7FE00010}
)
GRAPHIC_ANNOTATIONS: Final = 0x00700001
DRAWN: Final = frozenset({0x00081140, 0x00081155, 0x00081150, 0x00081160, 0x00700002, 0x00700009})
"""Of a graphic annotation: which images, which layer, and the lines; not the texts."""

PATIENT_NAME, PATIENT_ID = 0x00100010, 0x00100020
REFERENCED_STUDY: Final = 0x00081110
"""Referenced Study Sequence (X/Z), which may be absent from every object but not be empty."""

ICC_PROFILE: Final = 0x00282000
TEXT_VALUE: Final = 0x0040A160
"""A text of a structured report."""

LONGEST: Final = {"LO": 64, "SH": 16, "ST": 1024, "LT": 10240}
FREE_TEXT: Final = frozenset({"LT", "PN", "ST", "UC", "UR", "UT", "AE"})
"""Kinds of values that are removed where the table does not name their element."""

SHORT_TEXT: Final = frozenset({"LO", "SH"})
TIMES: Final = frozenset({"DA", "DT", "TM"})
STANDARD_SCHEMES: Final = frozenset(
    {"DCM", "SCT", "SRT", "SNM3", "99SDM", "LN", "UCUM", "RADLEX", "FMA", "NCIt", "UMLS", "UNS"}
    | {"I10", "I10P", "I9", "I9C", "ICDO3", "MA", "NEU", "RXNORM"}
)
CODE_SCHEME: Final = 0x00080102
CODE_TAGS: Final = frozenset({0x00080100, CODE_SCHEME, 0x00080103, 0x00080104})
TECHNICAL: Final = frozenset(
    {
        0x00080070, 0x00081090, 0x00181020,  # manufacturer, model, versions of its software
        0x00180024, 0x00181160, 0x00181170, 0x00181210,  # sequence, filter, output, kernel
        0x00181250, 0x00181251, 0x00189005, 0x00209421,  # coils, pulse sequence, dimensions
        0x00201040, 0x00281054, 0x00281055, 0x00283003,  # landmark; units; windows and tables
    }
)  # fmt: skip
"""Short texts that say how an image was made. All others may hold whatever was typed."""
DEEPEST: Final = 64


class Walk:
    """What happens to the elements of one file."""

    def __init__(
        self,
        profile: Profile,
        key: Key,
        pseudonym: str,
        days: int,
        *,
        keep_pixels: bool,
        free_text: Callable[[str], str] | None = None,
    ) -> None:
        self.profile, self.key, self.free_text = profile, key, free_text
        self.pseudonym, self.days = pseudonym, days
        self.keep_pixels = keep_pixels
        self.handled: list[Handled] = []
        self.private_kept = 0

    def header(self, old: Dataset, path: str = "") -> Dataset:
        """Return the new header."""
        if path.count("[") > DEEPEST:
            raise RecursionError
        new = Dataset()
        for tag in sorted(old.keys(), key=int):
            where = f"{path}{Tag(tag)}".replace(" ", "")
            try:
                element = old[tag]
                if element.VR != "SQ":
                    text_values(element)
            except Exception:  # pydicom raises whatever damaged bytes lead to
                self._note(where, Action.REMOVE, "unreadable")
                continue
            kept = self._element(old, element, where)
            if kept is not None:
                new.add(kept)
        self._keep_creators(old, new)
        return new

    def _element(self, old: Dataset, element: DataElement, where: str) -> DataElement | None:
        tag = element.tag
        if tag.group in (0x0000, 0x0002) or tag.element == 0:
            self._note(where, Action.REMOVE, "file")
            return None
        if tag.is_private:
            return self._private(old, element, where)
        if tag in PIXEL_TAGS:
            return _without_padding(old, element) if self.keep_pixels else None
        number = int(tag)  # a tag of pydicom compares slowly
        action = self.profile.action(number)
        if action is None:
            return self._unlisted(old, element, where)
        rule = self.profile.rule(number)
        if rule is not None and rule.text is not None:
            self._note(where, action, "rule")
            return made(element, rule.text)
        reason = "table" if action is self.profile.basic(number) else "option"
        return self._listed(element, where, action, "rule" if rule else reason)

    def _listed(
        self, element: DataElement, where: str, action: Action, reason: str
    ) -> DataElement | None:
        """Do what the table says."""
        if action is Action.CLEAN:
            done = self._cleaned(element, where)
            if done is not None:
                self._note(where, Action.CLEAN, reason)
                return done
            # Nothing of it is known to be harmless: what the Basic Profile does.
            basic = self.profile.basic(element.tag)
            return self._listed(element, where, basic or Action.REMOVE, "table")
        if action is Action.EMPTY and element.tag == REFERENCED_STUDY:
            action = Action.REMOVE
        self._note(where, action, reason)
        if action is Action.REMOVE:
            return None
        if action is Action.KEEP:
            return self._copied(element, where)
        if action is Action.DUMMY and element.VR == "SQ":
            element = self._copied(element, where)
        if element.tag in (PATIENT_NAME, PATIENT_ID):
            return made(element, self.pseudonym)
        if action is Action.EMPTY:
            return emptied(element)
        if action is Action.UID:
            inside = element.VR == "SQ"
            return self._copied(element, where) if inside else replaced_uids(element, self.key)
        return dummy(element, self.key)

    def _unlisted(self, old: Dataset, element: DataElement, where: str) -> DataElement | None:
        """Do what is safe with an element that the table does not name."""
        tag, vr = element.tag, element.VR
        if tag.group >> 8 in (0x50, 0x60):  # an overlay or curve, whose data were removed
            self._note(where, Action.REMOVE, "kind")
            return None
        try:
            dictionary_VR(tag)
        except KeyError:
            self._note(where, Action.REMOVE, "kind")
            return None
        if vr == "SQ":
            return self._copied(element, where)
        if vr in TIMES and self.profile.retain_dates:
            self._note(where, Action.CLEAN, "kind")
            return self._moved(element)
        if vr in TIMES and self.profile.retain_full_dates:
            return copy.copy(element)
        if tag == TEXT_VALUE and self.profile.clean_structured:
            self._note(where, Action.CLEAN, "option")
            text = self._cleaned(element, where) if self.free_text is not None else None
            return text or dummy(element, self.key)  # a content item without its text is invalid
        if vr in FREE_TEXT or vr in TIMES or vr == "UN":
            self._note(where, Action.REMOVE, "kind")
            return None
        if vr == "UI":
            if all(is_registered(text) for text in text_values(element) if text):
                return copy.copy(element)
            self._note(where, Action.UID, "kind")
            return replaced_uids(element, self.key)
        if tag == ICC_PROFILE:
            profile = _without_texts(element.value)
            sound = (Action.CLEAN, "kind") if profile else (Action.REMOVE, "unreadable")
            self._note(where, *sound)
            return made(element, profile) if profile else None
        if vr in SHORT_TEXT and not _is_technical(old, tag):
            text = self._harmless(element)
            self._note(where, Action.CLEAN, "kind")
            empty = any(text_values(element)) and not any(text)
            return dummy(element, self.key) if empty else made(element, text)
        return copy.copy(element)

    def _private(self, old: Dataset, element: DataElement, where: str) -> DataElement | None:
        tag = element.tag
        if tag.is_private_creator:
            return None  # comes back where something of its block stays
        named = PrivateElement(creator_of(old, tag), tag.group, tag.element & 0xFF)
        if named not in self.profile.private:
            self._note(where, Action.REMOVE, "private")
            return None
        self.private_kept += 1
        if element.VR == "UI":
            self._note(where, Action.UID, "private")
            return replaced_uids(element, self.key)
        self._note(where, Action.KEEP, "private")
        return self._copied(element, where)

    def _cleaned(self, element: DataElement, where: str) -> DataElement | None:
        """Clean an element, or return None where nothing of it is known to be harmless."""
        if element.tag == GRAPHIC_ANNOTATIONS:
            return self._drawn(element, where)
        if element.VR == "SQ":
            return self._copied(element, where)
        if element.VR in TIMES:
            moved = self._moved(element)
            return moved if any(text_values(moved)) else None
        if element.VR == "AE":
            titles = [self.key.title(text) for text in text_values(element) if text]
            return made(element, titles) if titles else None
        if element.VR in SHORT_TEXT | FREE_TEXT and element.VR not in ("PN", "UR"):
            text = self._harmless(element, sentences=True)
            return made(element, text) if any(text) else None
        return None

    def _drawn(self, element: DataElement, where: str) -> DataElement | None:
        copied = self._copied(element, where)
        for item in copied.value:
            for tag in _tags(item):
                if tag not in DRAWN:
                    del item[tag]
        drawn = [item for item in copied.value if 0x00700009 in item]
        return made(element, Sequence(drawn)) if drawn else None

    def _copied(self, element: DataElement, where: str) -> DataElement:
        if element.VR != "SQ":
            return copy.copy(element)
        items = [
            self.header(item, f"{where}[{number}]")
            for number, item in enumerate(element.value or [])
        ]
        return made(element, Sequence(items))

    def _moved(self, element: DataElement) -> DataElement:
        values = [shifted(text, element.VR, self.days) for text in text_values(element)]
        return made(element, values if len(values) > 1 else "".join(values))

    def _harmless(self, element: DataElement, *, sentences: bool = False) -> Any:
        if sentences and self.free_text is not None:
            values = [
                self.free_text(text)[: LONGEST.get(element.VR)] for text in text_values(element)
            ]
        else:
            values = [cleaned(text, self.profile.words) for text in text_values(element)]
        return values if len(values) > 1 else "".join(values)

    def _keep_creators(self, old: Dataset, new: Dataset) -> None:
        for tag in _tags(new):
            creator = BaseTag((tag.group << 16) | tag.element >> 8)
            if tag.is_private and creator in old and creator not in new:
                new.add(copy.copy(old[creator]))

    def _note(self, where: str, action: Action, reason: str) -> None:
        self.handled.append(Handled(where, action, reason))


def _tags(dataset: Dataset) -> list[BaseTag]:
    return list(dataset.keys())  # iterating over a dataset yields its elements


def _is_technical(item: Dataset, tag: BaseTag) -> bool:
    """Return whether a short text is a technical one, or belongs to a code that everybody uses."""
    if tag not in CODE_TAGS:
        return tag in TECHNICAL
    scheme = item.get(CODE_SCHEME)
    return scheme is not None and str(scheme.value or "").strip() in STANDARD_SCHEMES


def _without_padding(header: Dataset, element: DataElement) -> DataElement:
    """Cut what stands behind the last pixel; it may be a note of anyone's."""
    copied = copy.copy(element)
    if element.is_undefined_length or not isinstance(element.value, bytes):
        return copied
    try:
        length = int(get_expected_length(header))
    except Exception:  # pydicom raises whatever is missing or damaged
        length = -1
    if length < 0:
        raise DeidentifyError(
            "the header does not state the number of pixels, so data after them cannot be "
            "removed; exclude this image"
        )
    copied.value = element.value[:length] + b"\0" * (length % 2)
    return copied


_NUMERIC: Final = frozenset(
    {b"XYZ ", b"curv", b"para", b"mft1", b"mft2", b"mAB ", b"mBA ", b"sf32", b"sig ", b"meas"}
    | {b"view", b"chrm", b"ui08", b"ui16", b"ui32", b"uf32"}
)
"""Types of the tags of a colour profile that hold no text."""


def _without_texts(profile: Any) -> bytes:
    """Return a colour profile without its texts; empty where it is no sound one."""
    if not isinstance(profile, bytes) or profile[36:40] != b"acsp":
        return b""
    kept = bytearray(len(profile))
    kept[:84] = profile[:84]
    count = int.from_bytes(profile[128:132], "big")
    kept[128 : 132 + 12 * count] = profile[128 : 132 + 12 * count]
    for at in range(132, 132 + 12 * count, 12):
        start, length = (int.from_bytes(profile[at + n : at + n + 4], "big") for n in (4, 8))
        if not 132 + 12 * count <= start <= start + length <= len(profile):
            return b""
        numeric = profile[start : start + 4] in _NUMERIC
        kept[start : start + (length if numeric else min(8, length))] = profile[
            start : start + (length if numeric else min(8, length))
        ]
    size = min(len(profile), int.from_bytes(profile[:4], "big"))
    return bytes(kept[: size + size % 2])


_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})|(\d{4})\.(\d{2})\.(\d{2})")
_MOMENT = re.compile(r"(\d{4})(\d{2})?(\d{2})?(\d{0,6}(?:\.\d{1,6})?(?:[+-]\d{4})?)")


def shifted(text: str, vr: str, days: int) -> str:
    """Move one date or moment; times of day stay."""
    text = text.strip(" \0")
    if vr == "TM":
        return text if re.fullmatch(r"[\d:.]+", text) else ""
    found = (_DATE if vr == "DA" else _MOMENT).fullmatch(text)
    if found is None:
        return ""
    if vr == "DA":
        year, month, day = (found[n] or found[n + 3] for n in (1, 2, 3))
        rest = ""
    else:
        year, month, day, rest = found.groups()
    try:
        moved = date(int(year), int(month or 1), int(day or 1)) + timedelta(days)
    except (ValueError, OverflowError):
        return ""
    # A value that ends with its year or month ends there again.
    digits = f"{moved:%m}" * bool(month) + f"{moved:%d}" * bool(day)
    return f"{moved.year:04}{digits}{rest}"


_BETWEEN = re.compile(r"[\s,;:/\\()\[\]{}<>|_+*=^.\-]+")
_TERM = re.compile(
    r"[ctls]\d{1,2}"  # a vertebra
    r"|t[12]w?|t2star|pdw?"  # a weighting
    r"|[234]d|\d{1,3}(?:mm|cm|kv|mas|sec|min)",  # dimensions, sizes, delays
)


@functools.cache
def harmless_words() -> frozenset[str]:
    """Return the words that descriptions may keep: anatomy, sides, positions, technique."""
    text = files("deepfixcx.deidentify").joinpath("words.txt").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return frozenset(" ".join(lines).split())


def _follow_digits(words: list[str]) -> list[bool]:
    """Return the words that follow a number."""
    return [False, *(word.isdigit() for word in words)][: len(words)]


def cleaned(text: str, words: frozenset[str] = frozenset()) -> str:
    """Return what is harmless of a description: known words, and one digit before one of them."""
    own = harmless_words() | {word.casefold() for word in words}
    found = _BETWEEN.split(text)
    known = [word.casefold() in own or bool(_TERM.fullmatch(word.casefold())) for word in found]
    counts = [
        len(word) == 1 and word.isascii() and word.isdigit() and known[number + 1 :][:1] == [True]
        for number, word in enumerate(found)
    ]
    # Digits in a row may be a number of a person that was written with spaces.
    alone = [
        here and not before for here, before in zip(counts, _follow_digits(found), strict=True)
    ]
    kept = [word for word, good, count in zip(found, known, alone, strict=True) if good or count]
    while kept and (kept[-1].casefold() == "and" or kept[-1].isdigit()):
        kept.pop()
    while kept and kept[0].casefold() == "and":
        kept.pop(0)
    return " ".join(kept)
