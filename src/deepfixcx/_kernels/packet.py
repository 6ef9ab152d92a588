"""Any wavelet, any pooling: image to code and back with the bands of one strip at a time.

The splits of a strip follow each other while it is still in the cache, and no array of bands is
made for the whole batch. A strip is cut with a margin of rows on both sides, wide enough that what
the filters see beyond its ends never reaches the rows that are pooled.
"""

from __future__ import annotations

import numba
import numpy as np

from deepfixcx._kernels.cells import pool_bands
from deepfixcx._kernels.merging import merge
from deepfixcx._kernels.separable import REORDER, split

__all__ = ["decode_packet", "encode_packet"]


@numba.njit(cache=True, nogil=True)
def encode_packet(
    images, code, rows, columns, strips, margin, level, scale, bank, periodic, kinds, start, stop
):
    """Fill `code` (F, N, 4**J, P, P) from `images` (N, H, W) of any real dtype.

    `strips` (S + 1,) are the rows of cells at which strips begin and end; they are counted through
    all images, `start` to `stop` of N * S. `margin` is in rows of bands, `bank` the analysis
    filters and their offset. Returns the sum of the pixels, which is not finite if one is not.
    """
    low, high, offset = bank
    height, width = images.shape[1], images.shape[2]
    band_rows = (height + (1 << level) - 1) >> level
    longest = _longest_strip(rows, strips, margin, band_rows) << level
    wide = ((width + (1 << level) - 1) >> level) << level
    here, there = np.empty(longest * wide, np.float32), np.empty(longest * wide, np.float32)
    total = np.float32(0)
    for strip in range(start, stop):
        n, t = divmod(strip, strips.size - 1)
        first, last = strips[t], strips[t + 1]
        top = max(0, rows[0][first] - margin)
        bottom = min(band_rows, rows[1][last - 1] + margin)
        pixels = images[n, top << level : min(height, bottom << level)]
        bands = here[: pixels.size].reshape(1, pixels.shape[0], width)
        total += _load(pixels, bands[0], scale)
        for _ in range(level):
            count, h, w = bands.shape[0], (bands.shape[1] + 1) // 2, (bands.shape[2] + 1) // 2
            subbands = there[: 4 * count * h * w].reshape(count, 4, h, w)
            split(bands, subbands, low, high, offset, periodic)
            bands = subbands.reshape(4 * count, h, w)
            here, there = there, here
        for f in range(kinds.size):
            pool_bands(bands, code[f, n], rows, columns, kinds[f], first, last, top)
    return total


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
def _longest_strip(rows, strips, margin, band_rows):
    longest = 0
    for t in range(strips.size - 1):
        length = rows[1][strips[t + 1] - 1] - rows[0][strips[t]] + 2 * margin
        longest = max(longest, length)
    return min(longest, band_rows)


@numba.njit(cache=True, nogil=True)
def decode_packet(values, images, row_of, column_of, level, bank, periodic, start, stop):
    """Fill images `start` to `stop` of `images` (N, H, W) from `values` (N, 4**J, P, P).

    `row_of` and `column_of` name the cell of each row and column of a band.
    """
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
