"""A release, its originals and a table of patients become what an audit attacks."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepfixcx.errors import AuditError, LayoutError, ReleaseError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deepfixcx.audit.suite import Target
    from deepfixcx.code import Code
    from deepfixcx.datasets import Dataset

__all__ = ["Found", "find_target"]

SIDE = 64
"""Pixels a side in which images are compared."""

ATTRIBUTES = ("sex", "view", "site", "hospital", "institution", "scanner", "manufacturer")
"""Columns that are guessed where the table has them, beside the age."""

MIXING = "mixing"


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


def find_target(
    release: Path,
    originals: Path,
    table: Path,
    *,
    private: Path | None,
    labels: str | None,
    workers: int,
    report: Callable[[int, int], None] | None = None,
) -> Found:
    """Join the records of a release with their originals and patients.

    Raises
    ------
    ReleaseError
        No release with codes, or no table that says which source each record is.
    DatasetError
        The table of patients cannot be used.
    AuditError
        No record has a patient, or the release mixes images and does not say which.
    """
    import numpy as np

    from deepfixcx.audit.suite import Target
    from deepfixcx.learn.loading import encode_records, load_pixels

    code, names, notes = _records(release, private)
    dataset = _dataset(table, originals, labels)
    if not dataset.has_patients:
        raise AuditError(f"{table.name!r} does not say of every image whose it is; add a column")
    channels: Any = 1 if code.channels == 1 else 3
    loaded = load_pixels(dataset.records, SIDE, channels=channels, workers=workers, report=report)
    encoded = encode_records(
        dataset.records, code.spec, channels=channels, workers=workers, report=report
    )
    usable = np.intersect1d(loaded.places, encoded.places)
    failed = len(dataset) - len(usable)
    dataset = dataset.select(usable)
    place_of = {record.path.resolve(): place for place, record in enumerate(dataset.records)}
    base = originals if originals.is_dir() else originals.parent
    places = [place_of.get((base / name).resolve()) for name in names]
    rows = [row for row, place in enumerate(places) if place is not None]
    if not rows:
        raise AuditError(
            f"none of the {len(names)} records of {release.name!r} is of an image that "
            f"{table.name!r} lists; --against is what was given to privatize as IN"
        )
    if len(rows) < len(names):
        notes += (f"{len(names) - len(rows)} records have no patient in the table: left out",)
    if dataset.label_names:
        notes += (f"what labels alone reach is of: {', '.join(dataset.label_names)}",)
    target = Target(
        released=code[np.array(rows)],
        images=loaded.array[np.isin(loaded.places, usable)],
        encoded=encoded.array[np.isin(encoded.places, usable)],
        patients=dataset.patients,
        members=[(place,) for place in places if place is not None],
        labels=np.array(dataset.labels) if dataset.label_names else None,
        attributes=_attributes(dataset),
    )
    return Found(target, notes, failed + len(dataset.problems))


def _records(release: Path, private: Path | None) -> tuple[Code, list[str], tuple[str, ...]]:
    """Return the codes of a release, the source of each, and what should be known of them."""
    import numpy as np

    from deepfixcx.release import load_codes, private_folder

    notes = _mechanisms(release)
    try:
        code, ids = load_codes(release, 1)
    except ReleaseError:
        code, ids = load_codes(release, 3)
    sources = _sources((private or private_folder(release)) / "sources.csv", release)
    first = {name: row for row, name in reversed(list(enumerate(ids)))}
    if len(first) < len(ids):
        notes += (f"{len(ids) - len(first)} further frames of files with several: left out",)
    code = code[np.array(sorted(first.values()))]
    return code, [sources[ids[row]] for row in sorted(first.values())], notes


def _mechanisms(release: Path) -> tuple[str, ...]:
    try:
        about = json.loads((release / "dataset.json").read_bytes())
        used = [str(each["mechanism"]) for each in about["mechanisms"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise ReleaseError(
            f"{release.name!r} has no dataset.json that can be read: it is no finished release"
        ) from None
    if MIXING in used:
        raise AuditError(
            f"{release.name!r} mixes images, and its papers do not say which; audit it in Python, "
            f"where deepfixcx.audit.linkage.Records is told the members of each record"
        )
    if not used:
        return ()
    return (f"made with {', '.join(used)}; images that are looked up were encoded without",)


def _sources(table: Path, release: Path) -> Mapping[str, str]:
    try:
        with table.open(newline="", encoding="utf-8") as file:
            return {row["source_id"]: row["source"] for row in csv.DictReader(file)}
    except (OSError, KeyError, UnicodeDecodeError, csv.Error):
        raise ReleaseError(
            f"{str(table)!r} does not tell which source each record of {release.name!r} is; name "
            f"the private folder of the release with --private"
        ) from None


def _dataset(table: Path, originals: Path, labels: str | None) -> Dataset:
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
