"""What an attacker inverts, and how images are resized and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepfixcx.audit.features import CODE_AXES, Array, Standard
from deepfixcx.code import Code
from deepfixcx.errors import AuditError
from deepfixcx.measures.intervals import Floats
from deepfixcx.measures.quality import ms_ssim, psnr, ssim

__all__ = [
    "LIKENESS",
    "FitInverter",
    "Invert",
    "LogScores",
    "Released",
    "code_of",
    "likeness",
    "numbers_of",
    "resize",
]

Released = Code | NDArray[np.float32]
"""Codes with their spec; or an array (N, ...) without one."""

Invert = Callable[[Released], Array]
"""Makes images (N, C, H, W) of what was released."""

FitInverter = Callable[[Released, Array, NDArray[np.int64], int], Invert]
"""An attacker: given what was released of others, their images, whose they are and a seed."""

KNEE = 0.01
"""Below this share of its mean a number of a code counts as nothing: there logarithms end."""


def numbers_of(released: Released) -> Array:
    """Return the array."""
    return np.asarray(released.array if isinstance(released, Code) else released, np.float32)


def code_of(released: Released, attacker: str) -> Code:
    """Return the code, or say that this attacker needs one."""
    if isinstance(released, Code):
        return released
    raise AuditError(
        f"the attacker {attacker!r} inverts codes with their spec, and this is an array of shape "
        f"{released.shape}; take 'neighbour', 'ridge' or 'unet'"
    )


@dataclass(frozen=True, eq=False, slots=True)
class LogScores:
    """Standard scores of the logarithms of codes, or of other numbers as they are, (N, n)."""

    knee: Array | None
    standard: Standard

    @classmethod
    def fit(cls, released: Released) -> LogScores:
        """Learn scales from what was released of others."""
        numbers = numbers_of(released)
        flat = numbers.reshape(len(numbers), -1)
        knee = None
        if numbers.ndim in CODE_AXES:
            knee = np.maximum(KNEE * np.abs(flat).mean(axis=0), 1e-12)
        return cls(knee, Standard.fit(_logarithms(flat, knee)))

    def __call__(self, released: Released) -> Array:
        """Return scores (N, n)."""
        numbers = numbers_of(released)
        return self.standard(_logarithms(numbers.reshape(len(numbers), -1), self.knee))


def _logarithms(flat: Array, knee: Array | None) -> Array:
    if knee is None:
        return flat
    return np.asarray(np.sign(flat) * np.log1p(np.abs(flat) / knee), np.float32)


def resize(images: Array, height: int, width: int) -> Array:
    """Resize images (..., H, W) along both axes."""
    rows, columns = _weights(images.shape[-2], height), _weights(images.shape[-1], width)
    return np.asarray(rows @ images @ columns.T, np.float32)


def _weights(before: int, after: int) -> Array:
    """Return what each new pixel takes of each old one, (after, before); rows sum to 1."""
    scale = before / after
    reach = max(scale, 1.0)  # half the width of the triangle
    centres = (np.arange(after) + 0.5) * scale - 0.5
    if scale > 1:  # an average over the pixels that become one
        low = np.arange(after)[:, None] * scale
        edges = np.clip(np.arange(before + 1)[None], low, low + scale)
        weights = np.diff(edges, axis=1)
    else:
        places = np.clip(centres, 0, before - 1)[:, None]
        weights = np.maximum(1 - np.abs(np.arange(before)[None] - places) / reach, 0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


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
