"""What a module needs besides tensors, as plain numbers: filters, indices, texts.

All of it follows from a spec and the size of the images. So a compiler may take each result for a
constant and need not look inside: `constant` says so. Sizes become plain integers for the same
reason, and a compiled module is therefore compiled once for every size of images.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Literal, NamedTuple, ParamSpec, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from deepfixcx.spec import Cells, CodecSpec
from deepfixcx.wavelets import filter_bank

__all__ = ["Members", "Taps", "cell_numbers", "members", "size_of", "spec_text", "taps", "wrapped"]

P = ParamSpec("P")
T = TypeVar("T")


def constant(function: Callable[P, T]) -> Callable[P, T]:
    """Remember the results of a function of hashable arguments, and let compilers ask it."""
    cached = cast("Callable[P, T]", lru_cache(maxsize=256)(function))
    mark: Callable[[Callable[P, T]], Callable[P, T]] = torch.compiler.assume_constant_result

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return cached(*args, **kwargs)

    return mark(call)


class Taps(NamedTuple):
    """The filters of one direction, and how far before its output position they begin."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    offset: int


class Members(NamedTuple):
    """Which rows (or columns) of a band are members of each cell.

    Attributes
    ----------
    shape : (int, int)
        Cells, and places in each: as many as the longest cell has members.
    rows : None or tuple of int
        Row of the band for every place of every cell; the row behind the last stands for no row.
        None where cells are equally long and lie end to end, so that there is nothing to gather.
    lengths : tuple of int
        Members of each cell, with the zeros that the padded grid adds.
    """

    shape: tuple[int, int]
    rows: tuple[int, ...] | None
    lengths: tuple[int, ...]


def size_of(images: Tensor) -> tuple[int, int]:
    """Return height and width of images (..., H, W) as plain integers."""
    return operator.index(images.shape[-2]), operator.index(images.shape[-1])


@constant
def spec_text(spec: CodecSpec) -> str:
    """Return a spec as the text that an operator takes."""
    return spec.to_json()


@constant
def taps(wavelet: str, direction: Literal["analysis", "synthesis"]) -> Taps:
    """Return the filters of a wavelet as numbers."""
    bank = filter_bank(wavelet)
    low, high, offset = bank.analysis if direction == "analysis" else bank.synthesis
    return Taps(tuple(low.tolist()), tuple(high.tolist()), offset)


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


@constant
def wrapped(size: int, margin: int) -> tuple[int, ...]:
    """Return the places of a signal that comes around, with a margin on both sides."""
    return tuple((np.arange(-margin, size + margin) % size).tolist())


def _members(cells: Cells, band_rows: int) -> Members:
    longest = int(cells.lengths.max())
    shape = (len(cells.starts), longest)
    lengths = tuple(cells.lengths.tolist())
    places = cells.starts[:, None] + np.arange(longest)
    if np.array_equal(places.ravel(), np.arange(band_rows)):
        return Members(shape, None, lengths)
    rows = np.where(places < cells.stops[:, None], places, band_rows)
    return Members(shape, tuple(rows.ravel().tolist()), lengths)
