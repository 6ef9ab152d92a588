"""What ``dataset.json`` states, compared with the manifest, the files and the mechanism."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from deepfixcx.choices import CONTENTS
from deepfixcx.io.release_files import FAILURES, LABELS, MANIFEST, VECTORS, is_leaf
from deepfixcx.mechanisms.catalogue import mechanism_named, noise_named, steps_of
from deepfixcx.mechanisms.files import MECHANISM_FILE, PublishedMechanism
from deepfixcx.mechanisms.independent import INDEPENDENT
from deepfixcx.mechanisms.pixel_noise import PixelNoise
from deepfixcx.mechanisms.sensitivity import pixel_sensitivity
from deepfixcx.release.about import STATED
from deepfixcx.release.ledger import Record
from deepfixcx.release.manifest import TOTALS, VERSIONS_OF
from deepfixcx.release.options import LIMITS, ReleaseOptions, kept_of, values_of
from deepfixcx.release.places import Place
from deepfixcx.release.protected.writing import LIMITS as LIMITS_OF_RECORDS
from deepfixcx.release.protected.writing import SYNTHETIC_LIMITS
from deepfixcx.release.release import ReleasedRecords
from deepfixcx.spec import CodecSpec

__all__ = [
    "NEUTRAL",
    "Row",
    "deidentified_contradictions",
    "label_statements",
    "named",
    "noise_of",
    "statements",
]

Row = Mapping[str, str]

NEUTRAL = re.compile(r"\d{6,}")

PSEUDONYM = re.compile(r"(?:P[A-Z2-7]{16})?")
"""What `Key.pseudonym` returns, or nothing."""

NAMES = {
    "": {"format", "version", "options", "mechanisms", "software", "totals", "papers", "id",
         "limits", "records", "about", "history"},
    "options": {each.name for each in fields(ReleaseOptions)} - {"seed"} | {"labels"},
    "software": {"deepfixcx", "pyarrow", *VERSIONS_OF},
    "totals": set(TOTALS),
    "papers": {MANIFEST, FAILURES, LABELS, MECHANISM_FILE, VECTORS},
    "about": set(STATED),
    "records": {"shape", "images", "public_images", "drawn_from", "min_patients",
                "min_patients_positive", "labels_dropped", "labels_merged", "synthetic"},
}  # fmt: skip
"""Entries of dataset.json: what else stands there was added by someone."""

VERSION = re.compile(r"[\w.+!-]{1,40}")

EARLIER_LIMITS = frozenset(
    (
        "038410b07923c8a158717faafcdc39dfa6383edf9de297427c2f444442843734",
        "fba91f444846630baa4685c773f80605a6740520614d01ecbef78bec296e8f92",
    )
)
"""SHA-256 of the limits that versions so far wrote; a release with others was edited."""

SLACK = 1.01
"""The scale of noise is that of its sensitivity, but for steps of rounding."""


def statements(
    about: Mapping[str, Any],
    rows: Sequence[Row],
    spec: CodecSpec,
    published: PublishedMechanism | None,
) -> Iterator[str]:
    """Yield what dataset.json states and neither the manifest nor the mechanism confirms."""
    yield from _of_entries(about, rows)
    yield from _of_options(about, rows)
    yield from _of_noise(about, rows, spec)
    yield from _of_mechanisms(about, spec, published)
    yield from _of_totals(about, rows)


def named(what: str, names: Iterable[str]) -> Iterator[str]:
    """Yield one sentence for all places with one fault, the first by its name."""
    listed = list(names)
    if listed:
        others = f" and {len(listed) - 1} more" if len(listed) > 1 else ""
        yield f"{what}: {listed[0]}{others}"


def _of_entries(about: Mapping[str, Any], rows: Sequence[Row]) -> Iterator[str]:
    """Yield entries and columns that no release has."""
    for place, known in NAMES.items():
        there = about if not place else about.get(place)
        names = sorted(set(there) - known) if isinstance(there, dict) else []
        names = [name for name in names if place != "papers" or not is_leaf(name)]
        where = f"dataset.json has an unknown entry{' in ' if place else ''}{place}"
        yield from named(where, names)
    if not isinstance(about.get("records", {}), dict):
        yield "records in dataset.json is not a valid description of records"
    columns = sorted({name for row in rows for name in row} - set(Record.columns()))
    yield from named("manifest.csv has an unknown column", columns)
    others = (row["source_id"] for row in rows if not PSEUDONYM.fullmatch(row.get("patient") or ""))
    yield from named("manifest.csv names patients by other words than pseudonyms", others)
    versions = about["software"].values()
    if not all(isinstance(each, str) and VERSION.fullmatch(each) for each in versions):
        yield "dataset.json holds invalid versions of software"


def _of_options(about: Mapping[str, Any], rows: Sequence[Row]) -> Iterator[str]:
    options = about["options"]
    if options.get("names") == "neutral":
        others = (row["source_id"] for row in rows if not NEUTRAL.fullmatch(row["source_id"]))
        yield from named(
            "dataset.json states neutral names, but some names are not numbers", others
        )
    if options.get("retain") and "dicom" not in CONTENTS[options.get("output", "both")]:
        yield "dataset.json states retained header elements, but the release has no DICOM files"
    if not options.get("mask"):
        painted = (
            row["source_id"]
            for row in rows
            if any(float(row.get(each) or 0) for each in ("masked", "masked_share"))
        )
        yield from named(
            "manifest.csv counts painted regions, but dataset.json states no mask", painted
        )


# -- mechanisms -------------------------------------------------------------------------------


def noise_of(about: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the entries that describe noise."""
    return [each for each in about["mechanisms"] if each.get("mechanism") == "noise"]


