"""Who a header is of, and what its elements say."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

__all__ = ["elements_of", "patient_of", "text_values"]


def patient_of(dataset: Dataset) -> tuple[str, ...]:
    """Return what tells one patient from another."""
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
