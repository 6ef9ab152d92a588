"""Bands into codes and back, on tensors: the twin of `deepfixcx.pooling`, and differentiable.

The gradient of a maximum is shared evenly among equal members; that of an absolute value, and of
the root in `amplitudes`, is zero at zero.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from deepfixcx.errors import PixelsShapeError
from deepfixcx.spec import Cells, CodecSpec
from deepfixcx.torch.packets import constant

__all__ = ["amplitudes", "pool", "unpool"]

NO_MEMBER = {"max": -math.inf, "min": math.inf, "median": math.inf}
"""What fills the places of a shorter cell of the balanced grid, so that it is never chosen."""


class Members(NamedTuple):
    """Which rows (or columns) of a band are members of each cell."""

    shape: tuple[int, int]
    rows: tuple[int, ...] | None
    lengths: tuple[int, ...]


@constant
def members(spec: CodecSpec, height: int, width: int) -> tuple[Members, Members]:
    """Return the members of the rows of cells and of the columns of cells."""
    rows, columns = spec.cells(height, width)
    band_rows, band_columns = spec.band_shape(height, width)
    return _members(rows, band_rows), _members(columns, band_columns)


@constant
def cell_numbers(
    spec: CodecSpec, height: int, width: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the cell of each row, and of each column, of a band."""
    rows, columns = spec.cells(height, width)
    return tuple(rows.of_each_row().tolist()), tuple(columns.of_each_row().tolist())


def pool(bands: Tensor, spec: CodecSpec, height: int, width: int) -> Tensor:
    """Pool every cell of every band into one number.

    Parameters
    ----------
    bands : Tensor of float32 or float64, shape (..., 4**J, h, w)
        Bands of images of `height` x `width`.
    spec : CodecSpec
        `patches`, `pooling` and `grid` are used.
    height, width : int
        Size of the images in pixels.

    Returns
    -------
    Tensor, shape (..., 4**J, P, P), or (..., 4**J, P, P, F) for several poolings
        Means over the members of each cell; ``max``, ``min`` and ``median`` as they are.

    Raises
    ------
    ImageTooSmallError
        The balanced grid would have empty cells.
    PixelsShapeError
        The bands are not those of such an image.

    References
    ----------
    Gaudio et al., DeepFixCX, 2023, doi:10.1002/widm.1495, section on pooling.

    Examples
    --------
    >>> bands = torch.full((1, 1, 4, 4, 4), -2.0)
    >>> pool(bands, CodecSpec(level=1, patches=2), 8, 8)[0, 0, 0].tolist()
    [[2.0, 2.0], [2.0, 2.0]]
    """
    expected = (spec.bands, *spec.band_shape(height, width))
    if tuple(bands.shape[-3:]) != expected:
        raise PixelsShapeError(
            f"bands of a {height}x{width} image at level {spec.level} have shape "
            f"(..., {', '.join(map(str, expected))}), got {tuple(bands.shape)}"
        )
    rows, columns = members(spec, height, width)
    features = []
    for name in spec.poolings:
        fill = NO_MEMBER.get(name, 0) if spec.grid == "balanced" else 0
        if name in ("max", "min"):
            features.append(_extremes(bands, name, rows, columns, fill))
        elif name == "median":
            features.append(_medians(bands, rows, columns, fill))
        else:
            features.append(_means(_terms(bands, name), rows, columns))
    return features[0] if len(features) == 1 else torch.stack(features, -1)


def amplitudes(code: Tensor, spec: CodecSpec) -> Tensor:
    """Turn a code into one coefficient per cell, from its first pooling.

    Squares become roots, so that every pooling is on the scale of a coefficient.

    Parameters
    ----------
    code : Tensor, shape (..., 4**J, P, P) or (..., 4**J, P, P, F)
        Code.
    spec : CodecSpec
        `pooling` is used.

    Returns
    -------
    Tensor, shape (..., 4**J, P, P)

    Examples
    --------
    >>> amplitudes(torch.full((1, 1, 4, 1, 1), 9.0), CodecSpec(1, 1, pooling="l2")).max()
    tensor(3.)
    """
    first = code[..., 0] if len(spec.poolings) > 1 else code
    if spec.poolings[0] != "l2":
        return first
    # the slope of a root is infinite at zero, and flat images have many zeros
    positive = first > 0
    return torch.where(positive, first, 1).sqrt() * positive


