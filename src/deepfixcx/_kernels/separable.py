"""One split of a band into four subbands and back, for any pair of filters.

Rows first, then columns. Every inner loop runs along contiguous numbers and does two taps at once:
the vertical pass along whole rows, the horizontal pass along the even and the odd columns of one
row, laid apart in buffers with the filter's margin on both sides, so that it knows no edge.
"""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["REORDER", "merge", "split"]

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
def merge(subbands, bands, low, high, offset, periodic):
    """Fill `bands` (N, h, w) from `subbands` (N, 4, h2, w2); rows and columns beyond h, w drop."""
    height, width = bands.shape[1], bands.shape[2]
    half_height, half = subbands.shape[2], subbands.shape[3]
    margin = low.size
    parts = np.zeros((2, half + 2 * margin), np.float32)
    phases = np.empty((2, half), np.float32)
    tall = np.empty((2, half_height, width), np.float32)
    nothing = np.zeros(width, np.float32)
    for n in range(bands.shape[0]):
        for vertical in range(2):
            for k in range(half_height):
                for horizontal in range(2):
                    parts[horizontal, margin : margin + half] = subbands[
                        n, 2 * vertical + horizontal, k
                    ]
                    _fill_margins(parts[horizontal], margin, half, periodic)
                for phase in range(2):
                    _spread_columns(parts, phases[phase], low, high, offset + phase, margin)
                row = tall[vertical, k]
                for c in range(width // 2):
                    row[2 * c] = phases[0, c]
                    row[2 * c + 1] = phases[1, c]
                if width % 2 == 1:
                    row[width - 1] = phases[0, half - 1]
        for r in range(height):
            _spread_rows(tall, r, bands[n, r], nothing, low, high, offset, periodic)


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


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def _spread_columns(parts, output, low, high, shift, margin):
    """Write every second column: those that lie `shift` behind the filters' beginnings."""
    first = shift % 2
    for m in range(first, low.size, 2):
        # column 2 j + phase takes tap m from coefficient j + (shift - m) / 2
        begin = margin + (shift - m) // 2
        x, y = parts[0, begin:], parts[1, begin:]
        tap_low, tap_high = low[m], high[m]
        if m == first:
            for j in range(output.size):
                output[j] = tap_low * x[j] + tap_high * y[j]
        else:
            for j in range(output.size):
                output[j] += tap_low * x[j] + tap_high * y[j]


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def _spread_rows(tall, r, target, nothing, low, high, offset, periodic):
    """Write output row r from every row whose filter reaches it."""
    half = tall.shape[1]
    first = (r + offset) % 2
    for m in range(first, low.size, 2):
        k = (r + offset - m) // 2
        if periodic:
            k %= half
        inside = 0 <= k < half
        x = tall[0, k] if inside else nothing
        y = tall[1, k] if inside else nothing
        tap_low, tap_high = low[m], high[m]
        if m == first:
            for c in range(target.size):
                target[c] = tap_low * x[c] + tap_high * y[c]
        else:
            for c in range(target.size):
                target[c] += tap_low * x[c] + tap_high * y[c]
