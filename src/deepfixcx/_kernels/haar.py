"""Haar packet and l1 pooling in one pass over the image, without ever holding the bands.

J Haar splits are one Walsh-Hadamard transform of each 2^J x 2^J block of pixels, so only sums and
differences are needed, and the factor 2^-J waits until the end. Signs do not matter under l1. The
work goes strip by strip, a strip being 2^J rows of pixels:

1. *Rows.* Sums and differences between the rows of a strip, up to three splits at a time. The
   first pass reads the image itself, whatever its dtype, so pixels are never copied.
2. *Columns.* Sums and differences between the lanes of a vector, then between vectors of one row,
   where they stand: nothing is de-interleaved, which costs more than the arithmetic.
3. *Absolute values* are added to sums over the rows of a cell, by the instruction that does the
   last splits. For levels 1 to 3 one instruction does everything from pixels to sums.
4. *Cells.* When the last strip of a row of cells is done, its blocks are added up cell by cell,
   and turned into the order of the code (`layout`).

Place (row, column) of a block then holds the frequencies whose bits are those of row and column,
the first split in bit 0. A strip is worked in panels that fit the first-level cache, and the next
strip is fetched from memory meanwhile, as is the part of the code that will be written: its bands
lie far apart, which no processor predicts.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from deepfixcx._kernels.layout import (
    HELD_NUMBERS,
    add_blocks,
    aligned,
    band_numbers,
    lay_out,
    lay_out_pairs,
    sum_of,
)
from deepfixcx._kernels.vectors import LANE_LEVELS, LANES, VECTOR_BYTES, pooler, splitter

__all__ = [
    "CACHE_LINE",
    "DIRECT_LEVELS",
    "compiled",
    "encode_haar_l1",
    "fill_edge",
    "next_levels",
    "over_rows",
    "prefetch_rows",
    "split_columns",
    "split_rows",
    "split_rows_and_lanes",
]

DIRECT_LEVELS = 3
"""Up to this level one instruction does all splits."""

PANEL_VALUES = 8192
"""Pixels of a panel: 32 KB, which fit a first-level cache."""

SCATTERED_LEVEL = 5
"""From this level on the code is fetched before it is written."""


@numba.njit(cache=True, nogil=True)
def encode_haar_l1(images, code, rows, columns, level, scale, start, stop):
    """Fill rows of cells of `code` (N, 4**J, P, P) from contiguous `images` (N, H, W)."""
    row_starts, row_stops, row_lengths = rows
    block, across = 1 << level, columns[0].size
    unit = max(block, LANES)
    wide = -(-images.shape[2] // unit) * unit
    edge = np.zeros((block, wide), images.dtype)
    strip = aligned(block if level > DIRECT_LEVELS else 1, wide)
    sums = aligned(block, wide)
    bands = band_numbers(level)
    held = max(1, min(row_starts.size, HELD_NUMBERS // (across * bands.size)))
    numbers = aligned(held * across if level > 1 else 1, bands.size)
    pairs = np.empty(2 * across, np.float32)
    weights = np.empty(held * across, np.float32)
    shares = (1 / columns[2]).astype(np.float32)
    addresses = (sums.ctypes.data, pairs.ctypes.data, weights.ctypes.data, code.ctypes.data)
    total = np.float32(0)
    begin = start
    while begin < stop:
        n, first = divmod(begin, row_starts.size)
        last = min(row_starts.size, first + (held if level > 1 else 1), first + stop - begin)
        strips = row_stops[last - 1] - row_starts[first]
        for i in range(first, last):
            sums[:] = 0
            for block_row in range(row_starts[i], row_stops[i]):
                prefetch_rows(images, n, (block_row + 1) << level, block)
                if level >= SCATTERED_LEVEL:
                    prefetch_code(code, n, block_row - row_starts[first], strips)
                _add_strip(images, n, block_row << level, edge, strip, sums, level)
            k = (i - first) * across
            weight = np.float32(scale / (block * row_lengths[i]))
            for j in range(across):
                weights[k + j] = weight * shares[j]
            if level > 1:
                add_blocks(sums, numbers, k, columns, level, block)
            else:
                lay_out_pairs(sums, pairs, columns, weights, code, n, i, addresses)
                total += sum_of(sums, 2 * across)
        if level > 1:
            count = (last - first) * across
            target = code[n].reshape(bands.size, -1)[:, first * across : last * across]
            lay_out(numbers[:count], weights, bands, target)
            total += sum_of(numbers[:count], bands.size)
        begin += last - first
    return total


@numba.njit(nogil=True)
def _add_strip(images, n, top, edge, strip, sums, level):
    """Split the strip that begins at row `top` and add its absolute values to `sums`."""
    height, width = images.shape[1], images.shape[2]
    block, wide = edge.shape[0], edge.shape[1] // LANES
    inside = width // LANES if top + block <= height else 0
    fill_edge(images, n, top, edge, inside * LANES)
    row, edge_row, step = width * images.itemsize, edge.strides[0], sums.strides[0]
    pixels, beyond = images.ctypes.data + (n * height + top) * row, edge.ctypes.data
    source, target = strip.ctypes.data, sums.ctypes.data
    if level <= DIRECT_LEVELS:
        pool_pixels(level, images, pixels, row, target, step, block, 0, 0, inside)
        pool_pixels(level, images, beyond, edge_row, target, step, block, 0, inside, wide)
        return
    levels = next_levels(level)
    narrow = max(1, PANEL_VALUES // (block * LANES))
    broad = max(narrow, block // LANES)
    for begin in range(0, wide, broad):
        end = min(wide, begin + broad)
        for b in range(begin, end, narrow):
            e = min(end, b + narrow)
            middle = max(b, min(inside, e))
            split_rows(levels, images, pixels, row, source, step, block, 0, b, middle)
            split_rows(levels, images, beyond, edge_row, source, step, block, 0, middle, e)
            _finish_rows(strip, source, target, step, level, b, e)
        _finish_columns(strip, source, target, step, level, begin, end)


@numba.njit(nogil=True)
def fill_edge(images, n, top, edge, left):
    """Copy pixels from column `left` on; the columns beyond the image are zero already."""
    for r in range(edge.shape[0]):
        for c in range(left, images.shape[2]):
            edge[r, c] = images[n, top + r, c] if top + r < images.shape[1] else 0


@numba.njit(nogil=True)
def _finish_rows(strip, source, target, step, level, begin, end):
    """Do the splits of rows that the first pass has left, and those within vectors."""
    block, done = 1 << level, next_levels(level)
    while done < level:
        levels = next_levels(level - done)
        if done + levels < level:
            split_rows(levels, strip, source, step, source, step, block, done, begin, end)
        elif level > LANE_LEVELS:
            split_rows_and_lanes(levels, strip, source, step, source, step, block, done, begin, end)
        else:  # nothing is left for columns
            pool_rows_and_lanes(levels, strip, source, step, target, step, block, done, begin, end)
        done += levels


@numba.njit(nogil=True)
def _finish_columns(strip, source, target, step, level, begin, end):
    """Do the splits of columns a vector or more apart, and the sums."""
    block, done, across = 1 << level, 0, level - LANE_LEVELS
    while done < across:
        levels = next_levels(across - done)
        if done + levels < across:
            split_columns(levels, strip, source, step, source, step, block, done, begin, end)
        else:
            pool_columns(levels, strip, source, step, target, step, block, done, begin, end)
        done += levels


# -- passes over a strip: along its rows or its columns; one to three splits at once, because eight
# vectors fit the registers; addresses and steps from row to row are in bytes, columns in vectors


def compiled(run: Any, name: str) -> Any:
    """Compile a pass under a name that no other pass has."""
    # numba names machine code by the name of a function, its types and a number that each process
    # counts anew. Code from the cache and code that is compiled later may have one number: with one
    # name for all passes, the linker took the first of them for the other.
    run.__qualname__ = run.__name__ = name
    return numba.njit(nogil=True)(run)


def over_rows(name: str, one: Any, two: Any, three: Any) -> Any:
    """Make a pass over rows whose partners stand 2**done rows apart."""

    def run(levels, array, source, step, target, target_step, block, done, begin, end):
        ahead = LANES * array.itemsize
        apart, far, target_far = 1 << done, step << done, target_step << done
        for first in range(0, block, apart << levels):
            for row in range(first, first + apart):
                for c in range(begin, end):
                    here = source + row * step + c * ahead
                    there = target + row * target_step + c * VECTOR_BYTES
                    if levels == 1:
                        one(array, here, far, there, target_far)
                    elif levels == 2:
                        two(array, here, far, there, target_far)
                    else:
                        three(array, here, far, there, target_far)

    return compiled(run, name)


def _over_columns(name: str, one: Any, two: Any, three: Any) -> Any:
    """Make a pass over columns of float32 whose partners stand 2**done vectors apart."""

    def run(levels, array, source, step, target, target_step, block, done, begin, end):
        apart, far = 1 << done, VECTOR_BYTES << done
        for row in range(block):
            for first in range(begin, end, apart << levels):
                for c in range(first, first + apart):
                    here = source + row * step + c * VECTOR_BYTES
                    there = target + row * target_step + c * VECTOR_BYTES
                    if levels == 1:
                        one(array, here, far, there, far)
                    elif levels == 2:
                        two(array, here, far, there, far)
                    else:
                        three(array, here, far, there, far)

    return compiled(run, name)


PASSES = (1, 2, 3)
"""Splits that a pass can do."""

split_rows = over_rows("split_rows", *(splitter(n, 0) for n in PASSES))
split_rows_and_lanes = over_rows(
    "split_rows_and_lanes", *(splitter(n, LANE_LEVELS) for n in PASSES)
)
pool_rows_and_lanes = over_rows("pool_rows_and_lanes", *(pooler(n, LANE_LEVELS) for n in PASSES))
split_columns = _over_columns("split_columns", *(splitter(n, 0) for n in PASSES))
pool_columns = _over_columns("pool_columns", *(pooler(n, 0) for n in PASSES))
pool_pixels = over_rows("pool_pixels", *(pooler(n, n) for n in PASSES))


@numba.njit(nogil=True)
def next_levels(left):
    """Return the splits of the next pass where `left` are left: as few passes as can be."""
    return 3 if left == 3 or left > 4 else min(left, 2)


# -- memory is fetched before it is needed, because processors predict neither short strips nor
# distant bands; at level 6 that doubled the speed; numba has no name for the instruction

CACHE_LINE = 64
READ, SOON, DATA = 0, 2, 1
"""Arguments of LLVM's prefetch: for reading, into the second-level cache, data."""


