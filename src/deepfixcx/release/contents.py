"""What a release says of itself, compared with what its manifest and its files hold.

Only what can be computed again from the release alone is compared. Hashes are for `verify`; here a
consistent manifest of other files, options or shapes is noticed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from deepfixcx.choices import CONTENTS
from deepfixcx.code import Code
from deepfixcx.codec import Codec
from deepfixcx.errors import DeepfixcxError
from deepfixcx.images import read_image
from deepfixcx.io.release_files import FAILURES, KINDS
from deepfixcx.io.tables import read_rows
from deepfixcx.mechanisms.files import MECHANISM_FILE, PublishedMechanism, load_mechanism
from deepfixcx.mechanisms.independent import INDEPENDENT
from deepfixcx.release.options import sides_of
from deepfixcx.release.places import Place
from deepfixcx.release.release import Release
from deepfixcx.release.statements import (
    NEUTRAL,
    Row,
    deidentified_contradictions,
    label_statements,
    named,
    noise_of,
    statements,
)
from deepfixcx.release.tables import has_parquet, table_faults
from deepfixcx.release.volumes import SAME_PIXELS, volume_fault
from deepfixcx.spec import CodecSpec

__all__ = ["contradictions"]

DTYPES = {"F32": "float32", "F16": "float16", "U8": "uint8"}
TENSORS = {"array", "sizes", "offset", "step"}
CHUNKS = {b"IHDR", b"IDAT", b"IEND"}
"""Parts of a PNG that hold pixels; others hold texts, times and the like."""

RETAINED = {"113107": "dates", "113108": "patient", "113109": "device", "113105": "descriptors"}
"""Options of --retain by the code that a DICOM file states for them."""

LEAST_NOISE = 0.1
"""Codes with noise vary at least by this share of the variance of the noise."""


def contradictions(
    place: Place, about: Mapping[str, Any], rows: Sequence[Row], sound: Container[str]
) -> list[str]:
    """Return sentences on what does not fit together; none for a consistent release."""
    if about["options"].get("output") == "deidentified":
        return deidentified_contradictions(place, about, rows, sound)
    try:
        spec = CodecSpec.from_dict(about["options"]["spec"])
        found = [*_of_rows(about, rows, spec), *_of_failures(place, rows)]
        published = None
        if place.has(MECHANISM_FILE):
            with place.fetched(MECHANISM_FILE) as path:
                published = load_mechanism(Path(path))
        found += statements(about, rows, spec, published)
        if isinstance(about.get("records"), dict):
            found += _of_records(place, about, rows, spec, published)
        found += _of_files(place, about, rows, spec, sound)
        found += _of_tables(place, about, rows, sound)
    except (DeepfixcxError, LookupError, TypeError, ValueError, AttributeError, OSError):
        return ["dataset.json or manifest.csv has invalid values"]
    return found


def _name(row: Row) -> str:
    return f"{row['source_id']} frame {row['frame']}"


# -- the manifest alone -----------------------------------------------------------------------


def _of_rows(about: Mapping[str, Any], rows: Sequence[Row], spec: CodecSpec) -> Iterator[str]:
    done = [row for row in rows if row["status"] == "done"]
    yield from named(
        "a status in manifest.csv is neither done nor failed",
        (_name(row) for row in rows if row["status"] not in ("done", "failed")),
    )
    keys = Counter((row["source_id"], row["frame"]) for row in rows)
    yield from named(
        ("manifest.csv has a duplicate row"),
        (" frame ".join(key) for key, n in keys.items() if n > 1),
    )
    for kind in ("image", "code"):
        used = Counter(
            (row[f"{kind}_file"], row["code_row"] if kind == "code" else "")
            for row in done
            if row[f"{kind}_file"]
        )
        yield from named(
            f"several rows of manifest.csv name the same {kind}",
            (name for (name, _), n in used.items() if n > 1),
        )
    frames = defaultdict(list)
    for row in rows:
        frames[row["source_id"]].append(int(row["frame"]))
    yield from named(
        "frames in manifest.csv are not numbered from 0 in order",
        (name for name, each in frames.items() if each != list(range(len(each)))),
    )
    yield from named(
        f"manifest.csv states another codec than dataset.json ({spec})",
        (_name(row) for row in done if row["spec"] != str(spec)),
    )
    yield from named(
        "a failed row of manifest.csv has results, or a finished one an error",
        (_name(row) for row in rows if _mixed(row)),
    )
    if not isinstance(about.get("records"), dict):
        wanted = CONTENTS[about["options"].get("output", "both")]
        yield from named(
            "the files in manifest.csv do not match the output that dataset.json states",
            (_name(row) for row in done if {k for k in KINDS if row.get(f"{k}_file")} != wanted),
        )
    yield from named(
        "the name of a file differs from its source in manifest.csv",
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
        stem = str(PurePosixPath(inside.removesuffix(".gz")).with_suffix(""))
        if NEUTRAL.fullmatch(source):
            stem = stem.rpartition("/")[2]
            fits = stem == source or stem.startswith(f"{source}.frame")
        else:
            own = [part for part in source.split("/") if part not in ("", ".", "..")]
            fits = stem.startswith(str(PurePosixPath("/".join(own)).with_suffix("")))
        if not fits or room != KINDS[kind]:
            yield name


def _of_failures(place: Place, rows: Sequence[Row]) -> Iterator[str]:
    failed = [[row["source_id"], row["error"], row["reason"]] for row in rows
              if row["status"] == "failed"]  # fmt: skip
    if not place.has(FAILURES):
        if failed:
            yield "failures.csv is missing although manifest.csv has failed rows"
        return
    with place.fetched(FAILURES) as path, path.open(newline="", encoding="utf-8") as file:
        if list(read_rows(file))[1:] != failed:
            yield "failures.csv does not list the failed rows of manifest.csv"


def _of_tables(
    place: Place, about: Mapping[str, Any], rows: Sequence[Row], sound: Container[str]
) -> Iterator[str]:
    """Compare the tables in Parquet with what they repeat, where pyarrow is installed."""
    tables = [name for name in about["papers"] if name.endswith(".parquet") and name in sound]
    if not tables or not has_parquet():
        return
    labels = None
    if isinstance(about.get("records"), dict):
        records = Release(place, about, tuple(rows), "").records()
        labels = records.label_names, records.labels
    yield from filter(None, (table_faults(place, name, rows, labels) for name in tables))


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
        if code is not None:
            _mechanism(about, name, code, members[0], faults)
        if code is not None and about["options"].get("dtype") not in (
            None,
            members[0]["code_dtype"],
        ):
            faults["the dtype of codes differs from dataset.json"].append(name)
        for row in members:
            if row["image_file"] in sound:
                if spec.ndim == 2:
                    _image(place, row, spec, size, code, faults)
                elif fault := volume_fault(place, row, spec, size, code):
                    faults[fault].append(row["image_file"])
    by_dicom: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.get("dicom_file") in sound:
            by_dicom[row["dicom_file"]].append(row)
    for name, members in by_dicom.items():
        _dicom(place, name, members, spec, about["options"], faults)
    return [sentence for what, names in faults.items() for sentence in named(what, names)]


def _code_file(
    place: Place, name: str, rows: Sequence[Row], spec: CodecSpec, faults: dict[str, list[str]]
) -> Code | None:
    try:
        with place.fetched(name) as path:
            code = Code.load(path)
            with safe_open(path, "numpy") as file:
                stored = DTYPES.get(str(file.get_slice("array").get_dtype()), "")
                strange = {*file.keys()} - TENSORS or {*file.metadata()} != {"deepfixcx"}
    except (DeepfixcxError, OSError, SafetensorError):
        faults["a file of codes cannot be read"].append(name)
        return None
    if strange:
        faults["a file of codes holds data other than codes"].append(name)
    if code.spec != spec:
        faults[f"the codec of a file of codes differs from dataset.json ({spec})"].append(name)
        return None
    places = sorted(int(row["code_row"]) for row in rows)
    fits = places == list(range(len(code))) and all(row["code_dtype"] == stored for row in rows)
    for row in rows if fits else ():
        shape = sides_of(row)[-spec.ndim :]
        here = tuple(map(int, code.sizes[int(row["code_row"])]))
        fits = fits and here == shape and int(row["channels"]) == code.channels
    if not fits:
        faults["the rows, sizes or values of a file of codes differ from manifest.csv"].append(name)
        return None
    return code


def _mechanism(
    about: Mapping[str, Any], name: str, code: Code, row: Row, faults: dict[str, list[str]]
) -> None:
    """Look whether codes can have been through what dataset.json describes."""
    for each in about["options"].get("mechanisms") or ():
        made = INDEPENDENT.get(each) if "records" not in about else None
        if made is None or row["code_dtype"] == "uint8":  # which rounds once more
            continue
        if not np.array_equal(made.represent(code.array), code.array):
            faults[f"codes were not changed by the mechanism {each}"].append(name)
    for entry in noise_of(about)[:1]:
        spec, sizes = code.spec, code.sizes.max(axis=0)
        members = np.prod([each.lengths.max() for each in spec.cells(*map(int, sizes))])
        deviation = float(entry["scale"]) / (255 * spec.block * float(members))
        if len(code) > 1 and "records" not in about:
            varies = float(code.array.astype(np.float64).var(axis=0, ddof=1).mean())
            if varies < LEAST_NOISE * deviation**2:
                faults["codes vary less than the noise that dataset.json describes"].append(name)


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
            if not _is_bare(path):
                faults["an image file holds data other than pixels"].append(name)
    except (DeepfixcxError, OSError):
        faults["an image cannot be read"].append(name)
        return
    if pixels.shape != (1, int(row["channels"]), height, width) or (
        str(pixels.dtype) != row["image_dtype"] or row["image_dtype"] != f"uint{row['bits']}"
    ):
        faults["the size or depth of an image differs from manifest.csv or dataset.json"].append(
            name
        )
    elif code is not None:
        row_code = code[int(row["code_row"])]
        made = Codec(spec).decode(row_code, "compact" if size == "compact" else "original")
        shown = pixels[0] / np.iinfo(pixels.dtype).max
        if float(np.abs(np.clip(made[0], 0, 1) - shown).mean()) > SAME_PIXELS[row["code_dtype"]]:
            faults["an image does not match its code"].append(name)


def _is_bare(path: Path) -> bool:
    """Return whether a PNG has the chunks of pixels alone, and nothing after them."""
    data, place = path.read_bytes(), 8
    while place < len(data):
        if data[place + 4 : place + 8] not in CHUNKS:
            return False
        place += 12 + int.from_bytes(data[place : place + 4])
    return place == len(data)


def _dicom(
    place: Place,
    name: str,
    rows: Sequence[Row],
    spec: CodecSpec,
    options: Mapping[str, Any],
    faults: dict[str, list[str]],
) -> None:
    import pydicom

    row = rows[-1]

    try:
        with place.fetched(name) as path:
            header = pydicom.dcmread(path, stop_before_pixels=True)
        shape = (int(header.Rows), int(header.Columns), int(header.SamplesPerPixel))
        frames = int(header.get("NumberOfFrames") or 1)
        codes = [str(e.CodeValue) for e in header.get("DeidentificationMethodCodeSequence") or ()]
    except Exception:  # pydicom raises whatever a damaged header leads to
        faults["a DICOM file cannot be read"].append(name)
        return
    if {RETAINED[each] for each in codes if each in RETAINED} - set(options["retain"]):
        faults[
            "a DICOM file holds header elements that dataset.json does not state as retained"
        ].append(name)
    small = options.get("size", "compact") == "compact"
    height, width = spec.compact_shape()[-2:] if small else (row["height"], row["width"])
    if (shape, frames) != ((int(height), int(width), int(row["channels"])), len(rows)):
        faults["the size or frames of a DICOM file differ from manifest.csv"].append(name)


def _of_records(
    place: Place,
    about: Mapping[str, Any],
    rows: Sequence[Row],
    spec: CodecSpec,
    published: PublishedMechanism | None,
) -> Iterator[str]:
    """Compare labels, vectors and the fitted mechanism of a release by a mechanism."""
    try:
        records = Release(place, about, tuple(rows), "").records()
    except DeepfixcxError:
        yield "labels.csv, manifest.csv and the records do not fit together, or one is damaged"
        return
    yield from label_statements(about, rows, records)
    shape = tuple(map(int, about["records"]["shape"]))
    if records.code is None and records.array.shape != (len(rows), *shape):
        yield "the shape of records.safetensors differs from dataset.json"
    if records.code is not None and shape[1:] != spec.code_shape(shape[0])[1:]:
        yield "the shape of records in dataset.json does not match its codec"
    if published is None:
        yield "the release lacks the file of its mechanism"
    elif published.spec != spec or records.label_names != published.label_names:
        yield "the codec or the labels of the fitted mechanism differ from the release"
