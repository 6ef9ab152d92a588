"""Pool the cells of bands into numbers, one kind of pooling at a time."""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["KINDS", "WHOLE_CELLS", "begin_cells", "end_cells", "pool_bands", "pool_part"]
__all__ += ["pool_volumes"]

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
"""Number of each pooling in the kernel."""

WHOLE_CELLS = frozenset({"median"})
"""Poolings that must see a whole cell at once."""

LAST_MEAN = 4
"""Up to this number they are means, from there on order statistics."""


@numba.njit(cache=True, nogil=True)
def pool_bands(bands, code, rows, columns, kind, first, last, top):
    """Fill the rows of cells `first` to `last` of `code` (N, P, P) from `bands` (N, h, w)."""
    starts, stops, lengths = columns
    members = np.empty(rows[2].max() * lengths.max(), np.float32)
    sums = np.empty(bands.shape[2], np.float64)
    for n in range(bands.shape[0]):
        for i in range(first, last):
            cells = bands[n, rows[0][i] - top : rows[1][i] - top]
            if kind <= LAST_MEAN:
                sums[:] = 0
                for r in range(cells.shape[0]):
                    _add_row(cells[r], sums, kind)
                for j in range(starts.size):
                    total = np.float64(0)
                    for c in range(starts[j], stops[j]):
                        total += sums[c]
                    code[n, i, j] = total / (rows[2][i] * lengths[j])
            else:
                for j in range(starts.size):
                    cell = cells[:, starts[j] : stops[j]]
                    area = rows[2][i] * lengths[j]
                    code[n, i, j] = _order_statistic(cell, members[:area], kind)


@numba.njit(cache=True, nogil=True)
def begin_cells(running, kinds):
    """Begin a row of cells that is pooled in parts: `running` (F, N, P) of float64."""
    for f in range(kinds.size):
        if kinds[f] <= LAST_MEAN:
            running[f] = 0
        else:
            running[f] = -np.inf if kinds[f] == 5 else np.inf


@numba.njit(cache=True, nogil=True)
def pool_part(bands, running, columns, kind):
    """Add rows of `bands` (N, h, w), all of one row of cells, to `running` (N, P); no median."""
    starts, stops, _ = columns
    sums = np.empty(bands.shape[2], np.float64)
    for n in range(bands.shape[0]):
        if kind <= LAST_MEAN:
            sums[:] = 0
            for r in range(bands.shape[1]):
                _add_row(bands[n, r], sums, kind)
            for j in range(starts.size):
                for c in range(starts[j], stops[j]):
                    running[n, j] += sums[c]
        else:
            for r in range(bands.shape[1]):
                for j in range(starts.size):
                    for c in range(starts[j], stops[j]):
                        x = np.float64(bands[n, r, c])
                        running[n, j] = (
                            max(running[n, j], x) if kind == 5 else min(running[n, j], x)
                        )


@numba.njit(cache=True, nogil=True)
def end_cells(running, code, rows, columns, kind, i):
    """Fill row of cells `i` of `code` (N, P, P) when all its parts are in `running` (N, P)."""
    starts, stops, lengths = columns
    for j in range(starts.size):
        area = rows[2][i] * lengths[j]
        inside = (rows[1][i] - rows[0][i]) * (stops[j] - starts[j])
        for n in range(code.shape[0]):
            x = running[n, j]
            if kind <= LAST_MEAN:
                x /= area
            elif inside < area:  # zeros of the padded grid are members too
                x = max(x, 0.0) if kind == 5 else min(x, 0.0)
            code[n, i, j] = x


@numba.njit(cache=True, nogil=True)
def _add_row(row, sums, kind):
    """Add a row of coefficients to float64 sums: a cell can be a whole band of a large image."""
    if kind == 0:
        for c in range(row.size):
            sums[c] += abs(row[c])
    elif kind == 1:
        for c in range(row.size):
            sums[c] += row[c] * row[c]
    elif kind == 2:
        for c in range(row.size):
            sums[c] += row[c]
    elif kind == 3:
        for c in range(row.size):
            sums[c] += max(row[c], np.float32(0))
    else:
        for c in range(row.size):
            sums[c] += min(row[c], np.float32(0))


@numba.njit(cache=True, nogil=True)
def _order_statistic(cell, members, kind):
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


@numba.njit(cache=True, nogil=True)
def pool_volumes(bands, code, slices, rows, columns, kind, first, last, top):
    """Fill the slices of cells `first` to `last` of `code` (N, P_z, P, P) from `bands`.

    `bands` (N, d, h, w) begin with slice `top` of the bands.
    """
    starts, stops, lengths = columns
    most = slices[2].max() * rows[2].max() * lengths.max()
    members = np.empty(most if kind > LAST_MEAN else 0, np.float32)
    sums = np.empty(bands.shape[3], np.float64)
    for n in range(bands.shape[0]):
        for s in range(first, last):
            part = bands[n, slices[0][s] - top : slices[1][s] - top]
            for i in range(rows[0].size):
                cells = part[:, rows[0][i] : rows[1][i]]
                area = slices[2][s] * rows[2][i]
                sums[:] = 0
                if kind <= LAST_MEAN:
                    for z in range(cells.shape[0]):
                        for r in range(cells.shape[1]):
                            _add_row(cells[z, r], sums, kind)
                for j in range(starts.size):
                    if kind <= LAST_MEAN:
                        total = np.float64(0)
                        for c in range(starts[j], stops[j]):
                            total += sums[c]
                        code[n, s, i, j] = total / (area * lengths[j])
                    else:
                        cell = cells[:, :, starts[j] : stops[j]]
                        code[n, s, i, j] = _statistic(cell, members[: area * lengths[j]], kind)


@numba.njit(cache=True, nogil=True)
def _statistic(cell, members, kind):
    """Return the maximum, minimum or lower median of a cell (d, h, w) and its added zeros."""
    flat = cell.copy().reshape(1, cell.size)
    return _order_statistic(flat, members, kind)