def _build_prefetch(_typing_context: Any, array: Any, _index: Any) -> Any:
    """Fetch the cache line of one element of a contiguous array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer_type = ir.IntType(8).as_pointer()
        number = ir.IntType(32)
        function = builder.module.declare_intrinsic(
            "llvm.prefetch",
            [pointer_type],
            ir.FunctionType(ir.VoidType(), [pointer_type, number, number, number]),
        )
        address = builder.bitcast(builder.gep(view.data, [arguments[1]]), pointer_type)
        builder.call(function, [address, number(READ), number(SOON), number(DATA)])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


_prefetch: Any = intrinsic(_build_prefetch)


@numba.njit(cache=True, nogil=True)
def prefetch_rows(images, n, top, rows):
    """Fetch `rows` rows of image `n` from `top` on, or the first ones of the next image."""
    if top >= images.shape[1]:
        n += 1
        top = 0
    if n < images.shape[0]:
        pixels = images[n, top : min(images.shape[1], top + rows)].reshape(-1)
        for c in range(0, pixels.size, CACHE_LINE // images.itemsize):
            _prefetch(pixels, c)


@numba.njit(nogil=True)
def prefetch_code(code, n, part, parts):
    """Fetch one of so many parts of the code of image `n`, which will be written soon."""
    numbers = code[n].reshape(-1)
    begin, end = numbers.size * part // parts, numbers.size * (part + 1) // parts
    for c in range(begin, end, CACHE_LINE // code.itemsize):
        _prefetch(numbers, c)
