"""Measure this package on the machine at hand: encode, decode, and from disk.

`deepfixcx bench` prints what is measured here; the comparisons with other programs, in the folder
``benchmarks`` of the repository, are built from the same parts. Every speed is a median over calls
that were made by turns with whatever it is compared with, so that what else the machine does slows
all of them alike.
"""

from __future__ import annotations

from deepfixcx.bench.disk import (
    DiskSpeed,
    LoopTask,
    Times,
    loop_times,
    measure_disk,
    privatize_times,
)
from deepfixcx.bench.machine import (
    Machine,
    MemoryReader,
    by_turns,
    describe_machine,
    median_seconds,
    read_bandwidth,
)
from deepfixcx.bench.samples import FILE_KINDS, sample_pixels, write_samples
from deepfixcx.bench.suite import Results, Speed, measure, measure_decode, measure_encode

__all__ = [
    "FILE_KINDS",
    "DiskSpeed",
    "LoopTask",
    "Machine",
    "MemoryReader",
    "Results",
    "Speed",
    "Times",
    "by_turns",
    "describe_machine",
    "loop_times",
    "measure",
    "measure_decode",
    "measure_disk",
    "measure_encode",
    "median_seconds",
    "privatize_times",
    "read_bandwidth",
    "sample_pixels",
    "write_samples",
]
