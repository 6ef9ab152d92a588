"""Free text without identifiers: what of comments and reports can stay as a sentence.

Three kinds of places are removed: names, numbers and dates of the header, also with an error of
spelling, as a nickname or spelled out; what looks like an address, a telephone number, a number of
a record or a date of a named country; and persons behind a title. Names of others without a title
are not found, so the text stays only where a site asks for it.
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Iterator
from importlib.resources import files
from typing import Final

from deepfixcx.deidentify.identity import Identity
from deepfixcx.deidentify.spelling import MONTHS, folded, is_latin, sound
from deepfixcx.deidentify.walking import harmless_words

__all__ = ["REMOVED", "FreeText", "nicknames"]

REMOVED: Final = "[removed]"

WINDOW: Final = 6
"""Words that a name, a number or a date may be spread over."""

SHORTEST_NEAR, TWO_ERRORS_FROM = 5, 9
"""Letters from which a name is found with one error of spelling, and with two."""

_WORD: Final = re.compile(r"\w+")

_ORDINALS: Final = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth thirtieth "
    "twenty[- ]?(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth) thirty[- ]?first"
).replace(" ", "|").replace("[-|]?", "[- ]?")  # fmt: skip
_TENS: Final = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
_SMALL: Final = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|"
    "sixteen|seventeen|eighteen|nineteen"
)
_YEAR_WORDS: Final = (
    rf"(?:nineteen|twenty|two thousand)(?:[- ](?:and|oh|hundred|{_TENS}|{_SMALL})){{0,4}}"
)
_MONTH: Final = "(?:" + "|".join(sorted((each for each in MONTHS), key=len, reverse=True)) + ")"
_DAY: Final = rf"(?:(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th|er|\.)?|{_ORDINALS})"
_YEAR: Final = rf"(?:'?\d{{4}}|'\d\d|{_YEAR_WORDS})"

_STREET: Final = (
    "Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Court|Ct|Crescent|Terrace|Place|Square|"
    "Boulevard|Blvd|Way|Close|Gardens|Grove|Highway|Parkway"
)
_NAME: Final = r"[^\W\d_a-z][\w'\u2019.-]*"
_NUMBER_WORDS: Final = (
    r"MRN|SSN|NHS|PID|UHID|ID|No|Nr|Num|Acc|Accession|Case|Chart|Record|Patient(?:en)?nummer|"
    r"Fallnummer|Fall|Dossier|Historia|Cartella|病历号|住院号|患者番号|등록번호|환자번호"
)

PATTERNS: Final = {
    "e-mail": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "address of the internet": r"(?:https?://|www\.)\S+|\b\d{1,3}(?:\.\d{1,3}){3}\b",
    "UID": r"\b[0-2](?:\.\d+){3,}\b",
    "street, US GB CA AU IE": rf"\b\d{{1,5}}[A-Za-z]?\s+(?:{_NAME}\s+){{1,4}}(?:{_STREET})\b\.?"
    r"(?:,?\s*(?:Apt|Suite|Unit|Flat)\.?\s*\w+)?",
    "street, DE AT CH": rf"{_NAME}(?:stra(?:ß|ss)e|str\.|weg|platz|gasse|allee|ring|damm|ufer)"
    r"\s*\d+\s?[a-z]?\b",
    "street, FR BE": r"\b\d{1,4}(?:\s?(?:bis|ter))?,?\s+(?i:rue|avenue|boulevard|chemin|place|"
    rf"impasse|allée|quai)\s+(?:(?:de|du|des|la|le|les|l'|d'|{_NAME})\s*){{1,6}}",
    "street, ES MX": r"(?i:\b(?:calle|avenida|avda\.?|plaza|paseo))\s+"
    rf"(?:(?:de|del|la|las|los|{_NAME})\s*){{1,5}},?\s*(?:n[.ºo°]*\s*)?\d+",
    "street, IT": rf"(?i:\b(?:via|viale|piazza|corso|largo))\s+(?:(?:di|del|della|{_NAME})\s*)"
    r"{1,5},?\s*\d+",
    "street, NL": rf"{_NAME}(?:straat|weg|laan|plein|gracht|kade)\s+\d+\s?[a-z]?\b",
    "place, US": r"\b[A-Z][a-z]+(?:\s[A-Z][a-z]+)*,?\s+[A-Z]{2}\s+\d{5}(?:-\d{4})?\b",
    "post code, GB": r"\b[A-Z]{1,2}\d[A-Z\d]?\s?\d[A-Z]{2}\b",
    "post code, DE FR ES IT": rf"\b(?:[A-Z]{{1,2}}-)?\d{{5}}\s+{_NAME}",
    "post code, NL": r"\b\d{4}\s?(?!TE|TR|TI|FA|MM|CM|HU|MS|KV|MA|ML|HZ|MR|CT|US|PA|AP)[A-Z]{2}\b",
    "post code, JP": r"〒?\d{3}-\d{4}",
    "address, CN JP": r"[\u4e00-\u9fff]{2,}?[省市区县郡都府県]"
    r"(?:[\u4e00-\u9fff\d]+?[路街号弄室村町丁目番地])+",
    "address, KR": r"[\uac00-\ud7a3]+[시도]\s+[\uac00-\ud7a3]+[구군시]\s+[\uac00-\ud7a3\d]+[로길동]"
    r"(?:\s?\d+(?:-\d+)?)?",
    "fiscal code, IT": r"\b[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z]\b",
    "insurance number, GB": r"\b[A-Z]{2}\s?\d{2}\s?\d{2}\s?\d{2}\s?[A-D]\b",
    "number behind a word": rf"\b(?i:{_NUMBER_WORDS})\b\.?[:#\s]*[\w/-]*\d[\w/-]*",
    "date": rf"(?i:\b{_DAY}[\s,./-]*(?:of|de|den)?[\s,./-]*{_MONTH}\b\.?"
    rf"(?:[\s,./-]*(?:de\s)?{_YEAR})?"
    rf"|\b{_MONTH}\b\.?[\s,./-]*(?:the\s)?{_DAY}\b(?:[\s,./-]*{_YEAR})?"
    rf"|\b{_MONTH}\b\.?[\s,./-]*(?:de\s|of\s)?{_YEAR}\b)",
    "date, CN JP KR": r"(?:[\u4e00-\u9fff]{2})?\s?\d{1,4}\s?[年년]\s?"
    r"(?:\d{1,2}\s?[月월]\s?)?(?:\d{1,2}\s?[日일])?",
    "date of numbers": r"\b\d{1,4}([./-])\s?\d{1,2}\1\s?\d{1,4}\b",
    "number with signs": r"(?:\+|\(0?|\b)\d(?:[\s()/-]{0,2}\d){6,}(?:-?[A-Za-z])?\b",
    "telephone number, FR CH NL": r"\b0\d(?:[ .]\d\d){4}\b|\b\d{3}\.\d{3}\.\d{4}\b",
    "long number": r"\b[A-Za-z]{0,6}[-_]?\d{5,}[\w-]*|\b(?=\w*\d{2})(?=\w*[A-Z])[A-Z\d]{7,}\b",
    "age over 89": r"\b(?:9\d|1[0-2]\d)[\s-]?(?:years?|yrs?|yo\b|y/o|y\b|jährig\w*|Jahre|ans|"
    "anni|años|jaar|岁|歳|세)",
    "person behind a title": r"\b(?:Dr|Prof|Mr|Mrs|Ms|Miss|Sir|Lady|Herrn?|Frau|Mme|Mlle|Monsieur|"
    r"Madame|Sra?|Srta|Sig|Dott|Doctor|Doktor|Docteur|Nurse|Sister|Mevr|Dhr)\b\.?\s*(?:med\.?\s*)?"
    rf"(?:(?:van|von|de|der|den|del|di|la)\s+)*{_NAME}"
    rf"(?:[\s-]+(?:(?:van|von|de|der|den|del|di|la)\s+)*{_NAME}){{0,2}}",
    "person before a title, CN JP KR": r"[\u4e00-\u9fff]{1,4}(?:先生|女士|小姐|医生|大夫|主任|教授|"
    r"様|さん|殿|医師)|[\uac00-\ud7a3]{1,4}\s?(?:씨|님|환자|선생|교수|의사)",
}  # fmt: skip
"""What is removed wherever it stands, by what it is and in which countries it is written so."""

_PATTERNS: Final = tuple(map(re.compile, PATTERNS.values()))


class FreeText:
    """Removes the identifiers of a header from texts."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        latin = {each for each in map(_plain, identity.written) if len(each) > 1}
        self._near = {sound(each) for each in latin} | identity.words
        self._near = {each for each in self._near if len(each) >= SHORTEST_NEAR}
        self._nicknames = frozenset().union(*map(nicknames, latin)) - latin
        foreign = sorted(identity.parts, key=len, reverse=True)
        self._foreign = re.compile("|".join(map(re.escape, foreign)) or r"(?!)", re.IGNORECASE)

    def cleaned(self, text: str) -> str:
        """Return a text in which what identifies is replaced; empty where nothing else is left."""
        text = unicodedata.normalize("NFKC", text)
        spans = [found.span() for pattern in _PATTERNS for found in pattern.finditer(text)]
        spans += [found.span() for found in self._foreign.finditer(text)]
        spans += self._of_header(text)
        made, at = "", 0
        for first, last in _joined(spans, text):
            made += text[at:first] + REMOVED
            at = last
        made += text[at:]
        # What several removed places make together is compared once more.
        rest = made.replace(REMOVED, " ")
        if not any(map(str.isalnum, rest)) or self._identity.stands_in_text(rest):
            return ""
        return made

    def _of_header(self, text: str) -> Iterator[tuple[int, int]]:
        words = list(_WORD.finditer(text))
        taken = [False] * len(words)
        for number, word in enumerate(words):
            taken[number] = self._is_near(word[0])
        for count in range(1, WINDOW + 1):
            for first in range(len(words) - count + 1):
                if any(taken[first : first + count]):
                    continue
                part = text[words[first].start() : words[first + count - 1].end()]
                if self._identity.stands_in_text(part):
                    taken[first : first + count] = [True] * count
        for first, last in itertools.pairwise(range(len(words))):  # the rest of some initials
            for one, other in ((first, last), (last, first)):
                letters = len(words[one][0]) == len(words[other][0]) == 1
                taken[other] = taken[other] or (letters and taken[one])
        yield from (word.span() for word, gone in zip(words, taken, strict=True) if gone)

    def _is_near(self, word: str) -> bool:
        """Return whether a word is a nickname of a name, or one with an error of spelling."""
        low = _plain(word)
        if low in self._nicknames:
            return True
        if not low.isalpha() or low in harmless_words():
            return False
        heard = sound(low)
        return any(
            near_to(heard, name, 2 if min(len(heard), len(name)) >= TWO_ERRORS_FROM else 1)
            for name in self._near
            if abs(len(heard) - len(name)) <= 2 and len(heard) >= SHORTEST_NEAR - 1
        )


