"""Names and numbers of the patient that stand where the table does not expect them."""

from __future__ import annotations

import re

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from deepfixcx.deidentify.actions import Action, Handled
from deepfixcx.deidentify.dummies import emptied
from deepfixcx.deidentify.patient import text_values
from deepfixcx.deidentify.walking import PIXEL_TAGS

__all__ = ["erase"]

SEARCHED = frozenset({"AE", "CS", "LO", "LT", "SH", "ST", "UC", "UR", "UT"})
NEEDED = frozenset({0x00080005, 0x00080008, 0x00080060})
"""Character set, image type and modality: terms of the standard that every reader needs."""

_WORDS = re.compile(r"\w+")


def erase(header: Dataset, words: frozenset[str], pseudonym: str, path: str = "") -> list[Handled]:
    """Empty every text that holds a word, and every note in bytes that does; in place.

    Parameters
    ----------
    header : Dataset
        A header that the rules have been applied to.
    words : frozenset of str
        What names the patient and others, in lower case.
    pseudonym : str
        Stands for the patient and may stay.
    path : str
        Where the header stands in a file.

    Returns
    -------
    list of Handled
        What was emptied.
    """
    done = []
    for element in list(header):
        where = f"{path}{element.tag}".replace(" ", "")
        if element.VR == "SQ":
            for number, item in enumerate(element.value):
                done += erase(item, words, pseudonym, f"{where}[{number}]")
        elif _names_someone(element, words, pseudonym):
            header.add(emptied(element))
            done.append(Handled(where, Action.EMPTY, "name inside"))
    return done


def _names_someone(element: DataElement, words: frozenset[str], pseudonym: str) -> bool:
    if element.tag in NEEDED or element.tag.group == 0x0028 or element.tag in PIXEL_TAGS:
        return False
    if isinstance(element.value, bytes):
        low = element.value.lower()
        return any(_in_bytes(word, low) for word in words)
    if element.VR not in SEARCHED:
        return False
    texts = {text.casefold() for text in text_values(element)} - {"", pseudonym.casefold()}
    return any(_in_text(words, text) for text in texts)


def _in_text(words: frozenset[str], text: str) -> bool:
    found = {*_WORDS.findall(text), *text.split(), text}
    return bool(found & words) or any(not word.isalnum() and word in text for word in words)


def _in_bytes(word: str, low: bytes) -> bool:
    # Three letters meet in any numbers by chance; four and more are a name.
    return len(word) > 3 and any(word.encode(e, "replace") in low for e in ("utf-8", "utf-16-le"))
