"""Elements in the usual form, which need no object of pydicom: texts, dates, numbers, UIDs.

Each function is a short form of `Walk` for one kind of value, and returns nothing for values that
it does not know. A test compares the two byte by byte.
"""

from __future__ import annotations

import functools
import re
from struct import calcsize, iter_unpack
from typing import Final, NamedTuple

from pydicom.dataset import Dataset

from deepfixcx.deidentify.actions import Action
from deepfixcx.deidentify.deidentifier import Deidentifier, is_device_tag
from deepfixcx.deidentify.elements import DUMMIES, is_registered
from deepfixcx.deidentify.identity import Identity, kind_of
from deepfixcx.deidentify.leftovers import SIZES
from deepfixcx.deidentify.marks import Marks, Questions, marks_of
from deepfixcx.deidentify.profile import Profile
from deepfixcx.deidentify.stream import Coding, Element, standard_vr
from deepfixcx.deidentify.walking import (
    CODE_TAGS,
    FREE_TEXT,
    TECHNICAL,
    TEXT_VALUE,
    cleaned,
    shifted,
)

__all__ = ["Known", "is_plain_set", "plain_known"]


class Known(NamedTuple):
    """What becomes of an element (no bytes: it is removed), and what is compared.

    An own one holds a pseudonym or a date of its patient. One that went through `Walk` has its old
    and new header, and the paths that an option kept.
    """

    content: bytes = b""
    states: Identity | None = None
    marks: Marks = frozenset()
    asks: Marks = frozenset()
    device: bool = False
    own: bool = False
    old: Dataset = Dataset()
    header: Dataset | None = None
    kept: frozenset[str] = frozenset()


_TEXTS: Final = frozenset(b"AE AS CS DA DT LO LT PN SH ST TM UC UR UT".split())
_SEVERAL: Final = frozenset(b"AE AS CS DA DT LO PN SH TM UC".split())
_CLEANED: Final = frozenset(b"LO LT SH ST UT".split())
_NUMBERS: Final = {b"US": "H", b"SS": "h", b"UL": "L", b"SL": "l", b"FL": "f", b"FD": "d"}
_MOST_BYTES: Final = 128

_SETS: Final = re.compile(rb"(?:ISO_IR (?:6|100|101|109|110|126|127|138|144|148|166|192)) ?")
"""Character sets in which ASCII stays what it is."""

_ASCII: Final = re.compile(rb"[\x20-\x7e\r\n\t]*\0?")
_MOVED: Final = {
    b"DA": re.compile(rb"\d{8}"),
    b"DT": re.compile(rb"\d{8}(?:\d{6}(?:\.\d{1,6})?)?(?:[+-]\d{4})? ?"),
    b"TM": re.compile(rb"[\d:.]+ ?"),
}
_DECIMALS: Final = re.compile(rb"[-+]?\d[\d.]{0,11}(?:[eE][-+]?\d\d?)?(?:\\[-+]?\d[\d.]{0,11})* ?")
_WHOLE: Final = re.compile(rb"-?\d{1,9}(?:\\-?\d{1,9})* ?")
_UID: Final = re.compile(rb"([0-9.]{1,64})\0?")


def is_plain_set(name: bytes | None) -> bool:
    """Return whether a character set is one in which ASCII stays what it is."""
    return not name or _SETS.fullmatch(name) is not None


def plain_known(
    by: Deidentifier, coding: Coding, each: Element, raw: bytes, days: int
) -> Known | None:
    """Return what becomes of an element whose value is in the usual form."""
    tag, standard = each.tag, standard_vr(each.tag)
    vr, value = each.vr or standard, raw[each.value - each.first :]
    if tag >> 16 & 1:  # private
        known = each.vr in _TEXTS and _ASCII.fullmatch(value)
        return _removed(by.profile, tag, vr, value) if known else None
    if not standard or tag >> 24 in (0x50, 0x60) or each.vr not in (b"", standard):
        return None
    action = by.profile.action(tag)
    if vr == b"UI":
        return _uid(by, coding, raw, value, action)
    if vr in _TEXTS:
        return _text(by, coding, tag, vr, raw, value, action, days)
    if action in (None, Action.KEEP) and (vr in _NUMBERS or vr in (b"DS", b"IS")):
        return _number(coding, tag, vr, raw, value)
    return None


