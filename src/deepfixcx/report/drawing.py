"""What all figures share: a page laid out in inches, images, colour scales, mosaics, PNG files."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from numpy.typing import NDArray

from deepfixcx.errors import PixelsShapeError
from deepfixcx.explain.naming import measure
from deepfixcx.io.results import write_result
from deepfixcx.packets import as_batch, pixel_scale
from deepfixcx.spec import CodecSpec

__all__ = [
    "FONT",
    "INK",
    "MUTED",
    "Page",
    "as_image",
    "decimals_for",
    "draw_bar",
    "draw_mosaic",
    "draw_scale",
    "draw_sides",
    "figure_bytes",
    "for_display",
    "write_figure",
]

FONT = "DejaVu Sans"  # comes with matplotlib, so every machine draws the same letters
INK, MUTED, RULE = "#1a1a1a", "#5a5a5a", "#c8c8c8"
PANEL = 3.55  # inches, the longer side of an image
LEAST_SHAPE, MOST_SHAPE = 0.85, 1.6  # width to height; the text above needs its room
MOST_SIDE = 1024
"""Images are reduced to about this many pixels a side before they are drawn."""


class Page:
    """A white figure on which places are given in inches from the top left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height), facecolor="white")

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Add empty axes without ticks."""
        bottom = self.height - top - height
        axes = self.figure.add_axes(
            (left / self.width, bottom / self.height, width / self.width, height / self.height)
        )
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set(color=RULE, linewidth=0.8)
        return axes

    def image(
        self, pixels: NDArray[np.float32], left: float, top: float, width: float, height: float
    ) -> Axes:
        """Draw pixels (H, W) or (H, W, 3) in [0, 1] so that they fill a rectangle."""
        axes = self.axes(left, top, width, height)
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation="auto")
        return axes

    def heading(self, left: float, top: float, title: str, words: str) -> None:
        """Write a title and a line below it."""
        self.text(left, top + 0.18, title, 16, weight="bold")
        self.text(left, top + 0.52, words, 11, color=MUTED)

    def text(self, left: float, top: float, words: str, size: float, **style: Any) -> None:
        """Write text; by default `top` is the top of its first line."""
        look = {"color": INK, "va": "top", "family": FONT, **style}
        self.figure.text(left / self.width, 1 - top / self.height, words, fontsize=size, **look)


def panel_size(height: int, width: int) -> tuple[float, float]:
    """Return width and height of an image in inches; extreme shapes are drawn less extreme."""
    shape = float(np.clip(width / height, LEAST_SHAPE, MOST_SHAPE))
    return (PANEL, PANEL / shape) if shape >= 1 else (PANEL * shape, PANEL)


def as_image(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return one image as (C, H, W); a `PixelsShapeError` for anything but one image."""
    batch = as_batch(pixels)
    if len(batch) != 1:
        raise PixelsShapeError(
            f"a figure shows one image, (H, W) or (C, H, W), got shape {np.shape(pixels)}"
        )
    image: NDArray[Any] = batch[0]
    return image


