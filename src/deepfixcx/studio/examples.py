"""Images that are there on first open: radiographs of nobody, and test files of pydicom."""

from __future__ import annotations

import io
from functools import lru_cache
from importlib.resources import files
from threading import Lock

import numpy as np

from deepfixcx.images import ImageFrames, phantom, read_image
from deepfixcx.studio.exploring import Picture

__all__ = ["example", "example_names", "picture_of"]

SIDE, SEED = 1024, 20230502

SHIPPED = {
    "Head, CT": "J2K_pixelrep_mismatch.dcm",
    "Abdomen, MR": "examples_overlay.dcm",
    "Ultrasound": "examples_jpeg2k.dcm",
}
"""What the package pydicom ships, by what it shows."""

DRAWN = "Chest, drawn"

_ONE_AT_A_TIME = Lock()


def example_names() -> tuple[str, ...]:
    """Return the names of the examples that this machine has.

    Examples
    --------
    >>> example_names()[0]
    'Chest, drawn'
    """
    folder = files("pydicom") / "data" / "test_files"
    there = (name for name, file in SHIPPED.items() if (folder / file).is_file())
    return (DRAWN, *there)


def example(name: str) -> Picture:
    """Return an example; made once, whoever asks.

    Raises
    ------
    KeyError
        There is none of this name.
    """
    with _ONE_AT_A_TIME:
        return _made(name)


@lru_cache(maxsize=8)
def _made(name: str) -> Picture:
    if name == DRAWN:
        drawn = phantom(np.random.default_rng(SEED), SIDE)
        frames = np.rint(255 * drawn).astype(np.uint8)[np.newaxis, np.newaxis]
        return Picture(frames, 0, f"{SIDE:,} × {SIDE:,} pixels, a radiograph of nobody")
    content = (files("pydicom") / "data" / "test_files" / SHIPPED[name]).read_bytes()
    found = read_image(io.BytesIO(content))
    return picture_of(found, len(content))


def picture_of(found: ImageFrames, file_bytes: int) -> Picture:
    """Make a picture of what was read; its words tell size, depth, colour, frames and format."""
    count, channels, height, width = found.pixels.shape
    words = [f"{height:,} × {width:,} pixels", f"{found.bits} bit"]
    words += ["colour"] if channels == 3 else []
    words += [f"{count} frames"] if count > 1 else []
    return Picture(found.pixels, file_bytes, ", ".join([*words, found.format]))
