"""A release, its originals and a table of patients become what an audit attacks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepfixcx._words import counted
from deepfixcx.cli._originals import check_contents, count_missing
from deepfixcx.cli._release_records import ReleaseRecords, read_release
from deepfixcx.errors import AuditError, LabelError, LayoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepfixcx.audit.suite import Target
    from deepfixcx.datasets import Dataset

__all__ = ["Found", "Listed", "find_listed", "find_target"]

SIDE = 64
"""Pixels a side in which images are compared."""

ATTRIBUTES = ("sex", "view", "site", "hospital", "institution", "scanner", "manufacturer")
"""Columns that are guessed where the table has them, beside the age."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is attacked, and what a user should know about how it was found.

    Attributes
    ----------
    target : Target
        For `audit_release`.
    notes : tuple of str
        Such as how many records have no patient.
    failures : int
        Originals that could not be read.
    """

    target: Target
    notes: tuple[str, ...]
    failures: int


@dataclass(frozen=True, eq=False, slots=True)
class Listed:
    """Records of a release and the table of their patients, before any image is read."""

    release: str
    table: str
    made: ReleaseRecords
    dataset: Dataset
    notes: tuple[str, ...]


def find_listed(
    release: Path, originals: Path, table: Path, *, private: Path | None, labels: str | None
) -> Listed:
    """Read a release and a table of patients, and refuse what does not belong together.

    Raises
    ------
    ReleaseError
        No release with codes or records, or no table that says which sources each record is of.
    DatasetError
        The table of patients cannot be used.
    AuditError
        No record has a patient, the release mixes images and does not say which, or the originals
        are other files than those that were privatized.
    """
    from deepfixcx.release import private_folder

    made = read_release(release, private or private_folder(release), originals)
    dataset, notes = _dataset(table, originals, labels, made)
    if not dataset.has_patients:
        raise AuditError(f"{table.name!r} does not say of every image whose it is; add a column")
    listed = Listed(release.name, table.name, made, dataset, notes)
    _linked(listed, dataset)
    check_contents(made.contents)
    return listed


def find_target(
    listed: Listed, *, workers: int, report: Callable[[int, int], None] | None = None
) -> Found:
    """Read the originals, and join them with the records.

    Raises
    ------
    AuditError
        No original of a record can be read.
    """
    import numpy as np

    from deepfixcx.audit.suite import Target
    from deepfixcx.learn.loading import encode_records, load_pixels

    made, dataset, notes = listed.made, listed.dataset, listed.notes
    channels: Any = made.channels
    loaded = load_pixels(dataset.records, SIDE, channels=channels, workers=workers, report=report)
    encoded = encode_records(
        dataset.records, made.spec, channels=channels, workers=workers, report=report
    )
    usable = np.intersect1d(loaded.places, encoded.places)
    failed = len(dataset) - len(usable)
    dataset = dataset.select(usable)
    rows, members = _linked(listed, dataset)
    missing = count_missing(made.members)
    if missing:
        notes += (f"{counted(missing, 'record has', 'records have')} no original: left out",)
    lost = len(made.members) - len(rows) - missing
    if lost > 0:
        notes += (
            f"{counted(lost, 'record has', 'records have')} no patient in the table: left out",
        )
    if dataset.label_names:
        notes += (f"what labels alone reach is of: {', '.join(dataset.label_names)}",)
    target = Target(
        released=made.records[np.array(rows)],
        images=loaded.array[np.isin(loaded.places, usable)],
        encoded=made.represent(encoded.array[np.isin(encoded.places, usable)]),
        patients=dataset.patients,
        members=members,
        labels=np.array(dataset.labels) if dataset.label_names else None,
        attributes=_attributes(dataset),
    )
    return Found(target, notes, failed + len(dataset.problems))


def _linked(listed: Listed, dataset: Dataset) -> tuple[list[int], list[tuple[int, ...]]]:
    """Return the records that are of listed images, and the places of these; refuse none at all."""
    place_of = {record.path.resolve(): place for place, record in enumerate(dataset.records)}
    rows, members = [], []
    for row, paths in enumerate(listed.made.members):
        places = tuple(place_of[path] for path in dict.fromkeys(paths) if path in place_of)
        if places:
            rows.append(row)
            members.append(places)
    if not rows:
        raise AuditError(
            f"none of the {len(listed.made.members)} records of {listed.release!r} is of an image "
            f"that {listed.table!r} lists; its paths are relative to its own folder, and --against "
            f"is what was given to privatize as IN"
        )
    return rows, members


def _dataset(
    table: Path, originals: Path, labels: str | None, made: ReleaseRecords
) -> tuple[Dataset, tuple[str, ...]]:
    """Read the table, with the labels that are shared where the release or the user names them."""
    if labels is not None or made.labels is None:
        return _read(table, originals, labels), made.notes
    try:
        return _read(table, originals, made.labels), made.notes
    except LabelError:
        note = (
            f"{table.name!r} lacks some of the released labels ({made.labels}); what labels alone "
            f"reach is of all others"
        )
        return _read(table, originals, None), (*made.notes, note)


def _read(table: Path, originals: Path, labels: str | None) -> Dataset:
    """Read the table; its paths are relative to its own folder, or to that of the originals."""
    from deepfixcx.datasets import read_table

    try:
        return read_table(table, labels)
    except LayoutError as error:
        try:
            return read_table(table, labels, images=originals)
        except LayoutError:
            raise error from None


def _attributes(dataset: Dataset) -> dict[str, list[str]]:
    """Return what could be guessed: values of two kinds or more."""
    from deepfixcx.audit.inference import above_median

    columns = {
        name: [record.attributes.get(name, "") for record in dataset.records] for name in ATTRIBUTES
    }
    columns["view"] = [record.view or "" for record in dataset.records]
    ages = above_median([record.attributes.get("age", "") for record in dataset.records])
    columns["age above the median"] = ages
    return {name: values for name, values in columns.items() if len({*values} - {""}) > 1}
