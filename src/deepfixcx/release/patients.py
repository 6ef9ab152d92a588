"""Whose an image is: from a patient, a table or names of files to the IDs of a release."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deepfixcx.errors import ImageFileError, LayoutError, ReleaseError
from deepfixcx.images.reading import read_header
from deepfixcx.io.release_files import MANIFEST, SOURCES
from deepfixcx.io.tables import Table, cells_of, has_table_name, table_rows
from deepfixcx.release.ledger import Ledger
from deepfixcx.release.plan import Plan, Planned
from deepfixcx.release.storage import open_hashed

if TYPE_CHECKING:
    from deepfixcx.deidentify import Deidentifier
    from deepfixcx.release.inputs import Source
    from deepfixcx.release.options import ReleaseOptions

__all__ = [
    "chosen_sources",
    "forget_pseudonyms",
    "listed_patients",
    "name_patients",
    "with_patients",
]

HEADERS = "PatientID"
"""In place of a column: patients stand in DICOM headers."""


def listed_patients(where: str | Path, options: ReleaseOptions, column: str) -> dict[str, str]:
    """Return who the inputs of DICOM files are of, by their paths in the table IN."""
    named = column != HEADERS and options.writes("dicom")
    return _listed(Path(where), column) if named else {}


def with_patients(
    parts: Iterable[tuple[Planned, ...]], patients: Mapping[str, str]
) -> Iterator[tuple[Planned, ...]]:
    """Yield parts of a plan whose inputs know who they are of."""
    for part in parts:
        yield tuple(replace(item, patient=patients.get(item.source.name, "")) for item in part)


def name_patients(plan: Plan, ledger: Ledger, key: Path, where: str | Path, column: str) -> None:
    """Give each record the pseudonym of its patient, from a column of the table IN or headers."""
    from deepfixcx.deidentify import Deidentifier, Profile, load_key

    known = Deidentifier(Profile(), load_key(key))
    listed = None if column == HEADERS else _listed(Path(where), column)
    for number in plan.numbers:
        sources = {item.source_id: item.source for item in plan.shard(number)}

        def pseudonym(source_id: str, sources: dict[str, Source] = sources) -> str:
            source = sources[source_id]
            if listed is None:
                return _in_header(source, known)
            patient = listed.get(source.name, "")
            return known.key.pseudonym(("id", "", patient)) if patient else ""

        ledger.name_patients(number, pseudonym)


def _listed(table: Path, column: str) -> dict[str, str]:
    """Return the patient of each path of a table."""
    from deepfixcx.datasets.table import listed_images

    if not has_table_name(table.name):
        raise ReleaseError(
            f"--patient {column} requires a table IN with this column; for the patients of DICOM "
            f"headers, use --patient {HEADERS}"
        )
    try:
        listed = listed_images(Table(table), column)
        return {each.path: each.patient for each in listed if each.problem is None}
    except LayoutError as error:
        raise ReleaseError(str(error)) from None


def _in_header(source: Source, known: Deidentifier) -> str:
    """Return the pseudonym of the patient of a DICOM file; empty for other files."""
    with suppress(ImageFileError):
        stream, _ = open_hashed(source.path)
        with stream:
            header = read_header(stream)
        if header is not None:
            return known.pseudonym(header.dataset)
    return ""


def chosen_sources(
    folder: Path,
    private: Path,
    images: Sequence[str],
    patient: str,
    key: Path,
    table: Path | None,
    column: str | None,
) -> tuple[frozenset[str], frozenset[str]]:
    """Return the IDs of images and of a patient, and the pseudonyms of the patient."""
    sources = dict(_sources(private)) if images or table is not None else {}
    by_name = {name: source_id for source_id, name in sources.items()}
    ids = set[str]()
    for image in images:
        found = image if image in sources else by_name.get(image)
        if found is None:
            raise ReleaseError(
                f"{folder.name!r} has no image {image!r}; name an ID of its manifest, or a source "
                f"as in the private {SOURCES}"
            )
        ids.add(found)
    names = frozenset[str]()
    if patient:
        names = frozenset((patient, *_pseudonyms(patient, key)))
        if table is not None:
            found_ids = _in_table(table, column, patient, sources)
        else:
            found_ids = _in_release(folder, names)
        if not found_ids:
            raise ReleaseError(
                f"no image of this patient is in {folder.name!r}; check the ID, or name a table "
                "of images and patients with --patients"
            )
        ids |= found_ids
    return frozenset(ids), names


def _sources(private: Path) -> Iterator[tuple[str, str]]:
    try:
        rows = table_rows(private / SOURCES)
        header = cells_of(next(rows))
        place, name = header.index("source_id"), header.index("source")
        for row in rows:
            cells = cells_of(row)
            if cells[place]:
                yield cells[place], cells[name]
    except (LayoutError, StopIteration, ValueError, LookupError):
        raise ReleaseError(
            f"{private.name!r} has no {SOURCES} that can be read; finish the release with --resume"
        ) from None


def _pseudonyms(patient: str, key: Path) -> tuple[str, ...]:
    """Return the pseudonym of a patient by the key of the release, where it has one."""
    if not key.is_file():
        return ()
    from deepfixcx.deidentify import load_key

    return (load_key(key).pseudonym(("id", "", patient)),)


def _in_table(table: Path, column: str | None, patient: str, sources: dict[str, str]) -> set[str]:
    """Return the IDs of the images that a table gives to a patient."""
    from deepfixcx.datasets.table import listed_images

    try:
        listed = listed_images(Table(table), column)
        paths = [each.path for each in listed if each.problem is None and each.patient == patient]
    except LayoutError as error:
        raise ReleaseError(str(error)) from None
    return _by_paths(paths, sources)


def _by_paths(paths: Collection[str], sources: dict[str, str]) -> set[str]:
    """Return the IDs of sources with these paths, which may begin at another folder."""
    found: dict[str, set[str]] = {path: set() for path in paths}
    for source_id, source in sources.items():
        for path in paths:
            if source == path or source.endswith(f"/{path}") or path.endswith(f"/{source}"):
                found[path].add(source_id)
    for ids in found.values():
        if len(ids) > 1:
            raise ReleaseError(
                f"{len(ids)} sources of the release end with one path of the table; name the "
                "images by their IDs with --image"
            )
    return set().union(*found.values())


def _in_release(folder: Path, names: Collection[str]) -> set[str]:
    """Return the IDs of images whose manifest, or whose DICOM header, has one of these names."""
    rows = table_rows(folder / MANIFEST)
    header = cells_of(next(rows))
    patient, dicom = (header.index(n) if n in header else None for n in ("patient", "dicom_file"))
    found, dicoms = set[str](), dict[str, str]()
    for row in rows:
        cells = cells_of(row)
        if patient is not None and cells[patient]:
            if cells[patient] in names:
                found.add(cells[0])
        elif dicom is not None and cells[dicom]:
            dicoms[cells[dicom]] = cells[0]
    return found | {source_id for name, source_id in dicoms.items() if _of(folder / name) in names}


def _of(path: Path) -> str:
    """Return the patient in the header of a released DICOM file; empty where it has none."""
    from pydicom import dcmread

    try:
        header = dcmread(path, stop_before_pixels=True, specific_tags=["PatientID"])
        return str(header.get("PatientID") or "")
    except Exception:  # pydicom raises whatever a damaged header leads to
        return ""


def forget_pseudonyms(table: Path, names: Collection[str]) -> None:
    """Remove patients from a private table of pseudonyms."""
    from deepfixcx.deidentify import MappingTable

    if table.is_file():
        MappingTable(table, apart_from="").remove(names)
