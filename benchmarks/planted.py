"""Real images with a known thing put in: where it is, and which edges it has, is the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Direction", "Planted", "plant_discs", "plant_edges", "plant_marker"]

Array = NDArray[np.float32]
Direction = Literal["vertical", "horizontal", "diagonal"]

ZONES = ((0.35, 0.3), (0.35, 0.7), (0.6, 0.3), (0.6, 0.7))
"""Upper and lower middle of both lungs: shares of the height and of the width."""

JITTER = 0.04
"""Whatever is put in lies within this share of the side from the middle of its zone."""


@dataclass(frozen=True, eq=False, slots=True)
class Planted:
    """Copies of images, half of them with something put in.

    Attributes
    ----------
    pixels : ndarray of float32, shape (N, 1, H, W)
        In [0, 1].
    labels : ndarray of float32, shape (N, 1)
        1 where something was put in.
    sources : ndarray of int64, shape (N,)
        Which image each is a copy of.
    places : ndarray of float32, shape (N, 2)
        Middle of what was put in, (row, column) in pixels; NaN where nothing was.
    radius : float
        Half its extent, in pixels.
    """

    pixels: Array
    labels: Array
    sources: NDArray[np.int64]
    places: Array
    radius: float


def plant_discs(
    pixels: Array, copies: int, generator: np.random.Generator, radius: int, strength: float
) -> Planted:
    """Put a bright blurred disc into a lung zone of half of the copies.

    Parameters
    ----------
    pixels : ndarray of float32, shape (N, 1, H, W)
        Real images, in [0, 1].
    copies : int
        Of each image, half of them with a disc.
    generator : numpy Generator
        Of the places.
    radius : int
        Of the disc, in pixels.
    strength : float
        What it adds in its middle.
    """
    return _plant(pixels, copies, generator, strength * _disc(radius))


def plant_edges(
    pixels: Array,
    copies: int,
    generator: np.random.Generator,
    direction: Direction,
    period: float,
    radius: int,
    strength: float,
) -> Planted:
    """Put a patch of stripes of one direction and period into a lung zone of half of the copies.

    Parameters
    ----------
    pixels, copies, generator, radius, strength
        As in `plant_discs`.
    direction : {"vertical", "horizontal", "diagonal"}
        Of the stripes.
    period : float
        One bright and one dark stripe together, in pixels; of diagonal ones along a row.
    """
    along = np.arange(-radius, radius + 1)
    across = {
        "vertical": along + 0 * along[:, None],
        "horizontal": along[:, None] + 0 * along,
        "diagonal": along[:, None] + along,
    }[direction]
    stripes = np.sin(2 * np.pi * across / period)
    return _plant(pixels, copies, generator, strength * stripes * _disc(radius))


def plant_marker(
    pixels: Array, yes: NDArray[np.bool_], side: int = 24, corner: tuple[int, int] = (8, 8)
) -> Array:
    """Put a bright letter L, `side` pixels high, into some images (N, 1, H, W) in [0, 1].

    `corner` is its upper left corner, (row, column).
    """
    marked, stroke, (row, column) = pixels.copy(), side // 5, corner
    marked[yes, :, row : row + side, column : column + stroke] = 1
    marked[yes, :, row + side - stroke : row + side, column : column + side * 2 // 3] = 1
    return marked


def _disc(radius: int) -> NDArray[np.float64]:
    """Return a disc of height 1 in its middle that falls to 0 as a cosine does, without a rim."""
    along = np.arange(-radius, radius + 1)
    distance = np.minimum(np.hypot(along[:, None], along) / radius, 1)
    return (1 + np.cos(np.pi * distance)) / 2


def _plant(
    pixels: Array, copies: int, generator: np.random.Generator, thing: NDArray[np.float64]
) -> Planted:
    """Add `thing` to every other copy, in one of the zones.

    All copies are brought to a range that leaves room for it: what is clipped has other edges.
    """
    count, _, height, width = pixels.shape
    sources = np.repeat(np.arange(count), copies)
    labels = np.tile(np.arange(copies) % 2 == 0, count).astype(np.float32)[:, None]
    below, above = max(0.0, -float(thing.min())), max(0.0, float(thing.max()))
    made = (below + (1 - below - above) * pixels[sources]).astype(np.float32)
    radius = thing.shape[0] // 2
    sides = np.array([height, width])
    places = np.full((len(made), 2), np.nan, np.float32)
    for number in np.flatnonzero(labels[:, 0]):
        zone = ZONES[int(generator.integers(len(ZONES)))]
        row, column = ((zone + generator.uniform(-JITTER, JITTER, 2)) * sides).astype(int)
        window = made[
            number, 0, row - radius : row + radius + 1, column - radius : column + radius + 1
        ]
        window += thing.astype(np.float32)
        places[number] = row, column
    return Planted(made, labels, sources, places, float(radius))
