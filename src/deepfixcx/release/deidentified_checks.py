"""A release of de-identified DICOM files, checked by what it holds itself."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from deepfixcx.release.places import Place

__all__ = ["deidentified_contradictions"]

Row = Mapping[str, str]


def deidentified_contradictions(
    place: Place, about: Mapping[str, Any], rows: Sequence[Row], sound: Container[str]
) -> list[str]:
    """Return sentences on what does not fit together; none for a consistent release."""
    try:
        return [*_of_totals(about, rows), *_of_files(place, rows, sound)]
    except (LookupError, TypeError, ValueError, AttributeError, OSError):
        return ["dataset.json or manifest.csv has invalid values"]


def _of_totals(about: Mapping[str, Any], rows: Sequence[Row]) -> Iterator[str]:
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
