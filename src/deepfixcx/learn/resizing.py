"""One image as floats, gray where it has to be, and in another size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.packets import pixel_scale

__all__ = ["resize", "unit_pixels"]

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
