"""Where a cell lies: in words, and in pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepfixcx.spec import CodecSpec

__all__ = ["place_words", "spread_over_pixels"]

ROWS = ("upper", "middle", "lower")
COLUMNS = ("left", "centre", "right")


def place_words(row: int, column: int, grid: tuple[int, int]) -> str:
    """Say where a cell lies; left is the left of the image, not of the patient.

    Parameters
    ----------
    row, column : int
        Of the cell, from 0, from the top left corner.
    grid : (int, int)
        Rows and columns of cells, `CodecSpec.grid_shape`.

    Returns
    -------
    str
        Rows and columns are counted from 1.

    Examples
    --------
    >>> place_words(5, 1, (8, 8))
    'lower left, cell row 6, column 2'
    >>> place_words(2, 2, (5, 5)), place_words(0, 0, (1, 1))
    ('centre, cell row 3, column 3', 'the whole image')
    """
    if grid == (1, 1):
        return "the whole image"
    words = [_third(row, grid[0], ROWS), _third(column, grid[1], COLUMNS)]
    if words == ["middle", "centre"]:
        words = ["centre"]
    named = " ".join(word for word in words if word)
    return f"{named}, cell row {row + 1}, column {column + 1}"


def spread_over_pixels(
    cells: NDArray[np.float32], spec: CodecSpec, height: int, width: int
) -> NDArray[np.float32]:
    """Give every pixel of an image the number of the cell that it lies in.

    Parameters
    ----------
    cells : ndarray, shape (..., P, P)
        One number for each cell.
    spec : CodecSpec
        `level`, `patches` and `grid` are used.
    height, width : int
        Of the image, in pixels.

    Returns
    -------
    ndarray, shape (..., H, W)
        The numbers are repeated, not divided among the pixels.

    Raises
    ------
    ImageTooSmallError
        The image has fewer coefficients per axis than the grid has cells.

    Examples
    --------
    >>> spread_over_pixels(np.array([[1.0, 2.0]]), CodecSpec(1, (1, 2)), 2, 5).tolist()
    [[1.0, 1.0, 2.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0, 2.0]]
    """
    rows, columns = spec.cells(height, width)
    row_of = np.repeat(rows.of_each_row(), spec.block)[:height]
    column_of = np.repeat(columns.of_each_row(), spec.block)[:width]
    return cells[..., row_of[:, None], column_of]


def _third(place: int, count: int, words: tuple[str, str, str]) -> str:
    """Name the third of the axis in which the middle of a cell lies; of a single cell, nothing."""
    if count == 1:
        return ""
    middle = (2 * place + 1) / (2 * count)
    return words[0] if middle < 0.4 else words[2] if middle > 0.6 else words[1]
