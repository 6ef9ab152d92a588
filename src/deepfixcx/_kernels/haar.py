"""Haar packet and l1 pooling in one pass over the image, without ever holding the bands.

J Haar splits are one Walsh-Hadamard transform of each 2^J x 2^J block of pixels, so only sums and
differences are needed, and the factor 2^-J waits until the end. The work goes strip by strip, a
strip being 2^J rows of pixels, and every loop runs along whole rows so that the compiler can
vectorize it:

1. *Rows.* Sums and differences between the rows of a strip, J rounds in place. Row p of the strip
   then holds the vertical frequency whose bits are those of p, the first split in bit 0.
2. *Columns.* Each row is split J times into a low half and a high half. Segment s then holds the
   horizontal frequency s, the first split in the most significant bit. The last split adds absolute
   values to an accumulator instead of writing a row.
3. *Cells.* When the last strip of a row of cells is done, the accumulator holds sums over rows;
   each run of columns is added up and becomes one number of the code.

The strip and the accumulator take 2 * 2^J rows, so they stay in the cache.
"""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["encode_haar_l1"]

# Sums may be reordered so that they vectorize; NaN and infinity keep their meaning.
REORDER = {"reassoc", "contract", "nsz"}


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def encode_haar_l1(images, code, rows, columns, level, scale):  # type: ignore[no-untyped-def]
    """Fill `code` (N, 4**J, P, P) from `images` (N, H, W) of any real dtype.

    `rows` and `columns` are (starts, stops, lengths) of the cells; `scale` maps a pixel to [0, 1].
    """
    block = 1 << level
    height, width = images.shape[1], images.shape[2]
    blocks = (width + block - 1) >> level
    strip = np.zeros((block, blocks << level), np.float32)
    spare = np.zeros((2, blocks << level), np.float32)
    sums = np.zeros((block, blocks << level), np.float32)
    band_of = _band_numbers(level)
    row_starts, row_stops, row_lengths = rows
    for n in range(images.shape[0]):
        for i in range(row_starts.size):
            sums[:] = 0
            for block_row in range(row_starts[i], row_stops[i]):
                _load(images[n], block_row << level, strip, height, width)
                _split_rows(strip, level)
                for p in range(block):
                    _split_columns_into(strip[p], spare, sums[p], level, blocks)
            _collect(
                sums, code[n, :, i, :], columns, band_of, blocks, scale / (block * row_lengths[i])
            )


@numba.njit(cache=True, nogil=True)
def _band_numbers(level):  # type: ignore[no-untyped-def]
    """Band of (row p of the strip, segment s): base-4 digits, the first split first."""
    block = 1 << level
    numbers = np.zeros((block, block), np.int64)
    for p in range(block):
        for s in range(block):
            number = 0
            for split in range(level):
                vertical = (p >> split) & 1
                horizontal = (s >> (level - 1 - split)) & 1
                number = 4 * number + 2 * vertical + horizontal
            numbers[p, s] = number
    return numbers


@numba.njit(cache=True, nogil=True)
def _load(image, top, strip, height, width):  # type: ignore[no-untyped-def]
    """Copy one strip of pixels; rows below the image are zero, columns beyond it stay zero."""
    for r in range(strip.shape[0]):
        if top + r < height:
            for c in range(width):
                strip[r, c] = image[top + r, c]
        else:
            strip[r, :width] = 0


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def _split_rows(strip, level):  # type: ignore[no-untyped-def]
    for split in range(level):
        step = 1 << split
        for start in range(0, strip.shape[0], 2 * step):
            for r in range(start, start + step):
                upper, lower = strip[r], strip[r + step]
                for c in range(upper.size):
                    low = upper[c] + lower[c]
                    lower[c] = lower[c] - upper[c]
                    upper[c] = low


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def _split_columns_into(row, spare, sums, level, blocks):  # type: ignore[no-untyped-def]
    """Split a row J times and add the absolute values of its 2^J segments to `sums`."""
    source = row
    for split in range(level - 1):
        target = spare[split & 1]
        half = (row.size >> split) // 2
        for start in range(0, row.size, 2 * half):
            pairs = source[start : start + 2 * half]
            low, high = target[start : start + half], target[start + half : start + 2 * half]
            for c in range(half):
                low[c] = pairs[2 * c] + pairs[2 * c + 1]
                high[c] = pairs[2 * c + 1] - pairs[2 * c]
        source = target
    for start in range(0, row.size, 2 * blocks):
        pairs = source[start : start + 2 * blocks]
        low, high = sums[start : start + blocks], sums[start + blocks : start + 2 * blocks]
        for c in range(blocks):
            low[c] += abs(pairs[2 * c] + pairs[2 * c + 1])
            high[c] += abs(pairs[2 * c + 1] - pairs[2 * c])


@numba.njit(cache=True, nogil=True, fastmath=REORDER)
def _collect(sums, code_row, columns, band_of, blocks, scale):  # type: ignore[no-untyped-def]
    """Add up the columns of each cell: (2^J, 2^J segments) sums become one row of cells."""
    starts, stops, lengths = columns
    for p in range(sums.shape[0]):
        for s in range(sums.shape[0]):
            segment = sums[p, s * blocks : (s + 1) * blocks]
            band = band_of[p, s]
            for j in range(starts.size):
                total = np.float32(0)
                for c in range(starts[j], stops[j]):
                    total += segment[c]
                code_row[band, j] = total * scale / lengths[j]
