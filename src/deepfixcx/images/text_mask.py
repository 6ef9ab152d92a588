"""Regions of writing found in the image itself, by the program tesseract.

It finds most printed text of a usual size, and misses some: small, turned, handwritten, or on a
busy ground. What it found is painted on every frame of a file, because writing that one frame
shows clearly may stand unread in another.
"""

from __future__ import annotations

import csv
import io
import math
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from deepfixcx.errors import DeidentifyError
from deepfixcx.images.masking import Region

if TYPE_CHECKING:
    from deepfixcx.images.dicom.native import Header

__all__ = ["TextMask"]

PROGRAM: Final = "tesseract"
SECONDS: Final = 120
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

TALLEST: Final = 0.3
"""What is higher than this share of the image is anatomy that looks like a letter."""


@dataclass(frozen=True, slots=True)
class TextMask:
    """Paints what tesseract takes for writing."""

    name: str = "ocr"

    @staticmethod
    def check() -> None:
        """See that tesseract is there.

        Raises
        ------
        DeidentifyError
            It is not.
        """
        if shutil.which(PROGRAM) is None:
            raise DeidentifyError(
                "--mask ocr needs the program tesseract, which is not installed; on Debian run: "
                "apt-get install tesseract-ocr"
            )

    def regions(self, pixels: NDArray[Any], header: Header) -> tuple[Region, ...]:
        """Return where writing was found on any frame.

        Parameters
        ----------
        pixels : ndarray
            Frames ``(F, C, H, W)``.
        header : Header
            Not looked at.

        Returns
        -------
        tuple of Region
            Sorted; they may overlap.

        Raises
        ------
        DeidentifyError
            tesseract is not installed, or fails.
        """
        del header
        self.check()
        found: set[Region] = set()
        for frame in pixels:
            gray = _gray(frame)
            for picture in _variants(gray):
                found |= _read(picture)
        return tuple(sorted(found))


def _gray(frame: NDArray[Any]) -> NDArray[np.uint8]:
    """Turn a frame ``(C, H, W)`` into 8-bit gray."""
    values = frame.astype(np.float32).mean(axis=0)
    scale = 1.0 if frame.dtype.kind == "f" else float(np.iinfo(frame.dtype).max)
    gray: NDArray[np.uint8] = np.rint(values / scale * 255).clip(0, 255).astype(np.uint8)
    return gray


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


def _read(gray: NDArray[np.uint8]) -> set[Region]:
    height, width = gray.shape
    factor = min(MOST, max(1, -(-WANTED_SIDE // max(height, width))))
    picture = Image.fromarray(gray)
    if factor > 1:
        picture = picture.resize((factor * width, factor * height), Image.Resampling.BICUBIC)
    packed = io.BytesIO()
    picture.save(packed, "PNG")
    # Page segmentation 11: text anywhere, in no order.
    command = [PROGRAM, "stdin", "stdout", "--psm", "11", "tsv"]
    try:
        done = subprocess.run(
            command, input=packed.getvalue(), capture_output=True, check=True, timeout=SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        raise DeidentifyError(
            "the program tesseract does not read this image; convert the file, or use rules"
        ) from None
    text = done.stdout.decode("utf-8", "replace")
    rows = csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)
    regions = (_region(row, factor, height, width) for row in rows if _is_word(row))
    return {region for region in regions if region is not None}


def _is_word(row: dict[str, str]) -> bool:
    letters = sum(map(str.isalnum, row.get("text") or ""))
    sure = float(row.get("conf") or -1)
    return (letters > 1 and sure >= SURE) or (letters == 1 and sure >= SURE_OF_ONE)


def _region(row: dict[str, str], factor: int, height: int, width: int) -> Region | None:
    left, top, across, down = (
        int(row[name]) / factor for name in ("left", "top", "width", "height")
    )
    if down > TALLEST * height or across <= 0 or down <= 0:
        return None
    margin = MARGIN * down + 1
    first_row, first_column = max(0, int(top - margin)), max(0, int(left - margin))
    last_row = min(height, math.ceil(top + down + margin))
    last_column = min(width, math.ceil(left + across + margin))
    return Region(first_row, first_column, last_row - first_row, last_column - first_column)
