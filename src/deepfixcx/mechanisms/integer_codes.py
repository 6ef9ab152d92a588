"""Codes in whole numbers: exact, so that noise in whole numbers hides exactly what it claims."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms.sensitivity import LARGEST_PIXEL, check_spec
from deepfixcx.spec import CodecSpec

__all__ = ["as_means", "integer_codes"]


def integer_codes(pixels: NDArray[Any], spec: CodecSpec) -> NDArray[np.int64]:
    """Encode 8-bit pixels without any rounding.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (B, C, H, W)
        Images of one size.
    spec : CodecSpec
        Haar, pooled by l1.

    Returns
    -------
    ndarray of int64, shape (B, C, 4**J, P, P)
        Sums over each cell of the absolute coefficients, times 255 * 2**J.

    Raises
    ------
    MechanismError
        Other pixels or another spec.
    ImageTooSmallError
        The spec does not fit the images.

    Examples
    --------
    >>> from deepfixcx import Codec
    >>> pixels = np.random.default_rng(0).integers(0, 256, (2, 1, 21, 18), np.uint8)
    >>> spec = CodecSpec(level=2, patches=3)
    >>> means = as_means(integer_codes(pixels, spec), spec, 21, 18)
    >>> bool(np.allclose(means, Codec(spec).encode(pixels).array, atol=1e-5))
    True
    """
    check_spec(spec)
    if pixels.dtype != np.uint8 or pixels.ndim != 4:
        raise MechanismError(
            f"noise is added to codes of 8-bit pixels, uint8 (B, C, H, W), got {pixels.dtype} "
            f"{pixels.shape}"
        )
    images, channels, height, width = pixels.shape
    rows, columns = spec.cells(height, width)
    block = spec.block
    down, across = spec.band_shape(height, width)
    signs = _signs(spec.level)
    order = _band_numbers(spec.level)
    codes = np.empty((images, channels, spec.bands, *spec.grid_shape), np.int64)
    padded = np.zeros((channels, down * block, across * block))
    for place, image in enumerate(pixels):
        padded[:, :height, :width] = image
        blocks = padded.reshape(channels, down, block, across, block)
        # sums and differences of whole numbers below 2**53 are exact in float64
        half = np.einsum("fr,chrwk->cfhwk", signs, blocks, optimize=True)
        bands = np.abs(np.einsum("gk,cfhwk->cfghw", signs, half, optimize=True))
        sums = _sum_cells(_sum_cells(bands, rows.starts, rows.stops, 3), *columns.arrays[:2], 4)
        codes[place][:, order.ravel()] = np.rint(sums).reshape(channels, -1, *spec.grid_shape)
    return codes


def as_means(
    codes: NDArray[np.int64], spec: CodecSpec, height: int, width: int
) -> NDArray[np.float32]:
    """Turn sums in whole numbers into the means that a `Code` holds.

    Parameters
    ----------
    codes : ndarray of int64, shape (B, C, 4**J, P, P)
        Of `integer_codes`, with noise or without.
    spec : CodecSpec
        Of the codes.
    height, width : int
        Of the images.

    Returns
    -------
    ndarray of float32, shape (B, C, 4**J, P, P)
    """
    rows, columns = spec.cells(height, width)
    members = np.outer(rows.lengths, columns.lengths)
    return (codes / (LARGEST_PIXEL * spec.block * members)).astype(np.float32)


def _sum_cells(
    values: NDArray[np.float64], starts: NDArray[np.int64], stops: NDArray[np.int64], axis: int
) -> NDArray[np.float64]:
    """Sum ranges along an axis; an empty range, which the padded grid can have, gives 0."""
    before = np.zeros_like(np.take(values, [0], axis=axis))
    running = np.concatenate([before, np.cumsum(values, axis=axis)], axis=axis)
    sums = np.take(running, stops, axis=axis) - np.take(running, starts, axis=axis)
    return np.asarray(sums, np.float64)


def _signs(level: int) -> NDArray[np.float64]:
    """Return the patterns of one axis (2**J, 2**J): 1 and -1, the first split most significant."""
    signs = np.ones((1, 1))
    low, high = np.array([[1.0, 1.0]]), np.array([[-1.0, 1.0]])
    for _ in range(level):
        # a later split acts on sums or differences of neighbours, so on twice as wide pixels
        signs = np.concatenate([np.kron(signs, low), np.kron(signs, high)])
    return signs


def _band_numbers(level: int) -> NDArray[np.int64]:
    """Return the number of the band with each pair of patterns, (2**J, 2**J)."""
    places = np.arange(1 << level)
    numbers = np.zeros((1 << level, 1 << level), np.int64)
    for split in range(level):
        bit = places >> split & 1
        numbers += (2 * bit[:, None] + bit) << 2 * split
    return numbers
