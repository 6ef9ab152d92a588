"""The shards of a release on a dask cluster, that of a scheduler or one of this process."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import pickle
import socket
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import urlsplit

from deepfixcx._optional import require
from deepfixcx.errors import DeepfixcxError, ReleaseError, ReleaseStoppedError
from deepfixcx.release.manifest import software
from deepfixcx.release.workers import (
    Event,
    Job,
    StartEvent,
    Waiting,
    run_jobs,
)

__all__ = ["check_scheduler", "run_on_cluster"]

TASKS_A_THREAD = 2
"""So many shards are with the cluster for each of its threads: one worked, one waiting."""

LOGGERS = ("distributed", "distributed.client", "tornado.application", "asyncio")
"""What they print may quote a task, which holds names of files."""

LOSSES_ALLOWED = 3
"""So often dask may give up one shard, each time after it lost several workers on it."""

SECONDS_WITHOUT_WORKERS = 300
"""A cluster that lost its last worker gets none any more: its nannies or its machines ended."""

SECONDS_BETWEEN_NOTICES = 20
"""A run that waits for workers says so this often."""

CONNECT_SECONDS = 10
"""A scheduler that does not answer in this time is not there."""

ENCRYPTED, PLAIN = ("tls", "wss"), ("tcp", "ws")
"""Protocols of dask: with TLS, where both sides show a certificate, and without."""

STOPS: dict[str, Connection] = {}
"""For each run on a cluster of this process, a pipe that is closed when its tasks must end."""
ENDED: set[str] = set()
"""Runs of this process that have ended: a task of theirs that waited until now does not begin."""


def check_scheduler(address: str, *, insecure: bool) -> None:
    """See, before any work, that a scheduler is at this address and lets only its user in."""
    distributed = require("distributed", extra="dask")
    url = urlsplit(address if "://" in address else f"tcp://{address}")
    try:
        host, port = url.hostname, url.port
    except ValueError:  # not a number
        host = port = None
    if url.scheme not in ENCRYPTED + PLAIN or not host or not port or url.username is not None:
        raise ReleaseError(
            f"--scheduler {address!r} is not an address of a dask scheduler, such as "
            f"tls://10.0.0.1:8786"
        )
    if url.scheme in PLAIN and not insecure:
        raise ReleaseError(
            f"--scheduler {address!r} has no TLS: every account that can connect to it can run "
            f"code as you and read the key of pseudonyms; start it with TLS and use tls://, or "
            f"add --insecure-scheduler on a network that only you can use"
        )
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError as error:
        why = error.strerror or "timed out"
        raise ReleaseError(
            f"no scheduler can be reached at {address!r} ({why}); start it, or correct --scheduler"
        ) from None
    with ExitStack() as stack:
        _silence(stack)
        try:
            answer = _ask(distributed, address)
        except Exception as error:
            raise ReleaseError(
                f"the service at {address!r} does not accept this program as a dask client "
                f"({type(error).__name__}); check that it is a scheduler and, for tls://, that "
                "dask's configuration names the certificates (distributed.comm.tls)"
            ) from None
    if answer.get("type") != "Scheduler":
        raise ReleaseError(f"{address!r} is not the address of a dask scheduler; correct it")


def _ask(distributed: Any, address: str) -> dict[str, Any]:
    """Ask a server of dask what it is; a client would wait a minute for one that says nothing."""

    async def identity() -> Any:
        security = distributed.Security().get_connection_args("client")
        server = distributed.rpc(address, timeout=CONNECT_SECONDS, connection_args=security)
        try:
            return await asyncio.wait_for(server.identity(), CONNECT_SECONDS)
        finally:
            await server.close_rpc()

    runner = distributed.utils.LoopRunner()
    runner.start()
    try:
        answer: dict[str, Any] = runner.run_sync(identity)
        return answer
    finally:
        runner.stop()


def run_on_cluster(
    jobs: Iterable[Job],
    workers: int,
    deaths: Mapping[str, int] | None = None,
    scheduler: str | None = None,
    tell: Callable[[str], None] | None = None,
) -> Iterator[Event]:
    """Work off jobs on a dask cluster, yielding what happens; tell what the run waits for."""
    distributed = require("distributed", extra="dask")
    waiting = Waiting(jobs)
    run = uuid.uuid4().hex
    with ExitStack() as stack:
        _silence(stack)
        try:
            client = stack.enter_context(
                distributed.Client(
                    scheduler or _cluster(distributed, stack, workers),
                    set_as_default=False,
                    timeout=CONNECT_SECONDS,
                )
            )
            _end_tasks_with(stack, run)
            yield from _work_off(distributed, client, waiting, dict(deaths or {}), run, tell)
        except DeepfixcxError:
            raise
        except Exception as error:
            raise ReleaseStoppedError(
                f"the connection to the dask scheduler was lost ({type(error).__name__}); check "
                "that it runs, then run the same command with --resume"
            ) from None


def _silence(stack: ExitStack) -> None:
    for logger in map(logging.getLogger, LOGGERS):
        stack.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.CRITICAL + 1)


def _cluster(distributed: Any, stack: ExitStack, workers: int) -> Any:
    """Start a scheduler and a worker in this process, which talk through its memory alone."""

    class Unheard:
        """Both always start a server for HTTP, on every interface, even without a dashboard."""

        def start_http_server(self, *_: object, **__: object) -> None:
            """Start none."""

    class Scheduler(Unheard, distributed.Scheduler):  # type: ignore[misc]
        pass

    class Worker(Unheard, distributed.Worker):  # type: ignore[misc]
        pass

    options = {"protocol": "inproc://", "dashboard": False}
    threads = {"nthreads": workers, "memory_limit": None}  # the work is done in other processes
    return stack.enter_context(
        distributed.SpecCluster(
            scheduler={"cls": Scheduler, "options": options},
            workers={0: {"cls": Worker, "options": options | threads}},
            silence_logs=logging.CRITICAL,
        )
    )


def _end_tasks_with(stack: ExitStack, run: str) -> None:
    """Let tasks in threads of this process end before its cluster does, however the run ends."""
    STOPS[run], writer = multiprocessing.Pipe(duplex=False)
    stack.callback(STOPS.pop, run)
    stack.callback(writer.close)
    stack.callback(ENDED.add, run)  # before the pipe is closed: then the next task would begin


def _work_off(
    distributed: Any,
    client: Any,
    waiting: Waiting,
    deaths: dict[str, int],
    run: str,
    tell: Callable[[str], None] | None = None,
) -> Iterator[Event]:
    completed = distributed.as_completed(loop=client.loop)
    run_task, wanted = _make_run_task(), software()
    given: dict[str, Job] = {}
    losses: Counter[int] = Counter()
    had_workers = False
    while waiting.count(1) or given:
        threads = sum(client.nthreads().values())  # workers come and go
        had_workers = had_workers or threads > 0 or bool(losses)
        while waiting.count(1) and len(given) < TASKS_A_THREAD * max(1, threads):
            job = waiting.take()
            task = pickle.dumps((work_job, (job, deaths, wanted, run)))
            future = client.submit(run_task, task, pure=False)
            given[future.key] = job
            completed.add(future)
            yield StartEvent(job.number)
        _wait(completed, client, tell, had_workers=had_workers)
        future = next(completed)
        job = given.pop(future.key)
        if future.status != "error":
            result = future.result()
        elif isinstance(error := future.exception(), distributed.KilledWorker):
            losses[job.number] += 1
            if losses[job.number] < LOSSES_ALLOWED:
                waiting.again([job])
                continue
            result = (
                "dask workers stopped repeatedly on one shard, probably for lack of memory; "
                "give them more memory, then run the same command with --resume"
            )
        else:
            result = (
                f"dask could not run a task ({type(error).__name__}); read the logs of its "
                "workers, then run the same command with --resume"
            )
        if isinstance(result, str):
            raise ReleaseStoppedError(result)
        yield from result


def _wait(
    completed: Any, client: Any, tell: Callable[[str], None] | None, *, had_workers: bool
) -> None:
    """Wait for a task to end; a cluster may be without workers for hours before, but not after."""
    seen = asked = time.monotonic()
    noticed = seen - SECONDS_BETWEEN_NOTICES
    while not completed.has_ready():
        time.sleep(0.01)
        if (now := time.monotonic()) < asked + 1:
            continue
        asked = now
        if client.nthreads():
            seen, had_workers = now, True
        elif had_workers and now - seen > SECONDS_WITHOUT_WORKERS:
            raise ReleaseStoppedError(
                f"the dask cluster has had no worker for {now - seen:.0f} s; start workers, then "
                "run the same command with --resume"
            )
        elif tell is not None and now - noticed >= SECONDS_BETWEEN_NOTICES:
            noticed = now
            tell("the dask scheduler has no worker; start one, the run continues by itself")


def _make_run_task() -> Callable[[bytes], list[Event] | str]:
    """Return a function that dask sends by value, so that it runs beside any deepfixcx or none."""

    def run_task(task: bytes) -> list[Event] | str:
        # It raises nothing, because dask would print the task, names of files and all; and what
        # cannot be unpickled would end the worker, and the next one.
        try:
            function, arguments = pickle.loads(task)
            result: list[Event] | str = function(*arguments)
            return result
        except Exception as error:
            return (
                f"a task failed in a dask worker ({type(error).__name__}); check that every "
                "worker has the same version of deepfixcx, enough memory and room for temporary "
                "files, then run the same command with --resume"
            )

    return run_task


def work_job(
    job: Job, deaths: dict[str, int], wanted: dict[str, str], run: str
) -> list[Event] | str:
    """Work off one job in a process of its own, or say why not; runs in a dask worker."""
    own = software()
    if other := [name for name in wanted if own.get(name) != wanted[name]]:
        versions = ", ".join(f"{name} {own.get(name)} instead of {wanted[name]}" for name in other)
        return (
            f"a dask worker has {versions}, which can change the values of codes; install the "
            "same versions on every machine, then run the same command with --resume"
        )
    if run in ENDED:
        return "the run was stopped; run the same command with --resume"
    if multiprocessing.parent_process() is not None:
        # A worker that a nanny looks after may not have children unless it says so.
        multiprocessing.current_process().daemon = False
    try:
        events = list(run_jobs([job], 1, deaths, STOPS.get(run)))
    except ReleaseStoppedError as error:
        return str(error)
    return [event for event in events if not isinstance(event, StartEvent)]
