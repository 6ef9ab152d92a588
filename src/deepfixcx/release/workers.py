"""A crew of worker processes, any of which may die without taking anything with it.

When a worker dies, in a decoder say, its job is given to a new one, and a file that has killed two
workers in a row is left out from then on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import Connection, wait

from deepfixcx.errors import ReleaseStoppedError
from deepfixcx.release.processes import (
    FileEvent,
    Job,
    JobEvent,
    Worker,
    assign,
    dismiss,
    hire,
    receive,
)

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

DEATHS_ALLOWED = 2
"""A file that has killed so many workers is quarantined."""

IDLE_DEATHS_ALLOWED = 3
"""So many workers dying between files, and no job ended meanwhile, means that none will ever be."""

JOBS_IN_HAND = 2
"""So many jobs a worker has as long as there are plenty: one worked, one waiting, so that it need
not wait itself while this process writes down what became of the last one."""


@dataclass(frozen=True, slots=True)
class StartEvent:
    """A worker begins a job, for the first time or again."""

    number: int


@dataclass(frozen=True, slots=True)
class DeathEvent:
    """A worker died on a file: how many have by now; 0 for a file that was read after all."""

    source_id: str
    count: int


Event = StartEvent | FileEvent | DeathEvent | JobEvent


class Waiting:
    """Jobs that wait; each is made when it is needed, for the files of all would fill memory."""

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

    def again(self, jobs: Sequence[Job]) -> None:
        """Put jobs back before all others, in their order."""
        self._made.extendleft(reversed(jobs))


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
                "worker processes stop at their start or after all files were read, probably "
                "for lack of memory; use fewer --workers, then --resume. In a Python script, "
                "call privatize_dataset below if __name__ == '__main__':"
            )
        return None

    def acquit(self, name: str) -> DeathEvent | None:
        """Take back what a file was blamed for, for it was read to its end."""
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
    """Work off jobs in processes, yielding what happens as it happens."""
    waiting = Waiting(jobs)
    blamed = _Deaths(dict(deaths or {}))
    crew = [hire() for _ in range(waiting.count(workers))]
    try:
        yield from _supply(crew, waiting, blamed)
        while busy := [worker for worker in crew if worker.jobs]:
            ready = wait([*(worker.pipe for worker in busy), *filter(None, [stop])])
            if stop in ready:
                raise ReleaseStoppedError("the run was stopped; continue with --resume")
            for worker in [worker for worker in busy if worker.pipe in ready]:
                try:
                    events = receive(worker)
                except (EOFError, ConnectionError):
                    yield from _some(blamed.record(worker.mark.read()))
                    waiting.again(worker.jobs)
                    dismiss(worker)
                    crew[crew.index(worker)] = hire()
                    events = []
                begun = [*_begun(worker, events), *_supply(crew, waiting, blamed)]
                for event in events:
                    yield event
                    if isinstance(event, FileEvent):
                        yield from _some(blamed.acquit(event.source_id))
                    else:
                        blamed.idle = 0
                yield from begun
    finally:
        for worker in crew:
            dismiss(worker)


def _some(event: Event | None) -> Iterator[Event]:
    if event is not None:
        yield event


def _begun(worker: Worker, events: Sequence[Event]) -> Iterator[StartEvent]:
    """Tell of the job in hand that a worker begins when it has ended one."""
    if worker.jobs and any(isinstance(event, JobEvent) for event in events):
        yield StartEvent(worker.jobs[0].number)


def _supply(crew: list[Worker], waiting: Waiting, blamed: _Deaths) -> list[StartEvent]:
    """Give workers jobs, those first that have none; tell of the jobs that begin at once."""
    begun = []
    for worker in crew:
        if not worker.jobs and waiting.count(1):
            assign(worker, waiting.take(), blamed.quarantine(), blamed.suspects())
            begun.append(StartEvent(worker.jobs[0].number))
    for worker in crew:
        # The last jobs go to the first free worker.
        if len(worker.jobs) < JOBS_IN_HAND and waiting.count(len(crew) + 1) > len(crew):
            assign(worker, waiting.take(), blamed.quarantine(), blamed.suspects())
    return begun
