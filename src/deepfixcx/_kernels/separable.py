"""One split of a band into four subbands, for any pair of filters.

Rows first, then columns. Every inner loop runs along contiguous numbers and does two taps at once:
the vertical pass along whole rows, the horizontal pass along the even and the odd columns of one
row, laid apart in buffers with the filter's margin on both sides, so that it knows no edge.
"""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["REORDER", "split"]

REORDER = {"reassoc", "contract", "nsz"}


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def split(bands, subbands, low, high, offset, periodic):
    """Fill `subbands` (N, 4, h2, w2) from `bands` (N, h, w), h2 = ceil(h / 2)."""
    width = bands.shape[2]
    half = subbands.shape[3]
    rows = np.zeros((2, 2 * half + 2 * low.size), np.float32)
    phases = np.zeros((2, half + low.size), np.float32)
    nothing = np.zeros(width, np.float32)
    for n in range(bands.shape[0]):
        for k in range(subbands.shape[2]):
            _correlate_rows(bands[n], k, rows, nothing, low, high, offset, periodic)
            for vertical in range(2):
                _fill_margins(rows[vertical], low.size, 2 * half, periodic)
                _part(rows[vertical, low.size - offset :], phases)
                _correlate_columns(phases, subbands[n, 2 * vertical, k], low)
                _correlate_columns(phases, subbands[n, 2 * vertical + 1, k], high)


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def _correlate_rows(band, k, rows, nothing, low, high, offset, periodic):
    """Write output row k of both vertical filters into `rows`, behind the left margin."""
    height, width = band.shape
    above = rows[0, low.size : low.size + width]
    below = rows[1, low.size : low.size + width]
    for m in range(0, low.size, 2):
        r = _source(2 * k + m - offset, height, periodic)
        s = _source(2 * k + m + 1 - offset, height, periodic)
        x = band[r] if r >= 0 else nothing
        y = band[s] if s >= 0 else nothing
        low_x, low_y, high_x, high_y = low[m], low[m + 1], high[m], high[m + 1]
        if m == 0:
            for c in range(width):
                above[c] = low_x * x[c] + low_y * y[c]
                below[c] = high_x * x[c] + high_y * y[c]
        else:
            for c in range(width):
                above[c] += low_x * x[c] + low_y * y[c]
                below[c] += high_x * x[c] + high_y * y[c]


@numba.njit(cache=True, nogil=True)
def _source(r, height, periodic):
    """Row of the band that stands at r, or -1 where there are zeros; an odd height has one more."""
    if periodic:
        r %= height + height % 2
    return r if 0 <= r < height else -1


@numba.njit(cache=True, nogil=True)
def _fill_margins(row, margin, size, periodic):
    """Lay what lies beyond the edge around a row; the zero column of an odd width stays zero."""
    for c in range(margin):
        if periodic:
            row[c] = row[margin + (c - margin) % size]
            row[margin + size + c] = row[margin + c % size]
        else:
            row[c] = 0
            row[margin + size + c] = 0


@numba.njit(cache=True, nogil=True)
def _part(row, phases):
    """Lay the even and the odd columns apart."""
    even, odd = phases[0], phases[1]
    for k in range(row.size // 2):
        even[k] = row[2 * k]
        odd[k] = row[2 * k + 1]


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def _correlate_columns(phases, output, taps):
    for m in range(0, taps.size, 2):
        even, odd = phases[0, m // 2 :], phases[1, m // 2 :]
        tap_even, tap_odd = taps[m], taps[m + 1]
        if m == 0:
            for k in range(output.size):
                output[k] = tap_even * even[k] + tap_odd * odd[k]
        else:
            for k in range(output.size):
                output[k] += tap_even * even[k] + tap_odd * odd[k]