def _plain(word: str) -> str:
    return folded(word).lower() if is_latin(word) else ""


def _joined(spans: list[tuple[int, int]], text: str) -> Iterator[tuple[int, int]]:
    """Yield places in order; those with only signs between them are one."""
    ends: tuple[int, int] | None = None
    for first, last in sorted(span for span in spans if span[0] < span[1]):
        if ends is not None and not any(map(str.isalnum, text[ends[1] : first])):
            ends = (ends[0], max(ends[1], last))
            continue
        if ends is not None:
            yield ends
        ends = (first, last)
    if ends is not None:
        yield ends


@functools.lru_cache(1 << 14)
def near_to(one: str, other: str, errors: int) -> bool:
    """Return whether letters added, dropped, changed or swapped make one word the other."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        earlier, before, row = before, row, [i]
        for j, wanted in enumerate(other, start=1):
            cost = min(before[j] + 1, row[-1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 < j and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
        if min(row) > errors:
            return False
    return row[-1] <= errors


def nicknames(name: str) -> frozenset[str]:
    """Return other forms of a given name in small letters: Bob of Robert, and Robert of Bob."""
    return _groups().get(name, frozenset())


@functools.cache
def _groups() -> dict[str, frozenset[str]]:
    text = files("deepfixcx.deidentify").joinpath("nicknames.txt").read_text("utf-8")
    found: dict[str, frozenset[str]] = {}
    for line in text.splitlines():
        group = frozenset() if line.startswith("#") else frozenset(line.split())
        for name in group:
            found[name] = found.get(name, frozenset()) | group
    return found
