"""What a release says of itself, compared with what its manifest and its files hold.

Only what can be computed again from the release alone is compared. Hashes are for `verify`; here a
consistent manifest of other files, options or shapes is noticed.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from deepfixcx.code import Code
from deepfixcx.codec import Codec
from deepfixcx.errors import DeepfixcxError
from deepfixcx.images import read_image
from deepfixcx.io.release_files import LABELS
from deepfixcx.io.tables import read_rows
from deepfixcx.mechanisms.files import MECHANISM_FILE, load_mechanism
from deepfixcx.release.manifest import LIMITS, TOTALS
from deepfixcx.release.places import Place
from deepfixcx.release.protected.writing import LIMITS as LIMITS_OF_RECORDS
from deepfixcx.release.release import VECTORS
from deepfixcx.spec import CodecSpec

__all__ = ["contradictions"]

Row = Mapping[str, str]

KINDS = ("image", "dicom", "code")
FILES_OF = {
    "images": {"image"},
    "codes": {"code"},
    "both": {"image", "code"},
    "dicom": {"dicom"},
}
DTYPES = {"F32": "float32", "F16": "float16", "U8": "uint8"}
NEUTRAL = re.compile(r"\d{6,}")

EARLIER_LIMITS = frozenset(
    (
        "038410b07923c8a158717faafcdc39dfa6383edf9de297427c2f444442843734",
        "fba91f444846630baa4685c773f80605a6740520614d01ecbef78bec296e8f92",
    )
)
"""SHA-256 of the limits that versions so far wrote; a release with others was edited."""

SAME_PIXELS = {"float32": 0.01, "float16": 0.02, "uint8": 0.08}
"""Mean difference of an image from that of its code, by how the code was rounded after it."""


def contradictions(
    place: Place, about: Mapping[str, Any], rows: Sequence[Row], sound: Container[str]
) -> list[str]:
    """Return sentences on what does not fit together; none for a consistent release."""
    try:
        spec = CodecSpec.from_dict(about["options"]["spec"])
        found = [*_of_rows(about, rows, spec), *_of_failures(place, rows)]
        found += _of_mechanisms(about)
        if isinstance(about.get("records"), dict):
            found += _of_records(place, about, spec, len(rows))
        found += _of_totals(about, rows, spec)
        found += _of_files(place, about, rows, spec, sound)
    except (DeepfixcxError, LookupError, TypeError, ValueError, AttributeError, OSError):
        return ["dataset.json or manifest.csv has values that no release has"]
    return found


def _named(what: str, names: Iterable[str]) -> Iterator[str]:
    """Yield one sentence for all places with one fault, the first by its name."""
    listed = list(names)
    if listed:
        others = f" and {len(listed) - 1} more" if len(listed) > 1 else ""
        yield f"{what}: {listed[0]}{others}"


def _name(row: Row) -> str:
    return f"{row['source_id']} frame {row['frame']}"


# -- the manifest alone -----------------------------------------------------------------------


def _of_rows(about: Mapping[str, Any], rows: Sequence[Row], spec: CodecSpec) -> Iterator[str]:
    done = [row for row in rows if row["status"] == "done"]
    yield from _named(
        "a status in manifest.csv is neither done nor failed",
        (_name(row) for row in rows if row["status"] not in ("done", "failed")),
    )
    keys = Counter((row["source_id"], row["frame"]) for row in rows)
    yield from _named(
        "manifest.csv has a row twice", (" frame ".join(key) for key, n in keys.items() if n > 1)
    )
    for kind in ("image", "code"):
        used = Counter(
            (row[f"{kind}_file"], row["code_row"] if kind == "code" else "")
            for row in done
            if row[f"{kind}_file"]
        )
        yield from _named(
            f"manifest.csv names one {kind} for several rows",
            (name for (name, _), n in used.items() if n > 1),
        )
    frames = defaultdict(list)
    for row in rows:
        frames[row["source_id"]].append(int(row["frame"]))
    yield from _named(
        "frames in manifest.csv are not numbered from 0 in order",
        (name for name, each in frames.items() if each != list(range(len(each)))),
    )
    yield from _named(
        f"manifest.csv says another codec than dataset.json ({spec})",
        (_name(row) for row in done if row["spec"] != str(spec)),
    )
    yield from _named(
        "a failed row of manifest.csv has results, or a finished one an error",
        (_name(row) for row in rows if _mixed(row)),
    )
    if not isinstance(about.get("records"), dict):
        wanted = FILES_OF[about["options"].get("output", "both")]
        yield from _named(
            "manifest.csv lacks a file of the output that dataset.json says, or has another one",
            (_name(row) for row in done if {k for k in KINDS if row.get(f"{k}_file")} != wanted),
        )
    yield from _named(
        "a file is not named as its source in manifest.csv",
        (name for row in done for name in _misnamed(row)),
    )


def _mixed(row: Row) -> bool:
    failed = row["status"] == "failed"
    results = any(row.get(f"{kind}_{part}") for kind in KINDS for part in ("file", "sha256"))
    return (failed and results) or failed != bool(row["error"])


def _misnamed(row: Row) -> Iterator[str]:
    """Yield images that are not called as their source is: their row would be another's."""
    source = row["source_id"]
    for kind in ("image", "dicom"):
        if not (name := row.get(f"{kind}_file") or ""):
            continue
        room, _, inside = name.partition("/")
        stem = str(PurePosixPath(inside).with_suffix(""))
        if NEUTRAL.fullmatch(source):
            stem = stem.rpartition("/")[2]
            fits = stem == source or stem.startswith(f"{source}.frame")
        else:
            own = [part for part in source.split("/") if part not in ("", ".", "..")]
            fits = stem.startswith(str(PurePosixPath("/".join(own)).with_suffix("")))
        if not fits or room != f"{kind}s".replace("dicoms", "dicom"):
            yield name


