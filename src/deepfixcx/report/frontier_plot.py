"""The frontier in one figure: utility against linkage, and against reconstruction."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepfixcx.errors import MechanismError
from deepfixcx.frontier.options import BASELINES
from deepfixcx.frontier.rows import FrontierRow
from deepfixcx.measures import Interval
from deepfixcx.report.drawing import FONT, INK, MUTED

__all__ = ["frontier_figure"]

COLOURS = ("#1b6f8a", "#d1603d", "#7a5195", "#3a7d44", "#b8860b", "#c2447c", "#4a5fa5", "#8a5a2b")
MARKERS = "oDv^<>phX*8"
BASELINE_MARKERS = "s+x"


def frontier_figure(
    rows: Sequence[FrontierRow],
    recommended: FrontierRow | None = None,
    max_linkage: float | None = None,
) -> Figure:
    """Draw every setting: high is useful, left is private.

    Parameters
    ----------
    rows : sequence of FrontierRow
        Of `run_frontier`.
    recommended : FrontierRow, optional
        The setting that is ringed.
    max_linkage : float, optional
        The wish, a dotted line.

    Returns
    -------
    matplotlib.figure.Figure
        Write it with `deepfixcx.report.write_figure`.

    Raises
    ------
    MechanismError
        There is no row.

    Examples
    --------
    >>> row = FrontierRow(3, 4, "plain", 1024, {"auc": 0.9, "linkage": 0.8, "psnr_gain": 3.0})
    >>> [axes.get_xlabel()[:7] for axes in frontier_figure([row]).axes]
    ['linkage', 'reconst']
    """
    if not rows:
        raise MechanismError("there is no setting to draw; none of them could be tried")
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
        left.axvline(floors[0], color=MUTED, linestyle="--", label="labels alone")
    if max_linkage is not None:
        left.axvline(max_linkage, color=INK, linestyle=":", label="the wish")
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
        marker, colour = MARKERS[place % len(MARKERS)], COLOURS[place % len(COLOURS)]
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
