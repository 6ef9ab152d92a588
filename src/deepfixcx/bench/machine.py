"""The machine: its clock, the bandwidth of its memory, and what a table of speeds says of it."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numba
import numpy as np

from deepfixcx import __version__
from deepfixcx._kernels.threads import thread_count

__all__ = [
    "Machine",
    "MemoryReader",
    "by_turns",
    "cache_bytes",
    "describe_machine",
    "median_seconds",
    "read_bandwidth",
]


def by_turns(
    calls: Mapping[str, Callable[[], object]], rounds: int = 7, *, warm: bool = True
) -> dict[str, list[float]]:
    """Call each of `calls` once a round, and return the seconds of every round.

    Parameters
    ----------
    calls : mapping of str to callable
        What to time, by name.
    rounds : int
        Measured calls of each.
    warm : bool
        Call each once before, unmeasured: the first call may compile or allocate.

    Returns
    -------
    dict of str to list of float
        Seconds, in the order of the rounds.

    Examples
    --------
    >>> seconds = by_turns({"sum": lambda: sum(range(9))}, rounds=3)
    >>> len(seconds["sum"])
    3
    """
    if warm:
        for call in calls.values():
            call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def median_seconds(
    calls: Mapping[str, Callable[[], object]], rounds: int = 7, *, warm: bool = True
) -> dict[str, float]:
    """Return the median of the seconds that `by_turns` measures.

    Parameters
    ----------
    calls, rounds, warm
        As in `by_turns`.

    Returns
    -------
    dict of str to float
        Seconds of one call of each.

    Examples
    --------
    >>> sorted(median_seconds({"a": list, "b": dict}, rounds=1))
    ['a', 'b']
    """
    timed = by_turns(calls, rounds, warm=warm)
    return {name: statistics.median(seconds) for name, seconds in timed.items()}


LEAST_BYTES, MOST_BYTES = 1 << 28, 1 << 30
TIMES_THE_CACHE = 2
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class MemoryReader:
    """An array far beyond the caches, and a call that reads all of it.

    Parameters
    ----------
    threads : int, optional
        Threads that each read a part; those that the codec uses by default.
    nbytes : int, optional
        Size of the array; twice the last-level cache by default, from 256 MiB to 1 GiB and at
        most an eighth of the memory.

    Attributes
    ----------
    nbytes : int
        Bytes that one call reads.

    Examples
    --------
    >>> MemoryReader(threads=2, nbytes=1 << 20).read()
    262144.0
    """

    def __init__(self, threads: int | None = None, nbytes: int | None = None) -> None:
        threads = thread_count() if threads is None else threads
        values = np.ones((_array_bytes() if nbytes is None else nbytes) // 4, np.float32)
        self.nbytes = int(values.nbytes)
        self._parts = np.array_split(values, threads)
        self._pool = ThreadPoolExecutor(threads)

    def read(self) -> float:
        """Sum up the array, each thread its part, and return the sum."""
        return float(sum(self._pool.map(_total, self._parts)))


def read_bandwidth(
    rounds: int = 7, *, threads: int | None = None, nbytes: int | None = None
) -> float:
    """Sum up a large array and return the bytes read a second.

    Parameters
    ----------
    rounds : int
        The median of so many sums counts.
    threads, nbytes
        As of `MemoryReader`.

    Returns
    -------
    float
        Bytes a second, over all threads together.

    Examples
    --------
    >>> read_bandwidth(rounds=1, threads=1, nbytes=1 << 20) > 0
    True
    """
    reader = MemoryReader(threads, nbytes)
    return reader.nbytes / median_seconds({"read": reader.read}, rounds)["read"]


def cache_bytes() -> int:
    """Return the size of the largest cache of the first core, 0 where the system does not say."""
    sizes = [0]
    for path in CACHES.glob("index*/size"):
        text = path.read_text("ascii").strip()
        if text[:-1].isdecimal() and text[-1] in UNITS:
            sizes.append(int(text[:-1]) * UNITS[text[-1]])
    return max(sizes)


def _array_bytes() -> int:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    wanted = min(max(TIMES_THE_CACHE * cache_bytes(), LEAST_BYTES), MOST_BYTES)
    return min(wanted, memory // 8)


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _total(values):
    total = np.float32(0)
    for place in range(values.size):
        total += values[place]
    return total


PROCESSORS = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine and how busy it was.

    Attributes
    ----------
    processor : str
        Its name, or its architecture where the system names no more.
    cores : int
        Cores that this process may use.
    threads : int
        Threads that the codec uses.
    memory_bytes : int
        Main memory.
    load_average : float
        Processes that wanted to run in the last minute, before anything was measured. More than a
        few tenths mean that the machine was shared.
    python, numpy, numba, deepfixcx : str
        Versions.

    Examples
    --------
    >>> print(Machine("a processor", 2, 2, 4 << 30, 0.25, "3.11.7", "2.4.6", "0.68.1", "0.1.0"))
    a processor, 2 cores, 2 threads; load average 0.25 at the start; deepfixcx 0.1.0, Python
    3.11.7, NumPy 2.4.6, numba 0.68.1
    """

    processor: str
    cores: int
    threads: int
    memory_bytes: int
    load_average: float
    python: str
    numpy: str
    numba: str
    deepfixcx: str

    def __str__(self) -> str:
        """Return one line for below a table."""
        return (
            f"{self.processor}, {self.cores} cores, {self.threads} threads; load average "
            f"{self.load_average:.2f} at the start; deepfixcx {self.deepfixcx}, Python "
            f"{self.python}, NumPy {self.numpy}, numba {self.numba}"
        )


def describe_machine() -> Machine:
    """Ask the system what it is and how busy it is now.

    Returns
    -------
    Machine
        No name of a host or user is part of it.

    Examples
    --------
    >>> describe_machine().threads >= 1
    True
    """
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        threads=thread_count(),
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        load_average=round(os.getloadavg()[0], 2),
        python=platform.python_version(),
        numpy=version("numpy"),
        numba=version("numba"),
        deepfixcx=__version__,
    )


def _processor() -> str:
    if PROCESSORS.is_file():
        for line in PROCESSORS.read_text("utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
