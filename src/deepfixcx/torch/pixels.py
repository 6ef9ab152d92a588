"""Which tensors count as pixels, and in what numbers they are worked.

As everywhere in this package, uint8 and uint16 are scaled to [0, 1] by their full range and floats
are taken as they are. Work is done in float32, or in float64 where the pixels are; a code has the
dtype of its pixels if they are floats, and else float32.
"""

from __future__ import annotations

import torch
from torch import Tensor

from deepfixcx.errors import PixelsShapeError
from deepfixcx.pixels import SCALES as SCALES_BY_NAME

__all__ = ["SCALES", "check_pixels", "code_dtype", "to_unit", "working_dtype"]

SCALES = {getattr(torch, name): scale for name, scale in SCALES_BY_NAME.items() if scale != 1}
"""What integer pixels are multiplied by."""

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def check_pixels(pixels: Tensor) -> None:
    """Raise if a tensor does not hold images.

    Raises
    ------
    PixelsShapeError
        Not a tensor of shape (H, W), (C, H, W) or (B, C, H, W) with a supported dtype and at least
        one pixel an image.
    """
    if not isinstance(pixels, Tensor):
        raise PixelsShapeError(
            f"pixels must be a torch tensor, got {type(pixels).__name__}; for arrays there is "
            f"deepfixcx.Codec, and torch.from_numpy"
        )
    shape = tuple(pixels.shape)
    if not 2 <= len(shape) <= 4:
        raise PixelsShapeError(
            f"pixels must be (H, W), (C, H, W) or (B, C, H, W), got shape {shape}"
        )
    if 0 in shape[-3:]:
        raise PixelsShapeError(f"an image without pixels: shape {shape}")
    if len(shape) > 2 and shape[-1] in (1, 3, 4) and shape[-3] > 4:
        raise PixelsShapeError(
            f"shape {shape} looks like channels last; deepfixcx takes channels first, "
            f"so use torch.movedim(pixels, -1, -3)"
        )
    if pixels.dtype not in SCALES and pixels.dtype not in FLOATS:
        raise PixelsShapeError(
            f"pixels of dtype {pixels.dtype} have no known range; pass uint8, uint16, or floats "
            f"in [0, 1]"
        )


def working_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype that numbers of this dtype are worked in."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def code_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype of the code of such pixels."""
    return dtype if dtype in FLOATS else torch.float32


def to_unit(pixels: Tensor) -> Tensor:
    """Return pixels in the dtype they are worked in, integers scaled to [0, 1].

    Examples
    --------
    >>> to_unit(torch.tensor([0, 255], dtype=torch.uint8)).tolist()
    [0.0, 1.0]
    """
    unit = pixels.to(working_dtype(pixels.dtype))
    return unit * SCALES[pixels.dtype] if pixels.dtype in SCALES else unit
