"""Spread images over threads.

Python threads around kernels that release the interpreter lock, rather than numba's own
`prange`: its thread pools abort a process that forks after using them (a PyTorch `DataLoader`
does), and the default one must not be entered from two threads at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

__all__ = ["thread_count", "threaded"]

ENVIRONMENT_VARIABLE = "DEEPFIXCX_THREADS"


def thread_count() -> int:
    """Return the threads to use: `DEEPFIXCX_THREADS`, or else the cores this process may use."""
    asked = os.environ.get(ENVIRONMENT_VARIABLE, "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threaded(work: Callable[[int, int], None], count: int) -> None:
    """Call ``work(start, stop)`` on runs that together cover ``range(count)``."""
    threads = min(thread_count(), count)
    if threads <= 1:
        work(0, count)
        return
    edges = [count * part // threads for part in range(threads + 1)]
    pool = _pool(os.getpid(), threads - 1)
    others = [pool.submit(work, edges[i], edges[i + 1]) for i in range(1, threads)]
    work(edges[0], edges[1])
    for other in others:
        other.result()


@lru_cache(maxsize=1)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Return the pool of this process; a forked child must not inherit its parent's threads."""
    return ThreadPoolExecutor(threads, thread_name_prefix=f"deepfixcx-{process}")
