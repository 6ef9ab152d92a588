"""Workers that die, hang on nothing, and lose nothing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from deepfixcx.errors import ReleaseStoppedError
from deepfixcx.release.workers import (
    NAME_BYTES,
    DeathEvent,
    FileEvent,
    JobEvent,
    Mark,
    StartEvent,
    Worker,
    receive,
    run_jobs,
)


@dataclass(frozen=True)
class Job:
    """Squares of its files; some kill the process that touches them."""

    number: int
    files: tuple[int, ...]
    killers: frozenset[int] = frozenset()
    stops_at: int = -1

    def work(
        self,
        started: Callable[[str], None],
        done: Callable[[str, int], None],
        quarantine: frozenset[str],
    ) -> list[int]:
        squares = []
        for file in self.files:
            started(str(file))
            if str(file) in quarantine:
                squares.append(-1)
                continue
            if file in self.killers:
                os._exit(11)
            if file == self.stops_at:
                raise ReleaseStoppedError("the disk is full")
            squares.append(file**2)
            done(str(file), file**2)
        return squares


@dataclass(frozen=True)
class Stillborn(Job):
    def __setstate__(self, state: object) -> None:
        os._exit(3)


def results(jobs: list[Job], workers: int) -> dict[int, list[int]]:
    events = list(run_jobs(jobs, workers))
    complete = [event for event in events if isinstance(event, JobEvent)]
    assert len({event.number for event in complete}) == len(complete)
    return {event.number: event.results for event in complete}


@pytest.mark.parametrize("workers", [1, 3])
def test_every_job_is_done_once(workers: int) -> None:
    jobs = [Job(number, (2 * number, 2 * number + 1)) for number in range(7)]
    assert results(jobs, workers) == {job.number: [file**2 for file in job.files] for job in jobs}


@pytest.mark.parametrize("workers", [1, 2])
def test_file_that_kills_two_workers_is_left_out_and_the_rest_is_done(workers: int) -> None:
    killers = frozenset({2, 5})
    jobs = [Job(number, tuple(range(3 * number, 3 * number + 3)), killers) for number in range(3)]
    assert results(jobs, workers) == {0: [0, 1, -1], 1: [9, 16, -1], 2: [36, 49, 64]}


def test_files_are_reported_as_they_end() -> None:
    events = list(run_jobs([Job(0, (3, 4))], 1))
    assert events == [StartEvent(0), FileEvent("3", 9), FileEvent("4", 16), JobEvent(0, [9, 16])]


def test_worker_that_cannot_write_stops_the_run() -> None:
    with pytest.raises(ReleaseStoppedError, match="disk is full"):
        list(run_jobs([Job(0, (1, 2), stops_at=2)], 1))


def test_workers_that_die_before_they_begin_stop_the_run() -> None:
    with pytest.raises(ReleaseStoppedError, match="stop at their start"):
        list(run_jobs([Stillborn(0, (1,))], 1))


@dataclass(frozen=True)
class Unfinished(Job):
    """Ends its files, and not itself."""

    def work(
        self,
        started: Callable[[str], None],
        done: Callable[[str, int], None],
        quarantine: frozenset[str],
    ) -> list[int]:
        super().work(started, done, quarantine)
        os._exit(7)


def test_workers_that_die_when_all_files_are_read_stop_the_run_and_blame_none() -> None:
    events: list[object] = []
    with pytest.raises(ReleaseStoppedError, match="after all files were read"):
        events.extend(run_jobs([Unfinished(0, (1, 2))], 1))
    assert not [event for event in events if isinstance(event, DeathEvent)]


@dataclass(frozen=True)
class FinishedTheSecondTime(Job):
    """Ends its files, but itself only where it has been tried before."""

    folder: str = ""

    def work(
        self,
        started: Callable[[str], None],
        done: Callable[[str, int], None],
        quarantine: frozenset[str],
    ) -> list[int]:
        squares = super().work(started, done, quarantine)
        with contextlib.suppress(FileExistsError):
            os.mkdir(f"{self.folder}/{self.number}")
            os._exit(7)
        return squares


def test_deaths_between_files_are_forgiven_when_a_job_is_ended(tmp_path: Path) -> None:
    jobs = [FinishedTheSecondTime(number, (number,), folder=str(tmp_path)) for number in range(4)]
    assert results(list(jobs), 1) == {number: [number**2] for number in range(4)}


def test_no_jobs_no_workers() -> None:
    assert list(run_jobs([], 4)) == []


@dataclass(frozen=True)
class Heavy(Job):
    """More bytes, on the way to the worker and back, than a pipe holds."""

    freight: bytes = b""

    def work(
        self,
        started: Callable[[str], None],
        done: Callable[[str, int], None],
        quarantine: frozenset[str],
    ) -> list[int]:
        super().work(started, done, quarantine)
        return [len(self.freight)] * len(self.freight)


@dataclass(frozen=True)
class Renamed(Job):
    """Its files have the names that are given."""

    names: tuple[str, ...] = ()

    def work(
        self,
        started: Callable[[str], None],
        done: Callable[[str, int], None],
        quarantine: frozenset[str],
    ) -> list[int]:
        return super().work(
            lambda file: started(self.names[int(file)]),
            lambda file, result: done(self.names[int(file)], result),
            frozenset(str(n) for n, name in enumerate(self.names) if name in quarantine),
        )


def test_a_worker_begins_a_job_only_when_it_has_ended_the_one_before() -> None:
    events = list(run_jobs([Job(number, (number,)) for number in range(5)], 1))
    assert events == [
        event
        for number in range(5)
        for event in (
            StartEvent(number),
            FileEvent(str(number), number**2),
            JobEvent(number, [number**2]),
        )
    ]


def test_many_files_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reported = []

    def counted(worker: Worker) -> list[FileEvent | JobEvent]:
        reported.append(receive(worker))
        return reported[-1]

    monkeypatch.setattr("deepfixcx.release.workers.receive", counted)
    files = tuple(range(20_000))
    events = list(run_jobs([Job(0, files)], 1))
    ended = [event.source_id for event in events if isinstance(event, FileEvent)]
    assert ended == [str(file) for file in files]
    assert len(reported) < len(files) / 20


def test_jobs_in_hand_do_not_block_the_pipe() -> None:
    freight = bytes(2_000_000)
    jobs = [Heavy(number, (number,), freight=freight) for number in range(6)]
    complete = [event for event in run_jobs(jobs, 1) if isinstance(event, JobEvent)]
    assert [event.number for event in complete] == list(range(6))
    assert all(event.results == [len(freight)] * len(freight) for event in complete)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_death_loses_no_job_in_hand_and_blames_one_file(workers: int) -> None:
    jobs = [Job(number, (2 * number, 2 * number + 1), frozenset({4})) for number in range(12)]
    events = list(run_jobs(jobs, workers))
    assert [event for event in events if isinstance(event, DeathEvent)] == [
        DeathEvent("4", 1),
        DeathEvent("4", 2),
    ]
    assert sorted(event.number for event in events if isinstance(event, JobEvent)) == list(
        range(12)
    )
    begun = [event.number for event in events if isinstance(event, StartEvent)]
    assert {number: begun.count(number) for number in range(12)} == {
        number: 3 if number == 2 else 1 for number in range(12)
    }


def test_a_suspect_that_is_read_is_cleared_though_the_worker_dies_right_after() -> None:
    events = run_jobs([Job(0, (1, 2, 3, 4), frozenset({4}))], 1, deaths={"3": 1})
    deaths = [event for event in events if isinstance(event, DeathEvent)]
    assert deaths == [DeathEvent("3", 0), DeathEvent("4", 1), DeathEvent("4", 2)]


@pytest.mark.parametrize("name", ["ward/\u00fc\U0001f4a9\udcff.png", "n" * NAME_BYTES])
def test_the_name_of_the_file_that_killed_is_known(name: str) -> None:
    job = Renamed(0, (0, 1, 2), frozenset({1}), names=("first", name, "last"))
    deaths = [event for event in run_jobs([job], 1) if isinstance(event, DeathEvent)]
    assert deaths == [DeathEvent(name, 1), DeathEvent(name, 2)]


def test_a_mark_is_whole_or_the_one_before() -> None:
    memory = Mark.memory()
    writer, reader = Mark(memory), Mark(memory)
    assert reader.read() is None
    for name in ("one", "a longer one", "2"):
        writer.begin(name)
        assert reader.read() == name
    flag = memory[0]
    writer.begin("killed before the last byte is written")
    memory[0] = flag
    assert reader.read() == "2"
    writer.end()
    assert reader.read() is None
    writer.begin("n" * (NAME_BYTES + 1))
    assert reader.read() is None
