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
"""Numbers of a plane: ten planes fit a second-level cache many times over."""


@numba.njit(cache=True, nogil=True)
def merge(subbands, bands, low, high, offset, periodic):
    """Fill `bands` (N, h, w) from `subbands` (N, 4, h2, w2); rows and columns beyond h, w drop."""
    half_height, half = subbands.shape[2], subbands.shape[3]
    before, after = _reach(low.size, offset)
    wide, margins = before + half + after, before + after
    most = max(1, min(half_height, PLANE_VALUES // wide))  # rows of a band at once
    tall = most + margins
    several = max(1, min(bands.shape[0], PLANE_VALUES // (tall * wide)))  # bands at once
    planes = np.zeros((4, several * tall * wide), np.float32)
    rows = np.empty((2, several * tall * wide), np.float32)
    phases = np.empty((2, several * tall * wide), np.float32)
    size = (several * tall - margins) * wide
    for n in range(0, bands.shape[0], several):
        last = min(bands.shape[0], n + several)
        for top in range(0, half_height, most):
            count = min(most, half_height - top)
            for b in range(n, last):
                begin = (b - n) * tall * wide
                rows_taken = top - before, count + margins
                _take(subbands, b, rows_taken, planes, (begin, before, wide), periodic)
            for phase in range(2):
                for h in range(2):
                    pair = planes[h], planes[2 + h]
                    _combine(pair, rows[h, :size], low, high, offset + phase, before, wide)
                for h in range(2):
                    pair, inner = (rows[0], rows[1]), phases[h, : size - margins]
                    _combine(pair, inner, low, high, offset + h, before, 1)
                for b in range(n, last):
                    begin = (b - n) * tall * wide
                    _weave(phases, begin, wide, bands, b, 2 * top + phase, count)


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
def _take(subbands, n, wanted, planes, places, periodic):
    """Copy rows of four subbands into their planes, with what lies beyond the edges.

    `wanted` is the first row and how many; `places` where the first one begins in a plane, the
    margin before its columns, and the step from row to row.
    """
    height, width = subbands.shape[2], subbands.shape[3]
    (top, count), (begin, before, wide) = wanted, places
    for s in range(4):
        for r in range(count):
            row = (top + r) % height if periodic else top + r
            here = begin + r * wide
            if row < 0 or row >= height:
                planes[s, here : here + wide] = 0
                continue
            for c in range(width):
                planes[s, here + before + c] = subbands[n, s, row, c]
            if periodic:
                for c in range(before):
                    planes[s, here + c] = subbands[n, s, row, (c - before) % width]
                for c in range(before + width, wide):
                    planes[s, here + c] = subbands[n, s, row, (c - before) % width]


@numba.njit(nogil=True)
def _combine(pair, output, low, high, shift, before, step):
    """Add up both planes of a pair under every second tap, `before` steps into them."""
    begun = False
    m = shift % 2
    while m < low.size:
        begin = (before + (shift - m) // 2) * step
        if m + 2 < low.size:
            first, second = (low[m], high[m], begin), (low[m + 2], high[m + 2], begin - step)
            _add_two(pair, output, first, second, begun)
            m += 4
        else:
            _add_one(pair, output, (low[m], high[m], begin), begun)
            m += 2
        begun = True


@numba.njit(nogil=True, fastmath={"contract"})
def _add_two(pair, output, first, second, begun):
    """Add two taps of each filter: fewer passes over the output than one by one."""
    (a, b, begin), (d, e, other) = first, second
    size = output.size
    # parts of the planes, for places counted from their beginning might be negative
    x, y = pair[0][begin : begin + size], pair[1][begin : begin + size]
    z, w = pair[0][other : other + size], pair[1][other : other + size]
    if begun:
        for c in range(size):
            output[c] += a * x[c] + b * y[c] + (d * z[c] + e * w[c])
    else:
        for c in range(size):
            output[c] = a * x[c] + b * y[c] + (d * z[c] + e * w[c])


@numba.njit(nogil=True, fastmath={"contract"})
def _add_one(pair, output, tap, begun):
    low, high, begin = tap
    x, y = pair[0][begin : begin + output.size], pair[1][begin : begin + output.size]
    if begun:
        for c in range(output.size):
            output[c] += low * x[c] + high * y[c]
    else:
        for c in range(output.size):
            output[c] = low * x[c] + high * y[c]


@numba.njit(nogil=True)
def _weave(phases, begin, wide, bands, n, top, count):
    """Lay the even and the odd columns of every second row into a band, from row `top` on."""
    height, width = bands.shape[1], bands.shape[2]
    for j in range(count):
        row, here = top + 2 * j, begin + j * wide
        if row < height:
            line, even, odd = bands[n, row], phases[0, here:], phases[1, here:]
            for c in range(width // 2):
                line[2 * c] = even[c]
                line[2 * c + 1] = odd[c]
            if width % 2 == 1:
                line[width - 1] = even[width // 2]
