"""A pool of worker processes; a crash of one does not affect the others.

When a worker dies, in a decoder say, a new worker gets its job, and a file on which two workers
died in a row is left out from then on. A worker writes the name of its current file into memory
that it shares with its parent, so that the parent knows the file on which it died. Finished files
are reported in batches, because a message costs both sides as much as a small image. A worker ends
with its parent, even if the parent is killed.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from typing import Any, Protocol

from deepfixcx.errors import ReleaseStoppedError
from deepfixcx.io.processes import follow_parent

__all__ = [
    "DeathEvent",
    "Event",
    "FileEvent",
    "Job",
    "JobEvent",
    "StartEvent",
    "Waiting",
    "run_jobs",
]

REPORT_SECONDS = 0.05
"""Seconds between two reports of a worker on finished files."""

NAME_BYTES = 1 << 14
"""Largest length of the ID of a file; no file name is longer."""


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
        """Process every file; report its ID before and its result after."""


@dataclass(frozen=True, slots=True)
class FileEvent:
    """A worker has finished one file; a job that is tried again reports its files again."""

    source_id: str
    result: Any


@dataclass(frozen=True, slots=True)
class JobEvent:
    """A job is complete."""

    number: int
    results: Any


class Mark:
    """The current file of a worker, in memory that its parent reads after the worker died."""

    def __init__(self, memory: Any) -> None:
        self._memory = memory

    @staticmethod
    def memory() -> Any:
        """Return memory for a mark that another process can share."""
        return multiprocessing.get_context("spawn").RawArray("c", 1 + 2 * (2 + NAME_BYTES))

    def begin(self, name: str) -> None:
        """Record the file that is begun."""
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
        """Record that no file is begun."""
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
    """A worker process, its current file, and its jobs: the first is processed, others wait."""

    process: Any
    pipe: Connection
    mark: Mark
    jobs: deque[Job] = field(default_factory=deque)


def start_worker() -> Worker:
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
    """Give a worker a job, which it begins after its other jobs."""
    worker.jobs.append(job)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        worker.pipe.send((job, quarantine, suspects))


def receive(worker: Worker) -> list[FileEvent | JobEvent]:
    """Receive one message of a worker."""
    ended, job, refusal = worker.pipe.recv()
    if refusal is not None:
        raise ReleaseStoppedError(refusal)
    events: list[FileEvent | JobEvent] = [FileEvent(*each) for each in ended]
    if job is not None:
        worker.jobs.popleft()
        events.append(JobEvent(*job))
    return events


def stop_worker(worker: Worker) -> None:
    """Stop a worker process at once."""
    worker.pipe.close()
    worker.process.terminate()
    worker.process.join()


def _worker_main(pipe: Connection, memory: Any) -> None:
    follow_parent()
    orders: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, orders), daemon=True).start()
    from deepfixcx._kernels.threads import ENVIRONMENT_VARIABLE

    os.environ[ENVIRONMENT_VARIABLE] = "1"  # one thread each: the processes share the cores
    _silence()
    from deepfixcx.images.reading import QUIET

    mark = Mark(memory)
    with QUIET, contextlib.suppress(ConnectionError):  # once for all files
        while True:
            job, quarantine, suspects = orders.get()
            log = _WorkerLog(pipe, mark, suspects)
            try:
                results = job.work(mark.begin, log.finished, quarantine)
            except ReleaseStoppedError as error:
                log.send()
                pipe.send(([], None, str(error)))
            else:
                log.send((job.number, results))


class _WorkerLog:
    """Log of the files that a worker has finished and not reported yet."""

    def __init__(self, pipe: Connection, mark: Mark, suspects: frozenset[str]) -> None:
        self._pipe, self._mark, self._suspects = pipe, mark, suspects
        self._ended: list[tuple[str, Any]] = []
        self._reported = -REPORT_SECONDS  # the first file of a job is reported at once

    def finished(self, name: str, result: Any) -> None:
        """Add a file, and send the log if it is time."""
        self._mark.end()
        self._ended.append((name, result))
        if name in self._suspects or time.monotonic() - self._reported >= REPORT_SECONDS:
            self.send()

    def send(self, job: tuple[int, Any] | None = None) -> None:
        """Send all files, and the results of the job if it is complete."""
        self._pipe.send((self._ended, job, None))
        self._ended = []
        self._reported = time.monotonic()


def _listen(pipe: Connection, orders: SimpleQueue[Any]) -> None:
    """Receive jobs while others are processed; end this process without its parent."""
    try:
        while True:
            orders.put(pipe.recv())
    finally:
        os._exit(1)


def _silence() -> None:
    """Close the terminal to decoders: what they print may quote a file's header."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)


# -- the pool ---------------------------------------------------------------------------------

DEATHS_ALLOWED = 2
"""Deaths of workers on one file after which it is quarantined."""

IDLE_DEATHS_ALLOWED = 3
"""Deaths of workers between files, without a job ended meanwhile, after which the run stops."""