def unpool(values: Tensor, spec: CodecSpec, height: int, width: int) -> Tensor:
    """Repeat each value over its cell.

    Parameters
    ----------
    values : Tensor, shape (..., 4**J, P, P)
        One coefficient per cell.
    spec : CodecSpec
        `patches` and `grid` are used.
    height, width : int
        Size of the images in pixels.

    Returns
    -------
    Tensor, shape (..., 4**J, h, w)

    Raises
    ------
    ImageTooSmallError
        The balanced grid would have empty cells.

    Examples
    --------
    >>> unpool(torch.ones(1, 1, 4, 1, 1), CodecSpec(1, 1), 5, 4).shape
    torch.Size([1, 1, 4, 3, 2])
    """
    row_of, column_of = cell_numbers(spec, height, width)
    rows = values.index_select(-2, torch.tensor(row_of, device=values.device))
    return rows.index_select(-1, torch.tensor(column_of, device=values.device))


def _terms(bands: Tensor, name: str) -> Tensor:
    """Return what the means are taken of."""
    if name == "l1":
        return bands.abs()
    if name == "l2":
        return bands.square()
    if name == "sum_pos":
        return bands.clamp(min=0)
    if name == "sum_neg":
        return bands.clamp(max=0)
    return bands


def _means(terms: Tensor, rows: Members, columns: Members) -> Tensor:
    sums = _lay(_lay(terms, rows, -2, 0).sum(-2), columns, -1, 0).sum(-1)
    if len({*rows.lengths}) == len({*columns.lengths}) == 1:
        return sums * (1 / (rows.lengths[0] * columns.lengths[0]))
    return sums / torch.tensor(_areas(rows, columns), dtype=sums.dtype, device=sums.device)


def _extremes(bands: Tensor, name: str, rows: Members, columns: Members, fill: float) -> Tensor:
    cells = bands
    for axis, cells_of_axis in ((-2, rows), (-1, columns)):
        cells = _lay(cells, cells_of_axis, axis, fill)
        cells = cells.amax(axis) if name == "max" else cells.amin(axis)
    return cells


def _medians(bands: Tensor, rows: Members, columns: Members, fill: float) -> Tensor:
    """Return the lower of two middle values."""
    cells = _lay(_lay(bands, rows, -2, fill), columns, -1, fill)  # (..., P, members, P, members)
    sorted_ = cells.transpose(-3, -2).flatten(-2).sort(-1).values
    middle = torch.tensor(_areas(rows, columns), device=bands.device).sub(1).floor_divide(2)
    places = middle.unsqueeze(-1).expand(*sorted_.shape[:-1], 1)
    return sorted_.gather(-1, places).squeeze(-1)


def _areas(rows: Members, columns: Members) -> list[list[int]]:
    """Return the number of members of each cell."""
    return [[height * width for width in columns.lengths] for height in rows.lengths]


def _lay(bands: Tensor, cells: Members, axis: int, fill: float) -> Tensor:
    """Lay an axis of the bands on the grid: (..., h, ...) becomes (..., P, members, ...)."""
    if cells.rows is None:
        return torch.unflatten(bands, axis, cells.shape)
    bands = F.pad(bands, (0, 1) if axis == -1 else (0, 0, 0, 1), value=fill)
    places = torch.tensor(cells.rows, device=bands.device)
    return torch.unflatten(bands.index_select(axis, places), axis, cells.shape)


def _members(cells: Cells, band_rows: int) -> Members:
    longest = int(cells.lengths.max())
    shape = (len(cells.starts), longest)
    lengths = tuple(cells.lengths.tolist())
    places = cells.starts[:, None] + np.arange(longest)
    if np.array_equal(places.ravel(), np.arange(band_rows)):
        return Members(shape, None, lengths)
    rows = np.where(places < cells.stops[:, None], places, band_rows)
    return Members(shape, tuple(rows.ravel().tolist()), lengths)
