"""One split of a band into four subbands and back, for any pair of filters.

Rows first, then columns, so that the inner loops of the vertical pass run along whole rows. The
horizontal pass works on one row laid into a buffer with the filter's margin on both sides, so its
inner loops know no edge.
"""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["merge", "split"]

REORDER = {"reassoc", "contract", "nsz"}


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def split(bands, subbands, low, high, offset, periodic):  # type: ignore[no-untyped-def]
    """Fill `subbands` (N, 4, h2, w2) from `bands` (N, h, w), h2 = ceil(h / 2)."""
    half = subbands.shape[3]
    rows = np.empty((2, 2 * half + 2 * low.size), np.float32)
    rows[:] = 0
    for n in range(bands.shape[0]):
        for k in range(subbands.shape[2]):
            _correlate_rows(bands[n], k, rows, low, high, offset, periodic, low.size)
            for vertical in range(2):
                row = rows[vertical]
                _fill_margins(row, low.size, 2 * half, periodic)
                _correlate_columns(
                    row[low.size - offset :],
                    subbands[n, 2 * vertical, k],
                    subbands[n, 2 * vertical + 1, k],
                    low,
                    high,
                )


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def merge(subbands, bands, low, high, offset, periodic):  # type: ignore[no-untyped-def]
    """Fill `bands` (N, h, w) from `subbands` (N, 4, h2, w2); rows and columns beyond h, w drop."""
    height, width = bands.shape[1], bands.shape[2]
    half_height, half = subbands.shape[2], subbands.shape[3]
    margin = low.size
    wide = np.empty(2 * half + 2 * margin, np.float32)
    tall = np.empty((2, half_height, width), np.float32)
    for n in range(bands.shape[0]):
        for vertical in range(2):
            for k in range(half_height):
                wide[:] = 0
                _spread_columns(subbands[n, 2 * vertical, k], wide[margin - offset :], low)
                _spread_columns(subbands[n, 2 * vertical + 1, k], wide[margin - offset :], high)
                if periodic:
                    _fold_margins(wide, margin, 2 * half)
                tall[vertical, k] = wide[margin : margin + width]
        for r in range(height):
            row = bands[n, r]
            row[:] = 0
            _gather_rows(tall[0], r, row, low, offset, periodic)
            _gather_rows(tall[1], r, row, high, offset, periodic)


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def _correlate_rows(band, k, rows, low, high, offset, periodic, margin):  # type: ignore[no-untyped-def]
    """Write output row k of both vertical filters into `rows`, behind the left margin."""
    height, width = band.shape
    even = height + height % 2
    above, below = rows[0, margin : margin + width], rows[1, margin : margin + width]
    above[:] = 0
    below[:] = 0
    for m in range(low.size):
        r = 2 * k + m - offset
        if periodic:
            r %= even
        if 0 <= r < height:
            source, tap_low, tap_high = band[r], low[m], high[m]
            for c in range(width):
                above[c] += tap_low * source[c]
                below[c] += tap_high * source[c]


@numba.njit(cache=True, nogil=True)
def _fill_margins(row, margin, even, periodic):  # type: ignore[no-untyped-def]
    """Lay what lies beyond the edge around the row; the zero column of an odd width stays zero."""
    for c in range(margin):
        if periodic:
            row[c] = row[margin + (c - margin) % even]
            row[margin + even + c] = row[margin + c % even]
        else:
            row[c] = 0
            row[margin + even + c] = 0


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def _correlate_columns(row, low_out, high_out, low, high):  # type: ignore[no-untyped-def]
    low_out[:] = 0
    high_out[:] = 0
    for m in range(low.size):
        taps = row[m:]
        tap_low, tap_high = low[m], high[m]
        for k in range(low_out.size):
            low_out[k] += tap_low * taps[2 * k]
            high_out[k] += tap_high * taps[2 * k]


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def _spread_columns(values, row, taps):  # type: ignore[no-untyped-def]
    for m in range(taps.size):
        target, tap = row[m:], taps[m]
        for k in range(values.size):
            target[2 * k] += tap * values[k]


@numba.njit(cache=True, nogil=True)
def _fold_margins(row, margin, even):  # type: ignore[no-untyped-def]
    """Add what was spread beyond the edge to where it came around."""
    for c in range(margin):
        row[margin + (c - margin) % even] += row[c]
        row[margin + c % even] += row[margin + even + c]


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def _gather_rows(rows, r, target, taps, offset, periodic):  # type: ignore[no-untyped-def]
    """Add to output row r every row whose filter reaches it."""
    half = rows.shape[0]
    for m in range(taps.size):
        twice = r + offset - m
        if twice % 2 == 0:
            k = twice // 2
            if periodic:
                k %= half
            if 0 <= k < half:
                source, tap = rows[k], taps[m]
                for c in range(target.size):
                    target[c] += tap * source[c]
