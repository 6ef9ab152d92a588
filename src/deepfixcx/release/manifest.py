"""The metadata of a finished release: manifest.csv, failures.csv, dataset.json, sources.csv.

Nothing in the first three says when, where, by whom or how fast the release was made: the same
inputs and options give the same bytes.
"""

from __future__ import annotations

import errno
import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from deepfixcx import __version__
from deepfixcx.errors import OverwriteError, ReleaseError, ReleaseStoppedError
from deepfixcx.images.masking import legible_height, stays_legible
from deepfixcx.io.folders import MARKER, FileLedger, OwnFolder
from deepfixcx.io.release_files import ABOUT, FAILURES, FORMAT, MANIFEST, SOURCES, is_leaf
from deepfixcx.io.tables import TableWriter, own_rows
from deepfixcx.release.claim import Claim
from deepfixcx.release.duplicates import Duplicates, Groups, near_duplicates
from deepfixcx.release.inputs import hidden_part
from deepfixcx.release.leaves import Leaves, describe
from deepfixcx.release.ledger import Ledger, Record
from deepfixcx.release.lifecycle import KNOWN, Lifecycle, size_in
from deepfixcx.release.options import ReleaseOptions, kept_depth, kept_values, source_values
from deepfixcx.release.plan import Plan
from deepfixcx.release.tables import Hashing, Labels, write_tables

__all__ = ["MANIFEST_VERSION", "TOTALS", "as_json", "check_versions", "count_legible",
           "count_records", "finishing", "manifest_of", "mechanism_entries", "private_table",
           "software", "stated", "write_manifest", "write_metadata", "write_private_rows",
           "write_rows"]  # fmt: skip

MANIFEST_VERSION = 1
VERSIONS_OF = ("numpy", "numba", "PyWavelets", "pillow", "pydicom", "safetensors")
TOTALS = (
    *("files", "files_done", "files_failed", "images"),
    *("source_file_bytes", "source_values", "source_bytes", "kept_values", "kept_bytes"),
    *("image_file_bytes", "dicom_files", "dicom_file_bytes", "code_files", "code_file_bytes"),
)
"""What is counted: files; images; bytes on disk; numbers and bytes of pixels and what is kept."""


Table = tuple[list[str], Iterable[tuple[object, ...]]]
"""The header and the rows of a table."""


def write_metadata(
    claim: Claim,
    about: Mapping[str, Any],
    tables: Mapping[str, Table],
    files: Mapping[str, bytes],
    rows: Callable[[], Iterable[Record]],
    leaves: Leaves,
    labels: Labels | None = None,
    vectors: NDArray[np.float32] | None = None,
) -> tuple[str, ...]:
    """Write the manifest files of any finished release, dataset.json last; return their names.

    `rows` are the records of its manifest, `labels` and `vectors` those of a mechanism.
    """
    if FAILURES in claim.metadata.listed and FAILURES not in tables:
        claim.withdraw(FAILURES)
    with claim.place.outbox(claim.metadata) as outbox:
        digests = {}
        for name, table in tables.items():
            with outbox.writing(name) as file:
                digests[name] = write_rows(file, *table)
        for name, data in files.items():
            digests[name] = outbox.put(name, data)
        outbox.send()
        own = {"format": FORMAT, "version": MANIFEST_VERSION, "software": software()}
        content = {**own, **about, "papers": digests}
        if leaves.with_tables:
            digests |= write_tables(claim.place.fetched, outbox, rows, labels, vectors)
            content["software"] |= {"pyarrow": version("pyarrow")}  # for the recipient's withdrawal
        names = () if labels is None else tuple(labels[0])
        patients = any(record.patient for record in rows())
        digests |= describe(outbox, content, leaves.about, digests, names, patients=patients)
        outbox.send()
        if stale := [n for n in claim.metadata.listed if is_leaf(n) and n not in digests]:
            claim.withdraw(*stale)
        outbox.put(ABOUT, as_json(content))
        outbox.send()
    return tuple(digests)


