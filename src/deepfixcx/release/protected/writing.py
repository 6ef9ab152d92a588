"""The release itself: the mechanism is applied, and records, labels and metadata are written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from deepfixcx.choices import Storage
from deepfixcx.code import Code
from deepfixcx.datasets import Dataset
from deepfixcx.errors import MechanismError
from deepfixcx.io.release_files import LABELS, MANIFEST, VECTORS
from deepfixcx.mechanisms.catalogue import budget_of, label_patients
from deepfixcx.mechanisms.files import MECHANISM_FILE, PublishedMechanism, mechanism_bytes
from deepfixcx.mechanisms.label_model import Measured
from deepfixcx.mechanisms.records import Records, SafeLabels, safe_labels
from deepfixcx.mechanisms.synthesis import FittedSynthesis
from deepfixcx.release.claim import Claim
from deepfixcx.release.leaves import Leaves
from deepfixcx.release.ledger import Record
from deepfixcx.release.manifest import TOTALS, manifest_of, stated, write_metadata
from deepfixcx.release.options import ReleaseOptions
from deepfixcx.release.places import Outbox
from deepfixcx.release.protected.gathering import Gathered, State
from deepfixcx.release.protected.protection import Protection
from deepfixcx.release.release import RECORDS_FORMAT, RECORDS_VERSION
from deepfixcx.release.shard import CodeParts

__all__ = ["Written", "apply_mechanism", "record_names", "write_release"]

LEAST_DIGITS = 6
LIMITS = (
    "Each mechanism guarantees what its entry states, against the attacker that the entry names, "
    "and nothing else. Labels are released with every record, and an attacker who knows a "
    "patient's labels can link by them. This release is not anonymous by itself."
)

SYNTHETIC_LIMITS = (
    "Records are drawn from a model, so that none belongs to a patient or an image. The model "
    "guarantees what its entry states, against the attacker that the entry names, and nothing "
    "else. Without an epsilon it learned from exact sums over patients: an attacker who knows all "
    "other patients can compute the values of the last one. This release is not anonymous by "
    "itself."
)
"""Of a release by synthesis."""


@dataclass(frozen=True, eq=False, slots=True)
class Written:
    """All that decides the bytes of a release."""

    released: Records
    published: PublishedMechanism
    vectors: bool
    dtype: Storage
    options: dict[str, Any]
    mechanisms: list[dict[str, Any]]
    facts: dict[str, Any]
    id: str = ""


def apply_mechanism(
    images: Gathered,
    others: Gathered | None,
    dataset: Dataset,
    options: ReleaseOptions,
    protection: Protection,
    state: State,
    *,
    min_patients: int,
    measured: Callable[[FittedSynthesis, Records], Measured],
) -> tuple[Written, SafeLabels]:
    """Choose the labels, fit, make the records, and put them in random order."""
    generator = state.generator()
    records = images.records
    positives = label_patients(protection.followed)
    budgeted = budget_of(protection.followed) is not None
    if budgeted:  # rare labels would reveal single patients; noise protects the counts
        safe = _all_labels(records)
    else:
        safe = safe_labels(records.labels, records.patients, min_patients, positives)
    if not safe.kept:
        raise MechanismError(
            f"no label can be released: each needs at least {max(positives, min_patients)} "
            "positive and as many negative patients; release more patients, or choose other "
            "labels"
        )
    names = tuple(dataset.label_names[column] for column in safe.kept)
    private = records.with_labels(safe.labels).select(~safe.withheld)
    # a mechanism that needs no public images learns nothing from those it is given here
    seen = private if others is None else others.records.with_known(safe.kept)
    fitted = protection.followed.fit(seen, generator)
    synthetic = isinstance(fitted, FittedSynthesis)
    if isinstance(fitted, FittedSynthesis):
        released = fitted.draw(measured(fitted, private), generator)
    else:
        released = fitted.apply(private, generator)
    released = released.select(generator.permutation(len(released)))
    entry = fitted.to_manifest()
    behind = {place for places in released.members for place in places.tolist()}
    written = Written(
        released,
        PublishedMechanism(fitted, options.spec, images.channels, names),
        protection.vectors,
        options.dtype,
        _options(options, protection, names),
        [*images.mechanisms, *entry.get("steps", [entry])],
        {
            "shape": list(released.array.shape[1:]),
            "images": len(behind),
            "public_images": 0 if others is None else len(others.records),
            "drawn_from": "a seed, for experiments" if state.identity["seed"] else "a secret",
            "min_patients": 0 if budgeted else min_patients,
            "min_patients_positive": 0 if budgeted else max(positives, min_patients),
            "labels_dropped": [dataset.label_names[column] for column in safe.dropped],
            "labels_merged": safe.merged,
            **({"synthetic": True} if synthetic else {}),
        },
        state.release_id,
    )
    return written, safe


def _all_labels(records: Records) -> SafeLabels:
    kept = tuple(range(records.labels.shape[1]))
    return SafeLabels(kept, (), records.labels, np.zeros(len(records), np.bool_), merged=False)


def _options(
    options: ReleaseOptions, protection: Protection, labels: tuple[str, ...]
) -> dict[str, Any]:
    return stated(options) | {
        "mechanisms": list(protection.names),
        "noise": None if protection.noise is None else protection.noise.name,
        "labels": list(labels),
    }


def record_names(count: int) -> list[str]:
    """Return numbers from 1, with as many digits as the last one needs, six at least."""
    digits = max(LEAST_DIGITS, len(str(count)))
    return [f"{number:0{digits}d}" for number in range(1, count + 1)]


def write_release(claim: Claim, written: Written, leaves: Leaves | None = None) -> dict[str, int]:
    """Write the records, then the manifest files, and return the totals."""
    released, names = written.released, record_names(len(written.released))
    with claim.place.outbox(claim.metadata) as outbox:
        rows, sizes = _records(outbox, written)
        outbox.send()
    totals = _totals(sizes, written)
    header = ["source_id", *written.published.label_names]
    tables = {
        LABELS: (header, label_rows(names, released.labels)),
        MANIFEST: manifest_of(rows, Record.columns()),
    }
    files = {MECHANISM_FILE: mechanism_bytes(written.published)}
    if written.vectors:
        files[VECTORS] = vector_bytes(released.array)
    about = {
        "options": written.options,
        "mechanisms": written.mechanisms,
        "records": written.facts,
        "totals": totals,
        "id": written.id,
        "limits": SYNTHETIC_LIMITS if written.facts.get("synthetic") else LIMITS,
    }
    vectors = released.array if written.vectors else None
    labels = written.published.label_names, released.labels
    chosen = leaves or Leaves()
    write_metadata(claim, about, tables, files, lambda: rows, chosen, labels, vectors)
    return totals


def _records(outbox: Outbox, written: Written) -> tuple[list[Record], dict[str, int]]:
    """Write codes, where records are codes; return the rows of the manifest and sizes of files."""
    released, spec = written.released, written.published.spec
    height, width = spec.compact_shape()  # of no image: a size could identify one
    rows = [
        Record(
            name,
            channels=written.published.channels,
            height=height,
            width=width,
            bits=8,
            spec=str(spec),
        )
        for name in record_names(len(released))
    ]
    if written.vectors:
        return rows, {}
    parts = CodeParts(0, outbox, written.dtype)
    sizes = np.array([[height, width]], np.int64)
    for place, row in enumerate(rows):
        parts.add(Code(released.array[place : place + 1], spec, sizes), [row])
    return parts.finish(rows), parts.sizes


def _totals(sizes: dict[str, int], written: Written) -> dict[str, int]:
    """Count records as files and images; nothing is said of the files behind them."""
    count = len(written.released)
    depth = 4 if written.vectors else np.dtype(written.dtype).itemsize
    # no sums of the sources: with all other files, they would reveal the size of one
    totals = dict.fromkeys(TOTALS, 0)
    values = int(written.released.array.size)
    return totals | {
        "files": count,
        "files_done": count,
        "images": count,
        "kept_values": values,
        "kept_bytes": values * depth,
        "code_files": len(sizes),
        "code_file_bytes": sum(sizes.values()),
    }


def vector_bytes(array: NDArray[np.float32]) -> bytes:
    """Return the file of vectors (M, K)."""
    about = json.dumps({"format": RECORDS_FORMAT, "version": RECORDS_VERSION}, sort_keys=True)
    return safetensors.numpy.save({"array": np.ascontiguousarray(array)}, {"deepfixcx": about})


def label_rows(names: Sequence[str], labels: NDArray[np.float32]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table of labels."""
    for name, row in zip(names, labels.tolist(), strict=True):
        yield (name, *("" if value != value else str(int(value)) for value in row))
