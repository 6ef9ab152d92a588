"""Elements in the usual form, which need no object of pydicom: texts, dates, numbers, UIDs.

`Plain` is a short form of `Walk` and returns nothing for values that it does not know. A test
compares the two byte by byte.
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
from deepfixcx.deidentify.marks import (
    ALWAYS,
    Marks,
    Questions,
    marks_of,
    marks_of_digits,
    marks_of_text,
)
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

__all__ = ["Known", "Plain", "is_plain_set"]


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
_NOTHING: Final[tuple[Identity | None, Marks]] = (None, frozenset())
_UID: Final = re.compile(rb"([0-9.]{1,64})\0?")


def is_plain_set(name: bytes | None) -> bool:
    """Return whether a character set is one in which ASCII stays what it is."""
    return not name or _SETS.fullmatch(name) is not None


class _Plan(NamedTuple):
    """What is done with an element of a tag and kind, whatever its value."""

    work: str = ""
    vr: bytes = b""
    tag: int = 0
    action: Action | None = None
    kind: str = ""
    fallback: Action = Action.REMOVE
    device: bool = False


class Plain:
    """The elements of one profile and coding whose values are in the usual form."""

    def __init__(self, by: Deidentifier, coding: Coding) -> None:
        self._by, self._coding = by, coding
        self._plans: dict[tuple[int, bytes], _Plan] = {}

    def known(self, each: Element, raw: bytes, days: int) -> Known | None:
        """Return what becomes of an element, or None where `Walk` has to say."""
        plan = self._plans.get((each.tag, each.vr))
        if plan is None:
            plan = self._plans[each.tag, each.vr] = self._plan(each)
        value = raw[each.value - each.first :]
        if not plan.work or len(value) % 2:
            return None
        if plan.work == "uid":
            return self._uid(plan, raw, value)
        if plan.work == "number":
            return self._number(plan, raw, value)
        if not _ASCII.fullmatch(value):
            return None
        states, marks = (
            _stated(plan.kind, value.decode(), several=plan.vr in _SEVERAL)
            if plan.kind
            else _NOTHING
        )
        known = Known(b"", states, marks)
        return known if plan.work == "removed" else self._text(plan, raw, value, known, days)

    def _plan(self, each: Element) -> _Plan:
        tag, profile, standard = each.tag, self._by.profile, standard_vr(each.tag)
        vr = each.vr or standard
        action, kept = profile.action(tag), profile.keeps_identifier(tag)
        kind = kind_of(tag, vr.decode(), kept=kept) if vr in _TEXTS else ""
        basic = profile.basic(tag) or Action.REMOVE
        plan = _Plan("", vr, tag, action, kind, basic, is_device_tag(tag))
        if tag >> 16 & 1:  # private
            return plan._replace(work="removed" if each.vr in _TEXTS else "")
        if not standard or tag >> 24 in (0x50, 0x60) or each.vr not in (b"", standard):
            return plan
        if vr == b"UI":
            good = action in (None, Action.UID, Action.REMOVE)
            return plan._replace(work="uid" if good else "")
        if vr not in _TEXTS:
            number = vr in _NUMBERS or vr in (b"DS", b"IS")
            good = number and action in (None, Action.KEEP)
            return plan._replace(work="number" if good else "")
        if action is None:
            action = _action_of_unlisted(profile, tag, vr)
        if action is None and vr in (b"LO", b"SH") and tag not in TECHNICAL | CODE_TAGS:
            return plan._replace(work="words", fallback=Action.DUMMY)
        if action is Action.CLEAN:
            moved = vr in _MOVED and profile.retain_dates
            work = "moved" if moved else "words" if vr in _CLEANED else ""
            return plan._replace(work=work)
        good = action in (Action.REMOVE, Action.EMPTY, Action.DUMMY)
        work = "" if not good else "removed" if action is Action.REMOVE else "replaced"
        return plan._replace(work=work, fallback=action or Action.REMOVE)

    def _uid(self, plan: _Plan, raw: bytes, value: bytes) -> Known | None:
        plain = _UID.fullmatch(value)
        if not plain:
            return None
        uid, removed = plain[1].decode(), plan.action is Action.REMOVE
        if is_registered(uid):
            return Known() if removed else Known(raw)
        known = Known(b"", Identity(uids={uid}), frozenset((ALWAYS, "." + uid)))
        if removed:
            return known
        new = self._by.key.uid(uid).encode()
        made = self._coding.encoded(raw, b"UI", new + bytes(len(new) % 2))
        return known._replace(content=made)

    def _text(self, plan: _Plan, raw: bytes, value: bytes, known: Known, days: int) -> Known | None:
        """Shift a moment, keep the harmless words of a text, or replace it."""
        vr, text = plan.vr, value.decode().strip(" \0")
        if plan.work == "moved":
            new = shifted(text, vr.decode(), days) if _MOVED[vr].fullmatch(value) else ""
            if not new:
                return None
            return known._replace(
                content=self._coding.encoded(raw, vr, _even(new.encode())),
                asks=marks_of_digits(new),
                device=plan.device and plan.action is Action.CLEAN,
                own=vr != b"TM",
            )
        action = plan.fallback
        if plan.work == "words":
            if vr in _SEVERAL and b"\\" in value:
                return None
            new = cleaned(text, self._by.profile.words)
            if new:
                made = self._coding.encoded(raw, vr, _even(new.encode()))
                return known._replace(content=made, asks=marks_of_text(new))
            if plan.action is None and not text:
                action = Action.EMPTY
        if action is Action.REMOVE:
            return known
        if action not in (Action.EMPTY, Action.DUMMY):
            return None
        dummy = str(DUMMIES[vr.decode()]).encode() if action is Action.DUMMY else b""
        return known._replace(content=self._coding.encoded(raw, vr, _even(dummy)))

    def _number(self, plan: _Plan, raw: bytes, value: bytes) -> Known | None:
        if plan.vr in (b"DS", b"IS"):
            if not (_DECIMALS if plan.vr == b"DS" else _WHOLE).fullmatch(value):
                return None
            numbers: list[object] = [*value.decode().strip().split("\\")]
        else:
            form = ("<" if self._coding.little else ">") + _NUMBERS[plan.vr]
            if not value or len(value) % calcsize(form) or len(value) > _MOST_BYTES:
                return None
            numbers = [number for (number,) in iter_unpack(form, value)]
        questions = Questions()
        if plan.tag not in SIZES:
            for number in numbers:
                questions.is_number(number)
        return Known(raw, asks=frozenset(questions.marks))


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


@functools.lru_cache(1 << 12)
def _stated(kind: str, text: str, *, several: bool) -> tuple[Identity | None, Marks]:
    identity = Identity()
    identity.add(kind, [each.strip(" \0") for each in (text.split("\\") if several else [text])])
    marks = marks_of(identity)
    return (identity if len(marks) > 1 else None), marks