@contextmanager
def finishing(claim: Claim) -> Iterator[None]:
    """Leave all manifest files of a release or none, and say how a failed run continues."""
    try:
        yield
    except (OSError, ReleaseError, OverwriteError) as error:
        with suppress(OSError, ReleaseError):
            claim.withdraw()
        if isinstance(error, ReleaseStoppedError):
            raise
        if isinstance(error, OverwriteError):
            raise ReleaseStoppedError(f"{error}, then run the same command with --resume") from None
        if isinstance(error, ReleaseError):
            raise ReleaseStoppedError(f"{error}: the same command with --resume") from None
        raise ReleaseStoppedError(
            f"the release cannot be finished: {error.strerror}; free disk space or change its "
            "permissions, then run the same command with --resume"
        ) from None


def manifest_of(records: Iterable[Record], columns: list[str]) -> Table:
    """Return the table of records."""
    return columns, map(attrgetter(*columns), records)


def write_manifest(
    claim: Claim, plan: Plan, ledger: Ledger, leaves: Leaves | None = None
) -> tuple[dict[str, int], Duplicates]:
    """Write the manifest files of a release; return its totals with those of tables; duplicates."""
    failed = list(ledger.records(having="error"))
    notes = {record.source_id: record.notes for record in ledger.records(having="notes")}
    patients = {row.source_id: row.patient for row in ledger.records(having="patient")}
    options, same = plan.options, ledger.duplicates()
    near: Groups = ()
    if options.writes("code") and options.noise is None:
        near = near_duplicates(claim.place.fetched, ledger.records(), same)
    duplicates = Duplicates(same, ledger.duplicates("instance"), near)
    _write_sources(claim.private, plan, failed, notes, patients, duplicates)
    totals = _totals(claim.place.sizes(), plan, ledger, options.spec.numbers(1))
    unknown = [] if ledger.patients() else ["patient"]
    unknown += [] if options.spec.ndim == 3 else ["depth"]
    columns = [name for name in Record.public_columns() if name not in unknown]
    tables = {MANIFEST: manifest_of(ledger.records(), columns)}
    if failed:
        tables[FAILURES] = manifest_of(failed, ["source_id", "error", "reason"])
    history = Lifecycle(ledger).history()
    about = {
        **({"history": history} if history else {}),
        # the seed stays here: it would help to undo the shuffled order of neutral names
        "options": stated(options),
        "mechanisms": mechanism_entries(options, ledger),
        # with noise no bytes of the sources: with all other files at hand they show one
        "totals": totals if options.noise is None else totals | {"source_file_bytes": 0},
        "id": ledger.id(),
        "limits": options.limits,
    }

    chosen = leaves or Leaves()
    names = write_metadata(claim, about, tables, options.papers(), ledger.records, chosen)
    size_of = claim.place.sizes()
    parquet = sum(size_of(name) or 0 for name in names if name.endswith(".parquet"))
    return totals | {
        "table_file_bytes": parquet,
        "patients": ledger.patients(),
        "duplicate_files": duplicates.count("content"),
        "duplicate_instances": duplicates.count("instance"),
        "near_duplicate_files": duplicates.count("near"),
        "duplicates_left_out": sum(reason == KNOWN for _, reason in plan.left_out),
    }, duplicates


def stated(options: ReleaseOptions) -> dict[str, Any]:
    """Return the options that dataset.json states: all but the seed."""
    return {name: value for name, value in options.to_dict().items() if name != "seed"}


def count_legible(ledger: Ledger, options: ReleaseOptions) -> tuple[int, int]:
    """Count the images in which writing may stay legible, and say from which height on."""
    if options.output == "deidentified" or options.spec.ndim == 3:
        return 0, 0  # pixels are those of the sources; text in volumes is not estimated
    sizes = Counter((row.height, row.width) for row in ledger.records() if not row.error)
    legible = [size for size in sizes if stays_legible(options.spec, *size)]
    heights = [math.ceil(legible_height(options.spec, *size)) for size in legible]
    return sum(sizes[size] for size in legible), min(heights, default=0)


