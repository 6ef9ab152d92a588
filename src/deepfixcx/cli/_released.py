"""A release, its originals and a table of patients become what an audit attacks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepfixcx._words import counted
from deepfixcx.cli._options import words_in
from deepfixcx.cli._release_records import (
    HINT,
    ReleaseRecords,
    check_contents,
    check_pairs,
    count_missing,
    read_release,
)
from deepfixcx.errors import AuditError, LabelError, LayoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from deepfixcx.audit.suite import PublicImages, Target
    from deepfixcx.datasets import Columns, Dataset
    from deepfixcx.spec import CodecSpec

__all__ = ["Found", "Listed", "find_listed", "find_target"]

SIDE = 64
"""Pixels a side in which images are compared."""

UNPROVED = {
    "similarity": (
        "the private folder holds no ID and no checksum of this release; it was accepted because "
        "the records resemble the originals that it names",
    ),
    "none": (
        "not bound: the private folder holds no ID and no checksum of this release, and the "
        "records cannot be compared with originals; with the folder of another release every "
        "value of this audit is wrong",
    ),
}
"""Note for the user where the private folder is not known by an ID or a checksum."""


PSEUDONYMS = (
    "patients are the pseudonyms of the release; labels, sex and age of the originals are not "
    "known to the attacker: name their table with --patients"
)
OWNERS = PSEUDONYMS.replace("pseudonyms of the release", "patients that the private folder names")
"""Notes where no table was named."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is attacked, and what a user should know about how it was found."""

    target: Target
    notes: tuple[str, ...]
    failures: int
    binding: str
    records: tuple[int, int]  # attacked, and in the release


@dataclass(frozen=True, eq=False, slots=True)
class Listed:
    """Records of a release and the table of their patients, before any image is read."""

    release: str
    table: str
    made: ReleaseRecords
    dataset: Dataset
    notes: tuple[str, ...]
    known: tuple[str, ...] = ()
    public: Dataset | None = None


def find_listed(
    release: Path,
    originals: Path,
    table: Path | None,
    *,
    private: Path | None,
    labels: str | None,
    known: str | None = None,
    public: Path | None = None,
    patient: str | None = None,
) -> Listed:
    """Read a release and its patients, and refuse what does not belong together.

    Patients are those of the table or, without one, those that the release names.
    """
    from deepfixcx.audit.target import check_patients, column_of
    from deepfixcx.datasets import Columns
    from deepfixcx.release import private_folder

    made = read_release(release, private or private_folder(release), originals)
    if table is None:
        chosen = {"--labels": labels, "--known-columns": known, "--public": public}
        dataset, notes = _of_release(made, originals, {**chosen, "--patient": patient})
        listed = Listed(release.name, "", made, dataset, notes)
        check_contents(made.contents)
        return listed
    columns = Columns(patient=patient)
    dataset, notes = _dataset(table, originals, labels, made, columns)
    check_patients(dataset, table.name)
    attributes = tuple(words_in(known or ""))
    for name in attributes:
        if not any(column_of(dataset, name)):
            raise AuditError(
                f"{table.name!r} has no values in a column {name!r}; correct --known-columns"
            )
    others = None
    if public is not None:
        others = _read(public, public.parent, ",".join(dataset.label_names) or None, columns)
        check_patients(others, public.name)
        both = set(others.patients.tolist()) & set(dataset.patients.tolist())
        if both:
            raise AuditError(
                f"{counted(len(both), 'patient is', 'patients are')} in both tables; --public "
                "must name images of other patients"
            )
    listed = Listed(release.name, table.name, made, dataset, notes, attributes, others)
    _linked(listed, dataset)
    _check_owners(listed)
    check_contents(made.contents)
    return listed


def find_target(
    listed: Listed, *, workers: int, report: Callable[[int, int], None] | None = None
) -> Found:
    """Read the originals, and join them with the records."""
    import numpy as np

    from deepfixcx.audit.suite import Target
    from deepfixcx.audit.target import guessed_attributes, known_columns

    made, notes = listed.made, listed.notes
    dataset, images, codes = _readable(listed.dataset, made.spec, made.channels, workers, report)
    failed = len(listed.dataset) - len(dataset)
    rows, members = _linked(listed, dataset)
    missing = 0 if made.synthetic else count_missing(made.members)
    if missing:
        notes += (f"{counted(missing, 'record has', 'records have')} no original: left out",)
    lost = len(made.members) - len(rows) - missing
    if lost > 0:
        notes += (
            f"{counted(lost, 'record has', 'records have')} no patient in the "
            f"{'table' if listed.table else 'release'}: left out",
        )
    names = (*dataset.label_names, *listed.known)
    if names:
        notes += (f"the label-only baseline knows: {', '.join(names)}",)
    labels = np.array(dataset.labels, np.float32).reshape(len(dataset), -1)
    of_records, shared = None, 0
    if made.record_labels is not None and dataset.label_names == made.label_names:
        of_records, shared = made.record_labels[np.array(rows)], len(made.label_names)
    public, failed_public = _public(listed, codes.shape[1], workers, report)
    target = Target(
        released=made.records[np.array(rows)],
        images=images,
        encoded=made.represent(codes),
        patients=dataset.patients,
        members=members,
        labels=known_columns(dataset, listed.known) if names else None,
        attributes=guessed_attributes(dataset),
        record_labels=of_records,
        label_names=made.label_names[:shared],
        remake=None if of_records is None else made.again(codes, labels, dataset.patients),
        public=public,
        budget=made.budget,
    )
    alike = not made.synthetic and check_pairs(listed.release, target, drawn=made.drawn)
    binding = made.binding or ("similarity" if alike else "none")
    notes += UNPROVED.get(binding, ())
    failures = failed + failed_public + len(dataset.problems)
    return Found(target, notes, failures, binding, (len(rows), len(made.members)))


