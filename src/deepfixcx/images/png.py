"""Pixels become a PNG file, whole or not at all."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import ArrayLike

from deepfixcx.errors import NonFiniteError, PixelsError, PixelsShapeError
from deepfixcx.io.files import write_file

__all__ = ["png_bytes", "write_png"]


def write_png(path: str | os.PathLike[str], pixels: ArrayLike, *, bits: int) -> None:
    """Write a gray or RGB image; the same pixels always give the same bytes.

    The file appears under its name only once it is complete: it is written under a hidden name
    beside it, then renamed. An existing file is replaced.

    Parameters
    ----------
    path : path-like
        The file to write; its folder exists.
    pixels : array_like
        Floats ``(C, H, W)``, C = 1 or 3. They are clipped to [0, 1] and rounded.
    bits : int
        8 or 16 per sample, for gray and for RGB.

    Raises
    ------
    PixelsError
        A masked array with masked pixels: a PNG has no mask, so what lies below would be written.
    PixelsShapeError
        Not ``(C, H, W)`` with C = 1 or 3 and at least one pixel.
    NonFiniteError
        NaN or infinity among the pixels.
    PixelsError
        `bits` is neither 8 nor 16.
    OSError
        The folder cannot be written, or is full. Nothing is left behind.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "ramp.png"
    >>> write_png(path, np.linspace(0, 1, 12).reshape(1, 3, 4), bits=8)
    >>> path.read_bytes()[1:4]
    b'PNG'
    """
    write_file(path, png_bytes(pixels, bits=bits), replace=True, durable=False)


def png_bytes(pixels: ArrayLike, *, bits: int) -> bytes:
    """Return the file that `write_png` writes."""
    if np.ma.is_masked(pixels):
        raise PixelsError(
            "the array has masked pixels, which a PNG cannot store; fill them first "
            "(numpy.ma.filled)"
        )
    array = np.asarray(pixels, np.float64)
    if array.ndim != 3 or array.shape[0] not in (1, 3) or array.size == 0:
        raise PixelsShapeError(f"a PNG needs pixels (C, H, W) with C = 1 or 3, not {array.shape}")
    if bits not in (8, 16):
        raise PixelsError(f"a PNG has 8 or 16 bits per sample here, not {bits}")
    if not np.isfinite(array).all():
        raise NonFiniteError("the pixels contain NaN or infinity, which a PNG cannot store")
    import imagecodecs  # pillow has no 16-bit RGB

    dtype = np.uint8 if bits == 8 else np.uint16
    samples = np.rint(np.clip(array, 0, 1) * np.iinfo(dtype).max).astype(dtype)
    last = samples[0] if len(samples) == 1 else np.ascontiguousarray(np.moveaxis(samples, 0, -1))
    return bytes(imagecodecs.png_encode(last, level=6))
