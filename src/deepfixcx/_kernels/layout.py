"""From sums over rows of a cell to the numbers of a code, in the order of the code.

Sums stand as pixels do, block beside block, while in a code each band stands for itself. So the
blocks of a cell are added up, whole cells beside each other, and then turned around, eight cells
and eight bands at a time.
"""

from __future__ import annotations

import numba
import numpy as np

from deepfixcx._kernels.vectors import (
    LANES,
    TURNED,
    VECTOR_BYTES,
    adder,
    parter,
    transposer,
)

__all__ = ["HELD_NUMBERS", "add_blocks", "aligned", "band_numbers", "gather", "lay_out"]
__all__ += ["lay_out_pairs", "sum_of"]

HELD_NUMBERS = 1 << 17
"""Numbers of several rows of cells turned around at once: 512 KB, in a second-level cache."""

_add_2, _add_4, _add_8, _add_vector = adder(2), adder(4), adder(8), adder(LANES)
_part, _transpose = parter(), transposer()


@numba.njit(nogil=True)
def aligned(rows, columns):
    """Return float32 (rows, at least columns) whose rows begin with cache lines."""
    wide = (-(-columns // LANES) | 1) * LANES
    space = np.empty(rows * wide + LANES, np.float32)
    ahead = -(space.ctypes.data // 4) % LANES
    return space[ahead : ahead + rows * wide].reshape(rows, wide)


@numba.njit(nogil=True)
def band_numbers(level):
    """Band of each place (row * 2**J + column) of a block: base-4 digits, the first split first."""
    block = 1 << level
    numbers = np.zeros(block * block, np.int64)
    for row in range(block):
        for column in range(block):
            number = 0
            for split in range(level):
                number = 4 * number + 2 * ((row >> split) & 1) + ((column >> split) & 1)
            numbers[(row << level) + column] = number
    return numbers


@numba.njit(nogil=True)
def add_blocks(sums, numbers, first, columns, level, tall):
    """Add up the blocks of each cell of `sums` (tall, W) into rows of `numbers` from `first` on."""
    starts, stops, _ = columns
    sums_at, step = sums.ctypes.data, sums.strides[0]
    row = numbers.strides[0]
    numbers_at = numbers.ctypes.data + first * row
    numbers[first : first + starts.size] = 0
    for p in range(tall):
        source, target = sums_at + p * step, numbers_at + (4 * p << level)
        for j in range(starts.size):
            for c in range(starts[j], stops[j]):
                _add_block(numbers, source + (4 * c << level), target + j * row, level)


@numba.njit(nogil=True)
def _add_block(numbers, source, target, level):
    if level == 2:
        _add_4(numbers, source, target)
    elif level == 3:
        _add_8(numbers, source, target)
    elif level == 1:
        _add_2(numbers, source, target)
    else:
        for t in range(0, 4 << level, VECTOR_BYTES):
            _add_vector(numbers, source + t, target + t)


@numba.njit(nogil=True)
def lay_out(numbers, weights, bands, target):
    """Turn `numbers` (K, at least 4**J) of K cells, weighted, into `target` (4**J, K); J > 1."""
    whole = numbers.shape[0] // TURNED * TURNED
    step, row = numbers.strides[0], target.strides[0]
    low, middle, high = bands[1] * row, bands[2] * row, bands[4] * row
    numbers_at, weights_at, target_at = (
        numbers.ctypes.data,
        weights.ctypes.data,
        target.ctypes.data,
    )
    for q in range(0, bands.size, TURNED):
        for k in range(0, whole, TURNED):
            _transpose(
                numbers,
                numbers_at + k * step + 4 * q,
                step,
                2 * step,
                4 * step,
                weights_at + 4 * k,
                target_at + bands[q] * row + 4 * k,
                low,
                middle,
                high,
            )
    for k in range(whole, numbers.shape[0]):
        for q in range(bands.size):
            target[bands[q], k] = numbers[k, q] * weights[k]


@numba.njit(nogil=True)
def gather(source, bands, numbers, weight):
    """Turn `source` (4**J, K) into `numbers` (K, at least 4**J), weighted; J > 1."""
    whole = numbers.shape[0] // TURNED * TURNED
    step, row = numbers.strides[0], source.strides[0]
    low, middle, high = bands[1] * row, bands[2] * row, bands[4] * row
    weights = np.full(TURNED, weight, np.float32)
    numbers_at, weights_at, source_at = (
        numbers.ctypes.data,
        weights.ctypes.data,
        source.ctypes.data,
    )
    for q in range(0, bands.size, TURNED):
        for k in range(0, whole, TURNED):
            _transpose(
                numbers,
                source_at + bands[q] * row + 4 * k,
                low,
                middle,
                high,
                weights_at,
                numbers_at + k * step + 4 * q,
                step,
                2 * step,
                4 * step,
            )
    for k in range(whole, numbers.shape[0]):
        for q in range(bands.size):
            numbers[k, q] = source[bands[q], k] * weight


@numba.njit(nogil=True)
def lay_out_pairs(sums, pairs, columns, weights, code, n, i, addresses):
    """Fill row of cells `i` of image `n` at level 1, with no detour: a block has two columns."""
    starts, stops, _ = columns
    across = starts.size
    sums_at, pairs_at, weights_at, code_at = addresses
    several = stops[-1] != across
    whole = across // LANES * LANES
    for p in range(2):
        source = sums_at + p * sums.strides[0]
        if several:
            for j in range(across):
                pairs[2 * j] = 0
                pairs[2 * j + 1] = 0
                for c in range(starts[j], stops[j]):
                    _add_2(pairs, source + 8 * c, pairs_at + 8 * j)
            source = pairs_at
        low = code_at + n * code.strides[0] + 2 * p * code.strides[1] + i * code.strides[2]
        high = low + code.strides[1]
        for j in range(0, 4 * whole, VECTOR_BYTES):
            _part(pairs, source + 2 * j, weights_at + j, low + j, high + j)
        for j in range(whole, across):
            for t in range(2):
                number = pairs[2 * j + t] if several else sums[p, 2 * j + t]
                code[n, 2 * p + t, i, j] = number * weights[j]


@numba.njit(nogil=True, fastmath={"reassoc"})
def sum_of(numbers, columns):
    """Sum the first columns; it only shows whether all are finite, so their order is free."""
    total = np.float32(0)
    for k in range(numbers.shape[0]):
        for q in range(columns):
            total += numbers[k, q]
    return total
