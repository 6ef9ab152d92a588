"""Pixels as a browser shows them: PNG in memory, at a size that a screen can use."""

from __future__ import annotations

import base64
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

__all__ = ["coloured", "data_url", "for_screen", "png_bytes"]

STOPS = np.array(
    [
        [68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141],
        [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37],
    ],
    np.float32,
)  # fmt: skip
"""Viridis at nine places: even steps to the eye, also to eyes that do not tell red from green."""


def for_screen(image: NDArray[Any], most: int = 1536) -> NDArray[np.uint8]:
    """Turn pixels into what a browser draws.

    Parameters
    ----------
    image : ndarray, shape (C, H, W)
        uint8 or uint16 over their range, or floats of which [0, 1] is shown. C = 3 is RGB; any
        other number of channels is averaged.
    most : int
        Pixels of the longer side; larger images are averaged down by a whole factor.

    Returns
    -------
    ndarray of uint8, shape (H', W') or (H', W', 3)

    Examples
    --------
    >>> for_screen(np.array([[[0.0, 0.5, 2.0]]])).tolist()
    [[0, 128, 255]]
    """
    step = -(-max(image.shape[1:]) // most)
    if step == 1 and image.dtype == np.uint8:
        shown = image
    else:
        scaled = np.multiply(_averaged(image, step), _white(image), dtype=np.float32)
        shown = np.clip(scaled, 0, 255)
    if len(shown) == 3:
        shown = np.moveaxis(shown, 0, -1)
    else:
        shown = shown[0] if len(shown) == 1 else shown.mean(axis=0, dtype=np.float32)
    if shown.dtype != np.uint8:
        shown = np.rint(shown).astype(np.uint8)
    return np.ascontiguousarray(shown)


def _white(image: NDArray[Any]) -> float:
    """Return what makes the brightest pixel 255."""
    return 255 / np.iinfo(image.dtype).max if image.dtype.kind == "u" else 255


def _averaged(image: NDArray[Any], step: int) -> NDArray[Any]:
    if step == 1:
        return image
    rows, columns = (np.arange(0, side, step) for side in image.shape[1:])
    sums = np.add.reduceat(np.add.reduceat(image, rows, axis=1, dtype=np.float32), columns, axis=2)
    members = [
        np.diff(np.append(starts, side))
        for starts, side in zip((rows, columns), image.shape[1:], strict=True)
    ]
    return np.asarray(sums / (members[0][:, None] * members[1][None, :]), np.float32)


def png_bytes(shown: NDArray[np.uint8], *, level: int = 1) -> bytes:
    """Encode what `for_screen` returned; a higher `level` takes longer and gives fewer bytes."""
    return bytes(imagecodecs.png_encode(shown, level=level))


def data_url(shown: NDArray[np.uint8]) -> str:
    """Return a picture as a URL that holds it, for a file that needs no other.

    Examples
    --------
    >>> data_url(np.zeros((1, 1), np.uint8))[:26]
    'data:image/png;base64,iVBO'
    """
    return "data:image/png;base64," + base64.b64encode(png_bytes(shown, level=9)).decode()


def coloured(values: NDArray[Any], decades: float = 4) -> NDArray[np.uint8]:
    """Colour sizes by their logarithm: yellow the largest, violet what is `decades` below it.

    Parameters
    ----------
    values : ndarray, shape (H, W)
        Not negative.
    decades : float
        Powers of ten between the two ends.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)

    Examples
    --------
    >>> coloured(np.array([[1.0, 0.0]])).tolist()
    [[[253, 231, 37], [68, 1, 84]]]
    """
    largest = float(values.max(initial=0)) or 1.0
    least = 10.0**-decades
    logs = np.log10(np.maximum(np.asarray(values, np.float32) / largest, least))
    place = (1 + logs / decades) * (len(STOPS) - 1)
    lower = np.minimum(place.astype(np.intp), len(STOPS) - 2)
    rest = (place - lower)[..., None]
    mixed = STOPS[lower] * (1 - rest) + STOPS[lower + 1] * rest
    colours: NDArray[np.uint8] = np.rint(mixed).astype(np.uint8)
    return colours
