"""One image at many settings: level down, patches across, as in the paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepfixcx.codec import Codec
from deepfixcx.errors import ImageTooSmallError, SpecError
from deepfixcx.report.drawing import FONT, MUTED, Page, as_image, for_display
from deepfixcx.report.words import Kept
from deepfixcx.spec import CodecSpec

__all__ = ["DEFAULT_LEVELS", "DEFAULT_PATCHES", "contact_sheet", "draw_tile", "tile_size"]

DEFAULT_LEVELS, DEFAULT_PATCHES = (1, 2, 3, 4, 5), (2, 4, 8, 16, 32)

TILE = 1.75  # inches, the width of an image
MARGIN, GAP, CAPTION, HEAD, SIDE = 0.25, 0.12, 0.3, 0.4, 0.75
TEXT = 11
MOST_LETTERS = 22  # fit below a tile at full size

LEGEND = (
    "Down: J, the level;",
    "there are 4ᴶ bands.",
    "Across: P × P cells",
    "in each band.",
    "Below each image:",
    "the numbers kept.",
)
"""How to read the sheet, below the original."""


def contact_sheet(
    pixels: NDArray[Any],
    levels: Sequence[int] = DEFAULT_LEVELS,
    patches: Sequence[int] = DEFAULT_PATCHES,
    *,
    like: CodecSpec | None = None,
    frames: int = 1,
) -> Figure:
    """Draw the reconstructions of an image for every level and every number of patches.

    Parameters
    ----------
    pixels : ndarray, shape (H, W) or (C, H, W)
        One image; as in `show_figure`.
    levels, patches : sequence of int
        The rows J and the columns P of the sheet.
    like : CodecSpec, optional
        Wavelet, pooling, boundary and grid; by default those of `CodecSpec`.
    frames : int
        Frames in the file that the image is the first of; said in the title.

    Returns
    -------
    matplotlib.figure.Figure
        The original, then a row for each level. Below each reconstruction stand the numbers kept
        and the compression ratio. Settings that do not fit the image are gray and say why.

    Raises
    ------
    PixelsError
        No image, or NaN or infinity in it.
    SpecError
        No or unusable levels or patches.

    References
    ----------
    Gaudio et al., DeepFixCX, WIREs Data Mining and Knowledge Discovery, 2023,
    doi:10.1002/widm.1495, figure of reconstructions.

    Examples
    --------
    >>> figure = contact_sheet(np.eye(64, dtype=np.float32), levels=(2, 3), patches=(4, 16))
    >>> [text.get_text() for text in figure.texts if "64 ×" in text.get_text()]
    ['64 × 64 pixels']
    """
    if not levels or not patches:
        raise SpecError("a contact sheet needs at least one level and one number of patches")
    image = as_image(pixels)
    specs = [[_spec(level, count, like) for count in patches] for level in levels]
    wide, high = tile_size(*image.shape[1:])
    left = MARGIN + wide + GAP + SIDE
    page = Page(
        left + len(patches) * (wide + GAP) - GAP + MARGIN,
        MARGIN + HEAD + max(len(levels), 2) * (high + CAPTION + GAP) - GAP + 0.1,
    )
    _draw_original(page, image, frames, wide, high)
    for column, count in enumerate(patches):
        middle = left + column * (wide + GAP) + wide / 2
        page.text(middle, MARGIN, f"P = {count}", 14, weight="bold", ha="center")
    for row, (level, of_row) in enumerate(zip(levels, specs, strict=True)):
        top = MARGIN + HEAD + row * (high + CAPTION + GAP)
        page.text(
            left - 0.12, top + high / 2, f"J = {level}", 14, weight="bold", ha="right", va="center"
        )
        for column, spec in enumerate(of_row):
            draw_tile(page, image, spec, (left + column * (wide + GAP), top, wide, high))
    return page.figure


def _spec(level: int, patches: int, like: CodecSpec | None) -> CodecSpec:
    if like is None:
        return CodecSpec(level, patches)
    return replace(like, level=level, patches=patches)


def tile_size(height: int, width: int) -> tuple[float, float]:
    """Return width and height of a tile in inches; extreme shapes are drawn less extreme."""
    return TILE, TILE / float(np.clip(width / height, 0.6, 1.8))


def _draw_original(page: Page, image: NDArray[Any], frames: int, wide: float, high: float) -> None:
    channels, height, width = image.shape
    page.text(MARGIN, MARGIN, "original", 14, weight="bold")
    page.image(for_display(image), MARGIN, MARGIN + HEAD, wide, high)
    words = [f"{height:,} × {width:,} pixels"]
    if frames > 1:
        words.append(f"frame 1 of {frames}")
    words += [f"{channels * height * width:,} numbers"]
    for line, text in enumerate(words):
        page.text(MARGIN, MARGIN + HEAD + high + 0.07 + 0.2 * line, text, TEXT, color=MUTED)
    top = MARGIN + HEAD + high + 0.35 + 0.2 * len(words)
    for line, text in enumerate(LEGEND):
        page.text(MARGIN, top + 0.2 * line, text, TEXT)


def draw_tile(
    page: Page, image: NDArray[Any], spec: CodecSpec, place: tuple[float, float, float, float]
) -> None:
    """Draw one reconstruction with the numbers kept below it, or say why there is none."""
    left, top, wide, high = place
    try:
        reconstruction = Codec(spec).privatize(image, size="original")
    except ImageTooSmallError:
        axes = page.axes(*place)
        axes.set_facecolor("#e9e9e9")
        rows, columns = spec.band_shape(*image.shape[1:])
        reason = f"does not fit:\nbands have\n{rows} × {columns} numbers"
        axes.text(
            0.5, 0.5, reason, transform=axes.transAxes, ha="center", va="center",
            fontsize=TEXT, color=MUTED, family=FONT, linespacing=1.4,
        )  # fmt: skip
        return
    page.image(for_display(reconstruction), *place)
    channels, height, width = image.shape
    kept = Kept.of_image(spec, channels, height, width)
    words = f"{kept.percent}  ({kept.ratio})"
    size = TEXT * min(1, MOST_LETTERS / len(words))
    page.text(left + wide / 2, top + high + 0.07, words, size, ha="center")
