"""Any wavelet, any pooling: image to code and back with the bands of one strip at a time.

The splits of a strip follow each other while it is still in the cache, and no array of bands is
made for the whole batch. A strip is cut with a margin of rows on both sides, wide enough that what
the filters see beyond its ends never reaches the rows that are pooled. Where one row of cells is
too large for that, as in a huge image with few cells, it is worked in parts that are added up.
"""

from __future__ import annotations

import numba
import numpy as np

from deepfixcx._kernels.cells import begin_cells, end_cells, pool_bands, pool_part
from deepfixcx._kernels.filters import REORDER, merge, split

__all__ = ["decode_packet", "encode_packet"]


@numba.njit(cache=True, nogil=True)
def encode_packet(
    images, code, rows, columns, strips, most, margin, level, scale, bank, periodic, kinds,
    start, stop,
):  # fmt: skip
    """Fill `code` (F, N, 4**J, P, P) from `images` (N, H, W) of any real dtype."""
    band_rows = (images.shape[1] + (1 << level) - 1) >> level
    longest = _most_rows(rows, strips, most)
    wide = ((images.shape[2] + (1 << level) - 1) >> level) << level
    size = min(longest + 2 * margin, band_rows) * wide << level
    buffers = np.empty(size, np.float32), np.empty(size, np.float32)
    running = np.empty((kinds.size, 1 << 2 * level, columns[0].size), np.float64)
    total = np.float32(0)
    for strip in range(start, stop):
        n, t = divmod(strip, strips.size - 1)
        first, last = strips[t], strips[t + 1]
        begin, end = rows[0][first], rows[1][last - 1]
        whole = last - first > 1 or end - begin <= most
        if not whole:
            begin_cells(running, kinds)
        for part in range(begin, max(end, begin + 1), longest):
            part_end = min(end, part + longest)
            top = max(0, part - margin)
            bottom = min(band_rows, part_end + margin)
            pixels = images[n, top << level : min(images.shape[1], bottom << level)]
            added, bands = _decompose(pixels, buffers, level, scale, bank, periodic)
            total += added
            for f in range(kinds.size):
                if whole:
                    pool_bands(bands, code[f, n], rows, columns, kinds[f], first, last, top)
                else:
                    pool_part(bands[:, part - top : part_end - top], running[f], columns, kinds[f])
        if not whole:
            for f in range(kinds.size):
                end_cells(running[f], code[f, n], rows, columns, kinds[f], first)
    return total


@numba.njit(cache=True, nogil=True)
def _decompose(pixels, buffers, level, scale, bank, periodic):
    """Return the sum of the pixels, and their bands (4**J, h, w) in one of the two buffers."""
    low, high, offset = bank
    here, there = buffers
    bands = here[: pixels.size].reshape(1, pixels.shape[0], pixels.shape[1])
    total = _load(pixels, bands[0], scale)
    for _ in range(level):
        count, h, w = bands.shape[0], (bands.shape[1] + 1) // 2, (bands.shape[2] + 1) // 2
        subbands = there[: 4 * count * h * w].reshape(count, 4, h, w)
        split(bands, subbands, low, high, offset, periodic)
        bands = subbands.reshape(4 * count, h, w)
        here, there = there, here
    return total, bands


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def _load(pixels, band, scale):
    """Copy pixels of any dtype, scaled to [0, 1], and return their sum."""
    total = np.float32(0)
    for r in range(pixels.shape[0]):
        for c in range(pixels.shape[1]):
            x = np.float32(pixels[r, c]) * scale
            band[r, c] = x
            total += x
    return total


@numba.njit(cache=True, nogil=True)
def _most_rows(rows, strips, most):
    """Rows of bands that are worked at once: of the longest strip, or of a part of one."""
    longest = 1
    for t in range(strips.size - 1):
        length = rows[1][strips[t + 1] - 1] - rows[0][strips[t]]
        longest = max(longest, length if strips[t + 1] - strips[t] > 1 else min(length, most))
    return longest


@numba.njit(cache=True, nogil=True)
def decode_packet(values, images, row_of, column_of, level, bank, periodic, start, stop):
    """Fill images `start` to `stop` of `images` (N, H, W) from `values` (N, 4**J, P, P)."""
    low, high, offset = bank
    height, width = images.shape[1], images.shape[2]
    size = values.shape[1] * row_of.size * column_of.size
    here, there = np.empty(size, np.float32), np.empty(size, np.float32)
    for n in range(start, stop):
        bands = here.reshape(values.shape[1], row_of.size, column_of.size)
        for band in range(values.shape[1]):
            for r in range(row_of.size):
                source, target = values[n, band, row_of[r]], bands[band, r]
                for c in range(column_of.size):
                    target[c] = source[column_of[c]]
        for split_ in range(level - 1, 0, -1):
            count = bands.shape[0] // 4
            subbands = bands.reshape(count, 4, bands.shape[1], bands.shape[2])
            h = (height + (1 << split_) - 1) >> split_
            w = (width + (1 << split_) - 1) >> split_
            bands = there[: count * h * w].reshape(count, h, w)
            merge(subbands, bands, low, high, offset, periodic)
            here, there = there, here
        subbands = bands.reshape(1, 4, bands.shape[1], bands.shape[2])
        merge(subbands, images[n : n + 1], low, high, offset, periodic)