def _uid(
    by: Deidentifier, coding: Coding, raw: bytes, value: bytes, action: Action | None
) -> Known | None:
    plain = _UID.fullmatch(value)
    if not plain or len(value) % 2 or action not in (None, Action.UID, Action.REMOVE):
        return None
    uid = plain[1].decode()
    if is_registered(uid):
        return Known(raw) if action is not Action.REMOVE else Known()
    identity = Identity(uids={uid})
    if action is Action.REMOVE:
        return Known(b"", identity, marks_of(identity))
    new = by.key.uid(uid).encode()
    made = coding.encoded(raw, b"UI", new + bytes(len(new) % 2))
    return Known(made, identity, marks_of(identity))


def _text(
    by: Deidentifier,
    coding: Coding,
    tag: int,
    vr: bytes,
    raw: bytes,
    value: bytes,
    action: Action | None,
    days: int,
) -> Known | None:
    if len(value) % 2 or not _ASCII.fullmatch(value):
        return None
    profile, form = by.profile, _MOVED.get(vr)
    text, several = value.decode().strip(" \0"), vr in _SEVERAL and b"\\" in value
    if action is None:
        action = _action_of_unlisted(profile, tag, vr)
    if action is None and vr in (b"LO", b"SH") and tag not in TECHNICAL | CODE_TAGS:
        if several:
            return None
        # A short text that the table does not name: harmless words, or a dummy for all of it.
        new = cleaned(text, profile.words)
        action = Action.CLEAN if new else Action.DUMMY if text else Action.EMPTY
    elif action is Action.CLEAN and form is not None:
        if not profile.retain_dates or not form.fullmatch(value):
            return None
        new = shifted(text, vr.decode(), days)
        if not new:
            return None
    elif action is Action.CLEAN:
        if vr not in _CLEANED or several:
            return None
        new = cleaned(text, profile.words)
        action = action if new else profile.basic(tag) or Action.REMOVE
    known = _removed(profile, tag, vr, value)
    if action is Action.CLEAN:
        questions = Questions()
        (questions.has_number if form is not None else questions.stands_in_text)(new)
        return known._replace(
            content=coding.encoded(raw, vr, _even(new.encode())),
            asks=frozenset(questions.marks),
            device=form is not None and is_device_tag(tag),
            own=vr in (b"DA", b"DT"),
        )
    if action in (Action.EMPTY, Action.DUMMY):
        dummy = str(DUMMIES[vr.decode()]).encode() if action is Action.DUMMY else b""
        return known._replace(content=coding.encoded(raw, vr, _even(dummy)))
    return known if action is Action.REMOVE else None


def _even(value: bytes) -> bytes:
    return value + b" " * (len(value) % 2)


def _action_of_unlisted(profile: Profile, tag: int, vr: bytes) -> Action | None:
    """Return what `Walk` does with a text that the table does not name; None where it depends."""
    if vr in _MOVED:
        if profile.retain_dates:
            return Action.CLEAN
        return None if profile.retain_full_dates else Action.REMOVE
    if vr.decode() not in FREE_TEXT or (tag == TEXT_VALUE and profile.clean_structured):
        return None
    return Action.REMOVE


def _number(coding: Coding, tag: int, vr: bytes, raw: bytes, value: bytes) -> Known | None:
    if vr in (b"DS", b"IS"):
        if len(value) % 2 or not (_DECIMALS if vr == b"DS" else _WHOLE).fullmatch(value):
            return None
        numbers: list[object] = [*value.decode().strip().split("\\")]
    else:
        form = ("<" if coding.little else ">") + _NUMBERS[vr]
        if not value or len(value) % calcsize(form) or len(value) > _MOST_BYTES:
            return None
        numbers = [number for (number,) in iter_unpack(form, value)]
    questions = Questions()
    if tag not in SIZES:
        for number in numbers:
            questions.is_number(number)
    return Known(raw, asks=frozenset(questions.marks))


def _removed(profile: Profile, tag: int, vr: bytes, value: bytes) -> Known:
    """Return what an element states of the patient, which is removed."""
    kind = _kind(profile, tag, vr)
    if not kind:
        return Known()
    return Known(b"", *_stated(kind, value.decode(), several=vr in _SEVERAL))


@functools.lru_cache(1 << 12)
def _kind(profile: Profile, tag: int, vr: bytes) -> str:
    return kind_of(tag, vr.decode(), kept=profile.keeps_identifier(tag))


@functools.lru_cache(1 << 12)
def _stated(kind: str, text: str, *, several: bool) -> tuple[Identity | None, Marks]:
    identity = Identity()
    identity.add(kind, [each.strip(" \0") for each in (text.split("\\") if several else [text])])
    marks = marks_of(identity)
    return (identity if len(marks) > 1 else None), marks
