"""Splits of bands into four subbands and merges of these, for any pair of filters.

Rows first, then columns. In a split every inner loop runs along contiguous values and does two taps
at once: the vertical pass along whole rows, the horizontal pass along the even and the odd columns
of one row, in buffers with the margin of the filter on both sides, so that it has no edge cases.

Subbands can be as small as 10 x 10, where loops along single rows are too short. So a merge copies
some rows of each subband into a plane with the margins of the filters around every row; rows lie
end to end, and each pass is one long loop over all of them: the vertical pass adds planes shifted
by rows, the horizontal pass planes shifted by columns. Values in the margins are dropped when the
phases are interleaved into the band.
"""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["REORDER", "merge", "merge_slices", "split", "split_slices"]

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
    """Copy rows of four subbands into their planes, with what lies beyond the edges."""
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


# -- along the slices of volumes, whose values of one slice are one long row


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def split_slices(volumes, halves, low, high, offset, periodic, start, stop):
    """Fill columns of `halves` (N, 2, d2, K) from `volumes` (N, d, K), d2 = ceil(d / 2)."""
    for n in range(volumes.shape[0]):
        for k in range(halves.shape[2]):
            below, above = halves[n, 0, k, start:stop], halves[n, 1, k, start:stop]
            below[:] = 0
            above[:] = 0
            for m in range(low.size):
                z = _source(2 * k + m - offset, volumes.shape[1], periodic)
                if z >= 0:
                    values, tap_low, tap_high = volumes[n, z, start:stop], low[m], high[m]
                    for c in range(values.size):
                        below[c] += tap_low * values[c]
                        above[c] += tap_high * values[c]


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def merge_slices(halves, volumes, low, high, offset, periodic, start, stop):
    """Fill columns of `volumes` (N, d, K) from `halves` (N, 2, d2, K); slices beyond d drop."""
    depth = volumes.shape[1]
    for n in range(volumes.shape[0]):
        volumes[n, :, start:stop] = 0
        for k in range(halves.shape[2]):
            for m in range(low.size):
                z = 2 * k + m - offset
                if periodic:
                    z %= 2 * halves.shape[2]
                if 0 <= z < depth:
                    values, tap_low, tap_high = volumes[n, z, start:stop], low[m], high[m]
                    below, above = halves[n, 0, k, start:stop], halves[n, 1, k, start:stop]
                    for c in range(values.size):
                        values[c] += tap_low * below[c] + tap_high * above[c]
