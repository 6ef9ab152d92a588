"""Lines of text found by the neural networks of RapidOCR, whose weights come with its package."""

from __future__ import annotations

import functools
import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.errors import DeidentifyError
from deepfixcx.images.masking import Region

__all__ = ["check_rapid", "rapid_lines"]

MODULE: Final = "rapidocr_onnxruntime"
MARGIN: Final = 0.2
"""A region is larger than its line by so much of the line's height on each side."""

LEAST_SIDE: Final = 32
"""Pixels; images that are smaller hold no line of text, and the networks fail on some of them."""


def check_rapid() -> None:
    """See that the package is there, or name the extra that installs it."""
    require(MODULE, extra="ocr")


@functools.cache
def _engine() -> Any:
    """Load the networks, once in a process; one thread, as there are several processes."""
    return require(MODULE, extra="ocr").RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1)


def rapid_lines(plane: NDArray[np.uint8]) -> list[tuple[str, Region]]:
    """Return the lines of text in a gray image ``(H, W)``, with their regions."""
    height, width = plane.shape
    if min(height, width) < LEAST_SIDE:
        return []
    try:
        found, _ = _engine()(np.repeat(plane[..., np.newaxis], 3, axis=-1))
    except Exception:  # whatever the networks raise: the image was not examined
        raise DeidentifyError(
            "RapidOCR cannot read this image; convert the file, or use a rule file"
        ) from None
    lines = []
    for corners, text, _sure in found or ():
        places = np.asarray(corners, np.float64)
        (left, top), (right, bottom) = places.min(axis=0), places.max(axis=0)
        margin = MARGIN * (bottom - top) + 1
        first_row, first_column = max(0, int(top - margin)), max(0, int(left - margin))
        down = min(height, math.ceil(bottom + margin)) - first_row
        across = min(width, math.ceil(right + margin)) - first_column
        if down > 0 and across > 0:
            lines.append((str(text), Region(first_row, first_column, down, across)))
    return lines
