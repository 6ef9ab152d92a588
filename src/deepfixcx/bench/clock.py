"""Time several calls by turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

__all__ = ["by_turns", "median_seconds"]


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
