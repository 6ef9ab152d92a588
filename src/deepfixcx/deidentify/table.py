"""The table of DICOM PS3.15 that says what becomes of each attribute."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType

from deepfixcx.io.tables import read_rows

__all__ = ["OPTIONS", "Row", "Table", "read_table"]

OPTIONS = ("device", "patient", "dates", "descriptors", "graphics")
"""The columns of options that are kept here."""


@dataclass(frozen=True, slots=True)
class Row:
    """What the table says of one attribute.

    Attributes
    ----------
    basic : str
        Code of the Basic Profile, such as ``X`` or ``X/Z/D``.
    options : mapping of str to str
        Codes of the options that say something else, by `OPTIONS`.
    """

    basic: str
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """All rows, found by tag.

    Attributes
    ----------
    rows : mapping of int to Row
        By group and element as one number.
    repeating : tuple of (mask, tag, Row)
        Attributes of repeating groups: the row is of every tag with ``tag & mask`` equal to it.
    """

    rows: Mapping[int, Row]
    repeating: tuple[tuple[int, int, Row], ...]

    def row(self, tag: int) -> Row | None:
        """Return the row of a tag, or None where the standard does not name it.

        Examples
        --------
        >>> read_table().row(0x00100010).basic, read_table().row(0x60023000).basic
        ('Z', 'X')
        """
        found = self.rows.get(tag)
        if found is None:
            for mask, repeated, row in self.repeating:
                if tag & mask == repeated:
                    return row
        return found


@functools.cache
def read_table() -> Table:
    """Read the table that this package carries; once.

    Examples
    --------
    >>> len(read_table().rows) > 600
    True
    """
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
    return Table(MappingProxyType(rows), tuple(repeating))
