"""Regions of an image in which a model should find no reasons, told from codes alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from deepfixcx.code import Code
from deepfixcx.explain.groups import band_groups
from deepfixcx.explain.places import place_words
from deepfixcx.pooling import amplitudes

__all__ = ["Region", "RegionKind", "outside_the_body", "suspect_regions", "text_like"]

Mask = NDArray[np.bool_]

RegionKind = Literal["corner", "border", "outside", "text"]

DARK = 0.1
"""A cell is outside the body if its brightness is below this share of the image's brightest."""

STRONGEST = 0.02
"""Share of all cells that count as those with the strongest edges."""

LARGEST_BORDER = 0.5
"""A ring of cells that covers more of the image than this is no border."""


@dataclass(frozen=True, eq=False, slots=True)
class Region:
    """Cells of each image that belong to a region.

    Attributes
    ----------
    kind : {"corner", "border", "outside", "text"}
        What it is.
    words : str
        The region in words, to stand behind "comes from".
    cells : ndarray of bool, shape (B, P, P)
        Which cells belong to it.
    """

    kind: RegionKind
    words: str
    cells: Mask


def suspect_regions(code: Code) -> tuple[Region, ...]:
    """Return the regions of some images in which reasons are suspect.

    - Each of the four corners: a sixth of the cells along each axis, at least one. There are none
      on grids of fewer than three cells along an axis.
    - The border: one ring of cells without the corners, where the ring covers no more than half of
      the image; so from seven cells along each axis on.
    - Outside the body: `outside_the_body`, where there are such cells.
    - Text, markers and devices: `text_like`.

    Parameters
    ----------
    code : Code
        Some images.

    Returns
    -------
    tuple of Region
        Those that there are.

    Examples
    --------
    >>> from deepfixcx import Codec
    >>> code = Codec(level=1, patches=4).encode(np.ones((2, 1, 32, 32), np.float32))
    >>> [region.words for region in suspect_regions(code)][0]
    'the upper left corner'
    """
    images, (rows, columns) = len(code), code.spec.grid_shape
    regions = []
    if min(rows, columns) >= 3:
        for row in (0, rows - 1):
            for column in (0, columns - 1):
                corner = _corner(rows, columns, row, column)
                name = place_words(row, column, (rows, columns)).partition(",")[0]
                cells = np.broadcast_to(corner, (images, rows, columns))
                regions.append(Region("corner", f"the {name} corner", cells))
        ring = np.ones((rows, columns), np.bool_)
        ring[1:-1, 1:-1] = False
        if ring.mean() <= LARGEST_BORDER:
            corners = [region.cells[0] for region in regions]
            ring &= ~np.logical_or.reduce(corners)
            cells = np.broadcast_to(ring, (images, rows, columns))
            regions.append(Region("border", "the border of the image without its corners", cells))
    outside = outside_the_body(code)
    regions.append(Region("outside", "dark cells outside the body", outside))
    regions.append(
        Region(
            "text", "the cells with the strongest edges (text, markers, devices)", text_like(code)
        )
    )
    return tuple(region for region in regions if region.cells.any())


def outside_the_body(code: Code) -> Mask:
    """Return which cells are dark: outside the body in most images made with rays.

    The approximation holds the mean brightness of a cell (for Haar; nearly so for other wavelets).
    A cell is dark if its brightness is below a tenth of that of the brightest cell of its image.
    In images with a bright background nothing is found.

    Parameters
    ----------
    code : Code
        Some images.

    Returns
    -------
    ndarray of bool, shape (B, P, P)
    """
    brightness = np.abs(amplitudes(code.array, code.spec)[:, :, 0]).mean(axis=1)
    brightest = brightness.max(axis=(1, 2), keepdims=True, initial=0)
    dark: Mask = brightness < DARK * brightest
    return dark


def text_like(code: Code) -> Mask:
    """Return which cells have the strongest edges: those of text, markers and devices, if any.

    Letters and markers are flat strokes of high contrast, so their cells have stronger edges than
    anatomy. A code cannot see more of a letter than that, and a cell that is much larger than a
    letter hardly that. Cells count if the sum of their details of the two octaves above the finest
    (periods of 4 to 16 pixels; the finest holds mostly noise) is among the strongest 2 % of all
    cells of all images given. There always are such cells, so a share of attribution that is no
    larger than theirs of the image means nothing.

    Parameters
    ----------
    code : Code
        Some images.

    Returns
    -------
    ndarray of bool, shape (B, P, P)
    """
    sizes = np.abs(amplitudes(code.array, code.spec)).mean(axis=1)
    groups = band_groups(code.spec.level)[1:]
    octaves = sorted({group.low for group in groups})
    chosen = octaves[1:3] or octaves
    bands = [band for group in groups if group.low in chosen for band in group.bands]
    strength = sizes[:, bands].sum(axis=1)
    strongest: Mask = strength > np.quantile(strength, 1 - STRONGEST)
    return strongest


def _corner(rows: int, columns: int, row: int, column: int) -> Mask:
    """Return the cells of a corner: a sixth of each axis, at least one."""
    down, across = max(1, round(rows / 6)), max(1, round(columns / 6))
    cells = np.zeros((rows, columns), np.bool_)
    top = slice(0, down) if row == 0 else slice(rows - down, rows)
    left = slice(0, across) if column == 0 else slice(columns - across, columns)
    cells[top, left] = True
    return cells
