"""Who works off the shards: processes of this machine, a dask cluster, or this process itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from deepfixcx._optional import require
from deepfixcx.choices import Engine
from deepfixcx.errors import ReleaseError
from deepfixcx.release.cluster import check_scheduler, run_on_cluster
from deepfixcx.release.urls import Location, in_memory
from deepfixcx.release.workers import (
    DEATHS_ALLOWED,
    Event,
    FileEvent,
    Job,
    JobEvent,
    StartEvent,
    run_jobs,
)

__all__ = ["Run", "choose_run"]

Run = Callable[[Iterable[Job], Mapping[str, int]], Iterator[Event]]
"""Works off jobs, knowing how many workers each file has killed before."""


def choose_run(
    *places: Location,
    workers: int,
    engine: Engine = "local",
    scheduler: str | None = None,
    insecure_scheduler: bool = False,
) -> Run:
    """Return what works off jobs on these places, and see now that it is there."""
    if workers < 1:
        raise ReleaseError(f"workers must be at least 1, got {workers}")
    if engine == "dask":
        if any(map(in_memory, places)):
            raise ReleaseError(
                "memory:// is seen by this process alone, not by a cluster; leave --engine dask "
                "out, or choose another store"
            )
        require("distributed", extra="dask")
        if scheduler is not None:
            check_scheduler(scheduler, insecure=insecure_scheduler)
        elif insecure_scheduler:
            raise ReleaseError("--insecure-scheduler is for --scheduler; add that, or leave it out")
        return lambda jobs, deaths: run_on_cluster(jobs, workers, deaths, scheduler)
    if scheduler is not None or insecure_scheduler:
        raise ReleaseError("--scheduler is for --engine dask; add that, or leave it out")
    if any(map(in_memory, places)):
        return _run_here
    return lambda jobs, deaths: run_jobs(jobs, workers, deaths)


def _run_here(jobs: Iterable[Job], deaths: Mapping[str, int]) -> Iterator[Event]:
    """Work off jobs in this process; a decoder that crashes ends it."""
    quarantine = frozenset(name for name, count in deaths.items() if count >= DEATHS_ALLOWED)
    for job in jobs:
        yield StartEvent(job.number)
        ended: list[tuple[str, Any]] = []
        results = _work(job, ended, quarantine)
        yield from (FileEvent(*each) for each in ended)
        yield JobEvent(job.number, results)


def _work(job: Job, ended: list[tuple[str, Any]], quarantine: frozenset[str]) -> Any:
    return job.work(lambda _: None, lambda name, result: ended.append((name, result)), quarantine)
