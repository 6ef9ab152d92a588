"""Passes of Haar splits over a strip: along all its rows, or along all its columns.

A pass does one to three splits at once: eight vectors and what is made of them fit the registers.
It takes addresses, steps from row to row in bytes, and columns in vectors.
"""

from __future__ import annotations

from typing import Any

import numba

from deepfixcx._kernels.vectors import LANE_LEVELS, LANES, VECTOR_BYTES, pooler, splitter

__all__ = ["next_levels", "pool_columns", "pool_pixels", "pool_rows", "split_columns", "split_rows"]


def _over_rows(instruction: Any, levels: int) -> Any:
    """Make a pass over rows whose partners stand 2**done rows apart."""

    @numba.njit(nogil=True)
    def run(array, source, step, target, target_step, block, done, begin, end):
        ahead = LANES * array.itemsize
        apart = 1 << done
        for first in range(0, block, apart << levels):
            for row in range(first, first + apart):
                here, there = source + row * step, target + row * target_step
                for c in range(begin, end):
                    instruction(
                        array,
                        here + c * ahead,
                        step << done,
                        there + c * VECTOR_BYTES,
                        target_step << done,
                    )

    return run


def _over_columns(instruction: Any, levels: int) -> Any:
    """Make a pass over columns of float32 whose partners stand 2**done vectors apart."""

    @numba.njit(nogil=True)
    def run(array, source, step, target, target_step, block, done, begin, end):
        apart = 1 << done
        for row in range(block):
            here, there = source + row * step, target + row * target_step
            for first in range(begin, end, apart << levels):
                for c in range(first, first + apart):
                    instruction(
                        array,
                        here + c * VECTOR_BYTES,
                        VECTOR_BYTES << done,
                        there + c * VECTOR_BYTES,
                        VECTOR_BYTES << done,
                    )

    return run


def _choice(one: Any, two: Any, three: Any) -> Any:
    """Make a pass that does as many splits as it is told."""

    @numba.njit(nogil=True)
    def run(levels, array, source, step, target, target_step, block, done, begin, end):
        if levels == 1:
            one(array, source, step, target, target_step, block, done, begin, end)
        elif levels == 2:
            two(array, source, step, target, target_step, block, done, begin, end)
        else:
            three(array, source, step, target, target_step, block, done, begin, end)

    return run


PASSES = (1, 2, 3)
"""Splits that a pass can do."""

split_rows = _choice(*(_over_rows(splitter(n), n) for n in PASSES))
split_columns = _choice(*(_over_columns(splitter(n), n) for n in PASSES))
pool_rows = _choice(*(_over_rows(pooler(n, LANE_LEVELS), n) for n in PASSES))
pool_columns = _choice(*(_over_columns(pooler(n, LANE_LEVELS), n) for n in PASSES))
pool_pixels = _choice(*(_over_rows(pooler(n, n), n) for n in PASSES))


@numba.njit(nogil=True)
def next_levels(left):
    """Return the splits of the next pass where `left` are left: as few passes as can be."""
    return 3 if left == 3 or left > 4 else min(left, 2)