JOBS_IN_HAND = 2
"""Jobs of a worker while many are left: one is processed, one waits, so that the worker does not
wait while this process records the results of the last one."""


@dataclass(frozen=True, slots=True)
class StartEvent:
    """A worker begins a job, for the first time or again."""

    number: int


@dataclass(frozen=True, slots=True)
class DeathEvent:
    """A worker died on a file: number of deaths so far; 0 for a file that was read after all."""

    source_id: str
    count: int


Event = StartEvent | FileEvent | DeathEvent | JobEvent


class Waiting:
    """Jobs that wait; each is made when needed, because the files of all would fill memory."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._to_make = iter(jobs)
        self._made: deque[Job] = deque()

    def count(self, most: int) -> int:
        """Return how many jobs wait, but not more than `most`."""
        self._made.extend(islice(self._to_make, max(0, most - len(self._made))))
        return min(most, len(self._made))

    def take(self) -> Job:
        """Take the first job, where `count` says that there is one."""
        return self._made.popleft()

    def supply(self, pool: list[Worker], blamed: _Deaths) -> list[StartEvent]:
        """Give workers jobs, those first that have none; return the jobs that begin at once."""
        begun, orders = [], (blamed.quarantine(), blamed.suspects())
        self._made.extend(islice(self._to_make, max(0, 2 * len(pool) + 1 - len(self._made))))
        for worker in pool:
            if not worker.jobs and self._made:
                assign(worker, self._made.popleft(), *orders)
                begun.append(StartEvent(worker.jobs[0].number))
        for worker in pool:
            # The last jobs go to the first free worker.
            if len(worker.jobs) < JOBS_IN_HAND and len(self._made) > len(pool):
                assign(worker, self._made.popleft(), *orders)
                self._made.extend(islice(self._to_make, 1))
        return begun

    def again(self, jobs: Sequence[Job]) -> None:
        """Put jobs back before all others, in their order."""
        self._made.extendleft(reversed(jobs))


@dataclass(slots=True)
class _Deaths:
    """Number of deaths of workers by file."""

    of_file: dict[str, int] = field(default_factory=dict)
    idle: int = 0

    def record(self, at: str | None) -> DeathEvent | None:
        if at is not None:
            self.of_file[at] = self.of_file.get(at, 0) + 1
            return DeathEvent(at, self.of_file[at])
        self.idle += 1
        if self.idle >= IDLE_DEATHS_ALLOWED:
            raise ReleaseStoppedError(
                "worker processes stop at their start or after all files were read, probably "
                "for lack of memory; use fewer --workers, then --resume. In a Python script, "
                "call privatize_dataset below if __name__ == '__main__':"
            )
        return None

    def acquit(self, name: str) -> DeathEvent | None:
        """Reset the deaths of a file, because it was read to its end."""
        if 0 < self.of_file.get(name, 0) < DEATHS_ALLOWED:
            del self.of_file[name]
            return DeathEvent(name, 0)
        return None

    def quarantine(self) -> frozenset[str]:
        return frozenset(name for name, deaths in self.of_file.items() if deaths >= DEATHS_ALLOWED)

    def suspects(self) -> frozenset[str]:
        return frozenset(self.of_file) - self.quarantine()


def run_jobs(
    jobs: Iterable[Job],
    workers: int,
    deaths: Mapping[str, int] | None = None,
    stop: Connection | None = None,
) -> Iterator[Event]:
    """Process jobs in worker processes; yield events as they happen."""
    waiting = Waiting(jobs)
    blamed = _Deaths(dict(deaths or {}))
    pool = [start_worker() for _ in range(waiting.count(workers))]
    try:
        yield from waiting.supply(pool, blamed)
        while busy := [worker for worker in pool if worker.jobs]:
            ready = wait([*(worker.pipe for worker in busy), *filter(None, [stop])])
            if stop in ready:
                raise ReleaseStoppedError("the run was stopped; continue with --resume")
            for worker in [worker for worker in busy if worker.pipe in ready]:
                try:
                    events = receive(worker)
                except (EOFError, ConnectionError):
                    yield from filter(None, [blamed.record(worker.mark.read())])
                    waiting.again(worker.jobs)
                    stop_worker(worker)
                    pool[pool.index(worker)] = start_worker()
                    events = []
                begun = [*_begun(worker, events), *waiting.supply(pool, blamed)]
                for event in events:
                    yield event
                    if isinstance(event, FileEvent):
                        yield from filter(None, [blamed.acquit(event.source_id)])
                    else:
                        blamed.idle = 0
                yield from begun
    finally:
        for worker in pool:
            stop_worker(worker)


def _begun(worker: Worker, events: Sequence[Event]) -> Iterator[StartEvent]:
    """Yield the job that a worker begins after it has ended one."""
    if worker.jobs and any(isinstance(event, JobEvent) for event in events):
        yield StartEvent(worker.jobs[0].number)
