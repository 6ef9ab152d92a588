"""How large burned-in writing has to be to stay legible, against level and patches.

Random capitals and digits are burned into synthetic radiographs, which are then privatized. Two
readers try to read them: one that knows where each character stands and what the letters look
like, and compares (it does better than a stranger would); and the program tesseract, if it is
there. The result is the picture and the table of docs/how-to-dicom.md, and the constant in
``deepfixcx.images.masking``.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from deepfixcx import Codec, CodecSpec
from deepfixcx.images import phantom
from deepfixcx.images.masking import CELLS_PER_LETTER
from deepfixcx.report.drawing import FONT, INK, MUTED, Page, write_figure

__all__ = ["Point", "measure"]

CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
SIDE = 512
HEIGHTS = (16, 32, 64, 128)
LEVELS = (1, 2, 3, 4, 5, 6)
CELLS = (1, 1.5, 2, 3, 4, 6, 8, 12)
TEMPLATE = (24, 24)
SHIFTS = (-0.12, 0.0, 0.12)

Plane = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Line:
    """Writing in an image: the characters, their height, and the box of each as (x, y, x, y)."""

    text: str
    height: int
    boxes: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True, slots=True)
class Point:
    """How much was read at one setting.

    Attributes
    ----------
    level, patches, height : int
        The setting, and the height of the letters in pixels.
    cells : float
        Cells per letter height.
    share, by_tesseract : float
        Of the characters; the second is NaN without tesseract.
    characters : int
        How many there were.
    """

    level: int
    patches: int
    height: int
    cells: float
    share: float
    by_tesseract: float
    characters: int


@lru_cache
def font(height: int) -> Any:
    """Return pillow's own font in which a capital has this height."""
    first = ImageFont.load_default(float(2 * height))
    _, top, _, bottom = first.getbbox("H")
    return ImageFont.load_default(2 * height * height / (bottom - top))


@lru_cache(maxsize=1000)
def glyph(character: str, height: int) -> Plane:
    """Draw one character, white on black, in a box that it fills from top to bottom."""
    letters = font(height)
    left, _, right, _ = letters.getbbox(character)
    _, top, _, _ = letters.getbbox("H")
    picture = Image.new("L", (round(0.95 * height), height))
    at = ((picture.width - (right - left)) / 2 - left, -top)
    ImageDraw.Draw(picture).text(at, character, font=letters, fill=255)
    return np.asarray(picture) / 255


