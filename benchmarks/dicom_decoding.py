"""Reading DICOM images for display against decoding alone: the same files, by turns.

Decoding alone is pydicom's ``dcmread(path).pixel_array``, with the decoders that deepfixcx has
installed; the fuller loop also applies the modality LUT and the VOI LUT, as a viewer does, and
brings the values to [0, 1]. ``read_image`` does all of that, checks sizes before it decodes, and
lets no warning out.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from benchmarks.command import arguments, finish, new_parser
from benchmarks.table import Table, number
from deepfixcx.bench.machine import describe_machine, write_samples
from deepfixcx.errors import ImageFileError, PixelsError
from deepfixcx.images import read_image

__all__ = ["Speeds", "decoded", "displayed", "main", "measure", "speed_table"]

CASES = (("DICOM", 320), ("DICOM", 1024), ("DICOM JPEG 2000", 320), ("DICOM JPEG 2000", 1024))
TINY = (("DICOM", 32),)
LEAST_READ = 8


@dataclass(frozen=True, slots=True)
class Speeds:
    """How many files each way reads in a second of processor time, one after the other.

    Attributes
    ----------
    files : int
        Different files.
    decode, display, read : float
        Files a second: pixels alone, pixels for display, and `read_image`.
    """

    files: int
    decode: float
    display: float
    read: float


def decoded(path: Path) -> NDArray[Any]:
    """Decode, and no more."""
    return dcmread(path, force=True).pixel_array


def displayed(path: Path) -> NDArray[Any]:
    """Decode, apply the lookup tables, and bring the values to [0, 1]."""
    dataset = dcmread(path, force=True)
    stored = dataset.pixel_array
    if dataset.SamplesPerPixel == 3 or dataset.PhotometricInterpretation == "PALETTE COLOR":
        return stored
    values = apply_voi_lut(apply_modality_lut(stored, dataset), dataset).astype(np.float32)
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low or 1)


def read(path: Path) -> NDArray[Any]:
    """Read as deepfixcx does."""
    return read_image(path).pixels


def measure(paths: Sequence[Path], rounds: int, *, least: int = LEAST_READ) -> Speeds:
    """Read every file in all three ways, by turns, `rounds` times and `least` times in all.

    The time of a set of files is the sum of the medians of its files.
    """
    ways: tuple[Callable[[Path], NDArray[Any]], ...] = (decoded, displayed, read)
    seconds = [0.0, 0.0, 0.0]
    for path in paths:
        took: list[list[float]] = [[], [], []]
        for way in ways:
            way(path)  # what is done once a process does not count
        for _ in range(max(rounds, least)):
            for place, way in enumerate(ways):
                began = time.process_time()
                way(path)
                took[place].append(time.process_time() - began)
        seconds = [sofar + median(times) for sofar, times in zip(seconds, took, strict=True)]
    return Speeds(len(paths), *(len(paths) / total for total in seconds))


def readable(folder: Path) -> list[Path]:
    """Return the files of a folder that both programs can decode."""
    found = []
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        try:
            decoded(path), read_image(path)
        except (ImageFileError, PixelsError):
            continue
        except Exception:  # whatever pydicom raises on what is no image
            continue
        found.append(path)
    return found


def speed_table(rows: Sequence[tuple[str, Speeds]]) -> Table:
    """Lay the speeds out."""
    table = Table(
        ["files", "number", "decode only, files/s", "decode and display", "read_image",
         "of decode only", "of decode and display"],
    )  # fmt: skip
    for name, speeds in rows:
        table.add(
            name, str(speeds.files), number(speeds.decode), number(speeds.display),
            number(speeds.read), f"{speeds.read / speeds.decode:.2f}",
            f"{speeds.read / speeds.display:.2f}",
        )  # fmt: skip
    return table


def main(words: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    parser: argparse.ArgumentParser = new_parser(__doc__)
    parser.add_argument("--real", type=Path, help="folder of real files, such as data/dicom/files")
    options = arguments(parser, words)
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    machine = describe_machine()
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if options.real is not None:
            rows.append(("real files", measure(readable(options.real), options.rounds)))
        for kind, side in TINY if options.tiny else CASES:
            with TemporaryDirectory(prefix="deepfixcx-bench-") as place:
                paths = write_samples(Path(place) / "images", kind, side, 8)
                rows.append((f"{kind}, {side}×{side}", measure(paths, options.rounds)))
    note = (
        "One process and its processor time, files in the page cache; generated files are 12 bits, "
        "uncompressed or lossless JPEG 2000. A share above 1 means that `read_image` is the faster "
        "one."
    )
    figures = [{"files": name, **asdict(speeds)} for name, speeds in rows]
    finish(options, "dicom_decoding", machine, [("", speed_table(rows))], [note], figures)


if __name__ == "__main__":
    main()