def _of_failures(place: Place, rows: Sequence[Row]) -> Iterator[str]:
    failed = [[row["source_id"], row["error"], row["reason"]] for row in rows
              if row["status"] == "failed"]  # fmt: skip
    if not place.has("failures.csv"):
        if failed:
            yield "failures.csv is missing, and manifest.csv has failed rows"
        return
    with place.fetched("failures.csv") as path, path.open(newline="", encoding="utf-8") as file:
        if list(read_rows(file))[1:] != failed:
            yield "failures.csv does not list the failed rows of manifest.csv"


def _of_mechanisms(about: Mapping[str, Any]) -> Iterator[str]:
    """Compare the mechanisms that were asked for with those that are described."""
    options = about["options"]
    described = {str(each.get("mechanism")) for each in about["mechanisms"]}
    noise = options.get("noise")
    asked = re.fullmatch(r"noise ε=([\d.e+-]+) m=(\d+)", noise) if isinstance(noise, str) else None
    for entry in about["mechanisms"]:
        if entry.get("mechanism") == "noise" and asked is not None:
            fits = float(entry["epsilon"]) <= float(asked[1]) * (1 + 1e-9)
            if not fits or int(entry["pixels"]) != int(asked[2]):
                yield "the noise that dataset.json describes is not the one of its options"
    if "noise" in options and not isinstance(about.get("records"), dict):
        count = len(options["mechanisms"]) + (noise is not None)
        if (noise is not None) != ("noise" in described) or len(described) < min(count, 1):
            yield "the mechanisms that dataset.json describes are not those of its options"


# -- totals -----------------------------------------------------------------------------------


