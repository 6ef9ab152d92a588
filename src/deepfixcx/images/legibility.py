"""How large writing has to be to stay legible in a privatized image.

Writing survives where cells are small against its letters. How small was measured on generated
radiographs with letters and digits burned in, at many levels, patches and sizes
(``benchmarks/legibility.py``): the share of characters that can be recognized by comparing with
templates depends on the cells per letter height, and little on the level. Up to two cells it is
hardly more than by guessing; it is a sixth at three, a third at four, and nearly all at eight.
"""

from __future__ import annotations

from typing import Final

from deepfixcx.spec import CodecSpec

__all__ = ["CELLS_PER_LETTER", "TALLEST_WRITING", "legible_height", "stays_legible"]

CELLS_PER_LETTER: Final = 4.0
"""With so many cells to the height of a letter, a third of the characters can be read."""

TALLEST_WRITING: Final = 0.06
"""Writing that devices burn in is hardly ever taller than this share of the image's height."""


def legible_height(spec: CodecSpec, height: int, width: int) -> float:
    """Return from which height on capital letters stay legible."""
    rows, columns = spec.grid_shape
    return CELLS_PER_LETTER * max(height / rows, width / columns)


def stays_legible(spec: CodecSpec, height: int, width: int) -> bool:
    """Return whether writing of a usual size stays legible in an image."""
    return legible_height(spec, height, width) <= TALLEST_WRITING * height
