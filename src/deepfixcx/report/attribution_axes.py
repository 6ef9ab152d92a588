"""Attributions on axes: amounts in the cells of an image, and on a grid of scales and directions.

Orange pushes towards the label and blue away from it; a plus or a minus says the same where there
is no colour, or for readers who do not distinguish these colours. Purple is an amount without a
direction.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from deepfixcx.code import Code
from deepfixcx.explain.groups import BandGroup, band_groups
from deepfixcx.explain.naming import OF_VOLUMES, ORIENTATIONS, WORDS, Orientation, extent
from deepfixcx.report.drawing import FONT, INK, MOST_SIDE, Page, decimals_for, for_display
from deepfixcx.spec import CodecSpec

__all__ = [
    "AWAY",
    "GRID",
    "MOST_COLOUR",
    "SCALES",
    "SIZE",
    "TOWARDS",
    "draw_amounts",
    "draw_cells",
    "draw_groups",
    "draw_intervals",
    "draw_marks",
    "field_of",
    "grid_height",
    "grid_width",
    "pale",
    "rows_of_bands",
]

GRID = 3.55  # inches, width of the grid of bands
SCALES = 0.95  # room for the names of scales, left of it
TOWARDS, AWAY, SIZE = "#e66101", "#2166ac", "#8069b5"
MOST_COLOUR = 0.75
"""How much of the strongest colour covers what is below it."""
LEAST_SIGN = 0.15
"""Cells below this share of the strongest have no sign."""
MOST_SIGNS = 12
"""On grids with more cells a side, only the strongest cells have a sign."""
LEAST_LETTERS, MOST_LETTERS = 5.5, 13.0
"""Sizes of letters in cells; intervals, or values, that would need smaller ones are omitted."""
LETTER_WIDTH, LINE_HEIGHT = 0.68, 1.45
"""Of a letter of `FONT`, as shares of its size, with room between cells."""


# -- places -----------------------------------------------------------------------------------


Sides = tuple[int, ...]
"""Size of an image, or of a volume: then a plane of it is drawn."""

Along = tuple[int, int]
"""Axes of a size that are drawn down and across; of images, and of slices, the last two."""

LAST = (-2, -1)


def draw_cells(
    axes: Axes,
    cells: NDArray[np.floating],
    code: Code,
    size: Sides,
    most: float,
    along: Along = LAST,
) -> None:
    """Lay colours over an image, and signs into its cells; `most` has the strongest colour."""
    _overlay(axes, _spread(cells / most, code, size, along), (TOWARDS, AWAY))
    rows, columns = _middles(code, size, along)
    least = LEAST_SIGN
    if max(cells.shape) > MOST_SIGNS:
        least = max(least, float(np.sort(np.abs(cells), axis=None)[-MOST_SIGNS]) / most)
    letters = float(np.clip(80 / max(cells.shape), 7, 22))
    for (row, column), cell in np.ndenumerate(cells):
        if abs(cell) >= least * most:
            axes.text(
                columns[column], rows[row], "+" if cell > 0 else "−", ha="center", va="center",
                fontsize=letters, color=INK, weight="bold", family=FONT, clip_on=True,
            )  # fmt: skip


def draw_amounts(
    page: Page,
    amounts: NDArray[np.float64],
    decoded: NDArray[np.float32],
    code: Code,
    place: tuple[float, float, float, float],
    *,
    percent: bool = False,
    most: float | None = None,
    size: Sides = (),
    along: Along = LAST,
) -> Axes:
    """Write amounts (P, P, 1 or 3) into the cells of an image, darker where they are larger.

    Of a plane of a volume, `decoded` is the plane and `size` that of the volume.
    """
    axes = page.image(pale(decoded), *place)
    size = size or decoded.shape[1:]
    rows, columns = _middles(code, size, along)
    values, most = amounts[..., 0], most or float(amounts[..., 0].max()) or 1.0
    digits = decimals_for(most)
    _overlay(axes, _spread(values / most, code, size, along), (SIZE, SIZE))
    if max(values.shape) > MOST_SIGNS:
        return axes
    shown = axes.get_images()[0].get_size()
    room = [  # of the narrowest row and column
        72 * inches * (min(np.diff(middles)) / side if len(middles) > 1 else 1)
        for middles, side, inches in zip((rows, columns), shown, (place[3], place[2]), strict=True)
    ]
    several = [
        _percent(float(value)) if percent else f"{value:.{digits}f}" for value in values.flat
    ]
    if amounts.shape[2] == 3:
        lows, highs = amounts[..., 1].flat, amounts[..., 2].flat
        both = [
            f"{text}\n{low:.{digits}f}–{high:.{digits}f}"
            for text, low, high in zip(several, lows, highs, strict=True)
        ]
        several = both if _letters(both, room) >= LEAST_LETTERS else several
    letters = _letters(several, room)
    if letters < LEAST_LETTERS:
        return axes
    for (row, column), words in zip(np.ndindex(values.shape), several, strict=True):
        axes.text(
            columns[column], rows[row], words, ha="center", va="center", fontsize=letters,
            color=INK, family=FONT, clip_on=True,
        )  # fmt: skip
    return axes


def _letters(texts: Sequence[str], room: Sequence[float]) -> float:
    """Return the size of letters at which texts fit into cells of this height and width."""
    lines = [line for text in texts for line in text.split("\n")]
    high = room[0] / (LINE_HEIGHT * (1 + max(text.count("\n") for text in texts)))
    return min(high, room[1] / (LETTER_WIDTH * max(map(len, lines))), MOST_LETTERS)


def draw_marks(
    axes: Axes,
    code: Code,
    size: Sides,
    marks: Sequence[tuple[int, int, str]],
    along: Along = LAST,
) -> None:
    """Frame cells (row, column) of an image of this size, and write their numbers into them.

    The frame is dark with a bright rim, so that it is seen on lung and on bone.
    """
    rows, columns = _edges(code, size, along)
    for row, column, number in marks:
        (top, bottom), (left, right) = rows[row], columns[column]
        for colour, width in (("white", 4.0), (INK, 1.8)):
            axes.add_patch(
                Rectangle(
                    (left, top), right - left, bottom - top, fill=False, edgecolor=colour,
                    linewidth=width, zorder=3,
                )
            )  # fmt: skip
        highest = top if axes.yaxis_inverted() else bottom
        axes.text(
            left, highest, number, ha="left", va="top", fontsize=11, color="white", weight="bold",
            family=FONT, zorder=5, bbox={"facecolor": INK, "edgecolor": "white", "pad": 1.5},
        )  # fmt: skip


def pale(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return an image (C, H, W) for drawing on: gray, and so bright that colours look the same."""
    shown = for_display(pixels)
    return 0.84 + 0.16 * (shown.mean(axis=-1) if shown.ndim > 2 else shown)


