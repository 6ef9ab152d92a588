"""The figures of a sweep and of a frontier: each setting, and codes against their baselines."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from deepfixcx.errors import MechanismError, ModelError
from deepfixcx.experiments.frontier_inputs import BASELINES
from deepfixcx.experiments.rows import FrontierRow, Row
from deepfixcx.measures import Interval
from deepfixcx.report.drawing import FONT, INK, MUTED

__all__ = ["comparison_figure", "frontier_figure", "heatmap_figure"]

CELL = 0.62  # inches, height of a cell
PANEL = 3.6  # inches, width of a panel
LEGEND = 0.35  # inches, height of what is said below
DARK = 0.45  # brightness of a cell; what is darker gets white letters
BRIGHTNESS = (0.2126, 0.7152, 0.0722)  # of red, green and blue
ASIDE = 1.13
"""Points of equally many numbers are drawn this factor apart."""

COLOURS = {"codes": "#1b6f8a", "blur": "#d1603d", "median": "#7a5195", "original": "#5a5a5a"}


@dataclass(frozen=True, slots=True)
class _Panel:
    """One heatmap: its figure, title, words of a cell; whether colours go by powers, or down."""

    name: str
    title: str
    words: Callable[[float], str]
    powers: bool = False
    less_is_better: bool = False


def _times(value: float) -> str:
    return f"{value:,.0f} ×" if value >= 1000 else f"{value:.3g} ×"


PANELS = (
    _Panel(
        "share",
        "share of values kept",
        lambda value: f"{100 * value:.3g} %",
        powers=True,
        less_is_better=True,
    ),
    _Panel("ratio_memory", "times smaller in memory", _times, powers=True),
    _Panel("ratio_disk", "times smaller on disk", _times, powers=True),
    _Panel("ssim", "SSIM of the reconstruction", lambda value: f"{value:.2f}"),
    _Panel("psnr", "PSNR of the reconstruction", lambda value: f"{value:.1f} dB"),
    _Panel("auc", "AUC, codes", lambda value: f"{value:.3f}"),
    _Panel("cnn_auc", "AUC, network on images", lambda value: f"{value:.3f}"),
)


def heatmap_figure(rows: Sequence[Row], recommended: tuple[int, int] | None = None) -> Figure:
    """Draw a heatmap for each figure of a sweep: level down, patches across, dark where better."""
    settings = _settings(rows)
    levels = sorted({row.level or 0 for row in settings})
    patches = sorted({row.patches or 0 for row in settings})
    panels = [
        panel
        for panel in PANELS
        if any(math.isfinite(row.figures.get(panel.name, math.nan)) for row in settings)
    ]
    across = min(3, len(panels))
    down = -(-len(panels) // across)
    height = 0.95 + CELL * len(levels)
    figure = Figure(
        figsize=(PANEL * across, height * down + LEGEND), facecolor="white", layout="tight"
    )
    framed = recommended is not None and recommended[0] in levels and recommended[1] in patches
    meaning = "dark: better (smaller, nearer to the original, higher AUC)"
    if framed:
        meaning = f"framed: recommended{chr(10) if across == 1 else '; '}{meaning}"
    figure.supxlabel(meaning, fontsize=10 if across > 1 else 8, color=INK, family=FONT)
    for place, panel in enumerate(panels):
        values = np.full((len(levels), len(patches)), np.nan)
        for row in settings:
            values[levels.index(row.level or 0), patches.index(row.patches or 0)] = row.figures.get(
                panel.name, math.nan
            )
        axes = figure.add_subplot(down, across, place + 1)
        _draw_panel(axes, panel, values, _title(panel, rows))
        axes.set_xticks(range(len(patches)), [f"P={count}" for count in patches])
        axes.set_yticks(range(len(levels)), [f"J={level}" for level in levels])
        axes.tick_params(length=0, labelsize=10, labelcolor=INK, labelfontfamily=FONT)
        if recommended is not None and framed:
            left, top = patches.index(recommended[1]) - 0.5, levels.index(recommended[0]) - 0.5
            axes.add_patch(
                Rectangle(
                    (left, top), 1, 1, fill=False, edgecolor="#d1603d", linewidth=3, clip_on=False
                )
            )
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
    if original and math.isfinite(original[0].value):
        axes.axhline(original[0].value, color=COLOURS["original"], linestyle="--",
                     label="original at 64 × 64" if name == "auc" else "original")  # fmt: skip
        axes.axhspan(original[0].low, original[0].high, color=COLOURS["original"], alpha=0.08)
    axes.set_xscale("log")
    axes.set_xlabel("values kept per image (equal counts side by side; codes: J,P)", color=INK)
    axes.set_ylabel("AUC with 95 % interval over patients", color=INK)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    figure.legend(frameon=False, loc="outside upper center", ncols=4)
    return figure


def _settings(rows: Sequence[Row]) -> list[Row]:
    settings = [row for row in rows if row.level is not None]
    if not settings:
        raise ModelError("there is no setting to draw: the sweep has no row of a setting")
    return settings


def _title(panel: _Panel, rows: Sequence[Row]) -> str:
    """Return the title, with the original's figure where there is one."""
    for row in rows:
        value = row.figures.get(panel.name, math.nan)
        if row.level is None and math.isfinite(value):
            return f"{panel.title} (original {panel.words(value)})"
    return panel.title


