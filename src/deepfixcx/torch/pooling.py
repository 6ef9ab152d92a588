"""Bands into codes and back, on tensors: the twin of `deepfixcx.pooling`, and differentiable.

The gradient of a maximum is shared evenly among equal members; that of an absolute value, and of
the root in `amplitudes`, is zero at zero.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from deepfixcx.spec import Cells, CodecSpec
from deepfixcx.torch.packets import check_bands, constant

__all__ = ["amplitudes", "pool", "unpool"]

NO_MEMBER = {"max": -math.inf, "min": math.inf, "median": math.inf}
"""What fills the places of a shorter cell of the balanced grid, so that it is never chosen."""


class Members(NamedTuple):
    """Which rows (or columns) of a band are members of each cell."""

    shape: tuple[int, int]
    rows: tuple[int, ...] | None
    lengths: tuple[int, ...]


@constant
def members(spec: CodecSpec, *size: int) -> tuple[Members, ...]:
    """Return the members of the cells along each axis."""
    return tuple(map(_members, spec.cells(*size), spec.band_shape(*size)))


@constant
def cell_numbers(spec: CodecSpec, *size: int) -> tuple[tuple[int, ...], ...]:
    """Return the cell of each place of a band along each axis."""
    return tuple(tuple(cells.of_each_row().tolist()) for cells in spec.cells(*size))


def pool(bands: Tensor, spec: CodecSpec, *size: int) -> Tensor:
    """Pool every cell of every band into one number.

    Parameters
    ----------
    bands : Tensor of float32 or float64, shape (..., 4**J, h, w), or (..., bands, d, h, w)
        Bands of images or volumes of this size.
    spec : CodecSpec
        `patches`, `pooling` and `grid` are used.
    *size : int
        Height and width of the images, or depth, height and width of the volumes.

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
    check_bands(bands, spec, size)
    axes = members(spec, *size)
    features = []
    for name in spec.poolings:
        fill = NO_MEMBER.get(name, 0) if spec.grid == "balanced" else 0
        if name in ("max", "min"):
            features.append(_extremes(bands, name, axes, fill))
        elif name == "median":
            features.append(_medians(bands, axes, fill))
        else:
            features.append(_means(_terms(bands, name), axes))
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


def unpool(values: Tensor, spec: CodecSpec, *size: int) -> Tensor:
    """Repeat each value over its cell.

    Parameters
    ----------
    values : Tensor, shape (..., 4**J, P, P)
        One coefficient per cell.
    spec : CodecSpec
        `patches` and `grid` are used.
    *size : int
        Height and width of the images, or depth, height and width of the volumes.

    Returns
    -------
    Tensor, shape (..., 4**J, h, w), or (..., bands, d, h, w)

    Raises
    ------
    ImageTooSmallError
        The balanced grid would have empty cells.

    Examples
    --------
    >>> unpool(torch.ones(1, 1, 4, 1, 1), CodecSpec(1, 1), 5, 4).shape
    torch.Size([1, 1, 4, 3, 2])
    """
    for axis, cell_of in zip(range(-spec.ndim, 0), cell_numbers(spec, *size), strict=True):
        values = values.index_select(axis, torch.tensor(cell_of, device=values.device))
    return values


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


def _means(terms: Tensor, axes: tuple[Members, ...]) -> Tensor:
    for axis, cells in zip(range(-len(axes), 0), axes, strict=True):
        terms = _lay(terms, cells, axis, 0).sum(axis)
    if all(len({*cells.lengths}) == 1 for cells in axes):
        return terms * (1 / math.prod([cells.lengths[0] for cells in axes]))
    return terms / torch.tensor(_areas(axes), dtype=terms.dtype, device=terms.device)


def _extremes(bands: Tensor, name: str, axes: tuple[Members, ...], fill: float) -> Tensor:
    for axis, cells in zip(range(-len(axes), 0), axes, strict=True):
        laid = _lay(bands, cells, axis, fill)
        bands = laid.amax(axis) if name == "max" else laid.amin(axis)
    return bands


def _medians(bands: Tensor, axes: tuple[Members, ...], fill: float) -> Tensor:
    """Return the lower of two middle values."""
    laid, ndim = bands, len(axes)
    for axis, cells in zip(range(-ndim, 0), axes, strict=True):
        laid = _lay(laid, cells, axis, fill)  # at last (..., P, members, P, members)
    behind = laid.movedim(list(range(1 - 2 * ndim, 0, 2)), list(range(-ndim, 0)))
    sorted_ = behind.flatten(-ndim).sort(-1).values
    middle = torch.tensor(_areas(axes), device=bands.device).sub(1).floor_divide(2)
    places = middle.unsqueeze(-1).expand(*sorted_.shape[:-1], 1)
    return sorted_.gather(-1, places).squeeze(-1)


@constant
def _areas(axes: tuple[Members, ...]) -> list[Any]:
    """Return the number of members of each cell, as nested lists."""
    grid = np.ix_(*(np.array(cells.lengths) for cells in axes))
    numbers: list[Any] = np.asarray(math.prod(grid)).tolist()
    return numbers


def _lay(bands: Tensor, cells: Members, axis: int, fill: float) -> Tensor:
    """Lay an axis of the bands on the grid: (..., h, ...) becomes (..., P, members, ...)."""
    if cells.rows is None:
        return torch.unflatten(bands, axis, cells.shape)
    bands = F.pad(bands, (*(0, 0) * (-1 - axis), 0, 1), value=fill)
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
