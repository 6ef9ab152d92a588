"""A crew of worker processes, any of which may die without taking anything with it.

When a worker dies, in a decoder say, its job is given to a new one, and a file that has killed two
workers in a row is left out from then on.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import wait

from deepfixcx.errors import ReleaseStoppedError
from deepfixcx.release.processes import (
    FileEvent,
    Job,
    JobEvent,
    Worker,
    dismiss,
    hire,
    receive,
)

__all__ = ["DeathEvent", "Event", "FileEvent", "Job", "JobEvent", "StartEvent", "run_jobs"]

DEATHS_ALLOWED = 2
"""A file that has killed so many workers is quarantined."""

IDLE_DEATHS_ALLOWED = 3
"""So many workers dying in a row before they begin any file means that none will ever start."""


@dataclass(frozen=True, slots=True)
class StartEvent:
    """A worker is given a job, for the first time or again."""

    number: int


@dataclass(frozen=True, slots=True)
class DeathEvent:
    """A worker died on a file: how many have by now; 0 for a file that was read after all."""

    source_id: str
    count: int


Event = StartEvent | FileEvent | DeathEvent | JobEvent


@dataclass(slots=True)
class _Deaths:
    """Who died of what."""

    of_file: dict[str, int] = field(default_factory=dict)
    idle: int = 0

    def record(self, at: str | None) -> DeathEvent | None:
        if at is not None:
            self.of_file[at] = self.of_file.get(at, 0) + 1
            return DeathEvent(at, self.of_file[at])
        self.idle += 1
        if self.idle >= IDLE_DEATHS_ALLOWED:
            raise ReleaseStoppedError(
                "worker processes die before they begin: is there enough memory? "
                "Try fewer with --workers, then --resume"
            )
        return None

    def acquit(self, name: str) -> DeathEvent | None:
        """Take back what a file was blamed for, for it was read to its end."""
        self.idle = 0
        if 0 < self.of_file.get(name, 0) < DEATHS_ALLOWED:
            del self.of_file[name]
            return DeathEvent(name, 0)
        return None

    def quarantine(self) -> frozenset[str]:
        return frozenset(name for name, deaths in self.of_file.items() if deaths >= DEATHS_ALLOWED)


def run_jobs(
    jobs: Iterable[Job], workers: int, deaths: Mapping[str, int] | None = None
) -> Iterator[Event]:
    """Work off jobs in processes, yielding what happens as it happens.

    Parameters
    ----------
    jobs : iterable of Job
        Taken in order.
    workers : int
        Processes at a time.
    deaths : mapping of str to int, optional
        Workers that files have killed in earlier runs.

    Yields
    ------
    StartEvent, FileEvent, DeathEvent or JobEvent
        In the order in which they happen, which is not that of the jobs.

    Raises
    ------
    ReleaseStoppedError
        A worker could not write its results, or workers cannot be started.
    """
    waiting = deque(jobs)
    blamed = _Deaths(dict(deaths or {}))
    crew = [hire() for _ in range(min(workers, len(waiting)))]
    try:
        for worker in crew:
            yield from _assign(worker, waiting, blamed)
        while busy := [worker for worker in crew if worker.job is not None]:
            ready = wait([worker.pipe for worker in busy])
            for worker in [worker for worker in busy if worker.pipe in ready]:
                try:
                    event = receive(worker)
                except (EOFError, ConnectionError):
                    yield from _some(blamed.record(worker.at))
                    if worker.job is not None:
                        waiting.appendleft(worker.job)
                    dismiss(worker)
                    crew[crew.index(worker)] = replacement = hire()
                    yield from _assign(replacement, waiting, blamed)
                    continue
                yield from _some(event)
                if isinstance(event, FileEvent):
                    yield from _some(blamed.acquit(event.source_id))
                if worker.job is None:
                    yield from _assign(worker, waiting, blamed)
    finally:
        for worker in crew:
            dismiss(worker)


def _some(event: Event | None) -> Iterator[Event]:
    if event is not None:
        yield event


def _assign(worker: Worker, waiting: deque[Job], blamed: _Deaths) -> Iterator[StartEvent]:
    if not waiting:
        return
    worker.job = waiting.popleft()
    worker.at = None
    yield StartEvent(worker.job.number)
    with contextlib.suppress(BrokenPipeError):  # it died already: its pipe will say so
        worker.pipe.send((worker.job, blamed.quarantine()))
