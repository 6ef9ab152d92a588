"""What a table of speeds has to say about where it was made."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from deepfixcx import __version__
from deepfixcx._kernels.threads import thread_count

__all__ = ["Machine", "describe_machine"]

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
