"""Haar packet and l1 pooling in one pass over the image, without ever holding the bands.

J Haar splits are one Walsh-Hadamard transform of each 2^J x 2^J block of pixels, so only sums and
differences are needed, and the factor 2^-J waits until the end. Signs do not matter under l1. The
work goes strip by strip, a strip being 2^J rows of pixels, and is laid out so that every inner loop
is long, reads and writes whole rows, and vectorizes:

1. *Rows.* Sums and differences between the rows of a strip, two splits at a time, in place. The
   first of these passes reads the image itself, whatever its dtype, so pixels are never copied. Row
   p of the strip then holds the vertical frequency whose bits are those of p, the first split in
   bit 0.
2. *Columns.* The rows of a strip lie end to end, in groups that fit the first-level cache. One pass
   writes the sums of neighbours into the first half of a buffer and their differences into the
   second; J such passes over the whole group (not over ever shorter parts of it) leave segment s
   with the horizontal frequency whose bits are those of s. The last pass adds absolute values to an
   accumulator instead of writing them.
3. *Cells.* When the last strip of a row of cells is done, the accumulator holds sums over rows;
   each run of columns is added up and becomes one number of the code.

While a strip is worked, the next one is fetched from memory.
"""

from __future__ import annotations

import numba
import numpy as np

from deepfixcx._kernels.prefetch import prefetch_rows

__all__ = ["REORDER", "band_numbers", "encode_haar_l1"]

# Sums may be reordered so that they vectorize; NaN and infinity keep their meaning.
REORDER = {"reassoc", "contract", "nsz"}

