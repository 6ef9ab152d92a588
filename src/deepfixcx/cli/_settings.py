"""Words of the command line become a spec, in the same way for every command."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepfixcx.choices import Boundary, Grid
    from deepfixcx.spec import CodecSpec

__all__ = ["SUGGESTED_LEVEL", "SUGGESTED_PATCHES", "parse_patches", "spec_of"]

SUGGESTED_LEVEL, SUGGESTED_PATCHES = 3, 4
"""Where to begin: 1,024 numbers an image, one per cent of 320 x 320 pixels."""


def spec_of(
    level: int, patches: str, wavelet: str, pooling: str, boundary: Boundary, grid: Grid
) -> CodecSpec:
    """Return the spec that the options of a command name."""
    from deepfixcx.spec import CodecSpec

    names = tuple(pooling.split(",")) if "," in pooling else pooling
    return CodecSpec(level, parse_patches(patches), wavelet, names, boundary, grid)


def parse_patches(text: str) -> int | tuple[int, int]:
    """Read ``4`` or ``4x6``."""
    from deepfixcx.errors import SpecError

    numbers = text.lower().split("x")
    if not 1 <= len(numbers) <= 2 or not all(number.strip().isdigit() for number in numbers):
        raise SpecError(f"--patches is a number such as 4, or rows x columns as 4x6; got {text!r}")
    return int(numbers[0]) if len(numbers) == 1 else (int(numbers[0]), int(numbers[1]))