def burned(rng: np.random.Generator, height: int) -> tuple[NDArray[np.float32], Line]:
    """Draw a synthetic radiograph with one line of writing."""
    image = 0.8 * phantom(rng, size=SIDE)
    width, gap = round(0.95 * height), max(1, round(0.12 * height))
    count = min(8, (SIDE - 24) // (width + gap))
    text = "".join(rng.choice(list(CHARACTERS), count))
    top, left = (int(place) for place in rng.integers(2, 22, 2))
    boxes = []
    for character in text:
        part = image[top : top + height, left : left + width]
        np.maximum(part, glyph(character, height), out=part)
        boxes.append((left, top, left + width, top + height))
        left += width + gap
    return image.astype(np.float32), Line(text, height, tuple(boxes))


@lru_cache
def templates(height: int) -> Plane:
    """Return each character as a vector of length one."""
    pictures = (Image.fromarray(np.uint8(255 * glyph(each, height))) for each in CHARACTERS)
    return np.stack([standard(np.asarray(each.resize(TEMPLATE), float)) for each in pictures])


def standard(pixels: Plane) -> Plane:
    """Return pixels without their mean, as a vector of length one."""
    vector: Plane = (pixels - pixels.mean()).ravel()
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector


def compared(image: NDArray[np.float32], line: Line) -> float:
    """Return the share of characters that comparing with templates reads."""
    picture = Image.fromarray(np.uint8(255 * image.clip(0, 1)))
    scale = picture.width / SIDE
    right = 0
    for character, box in zip(line.text, line.boxes, strict=True):
        scores = [
            templates(line.height)
            @ standard(np.asarray(picture.resize(TEMPLATE, box=place), float))
            for place in shifted(box, line.height, scale, picture.width)
        ]
        right += CHARACTERS[int(np.argmax(np.max(scores, axis=0)))] == character
    return right / len(line.text)


def shifted(
    box: tuple[float, float, float, float], height: int, scale: float, side: int
) -> Iterator[tuple[float, float, float, float]]:
    """Yield a box and its neighbours, in pixels of an image of another scale."""
    for down in SHIFTS:
        for across in SHIFTS:
            x, y, right, bottom = (
                min(max((edge + move * height) * scale, 0), side)
                for edge, move in zip(box, (across, down, across, down), strict=True)
            )
            yield x, y, right, bottom


def recognized(image: NDArray[np.float32], line: Line) -> float:
    """Return the share of characters that tesseract reads, shown the line alone."""
    scale = image.shape[0] / SIDE
    margin = 0.3 * line.height
    left, top, right, bottom = (*line.boxes[0][:2], *line.boxes[-1][2:])
    edges = (left - margin, top - margin, right + margin, bottom + margin)
    box = tuple(min(max(edge * scale, 0), image.shape[0]) for edge in edges)
    picture = Image.fromarray(np.uint8(255 * (1 - image.clip(0, 1))))
    tall = 64
    wide = round(tall * (box[2] - box[0]) / (box[3] - box[1]))
    packed = io.BytesIO()
    picture.resize((wide, tall), Image.Resampling.BICUBIC, box=box).save(packed, "PNG")
    done = subprocess.run(
        ["tesseract", "stdin", "stdout", "--psm", "7"],
        input=packed.getvalue(), capture_output=True, check=True,
    )  # fmt: skip
    read = "".join(done.stdout.decode("utf-8", "replace").split())
    blocks = SequenceMatcher(None, line.text, read, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / len(line.text)


def measure(
    rng: np.random.Generator,
    heights: Sequence[int] = HEIGHTS,
    levels: Sequence[int] = LEVELS,
    cells: Sequence[float] = CELLS,
    characters: int = 48,
) -> list[Point]:
    """Try every setting that an image of `SIDE` pixels allows."""
    found = []
    for height in heights:
        lines: list[tuple[NDArray[np.float32], Line]] = []
        while sum(len(line.text) for _, line in lines) < characters:
            lines.append(burned(rng, height))
        weights = [len(line.text) for _, line in lines]
        for level in levels:
            for ratio in cells:
                patches = ratio * SIDE / height
                if patches % 1 or patches * 2**level > SIDE:
                    continue
                codec = Codec(CodecSpec(level, int(patches)))
                small = [(codec.privatize(image), line) for image, line in lines]
                shares = [compared(*each) for each in small]
                read = (
                    [recognized(*each) for each in small] if shutil.which("tesseract") else [np.nan]
                )
                found.append(
                    Point(
                        level, int(patches), height, ratio,
                        float(np.average(shares, weights=weights)),
                        float(np.average(read, weights=weights if len(read) > 1 else None)),
                        sum(weights),
                    )
                )  # fmt: skip
    return found


def by_cells(points: Sequence[Point], name: str, level: int | None = None) -> dict[float, float]:
    """Average a share over settings with as many cells per letter height."""
    groups = defaultdict(list)
    for point in points:
        if level in (None, point.level):
            groups[point.cells].append(getattr(point, name))
    return {cells: float(np.mean(groups[cells])) for cells in sorted(groups)}


def figure(points: Sequence[Point], rng: np.random.Generator) -> Figure:
    """Draw the curve, and below it the same writing at several settings."""
    page = Page(7.2, 5.55)
    page.text(0.3, 0.2, "Burned-in writing stays legible where cells are small", 13, weight="bold")
    page.text(
        0.3,
        0.5,
        "Share of capitals and digits that can be read in privatized images",
        9.5,
        color=MUTED,
    )
    axes = page.axes(0.75, 0.95, 6.1, 2.9)
    for level, marker in zip(LEVELS, "osD^vP", strict=True):
        curve = by_cells(points, "share", level)
        axes.plot(
            list(curve), list(curve.values()), marker=marker, color=INK, linewidth=0.8,
            markersize=5, markerfacecolor="white", label=f"level {level}",
        )  # fmt: skip
    read = by_cells(points, "by_tesseract")
    if np.isfinite(list(read.values())).any():
        axes.plot(
            list(read), list(read.values()), color="#b3541e", linewidth=2.2, linestyle="--",
            label="tesseract, all levels",
        )  # fmt: skip
    axes.axhline(1 / len(CHARACTERS), color=MUTED, linewidth=0.8, linestyle=":")
    axes.text(9, 1 / len(CHARACTERS) + 0.015, "guessing", fontsize=8, color=MUTED, family=FONT)
    axes.axvline(CELLS_PER_LETTER, color=MUTED, linewidth=0.8)
    axes.text(
        CELLS_PER_LETTER * 0.97, 0.95, "from here on privatize warns", fontsize=8, color=MUTED,
        family=FONT, ha="right",
    )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xticks(CELLS, [f"{cells:g}" for cells in CELLS], fontsize=8)
    axes.minorticks_off()
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"], fontsize=8)
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("cells per letter height: letter height × P / image height", fontsize=9)
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(0.01, 0.9))
    image, line = burned(rng, 32)
    for number, ratio in enumerate((2, 3, 4, 6)):
        patches = ratio * SIDE // line.height
        small = Codec(CodecSpec(2, patches)).privatize(image)
        side = small.shape[0] / SIDE
        _, top, _, bottom = line.boxes[0]
        part = small[round((top - 6) * side) : round((bottom + 6) * side), : round(300 * side)]
        left = 0.3 + 1.7 * number
        page.image(part, left, 4.45, 1.55, 1.55 * 44 / 300 * 1.5)
        page.text(left, 4.88, f"{ratio} cells (level 2)", 8.5, color=MUTED)
    page.text(
        0.3, 5.15, f"It says {line.text}: letters of 32 pixels in an image of {SIDE} × {SIDE}.", 9
    )
    return page.figure


def main() -> None:
    """Measure, print the table, and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figure", type=Path, help="PNG file to write")
    parser.add_argument("--characters", type=int, default=48, help="at each setting")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    points = measure(np.random.default_rng(chosen.seed), characters=chosen.characters)
    levels = sorted({point.level for point in points})
    print(f"| cells per letter height | {' | '.join(f'J = {n}' for n in levels)} | tesseract |")
    print(f"|---|{'---|' * (len(levels) + 1)}")
    curves = {level: by_cells(points, "share", level) for level in levels}
    for cells, read in by_cells(points, "by_tesseract").items():
        shares = [f"{curves[n][cells]:.0%}" if cells in curves[n] else "" for n in levels]
        print(f"| {cells:g} | {' | '.join(shares)} | {read:.0%} |")
    if chosen.figure is not None:
        write_figure(chosen.figure, figure(points, np.random.default_rng(chosen.seed + 1)))


if __name__ == "__main__":
    main()
