"""Where and how often checkpoints are kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Clock", "Keeping"]

SECONDS_BETWEEN = 10.0

MOST_SHARE = 0.05
"""Writing checkpoints takes at most this share of the time, however slow the disk is."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where checkpoints are kept.

    Attributes
    ----------
    path : Path
        The file.
    settings : mapping
        What decides the result: data and options, as plain JSON values.
    resume : bool
        Whether to go on with the file, if it is there.
    seconds : float
        Least time between two checkpoints.
    """

    path: Path
    settings: Mapping[str, Any]
    resume: bool = False
    seconds: float = SECONDS_BETWEEN


class Clock:
    """Says when a checkpoint is due; never, where none are kept."""

    def __init__(self, keeping: Keeping | None) -> None:
        self._wait = keeping.seconds if keeping is not None else math.inf
        self._last = time.monotonic()

    def is_time(self) -> bool:
        """Return whether a checkpoint is due."""
        return time.monotonic() - self._last >= self._wait

    def measure(self, write: Callable[[], None]) -> None:
        """Write a checkpoint, and wait the longer for the next one the longer it takes."""
        start = time.monotonic()
        write()
        self._last = time.monotonic()
        self._wait = max(self._wait, (self._last - start) / MOST_SHARE)
