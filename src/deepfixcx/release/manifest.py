"""The papers of a finished release: manifest.csv, failures.csv, dataset.json, sources.csv.

Nothing in the first three says when, where, by whom or how fast the release was made: the same
inputs and options give the same bytes.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterable
from importlib.metadata import version
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any

from deepfixcx import __version__
from deepfixcx._words import TableWriter
from deepfixcx.io.files import sha256_of, writing_text
from deepfixcx.mechanisms.independent import INDEPENDENT
from deepfixcx.release.ledger import Ledger
from deepfixcx.release.places import Place
from deepfixcx.release.plan import Plan, ReleaseOptions
from deepfixcx.release.records import Record, kept_depth, kept_values

__all__ = [
    "MANIFEST_VERSION",
    "TOTALS",
    "mechanism_entries",
    "software",
    "write_papers",
    "write_rows",
]

MANIFEST_VERSION = 1
VERSIONS_OF = ("numpy", "numba", "PyWavelets", "pillow", "pydicom", "safetensors")
TOTALS = (
    "files",
    "files_done",
    "files_failed",
    "images",
    "source_file_bytes",
    "source_values",
    "source_bytes",
    "kept_values",
    "kept_bytes",
    "image_file_bytes",
    "dicom_files",
    "dicom_file_bytes",
    "code_files",
    "code_file_bytes",
)
"""What is counted: files; images; bytes on disk; numbers and bytes of pixels and what is kept."""

LIMITS = (
    "Codes and privatized images keep enough to train classifiers, and also enough to match two "
    "images of one patient about as well as raw pixels do. This release is smaller and harder to "
    "turn back into pictures; it is not anonymous by itself."
)


def write_papers(place: Place, private: Path, plan: Plan, ledger: Ledger) -> dict[str, int]:
    """Write what goes with a finished release, and return its totals.

    Parameters
    ----------
    place : Place
        The release; gets ``manifest.csv``, ``failures.csv`` (only where there are failures) and,
        last, ``dataset.json``.
    private : Path
        The private folder; gets ``sources.csv``, which tells source files from neutral names.
    plan : Plan
        What was to be done.
    ledger : Ledger
        What was done.

    Returns
    -------
    dict of str to int
        As named in `TOTALS`.

    Raises
    ------
    FileNotFoundError
        A result is gone.
    """
    failed = [record for record in ledger.records() if record.status == "failed"]
    notes = {record.source_id: record.notes for record in ledger.records() if record.notes}
    _write_sources(private / "sources.csv", plan, failed, notes)
    totals = _totals(place.sizes(), plan, ledger)
    with place.outbox() as outbox:
        tables = [outbox.folder / "manifest.csv"]
        columns = Record.public_columns()
        write_rows(tables[0], columns, map(attrgetter(*columns), ledger.records()))
        if failed:
            tables.append(outbox.folder / "failures.csv")
            rows = ((record.source_id, record.error, record.reason) for record in failed)
            write_rows(tables[1], ["source_id", "error", "reason"], rows)
        else:
            place.remove(["failures.csv"])
        hashes = {path.name: sha256_of(path) for path in tables}
        about = _about(plan, ledger, _stated(totals, plan.options), hashes)
        outbox.add(path.name for path in tables)
        outbox.send()
        with writing_text(outbox.folder / "dataset.json", replace=True) as file:
            json.dump(about, file, indent=2, sort_keys=True)
            file.write("\n")
        outbox.add(["dataset.json"])
        outbox.send()
    return totals


def _about(
    plan: Plan, ledger: Ledger, totals: dict[str, int], papers: dict[str, str]
) -> dict[str, Any]:
    return {
        "format": "deepfixcx.release",
        "version": MANIFEST_VERSION,
        "options": {
            # the seed stays here: it would help to undo the shuffled order of neutral names
            name: value
            for name, value in plan.options.to_dict().items()
            if name != "seed"
        },
        "mechanisms": mechanism_entries(plan.options, ledger),
        "software": software(),
        "totals": totals,
        "papers": papers,
        "limits": LIMITS,
    }


def _stated(totals: dict[str, int], options: ReleaseOptions) -> dict[str, int]:
    """Leave out the bytes of the sources where there is noise: with all others they tell one."""
    return totals if options.noise is None else totals | {"source_file_bytes": 0}


def software() -> dict[str, str]:
    """Return versions of deepfixcx and of the packages that decide numbers and bytes."""
    return {"deepfixcx": __version__} | {name: version(name) for name in VERSIONS_OF}


def mechanism_entries(options: ReleaseOptions, ledger: Ledger) -> list[dict[str, Any]]:
    """Return what workers did to codes; noise once for gray images and once for colour."""
    noise = options.noise
    channels = sorted({row.channels for row in ledger.records() if not row.error})
    return [
        *([] if noise is None else [noise.to_manifest(1, 1, count) for count in channels]),
        *(INDEPENDENT[name].to_manifest() for name in options.mechanisms),
    ]


def _write_sources(path: Path, plan: Plan, failed: list[Record], notes: dict[str, str]) -> None:
    why = {record.source_id: (record.error, record.reason) for record in failed}
    done = (
        (item.source_id, item.source.name, "failed" if item.source_id in why else "done",
         *why.get(item.source_id, ("", "")), notes.get(item.source_id, ""))
        for item in plan.items
    )  # fmt: skip
    skipped = (
        ("", name, "skipped", "", "not an image by name or content", "") for name in plan.skipped
    )
    columns = ["source_id", "source", "status", "error", "reason", "notes"]
    write_rows(path, columns, chain(done, skipped), mode=0o600)


def _totals(size_of: Callable[[str], int | None], plan: Plan, ledger: Ledger) -> dict[str, int]:
    def size(name: str) -> int:
        if (found := size_of(name)) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return found

    items = iter(plan.items)  # records stand in the same order, frames of one input together
    totals = dict.fromkeys(TOTALS, 0) | {"files": len(plan.items)}
    code_files, dicom_files = set(), set()
    for record in ledger.records():
        first = next(items).source.size if record.frame == 0 else 0
        if record.status == "failed":
            totals["files_failed"] += 1
            continue
        kept = kept_values(record, plan.options)
        values = record.channels * record.height * record.width
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


def write_rows(
    path: Path, header: list[str], rows: Iterable[tuple[object, ...]], mode: int = 0o666
) -> None:
    """Write a table that appears under its name only when it is complete."""
    with writing_text(path, mode=mode, replace=True) as file:
        writer = TableWriter(file)
        writer.writerow(header)
        writer.writerows(rows)
