"""How near an inverted image comes: SSIM, its version for several scales, and PSNR."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.audit.features import Array
from deepfixcx.audit.resampling import Floats
from deepfixcx.errors import PixelsShapeError
from deepfixcx.measures.quality import LEAST_SIDE, psnr, ssim

__all__ = ["LIKENESS", "likeness", "ms_ssim"]

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of five scales, the finest first; for smaller images the first few, made to sum to 1."""

SIGMA, RADIUS = 1.5, 5
C1, C2 = 0.01**2, 0.03**2
MOST_DECIBELS = 100.0
"""Equal images have an infinite PSNR, of which there is no mean."""


def ms_ssim(original: NDArray[np.float32], reconstruction: NDArray[np.float32]) -> float:
    """Return the structural similarity of two images over several scales.

    Parameters
    ----------
    original, reconstruction : ndarray, shape (C, H, W)
        In [0, 1]; what leaves that range is clipped. Sides of 11 pixels or more.

    Returns
    -------
    float
        0 to 1. Of images with less than 176 pixels a side fewer than five scales are taken.

    Raises
    ------
    PixelsShapeError
        Shapes that differ, or images smaller than the window of 11 pixels.

    References
    ----------
    Wang, Simoncelli and Bovik, Multiscale structural similarity for image quality assessment,
    Asilomar Conference on Signals, Systems and Computers, 2003, doi:10.1109/ACSSC.2003.1292216.

    Examples
    --------
    >>> image = np.random.default_rng(0).random((1, 64, 64), np.float32)
    >>> round(ms_ssim(image, image), 6), ms_ssim(image, 1 - image)
    (1.0, 0.0)
    """
    if original.shape != reconstruction.shape or original.ndim != 3:
        raise PixelsShapeError(
            f"two images (C, H, W) of one shape are compared, got {original.shape} and "
            f"{reconstruction.shape}"
        )
    x, y = (np.clip(image.astype(np.float64), 0, 1) for image in (original, reconstruction))
    least = min(x.shape[1:])
    if least < LEAST_SIDE:
        raise PixelsShapeError(f"images of {LEAST_SIDE} pixels a side or more, got {x.shape[1:]}")
    scales = min(len(WEIGHTS), int(np.log2(least // LEAST_SIDE)) + 1)
    weights = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    product = 1.0
    for scale, weight in enumerate(weights):
        light, structure = _parts(x, y)
        part = light * structure if scale == scales - 1 else structure
        product *= max(float(part.mean()), 0.0) ** weight
        x, y = _halve(x), _halve(y)
    return float(product)


def likeness(name: str, originals: Array, reconstructions: Array) -> Floats:
    """Return one figure for each pair of images (N, C, H, W)."""
    measure = LIKENESS[name]
    pairs = zip(originals, reconstructions, strict=True)
    return np.array([measure(one, other) for one, other in pairs], np.float64)


def _decibels(original: Array, reconstruction: Array) -> float:
    return min(psnr(original, reconstruction), MOST_DECIBELS)


LIKENESS: Mapping[str, Callable[[Array, Array], float]] = {
    "SSIM": ssim,
    "MS-SSIM": ms_ssim,
    "PSNR": _decibels,
}


def _parts(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    mean_x, mean_y = _window(x), _window(y)
    variance_x, variance_y = _window(x * x) - mean_x**2, _window(y * y) - mean_y**2
    covariance = _window(x * y) - mean_x * mean_y
    light = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    return light, (2 * covariance + C2) / (variance_x + variance_y + C2)


def _window(values: Floats) -> Floats:
    ndimage = require("scipy.ndimage", extra="audit")
    for axis in (1, 2):
        values = ndimage.gaussian_filter1d(values, SIGMA, axis=axis, radius=RADIUS)
    return values[:, RADIUS:-RADIUS, RADIUS:-RADIUS]


def _halve(values: Floats) -> Floats:
    channels, height, width = values.shape
    even = values[:, : height // 2 * 2, : width // 2 * 2]
    halves: Floats = even.reshape(channels, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
    return halves
