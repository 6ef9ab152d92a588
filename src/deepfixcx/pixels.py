"""Which arrays count as pixels, and how they become a batch.

uint8 and uint16 are scaled to [0, 1] by their full range; floats are taken as they are. Integer
pixels keep their dtype here and are scaled inside the kernels, so that no float copy is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import NonFiniteError, PixelsShapeError

__all__ = ["Pixels", "as_batch", "as_batches", "check_finite", "pixel_scale"]

Pixels = NDArray[Any] | Sequence[NDArray[Any]]
"""(H, W), (C, H, W) or (B, C, H, W); or a sequence of (H, W) and (C, H, W) of different sizes."""

SCALES = {"uint8": 1 / 255, "uint16": 1 / 65535, "float32": 1.0}


def as_batch(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return one array as (B, C, H, W), contiguous, of dtype uint8, uint16 or float32.

    Raises
    ------
    PixelsShapeError
        Not an array of 2 to 4 axes with a supported dtype and at least one pixel, or masked ones.

    Examples
    --------
    >>> as_batch(np.zeros((5, 7), np.uint8)).shape
    (1, 1, 5, 7)
    """
    if isinstance(pixels, np.ma.MaskedArray) and np.ma.is_masked(pixels):
        raise PixelsShapeError(
            f"{np.count_nonzero(pixels.mask)} pixels of this array are masked, and a code has no "
            f"mask: give them a value first, such as pixels.filled(0)"
        )
    pixels = np.asarray(pixels)
    if not 2 <= pixels.ndim <= 4:
        raise PixelsShapeError(
            f"pixels must be (H, W), (C, H, W) or (B, C, H, W), got shape {pixels.shape}"
        )
    batch = pixels.reshape((1,) * (4 - pixels.ndim) + pixels.shape)
    if 0 in batch.shape[1:]:
        raise PixelsShapeError(f"an image without pixels: shape {pixels.shape}")
    if batch.shape[3] in (1, 3, 4) and batch.shape[1] > 4:
        raise PixelsShapeError(
            f"shape {pixels.shape} looks like channels last; deepfixcx takes channels first, "
            f"so use numpy.moveaxis(pixels, -1, -3)"
        )
    with np.errstate(over="ignore"):  # infinity is refused later, with a message of our own
        return np.ascontiguousarray(batch, dtype=_kernel_dtype(pixels.dtype))


def as_batches(pixels: Pixels) -> list[NDArray[Any]]:
    """Return pixels as batches, one for an array, one an image for a sequence.

    Raises
    ------
    PixelsShapeError
        As `as_batch`; or an empty sequence, or images with different numbers of channels.
    """
    if isinstance(pixels, np.ndarray):
        return [as_batch(pixels)]
    if isinstance(pixels, str | bytes) or not isinstance(pixels, Sequence):
        raise PixelsShapeError(
            f"pixels must be a NumPy array or a sequence of them, got {type(pixels).__name__}"
        )
    batches = [as_batch(image) for image in pixels]
    for place, (image, batch) in enumerate(zip(pixels, batches, strict=True)):
        if np.ndim(image) > 3:
            raise PixelsShapeError(
                f"image {place} of the sequence has shape {np.shape(image)}; in a sequence each "
                f"is (H, W) or (C, H, W)"
            )
        if batch.shape[1] != batches[0].shape[1]:
            raise PixelsShapeError(
                f"image {place} of the sequence has {batch.shape[1]} channels and the first has "
                f"{batches[0].shape[1]}; encode them apart"
            )
    if not batches:
        raise PixelsShapeError("an empty sequence holds no image to encode")
    return batches


def pixel_scale(batch: NDArray[Any]) -> float:
    """Return the factor that maps the pixels of a batch to [0, 1]."""
    return SCALES[batch.dtype.name]


def check_finite(values: NDArray[np.float32], what: str) -> None:
    """Raise if `values` hold NaN or infinity.

    Raises
    ------
    NonFiniteError
        With the number of values that are not finite.
    """
    finite = np.isfinite(values)
    if not finite.all():
        raise NonFiniteError(
            f"{np.count_nonzero(~finite)} of {values.size} {what} are NaN or infinite; replace "
            f"such pixels before encoding (numpy.nan_to_num)"
        )


def _kernel_dtype(dtype: np.dtype[Any]) -> type[np.generic]:
    if dtype.kind == "u" and dtype.itemsize <= 2:  # of either byte order
        return np.uint8 if dtype.itemsize == 1 else np.uint16
    if dtype.kind == "f":
        return np.float32
    raise PixelsShapeError(
        f"pixels of dtype {dtype} have no known range; pass uint8, uint16, or floats in [0, 1]"
    )