def _readable(
    dataset: Dataset,
    spec: CodecSpec,
    channels: Any,
    workers: int,
    report: Callable[[int, int], None] | None,
) -> tuple[Dataset, NDArray[np.float32], NDArray[np.float32]]:
    """Return the images that can be read, their pixels, and their codes."""
    import numpy as np

    from deepfixcx.learn.loading import encode_records, load_pixels

    run: dict[str, Any] = {"channels": channels, "workers": workers, "report": report}
    loaded = load_pixels(dataset.records, SIDE, **run)
    encoded = encode_records(dataset.records, spec, **run)
    usable = np.intersect1d(loaded.places, encoded.places)
    pixels, codes = (each.array[np.isin(each.places, usable)] for each in (loaded, encoded))
    return dataset.select(usable), pixels, codes


def _public(
    listed: Listed, channels: int, workers: int, report: Callable[[int, int], None] | None
) -> tuple[PublicImages | None, int]:
    """Read the public images, and return them with the number that could not be read."""
    from deepfixcx.audit.target import PublicImages, known_columns

    if listed.public is None:
        return None, 0
    made, given = listed.made, listed.public
    dataset, images, codes = _readable(given, made.spec, channels, workers, report)
    if not len(dataset):
        raise AuditError("no public image can be read; check the paths of the table --public")
    failed = len(given) - len(dataset) + len(given.problems)
    named = dataset.label_names or listed.known
    return PublicImages(
        images,
        made.represent(codes),
        dataset.patients,
        known_columns(dataset, listed.known) if named else None,
    ), failed


def _check_owners(listed: Listed) -> None:
    """Refuse a table that gives the images of one patient of the release to several."""
    given: dict[str, set[str]] = {}
    for record, patient in zip(listed.dataset.records, listed.dataset.patients, strict=True):
        owner = listed.made.owners.get(record.path.resolve())
        if owner is not None:
            given.setdefault(owner, set()).add(str(patient))
    torn = sum(len(names) > 1 for names in given.values())
    if torn:
        raise AuditError(
            f"{listed.table!r} gives the images of {counted(torn, 'patient')} of the release to "
            f"several patients; audit with the table, and the --patient, that privatize read"
        )


def _linked(listed: Listed, dataset: Dataset) -> tuple[list[int], list[tuple[int, ...]]]:
    """Return the records that are of listed images, and the places of these; refuse none at all."""
    if listed.made.synthetic:
        return list(range(len(listed.made.members))), [() for _ in listed.made.members]
    place_of = {record.path.resolve(): place for place, record in enumerate(dataset.records)}
    rows, members = [], []
    for row, paths in enumerate(listed.made.members):
        places = tuple(place_of[path] for path in dict.fromkeys(paths) if path in place_of)
        if places:
            rows.append(row)
            members.append(places)
    if not rows:
        raise AuditError(
            f"none of the {len(listed.made.members)} records of {listed.release!r} was made from "
            f"an image that {listed.table!r} lists; paths in the table are relative to its "
            "folder, and --against is the input folder (IN) of privatize"
        )
    return rows, members


def _of_release(
    made: ReleaseRecords, originals: Path, chosen: Mapping[str, object]
) -> tuple[Dataset, tuple[str, ...]]:
    """Return the originals on the disk with the patients that the release itself names."""
    from deepfixcx.datasets import Dataset, ImageRecord

    named = made.pseudonyms or made.owners
    if not named or made.synthetic or made.label_names:  # attackers know labels that are released
        lacks = "releases labels" if made.label_names else "names no patients"
        raise AuditError(
            f"the release {lacks}, so its audit needs --patients: a table (.csv) of the originals "
            f"with columns file and patient{' and the labels' if made.label_names else ''}"
        )
    if asked := [option for option, value in chosen.items() if value is not None]:
        raise AuditError(f"{asked[0]} requires --patients; name the table, or omit {asked[0]}")
    records = tuple(
        ImageRecord(path, name) for path, name in sorted(named.items()) if path.is_file()
    )
    if not records:
        raise AuditError(
            f"none of {counted(len(named), 'original')} of the release lies in "
            f"{originals.name!r}; {HINT}"
        )
    note = PSEUDONYMS if made.pseudonyms else OWNERS
    return Dataset("release", (), records, originals), (*made.notes, note)


def _dataset(
    table: Path, originals: Path, labels: str | None, made: ReleaseRecords, columns: Columns
) -> tuple[Dataset, tuple[str, ...]]:
    """Read the table, with the labels that are shared where the release or the user names them."""
    if labels is not None or made.labels is None:
        return _read(table, originals, labels, columns), made.notes
    try:
        return _read(table, originals, made.labels, columns), made.notes
    except LabelError:
        note = (
            f"{table.name!r} lacks some of the released labels ({made.labels}); the label-only "
            "baseline uses the other labels"
        )
        return _read(table, originals, None, columns), (*made.notes, note)


def _read(table: Path, originals: Path, labels: str | None, columns: Columns) -> Dataset:
    """Read the table; its paths are relative to its own folder, or to that of the originals."""
    from deepfixcx.datasets import read_table

    try:
        return read_table(table, labels, columns=columns)
    except LayoutError as error:
        try:
            return read_table(table, labels, columns=columns, images=originals)
        except LayoutError:
            raise error from None
