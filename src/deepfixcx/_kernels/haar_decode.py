"""Haar reconstructions straight from a code, in one pass over the output.

Blocks of a Haar packet do not overlap, and all blocks of one cell are alike. So one block a cell is
computed and then copied to every place where it belongs. The numbers of a cell are brought together
first; then all 2 J splits, of rows and of columns, are butterflies between the bits of their places
(`vectors`), in the first-level cache and without moving anything.
"""

from __future__ import annotations

import numba
import numpy as np

from deepfixcx._kernels.haar import next_levels
from deepfixcx._kernels.layout import HELD_NUMBERS, aligned, band_numbers, gather
from deepfixcx._kernels.vectors import LANE_LEVELS, LANES, VECTOR_BYTES, copier, merger, weaver

__all__ = ["decode_haar", "lay_row", "merge_blocks"]

_begin_0, _begin_1 = merger(0, LANE_LEVELS), merger(1, LANE_LEVELS)
_begin_2, _begin_3 = merger(2, LANE_LEVELS), merger(3, LANE_LEVELS)
_merge_1, _merge_2, _merge_3 = merger(1, 0), merger(2, 0), merger(3, 0)
_copy_2, _copy_4, _copy_8, _copy_vector = copier(2), copier(4), copier(8), copier(LANES)
_weave = weaver()


@numba.njit(cache=True, nogil=True)
def decode_haar(values, images, rows, columns, level, start, stop):
    """Fill `images` (N, H, W) from contiguous `values` (N, 4**J, P, P), one coefficient a cell."""
    starts, stops, _ = columns
    patches, across = rows[0].size, starts.size
    bands = band_numbers(level)
    held = max(1, min(patches, HELD_NUMBERS // (across * bands.size)))
    blocks = aligned(held * across if level > 1 else 2, max(2 * across, bands.size))
    wide = aligned(1, (images.shape[2] + (1 << level) - 1) >> level << level)
    begin = start
    while begin < stop:
        n, first = divmod(begin, patches)
        last = min(patches, first + (held if level > 1 else 1), first + stop - begin)
        count = (last - first) * across
        if level == 1:
            _merge_row_of_blocks(values, n, first, blocks)
        else:
            source = values[n].reshape(bands.size, -1)[:, first * across : last * across]
            gather(source, bands, blocks[:count], np.float32(1 / (1 << level)))
            merge_blocks(blocks, count, 2 * level)
        for i in range(first, last):
            for p in range(1 << level):
                if level == 1:
                    _lay_pairs(blocks, p, wide, starts, stops)
                else:
                    lay_row(blocks, (i - first) * across, p, wide, starts, stops, level)
                for block_row in range(rows[0][i], rows[1][i]):
                    row = (block_row << level) + p
                    if row < images.shape[1]:
                        for c in range(images.shape[2]):
                            images[n, row, c] = wide[0, c]
        begin += last - first


@numba.njit(nogil=True)
def _merge_row_of_blocks(values, n, i, pixels):
    """Merge row of cells `i` at level 1 into `pixels` (2, at least 2 P), block beside block."""
    source = values.ctypes.data + n * values.strides[0] + i * values.strides[2]
    target = pixels.ctypes.data
    across, half = values.shape[3], np.float32(0.5)
    whole = across // LANES * LANES
    for j in range(0, 4 * whole, VECTOR_BYTES):
        _weave(values, source + j, values.strides[1], target + 2 * j, pixels.strides[0])
    for j in range(whole, across):
        a, v = half * values[n, 0, i, j], half * values[n, 1, i, j]
        h, d = half * values[n, 2, i, j], half * values[n, 3, i, j]
        pixels[0, 2 * j], pixels[0, 2 * j + 1] = (a - v) - (h - d), (a + v) - (h + d)
        pixels[1, 2 * j], pixels[1, 2 * j + 1] = (a - v) + (h - d), (a + v) + (h + d)


@numba.njit(nogil=True)
def merge_blocks(blocks, count, splits):
    """Undo all splits of each block, in place: 2**splits numbers, a bit of their places a split."""
    left = splits - LANE_LEVELS
    first = next_levels(left)
    for k in range(count):
        source = blocks.ctypes.data + k * blocks.strides[0]
        end = source + (4 << splits)
        for here in range(source, end, VECTOR_BYTES << first):
            if first == 0:
                _begin_0(blocks, here, VECTOR_BYTES)
            elif first == 1:
                _begin_1(blocks, here, VECTOR_BYTES)
            elif first == 2:
                _begin_2(blocks, here, VECTOR_BYTES)
            else:
                _begin_3(blocks, here, VECTOR_BYTES)
        done = first
        while done < left:
            levels = next_levels(left - done)
            step = VECTOR_BYTES << done
            for run in range(source, end, step << levels):
                for here in range(run, run + step, VECTOR_BYTES):
                    if levels == 1:
                        _merge_1(blocks, here, step)
                    elif levels == 2:
                        _merge_2(blocks, here, step)
                    else:
                        _merge_3(blocks, here, step)
            done += levels


@numba.njit(nogil=True)
def _lay_pairs(pixels, p, wide, starts, stops):
    """Repeat each pair of row p over the blocks of its cell."""
    if stops[-1] == starts.size:  # one block a cell
        for c in range(2 * starts.size):
            wide[0, c] = pixels[p, c]
        return
    for j in range(starts.size):
        for c in range(starts[j], stops[j]):
            wide[0, 2 * c] = pixels[p, 2 * j]
            wide[0, 2 * c + 1] = pixels[p, 2 * j + 1]


@numba.njit(nogil=True)
def lay_row(blocks, first, p, wide, starts, stops, level):
    """Lay row p of blocks beside each other, each as often as its cell has blocks in a row."""
    source = blocks.ctypes.data + first * blocks.strides[0] + (4 * p << level)
    target = wide.ctypes.data
    for j in range(starts.size):
        here = source + j * blocks.strides[0]
        for c in range(starts[j], stops[j]):
            there = target + (4 * c << level)
            if level == 2:
                _copy_4(blocks, here, there)
            elif level == 3:
                _copy_8(blocks, here, there)
            elif level == 1:
                _copy_2(blocks, here, there)
            else:
                for t in range(0, 4 << level, VECTOR_BYTES):
                    _copy_vector(blocks, here + t, there + t)
