"""Workers that die, hang on nothing, and lose nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from deepfixcx.errors import ReleaseStoppedError
from deepfixcx.release.workers import FileEvent, JobEvent, StartEvent, run_jobs


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


def test_files_are_told_as_they_end() -> None:
    events = list(run_jobs([Job(0, (3, 4))], 1))
    assert events == [StartEvent(0), FileEvent("3", 9), FileEvent("4", 16), JobEvent(0, [9, 16])]


def test_worker_that_cannot_write_stops_the_run() -> None:
    with pytest.raises(ReleaseStoppedError, match="disk is full"):
        list(run_jobs([Job(0, (1, 2), stops_at=2)], 1))


def test_workers_that_die_before_they_begin_stop_the_run() -> None:
    with pytest.raises(ReleaseStoppedError, match="die before they begin"):
        list(run_jobs([Stillborn(0, (1,))], 1))


def test_no_jobs_no_workers() -> None:
    assert list(run_jobs([], 4)) == []
