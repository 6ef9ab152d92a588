"""Other ways to release little of an image, as arrays that the same attackers get.

HeartSpot is written anew from its paper (Johnson et al., BHI 2022,
doi:10.1109/BHI56158.2022.9926777) and the settings of its repository: rows 100, 110, …, 290 of an
image of 320 × 320, or 200 random lines within the region of the heart, with a quadtree before. Its
mask is redrawn as a polygon.
WaLLoC (Jacobellis and Yadwadkar, DCC 2025) is a wavelet packet, one linear layer over its bands and
eight bits a number. Of the Haar packet, the linear layer with the least squared error is that of
the principal components of blocks, since the packet only turns a block; it is learned on other
images (`cxr_kermany`), as a published codec is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from deepfixcx.datasets import load_dataset
from deepfixcx.experiments.frontier_inputs import dp_pix
from deepfixcx.learn.baselines import pixelate
from deepfixcx.learn.loading import load_pixels
from deepfixcx.mechanisms import Records
from deepfixcx.mechanisms.whitening import Whitening

__all__ = ["PixelComponents", "encodings"]

Array = NDArray[np.float32]

SIDE = 320
NUMBERS = 5776
"""Of a code with J=2, P=19."""

ROWS = tuple(range(100, 300, 10))
LINES = 200
THRESHOLD = 0.05
"""Deviation from which on the quadtree divides a square."""

HEART = (
    (94, 8), (60, 38), (35, 75), (23, 115), (25, 145), (38, 165), (60, 170), (85, 162), (104, 150),
    (112, 168), (130, 180), (155, 182), (172, 172), (179, 150), (172, 115), (150, 70), (130, 40),
)  # fmt: skip
"""Corners of the region of the heart, of 200."""

BLOCK, CHANNELS, TAUGHT = 8, 4, 150


def encodings(folder: Path, pixels: Array) -> dict[str, Array]:
    """Return what each rival releases of images (N, 1, 320, 320), as vectors."""
    small = pixelate(pixels, NUMBERS)
    sizes = np.full((len(pixels), 2), SIDE)
    return {
        "rows": pixels[:, 0, list(ROWS)].reshape(len(pixels), -1),
        "heart": quadtree(pixels[:, 0])[:, heart_lines()],
        "walloc": block_components(pixels[:, 0], others(folder)),
        "pixelated": small.reshape(len(small), -1),
        "dp-pix": dp_pix(small, sizes, 1.0, 16, 0).reshape(len(small), -1),
    }


def heart_lines() -> NDArray[np.bool_]:
    """Return which pixels are released: rows and random lines, within the region of the heart."""
    generator = np.random.default_rng(1)
    ends = generator.standard_normal((LINES, 2, 2))
    ends[:, 0, 0], ends[:, 1, 0] = abs(ends[:, 0, 0]), -abs(ends[:, 1, 0])
    ends = SIDE / 2 + SIDE * ends / np.linalg.norm(ends, axis=2, keepdims=True)
    lines, region = (Image.new("1", (SIDE, SIDE)) for _ in range(2))
    for one, other in ends.round().astype(int):
        ImageDraw.Draw(lines).line([tuple(one), tuple(other)], fill=1)
    corners = [(x * SIDE / 200, y * SIDE / 200) for x, y in HEART]
    ImageDraw.Draw(region).polygon(corners, fill=1)
    chosen = np.array(lines)
    chosen[list(ROWS)] = True
    return np.asarray(chosen & np.array(region))


def quadtree(images: Array) -> Array:
    """Return images (N, S, S) with squares of little deviation replaced by their mean."""
    found = np.repeat(images.mean(axis=(1, 2))[:, None, None], SIDE, 1).repeat(SIDE, 2)
    divided = np.repeat(images.std(axis=(1, 2))[:, None, None] >= THRESHOLD, SIDE, 1)
    divided = divided.repeat(SIDE, 2)
    size = SIDE
    while size % 2 == 0:
        size //= 2
        blocks = images.reshape(len(images), SIDE // size, size, SIDE // size, size)
        mean, deviation = (
            each.repeat(size, 1).repeat(size, 2)
            for each in (blocks.mean(axis=(2, 4)), blocks.std(axis=(2, 4)))
        )
        found = np.where(divided, mean, found)
        divided &= deviation >= THRESHOLD
    return np.where(divided, images, found).astype(np.float32)


def others(folder: Path) -> Array:
    """Return images of another dataset, to learn a linear layer on."""
    records = load_dataset(folder / "cxr_kermany", labels="pneumonia").records[:TAUGHT]
    return np.asarray(load_pixels(records, SIDE).array[:, 0], np.float32)


def block_components(images: Array, taught: Array) -> Array:
    """Return the first principal components of each block, with eight bits a number."""

    def blocks(of: Array) -> Array:
        count = SIDE // BLOCK
        cut = of.reshape(len(of), count, BLOCK, count, BLOCK).transpose(0, 1, 3, 2, 4)
        return cut.reshape(len(of), count**2, BLOCK**2)

    known = blocks(taught).reshape(-1, BLOCK**2).astype(np.float64)
    _, vectors = np.linalg.eigh(np.cov(known, rowvar=False))
    weights = vectors[:, ::-1][:, :CHANNELS]
    latent = (blocks(images) - known.mean(axis=0)) @ weights
    reach = np.abs((known - known.mean(axis=0)) @ weights).max(axis=0)
    steps = np.rint((latent / reach).clip(-1, 1) * 127)
    return np.asarray((steps / 127 * reach).reshape(len(images), -1), np.float32)


@dataclass(frozen=True)
class PixelComponents:
    """Principal components of vectors, learned on public images."""

    numbers: int
    whitening: Whitening | None = None
    name = "components"
    guarantee = "none"

    def fit(self, public: Records, generator: np.random.Generator) -> PixelComponents:
        """Learn them."""
        del generator
        return PixelComponents(self.numbers, Whitening.fit(public.array, self.numbers))

    def represent(self, array: Array) -> Array:
        """Return the components."""
        assert self.whitening is not None
        return np.asarray(self.whitening.scores(array), np.float32)

    def apply(self, records: Records, generator: np.random.Generator) -> Records:
        """Bring records into this form."""
        del generator
        return records.with_array(self.represent(records.array))

    def to_manifest(self) -> dict[str, Any]:
        """Return the number of components."""
        return {"mechanism": self.name, "numbers": self.numbers}