def _draw_panel(axes: Axes, panel: _Panel, values: NDArray[np.float64], title: str) -> None:
    shown = np.log(values) if panel.powers else values
    shown = -shown if panel.less_is_better else shown
    norm, colours = _norm(panel, values, shown), colormaps["Blues"]
    axes.set_facecolor("#e9e9e9")
    axes.imshow(shown, cmap=colours, norm=norm, aspect="auto")
    axes.set_title(title, fontsize=11, color=INK, family=FONT, loc="left", fontweight="bold")
    for (row, column), value in np.ndenumerate(values):
        if math.isfinite(value):
            brightness = float(np.dot(colours(norm(shown[row, column]))[:3], BRIGHTNESS))
            axes.text(
                column, row, panel.words(float(value)), ha="center", va="center", fontsize=10,
                family=FONT, color="white" if brightness < DARK else INK,
            )  # fmt: skip
        else:
            axes.text(
                column, row, "does not\nfit", ha="center", va="center", fontsize=8,
                family=FONT, color=MUTED,
            )  # fmt: skip
    for spine in axes.spines.values():
        spine.set_visible(False)


def _norm(panel: _Panel, values: NDArray[np.float64], shown: NDArray[np.float64]) -> Normalize:
    """Return the colour scale; values with equal text have the middle colour."""
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    if len({panel.words(float(value)) for value in values.flat if math.isfinite(value)}) == 1:
        return Normalize(low - 1, low + 1)
    return Normalize(low - 0.1 * (high - low), high)


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
        color=COLOURS[kind],
        elinewidth=1,
        label=None if kind in named else kind,
    )


def _top(interval: Interval) -> float:
    return interval.high if interval.high >= interval.value else interval.value


def _bottom(interval: Interval) -> float:
    return interval.low if interval.low <= interval.value else interval.value


MECHANISM_COLOURS = (
    "#1b6f8a",
    "#d1603d",
    "#7a5195",
    "#3a7d44",
    "#b8860b",
    "#c2447c",
    "#4a5fa5",
    "#8a5a2b",
)
MARKERS = "oDv^<>phX*8"
BASELINE_MARKERS = "s+x"


def frontier_figure(
    rows: Sequence[FrontierRow],
    recommended: FrontierRow | None = None,
    max_linkage: float | None = None,
) -> Figure:
    """Draw every setting: high is useful, left is private."""
    if not rows:
        raise MechanismError("there is no setting to draw: every one failed")
    figure = Figure(figsize=(12.6, 6.4), facecolor="white", layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    names = list(dict.fromkeys(row.mechanism for row in rows))
    several = len({(row.level, row.patches) for row in rows}) > 1
    for axes, figure_name in ((left, "linkage"), (right, "psnr_gain")):
        for row in rows:
            _draw_row(axes, row, figure_name, names, several)
        if recommended is not None and math.isfinite(
            recommended.figures.get(figure_name, math.nan)
        ):
            axes.plot(
                recommended.figures[figure_name], recommended.figures["auc"], "o", markersize=20,
                fillstyle="none", color=INK, markeredgewidth=1.6, label="recommended", zorder=4,
            )  # fmt: skip
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=10, labelcolor=INK, labelfontfamily=FONT)
    floors = [row.figures.get("floor_raw", math.nan) for row in rows if row.mechanism == "plain"]
    floors = [floor for floor in floors if math.isfinite(floor)]
    if floors:
        left.axvline(floors[0], color=MUTED, linestyle="--", label="label-only baseline")
    if max_linkage is not None:
        left.axvline(max_linkage, color=INK, linestyle=":", label="threshold")
    left.axvline(0.5, color=MUTED, linewidth=0.8, label="chance")
    right.axvline(0, color=MUTED, linewidth=0.8)
    left.set_xlabel("linkage: AUC of the strongest attacker (← more private)", color=INK)
    right.set_xlabel(
        "reconstruction: PSNR gained over the mean image, dB (← more private)", color=INK
    )
    left.set_ylabel("utility: AUC of a classifier on new patients (useful →)", color=INK)
    handles, texts = left.get_legend_handles_labels()
    figure.legend(handles, texts, frameon=False, loc="outside lower center", ncols=6)
    return figure


def _draw_row(axes: Axes, row: FrontierRow, name: str, names: Sequence[str], several: bool) -> None:
    across, up = row.interval(name), row.interval("auc")
    if not (math.isfinite(across.value) and math.isfinite(up.value)):
        return
    place = names.index(row.mechanism)
    if row.mechanism in BASELINES:
        marker, colour = BASELINE_MARKERS[BASELINES.index(row.mechanism)], MUTED
    else:
        marker, colour = (
            MARKERS[place % len(MARKERS)],
            MECHANISM_COLOURS[place % len(MECHANISM_COLOURS)],
        )
    known = axes.get_legend_handles_labels()[1]
    axes.errorbar(
        across.value, up.value, xerr=_arms(across), yerr=_arms(up), fmt=marker, color=colour,
        markersize=8, elinewidth=0.7, alpha=0.9,
        label=None if row.mechanism in known else row.mechanism,
    )  # fmt: skip
    if several:
        axes.annotate(
            f"{row.level},{row.patches}", (across.value, up.value), xytext=(5, 4),
            textcoords="offset points", fontsize=8, color=INK, family=FONT,
        )  # fmt: skip


def _arms(interval: Interval) -> list[list[float]] | None:
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return None
    below, above = interval.value - interval.low, interval.high - interval.value
    return [[max(below, 0.0)], [max(above, 0.0)]]
