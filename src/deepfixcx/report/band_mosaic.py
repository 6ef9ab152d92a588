"""A code as one picture: a tile for each band, laid out by frequency."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.code import Code
from deepfixcx.packets import band_path, band_position
from deepfixcx.pooling import amplitudes

__all__ = ["mosaic"]


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
