"""Draw the figures on the page of concepts, from one phantom and with the functions it explains.

``python -m benchmarks.concepts`` writes them into docs/images/concepts. No data is needed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from deepfixcx import Codec, CodecSpec
from deepfixcx.images import phantom
from deepfixcx.packets import band_path, band_position, decompose
from deepfixcx.report.drawing import INK, MUTED, Page, write_figure

FOLDER = Path(__file__).parents[1] / "docs" / "images" / "concepts"
SIDE = 256
TEAL, ORANGE = "#00796b", "#d9701a"

Image = NDArray[np.float32]


def stretched(band: Image) -> Image:
    """Return the sizes of coefficients as gray values, so that weak edges can be seen."""
    sizes = np.abs(band)
    shown = (sizes / max(float(np.quantile(sizes, 0.995)), 1e-6)) ** 0.6
    return np.asarray(shown.clip(0, 1), np.float32)


def titled(page: Page, pixels: Image, place: tuple[float, float, float], words: str) -> Axes:
    """Draw an image of this left, top and side, with words above."""
    left, top, side = place
    page.text(left, top - 0.22, words, 9)
    return page.image(pixels, left, top, side, side)


def draw_packet(image: Image) -> Page:
    """Draw one split into four subbands, and the sixteen bands of two, by frequency."""
    page = Page(9.6, 3.55)
    titled(page, image, (0.1, 0.4, 3.0), f"pixels, {SIDE} × {SIDE}")
    four = decompose(image, CodecSpec(level=1, patches=1))[0, 0]
    page.text(3.3, 0.18, "one split: a, v, h, d", 9)
    for letter, band in zip("avhd", four, strict=True):
        row, column = band_position(letter)
        shown = band / 2 if letter == "a" else stretched(band)
        page.image(shown, 3.3 + 1.52 * column, 0.4 + 1.52 * row, 1.48, 1.48)
        page.text(3.37 + 1.52 * column, 0.45 + 1.52 * row, letter, 10, color="white", weight="bold")
    bands = decompose(image, CodecSpec(level=2, patches=1))[0, 0]
    page.text(6.5, 0.18, "two splits: 16 bands, finer to the right and down", 9)
    for number, band in enumerate(bands):
        path = band_path(number, 2)
        row, column = band_position(path)
        shown = band / 4 if number == 0 else stretched(band)
        page.image(shown, 6.5 + 0.76 * column, 0.4 + 0.76 * row, 0.74, 0.74)
        page.text(6.54 + 0.76 * column, 0.43 + 0.76 * row, path, 7, color="white", weight="bold")
    return page


def draw_pooling(image: Image) -> Page:
    """Draw how one band becomes numbers: coefficients, sizes under the grid, means."""
    spec = CodecSpec(level=2, patches=4)
    band = decompose(image, spec)[0, 0, 1]
    rows, columns = spec.cells(SIDE, SIDE)
    values = Codec(spec).encode(image).band("av")[0, 0]
    page = Page(9.6, 3.4)
    scale = 2 * float(np.quantile(np.abs(band), 0.99))
    titled(page, band / scale + 0.5, (0.1, 0.4, 2.9), "band av: vertical edges, with signs")
    axes = titled(page, stretched(band), (3.35, 0.4, 2.9), "l1: signs dropped, under 4 × 4 cells")
    for edge in (*rows.starts[1:], *columns.starts[1:]):
        axes.axhline(edge - 0.5, color=ORANGE, linewidth=1)
        axes.axvline(edge - 0.5, color=ORANGE, linewidth=1)
    axes = titled(page, values / values.max(), (6.6, 0.4, 2.9), "the code: one mean a cell")
    for (row, column), value in np.ndenumerate(values):
        dark = value > 0.55 * values.max()
        axes.text(
            column, row, f"{value:.3f}", ha="center", va="center", fontsize=8,
            color=INK if dark else "white",
        )  # fmt: skip
    return page


def draw_grids() -> Page:
    """Draw the cells of both grids on a band of seven rows."""
    page = Page(9.6, 1.55)
    for left, grid in ((0.1, "balanced"), (5.0, "padded")):
        spec = CodecSpec(level=1, patches=3, grid="balanced" if grid == "balanced" else "padded")
        rows, _ = spec.cells(14, 14)
        before = int(rows.lengths[0] - (rows.stops[0] - rows.starts[0]))
        page.text(left, 0.08, f"{grid}: 7 rows, 3 cells", 9)
        axes = page.axes(left, 0.36, 4.5, 0.7)
        axes.set(xlim=(-1.05, 8.05), ylim=(0, 1))
        axes.axis("off")
        total = int(rows.lengths.sum()) if grid == "padded" else 7
        for place in range(-before, total - before):
            inside = 0 <= place < 7
            axes.add_patch(
                Rectangle((place, 0.2), 1, 0.6, facecolor="#cfe7e3" if inside else "#f1f1f1",
                          edgecolor="white", linewidth=1.5)
            )  # fmt: skip
            axes.text(place + 0.5, 0.5, str(place) if inside else "zero", ha="center", va="center",
                      fontsize=9 if inside else 7, color=INK if inside else MUTED)  # fmt: skip
        first = -before
        for length in rows.lengths:
            axes.add_patch(Rectangle((first + 0.03, 0.1), int(length) - 0.06, 0.8, fill=False,
                                     edgecolor=TEAL, linewidth=2))  # fmt: skip
            first += int(length)
    page.text(0.1, 1.2, "every row in one cell; sizes differ by one at most", 8, color=MUTED)
    page.text(5.0, 1.2, "cells of one size; added zeros count", 8, color=MUTED)
    return page


def draw_reconstructions(image: Image) -> Page:
    """Draw the image and what comes back at four settings."""
    settings = [(2, 16), (3, 8), (4, 4), (5, 1)]
    page = Page(9.6, 2.25)
    titled(page, image, (0.1, 0.36, 1.8), f"original, {SIDE * SIDE:,} numbers")
    for place, (level, patches) in enumerate(settings, start=1):
        codec = Codec(level=level, patches=patches)
        back = np.asarray(codec.decode(codec.encode(image)), np.float32)[0, 0].clip(0, 1)
        words = f"J={level}, P={patches}: {codec.spec.numbers(1):,}"
        titled(page, back, (0.1 + 1.9 * place, 0.36, 1.8), words)
    return page


def draw() -> dict[str, Page]:
    """Draw all figures, each under the name of its file."""
    image = phantom(np.random.default_rng(4), size=SIDE)
    return {
        "packet.png": draw_packet(image),
        "pooling.png": draw_pooling(image),
        "grids.png": draw_grids(),
        "reconstructions.png": draw_reconstructions(image),
    }


def main() -> None:
    """Write all figures."""
    FOLDER.mkdir(exist_ok=True)
    for name, page in draw().items():
        write_figure(FOLDER / name, page.figure, dpi=100)
        print(FOLDER.name + "/" + name)


if __name__ == "__main__":
    main()