@dataclass(slots=True)
class Counts:
    """What records say, counted one by one: a list of them needs 1 kB an image."""

    images: int = 0
    masked_share: float = 0.0
    masked: list[tuple[str, float]] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)


def count_records(ledger: Ledger) -> Counts:
    """Count what the records of a release say."""
    found = Counts()
    for row in ledger.records():
        found.reasons.update([row.reason] if row.error else [])
        if row.error:
            continue
        found.images += bool(row.height)  # others have no pixels to paint
        found.masked_share += row.masked_share if row.height else 0.0
        found.masked += [(row.source_id, row.masked_share)] if row.masked else []
        found.notes.update([row.notes] if row.notes else [])
    return found


def software() -> dict[str, str]:
    """Return versions of deepfixcx and of the packages that decide numbers and bytes."""
    return {"deepfixcx": __version__} | {name: version(name) for name in VERSIONS_OF}


def check_versions(ledger: Ledger) -> None:
    """Refuse to go on with other versions than a release was begun with; note those of a new one.

    Version 0.1.0 noted none: such a release goes on, because the same options give the same
    values, and has the versions of its first continuation from then on.
    """
    own = software()
    before = dict(json.loads(ledger.noted("software") or "{}"))
    if not before:
        ledger.note(software=json.dumps(own))
    elif other := [name for name in own if before.get(name) != own[name]]:
        begun = " and ".join(f"{name} {before.get(name, 'unknown')}" for name in other)
        here = " and ".join(f"{name} {own[name]}" for name in other)
        raise ReleaseError(
            f"this release was started with {begun}, and {here} is installed, which can change "
            f"values; install the versions that it was started with, or start again with "
            f"--overwrite"
        )


def mechanism_entries(options: ReleaseOptions, ledger: Ledger) -> list[dict[str, Any]]:
    """Return what workers did to codes; noise once for gray images and once for colour."""
    if options.noise is None and not options.mechanisms:
        return []
    from deepfixcx.mechanisms.independent import INDEPENDENT

    noise = options.noise
    channels = sorted({row.channels for row in ledger.records() if not row.error})
    return [
        *([] if noise is None else [noise.to_manifest(1, 1, count) for count in channels]),
        *(INDEPENDENT[name].to_manifest() for name in options.mechanisms),
    ]


def _write_sources(
    private: OwnFolder,
    plan: Plan,
    failed: list[Record],
    notes: dict[str, str],
    patients: dict[str, str],
    duplicates: Duplicates,
) -> None:
    why = {record.source_id: (record.error, record.reason) for record in failed}
    why_not = {False: "not an image by name or content", True: "hidden"}
    # numbers of groups and no IDs, so that a withdrawn ID is in no row of another source
    groups = {
        column: {name: str(number) for number, ids in enumerate(found, 1) for name in ids}
        for column, found in duplicates.columns().items()
    }
    header = ["source_id", "source", "status", "error", "reason", "notes"]
    header += [name for name, known in ({"patient": patients} | groups).items() if known]

    def row(source_id: str, source: str, status: str, *cells: str) -> tuple[str, ...]:
        found = dict(zip(header, (source_id, source, status, *cells), strict=False))
        found |= {"patient": patients.get(source_id, "")} | _group(groups, source_id)
        return tuple(found.get(name, "") for name in header)

    before = _other_sources(private.folder, plan, header, groups)
    with private_table(private.folder, SOURCES, header) as writer:
        writer.writerows(before)
        for item in plan.items:
            name, status = item.source_id, "failed" if item.source_id in why else "done"
            gone = "" if item.source.problem is None else str(item.source.problem)
            cells = (*why.get(name, ("", gone)), notes.get(name, ""))
            writer.writerow(row(name, item.source.name, status, *cells))
        for name, reason in plan.left_out:
            writer.writerow(row("", name, "skipped", "", reason))
        for name in plan.skipped:
            writer.writerow(row("", name, "skipped", "", why_not[bool(hidden_part(name))]))


