"""Regions of writing found in the image itself, by the program tesseract.

It finds most printed text of a usual size, and misses some: small, turned, handwritten, or on a
busy ground. What it found is painted on every frame of a file, because writing that one frame
shows clearly may stand unread in another.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from deepfixcx.errors import DeidentifyError
from deepfixcx.images.masking import Region
from deepfixcx.io.tesseract import Word, has_tesseract, read_picture

if TYPE_CHECKING:
    from deepfixcx.images.dicom.native import Header

__all__ = ["TextMask"]

SURE, SURE_OF_ONE = 20.0, 60.0
"""Per cent that tesseract has to be sure of a word, and of a single letter: painting too much costs
less than leaving a name."""

WANTED_SIDE, MOST = 1500, 4
STROKE: Final = 9
"""Pixels; strokes of letters are thinner."""

BRIGHT, RISE = 0.92, 0.4
"""Writing is nearly as bright as anything, or rises above its ground by so much of the most."""

MARGIN: Final = 0.35
"""A region is larger than its word by so much of the word's height on each side."""

TALL, SURE_OF_TALL, SURE_OF_ONE_TALL = 0.15, 70.0, 85.0
"""What is higher than this share of the image may be anatomy that looks like a letter: tesseract
has to be surer of it, most of all of a single letter."""

REDUCED: Final = (128, 64)
"""Pixels of the longest side at which the strokes of large letters are thin again."""

SAME: Final = 8
"""Of 255: channels that differ by no more show the same writing."""


@dataclass(frozen=True, slots=True)
class TextMask:
    """Paints what tesseract takes for writing."""

    name: str = "ocr"

    @staticmethod
    def check() -> None:
        """See that tesseract is there."""
        if not has_tesseract():
            raise DeidentifyError(
                "--mask ocr needs the program tesseract, which is not installed; on Debian run: "
                "apt-get install tesseract-ocr"
            )

    def regions(self, pixels: NDArray[Any], header: Header) -> tuple[Region, ...]:
        """Return where writing was found on any frame."""
        del header
        self.check()
        found: set[Region] = set()
        for frame in pixels:
            for plane in _planes(frame):
                for picture in _variants(plane):
                    found |= _read(picture, 1)
                for side in REDUCED:
                    step = max(1, max(plane.shape) // side)
                    small = Image.fromarray(plane).reduce(step)
                    for picture in _variants(np.asarray(small)):
                        found |= {each for each in _read(picture, step) if _is_large(each, plane)}
        return tuple(sorted(found))


def _planes(frame: NDArray[Any]) -> list[NDArray[np.uint8]]:
    """Return the channels of a frame ``(C, H, W)`` that differ, in 8 bits."""
    scale = 1.0 if frame.dtype.kind == "f" else float(np.iinfo(frame.dtype).max)
    planes: list[NDArray[np.uint8]] = []
    for channel in frame.astype(np.float32) / scale * 255:
        plane = np.rint(channel).clip(0, 255).astype(np.uint8)
        if all(np.abs(plane.astype(np.int16) - other).max() > SAME for other in planes):
            planes.append(plane)
    return planes


def _is_large(region: Region, plane: NDArray[np.uint8]) -> bool:
    """Tell what the whole plane may not show: letters of thick strokes."""
    return bool(region.height > TALL * plane.shape[0])


def _variants(gray: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Bring out thin strokes, dark on white, which reads best: first bright ones, then dark."""
    for picture in (gray, 255 - gray):
        values = picture.astype(np.int16)
        ground = Image.fromarray(picture)
        # What is left of the picture where no stroke is wider than this: its ground.
        ground = ground.filter(ImageFilter.MinFilter(STROKE)).filter(ImageFilter.MaxFilter(STROKE))
        risen = values - np.asarray(ground)
        for stroke in (values > BRIGHT * values.max(), risen > RISE * max(1, risen.max())):
            yield np.where(stroke, 0, 255).astype(np.uint8)


def _read(gray: NDArray[np.uint8], step: int) -> set[Region]:
    """Return where writing is, in the pixels of a picture that was reduced by a step."""
    height, width = gray.shape
    factor = min(MOST, max(1, -(-WANTED_SIDE // max(height, width))))
    picture = Image.fromarray(gray)
    if factor > 1:
        picture = picture.resize((factor * width, factor * height), Image.Resampling.BICUBIC)
    packed = io.BytesIO()
    picture.save(packed, "PNG")
    try:
        words = read_picture(packed.getvalue())
    except OSError:
        raise DeidentifyError(
            "the program tesseract cannot read this image; convert the file, or use a rule file"
        ) from None
    regions = (_region(word, factor / step, height * step, width * step) for word in words)
    return {region for region in regions if region is not None}


def _region(word: Word, factor: float, height: int, width: int) -> Region | None:
    """Return the place of a word with its margin; None where it is most likely none."""
    left, top, across, down = (length / factor for length in word[2:])
    letters = sum(map(str.isalnum, word.text))
    tall = down > TALL * height
    needed = (
        (SURE_OF_ONE_TALL if tall else SURE_OF_ONE)
        if letters == 1
        else (SURE_OF_TALL if tall else SURE)
    )
    if not letters or word.sure < needed or across <= 0 or down <= 0:
        return None
    margin = MARGIN * down + 1
    first_row, first_column = max(0, int(top - margin)), max(0, int(left - margin))
    last_row = min(height, math.ceil(top + down + margin))
    last_column = min(width, math.ceil(left + across + margin))
    return Region(first_row, first_column, last_row - first_row, last_column - first_column)
