"""What a file of images holds: its frames, and the facts about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import NonFiniteError, OversizedImageError, PixelsShapeError

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "NOT_FINITE",
    "ZERO_SIZE",
    "ImageFacts",
    "ImageFrames",
    "OpenedImage",
    "check_size",
    "full_range",
    "spread",
    "upright",
]

DEFAULT_MAX_PIXELS: Final = 2**28
"""Height x width x frames above which a file is refused: 1024 slices of 512 x 512."""

ZERO_SIZE: Final = (
    "the header declares a height, a width or a number of frames of zero; export the image again"
)
NOT_FINITE: Final = "some pixels are NaN or infinite; replace them, and save the image again"


@dataclass(frozen=True, slots=True)
class ImageFrames:
    """The pixels of one file.

    Parameters
    ----------
    pixels : NDArray
        Frames of shape ``(F, C, H, W)`` with C = 1 (gray) or 3 (RGB): uint8 or uint16 over their
        full range, or float32 in [0, 1].
    bits : int
        8 or 16: the depth at which an output file keeps the precision of this one.
    format : str
        ``"PNG"``, ``"JPEG"``, ``"TIFF"``, ``"BMP"``, ``"DICOM"`` or ``"NIfTI"``.
    notes : tuple of str
        One sentence for each thing that the file says and that was not followed, such as a window
        beside all values. No value of the file is in it.

    Examples
    --------
    >>> import numpy as np
    >>> ImageFrames(np.zeros((1, 1, 4, 6), np.uint8), bits=8, format="PNG").pixels.shape
    (1, 1, 4, 6)
    """

    pixels: NDArray[Any]
    bits: int
    format: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What a file says about its image, and what is wrong with it.

    A number is 0 and a text is empty where the file does not say, or cannot be trusted to say.

    Parameters
    ----------
    format : str
        ``"PNG"``, ``"JPEG"``, ``"TIFF"``, ``"BMP"``, ``"DICOM"``, ``"NIfTI"``, or empty.
    width, height : int
        Size of a frame in pixels, before an EXIF orientation is applied.
    channels : int
        1 for gray, 3 for colour (a palette counts as colour), as stored.
    bits : int
        Bits per sample; for DICOM the bits stored.
    photometric : str
        DICOM's photometric interpretation; otherwise ``"grayscale"``, ``"rgb"``, ``"palette"``,
        ``"cmyk"``, ``"ycbcr"`` or ``"lab"``.
    frames : int
        Frames of a DICOM file, pages of a TIFF file, slices of a NIfTI file; otherwise 1.
    transfer_syntax : str
        Name of DICOM's transfer syntax.
    notes : tuple of str
        As of `ImageFrames`; empty where the pixels were not decoded.
    problem : str
        Name of the error that `read_image` raises for this file, empty if it reads.
    reason : str
        The message of that error.

    Examples
    --------
    >>> ImageFacts(format="BMP", width=6, height=4).problem
    ''
    """

    format: str = ""
    width: int = 0
    height: int = 0
    channels: int = 0
    bits: int = 0
    photometric: str = ""
    frames: int = 0
    transfer_syntax: str = ""
    notes: tuple[str, ...] = ()
    problem: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class OpenedImage:
    """A file whose header was read, and the function that decodes its pixels."""

    facts: ImageFacts
    decode: Callable[[], ImageFrames]


def check_size(height: int, width: int, frames: int, max_pixels: int) -> None:
    """Refuse an image without pixels, or with more than `max_pixels`."""
    if min(height, width, frames) <= 0:
        raise PixelsShapeError(ZERO_SIZE)
    if height * width * frames > max_pixels:
        raise OversizedImageError(
            f"the image declares more than {max_pixels:,} pixels; if you trust the file, "
            "raise max_pixels (--max-pixels)"
        )


def full_range(frames: NDArray[Any]) -> NDArray[np.float32]:
    """Scale numbers without a declared range: the smallest becomes 0, the largest 1."""
    low, high = float(frames.min()), float(frames.max())
    if not np.isfinite([low, high]).all():
        raise NonFiniteError(NOT_FINITE)
    return spread(frames, low, high)


def spread(values: NDArray[Any], low: float, high: float) -> NDArray[np.float32]:
    """Scale linearly so that `low` becomes 0 and `high` 1, and clip."""
    if low == high:
        return np.zeros(values.shape, np.float32)
    # Halves first: high - low of extreme floats may not fit into a float.
    scaled = (values * 0.5 - low * 0.5) / (high * 0.5 - low * 0.5)
    return np.clip(scaled, 0, 1).astype(np.float32)


def upright(frames: NDArray[Any], orientation: object) -> NDArray[Any]:
    """Turn frames ``(..., H, W)`` as an orientation of Exif or TIFF (1 to 8) says."""
    if orientation in (5, 6, 7, 8):
        frames = frames.swapaxes(-1, -2)
    if orientation in (3, 4, 7, 8):
        frames = frames[..., ::-1, :]
    return frames[..., ::-1] if orientation in (2, 3, 6, 7) else frames