GROUP_VALUES = 4096
"""Most values of a group of rows: three such buffers fit a first-level cache of 48 KiB."""


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def encode_haar_l1(images, code, rows, columns, level, scale, start, stop):
    """Fill rows of cells of `code` (N, 4**J, P, P) from `images` (N, H, W) of any real dtype.

    `rows` and `columns` are (starts, stops, lengths) of the cells; `scale` maps a pixel to [0, 1].
    Rows of cells are counted through all images: `start` to `stop` of N * P. They are independent,
    so threads may share a single large image as well as a batch. Returns the sum of the numbers,
    which is not finite if one of them is not.
    """
    block = 1 << level
    width = images.shape[2]
    blocks = (width + block - 1) >> level
    group = _rows_of_a_group(block, blocks << level)
    strip = np.zeros((block, blocks << level), np.float32)
    groups = strip.reshape(block // group, -1)
    spare = np.zeros((2, groups.shape[1]), np.float32)
    sums = np.zeros(groups.shape, np.float32)
    bands = band_numbers(level, group)
    nothing = np.zeros(width, images.dtype)
    row_starts, row_stops, row_lengths = rows
    total = np.float32(0)
    for row_of_cells in range(start, stop):
        n, i = divmod(row_of_cells, row_starts.size)
        begin = True
        for block_row in range(row_starts[i], row_stops[i]):
            _load(images[n], block_row << level, strip, nothing, level)
            prefetch_rows(images, n, (block_row + 1) << level, block)
            _split_rows(strip, level)
            for g in range(groups.shape[0]):
                _split_columns(groups[g], spare, sums[g], level, begin)
            begin = False
        if begin:
            sums[:] = 0
        weight = np.float32(scale / (block * row_lengths[i]))
        for g in range(groups.shape[0]):
            total += _collect(sums[g], code[n, :, i, :], columns, bands[g], blocks, weight)
    return total


@numba.njit(cache=True, nogil=True)
def _rows_of_a_group(block, wide):
    group = block
    while group > 1 and group * wide > GROUP_VALUES:
        group //= 2
    return group


@numba.njit(cache=True, nogil=True)
def band_numbers(level, group):
    """Band of each (group, segment and row in it): base-4 digits, the first split first."""
    block = 1 << level
    numbers = np.zeros((block // group, block * group), np.int64)
    for p in range(block):
        for s in range(block):
            number = 0
            for split in range(level):
                number = 4 * number + 2 * ((p >> split) & 1) + ((s >> split) & 1)
            numbers[p // group, s * group + p % group] = number
    return numbers


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def _load(image, top, strip, nothing, level):
    """Read a strip and do its first one (J odd) or two splits of rows on the way.

    Rows below the image are `nothing`; columns beyond it stay zero. Choosing the row in a function
    of its own would cost a tenth of the speed.
    """
    height, width = image.shape
    if level % 2 == 1:
        for r in range(0, strip.shape[0], 2):
            x0 = image[top + r] if top + r < height else nothing
            x1 = image[top + r + 1] if top + r + 1 < height else nothing
            y0, y1 = strip[r], strip[r + 1]
            for c in range(width):
                a, b = np.float32(x0[c]), np.float32(x1[c])
                y0[c] = a + b
                y1[c] = b - a
    else:
        for r in range(0, strip.shape[0], 4):
            x0 = image[top + r] if top + r < height else nothing
            x1 = image[top + r + 1] if top + r + 1 < height else nothing
            x2 = image[top + r + 2] if top + r + 2 < height else nothing
            x3 = image[top + r + 3] if top + r + 3 < height else nothing
            y0, y1, y2, y3 = strip[r], strip[r + 1], strip[r + 2], strip[r + 3]
            for c in range(width):
                a, b = np.float32(x0[c]), np.float32(x1[c])
                d, e = np.float32(x2[c]), np.float32(x3[c])
                low, high, lower, higher = a + b, b - a, d + e, e - d
                y0[c] = low + lower
                y1[c] = high + higher
                y2[c] = lower - low
                y3[c] = higher - high


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def _split_rows(strip, level):
    """Do the splits of rows that `_load` left, two at a time."""
    for split in range(2 - level % 2, level, 2):
        step = 1 << split
        for start in range(0, strip.shape[0], 4 * step):
            for r in range(start, start + step):
                y0, y1 = strip[r], strip[r + step]
                y2, y3 = strip[r + 2 * step], strip[r + 3 * step]
                for c in range(y0.size):
                    low, high = y0[c] + y1[c], y1[c] - y0[c]
                    lower, higher = y2[c] + y3[c], y3[c] - y2[c]
                    y0[c] = low + lower
                    y1[c] = high + higher
                    y2[c] = lower - low
                    y3[c] = higher - high


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def _split_columns(row, spare, sums, level, begin):
    """Split the columns of a group J times and add the absolute values to `sums`, or begin them."""
    half = row.size // 2
    source = row
    for split in range(level - 1):
        target = spare[split & 1]
        low, high = target[:half], target[half:]
        for c in range(half):
            low[c] = source[2 * c] + source[2 * c + 1]
            high[c] = source[2 * c + 1] - source[2 * c]
        source = target
    low, high = sums[:half], sums[half:]
    if begin:
        for c in range(half):
            low[c] = abs(source[2 * c] + source[2 * c + 1])
            high[c] = abs(source[2 * c + 1] - source[2 * c])
    else:
        for c in range(half):
            low[c] += abs(source[2 * c] + source[2 * c + 1])
            high[c] += abs(source[2 * c + 1] - source[2 * c])


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def _collect(sums, code_row, columns, bands, blocks, weight):
    """Add up the columns of each cell, lay them where their band stands, and return their sum."""
    starts, stops, lengths = columns
    one_column_each = blocks == starts.size and lengths.max() == 1
    everything = np.float32(0)
    for q in range(bands.size):
        segment = sums[q * blocks : (q + 1) * blocks]
        target = code_row[bands[q]]
        if one_column_each:
            for j in range(blocks):
                target[j] = segment[j] * weight
                everything += segment[j]
        else:
            for j in range(starts.size):
                total = np.float32(0)
                for c in range(starts[j], stops[j]):
                    total += segment[c]
                target[j] = total * (weight / np.float32(lengths[j]))
                everything += total
    return everything * weight
