"""By which names, numbers and dates a patient would be recognized, and whether a value holds one.

Names are compared by tokens, as they sound in ASCII: a token is a run of letters or a run of
digits, and whatever stands between two of them separates them. Tokens that were split are also
compared joined, so that ``Muster-mann`` is ``Mustermann``.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import permutations
from typing import Final

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import Dataset

from deepfixcx.deidentify.elements import elements_of, is_registered, text_values
from deepfixcx.deidentify.profile import read_table
from deepfixcx.deidentify.spelling import (
    CAMEL,
    ESCAPES,
    FOREIGN,
    LONG_FORMS,
    TOKEN,
    WIDE,
    dates_in,
    folded,
    is_apart,
    is_latin,
    packed_forms,
    runs_in,
    skeleton,
    sound,
    whole_texts,
)
from deepfixcx.deidentify.walking import harmless_words

__all__ = ["Identity", "kind_of"]

IDENTIFYING: Final = frozenset(
    {0x00080050, 0x00080080, 0x00080081, 0x00100020, 0x00100021, 0x00101000, 0x00101040}
    | {0x00101050, 0x00101090, 0x00102154, 0x00102155, 0x00102299, 0x00200010, 0x00380010}
    | {0x00380060, 0x00080092, 0x00080094, 0x00401102, 0x00401103, 0x00401104}
)
"""Elements besides names whose words identify the patient: numbers of the patient, the examination
and the admission; addresses, telephone numbers, the institution."""

NUMBERED: Final = frozenset({0x0010, 0x0032, 0x0038, 0x0040})
"""Groups of the patient, the request, the visit and the procedure; their numbers are theirs."""

SHORTEST_WORD, SHORTEST_PART, SHORTEST_NUMBER, SHORTEST_INITIALS = 4, 5, 4, 3
"""Letters of a word of an address; of a name that is found inside a longer word; digits; letters
of initials without signs between."""

SHORTEST_IN_BINARY: Final = ((64, 2, 2), (4096, 3, 6), (1 << 62, 4, 8))
"""What counts in bytes that are no text as a whole, by how many bytes there are at most: letters of
a name that stands alone, and letters of a run that is compared as a text. Shorter ones stand by
chance: a name of k letters in n random bytes n / 128**k times."""

SHORTEST_SOUND: Final = 6
"""Letters of a name that is compared by its sound in bytes that are no text."""

NO_DATE: Final = frozenset({"19000101", "19700101", "18991230", "18000101", "99991231"})
"""What programs write where they know no date."""


@dataclass(slots=True)
class Identity:
    """The names, numbers and dates of everybody that a header names."""

    words: set[str] = field(default_factory=set)
    joined: set[str] = field(default_factory=set)
    initials: set[str] = field(default_factory=set)
    parts: set[str] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)
    dates: set[tuple[int, int, int]] = field(default_factory=set)
    uids: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    _skeletons: frozenset[str] = frozenset()
    _prefixes: frozenset[str] = frozenset()
    _inner: tuple[str, ...] = ()

    @classmethod
    def of(cls, dataset: Dataset, without: Callable[[int], bool] = lambda _: False) -> Identity:
        """Collect them from a header, at every depth of nesting, but not from kept identifiers."""
        made = cls()
        for element in elements_of(dataset):
            tag = int(element.tag)
            made.add(kind_of(tag, element.VR, kept=without(tag)), text_values(element))
        made.index()
        return made

    def add(self, kind: str, texts: Iterable[str]) -> None:
        """Add the values of an element of a kind; `index` has to follow."""
        if kind == "PN":
            self._add_names(texts)
        elif kind == "DA":
            self._add_dates(texts)
        elif kind == "UI":
            self.uids |= {text for text in texts if not is_registered(text)}
        elif kind == "words":
            self._add_words(texts)
        elif kind == "numbers":
            self._add_numbers(number for text in texts for number in re.findall(r"\d+", text))

    def stands_in_text(self, text: str, *, shortest: int = 1) -> bool:
        """Return whether a text holds a name, number or date of these."""
        ascii_text = folded(text)
        for spelled in {ascii_text.lower(), CAMEL.sub(" ", ascii_text).lower()}:
            tokens = TOKEN.findall(spelled)
            if self._among([each for each in tokens if len(each) >= shortest], shortest):
                return True
            if self._is_joined(
                [each for each in tokens if len(each) >= min(shortest, 2)], shortest
            ):
                return True
        plain = unicodedata.normalize("NFKC", text).casefold()
        if any(part in plain for part in self.parts):
            return True
        if any(found in self.uids for found in UID_IN_TEXT.findall(text)):
            return True
        least = 1000 if shortest >= SHORTEST_SOUND else 0  # years of two digits stand by chance
        return any(
            found in self.dates and found[0] >= least for found in dates_in(ascii_text.lower())
        )

    def is_number(self, value: object) -> bool:
        """Return whether a number, or a text of one, is a number or a date of these."""
        try:
            number = float(str(value))
        except ValueError:
            return self.stands_in_text(str(value))
        if not number.is_integer() or abs(number) >= 1e18:
            return self.stands_in_text(str(value))
        digits = str(abs(int(number)))
        return digits in self.numbers or any(each in self.dates for each in dates_in(digits, 8))

    def has_number(self, text: str) -> bool:
        """Return whether one of the runs of digits of a text is a number of these."""
        return any(each in self.numbers for each in re.findall(r"\d+", text))

    def stands_in_bytes(self, value: bytes, encodings: Iterable[str] = ()) -> bool:
        """Return whether bytes hold one, in any encoding that headers and programs use."""
        for form in ("utf-8", *(WIDE if b"\0" in value else ())):
            for text in whole_texts(value, form):
                return self.stands_in_text(text)
        letters, run = next(each[1:] for each in SHORTEST_IN_BINARY if len(value) <= each[0])
        if self._stands_alone(value.lower(), letters, encodings):
            return True
        shortest = 2 if letters == 2 else SHORTEST_SOUND
        return any(
            self.stands_in_text(text, shortest=shortest)
            for text in runs_in(value, run, tuple(encodings))
        )

    def _stands_alone(self, low: bytes, letters: int, encodings: Iterable[str]) -> bool:
        """Return whether a name or number stands in bytes as it is written."""
        for written in (*self.written, *self.numbers):
            if len(written) < letters:
                continue
            for packed, stride in packed_forms(written, "\0" if 0 in low else "", encodings):
                at = low.find(packed)
                while at >= 0:
                    if len(written) >= LONG_WORD or is_apart(low, at, len(packed), stride):
                        return True
                    at = low.find(packed, at + 1)
        return any(
            packed in low
            for part in self.parts
            for form in (*WIDE, *FOREIGN, *encodings)
            for each in (part, part.title(), part.upper())
            if len(packed := ESCAPES.sub(b"", each.encode(form, "ignore")).lower()) > 3
        )

    def index(self) -> None:
        """Note the skeletons of what is searched by its sound, to compare few tokens by it."""
        known = self.joined | self.words | self.numbers
        skeletons = {skeleton(each) for each in known}
        self._skeletons = frozenset(skeletons)
        self._prefixes = frozenset(each[:n] for each in skeletons for n in range(len(each) + 1))
        long = {each for each in self.words if len(each) >= SHORTEST_PART}
        self._inner = tuple({skeleton(each) for each in long})

    def _among(self, tokens: list[str], shortest: int) -> bool:
        for token in tokens:
            if token.isdigit():
                if token in self.numbers or token.lstrip("0") in self.numbers:
                    return True
                continue
            if token in self.initials and len(token) >= SHORTEST_INITIALS:
                return True
            bones = skeleton(token)
            if bones not in self._skeletons and not any(each in bones for each in self._inner):
                continue
            heard = sound(token)
            if token in self.joined:
                return True
            # Among bytes that are no text, few letters that sound alike are no name.
            alike = shortest < SHORTEST_SOUND or len(heard) >= SHORTEST_WORD
            if alike and (heard in self.words or heard in self.joined):
                return True
            if any(word in heard for word in self.words if len(word) >= SHORTEST_PART):
                return True
        return False

    def _is_joined(self, tokens: list[str], shortest: int) -> bool:
        known = self.joined | self.words | self.numbers
        longest = max(map(len, known), default=0) + LONGER_THAN_KNOWN
        for first in range(len(tokens)):
            run = tokens[first]
            bones, single = skeleton(run), len(run) == 1
            for token in tokens[first + 1 : first + longest]:
                run += token
                more = skeleton(token)
                bones += more[1:] if bones[-1:] == more[:1] else more
                single = single and len(token) == 1
                if len(run) > longest:
                    break
                digits = run.isdigit()
                if digits and len(run) >= SHORTEST_NUMBER and run.lstrip("0") in known:
                    return True
                if single and run in self.initials:
                    return True
                if bones in self._skeletons and len(run) >= max(shortest, SHORTEST_WORD):
                    heard = sound(run)
                    if run in self.joined or (len(heard) >= SHORTEST_WORD and heard in known):
                        return True
                if bones not in self._prefixes and not digits and not single:
                    break
        return False

    def _add_names(self, names: Iterable[str]) -> None:
        for name in names:
            for group in name.split("="):  # alphabetic, ideographic, phonetic
                parts = [part for part in re.split(r"[\s^,;=]+", group) if part]
                for part in parts:
                    self._write(part)
                    tokens = TOKEN.findall(folded(part).lower())
                    self.words |= {sound(each) for each in tokens if _is_name(each, tokens)}
                    self._join(tokens)
                    if not is_latin(part) and len(part) > 1:
                        self.parts.add(unicodedata.normalize("NFKC", part).casefold())
                whole = [part for part in parts if not is_latin(part)]
                for order in permutations(whole[:3], 2):  # 王 and 伟 are too short, 王伟 is not
                    self.parts.add(unicodedata.normalize("NFKC", "".join(order)).casefold())
                spelled = [folded(part).lower() for part in parts]
                self._add_orders(["".join(TOKEN.findall(each)) for each in spelled])

    def _write(self, part: str) -> None:
        """Note how a part of a name may be written, where it is of Latin letters."""
        if is_latin(part):
            low = part.lower()
            for each in {low, low.translate(LONG_FORMS), folded(low).lower()}:
                apart = re.split(r"[\W\d_]+", each)
                self.written |= {"".join(apart), *apart} - {""}

    def _add_orders(self, parts: list[str]) -> None:
        """Add the parts of a name in any order, and with initials instead of some."""
        parts = [part for part in parts if part][:4]
        if len(parts) < 2:
            return
        if max(map(len, parts)) < SHORTEST_WORD:  # too short to be searched alone everywhere
            for one, other in permutations(parts, 2):
                self.written |= {f"{one}{sign}{other}" for sign in ("", *"^ _-.,", ", ")}
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
            tokens = TOKEN.findall(folded(text).lower())
            letters = [each for each in tokens if each.isalpha() and each not in ordinary_words()]
            self.words |= {sound(each) for each in letters if len(each) >= SHORTEST_WORD}
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
            self.joined |= {run, sound(run)}


_ORDINARY: Final = """
and center centre clinic clinical college department diagnostic general health hospital institute
medical medicine of practice radiology road room service services street the university ward
"""


@functools.cache
def ordinary_words() -> frozenset[str]:
    """Return words of institutions and addresses that identify none when they stand alone.

    An Imaging Center does not make every other word ``imaging`` its name.
    """
    return harmless_words() | frozenset(_ORDINARY.split())


LONGER_THAN_KNOWN: Final = 8
"""So many letters more than the longest known text may joined tokens have: sounds are shorter."""

LONG_WORD: Final = 8
"""Letters of a name that counts in bytes also where letters stand beside it."""

UID_IN_TEXT: Final = re.compile(r"(?<![\d.])[0-2](?:\.\d+){3,}(?![\d.])")


@functools.cache
def _standard_vr(tag: int) -> str:
    return dictionary_VR(tag) if dictionary_has_tag(tag) else ""


def kind_of(tag: int, vr: str, *, kept: bool) -> str:
    """Return as what an element identifies a patient; empty where it does not.

    A file may call the kind of a value as it likes: that of the standard counts as well.
    """
    vrs = {vr, _standard_vr(tag)}
    if "PN" in vrs:
        return "PN"
    if vrs & {"DA", "DT"}:
        return "DA"
    if "UI" in vrs:
        return "UI"
    if tag in IDENTIFYING:
        return "" if kept else "words"
    return "numbers" if _is_numbered(tag) and not kept and vr in ("LO", "SH", "UC") else ""


def _is_numbered(tag: int) -> bool:
    """Return whether an element holds a number of a patient, a request or a visit."""
    row = read_table().row(tag)
    return tag >> 16 in NUMBERED and row is not None and not row.options


def _is_name(token: str, beside: list[str]) -> bool:
    """Return whether a token of a part of a name is compared alone: ``Li``, but not CT of CT1."""
    mixed = any(each.isdigit() for each in beside)
    return token.isalpha() and len(token) >= (3 if mixed else 2)
