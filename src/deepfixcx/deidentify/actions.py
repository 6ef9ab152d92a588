"""What was done to each element of a header, and the codes of PS3.16 that say so in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence as Many
from dataclasses import dataclass
from enum import Enum, StrEnum

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from deepfixcx import __version__

__all__ = ["Action", "Actions", "Handled", "Method", "stamp"]


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
    CLEAN_STRUCTURED = ("113104", "Clean Structured Content Option")
    CLEAN_DESCRIPTORS = ("113105", "Clean Descriptors Option")
    FULL_DATES = (
        "113106",
        "Retain Longitudinal Temporal Information Full Dates Option",
    )
    MODIFIED_DATES = (
        "113107",
        "Retain Longitudinal Temporal Information Modified Dates Option",
    )
    PATIENT = ("113108", "Retain Patient Characteristics Option")
    DEVICE = ("113109", "Retain Device Identity Option")
    UIDS = ("113110", "Retain UIDs Option")
    SAFE_PRIVATE = ("113111", "Retain Safe Private Option")
    INSTITUTION = ("113112", "Retain Institution Identity Option")

    @property
    def code(self) -> str:
        """Code value in the scheme DCM."""
        return self.value[0]

    @property
    def meaning(self) -> str:
        """Code meaning."""
        return self.value[1]


EQUIPMENT = ("109104", "De-identifying Equipment")
"""The purpose of reference of this program in Contributing Equipment (PS3.16, CID 7005)."""


def stamp(header: Dataset, methods: Many[Method], notes: Many[str] = ()) -> None:
    """Say in a header what was done; in place.

    Whatever the header said before is replaced. `Deidentifier.apply` stamps what it did itself.
    A caller who also cleaned and checked the pixels stamps again with the methods of
    `Actions.methods` and `Method.CLEAN_PIXELS`.

    Parameters
    ----------
    header : Dataset
        A header that was de-identified.
    methods : sequence of Method
        Only what was done and verified.
    notes : sequence of str
        What was done otherwise, for De-identification Method; at most 64 characters each.

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
    items = [_code(method.code, method.meaning) for method in dict.fromkeys(methods)]
    header.PatientIdentityRemoved = "YES"
    header.DeidentificationMethod = [f"deepfixcx {__version__}", "DICOM PS3.15 Annex E", *notes]
    header.DeidentificationMethodCodeSequence = Sequence(items)
    if not items:
        del header.DeidentificationMethodCodeSequence
    dates = {Method.MODIFIED_DATES: "MODIFIED", Method.FULL_DATES: "UNMODIFIED"}
    said = [word for method, word in dates.items() if method in methods]
    header.LongitudinalTemporalInformationModified = said[0] if said else "REMOVED"
    equipment = Dataset()
    equipment.Manufacturer = "deepfixcx"
    equipment.SoftwareVersions = __version__
    equipment.PurposeOfReferenceCodeSequence = Sequence([_code(*EQUIPMENT)])
    header.ContributingEquipmentSequence = Sequence([equipment])


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


class Action(StrEnum):
    """What the standard lets happen to an element, by its letter there.

    Examples
    --------
    >>> Action("X").name
    'REMOVE'
    """

    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    KEEP = "K"
    CLEAN = "C"
    UID = "U"


@dataclass(frozen=True, slots=True)
class Handled:
    """One element and what was done to it.

    Attributes
    ----------
    path : str
        Where it was, such as ``(0040,0275)[0](0040,0007)``.
    action : Action
        What was done.
    reason : str
        Why: ``table`` (the standard names it), ``option``, ``private``, ``kind`` (the standard does
        not name it, and values of its kind may name a patient), ``name inside`` (its text held a
        name or number of the patient), ``unreadable``, ``file`` (it belongs to the old file).

    Examples
    --------
    >>> Handled("(0010,0010)", Action.DUMMY, "table").action.name
    'DUMMY'
    """

    path: str
    action: Action
    reason: str


@dataclass(frozen=True, slots=True)
class Actions:
    """Everything that was done to one header. It holds no value of the old one.

    Attributes
    ----------
    pseudonym : str
        Of the patient; the new Patient ID.
    sop_instance_uid : str
        The new one, empty where there was none.
    handled : tuple of Handled
        What was done, in the order of the header. Elements that are in neither list nor table and
        stayed as they were are not in it.
    methods : tuple of Method
        What was done and verified, as it is stamped into the header.
    notes : tuple of str
        What was done otherwise than an option or the profile says.

    Examples
    --------
    >>> done = Handled("(0010,0010)", Action.DUMMY, "table")
    >>> Actions("P01", "1.2.3", (done,), ()).counts()
    {'D': 1}
    """

    pseudonym: str
    sop_instance_uid: str
    handled: tuple[Handled, ...]
    methods: tuple[Method, ...]
    notes: tuple[str, ...] = ()

    def counts(self) -> dict[str, int]:
        """Return how many elements were handled in each way, by the letter of the action.

        Examples
        --------
        >>> done = Handled("(0010,1040)", Action.REMOVE, "table")
        >>> Actions("P1", "2.25.1", (done,), ()).counts()
        {'X': 1}
        """
        return dict(sorted(Counter(each.action.value for each in self.handled).items()))
