"""A code as one picture: a tile for each band, laid out by frequency."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.code import Code
from deepfixcx.packets import band_number, band_path
from deepfixcx.pooling import amplitudes

__all__ = ["band_position", "mosaic"]


def band_position(path: str) -> tuple[int, int]:
    """Return where a band lies among all bands of its level, ordered by frequency.

    A highpass filter followed by taking every second sample turns the frequency axis around, so the
    order of paths is not that of frequencies: it is its Gray code. For Haar, the position counts
    the changes of sign of the band's pattern (its sequency).

    Parameters
    ----------
    path : str
        J letters of a, v, h, d, the first split first.

    Returns
    -------
    row, column : int
        From 0 to 2**J - 1. The row grows with the frequency down the image, so with the fineness
        of horizontal edges; the column with that across it, so of vertical edges.

    Raises
    ------
    SpecError
        The path has other letters.

    References
    ----------
    Wickerhauser, Adapted Wavelet Analysis from Theory to Software, 1994, section 7.1.

    Examples
    --------
    >>> band_position("aa"), band_position("av"), band_position("vv"), band_position("va")
    ((0, 0), (0, 1), (0, 2), (0, 3))
    """
    number = band_number(path, len(path))
    row = column = row_flip = column_flip = 0
    for split in reversed(range(len(path))):
        row_flip ^= number >> (2 * split + 1) & 1
        column_flip ^= number >> 2 * split & 1
        row, column = 2 * row + row_flip, 2 * column + column_flip
    return row, column


def mosaic(code: Code, image: int = 0) -> NDArray[np.float32]:
    """Lay the bands of one image out by frequency, the approximation in the top left corner.

    Parameters
    ----------
    code : Code
        Of several poolings, the first is used.
    image : int
        Which image of the code.

    Returns
    -------
    ndarray of float32, shape (2**J * P, 2**J * P)
        Size of each number on the scale of a coefficient, mean over the channels; not negative.

    Examples
    --------
    >>> from deepfixcx import Codec
    >>> stripes = np.tile(np.array([0, 1], np.float32), (8, 4))  # the finest vertical edges
    >>> mosaic(Codec(level=2, patches=1).encode(stripes))
    array([[2., 0., 0., 2.],
           [0., 0., 0., 0.],
           [0., 0., 0., 0.],
           [0., 0., 0., 0.]], dtype=float32)
    """
    spec = code.spec
    tiles = np.abs(amplitudes(code.array[image][np.newaxis], spec))[0].mean(axis=0)
    rows, columns = spec.grid_shape
    laid: NDArray[Any] = np.empty((spec.block, rows, spec.block, columns), np.float32)
    for number, tile in enumerate(tiles):
        row, column = band_position(band_path(number, spec.level))
        laid[row, :, column] = tile
    return laid.reshape(spec.block * rows, spec.block * columns)
