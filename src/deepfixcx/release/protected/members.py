"""Which images stand behind each record, and which were mixed before: private tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deepfixcx.errors import MechanismError, ReleaseError
from deepfixcx.io.files import writing_text
from deepfixcx.io.tables import own_rows
from deepfixcx.mechanisms.records import Records
from deepfixcx.release.manifest import write_private_rows

__all__ = [
    "CONTENT",
    "MEMBERS",
    "MIXED",
    "Member",
    "check_not_mixed_before",
    "read_members",
    "remember_mixed",
    "write_members",
]

MEMBERS = "members.csv"
CONTENT = "sha256:"
"""Begins a source that is named by what it holds: a copy under another name is the same image."""

MIXED = "mixed.json"
"""In the private folder: what earlier releases mixed. It outlasts ``--overwrite``, because a
release that was shared cannot be taken back."""

MIXED_FORMAT, MIXED_VERSION = "deepfixcx.mixed", 1
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
        Whose it is; a name made of the file where it is unknown.

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
    """Write which images each record is made of; only the owner may read the file."""
    rows = (
        (name, members[place].source, members[place].frame, members[place].patient)
        for name, places in zip(names, records.members, strict=True)
        for place in places.tolist()
    )
    write_private_rows(private, MEMBERS, COLUMNS, rows)


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
        for row in own_rows(path):
            member = Member(row["source"], int(row["frame"]), row["patient"])
            found.setdefault(row["source_id"], []).append(member)
    except (OSError, ValueError, KeyError):
        raise ReleaseError(
            f"{path.parent.name!r} has no readable {MEMBERS}, which the private folder of a "
            "release made with a mechanism has; check --private"
        ) from None
    return {name: tuple(members) for name, members in found.items()}


def check_not_mixed_before(
    private: Path, release: str, patients: set[str], sources: set[str]
) -> None:
    """Refuse to mix what another release of this private folder mixed already."""
    again = 0
    for name, earlier in _mixed_before(private).items():
        if name != release:
            files = sources & set(earlier["sources"])
            equal = sum(each.startswith(CONTENT) for each in files)
            shared = len(patients & set(earlier["patients"]))
            again = max(again, shared, equal, len(files) - equal)
    if again:
        raise MechanismError(
            f"an earlier release by mixing with this private folder holds {again} of the same "
            "patients or files; the difference between two such releases reveals single "
            "patients. Share the earlier release, or use another mechanism"
        )


def remember_mixed(private: Path, release: str, patients: set[str], sources: set[str]) -> None:
    """Note in the private folder what a release mixes, before anything of it is written."""
    releases = _mixed_before(private)
    releases[release] = {"patients": sorted(patients), "sources": sorted(sources)}
    about = {"format": MIXED_FORMAT, "version": MIXED_VERSION, "releases": releases}
    with writing_text(private / MIXED, mode=0o600, replace=True) as file:
        json.dump(about, file, indent=1, sort_keys=True)
        file.write("\n")


def _mixed_before(private: Path) -> dict[str, dict[str, list[str]]]:
    try:
        about = json.loads((private / MIXED).read_text(encoding="utf-8"))
        if (about["format"], about["version"]) == (MIXED_FORMAT, MIXED_VERSION):
            return {
                str(name): {part: list(map(str, each[part])) for part in ("patients", "sources")}
                for name, each in about["releases"].items()
            }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    raise ReleaseError(
        f"{MIXED} in {private.name!r} is damaged or of another version of deepfixcx, so the "
        "patients of earlier mixtures are unknown; restore it from a backup"
    )
