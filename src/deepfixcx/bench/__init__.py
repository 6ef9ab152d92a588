"""Measure this package on the machine at hand: encode, decode, and from disk.

`deepfixcx bench` prints what is measured here; the comparisons with other programs, in the folder
``benchmarks`` of the repository, are built from the parts in its modules. Every speed is a median
over calls that were made by turns with whatever it is compared with, so that what else the machine
does slows all of them alike.
"""

from __future__ import annotations

from deepfixcx.bench.disk import DiskSpeed
from deepfixcx.bench.machine import Machine
from deepfixcx.bench.suite import Results, Speed, measure

__all__ = ["DiskSpeed", "Machine", "Results", "Speed", "measure"]
