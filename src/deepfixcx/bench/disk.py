"""The speed of a release from disk, against processes that only decode the same files.

Both are timed twice in one run: from the first process to the last result, and without what comes
before a first part of the files is done (starting processes, importing, filling caches).
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from deepfixcx._kernels.threads import ENVIRONMENT_VARIABLE
from deepfixcx.errors import ReleaseStoppedError
from deepfixcx.release import Progress, ReleaseOptions, privatize_dataset

__all__ = [
    "WARM_PART",
    "DiskSpeed",
    "LoopTask",
    "Times",
    "loop_times",
    "measure_disk",
    "privatize_times",
]

WARM_PART = 8
"""One file in so many is done before the clock without start-up begins."""

LoopTask = Literal["decode", "decode plainly", "decode and write"]
"""What a loop does with each file.

``"decode"`` calls `read_image`; ``"decode plainly"`` calls pillow or pydicom with nothing around
it; ``"decode and write"`` calls `read_image`, then `write_png` with an image of the size that the
release would write.
"""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of one run over `files` files: all of it, and of those after the first part."""

    files: int
    seconds: float
    warm_files: int
    warm_seconds: float

    @property
    def with_start(self) -> float:
        """Files a second, start-up included."""
        return self.files / self.seconds

    @property
    def without_start(self) -> float:
        """Files a second, once everything runs."""
        return self.warm_files / self.warm_seconds


