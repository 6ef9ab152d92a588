"""Haar reconstructions straight from a code, in one pass over the output.

Blocks of a Haar packet do not overlap, and all blocks of one cell are alike. So one block a cell is
computed, by the steps of `haar` backwards, and then written to every place where it belongs.
"""

from __future__ import annotations

import numba
import numpy as np

from deepfixcx._kernels.haar import REORDER, band_numbers

__all__ = ["decode_haar"]


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def decode_haar(values, images, rows, source_columns, level, start, stop):
    """Fill `images` (N, H, W) from `values` (N, 4**J, P, P), one coefficient a cell.

    `rows` are (starts, stops, lengths) of the cells in rows of blocks; `source_columns` (W,) names,
    for each column, that of the P * 2**J columns which hold one block a cell. Rows of cells are
    counted through all images: `start` to `stop` of N * P.
    """
    block = 1 << level
    patches = values.shape[3]
    strip = np.empty((block, patches << level), np.float32)
    spare = np.empty((2, patches << level), np.float32)
    wide = np.empty(images.shape[2], np.float32)
    bands = band_numbers(level, block)[0]
    row_starts, row_stops, _ = rows
    for row_of_cells in range(start, stop):
        n, i = divmod(row_of_cells, row_starts.size)
        for p in range(block):
            for s in range(block):
                source = values[n, bands[s * block + p], i]
                target = strip[p, s * patches : (s + 1) * patches]
                for j in range(patches):
                    target[j] = source[j] / block
            _merge_columns(strip[p], spare, level)
        _merge_rows(strip, level)
        for p in range(block):
            first = (row_starts[i] << level) + p
            if first < images.shape[1]:
                for c in range(wide.size):
                    wide[c] = strip[p, source_columns[c]]
                for r in range(first, min(row_stops[i] << level, images.shape[1]), block):
                    images[n, r] = wide


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def _merge_columns(row, spare, level):
    """Undo the J splits of columns of one row, in place."""
    half = row.size // 2
    source = row
    for split in range(level):
        target = row if split == level - 1 and level > 1 else spare[split & 1]
        low, high = source[:half], source[half:]
        for c in range(half):
            target[2 * c] = low[c] - high[c]
            target[2 * c + 1] = low[c] + high[c]
        source = target
    if level == 1:
        row[:] = source


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def _merge_rows(strip, level):
    """Undo the J splits of rows of a strip, in place."""
    for split in range(level - 1, -1, -1):
        step = 1 << split
        for start in range(0, strip.shape[0], 2 * step):
            for r in range(start, start + step):
                y0, y1 = strip[r], strip[r + step]
                for c in range(y0.size):
                    low, high = y0[c], y1[c]
                    y0[c] = low - high
                    y1[c] = low + high
