"""Similarity of a reconstruction to its original: SSIM, MS-SSIM and PSNR of pixels in [0, 1].

Images are (C, H, W); values outside [0, 1] are clipped. SSIM is that of Wang et al., IEEE
Transactions on Image Processing, 2004, MS-SSIM that of Wang, Simoncelli and Bovik, Asilomar, 2003,
doi:10.1109/ACSSC.2003.1292216. The mean is over channels and where the window is within the image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.errors import PixelsShapeError

__all__ = ["LEAST_SIDE", "ms_ssim", "psnr", "ssim"]

Floats = NDArray[np.float64]

SIGMA, RADIUS = 1.5, 5
"""Of the Gaussian window: 11 x 11 pixels."""

LEAST_SIDE = 2 * RADIUS + 1
"""Pixels a side of the smallest image that has an SSIM."""

STRIP_VALUES = 1 << 17
"""Pixels of a strip: its passes stay in the cache of a core."""

C1, C2 = 0.01**2, 0.03**2
"""They keep the quotients finite where there is no light or no contrast; the range is 1."""

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of five scales, the finest first; for smaller images the first few, made to sum to 1."""


def ssim(original: NDArray[Any], reconstruction: NDArray[Any]) -> float:
    """Return the structural similarity of two images: 1 if equal, about 0 or less if unrelated."""
    _check(original, reconstruction, LEAST_SIDE)
    channels, height, width = original.shape
    rows = max(LEAST_SIDE, STRIP_VALUES // (channels * width))
    total = 0.0
    for top in range(0, height - 2 * RADIUS, rows):  # of whole images the passes would fill memory
        strip = slice(top, min(top + rows + 2 * RADIUS, height))
        light, structure = _parts(*_pair(original[:, strip], reconstruction[:, strip]))
        total += float((light * structure).sum())
    return float(total / (channels * (height - 2 * RADIUS) * (width - 2 * RADIUS)))


def ms_ssim(original: NDArray[Any], reconstruction: NDArray[Any]) -> float:
    """Return the structural similarity over up to five scales, from 0 to 1.

    >>> image = np.random.default_rng(0).random((1, 64, 64), np.float32)
    >>> round(ms_ssim(image, image), 6), ms_ssim(image, 1 - image)
    (1.0, 0.0)
    """
    x, y = _pair(original, reconstruction, least=LEAST_SIDE)
    scales = min(len(WEIGHTS), int(np.log2(min(x.shape[1:]) // LEAST_SIDE)) + 1)
    weights = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    product = 1.0
    for scale, weight in enumerate(weights):
        light, structure = _parts(x, y)
        part = light * structure if scale == scales - 1 else structure
        product *= max(float(part.mean()), 0.0) ** weight
        x, y = _halve(x), _halve(y)
    return float(product)


def psnr(original: NDArray[Any], reconstruction: NDArray[Any]) -> float:
    """Return the peak signal-to-noise ratio in decibels, infinite for equal images."""
    _check(original, reconstruction, 1)
    channels, height, width = original.shape
    rows, total = max(1, STRIP_VALUES // (channels * width)), 0.0
    for top in range(0, height, rows):
        x, y = _pair(original[:, top : top + rows], reconstruction[:, top : top + rows])
        total += float(((x - y) ** 2).sum())
    error = total / original.size
    return float(-10 * np.log10(error)) if error else float("inf")


def _pair(
    original: NDArray[Any], reconstruction: NDArray[Any], least: int = 1
) -> tuple[Floats, Floats]:
    _check(original, reconstruction, least)
    x, y = (np.clip(image.astype(np.float64), 0, 1) for image in (original, reconstruction))
    return x, y


def _check(original: NDArray[Any], reconstruction: NDArray[Any], least: int) -> None:
    if original.ndim != 3 or original.shape != reconstruction.shape or not original.size:
        raise PixelsShapeError(
            f"two images (C, H, W) must have the same shape, got {original.shape} and "
            f"{reconstruction.shape}"
        )
    if min(original.shape[1:]) < least:
        raise PixelsShapeError(
            f"SSIM needs images of {least} pixels a side or more, got {original.shape[1:]}"
        )


def _parts(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return the two factors of SSIM, of light and of structure, wherever the window fits."""
    mean_x, mean_y = _window(x), _window(y)
    variance_x, variance_y = _window(x * x) - mean_x**2, _window(y * y) - mean_y**2
    covariance = _window(x * y) - mean_x * mean_y
    light = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    return light, (2 * covariance + C2) / (variance_x + variance_y + C2)


def _window(values: Floats) -> Floats:
    """Return weighted means around the pixels whose window lies within the image."""
    ndimage = require("scipy.ndimage", extra="sklearn")
    for axis in (1, 2):
        values = ndimage.gaussian_filter1d(values, SIGMA, axis=axis, radius=RADIUS)
    return values[:, RADIUS:-RADIUS, RADIUS:-RADIUS]


def _halve(values: Floats) -> Floats:
    channels, height, width = values.shape
    even = values[:, : height // 2 * 2, : width // 2 * 2]
    halves: Floats = even.reshape(channels, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
    return halves