def _of_totals(about: Mapping[str, Any], rows: Sequence[Row], spec: CodecSpec) -> Iterator[str]:
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
        kept = [_kept(row, options, spec) for row in done]
        sizes = [math.prod(int(row[name]) for name in ("channels", "height", "width"))
                 for row in done]  # fmt: skip
        depths = [int(row["bits"]) // 8 for row in done]
        counted["source_values"] = sum(sizes)
        counted["source_bytes"] = sum(
            size * int(row["bits"]) // 8 for size, row in zip(sizes, done, strict=True)
        )
        counted["kept_values"] = sum(kept)
        if options.get("output", "both") in ("codes", "both"):
            depths = [np.dtype(options["dtype"]).itemsize] * len(done)
        counted["kept_bytes"] = sum(k * d for k, d in zip(kept, depths, strict=True))
    yield from _named("dataset.json has a total of its own", set(about["totals"]) - set(TOTALS))
    limits = hashlib.sha256(str(about["limits"]).encode()).hexdigest()
    if about["limits"] not in (LIMITS, LIMITS_OF_RECORDS) and limits not in EARLIER_LIMITS:
        yield "dataset.json states other limits of the method than deepfixcx does"
    for name, count in counted.items():
        if about["totals"].get(name) != count:
            yield f"dataset.json says {name} {about['totals'].get(name)}, and manifest.csv {count}"


def _kept(row: Row, options: Mapping[str, Any], spec: CodecSpec) -> int:
    channels = int(row["channels"])
    if options.get("output", "both") in ("codes", "both"):
        return spec.numbers(channels)
    shape = (int(row["height"]), int(row["width"]))
    return channels * math.prod(spec.compact_shape() if options["size"] == "compact" else shape)


# -- the files --------------------------------------------------------------------------------


def _of_files(
    place: Place,
    about: Mapping[str, Any],
    rows: Sequence[Row],
    spec: CodecSpec,
    sound: Container[str],
) -> list[str]:
    """Open every sound file: codes with their spec and shape, images with theirs."""
    faults: dict[str, list[str]] = defaultdict(list)
    size = about["options"].get("size", "compact")
    by_code: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["status"] == "done":
            by_code[row["code_file"]].append(row)
    for name, members in by_code.items():
        code = _code_file(place, name, members, spec, faults) if name in sound else None
        if code is not None and about["options"].get("dtype") not in (
            None,
            members[0]["code_dtype"],
        ):
            faults["the dtype of codes is not the one of dataset.json"].append(name)
        for row in members:
            if row["image_file"] in sound:
                _image(place, row, spec, size, code, faults)
    by_dicom = {row["dicom_file"]: row for row in rows if row.get("dicom_file") in sound}
    for row in by_dicom.values():
        _dicom(place, row, rows, spec, size, faults)
    return [sentence for what, names in faults.items() for sentence in _named(what, names)]


def _code_file(
    place: Place, name: str, rows: Sequence[Row], spec: CodecSpec, faults: dict[str, list[str]]
) -> Code | None:
    try:
        with place.fetched(name) as path:
            code = Code.load(path)
            with safe_open(path, "numpy") as file:
                stored = DTYPES.get(str(file.get_slice("array").get_dtype()), "")
    except (DeepfixcxError, OSError, SafetensorError):
        faults["a file of codes cannot be read"].append(name)
        return None
    if code.spec != spec:
        faults[f"a file of codes is of another codec than dataset.json says ({spec})"].append(name)
        return None
    places = sorted(int(row["code_row"]) for row in rows)
    fits = places == list(range(len(code))) and all(row["code_dtype"] == stored for row in rows)
    for row in rows if fits else ():
        shape = (int(row["height"]), int(row["width"]))
        here = tuple(map(int, code.sizes[int(row["code_row"])]))
        fits = fits and here == shape and int(row["channels"]) == code.channels
    if not fits:
        faults["a file of codes has other rows, sizes or numbers than manifest.csv says"].append(
            name
        )
        return None
    return code


def _image(
    place: Place,
    row: Row,
    spec: CodecSpec,
    size: str,
    code: Code | None,
    faults: dict[str, list[str]],
) -> None:
    name = row["image_file"]
    height, width = int(row["height"]), int(row["width"])
    if size == "compact":
        height, width = spec.compact_shape()
    try:
        with place.fetched(name) as path:
            pixels = read_image(path, max_pixels=2 * height * width).pixels
    except (DeepfixcxError, OSError):
        faults["an image cannot be read"].append(name)
        return
    if pixels.shape != (1, int(row["channels"]), height, width) or (
        str(pixels.dtype) != row["image_dtype"] or row["image_dtype"] != f"uint{row['bits']}"
    ):
        faults["an image has another size or depth than manifest.csv and dataset.json say"].append(
            name
        )
    elif code is not None:
        row_code = code[int(row["code_row"])]
        made = Codec(spec).decode(row_code, "compact" if size == "compact" else "original")
        shown = pixels[0] / np.iinfo(pixels.dtype).max
        if float(np.abs(np.clip(made[0], 0, 1) - shown).mean()) > SAME_PIXELS[row["code_dtype"]]:
            faults["an image is not the one of its code"].append(name)


def _dicom(
    place: Place,
    row: Row,
    rows: Sequence[Row],
    spec: CodecSpec,
    size: str,
    faults: dict[str, list[str]],
) -> None:
    name = row["dicom_file"]
    import pydicom

    try:
        with place.fetched(name) as path:
            header = pydicom.dcmread(path, stop_before_pixels=True)
        shape = (int(header.Rows), int(header.Columns), int(header.SamplesPerPixel))
        frames = int(header.get("NumberOfFrames") or 1)
    except Exception:  # pydicom raises whatever a damaged header leads to
        faults["a DICOM file cannot be read"].append(name)
        return
    height, width = spec.compact_shape() if size == "compact" else (row["height"], row["width"])
    said = sum(each.get("dicom_file") == name for each in rows)
    if (shape, frames) != ((int(height), int(width), int(row["channels"])), said):
        faults["a DICOM file has another size or other frames than manifest.csv says"].append(name)


def _of_records(
    place: Place, about: Mapping[str, Any], spec: CodecSpec, count: int
) -> Iterator[str]:
    """Compare labels, vectors and the fitted mechanism of a release by a mechanism."""
    with place.fetched(LABELS) as path, path.open(newline="", encoding="utf-8") as file:
        labels = list(read_rows(file))
    if len(labels) != count + 1 or any(len(row) != len(labels[0]) for row in labels):
        yield "labels.csv has other rows than manifest.csv"
    shape = tuple(map(int, about["records"]["shape"]))
    if place.has(VECTORS):
        try:
            with place.fetched(VECTORS) as path, safe_open(path, "numpy") as vectors:
                found = tuple(vectors.get_slice("array").get_shape())
        except SafetensorError:
            yield "records.safetensors is damaged"
        else:
            if found != (count, *shape):
                yield "records.safetensors has another shape than dataset.json says"
    elif shape[1:] != spec.code_shape(shape[0])[1:]:
        yield "the shape of records in dataset.json is not that of its codec"
    if place.has(MECHANISM_FILE):
        with place.fetched(MECHANISM_FILE) as path:
            published = load_mechanism(Path(path))
        if published.spec != spec or labels[0][1:] != list(published.label_names):
            yield "the fitted mechanism is of another codec, or of other labels, than the release"
