"""Which images stand behind each record: a table of the private folder."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deepfixcx.errors import ReleaseError
from deepfixcx.mechanisms.records import Records
from deepfixcx.release.manifest import write_rows

__all__ = ["MEMBERS", "Member", "read_members", "write_members"]

MEMBERS = "members.csv"
COLUMNS = ["source_id", "source", "frame", "patient"]


@dataclass(frozen=True, slots=True)
class Member:
    """One image behind a record. Its text form shows neither its file nor its patient.

    Attributes
    ----------
    source : str
        Absolute path of the file.
    frame : int
        Number of the frame in it, from 0.
    patient : str
        Whose it is; a name made of the file where nobody says.

    Examples
    --------
    >>> Member("/scans/1.png", patient="p1").frame
    0
    """

    source: str = field(repr=False)
    frame: int = 0
    patient: str = field(default="", repr=False)


def write_members(
    private: Path, names: Sequence[str], records: Records, members: Sequence[Member]
) -> None:
    """Write which images each record is made of; nobody else may read the file."""
    rows = (
        (name, members[place].source, members[place].frame, members[place].patient)
        for name, places in zip(names, records.members, strict=True)
        for place in places.tolist()
    )
    write_rows(private / MEMBERS, COLUMNS, rows, mode=0o600)


def read_members(private: str | Path) -> dict[str, tuple[Member, ...]]:
    """Return which images stand behind each record of a release by a mechanism.

    Of a record that was drawn anew, these are the images in whose place it stands.

    Parameters
    ----------
    private : path-like
        The private folder of the release.

    Returns
    -------
    dict of str to tuple of Member
        By the names of the records, in the order of the release.

    Raises
    ------
    ReleaseError
        The folder has no such table, or a damaged one.

    Examples
    --------
    >>> members = read_members("shared.private")  # doctest: +SKIP
    >>> len({member.patient for member in members["000001"]})  # doctest: +SKIP
    3
    """
    path = Path(private) / MEMBERS
    found: dict[str, list[Member]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                member = Member(row["source"], int(row["frame"]), row["patient"])
                found.setdefault(row["source_id"], []).append(member)
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        raise ReleaseError(
            f"{path.parent.name!r} has no {MEMBERS} that can be read; it is the private folder of "
            f"a release by a mechanism that has one"
        ) from None
    return {name: tuple(members) for name, members in found.items()}
