"""How names sound, and how dates and bytes are written: texts made comparable."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

from anyascii import anyascii

__all__ = [
    "CAMEL",
    "ESCAPES",
    "FOREIGN",
    "LONG_FORMS",
    "MONTHS",
    "TOKEN",
    "WIDE",
    "dates_in",
    "folded",
    "is_apart",
    "is_latin",
    "packed_forms",
    "runs_in",
    "skeleton",
    "sound",
    "whole_texts",
]

TOKEN: Final = re.compile(r"[a-z]+|[0-9]+")
CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SOUNDS: Final = tuple(
    (re.compile(written), letter)
    for written, letter in (
        ("^mac", "mc"), (r"[ck]h|ck|c|q", "k"), (r"s[ck]h?|sh|tsch|z", "s"), ("th", "t"),
        ("ph|w|v", "f"), ("oy", "ou"), ("ae|oe|ue", lambda found: found[0][0]), ("[yj]", "i"),
        (r"(.)\1+", r"\1"),
    )
)  # fmt: skip
"""Ways to write one sound, so that Müller is Mueller and Muller, and Иванов is Iwanow."""

_CONSONANTS: Final = str.maketrans("vwpz", "fffs", "aeiouyjhckq")
_TWICE: Final = re.compile(r"(.)\1+")
MONTHS: Final = {
    word: number
    for number, words in enumerate(
        (
            "jan january januar janvier enero gennaio januari janeiro ene gen",
            "feb february februar fevrier febrero febbraio februari fevereiro fev",
            "mar march marz maerz mars marzo maart marco mrz",
            "apr april avril abril aprile avr abr",
            "may mai mayo maggio mei maio mag",
            "jun june juni juin junio giugno junho giu",
            "jul july juli juillet julio luglio julho lug",
            "aug august aout agosto augustus ago",
            "sep sept september septembre septiembre settembre setembro set",
            "oct october oktober octobre octubre ottobre outubro okt ott out",
            "nov november novembre noviembre novembro",
            "dec december dezember decembre diciembre dicembre dezembro dez dic",
        ),
        start=1,
    )
    for word in words.split()
}
_YEAR, _ANY_YEAR = r"(?P<y>\d{4})", r"(?P<y>\d{4}|\d\d)"
_MONTH, _DAY = r"(?P<m>\d{1,2})", r"(?P<d>\d{1,2})"
_NAMED, _GAP, _END = r"(?P<n>[a-z]{3,})", "[ ./_-]{1,2}", r"(?!\d))"
_WORDS = "(?:st|nd|rd|th)?[^0-9a-z]{0,3}(?:(?:de|of|den)[^0-9a-z])?"
_THREE = (r"(?P<a>\d{1,2})", r"(?P<b>\d{1,2})", r"(?P<c>\d{4}|\d\d)")
_DATES: Final = tuple(
    re.compile(r"(?=(?<!\d)" + form)
    for form in (
        "[ ./_:-]{0,2}".join((_YEAR, _MONTH, _DAY)) + _END,
        _GAP.join(_THREE) + _END,
        r"(?P<a>\d\d)(?P<b>\d\d)(?P<c>\d{4}|\d\d)" + _END,
        _WORDS.join((_DAY, _NAMED, _ANY_YEAR)) + _END,
        "(?<![a-z])" + _NAMED + _WORDS.join((r"\W{0,2}" + _DAY, _ANY_YEAR)) + _END,
        r"\W{0,2}".join((_YEAR, _NAMED, _DAY)) + _END,
        r"(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)\d{2,6}" + _END,
    )
)
"""Dates as they are written: with and without signs, of three numbers in any order, with the name
of the month, at the beginning of a moment."""


def is_latin(text: str) -> bool:
    """Return whether a text is of Latin letters, with any accents."""
    return all(ord(letter) < 0x250 or unicodedata.combining(letter) for letter in text)


@functools.lru_cache(1 << 15)
def sound(word: str) -> str:
    """Return a word in ASCII as it sounds, roughly; what sounds alike becomes equal."""
    for pattern, letter in _SOUNDS:
        word = pattern.sub(letter, word)
    return word


@functools.lru_cache(1 << 16)
def skeleton(word: str) -> str:
    """Return the consonants that `sound` keeps apart: words of one sound have one skeleton."""
    return _TWICE.sub(r"\1", word.translate(_CONSONANTS))


def folded(text: str) -> str:
    """Return a text in ASCII: letters without accents, others transliterated."""
    return text if text.isascii() else "".join(map(_ascii, unicodedata.normalize("NFKC", text)))


@functools.lru_cache(1 << 15)
def _ascii(letter: str) -> str:
    if letter.isascii():
        return letter
    if unicodedata.combining(letter):
        return ""
    if letter.isalnum():
        return "".join(filter(str.isalnum, anyascii(letter)))
    return " "


def dates_in(text: str, shortest: int = 6) -> Iterator[tuple[int, int, int]]:
    """Yield what may be a date in a text, in every order of day, month and year."""
    if len(text) < shortest or not any(map(str.isdigit, text)):
        return
    for pattern in _DATES:
        for match in pattern.finditer(text):
            found = match.groupdict()
            if "a" in found:
                one, two, three = (int(found[name]) for name in "abc")
                yield from ((three, two, one), (three, one, two), (one, two, three))
            elif "n" in found:
                if found["n"] in MONTHS:
                    yield int(found["y"]), MONTHS[found["n"]], int(found["d"])
            else:
                yield int(found["y"]), int(found["m"]), int(found["d"])


# -- texts in bytes ----------------------------------------------------------------------

WIDE: Final = ("utf-16-le", "utf-16-be")
FOREIGN: Final = (
    "utf-8", "gb18030", "big5", "shift_jis", "euc_jp", "euc_kr", "cp1251", "koi8-r", "tis-620",
    "iso8859-5", "iso8859-6", "cp1256", "iso8859-7", "iso8859-8", "iso2022_jp", "iso2022_kr",
)  # fmt: skip
_LATIN: Final = ("latin-1", "utf-8", "iso8859-2", "iso8859-9", "cp1250", "cp850")
LONG_FORMS: Final = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "å": "aa", "ø": "oe"}
)
ESCAPES: Final = re.compile(rb"\x1b[$()\-,./][^\x1b]?[A-Z@]?|[\x0e\x0f]")
_CHARACTER: Final = rb"[\x20-\x7e]|[\xc3-\xd1][\x80-\xbf]|[\xc0-\xff](?=[\x20-\x7e])"
_WIDE_LETTERS: Final = (rb"(?:[\x20-\x7e\xc0-\xff]\0)", rb"(?:\0[\x20-\x7e\xc0-\xff])")


def runs_in(value: bytes, least: int, encodings: tuple[str, ...]) -> Iterator[str]:
    """Yield the runs of letters in bytes, in the encodings that they may be in."""
    for found in re.finditer(b"(?:%s){%d,}" % (_CHARACTER, least), value):
        run = found[0]
        forms = {"latin-1"} if run.isascii() else {"latin-1", "utf-8", *encodings}
        yield from (run.decode(form, "replace") for form in forms)
    if b"\0" in value:
        for form, letter in zip(WIDE, _WIDE_LETTERS, strict=True):
            for found in re.finditer(b"%s{%d,}" % (letter, least), value):
                yield found[0].decode(form, "replace")


def packed_forms(written: str, wide: str, encodings: Iterable[str]) -> Iterator[tuple[bytes, int]]:
    """Yield a name or number as bytes with A to Z in small letters, and how wide a letter is."""
    plain = written.isascii()
    cases = (written,) if plain else {written, written.upper(), written.title()}
    done = set()
    for form in (*(("ascii",) if plain else (*_LATIN, *encodings)), *(WIDE if wide else ())):
        for case in cases:
            try:
                packed = case.encode(form).lower()
            except UnicodeEncodeError:
                continue
            if packed not in done:
                done.add(packed)
                yield packed, 2 if form in WIDE else 1


def is_apart(low: bytes, at: int, length: int, stride: int) -> bool:
    """Return whether no letter, and beside digits no digit, stands beside a place."""
    for unit, own in (
        (low[max(0, at - stride) : at], low[at : at + stride]),
        (low[at + length :][:stride], low[at + length - stride :][:stride]),
    ):
        beside, inside = unit.strip(b"\0"), own.strip(b"\0")
        if beside.isdigit() if inside.isdigit() else beside.isalpha():
            return False
    return True


def whole_texts(value: bytes, encoding: str) -> Iterator[str]:
    """Yield bytes as a text, if all of them are one."""
    try:
        text = value.decode(encoding).strip("\0 ")
    except UnicodeDecodeError:
        return
    latin = all(ord(letter) < 0x250 for letter in text) or encoding == "utf-8"
    if text and latin and all(each.isprintable() or each in "\r\n\t" for each in text):
        yield text
