"""By which names, numbers and dates a patient would be recognized, and whether a value holds one.

Names are compared by tokens, as they sound in ASCII: a token is a run of letters or a run of
digits, and whatever stands between two of them separates them. Tokens that were split are also
compared joined, so that ``Muster-mann`` is ``Mustermann``.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import permutations
from typing import Final

from anyascii import anyascii
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from deepfixcx.deidentify.patient import elements_of, text_values
from deepfixcx.deidentify.table import read_table

__all__ = ["Identity"]

IDENTIFYING: Final = frozenset(
    {0x00080050, 0x00080080, 0x00080081, 0x00100020, 0x00100021, 0x00101000, 0x00101040}
    | {0x00101050, 0x00101090, 0x00102154, 0x00102155, 0x00200010, 0x00380010, 0x00380060}
)
"""Elements besides names whose words would tell who it is: numbers of the patient, the examination
and the admission; addresses, telephone numbers, the institution."""

NUMBERED: Final = frozenset({0x0010, 0x0032, 0x0038, 0x0040})
"""Groups of the patient, the request, the visit and the procedure; their numbers are theirs."""

SHORTEST_WORD, SHORTEST_PART, SHORTEST_NUMBER, SHORTEST_INITIALS = 4, 5, 4, 3
"""Letters of a word of an address; of a name that is found inside a longer word; digits; letters
of initials without signs between."""

SHORTEST_IN_BINARY: Final = ((64, 2), (4096, 3))
"""Letters of a name that is searched in bytes that are no text, by how many bytes there are at
most; four in more of them, where shorter ones stand by chance."""

NO_DATE: Final = frozenset({"19000101", "19700101", "18991230", "18000101", "99991231"})
"""What programs write where they know no date."""

_TOKEN: Final = re.compile(r"[a-z]+|[0-9]+")
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PRINTABLE: Final = re.compile(rb"[\x20-\x7e\x80-\xff]{2,}")
_SOUNDS: Final = tuple(
    (re.compile(sound), letter)
    for sound, letter in (
        ("^mac", "mc"), (r"[ck]h|ck|c|q", "k"), (r"s[ck]h?|sh|tsch|z", "s"), ("th", "t"),
        ("ph|w|v", "f"), ("oy", "ou"), ("ae|oe|ue", lambda found: found[0][0]), ("[yj]", "i"),
        (r"(.)\1+", r"\1"),
    )
)  # fmt: skip
"""Ways to write one sound, so that Müller is Mueller and Muller, and Иванов is Iwanow."""

_MONTHS: Final = {
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


@dataclass(slots=True)
class Identity:
    """The names, numbers and dates of everybody that a header names.

    Attributes
    ----------
    words, joined : set of str
        Single parts of names and words of addresses; several of them without what separates them.
        Both as `_sound` writes them.
    parts : set of str
        Parts of names in letters that are no Latin ones, which are found anywhere in a text.
    numbers : set of str
        Digits without leading zeros, and short ones with them.
    dates : set of (int, int, int)
        Year, month and day; a year of two digits stands beside that of four.
    """

    words: set[str] = field(default_factory=set)
    joined: set[str] = field(default_factory=set)
    initials: set[str] = field(default_factory=set)
    parts: set[str] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)
    dates: set[tuple[int, int, int]] = field(default_factory=set)

    @classmethod
    def of(cls, dataset: Dataset) -> Identity:
        """Collect them from a header, at every depth of nesting."""
        made = cls()
        for element in elements_of(dataset):
            tag, texts = element.tag, text_values(element)
            if element.VR == "PN":
                made._add_names(texts)
            elif element.VR in ("DA", "DT"):
                made._add_dates(texts)
            elif tag in IDENTIFYING:
                made._add_words(texts)
            elif _is_numbered(tag) and element.VR in ("LO", "SH", "UC"):
                made._add_numbers(number for text in texts for number in re.findall(r"\d+", text))
        return made

    def stands_in_text(self, text: str, *, shortest: int = 1) -> bool:
        """Return whether a text holds a name, number or date of these."""
        folded = _folded(text)
        for spelled in {folded.lower(), _CAMEL.sub(" ", folded).lower()}:
            tokens = _TOKEN.findall(spelled)
            if self._among([each for each in tokens if len(each) >= shortest], shortest):
                return True
            if self._is_joined([each for each in tokens if len(each) >= min(shortest, 2)]):
                return True
        plain = unicodedata.normalize("NFKC", text).casefold()
        if any(part in plain for part in self.parts):
            return True
        return any(found in self.dates for found in _dates_in(folded.lower()))

    def is_number(self, value: object) -> bool:
        """Return whether a number, or a text of one, is a number or a date of these."""
        try:
            number = float(str(value))
        except ValueError:
            return self.stands_in_text(str(value))
        if not number.is_integer() or abs(number) >= 1e18:
            return self.stands_in_text(str(value))
        digits = str(abs(int(number)))
        return digits in self.numbers or any(each in self.dates for each in _dates_in(digits, 8))

    def has_number(self, text: str) -> bool:
        """Return whether one of the runs of digits of a text is a number of these."""
        return any(each in self.numbers for each in re.findall(r"\d+", text))

    def stands_in_bytes(self, value: bytes, encodings: Iterable[str] = ()) -> bool:
        """Return whether bytes hold one, in any encoding that headers and programs use."""
        for part in self.parts:
            for written in {part, part.title(), part.upper()}:
                for form in (*_WIDE, *_FOREIGN, *encodings):
                    packed = written.encode(form, "ignore")
                    if len(packed) > 3 and packed in value:
                        return True
        shortest = next((least for most, least in SHORTEST_IN_BINARY if len(value) <= most), 4)
        for form in ("utf-8", *(_WIDE if b"\0" in value else ())):
            for text in _texts(value, form):
                return self.stands_in_text(text)
        runs = [run for run in _PRINTABLE.findall(value) if len(run) >= shortest]
        for encoding in {"latin-1", "utf-8", *encodings}:
            for run in runs:
                if self.stands_in_text(run.decode(encoding, "replace"), shortest=shortest):
                    return True
        wide = [value[start:].decode(form, "replace") for start in (0, 1) for form in _WIDE]
        return any(
            self.stands_in_text(run, shortest=shortest)
            for text in wide
            for run in re.findall(r"[0-9A-Za-zÀ-ɏ]{2,}(?:[ -~]+[0-9A-Za-zÀ-ɏ]+)*", text)
        )

    def _among(self, tokens: list[str], shortest: int) -> bool:
        for token in tokens:
            if token.isdigit():
                if token in self.numbers or token.lstrip("0") in self.numbers:
                    return True
                continue
            sound = _sound(token)
            if token in self.joined:
                return True
            # Among bytes that are no text, few letters that sound alike are no name.
            alike = shortest < SHORTEST_WORD or len(sound) >= SHORTEST_WORD
            if alike and (sound in self.words or sound in self.joined):
                return True
            if token in self.initials and len(token) >= SHORTEST_INITIALS:
                return True
            if any(word in sound for word in self.words if len(word) >= SHORTEST_PART):
                return True
        return False

    def _is_joined(self, tokens: list[str]) -> bool:
        known = self.joined | self.words | self.numbers
        longest = max(map(len, known), default=0) + 8
        for first in range(len(tokens)):
            run = tokens[first]
            single = len(run) == 1
            for token in tokens[first + 1 :]:
                run += token
                single = single and len(token) == 1
                if len(run) > longest:
                    break
                if run.isdigit() and len(run) >= SHORTEST_NUMBER and run.lstrip("0") in known:
                    return True
                if single and run in self.initials:
                    return True
                if len(run) >= SHORTEST_WORD and run in self.joined:
                    return True
                if len(sound := _sound(run)) >= SHORTEST_WORD and sound in known:
                    return True
        return False

    def _add_names(self, names: Iterable[str]) -> None:
        for name in names:
            for group in name.split("="):  # alphabetic, ideographic, phonetic
                parts = [part for part in re.split(r"[\s^,;=]+", group) if part]
                for part in parts:
                    tokens = _TOKEN.findall(_folded(part).lower())
                    self.words |= {_sound(each) for each in tokens if _is_name(each, tokens)}
                    self._join(tokens)
                    if not _is_latin(part) and len(part) > 1:
                        self.parts.add(unicodedata.normalize("NFKC", part).casefold())
                spelled = [_folded(part).lower() for part in parts]
                self._add_orders(["".join(_TOKEN.findall(each)) for each in spelled])

    def _add_orders(self, parts: list[str]) -> None:
        """Add the parts of a name in any order, and with initials instead of some."""
        parts = [part for part in parts if part][:4]
        if len(parts) < 2:
            return
        for count in range(2, len(parts) + 1):
            for order in permutations(parts, count):
                self._join(order)
        for one, other in permutations(parts, 2):
            if len(other) > 2:
                self.joined |= {one[0] + other, other + one[0]}
        letters = [part[0] for part in parts if part.isalpha()]
        for count in range(2, len(letters) + 1):
            self.initials |= {"".join(order) for order in permutations(letters, count)}

    def _add_words(self, texts: Iterable[str]) -> None:
        for text in texts:
            tokens = _TOKEN.findall(_folded(text).lower())
            letters = [each for each in tokens if each.isalpha()]
            self.words |= {_sound(each) for each in letters if len(each) >= SHORTEST_WORD}
            self._add_numbers(each for each in tokens if each.isdigit())
            self._join(tokens)
            if all(map(str.isdigit, tokens)):
                self._add_numbers(["".join(tokens)])

    def _add_numbers(self, numbers: Iterable[str]) -> None:
        for number in numbers:
            if len(number) >= SHORTEST_NUMBER:
                bare = number.lstrip("0")
                self.numbers |= {number, bare} if len(bare) >= SHORTEST_NUMBER else {number}
        self.numbers.discard("")

    def _add_dates(self, texts: Iterable[str]) -> None:
        for text in texts:
            digits = re.sub(r"\D", "", text)[:8]
            if len(digits) == 8 and digits not in NO_DATE and digits >= "1800":
                year, month, day = int(digits[:4]), int(digits[4:6]), int(digits[6:])
                self.dates |= {(year, month, day), (year % 100, month, day)}

    def _join(self, tokens: Iterable[str]) -> None:
        run = "".join(tokens)
        if len(run) >= SHORTEST_WORD and not run.isdigit():
            self.joined |= {run, _sound(run)}


_WIDE: Final = ("utf-16-le", "utf-16-be")
_FOREIGN: Final = ("utf-8", "gb18030", "big5", "shift_jis", "euc_jp", "euc_kr", "cp1251")


def _texts(value: bytes, encoding: str) -> Iterator[str]:
    """Yield bytes as a text, if all of them are one."""
    try:
        text = value.decode(encoding).strip("\0 ")
    except UnicodeDecodeError:
        return
    latin = all(ord(letter) < 0x250 for letter in text) or encoding == "utf-8"
    if text and latin and all(each.isprintable() or each in "\r\n\t" for each in text):
        yield text


def _is_numbered(tag: BaseTag) -> bool:
    """Return whether an element holds a number of a patient, a request or a visit.

    What some option of the profile keeps, a description or an ethnic group, is none.
    """
    row = read_table().row(tag)
    return tag.group in NUMBERED and row is not None and not row.options


def _is_name(token: str, beside: list[str]) -> bool:
    """Return whether a token of a part of a name is compared alone: ``Li``, but not CT of CT1."""
    mixed = any(each.isdigit() for each in beside)
    return token.isalpha() and len(token) >= (3 if mixed else 2)


def _is_latin(text: str) -> bool:
    return all(ord(letter) < 0x250 or unicodedata.combining(letter) for letter in text)


@functools.lru_cache(1 << 15)
def _sound(word: str) -> str:
    """Return a word in ASCII as it sounds, roughly; what sounds alike becomes equal."""
    for pattern, letter in _SOUNDS:
        word = pattern.sub(letter, word)
    return word


def _folded(text: str) -> str:
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


def _dates_in(text: str, shortest: int = 6) -> Iterator[tuple[int, int, int]]:
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
                if found["n"] in _MONTHS:
                    yield int(found["y"]), _MONTHS[found["n"]], int(found["d"])
            else:
                yield int(found["y"]), int(found["m"]), int(found["d"])