def _group(groups: Mapping[str, Mapping[str, str]], source_id: str) -> dict[str, str]:
    """Return the number of the group of a source, for each kind of duplicates."""
    return {column: numbers.get(source_id, "") for column, numbers in groups.items()}


def _other_sources(
    private: Path, plan: Plan, header: list[str], groups: Mapping[str, Mapping[str, str]]
) -> list[tuple[str, ...]]:
    """Return the rows of other deliveries, whose folders may be gone."""
    if not (private / SOURCES).is_file():
        return []
    own = {item.source_id for item in plan.items}
    listed = {*plan.skipped, *(name for name, _ in plan.left_out)}
    rows = own_rows(private / SOURCES, ["source_id", "source"])
    return [
        tuple((row | _group(groups, row["source_id"])).get(name, "") for name in header)
        for row in rows
        if (row["source_id"] not in own if row["source_id"] else row["source"] not in listed)
    ]


def _sizes(plan: Plan, ledger: Ledger) -> Iterator[int]:
    """Yield the bytes of each source, in release order."""
    for number in sorted(ledger.complete_shards()):
        if number in plan.numbers:
            for item, seen in zip(plan.shard(number), ledger.sources(number), strict=True):
                gone = item.source.problem is not None
                yield size_in(seen.stamp) if gone else item.source.size
        else:
            yield from (size_in(seen.stamp) for seen in ledger.sources(number))


def _totals(
    size_of: Callable[[str], int | None], plan: Plan, ledger: Ledger, numbers: int
) -> dict[str, int]:
    def size(name: str) -> int:
        if (found := size_of(name)) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return found

    sizes = _sizes(plan, ledger)  # records stand in the same order, frames of one input together
    totals = dict.fromkeys(TOTALS, 0)
    code_files, dicom_files = set(), set()
    for record in ledger.records():
        first = next(sizes) if record.frame == 0 else 0
        totals["files"] += record.frame == 0
        if record.status == "failed":
            totals["files_failed"] += 1
            continue
        kept = kept_values(record, plan.options, numbers)
        values = source_values(record, plan.options)
        totals["files_done"] += record.frame == 0
        totals["images"] += 1
        totals["source_file_bytes"] += first
        totals["source_values"] += values
        totals["source_bytes"] += values * record.bits // 8
        totals["kept_values"] += kept
        totals["kept_bytes"] += kept * kept_depth(record, plan.options) // 8
        if record.image_file:
            totals["image_file_bytes"] += size(record.image_file)
        if record.dicom_file:
            dicom_files.add(record.dicom_file)
        if record.code_file:
            code_files.add(record.code_file)
    totals["dicom_files"] = len(dicom_files)
    totals["dicom_file_bytes"] = sum(map(size, dicom_files))
    totals["code_files"] = len(code_files)
    totals["code_file_bytes"] = sum(map(size, code_files))
    return totals


def write_rows(file: BinaryIO, header: list[str], rows: Iterable[tuple[object, ...]]) -> str:
    """Write a table and return its SHA-256."""
    hashing = Hashing(file)
    writer = TableWriter(hashing)
    for row in chain([header], rows):
        writer.writerow(row)
    return hashing.content.hexdigest()


@contextmanager
def private_table(private: Path, name: str, header: list[str]) -> Iterator[TableWriter]:
    """Open a table of the private folder, which its owner alone may read."""
    ledger = FileLedger(private / MARKER, mode=0o600)
    with ledger.writing(private, name, mode=0o600) as file:
        writer = TableWriter(Hashing(file))
        writer.writerow(header)
        yield writer


def write_private_rows(
    private: Path, name: str, header: list[str], rows: Iterable[tuple[object, ...]]
) -> None:
    """Write a table of the private folder."""
    with private_table(private, name, header) as writer:
        writer.writerows(rows)


def as_json(about: Mapping[str, Any]) -> bytes:
    """Return a metadata file."""
    return json.dumps(about, indent=2, sort_keys=True).encode() + b"\n"
