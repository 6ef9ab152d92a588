"""The speed of a release from disk, against processes that only decode the same files.

Both are timed twice in one run: from the first process to the last result, and without what comes
before a first part of the files is done (starting processes, importing, filling caches).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from deepfixcx.bench.loop import WARM_PART, LoopTask, Times, loop_times
from deepfixcx.errors import ReleaseStoppedError
from deepfixcx.release import Progress, ReleaseOptions, privatize_dataset

__all__ = ["DiskSpeed", "measure_disk", "privatize_times"]

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
    """Make a release of a folder in a temporary place, time it, and remove it.

    Parameters
    ----------
    folder : Path
        The files.
    options : ReleaseOptions
        As of `privatize_dataset`.
    workers : int
        Processes.

    Returns
    -------
    Times
        Everything up to the papers counts; listing and planning count as start-up.

    Raises
    ------
    ReleaseError
        The release cannot be made.
    ReleaseStoppedError
        Some files could not be privatized, so that the speed would mean nothing.

    Examples
    --------
    >>> options = ReleaseOptions(CodecSpec(level=3, patches=4))  # doctest: +SKIP
    >>> privatize_times(Path("scans"), options, workers=2).without_start  # doctest: +SKIP
    """
    reached: list[tuple[int, float]] = []

    def report(progress: Progress) -> None:
        now = time.perf_counter()
        warm = progress.files_done >= max(progress.files // WARM_PART, workers)
        # Workers tell of many files at a time: the clock begins with the last of the first such.
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
    """Measure releases and loops by turns.

    Parameters
    ----------
    folder : Path
        Holds the files and nothing else.
    paths : sequence of Path
        The files.
    runs : mapping of str to (ReleaseOptions, LoopTask)
        By name, a release and the loop it is compared with. Equal loops or releases run once.
    workers : int
        Processes.
    rounds : int
        The medians of so many runs count.

    Returns
    -------
    dict of str to DiskSpeed
        By the names of `runs`.

    Raises
    ------
    ReleaseError
        A release cannot be made.

    Examples
    --------
    >>> runs = {"codes": (options, "decode")}  # doctest: +SKIP
    >>> measure_disk(folder, paths, runs, workers=2, rounds=3)["codes"].share  # doctest: +SKIP
    """
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
    """Return what tells loops apart: only one that writes depends on the options."""
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
