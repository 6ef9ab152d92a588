"""Run a release from the plan to the papers, or go on with one that was stopped."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deepfixcx.errors import ReleaseError
from deepfixcx.release.inputs import find_sources
from deepfixcx.release.ledger import Ledger
from deepfixcx.release.manifest import write_papers
from deepfixcx.release.plan import Plan, ReleaseOptions, make_plan
from deepfixcx.release.shard import FileDone, ShardJob
from deepfixcx.release.workers import FileEvent, run_jobs

__all__ = ["Progress", "Summary", "private_folder", "privatize_dataset"]

LEDGER = "ledger.sqlite"
OWN_FILES = ("manifest.csv", "failures.csv", "dataset.json")
OWN_FOLDERS = ("images", "codes")


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
class _Counted:
    """Counts each file once, though the files of a shard tried again report again."""

    progress: Progress
    seen: set[str] = field(default_factory=set)

    def file(self, event: FileEvent) -> None:
        if event.source_id not in self.seen:
            self.seen.add(event.source_id)
            self.progress.add(event.result)


def private_folder(folder: Path) -> Path:
    """Return the folder beside a release that must not be shared.

    Examples
    --------
    >>> private_folder(Path("shared/xrays")).name
    'xrays.private'
    """
    return folder.with_name(folder.name + ".private")


def privatize_dataset(
    where: Path,
    folder: Path,
    options: ReleaseOptions,
    *,
    workers: int = 1,
    resume: bool = False,
    overwrite: bool = False,
    report: Callable[[Progress], None] | None = None,
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
    resume : bool
        Go on with a release that was stopped; its inputs and options must be the same.
    overwrite : bool
        Remove an earlier release of deepfixcx in that folder first.
    report : callable
        Called with the progress after each file.

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
    _keep_apart(where, folder)
    sources = find_sources(where)
    plan = make_plan(sources, options)
    private = private_folder(folder)
    _refuse(folder, private, resume=resume, overwrite=overwrite)
    with _alone(folder, private), Ledger(_make_room(folder, private, overwrite, resume)) as ledger:
        _check_identity(ledger, plan)
        progress = _work(plan, folder, ledger, workers, report)
        totals = write_papers(folder, private, plan, ledger)
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


def _work(
    plan: Plan,
    folder: Path,
    ledger: Ledger,
    workers: int,
    report: Callable[[Progress], None] | None,
) -> Progress:
    complete = {number for number in ledger.complete_shards() if _on_disk(number, folder, ledger)}
    todo = [number for number in range(plan.shards) if number not in complete]
    jobs = (ShardJob(number, plan.shard(number), plan.options, folder) for number in todo)
    progress = Progress(
        files=len(plan.items), files_before=sum(len(plan.shard(number)) for number in complete)
    )
    counted = _Counted(progress)
    try:
        for event in run_jobs(jobs, workers):
            if isinstance(event, FileEvent):
                counted.file(event)
            else:
                ledger.complete(event.number, event.results)
            if report is not None:
                report(progress)
    finally:
        _remove_unfinished(folder)
    return progress


def _on_disk(shard: int, folder: Path, ledger: Ledger) -> bool:
    """Return whether the results of a shard are still there; a shard that lost some is reopened."""
    for record in list(ledger.records(shard)):
        for name in (record.image_file, record.code_file):
            if name and not (folder / name).is_file():
                ledger.reopen(shard)
                return False
    return True


def _keep_apart(where: Path, folder: Path) -> None:
    """Refuse a release folder that would mix with its own input."""
    source = where.resolve() if where.is_dir() else where.resolve().parent
    target = folder.resolve()
    inside = where.is_dir() and target.is_relative_to(source)
    if target == source or inside or source.is_relative_to(target):
        raise ReleaseError(
            f"the release {str(folder)!r} and its input {str(where)!r} lie within each other; "
            f"choose an output folder outside the input"
        )


def _refuse(folder: Path, private: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse a folder that holds something else than what the caller expects, touching nothing."""
    if resume and overwrite:
        raise ReleaseError("either --resume or --overwrite, not both")
    if folder.exists() and not folder.is_dir():
        raise ReleaseError(f"{str(folder)!r} is a file; choose another folder for the release")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not resume and not overwrite:
        raise ReleaseError(
            f"{str(folder)!r} already holds something; go on with --resume, start again with "
            f"--overwrite, or choose another folder"
        )
    if not (private / LEDGER).is_file():
        raise ReleaseError(
            f"{str(folder)!r} was not made by deepfixcx, or {private.name!r} with its ledger is "
            f"no longer beside it, so it is left alone; choose another folder"
        )


@contextmanager
def _alone(folder: Path, private: Path) -> Iterator[None]:
    """Hold the release, so that no other process writes it; a process that dies lets go."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        private.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(private / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ReleaseError(
            f"{str(folder)!r} cannot be written: {error.strerror}; choose another folder"
        ) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ReleaseError(
                f"another process is writing {str(folder)!r} right now; wait for it or stop it"
            ) from None
        yield
    finally:
        os.close(lock)


def _make_room(folder: Path, private: Path, overwrite: bool, resume: bool) -> Path:
    """Remove what must not stay of earlier runs, and return where the ledger goes."""
    if overwrite:  # other files that lie in the folder stay
        for name in OWN_FILES:
            (folder / name).unlink(missing_ok=True)
        for name in OWN_FOLDERS:
            shutil.rmtree(folder / name, ignore_errors=True)
    if not resume:
        (private / LEDGER).unlink(missing_ok=True)
    _remove_unfinished(folder)
    return private / LEDGER


def _check_identity(ledger: Ledger, plan: Plan) -> None:
    before, now = ledger.identity(), plan.identity()
    if not before:
        ledger.begin(now)
        return
    if differing := [name for name, value in now.items() if before.get(name) != value]:
        raise ReleaseError(
            f"this release was begun with other {' and '.join(differing)}; --resume goes on only "
            f"with the same inputs and options, --overwrite starts again"
        )


def _remove_unfinished(folder: Path) -> None:
    for leftover in folder.rglob(".*.tmp"):
        leftover.unlink(missing_ok=True)
