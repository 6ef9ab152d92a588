"""How many bytes a second this machine reads from memory: the roof of every speed here."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np

from deepfixcx._kernels.threads import thread_count
from deepfixcx.bench.clock import median_seconds

__all__ = ["MemoryReader", "cache_bytes", "read_bandwidth"]

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
