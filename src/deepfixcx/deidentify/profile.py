"""The table of DICOM PS3.15 Annex E, and what a steward chooses: options, private elements."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from pydicom.dataset import Dataset

from deepfixcx.deidentify.actions import Action
from deepfixcx.deidentify.rules import ElementRule
from deepfixcx.errors import DeidentifyError, LayoutError
from deepfixcx.io.tables import Table, read_rows

__all__ = [
    "OPTIONS",
    "ActionTable",
    "PrivateElement",
    "Profile",
    "Row",
    "creator_of",
    "read_private_elements",
    "read_table",
]

COLUMNS = ("creator", "group", "element")


class PrivateElement(NamedTuple):
    """A private element, wherever its block lies in a file.

    Attributes
    ----------
    creator : str
        Private creator, as it stands in the header.
    group : int
        Odd group.
    element : int
        The last two digits of the element, 0 to 255.

    Examples
    --------
    >>> PrivateElement("ACME 1.0", group=0x29, element=0x10).creator
    'ACME 1.0'
    """

    creator: str
    group: int
    element: int


def read_private_elements(path: str | Path) -> frozenset[PrivateElement]:
    r"""Read which private elements may stay.

    Parameters
    ----------
    path : path-like
        Table in CSV with the columns ``creator``, ``group`` and ``element``, the latter two
        hexadecimal: ``SIEMENS MR HEADER,0019,0C``. Only the last two digits of an element count.

    Returns
    -------
    frozenset of PrivateElement
        For `Profile`.

    Raises
    ------
    DeidentifyError
        The table cannot be read, lacks a column, or a row is no private element.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "private.csv"
    >>> _ = path.write_text("creator,group,element\nSIEMENS MR HEADER,0019,0C\n")
    >>> read_private_elements(path)
    frozenset({PrivateElement(creator='SIEMENS MR HEADER', group=25, element=12)})
    """
    path = Path(path)
    try:
        rows = list(Table(path))
    except LayoutError as error:
        raise DeidentifyError(str(error)) from None
    found = set()
    for row in rows:
        try:
            creator, group, element = (row.cells[name] for name in COLUMNS)
            made = PrivateElement(creator, int(group, 16), int(element, 16) & 0xFF)
        except (KeyError, ValueError):
            raise DeidentifyError(
                f"row {row.number} of {path.name!r} does not have the form creator,group,element "
                "with two hexadecimal numbers, such as SIEMENS MR HEADER,0019,0C"
            ) from None
        if not creator or not made.group % 2 or made.group > 0xFFFF:
            raise DeidentifyError(
                f"row {row.number} of {path.name!r} names no private element: a creator and an odd "
                f"group of four digits are needed"
            )
        found.add(made)
    return frozenset(found)


def creator_of(dataset: Dataset, tag: int) -> str:
    """Return who the block of a private element belongs to, or an empty string."""
    group, block = tag >> 16, (tag & 0xFFFF) >> 8
    creator = dataset.get((group, block)) if block else None
    return str(creator.value or "").strip(" \0") if creator is not None else ""


OPTIONS = MappingProxyType(
    {
        "device": "retain_device",
        "patient": "retain_patient",
        "dates": "retain_dates",
        "descriptors": "clean_descriptors",
        "graphics": "clean_graphics",
        "uids": "retain_uids",
        "institution": "retain_institution",
        "full_dates": "retain_full_dates",
        "structured": "clean_structured",
    }
)
"""The columns of options in the table, and the field of `Profile` that chooses each."""

EDITION = "2026d"
"""Edition of PS3.15; the table contains every row of it, with all columns of options."""


@dataclass(frozen=True, slots=True)
class Row:
    """What the table says of one attribute."""

    basic: str
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ActionTable:
    """All rows, found by tag."""

    rows: Mapping[int, Row]
    repeating: tuple[tuple[int, int, Row], ...]

    def row(self, tag: int) -> Row | None:
        """Return the row of a tag, or None where the standard does not name it."""
        found = self.rows.get(tag)
        if found is None and tag >> 24 in (0x50, 0x60):  # groups that repeat
            for mask, repeated, row in self.repeating:
                if tag & mask == repeated:
                    return row
        return found


@functools.cache
def read_table() -> ActionTable:
    """Read the table that this package carries; once."""
    text = files("deepfixcx.deidentify").joinpath("ps3_15.csv").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    rows: dict[int, Row] = {}
    repeating = []
    header, *cells = read_rows(lines)
    for values in cells:
        each = dict(zip(header, values, strict=True))
        tag = each["tag"]
        row = Row(each["basic"], MappingProxyType({o: each[o] for o in OPTIONS if each[o]}))
        if "X" in tag:
            mask = int("".join("0" if digit == "X" else "F" for digit in tag), 16)
            repeating.append((mask, int(tag.replace("X", "0"), 16), row))
        else:
            rows[int(tag, 16)] = row
    return ActionTable(MappingProxyType(rows), tuple(repeating))


# Where the standard leaves a choice to what the kind of image requires, the last alternative keeps
# every kind valid, and none of them keeps the value.
_RESOLVED = {
    "X": Action.REMOVE,
    "Z": Action.EMPTY,
    "X/Z": Action.EMPTY,
    "D": Action.DUMMY,
    "X/D": Action.DUMMY,
    "Z/D": Action.DUMMY,
    "X/Z/D": Action.DUMMY,
    "U": Action.UID,
    "X/Z/U*": Action.UID,
}


@dataclass(frozen=True, slots=True)
class Profile:
    """The Basic Profile of DICOM PS3.15 Annex E and the options that loosen it.

    Without options every date, description, device and characteristic is removed or replaced.

    Parameters
    ----------
    retain_dates : bool
        Shift dates by whole weeks, the same for all images of a patient, instead of removing them:
        Retain Longitudinal Temporal Information with Modified Dates. Times of day stay. The date
        of birth is emptied all the same.
    retain_patient : bool
        Keep sex, age, size, weight and the like: Retain Patient Characteristics. Ages over 89
        stay as they are.
    retain_device : bool
        Keep serial numbers, station names and the like: Retain Device Identity.
    clean_descriptors : bool
        Keep what is harmless of descriptions: Clean Descriptors. Only words of a list of anatomy
        and technique stay.
    clean_graphics : bool
        Keep drawn lines of graphic annotations, without their texts: Clean Graphics. Overlays are
        removed all the same: no program can know that a bitmap shows no writing.
    private : frozenset of PrivateElement
        Private elements that may stay: Retain Safe Private. All others are removed.
    words : frozenset of str
        More words that descriptions may keep; needs `clean_descriptors`.
    retain_uids : bool
        Keep the UIDs of studies, series and instances: Retain UIDs.
    retain_institution : bool
        Keep name, address and departments of the institution: Retain Institution Identity.
    retain_full_dates : bool
        Keep dates as they are: Retain Longitudinal Temporal Information with Full Dates. The date
        of birth is emptied all the same. Excludes `retain_dates`.
    clean_structured : bool
        Keep content of structured reports: codes, numbers, references; texts and names in it are
        handled like others: Clean Structured Content.
    keep_text : bool
        Keep sentences of free texts without what identifies, in place of known words alone: names,
        numbers and dates of the header, addresses, telephone numbers and the like are replaced.
        Names of others may stay, so the options it loosens are not claimed. Needs
        `clean_descriptors` or `clean_structured`.
    rules : tuple of ElementRule
        What becomes of single elements, whatever table and options say; see `read_rules`.

    Raises
    ------
    DeidentifyError
        Free text or words without `clean_descriptors`, a word that is no single word, or both kinds
        of dates.

    References
    ----------
    DICOM PS3.15, Annex E, Attribute Confidentiality Profiles.

    Examples
    --------
    >>> Profile().action(0x00080020), Profile(retain_dates=True).action(0x00080020)
    (<Action.EMPTY: 'Z'>, <Action.CLEAN: 'C'>)
    """

    retain_dates: bool = False
    retain_patient: bool = False
    retain_device: bool = False
    clean_descriptors: bool = False
    clean_graphics: bool = False
    private: frozenset[PrivateElement] = frozenset()
    words: frozenset[str] = frozenset()
    retain_uids: bool = False
    retain_institution: bool = False
    retain_full_dates: bool = False
    clean_structured: bool = False
    keep_text: bool = False
    rules: tuple[ElementRule, ...] = ()

    def __post_init__(self) -> None:
        """Refuse words that would do nothing, and options that exclude each other."""
        if self.retain_dates and self.retain_full_dates:
            raise DeidentifyError(
                "dates are either shifted (dates) or kept (full-dates); choose one of the two"
            )
        if self.keep_text and not (self.clean_descriptors or self.clean_structured):
            raise DeidentifyError(
                "free text stays only with the option descriptors or structured; add one of them"
            )
        if self.words and not self.clean_descriptors:
            raise DeidentifyError("words require clean_descriptors=True; add it, or omit the words")
        if any(not word.isalnum() for word in self.words):
            raise DeidentifyError(
                "words must be single words of letters and digits; split entries with "
                "spaces or signs"
            )

    def action(self, tag: int) -> Action | None:
        """Return what becomes of an attribute, None where the standard does not name it.

        A rule for the element wins. Of several options the stricter wins: C over K.
        """
        rule = self.rule(tag)
        return self.without_rules(tag) if rule is None else rule.action

    def without_rules(self, tag: int) -> Action | None:
        """Return what table and options do with an attribute."""
        row = read_table().row(tag)
        if row is None:
            return None
        if row.options:
            codes = {code for option, code in row.options.items() if self.chosen(option)}
            for code in (Action.CLEAN, Action.KEEP):
                if code.value in codes:
                    return code
        return _RESOLVED[row.basic]

    def basic(self, tag: int) -> Action | None:
        """Return what the Basic Profile alone does with an attribute."""
        row = read_table().row(tag)
        return None if row is None else _RESOLVED[row.basic]

    def rule(self, tag: int) -> ElementRule | None:
        """Return the rule for one element, or None."""
        return next((rule for rule in self.rules if rule.tag == tag), None)

    def keeps_identifier(self, tag: int) -> bool:
        """Return whether option or rule keep an element whose words identify no patient then."""
        return self.action(tag) is Action.KEEP

    def chosen(self, option: str) -> bool:
        """Return whether an option, by the name of its column, is chosen."""
        return bool(getattr(self, OPTIONS[option]))