def loop_times(
    paths: Sequence[Path], workers: int, task: LoopTask, options: ReleaseOptions
) -> Times:
    """Time processes that each go through a part of the files and keep nothing."""
    context = multiprocessing.get_context("spawn")
    parts = [paths[number::workers] for number in range(workers)]
    warm = [max(len(part) // WARM_PART, 1) for part in parts]
    temporary = TemporaryDirectory(prefix="deepfixcx-bench-")
    made = Path(temporary.name)
    began = time.perf_counter()
    pool, pipes = [], []
    try:
        for part, before in zip(parts, warm, strict=True):
            here, there = context.Pipe()
            arguments = (part, before, task, options, made, there)
            process = context.Process(target=_go_through, args=arguments, daemon=True)
            process.start()
            there.close()
            pool.append(process)
            pipes.append(here)
        for pipe in pipes:
            pipe.recv()
        warmed = time.perf_counter()
        for pipe in pipes:
            pipe.send("go")
        for pipe in pipes:
            pipe.recv()
        ended = time.perf_counter()
    except (EOFError, OSError):
        raise ReleaseStoppedError("a measured process stopped before its end") from None
    finally:
        for process in pool:
            process.terminate()
            process.join()
        temporary.cleanup()
    return Times(len(paths), ended - began, len(paths) - sum(warm), ended - warmed)


def _go_through(
    paths: Sequence[Path],
    before: int,
    task: LoopTask,
    options: ReleaseOptions,
    folder: Path,
    pipe: Connection,
) -> None:
    os.environ[ENVIRONMENT_VARIABLE] = "1"  # as the workers of a release
    work = {"decode": _decoder, "decode plainly": _plain_decoder, "decode and write": _writer}[task]
    handle = work(paths[0], options, folder)
    for path in paths[:before]:
        handle(path)
    pipe.send("warm")
    pipe.recv()
    for path in paths[before:]:
        handle(path)
    pipe.send("done")


def _decoder(_first: Path, _options: ReleaseOptions, _folder: Path) -> Any:
    return import_module("deepfixcx.images").read_image


def _plain_decoder(first: Path, _options: ReleaseOptions, _folder: Path) -> Any:
    """Return a function that calls the format's package with nothing around it."""
    if first.suffix == ".dcm":
        pydicom = import_module("pydicom")
        return lambda path: pydicom.dcmread(path).pixel_array
    numpy, pillow = import_module("numpy"), import_module("PIL.Image")
    return lambda path: numpy.asarray(pillow.open(path))


def _writer(first: Path, options: ReleaseOptions, folder: Path) -> Any:
    """Return a function that decodes a file and writes the first file's reconstruction."""
    from deepfixcx.codec import Codec
    from deepfixcx.images import read_image, write_png

    frames = read_image(first)
    image = Codec(options.spec).privatize(frames.pixels, options.size)[0]

    def handle(path: Path) -> None:
        read_image(path)
        write_png(folder / f"{path.stem}.png", image, bits=frames.bits)

    return handle


TOLD_TOGETHER = 0.002
"""Reports of a release within so many seconds are about files that ended before the first."""


@dataclass(frozen=True, slots=True)
class DiskSpeed:
    """Medians over several runs, in files a second.

    Attributes
    ----------
    files, workers : int
        Files of a run, and processes.
    privatize, privatize_with_start : float
        The release, without and with start-up.
    loop, loop_with_start : float
        The loop that it is compared with.

    Examples
    --------
    >>> speeds = DiskSpeed(1000, 2, 90, privatize_with_start=80, loop=100, loop_with_start=95)
    >>> speeds.share
    0.9
    """

    files: int
    workers: int
    privatize: float
    privatize_with_start: float
    loop: float
    loop_with_start: float

    @property
    def share(self) -> float:
        """Speed of the release as a share of the loop's, without start-up."""
        return self.privatize / self.loop

    @property
    def share_with_start(self) -> float:
        """The same with start-up."""
        return self.privatize_with_start / self.loop_with_start


def privatize_times(folder: Path, options: ReleaseOptions, workers: int) -> Times:
    """Make a release of a folder in a temporary place, time it, and remove it."""
    reached: list[tuple[int, float]] = []

    def report(progress: Progress) -> None:
        now = time.perf_counter()
        warm = progress.files_done >= max(progress.files // WARM_PART, workers)
        # Workers report many files at a time: the clock begins with the last of the first such.
        if warm and (not reached or now - reached[0][1] < TOLD_TOGETHER):
            reached.append((progress.files_done, now))

    with TemporaryDirectory(prefix="deepfixcx-bench-") as made:
        began = time.perf_counter()
        summary = privatize_dataset(
            folder, Path(made) / "release", options, workers=workers, report=report
        )
        ended = time.perf_counter()
    files = summary.totals["files"]
    if summary.totals["files_failed"] or not reached or files <= reached[-1][0]:
        raise ReleaseStoppedError("a measured release has failed files, or too few to measure")
    return Times(files, ended - began, files - reached[-1][0], ended - reached[-1][1])


def measure_disk(
    folder: Path,
    paths: Sequence[Path],
    runs: Mapping[str, tuple[ReleaseOptions, LoopTask]],
    workers: int,
    rounds: int = 7,
) -> dict[str, DiskSpeed]:
    """Measure releases and loops by turns."""
    for path in paths:
        path.read_bytes()  # both sides find the files in memory
    times: dict[Any, list[Times]] = {}
    for _ in range(rounds):
        for options in dict.fromkeys(options for options, _ in runs.values()):
            times.setdefault(options, []).append(privatize_times(folder, options, workers))
        for key in dict.fromkeys(_loop_key(*run) for run in runs.values()):
            task, options = key[0], key[1]
            times.setdefault(key, []).append(loop_times(paths, workers, task, options))
    return {
        name: _compared(len(paths), workers, times[options], times[_loop_key(options, task)])
        for name, (options, task) in runs.items()
    }


def _loop_key(options: ReleaseOptions, task: LoopTask) -> tuple[LoopTask, ReleaseOptions]:
    """Return what distinguishes loops: only one that writes depends on the options."""
    return task, options if task == "decode and write" else ReleaseOptions(options.spec)


def _compared(
    files: int, workers: int, release: Sequence[Times], loop: Sequence[Times]
) -> DiskSpeed:
    return DiskSpeed(
        files,
        workers,
        statistics.median(times.without_start for times in release),
        statistics.median(times.with_start for times in release),
        statistics.median(times.without_start for times in loop),
        statistics.median(times.with_start for times in loop),
    )
