"""One image before and after, and what its code holds."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from deepfixcx.choices import Size
from deepfixcx.codec import Codec
from deepfixcx.report.band_mosaic import mosaic
from deepfixcx.report.drawing import FONT, INK, MUTED, Page, as_image, for_display
from deepfixcx.report.words import Kept, obscured, preserved, removed
from deepfixcx.spec import CodecSpec

__all__ = ["show_figure"]

PANEL = 3.55  # inches, the longer side of an image
MARGIN, GAP, HEAD, FOOT = 0.3, 0.3, 0.85, 1.6
BAR, AXIS = 1.2, 0.32  # room right of and around the mosaic
LEAST_SHAPE, MOST_SHAPE = 0.85, 1.6  # width to height; the words above need their room
DECADES = 4
"""Numbers more than so many powers of ten below the largest are drawn as zero."""
MOST_LINES = 16
"""Up to so many tiles a side have lines between them."""


def show_figure(
    pixels: NDArray[Any], codec: Codec, *, size: Size = "compact", frames: int = 1
) -> Figure:
    """Draw the original, what is left of it, and what each band keeps.

    Parameters
    ----------
    pixels : ndarray, shape (H, W) or (C, H, W)
        One image. uint8 and uint16 are scaled to [0, 1]; floats are taken as they are, and
        clipped to [0, 1] for drawing. C = 3 is drawn as RGB.
    codec : Codec
        What to show.
    size : {"compact", "original"}
        Which reconstruction to draw.
    frames : int
        Frames in the file that the image is the first of; said in the title.

    Returns
    -------
    matplotlib.figure.Figure
        About 13 x 6 inches; write it with `write_figure`. It names no file.

    Raises
    ------
    PixelsError
        The image does not fit the codec.

    References
    ----------
    Gaudio et al., DeepFixCX, WIREs Data Mining and Knowledge Discovery, 2023,
    doi:10.1002/widm.1495.

    Examples
    --------
    >>> image = np.random.default_rng(0).random((64, 64), np.float32)
    >>> figure = show_figure(image, Codec(level=2, patches=4))
    >>> figure.texts[0].get_text(), figure.texts[2].get_text()
    ('original', 'privatized')
    """
    image = as_image(pixels)
    channels, height, width = image.shape
    spec = codec.spec
    code = codec.encode(image)
    left_over = np.asarray(codec.decode(code, size), np.float32)[0]
    wide, high = _panel_size(height, width)
    page = Page(2 * MARGIN + 3 * wide + 2 * GAP + AXIS + BAR, HEAD + high + AXIS + FOOT)
    lefts = [MARGIN, MARGIN + wide + GAP, MARGIN + 2 * wide + 2 * GAP + AXIS]
    first = f", frame 1 of {frames}" if frames > 1 else ""
    _heading(page, lefts[0], "original", f"{_pixels(height, width)}{first}")
    page.image(for_display(image), lefts[0], HEAD, wide, high)
    _heading(page, lefts[1], "privatized", _privatized_words(size, left_over.shape[1:], height))
    page.image(for_display(left_over), lefts[1], HEAD, wide, high)
    rows, columns = spec.grid_shape
    _heading(
        page, lefts[2], "what is kept",
        f"{spec.block} × {spec.block} bands of {rows} × {columns} cells, approximation framed",
    )  # fmt: skip
    axes = page.axes(lefts[2], HEAD, wide, high)
    drawn = _draw_mosaic(axes, mosaic(code), spec)
    left, bottom = lefts[2], HEAD + high
    page.text(left, bottom + 0.07, "finer vertical edges →", 12)
    page.text(left - 0.07, HEAD, "finer horizontal edges →", 12, rotation=270, ha="right")
    _colour_bar(page, page.axes(left + wide + 0.12, HEAD, 0.14, high), drawn)
    side = page.width - MARGIN + 0.05
    page.text(side, HEAD, "size (largest: 1)", 12, rotation=270, ha="right")
    _explain(page, spec, Kept.of_image(spec, channels, height, width), (height, width))
    return page.figure


def _panel_size(height: int, width: int) -> tuple[float, float]:
    """Return width and height of a panel in inches; extreme shapes are drawn less extreme."""
    shape = float(np.clip(width / height, LEAST_SHAPE, MOST_SHAPE))
    return (PANEL, PANEL / shape) if shape >= 1 else (PANEL * shape, PANEL)


def _pixels(height: int, width: int) -> str:
    return f"{height:,} × {width:,} pixels"


def _privatized_words(size: Size, shape: tuple[int, ...], height: int) -> str:
    words = _pixels(*shape)
    if size == "original":
        return f"{words}, cells filled in"
    return f"{words}, drawn larger" if shape[0] < height else words


def _heading(page: Page, left: float, title: str, words: str) -> None:
    page.text(left, 0.18, title, 16, weight="bold")
    page.text(left, 0.52, words, 12, color=MUTED)


def _draw_mosaic(axes: Axes, values: NDArray[np.float32], spec: CodecSpec) -> AxesImage:
    largest = float(values.max())
    relative = values / largest if largest else values
    smallest = float(relative[relative > 0].min(initial=1))
    least = max(smallest, 10.0**-DECADES) if smallest < 0.5 else 0.1
    norm = LogNorm(least, 1, clip=True)
    side = spec.block
    drawn = axes.imshow(
        np.maximum(relative, least), norm=norm, cmap="viridis", aspect="auto",
        interpolation="auto", extent=(0, side, side, 0),
    )  # fmt: skip
    if side <= MOST_LINES:
        for line in range(1, side):
            axes.axhline(line, color="white", linewidth=0.8)
            axes.axvline(line, color="white", linewidth=0.8)
    axes.add_patch(Rectangle((0, 0), 1, 1, fill=False, edgecolor="white", linewidth=4, zorder=3))
    axes.add_patch(Rectangle((0, 0), 1, 1, fill=False, edgecolor=INK, linewidth=2, zorder=4))
    return drawn


def _colour_bar(page: Page, axes: Axes, drawn: AxesImage) -> None:
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


def _explain(page: Page, spec: CodecSpec, kept: Kept, size: tuple[int, int]) -> None:
    top = page.height - FOOT + 0.25
    rows = (
        ("kept", f"{kept}, with {spec}"),
        ("removed", removed(spec, *size)),
        ("obscured", obscured(spec, *size)),
        ("preserved", preserved(spec)),
    )
    for line, (name, words) in enumerate(rows):
        page.text(MARGIN, top + 0.32 * line, name, 13, weight="bold")
        page.text(MARGIN + 1.15, top + 0.32 * line, words, 13)
