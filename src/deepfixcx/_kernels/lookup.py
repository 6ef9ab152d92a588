"""One number for each pixel, from a table."""

from __future__ import annotations

import numba

__all__ = ["look_up"]


@numba.njit(cache=True, nogil=True)
def look_up(table, places, target):
    """Fill `target` (k,) with the entries of `table` (n,) at `places` (k,), all below n."""
    for pixel in range(places.size):
        target[pixel] = table[places[pixel]]
