"""What a header says of how it was de-identified: codes of DICOM PS3.16, CID 7050."""

from __future__ import annotations

from collections.abc import Sequence as Many
from enum import Enum

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from deepfixcx import __version__

__all__ = ["Method", "stamp"]


class Method(Enum):
    """A way of de-identifying, with its code and meaning in the standard.

    Examples
    --------
    >>> Method.BASIC.code, Method.BASIC.meaning
    ('113100', 'Basic Application Confidentiality Profile')
    """

    BASIC = ("113100", "Basic Application Confidentiality Profile")
    CLEAN_PIXELS = ("113101", "Clean Pixel Data Option")
    CLEAN_FEATURES = ("113102", "Clean Recognizable Visual Features Option")
    CLEAN_GRAPHICS = ("113103", "Clean Graphics Option")
    CLEAN_DESCRIPTORS = ("113105", "Clean Descriptors Option")
    MODIFIED_DATES = (
        "113107",
        "Retain Longitudinal Temporal Information Modified Dates Option",
    )
    PATIENT = ("113108", "Retain Patient Characteristics Option")
    DEVICE = ("113109", "Retain Device Identity Option")
    SAFE_PRIVATE = ("113111", "Retain Safe Private Option")

    @property
    def code(self) -> str:
        """Code value in the scheme DCM."""
        return self.value[0]

    @property
    def meaning(self) -> str:
        """Code meaning."""
        return self.value[1]


def stamp(header: Dataset, methods: Many[Method]) -> None:
    """Say in a header what was done; in place.

    Whatever the header said before is replaced. `Deidentifier.apply` stamps what it did itself.
    Whoever also cleaned the pixels, and made sure of it, stamps again with the methods of
    `Actions.methods` and `Method.CLEAN_PIXELS`.

    Parameters
    ----------
    header : Dataset
        A header that was de-identified.
    methods : sequence of Method
        Only what was done and verified.

    References
    ----------
    DICOM PS3.15, E.1.1; PS3.16, CID 7050.

    Examples
    --------
    >>> header = Dataset()
    >>> stamp(header, [Method.BASIC])
    >>> header.PatientIdentityRemoved, header.DeidentificationMethodCodeSequence[0].CodeValue
    ('YES', '113100')
    """
    items = []
    for method in dict.fromkeys(methods):
        item = Dataset()
        item.CodeValue = method.code
        item.CodingSchemeDesignator = "DCM"
        item.CodeMeaning = method.meaning
        items.append(item)
    header.PatientIdentityRemoved = "YES"
    header.DeidentificationMethod = [f"deepfixcx {__version__}", "DICOM PS3.15 Annex E"]
    header.DeidentificationMethodCodeSequence = Sequence(items)
    modified = Method.MODIFIED_DATES in methods
    header.LongitudinalTemporalInformationModified = "MODIFIED" if modified else "REMOVED"
