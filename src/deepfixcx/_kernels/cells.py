"""Pool the cells of bands into numbers, one kind of pooling at a time."""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["KINDS", "pool_bands"]

KINDS = {
    "l1": 0,
    "l2": 1,
    "sum": 2,
    "sum_pos": 3,
    "sum_neg": 4,
    "max": 5,
    "min": 6,
    "median": 7,
}
"""Number of each pooling in the kernel: up to 4 they are means, from 5 order statistics."""


@numba.njit(cache=True, nogil=True)
def pool_bands(bands, code, rows, columns, kind):  # type: ignore[no-untyped-def]
    """Fill `code` (N, P, P) from `bands` (N, h, w); the padded grid's zeros are members too."""
    row_starts, row_stops, row_lengths = rows
    column_starts, column_stops, column_lengths = columns
    members = np.empty(row_lengths.max() * column_lengths.max(), np.float32)
    for n in range(bands.shape[0]):
        for i in range(row_starts.size):
            for j in range(column_starts.size):
                area = row_lengths[i] * column_lengths[j]
                cell = bands[n, row_starts[i] : row_stops[i], column_starts[j] : column_stops[j]]
                if kind <= 4:
                    code[n, i, j] = _sum(cell, kind) / area
                else:
                    code[n, i, j] = _order_statistic(cell, members[:area], kind)


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _sum(cell, kind):  # type: ignore[no-untyped-def]
    """Add up a cell: float32 within a row, float64 over rows, since a cell can be a whole band."""
    total = np.float64(0)
    for r in range(cell.shape[0]):
        row_total = np.float32(0)
        for c in range(cell.shape[1]):
            x = cell[r, c]
            if kind == 0:
                row_total += abs(x)
            elif kind == 1:
                row_total += x * x
            elif kind == 2:
                row_total += x
            elif kind == 3:
                row_total += max(x, np.float32(0))
            else:
                row_total += min(x, np.float32(0))
        total += row_total
    return total


@numba.njit(cache=True, nogil=True)
def _order_statistic(cell, members, kind):  # type: ignore[no-untyped-def]
    members[:] = 0
    count = 0
    for r in range(cell.shape[0]):
        for c in range(cell.shape[1]):
            members[count] = cell[r, c]
            count += 1
    if kind == 5:
        return members.max()
    if kind == 6:
        return members.min()
    members.sort()
    return members[(members.size - 1) // 2]  # the lower of two middle values
