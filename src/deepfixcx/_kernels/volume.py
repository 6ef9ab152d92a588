"""Haar packets of volumes: into a code in one pass over the voxels, and back from a code.

A block of a volume is 2^J_z slices of 2^J rows and columns. Laid below each other, the rows of its
slices are a taller strip of an image: splits along slices are splits between rows that stand 2^J
apart, and everything after them is done by the passes for images (`haar`, `haar_decode`). Place
(slice, row, column) of a block holds the frequencies whose bits are those of the three numbers,
the first split in bit 0; a band has 8 children for the first J_z splits and 4 for the others.

Cubes of 2 and 4 voxels a side are split by one instruction from pixels to sums. The rows of the
block row that follows are fetched between the splits: in one burst, or not at all, memory was as
slow as all arithmetic, because processors do not follow so many short rows.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from deepfixcx._kernels.haar import (
    CACHE_LINE,
    DIRECT_LEVELS,
    compiled,
    fill_edge,
    next_levels,
    over_rows,
    split_columns,
    split_rows,
    split_rows_and_lanes,
)
from deepfixcx._kernels.haar_decode import lay_row, merge_blocks
from deepfixcx._kernels.layout import (
    add_blocks,
    aligned,
    gather,
    lay_out,
    sum_of,
)
from deepfixcx._kernels.vectors import (
    LANE_LEVELS,
    LANES,
    VECTOR_BYTES,
    block_pooler,
    fetcher,
    pooler,
    splitter,
)

__all__ = ["decode_haar_volumes", "encode_haar_volumes"]

SMALLEST_TURNED = 8
"""Numbers of a block from which on several cells are turned around at once."""

HELD_CELLS = 1 << 15
"""Numbers of several rows of cells turned around at once: 128 KB, which leave room for voxels."""

PANEL_VALUES = 4096
"""Voxels of a panel: 16 KB, so that its sums fit the first-level cache beside it."""

CUBE_LEVEL = 2
"""Up to this level one instruction does all splits, where slices are split as often as rows."""

FETCHED = 8
"""Rows whose lines are fetched by one instruction."""

_fetch, _fetch_rows = fetcher(1), fetcher(FETCHED)
_split_pixels = over_rows("split_voxels", *(splitter(n, n) for n in (1, 2, 3)))
_pool_rows = over_rows("pool_slices", *(pooler(n, 0) for n in (1, 2, 3)))
_pool_row = over_rows("pool_slice", *(pooler(0, 0) for _ in range(3)))


def _over_cubes(name: str, level: int) -> Any:
    """Make a pass that splits cubes of 2**level and adds their absolute values to sums.

    Vectors of one cache line take turns to fetch slices of the block row that follows.
    """
    pool, fetch, side = block_pooler(level), fetcher(1 << level), 1 << level

    def run(array, source, row, slice_step, target, step, begin, end, following):
        ahead, far, far_slice = following
        width = LANES * array.itemsize
        turns = max(1, CACHE_LINE // width)
        for c in range(begin, end):
            line = ahead + c * width // CACHE_LINE * CACHE_LINE
            for s in range(c & turns - 1, side, turns):
                fetch(array, line + s * far_slice, far)
            pool(array, source + c * width, row, slice_step, target + c * VECTOR_BYTES, step)

    return compiled(run, name)


_pool_cubes_1, _pool_cubes_2 = _over_cubes("pool_cubes_1", 1), _over_cubes("pool_cubes_2", 2)


@numba.njit(cache=True, nogil=True)
def encode_haar_volumes(volumes, code, slices, rows, columns, levels, scale, start, stop):
    """Fill rows of cells of `code` (N, bands, P_z, P, P) from contiguous `volumes` (N, D, H, W)."""
    level_z, level = levels
    depth, down, across = volumes.shape[1], rows[0].size, columns[0].size
    images = volumes.reshape(-1, volumes.shape[2], volumes.shape[3])
    tall = 1 << level_z + level
    unit = max(1 << level, LANES)
    wide = -(-images.shape[2] // unit) * unit
    edge = np.zeros((tall, wide), images.dtype)
    strip, sums = aligned(tall, wide), aligned(tall, wide)
    bands = band_numbers_of_volumes(level_z, level)
    held = max(1, min(slices[0].size * down, HELD_CELLS // (across * bands.size)))
    numbers = aligned(held * across, max(bands.size, LANES))
    weights = np.empty(held * across, np.float32)
    factor = scale / np.sqrt(np.float64(bands.size))
    total = np.float32(0)
    begin = start
    while begin < stop:
        n, first = divmod(begin, slices[0].size * down)
        last = min(slices[0].size * down, first + held, first + stop - begin)
        for i in range(first, last):
            i_z, i_y = divmod(i, down)
            sums[:] = 0
            for z in range(slices[0][i_z], slices[1][i_z]):
                for y in range(rows[0][i_y], rows[1][i_y]):
                    following = _next_block_row(slices, rows, i_z, i_y, z, y)
                    places = n * depth, depth, z, y, following
                    _add_block_row(images, places, edge, strip, sums, levels)
            k = (i - first) * across
            for j in range(across):
                members = slices[2][i_z] * rows[2][i_y] * columns[2][j]
                weights[k + j] = factor / members
            add_blocks(sums, numbers, k, columns, level, tall)
        count = (last - first) * across
        target = code[n].reshape(bands.size, -1)[:, first * across : last * across]
        if bands.size >= SMALLEST_TURNED:
            lay_out(numbers[:count], weights, bands, target)
        else:
            for k in range(count):
                for q in range(bands.size):
                    target[bands[q], k] = numbers[k, q] * weights[k]
        total += sum_of(numbers[:count], bands.size)
        begin += last - first
    return total


@numba.njit(nogil=True)
def band_numbers_of_volumes(level_z, level):
    """Band of each place ((slice * 2**J + row) * 2**J + column) of a block."""
    numbers = np.zeros(1 << level_z + 2 * level, np.int64)
    for place in range(numbers.size):
        column, row, slice_ = place, place >> level, place >> 2 * level
        number = 0
        for split in range(level):
            if split < level_z:
                number = 2 * number + (slice_ >> split & 1)
            number = 4 * number + 2 * (row >> split & 1) + (column >> split & 1)
        numbers[place] = number
    return numbers


@numba.njit(nogil=True)
def _next_block_row(slices, rows, i_z, i_y, z, y):
    """Return slice and row of the block row that is read next, within the cells or below them."""
    if y + 1 < rows[1][i_y]:
        return z, y + 1
    if z + 1 < slices[1][i_z]:
        return z + 1, rows[0][i_y]
    return slices[0][i_z], rows[1][i_y]


@numba.njit(nogil=True)
def _add_block_row(images, places, edge, strip, sums, levels):
    """Split one row of blocks and add its absolute values to `sums`; fetch the following one."""
    first, depth, z, y, following = places
    level_z, level = levels
    height, width, block = images.shape[1], images.shape[2], 1 << level
    wide, top = edge.shape[1] // LANES, y << level
    row, edge_row = width * images.itemsize, edge.strides[0]
    cubes = level_z == level and level <= CUBE_LEVEL
    deep = (z + 1) << level_z <= depth
    inside = width // LANES if top + block <= height else 0
    whole = deep and inside * LANES == width  # arrays of parts would take longer than a split
    for s in range(0 if whole else 1 << level_z):
        part = edge[s * block : (s + 1) * block]
        if (z << level_z) + s < depth:
            left = inside * LANES if deep or not cubes else 0
            fill_edge(images, first + (z << level_z) + s, top, part, left)
        else:
            part[:, :width] = 0
    pixels = images.ctypes.data + ((first + (z << level_z)) * height + top) * row
    next_z, next_y = following
    down = (next_z - z << level_z) * height + (next_y - y << level)
    ahead = pixels + down * row
    if not cubes:
        at = pixels, ahead, depth - (z << level_z), inside
        _add_panels(images, at, edge, strip, sums, levels)
        return
    inside = inside if deep else 0
    target, step = sums.ctypes.data, sums.strides[0]
    apart = ahead, row, height * row
    beyond, below = edge.ctypes.data, block * edge_row
    if level == 1:
        _pool_cubes_1(images, pixels, row, height * row, target, step, 0, inside, apart)
        _pool_cubes_1(images, beyond, edge_row, below, target, step, inside, wide, apart)
    else:
        _pool_cubes_2(images, pixels, row, height * row, target, step, 0, inside, apart)
        _pool_cubes_2(images, beyond, edge_row, below, target, step, inside, wide, apart)


@numba.njit(nogil=True)
def _add_panels(images, at, edge, strip, sums, levels):
    """Split slice by slice, then between slices, panel by panel."""
    pixels, ahead, depth, inside = at
    level_z, level = levels
    height, width, block = images.shape[1], images.shape[2], 1 << level
    tall, wide = edge.shape[0], edge.shape[1] // LANES
    step, row, edge_row = strip.strides[0], width * images.itemsize, edge.strides[0]
    source, target = strip.ctypes.data, sums.ctypes.data
    narrow = max(1, PANEL_VALUES // (tall * LANES))
    broad = max(narrow, block // LANES)
    width_of_vector = LANES * images.itemsize
    for begin in range(0, wide, broad):
        end = min(wide, begin + broad)
        for s in range(1 << level_z):
            middle = max(begin, min(inside if s < depth else 0, end))
            apart = s * height * row
            beyond = edge.ctypes.data + s * block * edge_row
            here = source + s * block * step
            places = here, step, block
            for c in range(begin * width_of_vector, end * width_of_vector, CACHE_LINE):
                line = ahead + apart + c
                for r in range(0, block // FETCHED * FETCHED, FETCHED):
                    _fetch_rows(images, line + r * row, row)
                for r in range(block // FETCHED * FETCHED, block):
                    _fetch(images, line + r * row, row)
            _split_slice(images, pixels + apart, row, places, level, begin, middle)
            _split_slice(images, beyond, edge_row, places, level, middle, end)
            _finish_slice(strip, places, level, begin, end)
        done = 0
        while level_z - done > 3:
            split_rows(2, strip, source, step, source, step, tall, level + done, begin, end)
            done += 2
        left, done = level_z - done, level + done
        if left == 0:
            _pool_row(0, strip, source, step, target, step, tall, 0, begin, end)
        else:
            _pool_rows(left, strip, source, step, target, step, tall, done, begin, end)


@numba.njit(nogil=True)
def _split_slice(pixels, source, row, places, level, begin, end):
    """Do the first splits of one slice, from pixels of any dtype into the strip."""
    here, step, block = places
    if level <= DIRECT_LEVELS:
        _split_pixels(level, pixels, source, row, here, step, block, 0, begin, end)
    else:
        split_rows(next_levels(level), pixels, source, row, here, step, block, 0, begin, end)


@numba.njit(nogil=True)
def _finish_slice(strip, places, level, begin, end):
    """Do the splits of rows and columns of one slice that the first pass has left."""
    here, step, block = places
    if level <= DIRECT_LEVELS:
        return
    done = next_levels(level)
    while done < level:
        levels = next_levels(level - done)
        if done + levels < level:
            split_rows(levels, strip, here, step, here, step, block, done, begin, end)
        else:
            split_rows_and_lanes(levels, strip, here, step, here, step, block, done, begin, end)
        done += levels
    done = 0
    while done < level - LANE_LEVELS:
        levels = next_levels(level - LANE_LEVELS - done)
        split_columns(levels, strip, here, step, here, step, block, done, begin, end)
        done += levels


@numba.njit(cache=True, nogil=True)
def decode_haar_volumes(values, volumes, slices, rows, columns, levels, start, stop):
    """Fill `volumes` (N, D, H, W) from contiguous `values` (N, bands, P_z, P, P)."""
    level_z, level = levels
    starts, stops, _ = columns
    depth, height, width = volumes.shape[1], volumes.shape[2], volumes.shape[3]
    down, across = rows[0].size, starts.size
    bands = band_numbers_of_volumes(level_z, level)
    held = max(1, min(slices[0].size * down, HELD_CELLS // (across * bands.size)))
    blocks = aligned(held * across, max(bands.size, LANES))
    wide = aligned(1, (width + (1 << level) - 1) >> level << level)
    weight = np.float32(1 / np.sqrt(np.float64(bands.size)))
    begin = start
    while begin < stop:
        n, first = divmod(begin, slices[0].size * down)
        last = min(slices[0].size * down, first + held, first + stop - begin)
        count = (last - first) * across
        source = values[n].reshape(bands.size, -1)[:, first * across : last * across]
        if level_z + 2 * level >= LANE_LEVELS and bands.size >= SMALLEST_TURNED:
            gather(source, bands, blocks[:count], weight)
            merge_blocks(blocks, count, level_z + 2 * level)
        else:
            _merge_small_blocks(source, bands, blocks, weight)
        for i in range(first, last):
            i_z, i_y = divmod(i, down)
            for p in range(1 << level_z + level):
                lay_row(blocks, (i - first) * across, p, wide, starts, stops, level)
                for z in range(slices[0][i_z], slices[1][i_z]):
                    slice_ = (z << level_z) + (p >> level)
                    for y in range(rows[0][i_y], rows[1][i_y]):
                        row = (y << level) + (p & (1 << level) - 1)
                        if slice_ < depth and row < height:
                            for c in range(width):
                                volumes[n, slice_, row, c] = wide[0, c]
        begin += last - first


@numba.njit(nogil=True)
def _merge_small_blocks(source, bands, blocks, weight):
    """Gather and merge blocks of fewer numbers than a vector has lanes."""
    for k in range(source.shape[1]):
        for q in range(bands.size):
            blocks[k, q] = source[bands[q], k] * weight
        bit = 1
        while bit < bands.size:
            for q in range(bands.size):
                if not q & bit:
                    low, high = blocks[k, q], blocks[k, q | bit]
                    blocks[k, q], blocks[k, q | bit] = low - high, low + high
            bit *= 2
