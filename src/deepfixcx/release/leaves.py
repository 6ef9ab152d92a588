"""What describes a release in its own folder: README, licence, Croissant, DCAT, and the tables.

They are made from the metadata of the release, its manifest and what people state in about.toml,
and from nothing else, so that the same release has the same ones and none names a patient.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from deepfixcx._optional import require
from deepfixcx._words import joined
from deepfixcx.choices import CONTENTS
from deepfixcx.io.release_files import (
    CATALOG,
    CROISSANT,
    DATA,
    FAILURES,
    LABELS,
    LICENCE,
    MANIFEST,
    README,
    ROWS,
)
from deepfixcx.release.about import About
from deepfixcx.release.croissant import (
    catalog_record,
    columns_of_data,
    croissant,
    is_synthetic,
    of_volumes,
)
from deepfixcx.release.tables import Sink, has_parquet
from deepfixcx.spec import CodecSpec

__all__ = [
    "COLUMNS",
    "Leaves",
    "describe",
]

COLUMNS: dict[str, str] = {
    "source_id": "ID of the source file in the release; text, also where it has digits only",
    "frame": "number of the frame in its file, from 0",
    "status": "done or failed",
    "image_file": "privatized image, relative to the release",
    "dicom_file": "DICOM file, relative to the release",
    "code_file": "file of codes (safetensors), relative to the release",
    "code_row": "row of the code in its file, from 0; -1 without a code",
    "channels": "channels of the source image: 1 for gray, 3 for colour",
    "height": "height of the source image in pixels",
    "width": "width of the source image in pixels",
    "bits": "depth at which pixels of the source count, 8 or 16",
    "image_dtype": "number format of the privatized image",
    "code_dtype": "number format of the code in its file",
    "spec": "settings of the codec",
    "image_sha256": "SHA-256 of the image file",
    "dicom_sha256": "SHA-256 of the DICOM file",
    "code_sha256": "SHA-256 of the file of codes",
    "masked": "number of regions that were painted black",
    "masked_share": "share of the pixels that was painted black, 0 to 1",
    "error": "kind of error of a file that failed",
    "reason": "why a file failed",
    "patient": "pseudonym of the patient; releases made with one key have the same",
}
"""What the columns of the manifest mean."""

OF_DATA: dict[str, str] = {
    "image": "the privatized image as a PNG file of 8 or 16 bits",
    "code": "the code as a flat list of float32 in C order",
    "record": "the record as a list of float32",
}


@dataclass(frozen=True, slots=True)
class Leaves:
    """What people state about a release, and whether it has tables: by default with pyarrow."""

    about: About = field(default_factory=About)
    tables: bool | None = None

    def __post_init__(self) -> None:
        """Ask now, before any work, for what tables need."""
        if self.tables:
            require("pyarrow", extra="tables")

    @property
    def with_tables(self) -> bool:
        """Whether tables are written."""
        return has_parquet() if self.tables is None else self.tables


def describe(
    sink: Sink,
    metadata: dict[str, Any],
    about: About,
    tables: Mapping[str, str],
    labels: tuple[str, ...] = (),
    *,
    patients: bool,
) -> dict[str, str]:
    """Write the README, the licence, Croissant and DCAT; return the SHA-256 of each."""
    if stated := about.stated():
        metadata["about"] = stated
    listed, known = metadata["papers"] | tables, _columns(metadata) | OF_DATA
    if not patients:
        known.pop("patient")
    described = {
        README: readme(metadata, about, listed, labels, known).encode(),
        CROISSANT: _as_json(croissant(metadata, about, listed, labels, known)),
        CATALOG: _as_json(catalog_record(metadata, about, listed)),
    }
    if about.licence:
        described[LICENCE] = f"{about.licence}\n".encode()
    return {name: sink.put(name, content) for name, content in described.items()}


def _as_json(value: Any) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"


# -- the README -------------------------------------------------------------------------------


def readme(
    metadata: Mapping[str, Any],
    about: About,
    listed: Mapping[str, str],
    labels: Iterable[str],
    meanings: Mapping[str, str],
) -> str:
    """Return the README, which is a card of Hugging Face datasets as well."""
    parts = [_card(about, listed), f"# {_plain(_title(about))}", _what(metadata, listed)]
    stated = [("Institution", about.institution), ("Purpose", about.purpose),
              ("Collection", about.collection), ("Licence", about.licence),
              ("Contact", about.contact), ("Date", about.date)]  # fmt: skip
    known = [f"- **{name}:** {_plain(text)}" for name, text in stated if text]
    parts += ["\n".join(known)] if known else []
    parts += [
        "## Load it",
        _loading(metadata, listed),
        "## What it does not protect",
        str(metadata["limits"]),
        "Do not search this release for patients. Report an accidental identification to the "
        "contact of the release.",
        "## Check that it is complete",
        "```console\n$ deepfixcx verify .\n```",
        "Compare the checksum that it prints with the one that the sender names.",
        "## Files",
        _files(listed),
        f"## Columns of `{MANIFEST}`" + (f" and `{ROWS}`" if ROWS in listed else ""),
        _table("column", "meaning", {n: text for n, text in meanings.items() if n not in OF_DATA}),
    ]
    if any(name.startswith(DATA) for name in listed):
        more = OF_DATA | {f"label_{name}": "1, 0, or null where unknown" for name in labels}
        shown = {name: text for name, text in more.items() if _has_column(metadata, name)}
        parts += [
            f"## Columns of `{DATA}`",
            f"{', '.join(f'`{name}`' for name in columns_of_data(meanings))} as above, and:",
            _table("column", "meaning", shown),
        ]
    return "\n\n".join(parts) + "\n"


def _card(about: About, listed: Mapping[str, str]) -> str:
    """Return the YAML header that Hugging Face datasets reads."""
    lines = ["---", f"pretty_name: {json.dumps(_title(about))}"]
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9.-]*", about.licence):
        lines.append(f"license: {about.licence.lower()}")
    elif about.licence:
        lines += ["license: other", f"license_name: {json.dumps(about.licence)}"]
    lines += ["tags:", "- medical", "- image"]
    has_data = any(name.startswith(DATA) for name in listed)
    found = f"{DATA}*.parquet" if has_data else ROWS if ROWS in listed else MANIFEST
    lines += ["configs:", "- config_name: default", "  data_files:", "  - split: train"]
    return "\n".join([*lines, f"    path: {json.dumps(found)}", "---"])


def _title(about: About) -> str:
    return about.title or "Privatized medical images"


def _what(metadata: Mapping[str, Any], listed: Mapping[str, str]) -> str:
    """Say in a few sentences what the release holds and how it was made."""
    options, totals = metadata["options"], metadata["totals"]
    made = f"deepfixcx {metadata['software']['deepfixcx']}"
    count = f"{totals['images']:,}"
    if options.get("output") == "deidentified":
        return (
            f"{count} images in {totals['dicom_files']:,} DICOM files, de-identified with {made}. "
            "Pixels are those of the sources except in painted regions."
        )
    spec = CodecSpec.from_dict(options["spec"])
    if "records" in metadata:
        shape = " × ".join(map(str, metadata["records"]["shape"]))
        what = f"{count} records of shape {shape} with labels"
        if is_synthetic(metadata):
            what = (
                f"{count} synthetic records of shape {shape} with labels. Records and labels are "
                "drawn from a model, and none is of a patient. The model was fitted to codes of "
                "images"
            )
    else:
        kinds = {"image": "images", "code": "codes", "dicom": "DICOM images"}
        held = CONTENTS[options.get("output", "both")]
        what = joined([words for kind, words in kinds.items() if kind in held])
        what += f" of {count} medical images"
        if of_volumes(metadata):
            what = what.replace("images", "volumes")
            if options["output"] == "dicom":
                what = f"{count} slices of medical volumes as DICOM series"
    steps = [str(step["mechanism"]) for each in metadata["mechanisms"]
             for step in each.get("steps", [each])]  # fmt: skip
    after = f" Mechanisms applied to the codes: {', '.join(steps)}." if steps else ""
    cells = " × ".join(map(str, spec.grid_shape))
    sizes = " × ".join(["C", *map(str, spec.code_shape(1)[1:])])
    failed = " Files that failed are listed in failures.csv." if FAILURES in listed else ""
    return (
        f"This release holds {what}, compressed without learning by {made}: wavelet packets of "
        f"depth {spec.level}, then pooling over {cells} cells of "
        f"each band.{after}{failed}\n\n"
        f"Codec: `{spec}`. A code has the shape {sizes}, with C channels."
    )


def _loading(metadata: Mapping[str, Any], listed: Mapping[str, str]) -> str:
    """Return the lines that load the release with deepfixcx and with common tools."""
    held = CONTENTS[metadata["options"].get("output", "both")]
    own = "frame = release.to_pandas()"
    if "records" in metadata:
        own = "records = release.records()"
    elif "code" in held:
        own = "code, source_ids = release.codes()  # gray; codes(3): colour; (N, C, bands, P, P)"
    lines = ["from deepfixcx.release import Release", "", 'release = Release.open(".")', own]
    text = "```python\n" + "\n".join(lines) + "\n```"
    if ROWS in listed:
        names = f"{DATA}*.parquet" if any(n.startswith(DATA) for n in listed) else ROWS
        text += (
            "\n\nWithout deepfixcx, for example with Hugging Face datasets or polars:\n\n"
            f'```python\nimport datasets\n\nfiles = "{names}"\n'
            'rows = datasets.load_dataset("parquet", data_files=files, split="train")\n```'
            f'\n\n```python\nimport polars\n\nrows = polars.read_parquet("{names}")\n```'
        )
    return text


def _files(listed: Mapping[str, str]) -> str:
    known = {
        MANIFEST: "one row for each image",
        ROWS: "the same with types",
        f"{DATA}*.parquet": "images, codes and labels, row by row",
        FAILURES: "files that failed, with the reason",
        LABELS: "labels of each record: 1, 0, or nothing where unknown",
        CROISSANT: "description for machine learning (Croissant 1.1)",
        CATALOG: "record for catalogs of health data (HealthDCAT-AP)",
        "dataset.json": "settings, counts and the SHA-256 of every file above",
    }
    there = {*listed, CROISSANT, CATALOG, "dataset.json"}
    there |= {f"{DATA}*.parquet"} if any(name.startswith(DATA) for name in listed) else set()
    return _table("file", "content", {n: text for n, text in known.items() if n in there})


def _columns(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return what the columns of the manifest mean; a release of volumes has one more."""
    more = {"depth": "slices of the source volume; 0 for a file that failed"}
    return COLUMNS | (more if of_volumes(metadata) else {})


def _has_column(metadata: Mapping[str, Any], name: str) -> bool:
    of_records = metadata.get("records")
    if of_records is not None:
        vectors = len(of_records["shape"]) == 1
        return name.startswith("label_") or name == ("record" if vectors else "code")
    if name == "image" and of_volumes(metadata):
        return False
    return name in CONTENTS[metadata["options"].get("output", "both")]


def _table(left: str, right: str, rows: Mapping[str, str]) -> str:
    lines = [f"| {left} | {right} |", "|---|---|"]
    names = {name: re.sub("[`|]", "'", name) for name in rows}
    return "\n".join(lines + [f"| `{names[name]}` | {text} |" for name, text in rows.items()])


def _plain(text: str) -> str:
    """Return text that is no markup in Markdown: neither a table, nor HTML, nor a link."""
    return re.sub(r"([\\`*_|<>\[\]#])", r"\\\1", text)
