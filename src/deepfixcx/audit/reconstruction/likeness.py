"""How near an inverted image comes: SSIM, its version for several scales, and PSNR."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from deepfixcx.audit.features import Array
from deepfixcx.measures.intervals import Floats
from deepfixcx.measures.quality import ms_ssim, psnr, ssim

__all__ = ["LIKENESS", "likeness"]

MOST_DECIBELS = 100.0
"""Equal images have an infinite PSNR, of which there is no mean."""


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