def _of_noise(about: Mapping[str, Any], rows: Sequence[Row], spec: CodecSpec) -> Iterator[str]:
    """Compute again what an entry on noise says of its size and of what it guarantees."""
    name, entries = about["options"].get("noise"), noise_of(about)
    asked = re.fullmatch(r"noise ε=([\d.e+-]+) [ms]=\d+", name) if isinstance(name, str) else None
    if (asked is None) != (not entries):
        yield "the noise that dataset.json describes differs from its options"
        return
    colours = sorted({int(row["channels"]) for row in rows if row["status"] == "done"})
    if asked is None or len(entries) != len(colours):
        return
    for entry, channels in zip(entries, colours, strict=True):
        noise = PixelNoise(
            spec, float(asked[1]), entry["pixels"], entry["side"], float(entry["delta"])
        )
        least = 0.0
        if noise.pixels is not None and not noise.delta:
            least = pixel_sensitivity(spec, noise.pixels, channels=channels).l1 / noise.epsilon
        fits = noise.name == name and float(entry["epsilon"]) <= noise.epsilon * (1 + 1e-9)
        if least:
            fits = fits and least <= float(entry["scale"]) * SLACK <= least * SLACK**2
        if not fits or _overstated(about, entry, noise.guarantee):
            yield "the noise that dataset.json describes differs from its options"


def _of_mechanisms(
    about: Mapping[str, Any], spec: CodecSpec, published: PublishedMechanism | None
) -> Iterator[str]:
    """Compare the mechanisms that are described with those that were asked for and published."""
    described = [each for each in about["mechanisms"] if each.get("mechanism") != "noise"]
    if published is None:
        names = about["options"].get("mechanisms") or []
        wanted = [INDEPENDENT[name].to_manifest() for name in names if name in INDEPENDENT]
    else:
        entry = published.fitted.to_manifest()
        wanted = entry.get("steps", [entry])
        names = [each for each in about["options"]["mechanisms"] if not noise_named(each, spec)]
        asked = steps_of(mechanism_named(",".join(names)))
        if [each.name.split()[0] for each in asked] != [each["mechanism"] for each in wanted]:
            yield "the mechanisms in the options of dataset.json are not those of the release"
    if len(described) != len(wanted) or any(
        _plain(one) != _plain(other) or _overstated(about, one, str(other["guarantee"]))
        for one, other in zip(described, wanted, strict=False)
    ):
        yield "the mechanisms that dataset.json describes are not those of the release"


def _plain(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "guarantee"}


def _overstated(about: Mapping[str, Any], entry: Mapping[str, Any], guarantee: str) -> bool:
    """Return whether a guarantee has other words; version 0.1, without an ID, had its own."""
    return "id" in about and entry["guarantee"] != guarantee


# -- labels -----------------------------------------------------------------------------------


def label_statements(
    about: Mapping[str, Any], rows: Sequence[Row], records: ReleasedRecords
) -> Iterator[str]:
    """Compare the labels of records with the manifest and with the groups that are promised."""
    facts, labels = about["records"], records.labels
    if list(records.source_ids) != [row["source_id"] for row in rows]:
        yield "the rows of labels.csv differ from manifest.csv"
    if list(records.label_names) != list(about["options"]["labels"]):
        yield "labels.csv has other labels than dataset.json"
    if not (np.isnan(labels) | (labels == 0) | (labels == 1)).all():
        yield "labels.csv has values other than 1, 0 and blank"
    synthetic = any(each.get("mechanism") == "synthesis" for each in about["mechanisms"])
    if synthetic != bool(facts.get("synthetic", False)):
        yield "dataset.json and its mechanisms differ on whether records are synthetic"
    least, most = (0, 0) if synthetic else (1, len(rows))
    if not least <= int(facts["images"]) <= most:  # each image has a record, or several
        yield "the number of images in dataset.json does not fit the records"
    if synthetic:  # no record, and no combination of labels, is of a patient
        return
    fewest, positives = (
        int(facts.get(name) or 0) for name in ("min_patients", "min_patients_positive")
    )
    groups = Counter(tuple(row) for row in np.nan_to_num(labels, nan=-1).tolist())
    rare = any(count < fewest for group, count in groups.items() if max(group) >= 0)
    states = [(labels == state).sum(axis=0) for state in (0, 1)]
    if rare or min(map(min, states)) < max(fewest, positives):
        yield "labels.csv has a combination of labels of fewer patients than dataset.json states"


