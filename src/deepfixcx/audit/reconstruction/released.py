"""What an attacker inverts: codes, or whatever else a mechanism made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepfixcx.audit.features import CODE_AXES, Array, Standard
from deepfixcx.code import Code
from deepfixcx.errors import AuditError

__all__ = ["FitInverter", "Invert", "LogScores", "Released", "code_of", "numbers_of"]

Released = Code | NDArray[np.float32]
"""Codes with their spec; or an array (N, ...) without one."""

Invert = Callable[[Released], Array]
"""Makes images (N, C, H, W) of what was released."""

FitInverter = Callable[[Released, Array, NDArray[np.int64], int], Invert]
"""An attacker: told what was released of others, their images, whose they are and a seed."""

KNEE = 0.01
"""Below this share of its mean a number of a code counts as nothing: there logarithms end."""


def numbers_of(released: Released) -> Array:
    """Return the array."""
    return np.asarray(released.array if isinstance(released, Code) else released, np.float32)


def code_of(released: Released, attacker: str) -> Code:
    """Return the code, or say that this attacker needs one.

    Raises
    ------
    AuditError
        An array without a spec.
    """
    if isinstance(released, Code):
        return released
    raise AuditError(
        f"the attacker {attacker!r} inverts codes with their spec, and this is an array of shape "
        f"{released.shape}; take 'neighbour', 'ridge' or 'unet'"
    )


@dataclass(frozen=True, eq=False, slots=True)
class LogScores:
    """Standard scores of the logarithms of codes, or of other numbers as they are, (N, n).

    Logarithms, because pooling makes sizes of what adds up: twice the contrast is twice the code.
    """

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
