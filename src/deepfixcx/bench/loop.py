"""Processes that go through files and keep nothing: what a release is measured against."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from deepfixcx._kernels.threads import ENVIRONMENT_VARIABLE
from deepfixcx.errors import ReleaseStoppedError
from deepfixcx.release import ReleaseOptions

__all__ = ["WARM_PART", "LoopTask", "Times", "loop_times"]

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
    """Seconds of one run over `files` files: all of it, and of those after the first part.

    Attributes
    ----------
    files, warm_files : int
        Files of the run, and those of them that came after the first part.
    seconds, warm_seconds : float
        What they took.

    Examples
    --------
    >>> times = Times(files=100, seconds=5.0, warm_files=90, warm_seconds=3.0)
    >>> times.with_start, times.without_start
    (20.0, 30.0)
    """

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
    """Time processes that each go through a part of the files and keep nothing.

    Parameters
    ----------
    paths : sequence of Path
        The files.
    workers : int
        Processes.
    task : LoopTask
        What they do with each file.
    options : ReleaseOptions
        Give the size of the images that ``"decode and write"`` writes.

    Returns
    -------
    Times

    Raises
    ------
    ReleaseStoppedError
        A process did not come to its end.

    Examples
    --------
    >>> paths = sorted(Path("scans").iterdir())  # doctest: +SKIP
    >>> loop_times(paths, 2, "decode", options).without_start  # doctest: +SKIP
    """
    context = multiprocessing.get_context("spawn")
    parts = [paths[number::workers] for number in range(workers)]
    warm = [max(len(part) // WARM_PART, 1) for part in parts]
    temporary = TemporaryDirectory(prefix="deepfixcx-bench-")
    made = Path(temporary.name)
    began = time.perf_counter()
    crew, pipes = [], []
    try:
        for part, before in zip(parts, warm, strict=True):
            here, there = context.Pipe()
            arguments = (part, before, task, options, made, there)
            process = context.Process(target=_go_through, args=arguments, daemon=True)
            process.start()
            there.close()
            crew.append(process)
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
        raise ReleaseStoppedError("a process of the loop stopped before its end") from None
    finally:
        for process in crew:
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
