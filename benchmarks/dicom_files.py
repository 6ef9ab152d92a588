"""What each file of a folder becomes in a release of DICOM images."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from pydicom import dcmread

from benchmarks.table import Table, put_section
from deepfixcx import CodecSpec
from deepfixcx.images import ImageFacts, inspect_image
from deepfixcx.release import ReleaseOptions, privatize_dataset

__all__ = ["became_table", "main"]

NAME = "dicom_files"


def became_table(folder: Path, spec: CodecSpec, *, workers: int = 1) -> Table:
    """Make a release of a folder, and lay out what became of each of its files."""
    table = Table(["file", "is", "becomes"], words=3)
    with TemporaryDirectory(prefix="deepfixcx-files-") as place:
        release, private = Path(place) / "release", Path(place) / "private"
        options = ReleaseOptions(spec, output="dicom")
        privatize_dataset(folder, release, options, private=private, workers=workers)
        with (release / "manifest.csv").open(newline="", encoding="utf-8") as file:
            made = {row["source_id"]: row["dicom_file"] for row in csv.DictReader(file)}
        with (private / "sources.csv").open(newline="", encoding="utf-8") as file:
            rows = sorted(csv.DictReader(file), key=lambda row: row["source"])
        for row in rows:
            facts = inspect_image(folder / row["source"], decode=False)
            if row["status"] == "done":
                became = _described(release / made[row["source_id"]])
            else:
                became = f"nothing: {row['error'] or row['reason']}"
            table.add(row["source"], _is(facts), became)
    return table


def _is(facts: ImageFacts) -> str:
    """Say in one line what a file is."""
    if not facts.width:
        return facts.format or "no image"
    size = f"{facts.height}×{facts.width}" + (f"×{facts.frames}" if facts.frames > 1 else "")
    syntax = facts.transfer_syntax.split(" (")[0].split(",")[0]
    parts = [size, f"{facts.bits} bits" if facts.bits else "", facts.photometric, syntax]
    return ", ".join(part for part in parts if part)


def _described(path: Path) -> str:
    """Say in one line what was made of it."""
    image = dcmread(path, stop_before_pixels=True)
    kind = image.SOPClassUID.name.removesuffix(" Storage").removesuffix(" Image")
    frames = f"×{image.NumberOfFrames}" if "NumberOfFrames" in image else ""
    size = f"{image.Rows}×{image.Columns}{frames}"
    return f"{kind}, {size}, {image.BitsStored} bits, {image.PhotometricInterpretation}"


def main(words: Sequence[str] | None = None) -> None:
    """Print the table, or put it into its section of a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of the files, such as data/dicom")
    parser.add_argument("--level", type=int, default=3)
    parser.add_argument("--patches", type=int, default=4)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--markdown", type=Path, help="page whose section to replace")
    chosen = parser.parse_args(words)
    spec = CodecSpec(chosen.level, chosen.patches)
    table = became_table(chosen.folder, spec, workers=chosen.workers)
    note = (
        f"Made by `python -m benchmarks.{NAME}` with level {spec.level}, patches {chosen.patches}."
    )
    print(table.markdown())
    if chosen.markdown is not None:
        put_section(chosen.markdown, NAME, [table.markdown(), note])


if __name__ == "__main__":
    main()
