"""Private elements that a steward allows to stay, named by their creator."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pydicom.dataset import Dataset

from deepfixcx.errors import DeidentifyError, LayoutError
from deepfixcx.io.tables import Table

__all__ = ["PrivateElement", "creator_of", "read_private_elements"]

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
                f"row {row.number} of {path.name!r} is not creator,group,element with two "
                f"hexadecimal numbers; write it like SIEMENS MR HEADER,0019,0C"
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
