"""Passes of Haar splits over a strip: along all its rows, or along all its columns.

A pass does one to three splits at once: eight vectors and what is made of them fit the registers.
It takes addresses, steps from row to row in bytes, and columns in vectors.
"""

from __future__ import annotations

from typing import Any

import numba

from deepfixcx._kernels.vectors import LANE_LEVELS, LANES, VECTOR_BYTES, pooler, splitter

__all__ = [
    "next_levels",
    "pool_columns",
    "pool_pixels",
    "pool_rows_and_lanes",
    "split_columns",
    "split_rows",
    "split_rows_and_lanes",
]


def _over_rows(one: Any, two: Any, three: Any) -> Any:
    """Make a pass over rows whose partners stand 2**done rows apart."""

    @numba.njit(nogil=True)
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

    return run


def _over_columns(one: Any, two: Any, three: Any) -> Any:
    """Make a pass over columns of float32 whose partners stand 2**done vectors apart."""

    @numba.njit(nogil=True)
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

    return run


PASSES = (1, 2, 3)
"""Splits that a pass can do."""

split_rows = _over_rows(*(splitter(n, 0) for n in PASSES))
split_rows_and_lanes = _over_rows(*(splitter(n, LANE_LEVELS) for n in PASSES))
pool_rows_and_lanes = _over_rows(*(pooler(n, LANE_LEVELS) for n in PASSES))
split_columns = _over_columns(*(splitter(n, 0) for n in PASSES))
pool_columns = _over_columns(*(pooler(n, 0) for n in PASSES))
pool_pixels = _over_rows(*(pooler(n, n) for n in PASSES))


@numba.njit(nogil=True)
def next_levels(left):
    """Return the splits of the next pass where `left` are left: as few passes as can be."""
    return 3 if left == 3 or left > 4 else min(left, 2)
