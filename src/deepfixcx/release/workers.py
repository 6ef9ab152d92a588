"""Worker processes that may die without taking anything with them.

Each worker is told one job at a time through its own pipe and says which file it begins. When it
dies, in a decoder say, the file it was at is known: the job is given to a new worker, and a file
that has killed two workers is left out from then on.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from deepfixcx._kernels.threads import ENVIRONMENT_VARIABLE
from deepfixcx.errors import ReleaseStoppedError

__all__ = ["FileEvent", "Job", "JobEvent", "run_jobs"]

DEATHS_ALLOWED = 2
"""A file that has killed so many workers is quarantined."""

IDLE_DEATHS_ALLOWED = 3
"""So many workers dying before they begin any file means that none will ever start."""


class Job(Protocol):
    """A run of files for one worker. It travels to another process, so it must be picklable."""

    @property
    def number(self) -> int:
        """Number of the job."""

    def work(
        self,
        started: Callable[[str], None],
        done: Callable[[str, Any], None],
        quarantine: frozenset[str],
    ) -> list[Any]:
        """Work off every file, telling its id before and its result after.

        Files in `quarantine` must not be touched. What is returned reaches the parent once.
        """


@dataclass(frozen=True, slots=True)
class FileEvent:
    """A worker has ended one file; a job that is tried again reports its files again."""

    source_id: str
    result: Any


@dataclass(frozen=True, slots=True)
class JobEvent:
    """A job is complete."""

    number: int
    results: list[Any]


@dataclass(slots=True)
class _Worker:
    process: Any
    pipe: Connection
    job: Job | None = None
    at: str | None = None


@dataclass(slots=True)
class _Deaths:
    """Who died of what."""

    of_file: dict[str, int] = field(default_factory=dict)
    idle: int = 0

    def record(self, worker: _Worker) -> None:
        if worker.at is None:
            self.idle += 1
            if self.idle >= IDLE_DEATHS_ALLOWED:
                raise ReleaseStoppedError(
                    "worker processes die before they begin: is there enough memory? "
                    "Try fewer with --workers, then --resume"
                )
        else:
            self.of_file[worker.at] = self.of_file.get(worker.at, 0) + 1

    def quarantine(self) -> frozenset[str]:
        return frozenset(name for name, deaths in self.of_file.items() if deaths >= DEATHS_ALLOWED)


def run_jobs(jobs: Iterable[Job], workers: int) -> Iterator[FileEvent | JobEvent]:
    """Work off jobs in processes, yielding what happens as it happens.

    Parameters
    ----------
    jobs : iterable of Job
        Taken in order.
    workers : int
        Processes at a time.

    Yields
    ------
    FileEvent or JobEvent
        In the order of completion, which is not that of the jobs.

    Raises
    ------
    ReleaseStoppedError
        A worker could not write its results, or workers cannot be started.
    """
    waiting = deque(jobs)
    deaths = _Deaths()
    crew = [_hire() for _ in range(min(workers, len(waiting)))]
    try:
        for worker in crew:
            _assign(worker, waiting, deaths)
        while busy := [worker for worker in crew if worker.job is not None]:
            ready = wait([worker.pipe for worker in busy])
            for worker in [worker for worker in busy if worker.pipe in ready]:
                try:
                    event = _receive(worker)
                except (EOFError, ConnectionError):
                    deaths.record(worker)
                    if worker.job is not None:
                        waiting.appendleft(worker.job)
                    _dismiss(worker)
                    crew[crew.index(worker)] = replacement = _hire()
                    _assign(replacement, waiting, deaths)
                    continue
                if event is not None:
                    yield event
                if worker.job is None:
                    _assign(worker, waiting, deaths)
    finally:
        for worker in crew:
            _dismiss(worker)


def _hire() -> _Worker:
    # Spawned, not forked: threads and decoder state of this process are not inherited.
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_worker_main, args=(there,), daemon=True)
    with _ignoring_interrupts():
        process.start()
    there.close()
    return _Worker(process, here)


@contextlib.contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """Let a process be born deaf to Ctrl-C, which the terminal sends to workers too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _assign(worker: _Worker, waiting: deque[Job], deaths: _Deaths) -> None:
    if not waiting:
        return
    worker.job = waiting.popleft()
    worker.at = None
    with contextlib.suppress(BrokenPipeError):  # it died already: its pipe will say so
        worker.pipe.send((worker.job, deaths.quarantine()))


def _receive(worker: _Worker) -> FileEvent | JobEvent | None:
    kind, value = worker.pipe.recv()
    if kind == "abort":
        raise ReleaseStoppedError(value)
    if kind == "started":
        worker.at = value
        return None
    if kind == "file":
        return FileEvent(*value)
    worker.job = None
    worker.at = None
    return JobEvent(*value)


def _dismiss(worker: _Worker) -> None:
    worker.pipe.close()
    worker.process.terminate()
    worker.process.join()


def _worker_main(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    os.environ[ENVIRONMENT_VARIABLE] = "1"  # one thread each: the processes share the cores
    _silence()
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            job, quarantine = pipe.recv()
            try:
                results = job.work(
                    lambda name: pipe.send(("started", name)),
                    lambda name, result: pipe.send(("file", (name, result))),
                    quarantine,
                )
            except ReleaseStoppedError as error:
                pipe.send(("abort", str(error)))
            else:
                pipe.send(("job", (job.number, results)))


def _silence() -> None:
    """Close the terminal to decoders: what they print may quote a file's header."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
