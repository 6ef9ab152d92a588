"""How near a reconstruction is to its original: SSIM and PSNR of pixels in [0, 1]."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.errors import PixelsShapeError

__all__ = ["LEAST_SIDE", "psnr", "ssim"]

SIGMA, RADIUS = 1.5, 5
"""Of the Gaussian window: 11 x 11 pixels."""

LEAST_SIDE = 2 * RADIUS + 1
"""Pixels a side of the smallest image that has an SSIM."""

C1, C2 = 0.01**2, 0.03**2
"""They keep the quotients finite where there is no light or no contrast; the range is 1."""


def ssim(original: NDArray[Any], reconstruction: NDArray[Any]) -> float:
    """Return the structural similarity of two images.

    Means, variances and the covariance are weighted by a Gaussian window of 11 x 11 pixels with a
    standard deviation of 1.5. The result is the mean over the places where the window lies within
    the image, and over channels.

    Parameters
    ----------
    original, reconstruction : ndarray, shape (C, H, W)
        In [0, 1]; what leaves that range is clipped. Sides of 11 pixels or more.

    Returns
    -------
    float
        1 for equal images; about 0 where nothing agrees, or less.

    Raises
    ------
    PixelsShapeError
        Shapes that differ, or images smaller than the window.

    References
    ----------
    Wang et al., Image quality assessment: from error visibility to structural similarity, IEEE
    Transactions on Image Processing, 2004.

    Examples
    --------
    >>> image = np.random.default_rng(0).random((1, 32, 32))
    >>> round(ssim(image, image), 6), ssim(image, 1 - image) < 0
    (1.0, True)
    """
    x, y = _pair(original, reconstruction)
    if min(x.shape[1:]) < LEAST_SIDE:
        raise PixelsShapeError(
            f"SSIM needs images of {LEAST_SIDE} pixels a side or more, got {x.shape[1:]}"
        )
    mean_x, mean_y = _window(x), _window(y)
    variance_x, variance_y = _window(x * x) - mean_x**2, _window(y * y) - mean_y**2
    covariance = _window(x * y) - mean_x * mean_y
    light = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    structure = (2 * covariance + C2) / (variance_x + variance_y + C2)
    return float((light * structure).mean())


def psnr(original: NDArray[Any], reconstruction: NDArray[Any]) -> float:
    """Return the peak signal-to-noise ratio of a reconstruction.

    Parameters
    ----------
    original, reconstruction : ndarray, shape (C, H, W)
        In [0, 1]; what leaves that range is clipped.

    Returns
    -------
    float
        In decibels; infinite for equal images.

    Raises
    ------
    PixelsShapeError
        Shapes that differ.

    Examples
    --------
    >>> round(psnr(np.zeros((1, 4, 4)), np.full((1, 4, 4), 0.1)), 6)
    20.0
    """
    x, y = _pair(original, reconstruction)
    error = float(((x - y) ** 2).mean())
    return float(-10 * np.log10(error)) if error else float("inf")


def _pair(
    original: NDArray[Any], reconstruction: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if original.ndim != 3 or original.shape != reconstruction.shape or not original.size:
        raise PixelsShapeError(
            f"two images (C, H, W) of one shape are compared, got {original.shape} and "
            f"{reconstruction.shape}"
        )
    x, y = (np.clip(image.astype(np.float64), 0, 1) for image in (original, reconstruction))
    return x, y


def _window(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weighted means around the pixels whose window lies within the image."""
    ndimage = require("scipy.ndimage", extra="learn")
    for axis in (1, 2):
        values = ndimage.gaussian_filter1d(values, SIGMA, axis=axis, radius=RADIUS)
    return values[:, RADIUS:-RADIUS, RADIUS:-RADIUS]
