"""Values that the standard forbids, which careless programs wrote, are not repeated."""

from __future__ import annotations

from typing import Any, Final

from pydicom.config import RAISE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import validate_value

__all__ = ["make_valid"]

_CHECKED: Final = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI"})
_UTF8: Final = "ISO_IR 192"


def make_valid(dataset: Dataset) -> None:
    """Empty what is no value of its kind, and let all texts be UTF-8; in place, at any depth.

    Parameters
    ----------
    dataset : Dataset
        A header; its texts were decoded as its own character set says.

    References
    ----------
    DICOM PS3.5 section 6.2 (value representations), PS3.3 C.12.1.1.2 (character sets).

    Examples
    --------
    >>> header = Dataset()
    >>> header.StudyID = "7"
    >>> header.add(DataElement(0x00101010, "AS", "62", validation_mode=0))
    >>> make_valid(header)
    >>> header.PatientAge, header.StudyID, header.SpecificCharacterSet
    ('', '7', 'ISO_IR 192')
    """
    _empty_invalid(dataset)
    dataset.SpecificCharacterSet = _UTF8


def _empty_invalid(dataset: Dataset) -> None:
    for element in list(dataset):
        if element.keyword == "SpecificCharacterSet":
            del dataset[element.tag]
        elif element.VR == "SQ":
            for item in element.value:
                _empty_invalid(item)
        elif element.VR in _CHECKED and not all(map(_is_valid(element), _values(element))):
            dataset[element.tag] = DataElement(element.tag, element.VR, "")


def _values(element: DataElement) -> list[Any]:
    if element.value is None:
        return []
    return list(element.value) if element.VM > 1 else [element.value]


def _is_valid(element: DataElement) -> Any:
    def is_valid(value: Any) -> bool:
        try:
            validate_value(element.VR, str(value), RAISE)
        except ValueError:
            return False
        return True

    return is_valid
