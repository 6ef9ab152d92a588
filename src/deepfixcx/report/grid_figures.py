"""The figures of a sweep and of a frontier: each setting, and codes against their baselines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from deepfixcx.errors import MechanismError, ModelError
from deepfixcx.experiments.rows import FrontierRow, Row
from deepfixcx.measures import Interval
from deepfixcx.report.drawing import FONT, INK, MUTED
from deepfixcx.report.figure_data import (
    COLOURS,
    SHAPES,
    Mark,
    Point,
    frontier_planes,
)
from deepfixcx.report.grid_data import Grid, grids_of, shade

__all__ = ["comparison_figure", "frontier_figure", "heatmap_figure"]

CELL = 0.62  # inches, height of a cell
PANEL = 3.6  # inches, width of a panel
LEGEND = 0.35  # inches, height of what is said below
ASIDE = 1.13
"""Points of equally many numbers are drawn this factor apart."""

KINDS = {"codes": "family0", "blur": "family1", "median": "family2", "original": "muted"}
BLUES = LinearSegmentedColormap.from_list("shade", [shade(step / 4) for step in range(5)])


def heatmap_figure(rows: Sequence[Row], recommended: tuple[int, int] | None = None) -> Figure:
    """Draw a heatmap for each figure of a sweep: level down, patches across, dark where better."""
    grids = grids_of(_settings(rows, keep_original=True))
    across = min(3, len(grids))
    down = -(-len(grids) // across)
    height = 0.95 + CELL * len(grids[0].levels)
    figure = Figure(
        figsize=(PANEL * across, height * down + LEGEND), facecolor="white", layout="tight"
    )
    names = {cell.name for row in grids[0].cells for cell in row}
    framed = recommended is not None and "J{}_P{}".format(*recommended) in names
    meaning = "dark: better (smaller, nearer to the original, higher AUC)"
    if framed:
        meaning = f"framed: recommended{chr(10) if across == 1 else '; '}{meaning}"
    figure.supxlabel(meaning, fontsize=10 if across > 1 else 8, color=INK, family=FONT)
    for place, grid in enumerate(grids):
        axes = figure.add_subplot(down, across, place + 1)
        _draw_grid(axes, grid)
        if recommended is not None and framed:
            left = grid.patches.index(recommended[1]) - 0.5
            top = grid.levels.index(recommended[0]) - 0.5
            axes.add_patch(
                Rectangle(
                    (left, top), 1, 1, fill=False, edgecolor=COLOURS["mark"], linewidth=3,
                    clip_on=False,
                )
            )  # fmt: skip
    return figure


def comparison_figure(rows: Sequence[Row], name: str = "auc") -> Figure:
    """Draw AUC against the values kept: codes, blurred and median-filtered images, the original."""
    settings = [row for row in _settings(rows) if math.isfinite(row.figures.get(name, math.nan))]
    if not settings:
        raise ModelError(f"no setting has the figure {name!r}; a sweep with --cnn has cnn_auc")
    figure = Figure(figsize=(8.4, 5.2), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    by_numbers: dict[float, list[Row]] = {}
    for row in settings:
        by_numbers.setdefault(row.figures["numbers"], []).append(row)
    for numbers, equal in by_numbers.items():
        # side by side, so that intervals do not overlap; the baselines of all are the same
        _draw_point(axes, "blur", numbers / ASIDE**2, equal[0].interval(f"blur_{name}"))
        _draw_point(axes, "median", numbers / ASIDE, equal[0].interval(f"median_{name}"))
        for rank, row in enumerate(equal):
            place, interval = numbers * ASIDE**rank, row.interval(name)
            _draw_point(axes, "codes", place, interval)
            axes.annotate(
                f"{row.level},{row.patches}", (place, _top(interval)),
                xytext=(0, 3), textcoords="offset points", ha="center", fontsize=8, color=INK,
                family=FONT,
            )  # fmt: skip
    original = [row.interval(name) for row in rows if row.level is None]
    grey = COLOURS[KINDS["original"]]
    if original and math.isfinite(original[0].value):
        axes.axhline(original[0].value, color=grey, linestyle="--",
                     label="original at 64 × 64" if name == "auc" else "original")  # fmt: skip
        axes.axhspan(original[0].low, original[0].high, color=grey, alpha=0.08)
    axes.set_xscale("log")
    axes.set_xlabel("values kept per image (equal counts side by side; codes: J,P)", color=INK)
    axes.set_ylabel("AUC with 95 % interval over patients", color=INK)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    figure.legend(frameon=False, loc="outside upper center", ncols=4)
    return figure


def _settings(rows: Sequence[Row], *, keep_original: bool = False) -> list[Row]:
    settings = [row for row in rows if row.level is not None]
    if not settings:
        raise ModelError("there is no setting to draw: the sweep has no row of a setting")
    return list(rows) if keep_original else settings


def _draw_grid(axes: Axes, grid: Grid) -> None:
    shares = [[cell.share if cell.words else math.nan for cell in row] for row in grid.cells]
    axes.set_facecolor("#e9e9e9")
    axes.imshow(np.array(shares), cmap=BLUES, vmin=0, vmax=1, aspect="auto")
    axes.set_title(grid.title, fontsize=11, color=INK, family=FONT, loc="left", fontweight="bold")
    for row, cells in enumerate(grid.cells):
        for column, cell in enumerate(cells):
            axes.text(
                column, row, cell.words or "does not\nfit", ha="center", va="center",
                fontsize=10 if cell.words else 8, family=FONT,
                color=("white" if cell.deep else INK) if cell.words else MUTED,
            )  # fmt: skip
    axes.set_xticks(range(len(grid.patches)), [f"P={count}" for count in grid.patches])
    axes.set_yticks(range(len(grid.levels)), [f"J={level}" for level in grid.levels])
    axes.tick_params(length=0, labelsize=10, labelcolor=INK, labelfontfamily=FONT)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_point(axes: Axes, kind: str, place: float, interval: Interval) -> None:
    """Draw one figure with its interval; the legend names each kind once."""
    if not math.isfinite(interval.value):
        return
    named = {text for _, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    axes.errorbar(
        [place],
        [interval.value],
        yerr=[[interval.value - _bottom(interval)], [_top(interval) - interval.value]],
        fmt="o" if kind == "codes" else "s",
        markersize=6 if kind == "codes" else 4,
        color=COLOURS[KINDS[kind]],
        elinewidth=1,
        label=None if kind in named else kind,
    )


def _top(interval: Interval) -> float:
    return interval.high if interval.high >= interval.value else interval.value


def _bottom(interval: Interval) -> float:
    return interval.low if interval.low <= interval.value else interval.value


def frontier_figure(
    rows: Sequence[FrontierRow],
    recommended: FrontierRow | None = None,
    max_linkage: float | None = None,
) -> Figure:
    """Draw every setting: high is useful, left is private."""
    if not rows:
        raise MechanismError("there is no setting to draw: every one failed")
    planes = frontier_planes(rows, recommended, max_linkage)
    figure = Figure(
        figsize=(6.3 * max(len(planes), 1), 6.4), facecolor="white", layout="constrained"
    )
    for place, plane in enumerate(planes):
        axes = figure.add_subplot(1, len(planes), place + 1)
        for point in plane.points:
            _draw_in_plane(axes, point)
        for line in plane.lines:
            axes.axvline(
                line.x, color=INK if line.words == "threshold" else MUTED, linewidth=1,
                linestyle=(0, line.dashes) if line.dashes else "-", label=line.words,
            )  # fmt: skip
        axes.set_xlabel(plane.x_title, color=INK)
        axes.set_ylabel(plane.y_title if not place else "", color=INK)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=10, labelcolor=INK, labelfontfamily=FONT)
    if planes:
        handles, texts = figure.axes[0].get_legend_handles_labels()
        figure.legend(
            handles, texts, frameon=False, loc="outside lower center", ncols=3 * len(planes)
        )
    return figure


def _draw_in_plane(axes: Axes, point: Point) -> None:
    known = axes.get_legend_handles_labels()[1]
    axes.errorbar(
        point.x.value, point.y.value, xerr=_arms(point.x), yerr=_arms(point.y),
        fmt="none", ecolor=COLOURS[point.mark.colour], elinewidth=0.7, alpha=0.9,
    )  # fmt: skip
    axes.plot(
        point.x.value, point.y.value, linestyle="none", marker=marker(point.mark), markersize=8,
        color=COLOURS[point.mark.colour], label=None if point.kind in known else point.kind,
    )  # fmt: skip
    if point.ring:
        axes.plot(
            point.x.value, point.y.value, "o", markersize=20, fillstyle="none",
            color=COLOURS["mark"], markeredgewidth=1.8, label="recommended", zorder=4,
        )  # fmt: skip
    if point.short:
        axes.annotate(
            point.short, (point.x.value, point.y.value), xytext=(5, 4),
            textcoords="offset points", fontsize=8, color=INK, family=FONT,
        )  # fmt: skip


def marker(mark: Mark) -> Any:
    """Return a mark as matplotlib draws it."""
    return list(SHAPES[mark.shape]) or "o"


def _arms(interval: Interval) -> list[list[float]] | None:
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return None
    below, above = interval.value - interval.low, interval.high - interval.value
    return [[max(below, 0.0)], [max(above, 0.0)]]
