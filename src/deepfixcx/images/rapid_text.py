"""Lines of text found by the neural networks of RapidOCR, whose weights come with its package."""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.errors import DeidentifyError, MissingExtraError
from deepfixcx.images.masking import TALLEST_WRITING, Region

__all__ = ["check_rapid", "rapid_lines"]

MODULE: Final = "rapidocr_onnxruntime"
MARGIN: Final = 0.2
"""A region is larger than its line by so much of the line's height on each side."""

TILE, SHARED = 1536, 256
"""Pixels: the networks reduce images of more than 2,000, in which small letters are lost then, so
larger ones are read in tiles of this side, which overlap by so much."""

SURE, LOW, WIDE = 50.0, 32, 2.5
"""Per cent from which a line counts as read. What is found and not read is a line of writing if it
is as low as writing (pixels, or the share of the image below) or so many times as wide as high;
bowels and vessels that look like a letter are neither."""

LEAST_SIDE: Final = 32
"""Pixels; images that are smaller hold no line of text, and the networks fail on some of them."""


def check_rapid() -> None:
    """See that the package is there, or name the extra that installs it, and the other reader."""
    try:
        require(MODULE, extra="ocr")
    except MissingExtraError as error:
        raise MissingExtraError(f"{error}, or add --ocr tesseract") from None


SHORTEST_SIDE: Final = 480
"""Pixels to which the network that finds lines enlarges smaller images; its default of 736 takes
twice the time and finds no more lines of 10 pixels and higher in `benchmarks.midi`."""


@functools.cache
def _engine() -> Any:
    """Load the networks, once in a process; one thread, as there are several processes.

    Lines are read one by one: several at once are all made as wide as the widest.
    """
    return require(MODULE, extra="ocr").RapidOCR(
        intra_op_num_threads=1,
        inter_op_num_threads=1,
        det_limit_side_len=SHORTEST_SIDE,
        rec_batch_num=1,
    )


def rapid_lines(plane: NDArray[np.uint8]) -> list[tuple[str, Region, float]]:
    """Return the lines of text in a gray image ``(H, W)``: text, region, sureness in per cent.

    Lines that were found and cannot be read are among them, unless they have the shape of anatomy.
    """
    height, width = plane.shape
    if min(height, width) < LEAST_SIDE:
        return []
    lines = []
    for top, left in itertools.product(_starts(height), _starts(width)):
        tile = plane[top : top + TILE, left : left + TILE]
        lines += [
            (text, _moved(region, top, left), sure)
            for text, region, sure in _tile_lines(tile)
            if sure >= SURE or _is_line(region, height)
        ]
    return lines


def _is_line(region: Region, height: int) -> bool:
    """Return whether a region may be a line of writing, by its height and shape."""
    low = region.height <= max(LOW, TALLEST_WRITING * height)
    return low or region.width >= WIDE * region.height


def _starts(length: int) -> range | list[int]:
    """Return where tiles begin along a side; neighbours share pixels, the last ends at the end."""
    if length <= TILE:
        return [0]
    count = math.ceil((length - SHARED) / (TILE - SHARED))
    return [round(n * (length - TILE) / (count - 1)) for n in range(count)]


def _moved(region: Region, top: int, left: int) -> Region:
    return Region(region.top + top, region.left + left, region.height, region.width)


def _tile_lines(plane: NDArray[np.uint8]) -> list[tuple[str, Region, float]]:
    height, width = plane.shape
    try:
        found, _ = _engine()(np.repeat(plane[..., np.newaxis], 3, axis=-1), text_score=0.0)
    except Exception:  # whatever the networks raise: the image was not examined
        raise DeidentifyError(
            "RapidOCR cannot read this image; convert the file, or use a rule file"
        ) from None
    lines = []
    for corners, text, sure in found or ():
        places = np.asarray(corners, np.float64)
        (left, top), (right, bottom) = places.min(axis=0), places.max(axis=0)
        margin = MARGIN * (bottom - top) + 1
        first_row, first_column = max(0, int(top - margin)), max(0, int(left - margin))
        down = min(height, math.ceil(bottom + margin)) - first_row
        across = min(width, math.ceil(right + margin)) - first_column
        if down > 0 and across > 0:
            region = Region(first_row, first_column, down, across)
            lines.append((str(text), region, 100 * float(sure)))
    return lines
