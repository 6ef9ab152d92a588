"""What codes are compared with: other ways to keep as few numbers of an image.

Each takes pixels (N, C, H, W) and how many numbers may be kept of an image, and returns a small
image (N, C, s, s) with C * s * s of at most that many: the largest such s, and no more than H or W.
So a baseline and a code are matched by the values they keep. (The paper pairs each filter with
the J = 1 reconstruction that is nearest to it, pixel by pixel; the filters are the paper's.)

The image is cut into s x s cells, which are H / s by W / s pixels up to one pixel of rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.errors import PixelsShapeError
from deepfixcx.packets import pixel_scale
from deepfixcx.spec import balanced_cells

__all__ = [
    "BASELINES",
    "blur",
    "downsample",
    "enlarge",
    "median",
    "pixelate",
    "resize",
    "side_kept",
    "unit_pixels",
]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R BT.601."""


def unit_pixels(image: NDArray[Any], *, gray: bool) -> NDArray[np.float32]:
    """Return the pixels of an image in [0, 1], (C, H, W); with `gray`, (1, H, W)."""
    pixels = np.asarray(image, np.float32) * np.float32(pixel_scale(image))
    if gray and len(pixels) > 1:
        return np.asarray(np.einsum("c,chw->hw", LUMA, pixels)[None], np.float32)
    return pixels


def resize(pixels: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Resize one image (C, H, W) in [0, 1] with a Lanczos filter, clipped to [0, 1]."""
    from PIL import Image as Pillow

    if pixels.shape[1:] == (height, width):
        return pixels
    resized = [
        np.asarray(Pillow.fromarray(plane).resize((width, height), Pillow.Resampling.LANCZOS))
        for plane in pixels
    ]
    return np.asarray(np.clip(np.stack(resized), 0, 1), np.float32)


Pixels = NDArray[np.float32]


def side_kept(shape: tuple[int, ...], numbers: int) -> int:
    """Return s, the side of the image that is kept."""
    if len(shape) < 3:
        raise PixelsShapeError(f"baselines take pixels (N, C, H, W), got shape {shape}")
    channels, height, width = shape[-3:]
    if numbers < channels:
        raise PixelsShapeError(
            f"{numbers} values are too few for an image of {channels} channels; keep more"
        )
    return min(math.isqrt(numbers // channels), height, width)


def downsample(pixels: Pixels, numbers: int) -> Pixels:
    """Make images smaller with a Lanczos filter."""
    side = side_kept(pixels.shape, numbers)
    small = [resize(image, side, side) for image in pixels]
    return np.stack(small) if small else np.empty((0, pixels.shape[1], side, side), np.float32)


def pixelate(pixels: Pixels, numbers: int) -> Pixels:
    """Replace every cell by its mean."""
    side = side_kept(pixels.shape, numbers)
    rows, columns = (_edges(length, side) for length in pixels.shape[-2:])
    sums = np.add.reduceat(pixels, rows[:-1], axis=-2, dtype=np.float64)
    sums = np.add.reduceat(sums, columns[:-1], axis=-1)
    return np.asarray(sums / np.outer(np.diff(rows), np.diff(columns)), np.float32)


def blur(pixels: Pixels, numbers: int) -> Pixels:
    """Blur with a Gaussian of the size of a cell, then replace every cell by its mean."""
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
    """Replace every cell by its median."""
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
    """Repeat every number over its cell."""
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
