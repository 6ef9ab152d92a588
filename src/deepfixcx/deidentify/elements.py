"""Who a header is of, what its elements say, and the values that replace theirs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydicom import config
from pydicom._uid_dict import UID_dictionary
from pydicom.dataelem import DataElement, empty_value_for_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

if TYPE_CHECKING:
    from deepfixcx.deidentify.key import Key

__all__ = [
    "DUMMIES",
    "dummy",
    "elements_of",
    "emptied",
    "is_registered",
    "made",
    "patient_of",
    "replaced_uids",
    "text_values",
]


def patient_of(dataset: Dataset) -> tuple[str, ...]:
    """Return what identifies a patient."""
    number = _value(dataset, "PatientID")
    if number:
        return ("id", _value(dataset, "IssuerOfPatientID"), number)
    name = _value(dataset, "PatientName").strip("^ ").casefold()
    if name:
        return ("name", name, _value(dataset, "PatientBirthDate"))
    study = _value(dataset, "StudyInstanceUID") or _value(dataset, "SOPInstanceUID")
    return ("study", study)


def elements_of(dataset: Dataset) -> Iterator[DataElement]:
    """Yield the elements of a header that can be read, those inside sequences too."""
    for tag in sorted(dataset.keys(), key=int):
        try:
            element = dataset[tag]
            items = list(element.value or []) if element.VR == "SQ" else []
        except Exception:  # pydicom raises whatever damaged bytes lead to
            continue
        yield element
        for item in items:
            yield from elements_of(item)


def text_values(element: DataElement) -> list[str]:
    """Return the values of an element as texts, none where it holds bytes, items or nothing."""
    value = element.value
    if value is None or isinstance(value, bytes) or element.VR == "SQ":
        return []
    values = value if element.VM > 1 else [value]
    return [str(each).strip(" \0") for each in values]


def _value(dataset: Dataset, keyword: str) -> str:
    try:
        return " ".join(str(dataset.get(keyword) or "").strip(" \0").split())
    except Exception:  # as above
        return ""


DUMMIES: dict[str, Any] = {
    "AE": "REMOVED",
    "AS": "000Y",
    "CS": "REMOVED",
    "DA": "19000101",
    "DS": "0",
    "DT": "19000101000000",
    "IS": "0",
    "LO": "REMOVED",
    "LT": "REMOVED",
    "PN": "REMOVED",
    "SH": "REMOVED",
    "ST": "REMOVED",
    "TM": "000000",
    "UC": "REMOVED",
    "UR": "removed:",
    "UT": "REMOVED",
    "AT": 0,
    "FD": 0.0,
    "FL": 0.0,
    "SL": 0,
    "SS": 0,
    "SV": 0,
    "UL": 0,
    "US": 0,
    "UV": 0,
}
"""By value representation; all others hold bytes."""


def is_registered(uid: str) -> bool:
    """Return whether a UID is one of the standard's own, which say what something is, not which."""
    return uid in UID_dictionary


def dummy(element: DataElement, key: Key) -> DataElement:
    """Return the element with a value that says nothing."""
    if element.VR == "UI":
        return replaced_uids(element, key)
    if element.VR != "SQ":
        return made(element, DUMMIES.get(element.VR, b"\0\0"))
    if not element.value:
        return emptied(element)
    item = Dataset()
    for inner in [inner for first in element.value[:1] for inner in first]:
        item.add(inner if inner.VR == "UI" else dummy(inner, key))
    return made(element, Sequence([item]))


def emptied(element: DataElement) -> DataElement:
    """Return the element without a value."""
    return made(element, Sequence() if element.VR == "SQ" else empty_value_for_VR(element.VR))


def replaced_uids(element: DataElement, key: Key) -> DataElement:
    """Return the element with other UIDs for those that name one thing."""
    values = element.value if element.VM > 1 else [element.value]
    uids = [str(value).strip(" \0") for value in values if value]
    new = [uid if is_registered(uid) else key.uid(uid) for uid in uids]
    return made(element, new[0] if len(new) == 1 else new or None)


def made(element: DataElement, value: Any) -> DataElement:
    """Return an element of the same tag and kind with another value."""
    return DataElement(element.tag, element.VR, value, validation_mode=config.IGNORE)
