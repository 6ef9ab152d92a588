"""Run a release from the plan to the papers, or go on with one that was stopped."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deepfixcx._optional import require
from deepfixcx.choices import Engine
from deepfixcx.errors import ReleaseError, ReleaseStoppedError
from deepfixcx.release.cluster import run_on_cluster
from deepfixcx.release.content import stamp_of
from deepfixcx.release.disk import remove_strays, remove_unfinished, sync_folder
from deepfixcx.release.folders import (
    alone,
    keep_apart,
    make_room,
    private_folder,
    refuse,
    withdraw_papers,
)
from deepfixcx.release.inputs import find_sources
from deepfixcx.release.ledger import Ledger
from deepfixcx.release.manifest import write_papers
from deepfixcx.release.plan import Plan, ReleaseOptions, make_plan
from deepfixcx.release.records import FileDone
from deepfixcx.release.resume import check_identity, deaths_before, standing_shards
from deepfixcx.release.shard import ShardJob
from deepfixcx.release.workers import (
    DeathEvent,
    Event,
    FileEvent,
    StartEvent,
    run_jobs,
)

__all__ = ["Progress", "Summary", "privatize_dataset"]


@dataclass(slots=True)
class Progress:
    """How far this run is.

    Attributes
    ----------
    files, files_done, files_failed, files_before : int
        Inputs in all; ended in this run; of those failed; ended in earlier runs.
    images : int
        Images privatized in this run.
    bytes_in, bytes_kept : int
        Bytes of the source files read, and of what is kept of their pixels in memory.
    """

    files: int = 0
    files_done: int = 0
    files_failed: int = 0
    files_before: int = 0
    images: int = 0
    bytes_in: int = 0
    bytes_kept: int = 0

    def add(self, result: FileDone) -> None:
        """Count one ended file."""
        self.files_done += 1
        self.files_failed += result.failed
        self.images += result.images
        self.bytes_in += result.bytes_in
        self.bytes_kept += result.bytes_kept


@dataclass(frozen=True, slots=True)
class Summary:
    """What a release came to.

    Attributes
    ----------
    folder, private : Path
        The release, and the folder that stays here.
    totals : dict of str to int
        As in ``dataset.json``: the whole release, earlier runs included.
    progress : Progress
        This run alone.
    seconds : float
        Wall time of this run.
    skipped : int
        Files of the input folder that are no images.
    reasons : tuple of (str, int)
        Why files failed, and how many, the most frequent first.
    """

    folder: Path
    private: Path
    totals: dict[str, int]
    progress: Progress
    seconds: float
    skipped: int
    reasons: tuple[tuple[str, int], ...]


@dataclass(slots=True)
class _Books:
    """Writes down what happens; each file counts once, though a shard tried again reports again."""

    ledger: Ledger
    paths: Callable[[str], Path]
    progress: Progress
    seen: set[str] = field(default_factory=set)

    def enter(self, event: Event) -> None:
        if isinstance(event, FileEvent):
            if event.source_id not in self.seen:
                self.seen.add(event.source_id)
                self.progress.add(event.result)
        elif isinstance(event, StartEvent):
            self.ledger.attempt(event.number)
        elif not isinstance(event, DeathEvent):
            self.ledger.complete(event.number, event.results)
        elif event.count:
            stamp = stamp_of(self.paths(event.source_id))
            self.ledger.died(event.source_id, stamp, event.count)
        else:
            self.ledger.forgive(event.source_id)


def privatize_dataset(
    where: Path,
    folder: Path,
    options: ReleaseOptions,
    *,
    workers: int = 1,
    engine: Engine = "local",
    scheduler: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    report: Callable[[Progress], None] | None = None,
    again: str = "",
) -> Summary:
    """Privatize every image below a folder.

    Parameters
    ----------
    where : Path
        A folder, a table with a column of paths, or one image.
    folder : Path
        The release to make.
    options : ReleaseOptions
        Everything that changes its bytes.
    workers : int
        Processes; the result does not depend on it.
    engine : {"local", "dask"}
        Processes of this machine, or a dask cluster; the result does not depend on it.
    scheduler : str, optional
        Address of dask's scheduler; without it, a cluster of so many workers on this machine.
    resume : bool
        Go on with a release that was stopped; its inputs and options must be the same.
    overwrite : bool
        Remove an earlier release of deepfixcx in that folder first.
    report : callable
        Called with the progress after each file.
    again : str
        The command line that goes on with this release, for `read_status`; kept in the private
        folder.

    Returns
    -------
    Summary
        Failed files are counted in it and listed in ``failures.csv``; they raise nothing.

    Raises
    ------
    ReleaseError
        There is no input, the folder is in use, or it cannot be written.

    Examples
    --------
    >>> from deepfixcx import CodecSpec
    >>> options = ReleaseOptions(CodecSpec(level=3, patches=4), output="codes")
    >>> summary = privatize_dataset(Path("xrays"), Path("out"), options)  # doctest: +SKIP
    """
    began = time.perf_counter()
    where, folder = where.absolute(), folder.absolute()
    if workers < 1:
        raise ReleaseError(f"workers must be at least 1, got {workers}")
    run = _engine(engine, workers, scheduler)
    keep_apart(where, folder)
    sources = find_sources(where)
    plan = make_plan(sources, options)
    private = private_folder(folder)
    refuse(folder, private, resume=resume, overwrite=overwrite)
    with alone(folder, private), Ledger(make_room(folder, private, overwrite, resume)) as ledger:
        check_identity(ledger, plan)
        ledger.note(again=again, folder=os.getcwd())
        progress = _work(plan, folder, ledger, run, report)
        totals = _finish(plan, folder, private, ledger)
        reasons = Counter(record.reason for record in ledger.records() if record.error)
    return Summary(
        folder=folder,
        private=private,
        totals=totals,
        progress=progress,
        seconds=time.perf_counter() - began,
        skipped=len(sources.skipped),
        reasons=tuple(reasons.most_common()),
    )


def _engine(
    engine: Engine, workers: int, scheduler: str | None
) -> Callable[[Iterator[ShardJob], Mapping[str, int]], Iterator[Event]]:
    """Return what works off jobs, and see now that it is there.

    Raises
    ------
    ReleaseError
        A scheduler is named and not wanted.
    MissingExtraError
        dask is not installed.
    """
    if engine == "dask":
        require("distributed", extra="dask")
        return lambda jobs, deaths: run_on_cluster(jobs, workers, deaths, scheduler)
    if scheduler is not None:
        raise ReleaseError("--scheduler is for --engine dask; add that, or leave it out")
    return lambda jobs, deaths: run_jobs(jobs, workers, deaths)


def _work(
    plan: Plan,
    folder: Path,
    ledger: Ledger,
    run: Callable[[Iterator[ShardJob], Mapping[str, int]], Iterator[Event]],
    report: Callable[[Progress], None] | None,
) -> Progress:
    standing = standing_shards(plan, folder, ledger)
    todo = [number for number in range(plan.shards) if number not in standing]
    if todo:
        withdraw_papers(folder)  # they speak of results that are about to be replaced
    jobs = (ShardJob(number, plan.shard(number), plan.options, folder) for number in todo)
    progress = Progress(
        files=len(plan.items), files_before=sum(len(plan.shard(number)) for number in standing)
    )
    books = _Books(ledger, plan.path_of, progress)
    try:
        for event in run(jobs, deaths_before(plan, ledger)):
            books.enter(event)
            if report is not None:
                report(progress)
    finally:
        remove_unfinished(folder)
    return progress


def _finish(plan: Plan, folder: Path, private: Path, ledger: Ledger) -> dict[str, int]:
    try:
        remove_strays(folder, ledger.names)
        totals = write_papers(folder, private, plan, ledger)
    except OSError as error:
        withdraw_papers(folder)  # all of them or none
        raise ReleaseStoppedError(
            f"the papers of the release cannot be written: {error.strerror}; make room or change "
            f"its permissions, then run the same command with --resume"
        ) from None
    sync_folder(folder)
    return totals
