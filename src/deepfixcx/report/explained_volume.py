"""Why a model decided on volumes: figures of three planes through the strongest cell.

A code has no affine, so planes are named by their axis, and voxels are drawn as if their sides
were equal. The first slice is below, as the feet are in a volume whose slices go upwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepfixcx._words import counted
from deepfixcx.code import Code
from deepfixcx.explain.attribution import Attribution
from deepfixcx.explain.cohort import Bias
from deepfixcx.explain.groups import Reason
from deepfixcx.report.attribution_axes import (
    AWAY,
    MOST_COLOUR,
    SCALES,
    TOWARDS,
    draw_amounts,
    draw_cells,
    draw_groups,
    draw_intervals,
    draw_marks,
    grid_height,
    grid_width,
    pale,
)
from deepfixcx.report.drawing import MUTED, Page, draw_scale, for_display, panel_size
from deepfixcx.report.explained_model import (
    GAP,
    INDENT,
    LINE,
    MARGIN,
    REASONS,
    SCALE,
    columns_of,
    draw_bands,
    draw_legend,
    draw_scale_of_size,
    finding_lines,
    mean_reconstruction,
    reason_lines,
    reconstruction_of,
    strongest_amount,
    title_of,
    wrapped,
)

__all__ = ["volume_attribution_figure", "volume_bias_figure"]

TOP, ROW_TITLE, BETWEEN = 0.75, 0.62, 0.3
AXES = ("slice", "row", "column")


@dataclass(frozen=True, slots=True)
class _Plane:
    """A plane through a cell: the axis on which it stands, its place, and its voxels."""

    axis: int
    cell: int
    words: str
    voxels: NDArray[np.float32]  # (C, down, across)

    @property
    def along(self) -> tuple[int, int]:
        """Axes that are drawn down and across."""
        down, across = (other for other in range(3) if other != self.axis)
        return down, across

    def of(self, cells: NDArray[Any]) -> NDArray[Any]:
        """Return the cells (P_z, P, P, ...) that lie in the plane."""
        plane: NDArray[Any] = cells.take(self.cell, self.axis)
        return plane


def volume_attribution_figure(
    attribution: Attribution, image: int = 0, *, title: str = "", note: str = ""
) -> Figure:
    """Draw one page on one answer on a volume: where, by which edges, and reasons."""
    one = attribution[image]
    decoded, size = reconstruction_of(one.code), tuple(map(int, one.code.sizes[0]))
    places, bands = one.resolves != "band", one.resolves != "place"
    reasons = one.reasons(REASONS)
    cells = one.spatial()[0] if places else None
    planes = _planes(one.code, decoded, _strongest(cells, reasons[0].cell if reasons else None))
    panels = [panel_size(*plane.voxels.shape[1:]) for plane in planes]
    wide = sum(width for width, _ in panels) + GAP * 2
    high = max(height for _, height in panels)
    beside = bands * (GAP + SCALES + grid_width(one.code.spec))
    width = wide + beside
    lines = [
        (name, line) for name, text in reason_lines(one, reasons) for name, line in
        columns_of(name, text, width)
    ]  # fmt: skip
    rows = 1 + places
    top = TOP + (LINE if note else 0.0)
    below = top + rows * (ROW_TITLE + high + BETWEEN) + SCALE
    page = Page(2 * MARGIN + width, below + 0.6 + LINE * (len(lines) + 1))
    page.text(MARGIN, 0.2, title_of(one, title), 18, weight="bold")
    page.text(MARGIN, 0.62, note, 12, weight="bold")
    for plane, left, place in _laid(planes, panels, top):
        words = ("reconstruction of the code", "") if left == MARGIN else ("", "")
        _head(page, left, top, words[0], plane.words)
        axes = _image(page, for_display(plane.voxels), place, plane)
        _mark(axes, one.code, size, plane, reasons)
    if cells is not None:
        second = top + ROW_TITLE + high + BETWEEN
        most = strongest_amount(cells, one, (0,))
        for plane, left, place in _laid(planes, panels, second):
            where = "where: sum over all bands of a cell" if left == MARGIN else ""
            _head(page, left, second, where, "")
            axes = _image(page, pale(plane.voxels), place, plane)
            draw_cells(axes, plane.of(cells), one.code, size, most, plane.along)
            _mark(axes, one.code, size, plane, reasons)
        bottom = second + ROW_TITLE + high + 0.2
        signs = (TOWARDS, AWAY)
        draw_scale(page, (MARGIN, bottom, panels[0][0]), most, signs, MOST_COLOUR, unit=one.unit)
    if bands:
        draw_bands(page, one, reasons, MARGIN + wide + GAP, top + 0.85)
    draw_legend(page, below, one.label)
    for line, (name, text) in enumerate(lines):
        page.text(MARGIN, below + LINE * (line + 1.5), name, 12, weight="bold")
        page.text(MARGIN + INDENT, below + LINE * (line + 1.5), text, 12)
    return page.figure


def volume_bias_figure(bias: Bias) -> Figure:
    """Draw the attributions of a model over many volumes: places, edges, attention, shortcuts."""
    why = bias.attribution
    spec, decoded = why.code.spec, mean_reconstruction(why.code)
    size = tuple(map(int, why.code.sizes[0]))
    rows: list[tuple[str, NDArray[np.float64], bool]] = []
    if bias.places is not None:
        rows.append((f"places: mean size of the attribution, {why.unit}", bias.places, False))
    if bias.attention is not None:
        shares = bias.attention_places()[..., np.newaxis]
        rows.append(("attention: share of the model's weights", shares, True))
    cell = _strongest(rows[0][1][..., 0] if rows else None, None)
    planes = _planes(why.code, decoded, cell)
    panels = [panel_size(*plane.voxels.shape[1:]) for plane in planes]
    wide = sum(width for width, _ in panels) + GAP * 2
    high = max(height for _, height in panels)
    width = max(wide * bool(rows) + GAP + SCALES + grid_width(spec), 11.0)
    lines = wrapped(finding_lines(bias), width)
    grids = (bias.bands is not None) + (bias.attention is not None)
    height = max(len(rows) * (ROW_TITLE + high + SCALE), grids * (grid_height(spec.level) + 1.6))
    page = Page(2 * MARGIN + width, TOP + height + 0.45 + LINE * (len(lines) + 2))
    words = f"attributions: {why.label}, {counted(len(why), 'volume')}"
    patients = "" if bias.patients is None else f" of {counted(bias.patients, 'patient')}"
    page.text(MARGIN, 0.2, words + patients, 18, weight="bold")
    for row, (title, amounts, percent) in enumerate(rows):
        top = TOP + row * (ROW_TITLE + high + SCALE)
        most = float(amounts[..., 0].max())
        for plane, left, place in _laid(planes, panels, top):
            _head(page, left, top, title if left == MARGIN else "", plane.words)
            axes = draw_amounts(
                page, plane.of(amounts), plane.voxels, why.code, place, percent=percent, most=most,
                size=size, along=plane.along,
            )  # fmt: skip
            _first_slice_below(axes, plane)
        bottom, unit = (MARGIN, top + ROW_TITLE + high, panels[0][0]), "" if percent else why.unit
        draw_scale_of_size(page, bottom, amounts[..., 0], unit=unit, percent=percent)
    left, top = MARGIN + wide * bool(rows) + GAP, TOP
    if bias.bands is not None:
        page.heading(left + SCALES, top, "edges", "mean size, and its 95 % interval")
        draw_intervals(page, bias.bands, spec, left, top + 0.85)
        top += grid_height(spec.level) + 1.6
    if bias.attention is not None:
        page.heading(left + SCALES, top, "attention: edges", "share of the model's weights")
        draw_groups(page, bias.attention_bands(), spec, left, top + 0.85, percent=True)
    foot = TOP + height + 0.3
    page.text(MARGIN, foot, "signs of shortcuts, strongest first", 12, weight="bold")
    for line, text in enumerate(lines):
        page.text(MARGIN, foot + LINE * (line + 1), text, 12)
    return page.figure


def _strongest(
    cells: NDArray[np.floating] | None, cell: tuple[int, ...] | None
) -> tuple[int, ...] | None:
    """Return the cell through which planes go; None for the middle of the volume."""
    if cell is not None or cells is None:
        return cell
    return tuple(map(int, np.unravel_index(int(np.abs(cells).argmax()), cells.shape)))


def _planes(code: Code, decoded: NDArray[np.float32], cell: tuple[int, ...] | None) -> list[_Plane]:
    """Cut a volume (C, D, H, W) through the middle of a cell, on each axis."""
    size, spec = decoded.shape[1:], code.spec
    cell = cell or tuple(count // 2 for count in spec.grid_shape)
    made = []
    for axis, (cells, level) in enumerate(zip(spec.cells(*size), spec.axis_levels, strict=True)):
        ends = cells.starts[cell[axis]], cells.stops[cell[axis]]
        place = min((int(sum(ends)) << level) // 2, size[axis] - 1)
        words = f"{AXES[axis]} {place + 1} of {size[axis]}"
        made.append(_Plane(axis, cell[axis], words, decoded.take(place, axis + 1)))
    return made


def _laid(
    planes: list[_Plane], panels: list[tuple[float, float]], top: float
) -> Iterator[tuple[_Plane, float, tuple[float, float, float, float]]]:
    """Yield each plane with its left edge and the rectangle that it fills."""
    left = MARGIN
    for plane, (wide, high) in zip(planes, panels, strict=True):
        yield plane, left, (left, top + ROW_TITLE, wide, high)
        left += wide + GAP


def _head(page: Page, left: float, top: float, title: str, words: str) -> None:
    page.text(left, top + 0.08, title, 14, weight="bold")
    page.text(left, top + 0.38, words, 11, color=MUTED)


def _image(
    page: Page,
    pixels: NDArray[np.float32],
    place: tuple[float, float, float, float],
    plane: _Plane,
) -> Axes:
    axes = page.image(pixels, *place)
    _first_slice_below(axes, plane)
    return axes


def _first_slice_below(axes: Axes, plane: _Plane) -> None:
    """Turn a plane whose rows are slices."""
    if plane.axis:
        low, high = sorted(axes.get_ylim())
        axes.set_ylim(low, high)


def _mark(
    axes: Axes, code: Code, size: tuple[int, ...], plane: _Plane, reasons: list[Reason]
) -> None:
    """Frame the cells of reasons that lie in a plane."""
    numbers: dict[tuple[int, int], list[str]] = {}
    for number, reason in enumerate(reasons, 1):
        if reason.cell is not None and reason.cell[plane.axis] == plane.cell:
            down, across = (reason.cell[axis] for axis in plane.along)
            numbers.setdefault((down, across), []).append(str(number))
    marks = [(*place, ", ".join(each)) for place, each in numbers.items()]
    draw_marks(axes, code, size, marks, plane.along)
