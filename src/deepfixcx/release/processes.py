"""One worker process: its start, its messages and its end.

It receives jobs through its own pipe. Which file it is at it writes into memory that it shares with
its parent, so that the file is known which it died on; which files it has ended it tells many at a
time, because a message costs both sides as much as a small image. It ends with its parent, even if
that is killed.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from typing import Any, Protocol

from deepfixcx._kernels.threads import ENVIRONMENT_VARIABLE
from deepfixcx.errors import ReleaseStoppedError

__all__ = ["FileEvent", "Job", "JobEvent", "Worker", "assign", "dismiss", "hire", "receive"]

REPORT_SECONDS = 0.05
"""A worker tells of the files that it has ended this often."""

NAME_BYTES = 1 << 14
"""Room for the id of a file; what has a longer one has no name that a file can have."""


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
        """Work off every file, telling its id before and its result after."""


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


class Mark:
    """The file that a worker is at, in memory that its parent reads once it is dead."""

    def __init__(self, memory: Any) -> None:
        self._memory = memory

    @staticmethod
    def memory() -> Any:
        """Return memory for a mark that another process can share."""
        return multiprocessing.get_context("spawn").RawArray("c", 1 + 2 * (2 + NAME_BYTES))

    def begin(self, name: str) -> None:
        """Write down the file that is begun."""
        content = name.encode("utf-8", "surrogatepass")
        if len(content) > NAME_BYTES:
            self.end()
            return
        place = b"\x02" if self._memory[0] == b"\x01" else b"\x01"
        at = _place(place)
        self._memory[at : at + 2] = len(content).to_bytes(2, "little")
        self._memory[at + 2 : at + 2 + len(content)] = content
        self._memory[0] = place

    def end(self) -> None:
        """Write down that no file is begun."""
        self._memory[0] = b"\x00"

    def read(self) -> str | None:
        """Return the file that was begun and not ended."""
        place = self._memory[0]
        if place == b"\x00":
            return None
        at = _place(place)
        length = int.from_bytes(self._memory[at : at + 2], "little")
        name: bytes = self._memory[at + 2 : at + 2 + length]
        return name.decode("utf-8", "surrogatepass")


def _place(number: bytes) -> int:
    return 1 + (number[0] - 1) * (2 + NAME_BYTES)


@dataclass(eq=False, slots=True)
class Worker:
    """A worker process, the file it is at, and its jobs: the first is worked, others wait."""

    process: Any
    pipe: Connection
    mark: Mark
    jobs: deque[Job] = field(default_factory=deque)


def hire() -> Worker:
    """Start a worker process."""
    # Spawned, not forked: threads and decoder state of this process are not inherited.
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    try:
        memory = Mark.memory()
        process = context.Process(target=_worker_main, args=(there, memory), daemon=True)
        with _without_interrupts():
            process.start()
    except OSError as error:  # no memory, no room for temporary files, too many open files
        here.close()
        raise ReleaseStoppedError(
            f"a worker process cannot be started: {error.strerror}; use fewer --workers, or free "
            "memory and disk space, then run the same command with --resume"
        ) from None
    finally:
        there.close()
    return Worker(process, here, Mark(memory))


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Start processes that ignore Ctrl-C, which the terminal sends to workers too."""
    resource_tracker.ensure_running()  # on its start it unblocks the signal again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def assign(worker: Worker, job: Job, quarantine: frozenset[str], suspects: frozenset[str]) -> None:
    """Give a worker a job, which it begins after those that it has."""
    worker.jobs.append(job)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        worker.pipe.send((job, quarantine, suspects))


def receive(worker: Worker) -> list[FileEvent | JobEvent]:
    """Take what a worker tells."""
    ended, job, refusal = worker.pipe.recv()
    if refusal is not None:
        raise ReleaseStoppedError(refusal)
    events: list[FileEvent | JobEvent] = [FileEvent(*each) for each in ended]
    if job is not None:
        worker.jobs.popleft()
        events.append(JobEvent(*job))
    return events


def dismiss(worker: Worker) -> None:
    """End a worker process, whatever it is doing."""
    worker.pipe.close()
    worker.process.terminate()
    worker.process.join()


def _worker_main(pipe: Connection, memory: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    orders: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, orders), daemon=True).start()
    os.environ[ENVIRONMENT_VARIABLE] = "1"  # one thread each: the processes share the cores
    _silence()
    from deepfixcx.images.reading import QUIET

    mark = Mark(memory)
    with QUIET, contextlib.suppress(ConnectionError):  # once for all files
        while True:
            job, quarantine, suspects = orders.get()
            diary = _Diary(pipe, mark, suspects)
            try:
                results = job.work(mark.begin, diary.ended, quarantine)
            except ReleaseStoppedError as error:
                diary.tell()
                pipe.send(([], None, str(error)))
            else:
                diary.tell((job.number, results))


class _Diary:
    """Files that a worker has finished and not reported yet."""

    def __init__(self, pipe: Connection, mark: Mark, suspects: frozenset[str]) -> None:
        self._pipe, self._mark, self._suspects = pipe, mark, suspects
        self._ended: list[tuple[str, Any]] = []
        self._reported = -REPORT_SECONDS  # the first file of a job is reported at once

    def ended(self, name: str, result: Any) -> None:
        """Write down a file, and tell of it if it is time."""
        self._mark.end()
        self._ended.append((name, result))
        if name in self._suspects or time.monotonic() - self._reported >= REPORT_SECONDS:
            self.tell()

    def tell(self, job: tuple[int, Any] | None = None) -> None:
        """Tell of all files, and of the job if that is ended too."""
        self._pipe.send((self._ended, job, None))
        self._ended = []
        self._reported = time.monotonic()


def _listen(pipe: Connection, orders: SimpleQueue[Any]) -> None:
    """Take orders while others are worked; end this process when its parent is gone."""
    parent = multiprocessing.parent_process()
    gone = [parent.sentinel] if parent is not None else []
    try:
        while pipe in wait([pipe, *gone]):
            orders.put(pipe.recv())
    finally:
        os._exit(1)


def _silence() -> None:
    """Close the terminal to decoders: what they print may quote a file's header."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
