"""One worker process: how it is born, what it is told and tells, and how it ends.

It is told one job at a time through its own pipe and says which file it begins, so that the file
is known which it died on. It ends with its parent, even if that is killed.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from deepfixcx._kernels.threads import ENVIRONMENT_VARIABLE
from deepfixcx.errors import ReleaseStoppedError

__all__ = ["FileEvent", "Job", "JobEvent", "Worker", "dismiss", "hire", "receive"]


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
    ) -> Any:
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
    results: Any


@dataclass(slots=True)
class Worker:
    """A worker process, the job it has and the file it is at."""

    process: Any
    pipe: Connection
    job: Job | None = None
    at: str | None = None


def hire() -> Worker:
    """Start a worker process."""
    # Spawned, not forked: threads and decoder state of this process are not inherited.
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_worker_main, args=(there,), daemon=True)
    with _ignoring_interrupts():
        process.start()
    there.close()
    return Worker(process, here)


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


def receive(worker: Worker) -> FileEvent | JobEvent | None:
    """Take what a worker tells, None where nobody else need know.

    Raises
    ------
    EOFError, ConnectionError
        It died.
    ReleaseStoppedError
        It could not write its results.
    """
    kind, value = worker.pipe.recv()
    if kind == "abort":
        raise ReleaseStoppedError(value)
    if kind == "started":
        worker.at = value
        return None
    worker.at = None
    if kind == "file":
        return FileEvent(*value)
    worker.job = None
    return JobEvent(*value)


def dismiss(worker: Worker) -> None:
    """End a worker process, whatever it is doing."""
    worker.pipe.close()
    worker.process.terminate()
    worker.process.join()


def _worker_main(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    threading.Thread(target=_end_with_parent, daemon=True).start()
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


def _end_with_parent() -> None:
    """End this process when its parent is gone, so that no orphan writes into a later run."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _silence() -> None:
    """Close the terminal to decoders: what they print may quote a file's header."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