def _overlay(axes: Axes, amounts: NDArray[np.floating], colours: tuple[str, str]) -> None:
    """Cover an image with one of two colours, as strong as the amounts (H, W) from -1 to 1."""
    shown_height, shown_width = axes.get_images()[0].get_size()
    layer = np.empty((*amounts.shape, 4), np.float32)
    layer[..., :3] = np.where(amounts[..., None] > 0, *map(to_rgb, colours))
    layer[..., 3] = MOST_COLOUR * np.abs(amounts)
    axes.imshow(
        layer,
        aspect="auto",
        interpolation="nearest",
        extent=(-0.5, shown_width - 0.5, shown_height - 0.5, -0.5),
    )


def _spread(
    values: NDArray[np.floating], code: Code, size: Sides, along: Along
) -> NDArray[np.floating]:
    """Give every pixel the value of its cell."""
    spec, cells = code.spec, code.spec.cells(*size)
    down, across = (
        np.repeat(cells[axis].of_each_row(), 1 << spec.axis_levels[axis])[: size[axis]]
        for axis in along
    )
    return values[down[:, np.newaxis], across]


def _edges(code: Code, size: Sides, along: Along) -> list[list[tuple[float, float]]]:
    """Return first and last edge of each row and column of cells, in pixels of what is drawn."""
    step = max(1, min(size[axis] for axis in along) // MOST_SIDE)
    found, cells = [], code.spec.cells(*size)
    for axis in along:
        ends = np.stack([cells[axis].starts, cells[axis].stops], axis=1)
        ends = np.minimum(ends << code.spec.axis_levels[axis], size[axis])
        found.append([(low, high) for low, high in (ends / step - 0.5).tolist()])
    return found


def _middles(code: Code, size: Sides, along: Along) -> list[list[float]]:
    """Return the middle of each row and column of cells, in pixels of what is drawn."""
    return [[(low + high) / 2 for low, high in each] for each in _edges(code, size, along)]


# -- bands ------------------------------------------------------------------------------------


def grid_height(level: int) -> float:
    """Return the height of the grid of bands in inches."""
    return (level + 1) * 0.62 + 0.35


def grid_width(spec: CodecSpec) -> float:
    """Return the width of the grid of bands in inches; that of volumes has a column more."""
    return GRID * len(_directions(spec.level_z)) / len(ORIENTATIONS)


def _directions(level_z: int | None) -> tuple[Orientation, ...]:
    return ORIENTATIONS if level_z is None else OF_VOLUMES


def _grid_axes(page: Page, spec: CodecSpec, left: float, top: float) -> Axes:
    """Make the grid of scales down and directions across, the brightness below it."""
    level, wide, directions = spec.level, grid_width(spec), _directions(spec.level_z)
    axes = page.axes(left + SCALES, top + 0.32, wide, grid_height(level) - 0.35)
    axes.set_xlim(0, len(directions))
    axes.set_ylim(level + 1, 0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for column, orientation in enumerate(directions):
        middle = left + SCALES + wide * (column + 0.5) / len(directions)
        words = WORDS[orientation].replace("edges between", "between")
        page.text(middle, top + 0.05, words, 9, ha="center")
    height = 0.62
    for row, group in enumerate(rows_of_bands(level, spec.level_z)):
        page.text(
            left, top + 0.32 + height * (row + 0.4), f"{extent(group.low, group.high)} px", 11
        )
    page.text(left, top + 0.32 + height * (level + 0.4), "brightness", 11)
    return axes


def rows_of_bands(level: int, level_z: int | None = None) -> list[BandGroup]:
    """Return one group of each octave, the coarsest first."""
    groups = band_groups(level, level_z)[1:]
    lows = _octaves(level, level_z)
    return [next(each for each in groups if each.low == low) for low in lows]


def _octaves(level: int, level_z: int | None) -> list[float]:
    return sorted({group.low for group in band_groups(level, level_z)[1:]}, reverse=True)


def field_of(group: BandGroup, level: int, level_z: int | None = None) -> tuple[float, int, float]:
    """Return left, top and width of the field of a group in the grid."""
    directions = _directions(level_z)
    if group.orientation == "approximation":
        return 0.0, level, float(len(directions))
    row = _octaves(level, level_z).index(group.low)
    return float(directions.index(group.orientation)), row, 1.0


def draw_groups(
    page: Page,
    amounts: NDArray[np.floating],
    spec: CodecSpec,
    left: float,
    top: float,
    *,
    most: float | None = None,
    percent: bool = False,
    marks: Sequence[tuple[BandGroup, str]] = (),
) -> None:
    """Draw an amount for each group of bands, coloured and written, some with numbers."""
    axes = _grid_axes(page, spec, left, top)
    largest = float(np.abs(amounts).max()) or 1.0
    most, digits = most or largest, decimals_for(largest)
    for group, amount in zip(band_groups(spec.level, spec.level_z), amounts, strict=True):
        words = _percent(float(amount)) if percent else _signed(float(amount), digits)
        colour = SIZE if percent else TOWARDS if amount > 0 else AWAY
        _draw_field(axes, group, spec, abs(float(amount)) / most, colour, words)
    for group, number in marks:
        x, y, _ = field_of(group, spec.level, spec.level_z)
        axes.text(
            x + 0.04, y + 0.08, number, ha="left", va="top", fontsize=10, color="white",
            weight="bold", family=FONT, bbox={"facecolor": INK, "edgecolor": "none", "pad": 1.5},
        )  # fmt: skip


def draw_intervals(
    page: Page, amounts: NDArray[np.float64], spec: CodecSpec, left: float, top: float
) -> None:
    """Draw an amount with its interval (G, 3) for each group of bands."""
    axes = _grid_axes(page, spec, left, top)
    most = float(amounts[:, 0].max()) or 1.0
    digits = decimals_for(most)
    groups = band_groups(spec.level, spec.level_z)
    for group, (value, low, high) in zip(groups, amounts, strict=True):
        words = f"{value:.{digits}f}\n{low:.{digits}f}–{high:.{digits}f}"
        _draw_field(axes, group, spec, float(value) / most, SIZE, words)


def _draw_field(
    axes: Axes, group: BandGroup, spec: CodecSpec, strength: float, colour: str, words: str
) -> None:
    x, y, width = field_of(group, spec.level, spec.level_z)
    frame = Rectangle((x, y), width, 1, fill=False, edgecolor="#c8c8c8", clip_on=False)
    inside = Rectangle(
        (x, y), width, 1, facecolor=colour, alpha=MOST_COLOUR * strength, linewidth=0
    )
    axes.add_patch(inside)
    axes.add_patch(frame)
    axes.text(
        x + width / 2, y + 0.5, words, ha="center", va="center", fontsize=11, color=INK, family=FONT
    )


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def _percent(share: float) -> str:
    """Return a share with two digits: 0.44 is 44 %, and 0.016 is 1.6 %."""
    return f"{100 * share:.0f} %" if share >= 0.0995 or share < 5e-5 else f"{100 * share:.1f} %"
