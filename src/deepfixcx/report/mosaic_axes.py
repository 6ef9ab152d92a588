"""The mosaic of a code on axes that say how fine the edges are, and a bar for its colours."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from deepfixcx.explain.naming import measure
from deepfixcx.report.drawing import FONT, INK, Page
from deepfixcx.spec import CodecSpec

__all__ = ["draw_bar", "draw_mosaic"]

DECADES = 4
"""Numbers more than so many powers of ten below the largest are drawn as zero."""
MOST_LINES = 16
"""Up to so many tiles a side have lines between them."""

CROWDED = 9
"""Periods are not written closer to each other than this part of an axis."""


def draw_mosaic(axes: Axes, values: NDArray[np.float32], spec: CodecSpec) -> AxesImage:
    """Draw a mosaic relative to its largest number, with periods in pixels along its axes.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where.
    values : ndarray, shape (2**J * P, 2**J * P)
        What `mosaic` returns.
    spec : CodecSpec
        Of the code.

    Returns
    -------
    matplotlib.image.AxesImage
        For `draw_bar`.
    """
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
    octaves = [1 << power for power in range(spec.level + 1) if CROWDED << power >= side]
    labels = [measure(2 * side / place) for place in octaves]
    axes.set_xticks(octaves, labels)
    axes.set_yticks(octaves, labels)
    axes.tick_params(labelsize=11, labelcolor=INK, labelfontfamily=FONT, length=3)
    return drawn


def draw_bar(page: Page, drawn: AxesImage, left: float, top: float, height: float) -> None:
    """Draw the bar that says which colour is which share of the largest number.

    Parameters
    ----------
    page : Page
        Where, with `left`, `top` and `height` in inches.
    drawn : matplotlib.image.AxesImage
        From `draw_mosaic`.
    left, top, height : float
        Place of the bar; its words reach about 0.9 inches further to the right.
    """
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
