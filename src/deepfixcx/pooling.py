"""Bands into codes and back: each cell of a P x P grid becomes one number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._kernels.cells import KINDS, pool_bands, pool_volumes
from deepfixcx._kernels.threads import threaded
from deepfixcx.errors import CodeError
from deepfixcx.spec import CodecSpec

__all__ = ["amplitudes", "pool", "unpool"]


def pool(bands: NDArray[np.float32], spec: CodecSpec, *size: int) -> NDArray[np.float32]:
    """Pool every cell of every band into one number.

    Parameters
    ----------
    bands : ndarray of float32, shape (B, C, 4**J, h, w), or (B, C, bands, d, h, w)
        Bands of images or volumes of this size.
    spec : CodecSpec
        `patches`, `pooling` and `grid` are used.
    *size : int
        Height and width of the images in pixels; slices, height and width of volumes.

    Returns
    -------
    ndarray of float32, shape (B, C, bands, *cells), or (..., F) for several poolings
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
    >>> bands = np.full((1, 1, 4, 4, 4), -2.0, np.float32)
    >>> pool(bands, CodecSpec(level=1, patches=2), 8, 8)[0, 0, 0].tolist()
    [[2.0, 2.0], [2.0, 2.0]]
    """
    cells = [axis.arrays for axis in spec.cells(*size)]
    spec.check_bands(bands.shape, *size)
    kernel: Any = pool_bands if spec.ndim == 2 else pool_volumes
    flat = np.ascontiguousarray(bands, np.float32).reshape(-1, *bands.shape[3:])
    code = np.empty((len(spec.poolings), len(flat), *spec.grid_shape), np.float32)
    for feature, name in zip(code, spec.poolings, strict=True):

        def work(
            start: int,
            stop: int,
            feature: NDArray[np.float32] = feature,
            kind: int = KINDS[name],
        ) -> None:
            parts = flat[start:stop], feature[start:stop]
            kernel(*parts, *cells, kind, 0, spec.grid_shape[0], 0)

        threaded(work, len(flat))
    shape = (len(bands), *spec.code_shape(bands.shape[1]))
    last = code[0] if len(code) == 1 else np.moveaxis(code, 0, -1)
    return np.ascontiguousarray(last).reshape(shape)


def amplitudes(array: NDArray[np.float32], spec: CodecSpec) -> NDArray[np.float32]:
    """Turn a code's array into one coefficient per cell, from its first pooling.

    Squares become roots, so that every pooling is on the scale of a coefficient.

    Parameters
    ----------
    array : ndarray, shape (B, C, 4**J, P, P) or (B, C, 4**J, P, P, F); of volumes alike
        Array of a code.
    spec : CodecSpec
        `pooling` is used.

    Returns
    -------
    ndarray of float32, shape (B, C, bands, *cells)

    Examples
    --------
    >>> amplitudes(np.full((1, 1, 4, 1, 1), 9, np.float32), CodecSpec(1, 1, pooling="l2")).max()
    np.float32(3.0)
    """
    first = array[..., 0] if len(spec.poolings) > 1 else array
    return np.sqrt(first) if spec.poolings[0] == "l2" else first


def unpool(values: NDArray[np.float32], spec: CodecSpec, *size: int) -> NDArray[np.float32]:
    """Repeat each value over its cell.

    Parameters
    ----------
    values : ndarray, shape (B, C, 4**J, P, P), or (B, C, bands, P, P, P)
        One coefficient per cell.
    spec : CodecSpec
        `patches` and `grid` are used.
    *size : int
        Height and width of the images in pixels; slices, height and width of volumes.

    Returns
    -------
    ndarray, shape (B, C, bands, *band_shape)
        Of the dtype of `values`.

    Raises
    ------
    CodeError
        There is not one value for each band and cell of the spec.
    ImageTooSmallError
        The balanced grid would have empty cells.

    References
    ----------
    Gaudio et al., DeepFixCX, 2023, doi:10.1002/widm.1495, section on reconstruction.

    Examples
    --------
    >>> unpool(np.ones((1, 1, 4, 1, 1), np.float32), CodecSpec(1, 1), 5, 4).shape
    (1, 1, 4, 3, 2)
    """
    if values.shape[-1 - spec.ndim :] != (spec.bands, *spec.grid_shape):
        raise CodeError(
            f"values to unpool by {spec} have shape "
            f"(B, C, {', '.join(map(str, (spec.bands, *spec.grid_shape)))}), got {values.shape}"
        )
    places: tuple[Any, ...] = np.ix_(*(cells.of_each_row() for cells in spec.cells(*size)))
    return values[..., *places]
