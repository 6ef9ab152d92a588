"""Who a header is of, and by which words it would be recognized."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

__all__ = ["elements_of", "identifying_words", "patient_of", "text_values"]

IDENTIFYING = frozenset(
    {
        0x00080050,  # accession number
        0x00080080,  # institution name
        0x00080081,  # institution address
        0x00100020,  # patient ID
        0x00100021,
        0x00101000,  # other patient IDs
        0x00101040,  # address
        0x00101050,
        0x00101090,  # medical record locator
        0x00102154,  # telephone numbers
        0x00102155,
        0x00200010,  # study ID
        0x00380010,  # admission ID
        0x00380060,
    }
)
"""Elements besides names whose words would tell who it is, wherever else they stand."""

SHORTEST_NAME, SHORTEST_WORD = 3, 4

_BETWEEN_NAMES = re.compile(r"[\s^=,;.]+")
_BETWEEN_WORDS = re.compile(r"[\s,;\\]+")


def patient_of(dataset: Dataset) -> tuple[str, ...]:
    """Return what tells one patient from another.

    It is the patient ID with its issuer. Without an ID it is name and date of birth, and without
    these the study, so that not all unnamed patients become one.
    """
    number = _value(dataset, "PatientID")
    if number:
        return ("id", _value(dataset, "IssuerOfPatientID"), number)
    name = _value(dataset, "PatientName").strip("^ ").casefold()
    if name:
        return ("name", name, _value(dataset, "PatientBirthDate"))
    study = _value(dataset, "StudyInstanceUID") or _value(dataset, "SOPInstanceUID")
    return ("study", study)


def identifying_words(dataset: Dataset) -> frozenset[str]:
    """Return the words of names, numbers and addresses in a header, in lower case."""
    words: set[str] = set()
    for element in elements_of(dataset):
        if element.VR == "PN":
            for text in text_values(element):
                parts = _BETWEEN_NAMES.split(text.casefold())
                words |= {part for part in parts if len(part) >= SHORTEST_NAME}
        elif element.tag in IDENTIFYING:
            for text in text_values(element):
                parts = [text.strip(), *_BETWEEN_WORDS.split(text)]
                words |= {part.casefold() for part in parts if len(part) >= SHORTEST_WORD}
    return frozenset(words)


def elements_of(dataset: Dataset) -> Iterator[DataElement]:
    """Yield the elements of a header that can be read, those inside sequences too."""
    for tag in sorted(dataset.keys()):
        try:
            element = dataset[tag]
            items = list(element.value or []) if element.VR == "SQ" else []
        except Exception:  # pydicom raises whatever damaged bytes lead to
            continue
        yield element
        for item in items:
            yield from elements_of(item)


def text_values(element: DataElement) -> list[str]:
    """Return the values of an element as texts, none where it holds bytes or nothing."""
    value = element.value
    if value is None or isinstance(value, bytes):
        return []
    values = value if element.VM > 1 else [value]
    return [str(each).strip(" \0") for each in values]


def _value(dataset: Dataset, keyword: str) -> str:
    try:
        return " ".join(str(dataset.get(keyword) or "").strip(" \0").split())
    except Exception:  # as above
        return ""
