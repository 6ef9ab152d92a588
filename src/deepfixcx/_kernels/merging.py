"""The inverse of a split: four subbands merged into one band, for any pair of filters.

Rows first, then columns. Subbands can be as small as 10 x 10, where loops along single rows end
before they pay. So some rows of each subband are copied into a plane with the filters' margins
around every row, rows lie end to end, and each pass is one long loop over all of them: the vertical
pass adds planes shifted by rows, the horizontal pass planes shifted by columns. What the margins
yield is dropped when phases are woven together into the band.
"""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["merge"]

PLANE_VALUES = 4096
"""Numbers of a plane, of which ten fit a second-level cache many times over."""


@numba.njit(cache=True, nogil=True)
def merge(subbands, bands, low, high, offset, periodic):
    """Fill `bands` (N, h, w) from `subbands` (N, 4, h2, w2); rows and columns beyond h, w drop."""
    half_height, half = subbands.shape[2], subbands.shape[3]
    before, after = _reach(low.size, offset)
    wide = before + half + after
    most = max(1, min(half_height, PLANE_VALUES // wide))
    planes = np.zeros((4, (most + before + after) * wide), np.float32)
    tall = np.empty((2, most * wide), np.float32)
    phases = np.empty((2, most * wide), np.float32)
    for n in range(bands.shape[0]):
        for top in range(0, half_height, most):
            count = min(most, half_height - top)
            rows = count + before + after
            _take(subbands, n, top - before, rows, planes, before, wide, periodic)
            size = count * wide
            for phase in range(2):
                for h in range(2):
                    pair = planes[h], planes[2 + h]
                    _combine(pair, tall[h, :size], low, high, offset + phase, before, wide)
                for h in range(2):
                    pair, inner = (tall[0], tall[1]), phases[h, : size - before - after]
                    _combine(pair, inner, low, high, offset + h, before, 1)
                _weave(phases, bands, n, 2 * top + phase, count, wide)


@numba.njit(nogil=True)
def _reach(taps, offset):
    """Return how many rows or columns before and after its own place a result depends on."""
    before, after = 0, 0
    for shift in range(offset, offset + 2):
        for m in range(shift % 2, taps, 2):
            before = max(before, (m - shift) // 2)
            after = max(after, (shift - m) // 2)
    return before, after


@numba.njit(nogil=True)
def _take(subbands, n, top, count, planes, before, wide, periodic):
    """Copy rows of the four subbands from `top` on, with what lies beyond their edges."""
    height, width = subbands.shape[2], subbands.shape[3]
    for s in range(4):
        for r in range(count):
            row = (top + r) % height if periodic else top + r
            begin = r * wide
            if row < 0 or row >= height:
                planes[s, begin : begin + wide] = 0
                continue
            for c in range(width):
                planes[s, begin + before + c] = subbands[n, s, row, c]
            if periodic:
                for c in range(before):
                    planes[s, begin + c] = subbands[n, s, row, (c - before) % width]
                for c in range(before + width, wide):
                    planes[s, begin + c] = subbands[n, s, row, (c - before) % width]


@numba.njit(nogil=True, fastmath={"contract"})
def _combine(pair, output, low, high, shift, before, step):
    """Add up both planes of a pair under every second tap, `before` steps into them."""
    first = shift % 2
    for m in range(first, low.size, 2):
        begin = (before + (shift - m) // 2) * step
        # parts of the planes, for places counted from their beginning might be negative
        x, y = pair[0][begin : begin + output.size], pair[1][begin : begin + output.size]
        tap_low, tap_high = low[m], high[m]
        if m == first:
            for c in range(output.size):
                output[c] = tap_low * x[c] + tap_high * y[c]
        else:
            for c in range(output.size):
                output[c] += tap_low * x[c] + tap_high * y[c]


@numba.njit(nogil=True)
def _weave(phases, bands, n, top, count, wide):
    """Lay the even and the odd columns of every second row into a band, from row `top` on."""
    height, width = bands.shape[1], bands.shape[2]
    for j in range(count):
        row, begin = top + 2 * j, j * wide
        if row < height:
            line, even, odd = bands[n, row], phases[0, begin:], phases[1, begin:]
            for c in range(width // 2):
                line[2 * c] = even[c]
                line[2 * c + 1] = odd[c]
            if width % 2 == 1:
                line[width - 1] = even[width // 2]
