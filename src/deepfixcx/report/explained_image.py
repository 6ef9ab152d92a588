"""One code explained: its reconstruction, its bands, its energy, and statements about it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepfixcx.code import Code
from deepfixcx.codec import Codec
from deepfixcx.errors import ExplanationError
from deepfixcx.explain.bands import BandSummary, Energy
from deepfixcx.explain.naming import ORIENTATIONS, extent
from deepfixcx.packets import pixel_scale
from deepfixcx.report.drawing import (
    FONT,
    INK,
    Page,
    as_image,
    draw_bar,
    draw_mosaic,
    draw_sides,
    for_display,
    panel_size,
)
from deepfixcx.report.html import mosaic
from deepfixcx.report.words import Kept

__all__ = ["explained_figure"]

MARGIN, GAP, HEAD = 0.3, 0.35, 0.85
AXIS, BAR = 0.62, 1.05  # room left of and below a mosaic, and right of it
NAMES, GRID_ROW = 1.05, 0.62  # of the grid of energy: its names, and the height of a row
LINE, ENERGY_LINE, SIDES = 0.29, 0.25, 0.25  # SIDES: room for left and right below images
SCALES = 0.62  # room for the scales below the grid
INDENT, LETTER = 1.1, 0.1  # where sentences begin, and how wide a letter may be
BRIGHTNESS, DARK = (0.2126, 0.7152, 0.0722), 0.45
"""How bright a colour is, and below which brightness letters on it are white."""


def explained_figure(
    code: Code,
    summary: BandSummary,
    energy: Energy,
    *,
    image: int = 0,
    original: NDArray[Any] | None = None,
) -> Figure:
    """Draw what the code of one image says about it."""
    one = code[image]
    pixels = None if original is None else as_image(original)
    _check(one, summary, energy, pixels)
    decoded = np.asarray(Codec(one.spec).decode(one, "original"), np.float32)[0]
    wide, high = panel_size(summary.height, summary.width)
    grid = max(2.6, (1.35 if summary.spacing else 0.85) * energy.level)
    second = AXIS + wide + BAR + GAP + NAMES + grid  # width of mosaic and grid of energy
    first = (3 * wide + 2 * GAP) if pixels is not None else wide
    beside = pixels is None
    width = first + GAP + second if beside else max(first, second)
    words = [
        (name if not row else "", line)
        for name, text in _words(summary, one.channels)
        for row, line in enumerate(textwrap.wrap(text, int((width - INDENT) / LETTER)))
    ]
    below = 0.0 if beside else HEAD + high + SIDES
    lines = _energy_lines(energy, summary)
    beneath = GRID_ROW * len(ORIENTATIONS) + SCALES + ENERGY_LINE * len(lines)
    foot = below + HEAD + max(high + AXIS, beneath) + 0.25
    page = Page(2 * MARGIN + width, foot + LINE * len(words) + 0.25)
    _draw_images(page, decoded, pixels, wide, high)
    left = MARGIN + (first + GAP if beside else 0.0)
    _draw_bands(page, mosaic(one), summary, left, below, wide, high)
    beyond = left + AXIS + wide + BAR + GAP
    _draw_energy(page, energy, summary, beyond, below, grid)
    for line, text in enumerate(lines):
        top = below + HEAD + GRID_ROW * len(ORIENTATIONS) + SCALES + ENERGY_LINE * line
        page.text(beyond, top, text, 11)
    for line, (name, text) in enumerate(words):
        page.text(MARGIN, foot + LINE * line, name, 12, weight="bold")
        page.text(MARGIN + INDENT, foot + LINE * line, text, 12)
    return page.figure


def _check(one: Code, summary: BandSummary, energy: Energy, original: NDArray[Any] | None) -> None:
    height, width = map(int, one.sizes[0])
    if (summary.spec, summary.height, summary.width) != (one.spec, height, width):
        raise ExplanationError(
            f"the code is {one.spec} of {height}x{width} pixels, the summary is {summary.spec} of "
            f"{summary.height}x{summary.width}; make it with explain_bands for this code"
        )
    if energy.level != one.spec.level:
        raise ExplanationError(
            f"the code has level {one.spec.level}, and the energy level {energy.level}"
        )
    if original is not None and original.shape != (one.channels, height, width):
        raise ExplanationError(
            f"the code is of an image of shape {(one.channels, height, width)}, and the original "
            f"has {original.shape}"
        )


def _draw_images(
    page: Page,
    decoded: NDArray[np.float32],
    original: NDArray[Any] | None,
    wide: float,
    high: float,
) -> None:
    left, step = MARGIN, wide + GAP
    if original is not None:
        page.heading(left, 0, "original", "not for sharing")
        page.image(for_display(original), left, HEAD, wide, high)
        draw_sides(page, left, HEAD + high, wide)
        left += step
    page.heading(left, 0, "reconstruction", "of the code, cells filled in")
    page.image(for_display(decoded), left, HEAD, wide, high)
    draw_sides(page, left, HEAD + high, wide)
    if original is not None:
        left += step
        scaled = original.astype(np.float32) * pixel_scale(original)
        difference = (scaled - np.clip(decoded, 0, 1)).mean(axis=0)
        most = float(np.abs(difference).max()) or 1.0
        words = f"gray: none; white: original {most:.2f} brighter"
        page.heading(left, 0, "difference", words)
        page.image(for_display(0.5 + difference[np.newaxis] / (2 * most)), left, HEAD, wide, high)
        draw_sides(page, left, HEAD + high, wide)


def _draw_bands(
    page: Page,
    values: NDArray[np.float32],
    summary: BandSummary,
    left: float,
    top: float,
    wide: float,
    high: float,
) -> None:
    block, (rows, columns) = summary.spec.block, summary.spec.grid_shape
    words = f"{block} × {block} bands of {rows} × {columns} cells, brightness framed"
    page.heading(left + AXIS, top, "the code", words)
    axes = page.axes(left + AXIS, top + HEAD, wide, high)
    drawn = draw_mosaic(axes, values, summary.spec, periods=True)
    draw_bar(page, drawn, left + AXIS + wide + 0.12, top + HEAD, high)
    beside = left + AXIS + wide + BAR - 0.1
    page.text(beside, top + HEAD, "size (largest: 1)", 11, rotation=270, ha="right")
    page.text(left + AXIS, top + HEAD + high + 0.3, "vertical edges: period in pixels →", 11)
    page.text(
        left - 0.02, top + HEAD, "horizontal edges: period in pixels →", 11, rotation=270, ha="left"
    )


def _draw_energy(
    page: Page, energy: Energy, summary: BandSummary, left: float, top: float, width: float
) -> None:
    table = energy.by_scale_and_orientation()
    page.heading(left, top, "energy of edges", "shares by scale and direction")
    height = GRID_ROW * len(ORIENTATIONS)
    axes = page.axes(left + NAMES, top + HEAD, width, height)
    colours = colormaps["Blues"]
    most = max(float(table.max()), 1e-9)
    axes.imshow(table / most, cmap=colours, vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(table):
        brightness = float(np.dot(colours(share / most)[:3], BRIGHTNESS))
        axes.text(
            column, row, _percent(share), ha="center", va="center", fontsize=12, family=FONT,
            color="white" if brightness < DARK else INK,
        )  # fmt: skip
    axes.set_yticks(range(len(ORIENTATIONS)), ORIENTATIONS)
    axes.set_xticks(range(energy.level), [_scale(*pair, summary) for pair in energy.octaves()])
    axes.tick_params(labelsize=11, labelcolor=INK, labelfontfamily=FONT, length=0)


def _energy_lines(energy: Energy, summary: BandSummary) -> list[str]:
    strongest = energy.strongest(3)
    return [
        "px: a bright and a dark stripe together",
        *([] if energy.exact else ["estimated from the code, for even cells"]),
        f"local brightness: {_percent(energy.brightness)} of all energy",
        *(["strongest bands:"] if strongest else ["no edges at all"]),
        *(f"   {name.in_words(summary.spacing)}" for name in strongest),
    ]


def _scale(low: float, high: float, summary: BandSummary) -> str:
    """Name a column of the grid; in millimetres, too, where they are the same both ways."""
    words = f"{extent(low, high)} px"
    if summary.spacing is None or summary.spacing[0] != summary.spacing[1]:
        return words
    along = summary.spacing[0]
    return f"{words}\n{extent(low * along, high * along)} mm"


def _percent(share: float) -> str:
    percent = 100 * share
    if 0 < percent < 0.1:
        return "< 0.1 %"
    return f"{percent:.1f} %" if percent < 10 or 90 < percent < 100 else f"{percent:.0f} %"


def _words(summary: BandSummary, channels: int) -> Iterator[tuple[str, str]]:
    """Yield the lines below the pictures: a name where it changes, and what is said."""
    kept = Kept.of_image(summary.spec, channels, summary.height, summary.width)
    yield "kept", f"{kept}, with {summary.spec}"
    yield from summary.lines()
