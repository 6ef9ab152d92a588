"""A release from disk against processes that only decode (and write) the same files, by turns."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.command import arguments, finish, new_parser
from benchmarks.table import Table, number
from deepfixcx import CodecSpec
from deepfixcx.bench import DiskSpeed
from deepfixcx.bench.disk import LoopTask, measure_disk
from deepfixcx.bench.machine import FILE_KINDS, describe_machine, write_samples
from deepfixcx.images import read_image
from deepfixcx.release import ReleaseOptions

__all__ = ["disk_table", "main", "runs_of"]

CASES = tuple((kind, side) for side in (320, 1024) for kind in FILE_KINDS)
TINY = (("PNG", 32), ("DICOM", 32))
SPEC, TINY_SPEC = CodecSpec(level=3, patches=5), CodecSpec(level=2, patches=2)
SECONDS, LEAST_FILES, MOST_FILES, MOST_BYTES = 4.0, 64, 12_000, 1 << 30


def runs_of(spec: CodecSpec) -> dict[str, tuple[ReleaseOptions, LoopTask]]:
    """Return what is compared with what: a release, and its loop."""
    codes = ReleaseOptions(spec, output="codes")
    compact = ReleaseOptions(spec, output="images")
    original = ReleaseOptions(spec, output="images", size="original")
    return {
        "codes | only decoding": (codes, "decode"),
        "codes | pillow or pydicom alone": (codes, "decode plainly"),
        "images, compact | decode + write": (compact, "decode and write"),
        "images, original | decode + write": (original, "decode and write"),
    }


def fitting_count(kind: str, side: int, workers: int, seconds: float) -> int:
    """Return how many files take about so many seconds to decode."""
    with TemporaryDirectory(prefix="deepfixcx-bench-") as place:
        paths = write_samples(Path(place), kind, side, 4)
        read_image(paths[0])
        began = time.perf_counter()
        for path in paths:
            read_image(path)
        each = (time.perf_counter() - began) / len(paths)
        most = min(MOST_FILES, MOST_BYTES // paths[0].stat().st_size)
    return max(LEAST_FILES, min(most, round(workers * seconds / each)))


def disk_table(rows: Sequence[tuple[str, int, Mapping[str, DiskSpeed]]]) -> Table:
    """Lay the speeds out: one row for each kind of file and pair of release and loop."""
    table = Table(
        ["files", "privatize --output", "loop", "files", "privatize, files/s", "loop, files/s",
         "share", "with start-up: privatize", "loop", "share"],
        words=3,
    )  # fmt: skip
    for kind, side, speeds in rows:
        for name, speed in speeds.items():
            output, _, loop = name.partition(" | ")
            table.add(
                f"{kind}, {side}×{side}", output, loop, str(speed.files),
                number(speed.privatize), number(speed.loop), f"{speed.share:.2f}",
                number(speed.privatize_with_start), number(speed.loop_with_start),
                f"{speed.share_with_start:.2f}",
            )  # fmt: skip
    return table


def main(words: Sequence[str] | None = None) -> None:
    """Run the comparison."""
    parser = new_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of decoding in a run")
    parser.add_argument("--kinds", nargs="*", choices=FILE_KINDS, default=list(FILE_KINDS))
    options = arguments(parser, words)
    machine = describe_machine()
    spec, seconds = (TINY_SPEC, 0.0) if options.tiny else (SPEC, options.seconds)
    rows = []
    for kind, side in TINY if options.tiny else CASES:
        if kind not in options.kinds:
            continue
        count = fitting_count(kind, side, options.threads, seconds)
        with TemporaryDirectory(prefix="deepfixcx-bench-") as place:
            folder = Path(place) / "images"
            paths = write_samples(folder, kind, side, count)
            speeds = measure_disk(folder, paths, runs_of(spec), options.threads, options.rounds)
        rows.append((kind, side, speeds))
        print(disk_table(rows[-1:]).markdown(), flush=True)
    notes = [
        f"{options.threads} processes on both sides; {spec}; files in the page cache; DICOM is 12 "
        f"bits, uncompressed or lossless JPEG 2000. Without start-up, the clock begins when an "
        f"eighth of the files is done; for a release it ends when its papers are written. "
        f"*decode + write* writes a reconstruction of the size that the release writes."
    ]
    figures = [
        {"kind": kind, "side": side, "speeds": {name: asdict(s) for name, s in speeds.items()}}
        for kind, side, speeds in rows
    ]
    finish(options, "from_disk", machine, [("", disk_table(rows))], notes, figures)


if __name__ == "__main__":
    main()
