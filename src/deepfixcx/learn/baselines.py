"""What codes are compared with: other ways to keep as few numbers of an image.

Each takes pixels (N, C, H, W) and how many numbers may be kept of an image, and returns a small
image (N, C, s, s) with C * s * s of at most that many: the largest such s, and no more than H or W.
So a baseline and a code are matched by the numbers they keep. (The paper pairs each filter with
the J = 1 reconstruction that is nearest to it, pixel by pixel; the filters are the paper's.)

The image is cut into s x s cells, which are H / s by W / s pixels up to one pixel of rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.errors import PixelsShapeError
from deepfixcx.learn.resizing import resize
from deepfixcx.spec import balanced_cells

__all__ = ["BASELINES", "blur", "downsample", "enlarge", "median", "pixelate", "side_kept"]

Pixels = NDArray[np.float32]


def side_kept(shape: tuple[int, ...], numbers: int) -> int:
    """Return s, the side of the image that is kept.

    Parameters
    ----------
    shape : tuple of int
        (..., C, H, W) of the pixels.
    numbers : int
        To be kept of an image.

    Raises
    ------
    PixelsShapeError
        Fewer numbers than channels, or no axes for C, H and W.

    Examples
    --------
    >>> side_kept((1, 320, 320), 1024), side_kept((3, 320, 320), 1024)
    (32, 18)
    """
    if len(shape) < 3:
        raise PixelsShapeError(f"baselines take pixels (N, C, H, W), got shape {shape}")
    channels, height, width = shape[-3:]
    if numbers < channels:
        raise PixelsShapeError(
            f"{numbers} numbers do not reach for an image of {channels} channels; keep more"
        )
    return min(math.isqrt(numbers // channels), height, width)


def downsample(pixels: Pixels, numbers: int) -> Pixels:
    """Make images smaller with a Lanczos filter.

    Parameters
    ----------
    pixels : ndarray of float32, shape (N, C, H, W)
        In [0, 1].
    numbers : int
        To be kept of an image.

    Returns
    -------
    ndarray of float32, shape (N, C, s, s)
        In [0, 1].

    Raises
    ------
    PixelsShapeError
        As `side_kept`.

    Examples
    --------
    >>> downsample(np.ones((2, 1, 30, 40), np.float32), 100).shape
    (2, 1, 10, 10)
    """
    side = side_kept(pixels.shape, numbers)
    small = [resize(image, side, side) for image in pixels]
    return np.stack(small) if small else np.empty((0, pixels.shape[1], side, side), np.float32)


def pixelate(pixels: Pixels, numbers: int) -> Pixels:
    """Replace every cell by its mean.

    Parameters
    ----------
    pixels, numbers
        As in `downsample`.

    Returns
    -------
    ndarray of float32, shape (N, C, s, s)
        In [0, 1].

    Raises
    ------
    PixelsShapeError
        As `side_kept`.

    Examples
    --------
    >>> pixelate(np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4), 4).tolist()
    [[[[2.5, 4.5], [10.5, 12.5]]]]
    """
    side = side_kept(pixels.shape, numbers)
    rows, columns = (_edges(length, side) for length in pixels.shape[-2:])
    sums = np.add.reduceat(pixels, rows[:-1], axis=-2, dtype=np.float64)
    sums = np.add.reduceat(sums, columns[:-1], axis=-1)
    return np.asarray(sums / np.outer(np.diff(rows), np.diff(columns)), np.float32)


def blur(pixels: Pixels, numbers: int) -> Pixels:
    """Blur with a Gaussian of the size of a cell, then replace every cell by its mean.

    The Gaussian is the paper's: its standard deviation is the side K of a cell, and it is cut off
    after K // 2 pixels. Beyond the edge the image is mirrored.

    Parameters
    ----------
    pixels, numbers
        As in `downsample`.

    Returns
    -------
    ndarray of float32, shape (N, C, s, s)
        In [0, 1].

    Raises
    ------
    PixelsShapeError
        As `side_kept`.

    References
    ----------
    Gaudio et al., DeepFixCX, WIREs Data Mining and Knowledge Discovery, 2023,
    doi:10.1002/widm.1495.

    Examples
    --------
    >>> round(float(blur(np.ones((1, 1, 20, 20), np.float32), 16).mean()), 6)
    1.0
    """
    side = side_kept(pixels.shape, numbers)
    ndimage = require("scipy.ndimage", extra="learn")
    blurred = pixels
    for axis in (-2, -1):
        size = pixels.shape[axis] / side
        radius = round(size) // 2
        if radius and pixels.size:
            blurred = ndimage.gaussian_filter1d(
                blurred, size, axis=axis, mode="mirror", radius=radius
            )
    return pixelate(blurred, numbers)


def median(pixels: Pixels, numbers: int) -> Pixels:
    """Replace every cell by its median.

    Parameters
    ----------
    pixels, numbers
        As in `downsample`.

    Returns
    -------
    ndarray of float32, shape (N, C, s, s)
        In [0, 1].

    Raises
    ------
    PixelsShapeError
        As `side_kept`.

    References
    ----------
    Gaudio et al., DeepFixCX, WIREs Data Mining and Knowledge Discovery, 2023,
    doi:10.1002/widm.1495.

    Examples
    --------
    >>> median(np.array([[[[0, 0, 1], [0, 9, 9], [0, 5, 7]]]], np.float32), 1).tolist()
    [[[[1.0]]]]
    """
    side = side_kept(pixels.shape, numbers)
    rows, columns = (_edges(length, side) for length in pixels.shape[-2:])
    kept = np.empty((*pixels.shape[:-2], side, side), np.float32)
    for these_rows, of_rows in _equal_cells(rows):
        for these_columns, of_columns in _equal_cells(columns):
            # (..., cells, members, cells, members): all cells of one height and width at once
            cells = pixels[..., of_rows[:, :, None, None], of_columns]
            kept[..., these_rows[:, None], these_columns] = np.median(cells, axis=(-3, -1))
    return kept


def enlarge(kept: Pixels, height: int, width: int) -> Pixels:
    """Repeat every number over its cell.

    Parameters
    ----------
    kept : ndarray of float32, shape (N, C, s, s)
        What a baseline returned.
    height, width : int
        Of the source.

    Returns
    -------
    ndarray of float32, shape (N, C, height, width)
        The reconstruction.

    Examples
    --------
    >>> enlarge(np.array([[[[1, 2], [3, 4]]]], np.float32), 2, 3).tolist()
    [[[[1.0, 2.0, 2.0], [3.0, 4.0, 4.0]]]]
    """
    rows, columns = (
        np.repeat(np.arange(side), np.diff(_edges(length, side)))
        for side, length in zip(kept.shape[-2:], (height, width), strict=True)
    )
    return kept[..., rows[:, None], columns]


BASELINES: Mapping[str, Callable[[Pixels, int], Pixels]] = MappingProxyType(
    {"downsample": downsample, "pixelate": pixelate, "blur": blur, "median": median}
)
"""All of them by name."""


def _edges(length: int, side: int) -> NDArray[np.int64]:
    cells = balanced_cells(length, side)
    return np.append(cells.starts, cells.stops[-1])


def _equal_cells(edges: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return, for each length that cells have, which cells they are and their members."""
    lengths = np.diff(edges)
    groups = []
    for length in np.unique(lengths):
        cells = np.flatnonzero(lengths == length)
        groups.append((cells, edges[cells][:, None] + np.arange(length)))
    return groups
