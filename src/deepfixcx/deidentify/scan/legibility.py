"""What can be read in an image: text that is burned into its pixels, as tesseract sees it.

Reading nothing proves nothing: handwriting, small or turned text and other alphabets are missed.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from deepfixcx.errors import DeidentifyError

__all__ = ["ReadWords", "read_all", "read_words"]

ReadWords = Callable[[Path], list[str] | None]
"""Reads what is written in an image; None where a file is no image."""

PROGRAM: Final = "tesseract"
SURE: Final = 70.0
"""Per cent that tesseract has to be sure of a word."""

SHORTEST_SIDE, LARGEST_FACTOR = 1200, 6
AROUND, CONTRAST = 24, 24
"""Pixels around one that it is compared with; grays by which text stands out from them."""

SHORTEST_WORD = 3
SECONDS: Final = 120


def read_all(
    read: ReadWords, paths: Sequence[Path], workers: int, tell: Callable[[int, int], None]
) -> list[list[str] | None]:
    """Read the words in every image, several at once: tesseract is a process of its own.

    Parameters
    ----------
    read : callable
        Reads one.
    paths : sequence of Path
        The files.
    workers : int
        How many at once.
    tell : callable
        Called with the files done and the files in all.

    Returns
    -------
    list
        The words of each, in the order of `paths`, whatever `workers` is.

    Raises
    ------
    DeidentifyError
        The program tesseract does not work.
    """
    with ThreadPoolExecutor(max(1, workers)) as pool:
        tasks = [pool.submit(read, path) for path in paths]
        try:
            for done, task in enumerate(as_completed(tasks), start=1):
                task.result()
                tell(done, len(paths))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [task.result() for task in tasks]


def read_words(image: NDArray[Any]) -> list[str]:
    """Read the words in one image.

    It is read four times: enlarged, smoothed, and in black and white both ways, for bright and for
    dark text.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        Gray values in [0, 1].

    Returns
    -------
    list of str
        Different words of at least three letters or digits, sorted.

    Raises
    ------
    DeidentifyError
        The program tesseract is not installed, or does not work.

    Examples
    --------
    >>> read_words(np.zeros((64, 64)))  # doctest: +SKIP
    []
    """
    if shutil.which(PROGRAM) is None:
        raise DeidentifyError(
            "reading text in images needs the program tesseract, which is not installed; on "
            "Debian run: apt-get install tesseract-ocr"
        )
    words: set[str] = set()
    for variant in _variants(image):
        words |= _read(variant)
    return sorted(words)


def _variants(image: NDArray[Any]) -> Iterator[Image.Image]:
    pixels = (np.asarray(image, np.float64).clip(0, 1) * 255).astype(np.uint8)
    factor = min(LARGEST_FACTOR, max(1, -(-SHORTEST_SIDE // min(pixels.shape))))
    picture = Image.fromarray(pixels)
    height, width = pixels.shape
    enlarged = picture.resize((factor * width, factor * height), Image.Resampling.BICUBIC)
    yield enlarged
    smooth = enlarged.filter(ImageFilter.GaussianBlur(factor / 2))
    yield smooth
    # Against what lies around, not against one gray: text may stand on dark and on bright.
    around = np.asarray(smooth.filter(ImageFilter.BoxBlur(AROUND * factor)), np.int16)
    difference = np.asarray(smooth, np.int16) - around
    yield Image.fromarray(np.where(difference > CONTRAST, 0, 255).astype(np.uint8))
    yield Image.fromarray(np.where(difference < -CONTRAST, 0, 255).astype(np.uint8))


def _read(picture: Image.Image) -> set[str]:
    packed = io.BytesIO()
    picture.save(packed, "PNG")
    # Page segmentation 11: text anywhere, in no order.
    command = [PROGRAM, "stdin", "stdout", "--psm", "11", "tsv"]
    try:
        done = subprocess.run(
            command,
            input=packed.getvalue(),
            capture_output=True,
            check=True,
            timeout=SECONDS,
            # Its own threads wait for each other more than they help.
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
        )
    except (OSError, subprocess.SubprocessError):
        raise DeidentifyError(
            "the program tesseract does not read images here; check it with: tesseract --version"
        ) from None
    text = done.stdout.decode("utf-8", "replace")
    rows = csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)
    return {
        row["text"].strip()
        for row in rows
        if row.get("text")
        and float(row.get("conf") or -1) >= SURE
        and sum(letter.isalnum() for letter in row["text"]) >= SHORTEST_WORD
    }
