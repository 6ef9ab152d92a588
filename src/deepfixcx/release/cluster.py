"""Shards worked on a dask cluster: one task a shard, the same jobs and events as on one machine.

A task does not touch a file in the dask worker itself. It starts a process of its own for it, as
`run_jobs` does everywhere, so that a decoder which crashes takes nothing with it and the file is
known which it died on. A dask worker that is lost altogether says nothing about any file: dask
gives its shard to another one.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from deepfixcx._optional import require
from deepfixcx.errors import DeepfixcxError, ReleaseStoppedError
from deepfixcx.release.workers import Event, Job, StartEvent, Waiting, run_jobs

__all__ = ["run_on_cluster"]

TASKS_A_THREAD = 2
"""So many shards are with the cluster for each of its threads: one worked, one waiting."""

LOGGERS = ("distributed", "distributed.client")
"""What they print may quote a task, which holds names of files."""

LOSSES_ALLOWED = 3
"""So often dask may give up one shard, each time after it lost several workers on it."""


def run_on_cluster(
    jobs: Iterable[Job],
    workers: int,
    deaths: Mapping[str, int] | None = None,
    scheduler: str | None = None,
) -> Iterator[Event]:
    """Work off jobs on a dask cluster, yielding what happens as the client hears of it.

    Parameters
    ----------
    jobs : iterable of Job
        Taken in order; the folders they name are the same on every machine.
    workers : int
        Processes of a cluster on this machine, where no scheduler is given.
    deaths : mapping of str to int, optional
        Workers that files have killed in earlier runs.
    scheduler : str, optional
        Address of a running scheduler, such as ``tcp://10.0.0.1:8786``.

    Yields
    ------
    StartEvent, FileEvent, DeathEvent or JobEvent
        Those of a job together, once it is complete.

    Raises
    ------
    ReleaseStoppedError
        The cluster was lost or cannot be reached, or results cannot be written.
    MissingExtraError
        dask is not installed.
    """
    distributed = require("distributed", extra="dask")
    waiting = Waiting(jobs)
    with ExitStack() as stack:
        for logger in map(logging.getLogger, LOGGERS):
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.CRITICAL + 1)
        try:
            client = _connect(distributed, stack, workers, scheduler)
            yield from _work_off(distributed, client, waiting, dict(deaths or {}))
        except DeepfixcxError:
            raise
        except Exception as error:
            raise ReleaseStoppedError(
                f"the cluster was lost, or cannot be reached ({type(error).__name__}); see that "
                f"its scheduler runs, then run the same command with --resume"
            ) from None


def _connect(distributed: Any, stack: ExitStack, workers: int, scheduler: str | None) -> Any:
    if scheduler is None:
        scheduler = stack.enter_context(
            distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
            )
        )
    return stack.enter_context(distributed.Client(scheduler, set_as_default=False))


def _work_off(
    distributed: Any, client: Any, waiting: Waiting, deaths: dict[str, int]
) -> Iterator[Event]:
    completed = distributed.as_completed(loop=client.loop)
    given: dict[str, Job] = {}
    losses: Counter[int] = Counter()
    while waiting.count(1) or given:
        threads = sum(client.nthreads().values())  # workers come and go
        while waiting.count(1) and len(given) < TASKS_A_THREAD * max(1, threads):
            job = waiting.take()
            future = client.submit(_work, job, deaths, pure=False)
            given[future.key] = job
            completed.add(future)
            yield StartEvent(job.number)
        future = next(completed)
        job = given.pop(future.key)
        try:
            told = future.result()
        except distributed.KilledWorker:
            losses[job.number] += 1
            if losses[job.number] == LOSSES_ALLOWED:
                raise
            waiting.again([job])
            continue
        if isinstance(told, str):
            raise ReleaseStoppedError(told)
        yield from told


def _work(job: Job, deaths: dict[str, int]) -> list[Event] | str:
    """Work off one job in a process of its own, or say why not; runs in a dask worker.

    It raises nothing, because dask would print the job, names of files and all.
    """
    # A worker that a nanny looks after may not have children unless it says so.
    multiprocessing.current_process().daemon = False
    try:
        return [event for event in run_jobs([job], 1, deaths) if not isinstance(event, StartEvent)]
    except ReleaseStoppedError as error:
        return str(error)