def for_display(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return pixels (C, H, W) as drawn, in [0, 1] and reduced: (H', W'); C = 3: (H', W', 3)."""
    step = max(1, min(image.shape[1:]) // MOST_SIDE)
    height, width = (side // step * step for side in image.shape[1:])
    blocks = image[:, :height, :width].reshape(
        len(image), height // step, step, width // step, step
    )
    small = np.clip(blocks.mean(axis=(2, 4), dtype=np.float32) * pixel_scale(image), 0, 1)
    shown = np.moveaxis(small, 0, -1) if len(image) == 3 else small.mean(axis=0)
    return np.ascontiguousarray(shown, np.float32)


def write_figure(path: str | os.PathLike[str], figure: Figure, *, dpi: int = 150) -> None:
    """Write a figure as PNG, whole or not at all; the same figure gives the same bytes.

    Parameters
    ----------
    path : path-like
        The file to write; its folder exists. A figure that this function wrote is replaced.
    figure : matplotlib.figure.Figure
        What to draw.
    dpi : int
        Pixels per inch.

    Raises
    ------
    ReleaseError
        The file cannot be written. Nothing is left behind.
    OverwriteError
        Another file is there.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "empty.png"
    >>> write_figure(path, Figure(figsize=(1, 1)), dpi=10)
    >>> path.read_bytes()[1:4]
    b'PNG'
    """
    write_result(Path(path), figure_bytes(figure, dpi=dpi), ".png")


def figure_bytes(figure: Figure, *, dpi: int = 150) -> bytes:
    """Return the PNG file of a figure."""
    for text in figure.findobj(Text):  # names of labels may hold what looks like mathematics
        text.set_parse_math(False)
    content = io.BytesIO()
    # matplotlib's name and version would change the bytes
    figure.savefig(content, format="png", dpi=dpi, metadata={"Software": None})
    return content.getvalue()


FIELDS = 40
BAR = 0.13  # inches
DIGITS = 3


def decimals_for(largest: float) -> int:
    """Return the decimals of a panel whose largest value is this: three significant digits."""
    if not largest > 0:
        return 2
    return min(max(DIGITS - 1 - math.floor(math.log10(largest)), 0), 6)


def draw_sides(page: Page, left: float, bottom: float, wide: float) -> None:
    """Mark the sides of an image, which need not be those of the patient."""
    page.text(left, bottom + 0.06, "◂ image left", 9.5, color=MUTED)
    page.text(left + wide, bottom + 0.06, "image right ▸", 9.5, color=MUTED, ha="right")


def draw_scale(
    page: Page,
    place: tuple[float, float, float],
    most: float,
    colours: tuple[str, str],
    strength: float,
    *,
    unit: str = "",
    signed: bool = True,
    percent: bool = False,
) -> None:
    """Draw a scale of colours from -`most`, or 0, to `most`."""
    left, top, width = place
    for field in range(FIELDS):
        amount = (2 * (field + 0.5) / FIELDS - 1) if signed else (field + 0.5) / FIELDS
        page.figure.add_artist(
            Rectangle(
                ((left + width * field / FIELDS) / page.width, 1 - (top + BAR) / page.height),
                width / FIELDS / page.width,
                BAR / page.height,
                facecolor=colours[0] if amount > 0 else colours[1],
                alpha=strength * abs(amount),
                linewidth=0,
                transform=page.figure.transFigure,
            )
        )
    end = f"{100 * most:.3g} %" if percent else f"{most:.{decimals_for(most)}f}"
    below = top + BAR + 0.06
    page.text(left, below, f"−{end}" if signed else "0", 9.5, color=MUTED)
    if signed:
        page.text(left + width / 2, below, "0", 9.5, color=MUTED, ha="center")
    words = f"{'+' if signed else ''}{end} {unit}".strip()
    page.text(left + width, below, words, 9.5, color=MUTED, ha="right")


DECADES = 4
"""Powers of ten below the largest value from which on values are drawn as zero."""
MOST_LINES = 16
"""Most tiles a side that have lines between them."""

CROWDED = 9
"""Periods are not written closer to each other than this part of an axis."""


def draw_mosaic(
    axes: Axes, values: NDArray[np.float32], spec: CodecSpec, *, periods: bool = False
) -> AxesImage:
    """Draw a mosaic (2**J * P, 2**J * P) relative to its largest value."""
    largest = float(values.max())
    relative = values / largest if largest else values
    smallest = float(relative[relative > 0].min(initial=1))
    least = max(smallest, 10.0**-DECADES) if smallest < 0.5 else 0.1
    side = spec.block
    drawn = axes.imshow(
        np.maximum(relative, least), norm=LogNorm(least, 1, clip=True), cmap="viridis",
        aspect="auto", interpolation="auto", extent=(0, side, side, 0),
    )  # fmt: skip
    if side <= MOST_LINES:
        for line in range(1, side):
            axes.axhline(line, color="white", linewidth=0.8)
            axes.axvline(line, color="white", linewidth=0.8)
    axes.add_patch(Rectangle((0, 0), 1, 1, fill=False, edgecolor="white", linewidth=4, zorder=3))
    axes.add_patch(Rectangle((0, 0), 1, 1, fill=False, edgecolor=INK, linewidth=2, zorder=4))
    if not periods:
        return drawn
    octaves = [1 << power for power in range(spec.level + 1) if CROWDED << power >= side]
    labels = [measure(2 * side / place) for place in octaves]
    axes.set_xticks(octaves, labels)
    axes.set_yticks(octaves, labels)
    axes.tick_params(labelsize=11, labelcolor=INK, labelfontfamily=FONT, length=3)
    return drawn


def draw_bar(page: Page, drawn: AxesImage, left: float, top: float, height: float) -> None:
    """Draw the colour bar of a mosaic; `left`, `top` and `height` in inches."""
    axes = page.axes(left, top, 0.14, height)
    bar = page.figure.colorbar(drawn, cax=axes)
    least = int(np.floor(-np.log10(drawn.norm.vmin or 1) + 1e-6))
    powers = range(least + 1)
    bar.set_ticks(
        [10.0**-power for power in powers],
        labels=["1"] + [f"1/{10**power:,}" for power in powers[1:]],
    )
    bar.minorticks_off()
    bar.outline.set_visible(False)
    axes.tick_params(labelsize=11, labelcolor=INK, labelfontfamily=FONT, length=3)
