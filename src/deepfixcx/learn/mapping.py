"""Do something with every image of a dataset, in one process or several; bad files are recorded.

A decoder that crashes takes its process with it. With several workers only that file fails: the
files that were under way are tried again, one at a time.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from deepfixcx._kernels.threads import ENVIRONMENT_VARIABLE
from deepfixcx.datasets import Dataset, ImageRecord
from deepfixcx.errors import DeepfixcxError, UnreadableFileError, WorkerDiedError
from deepfixcx.images import read_image
from deepfixcx.images.reading import open_image
from deepfixcx.io.processes import follow_parent

__all__ = ["Done", "Failure", "Image", "Report", "WorkerPool", "map_images", "map_labelled",
           "most_often"]  # fmt: skip

Result = TypeVar("Result")

Report = Callable[[int, int], None]
"""Receives how many images are done, and of how many."""

Job = tuple[int, Path]
"""The place of a record, and its file."""

FILES_AT_ONCE = 32
"""Files that each worker is given at a time, and so those tried again after a crash."""


@dataclass(frozen=True, eq=False, slots=True)
class Image:
    """One image as it was read."""

    # (C, H, W); uint8 or uint16 over their full range, or float32 in [0, 1]. Of a file with
    # several frames the first. C = 1 where the three channels of a file are equal
    pixels: NDArray[Any]
    file_bytes: int  # Size of the file
    digest: str  # SHA-256 of the file


@dataclass(frozen=True, slots=True)
class Failure:
    """One image that could not be used; its text form names no patient."""

    place: int  # Of its record
    error: str  # Name of the error and its message
    reason: str


@dataclass(frozen=True, slots=True)
class Done(Generic[Result]):
    """What came of the image at `place`."""

    place: int
    result: Result


Step = Callable[[Job], Done[Result] | Failure]


class WorkerPool:
    """Processes that read images, kept from one pass over a dataset to the next."""

    def __init__(self, count: int) -> None:
        self._count = max(1, count)
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> WorkerPool:
        """Return the pool; its processes start with the first job."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        self.stop()

    def stop(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def map(self, step: Step[Result], jobs: Sequence[Job]) -> Iterator[Done[Result] | Failure]:
        """Take the step with every job, in order."""
        if self._count == 1:
            yield from map(step, jobs)
            return
        at_once = FILES_AT_ONCE * self._count
        for start in range(0, len(jobs), at_once):
            yield from self._run(step, jobs[start : start + at_once])

    def _run(self, step: Step[Result], jobs: Sequence[Job]) -> list[Done[Result] | Failure]:
        self._pool = self._pool or _pool(self._count)
        try:
            return list(self._pool.map(step, jobs, chunksize=4))
        except BrokenProcessPool:
            self.stop()
            return _one_by_one(step, jobs)


def map_images(
    records: Sequence[ImageRecord],
    work: Callable[[Image], Result],
    *,
    workers: int | WorkerPool = 1,
    report: Report | None = None,
) -> Iterator[Done[Result] | Failure]:
    """Read images and do something with each, in order."""
    jobs: list[Job] = [(place, record.path) for place, record in enumerate(records)]
    step: Step[Result] = partial(_attempt, work)
    pool = workers if isinstance(workers, WorkerPool) else WorkerPool(workers)
    try:
        for count, outcome in enumerate(pool.map(step, jobs), 1):
            yield outcome
            if report is not None:
                report(count, len(jobs))
    finally:
        if pool is not workers:
            pool.stop()


def map_labelled(
    dataset: Dataset,
    work: Callable[[Image], Result],
    *,
    workers: int | WorkerPool = 1,
    report: Report | None = None,
) -> tuple[dict[int, Result], list[Failure]]:
    """Do something with each image that has a label; return results by place, and failures."""
    labelled = np.flatnonzero(dataset.known.any(axis=1))
    records = [dataset.records[place] for place in labelled]
    done: dict[int, Result] = {}
    failures = []
    for outcome in map_images(records, work, workers=workers, report=report):
        place = int(labelled[outcome.place])
        if isinstance(outcome, Done):
            done[place] = outcome.result
        else:
            failures.append(Failure(place, outcome.error, outcome.reason))
    return done, failures


def most_often(failures: Sequence[Failure]) -> str:
    """Return the most frequent failure as the end of a sentence; "" where there is none."""
    often = Counter(f"{each.error}: {each.reason}" for each in failures).most_common(1)
    return f"; most often {often[0][0]}" if often else ""


def _attempt(work: Callable[[Image], Result], job: Job) -> Done[Result] | Failure:
    place, path = job
    try:
        return Done(place, work(_read(path)))
    except DeepfixcxError as error:
        return Failure(place, type(error).__name__, str(error))


def _read(path: Path) -> Image:
    with open_image(path) as stream:
        try:
            data = stream.read()
        except OSError:
            raise UnreadableFileError("the file cannot be read: input/output error") from None
    pixels = read_image(BytesIO(data)).pixels[0]
    if len(pixels) == 3 and (pixels[0] == pixels[1]).all() and (pixels[0] == pixels[2]).all():
        pixels = pixels[:1]
    return Image(np.ascontiguousarray(pixels), len(data), hashlib.sha256(data).hexdigest())


def _one_by_one(step: Step[Result], jobs: Sequence[Job]) -> list[Done[Result] | Failure]:
    """Take the step with one job at a time, in a process that is replaced when it dies."""
    outcomes: list[Done[Result] | Failure] = []
    pool = _pool(1)
    for job in jobs:
        try:
            outcomes.append(pool.submit(step, job).result())
        except BrokenProcessPool:
            pool.shutdown()
            pool = _pool(1)
            error = WorkerDiedError("a worker process stopped on this file, which may be damaged")
            outcomes.append(Failure(job[0], type(error).__name__, str(error)))
    pool.shutdown()
    return outcomes


def _pool(workers: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)


def _begin() -> None:
    """Use one thread a process, and end with the parent."""
    os.environ[ENVIRONMENT_VARIABLE] = "1"
    follow_parent()