# -- totals -----------------------------------------------------------------------------------


def _of_totals(about: Mapping[str, Any], rows: Sequence[Row]) -> Iterator[str]:
    """Count values and bytes of sources and results again; `verify` adds up the files."""
    done = [row for row in rows if row["status"] == "done"]
    options, records = about["options"], about.get("records")
    counted: dict[str, int] = {}
    if isinstance(records, dict):
        values = math.prod(map(int, records["shape"]))
        depth = 4 if len(records["shape"]) == 1 else np.dtype(options["dtype"]).itemsize
        counted["kept_values"] = len(done) * values
        counted["kept_bytes"] = len(done) * values * depth
    else:
        kept = [kept_of(row, options)[0] for row in done]
        sizes = [values_of(row, options) for row in done]
        depths = [int(row["bits"]) // 8 for row in done]
        counted["source_values"] = sum(sizes)
        counted["source_bytes"] = sum(
            size * int(row["bits"]) // 8 for size, row in zip(sizes, done, strict=True)
        )
        counted["kept_values"] = sum(kept)
        if "code" in CONTENTS[options.get("output", "both")]:
            depths = [np.dtype(options["dtype"]).itemsize] * len(done)
        counted["kept_bytes"] = sum(k * d for k, d in zip(kept, depths, strict=True))
    known = {LIMITS, LIMITS_OF_RECORDS}
    if isinstance(records, dict) and records.get("synthetic"):
        known = {LIMITS_OF_RECORDS, SYNTHETIC_LIMITS}  # the first until version 0.2
    limits = hashlib.sha256(str(about["limits"]).encode()).hexdigest()
    if about["limits"] not in known and limits not in EARLIER_LIMITS:
        yield "the limits in dataset.json differ from those of deepfixcx"
    for name, count in counted.items():
        if about["totals"].get(name) != count:
            yield (
                f"dataset.json states {name} {about['totals'].get(name)}, manifest.csv has {count}"
            )


def deidentified_contradictions(
    place: Place, about: Mapping[str, Any], rows: Sequence[Row], sound: Container[str]
) -> list[str]:
    """Return sentences on what does not fit together; none for a consistent release."""
    try:
        return [*_of_deidentified_totals(about, rows), *_of_files(place, rows, sound)]
    except (LookupError, TypeError, ValueError, AttributeError, OSError):
        return ["dataset.json or manifest.csv has invalid values"]


def _of_deidentified_totals(about: Mapping[str, Any], rows: Sequence[Row]) -> Iterator[str]:
    done = [row for row in rows if row["status"] == "done"]
    values = [math.prod(int(row[each]) for each in ("channels", "height", "width")) for row in done]
    depths = [int(row["bits"]) for row in done]
    counted = {
        "source_values": sum(values),
        "source_bytes": sum(n * bits // 8 for n, bits in zip(values, depths, strict=True)),
    }
    for name, count in counted.items():
        if about["totals"].get(name) != count:
            said = about["totals"].get(name)
            yield f"dataset.json states {name} {said}, manifest.csv has {count}"
    if any(row["image_file"] or row["code_file"] for row in rows):
        yield "manifest.csv names files that are not de-identified DICOM files"


def _of_files(place: Place, rows: Sequence[Row], sound: Container[str]) -> Iterator[str]:
    """Open the header of every file, and compare it with its rows."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    frames: dict[str, list[Row]] = {}
    for row in rows:
        if row.get("dicom_file") in sound:
            frames.setdefault(row["dicom_file"], []).append(row)
    for name, listed in frames.items():
        try:
            with place.fetched(name) as path:
                header = dcmread(path, stop_before_pixels=True)
        except InvalidDicomError:
            yield f"a file of the release is not a DICOM file: {name}"
            continue
        if str(header.get("PatientIdentityRemoved")) != "YES":
            yield f"a header does not state that identity was removed: {name}"
        if len({row["source_id"] for row in listed}) > 1:
            yield f"several sources name one DICOM file in manifest.csv: {name}"
        shape = [int(header.get(each) or 0) for each in ("Rows", "Columns")]
        stated = {(int(row["height"]), int(row["width"])) for row in listed}
        if stated != {tuple(shape)} or int(header.get("NumberOfFrames") or 1) != len(listed):
            yield f"a DICOM file has another size than manifest.csv states: {name}"
