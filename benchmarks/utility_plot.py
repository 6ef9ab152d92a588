"""Draw what benchmarks.utility found: codes beside blur and median with as many numbers (AUC)."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from deepfixcx.report.drawing import FONT, INK, MUTED, write_figure

__all__ = ["main", "plot"]

Lines = list[dict[str, Any]]

KEPT = {
    "codes": ("code", "#1a1a1a", "o"),
    "blur": ("blurred", "#0072b2", "s"),
    "median": ("median filter", "#d55e00", "^"),
    "downsample": ("downsampled", "#009e73", "D"),
    "pixelate": ("pixelated", "#cc79a7", "v"),
}
"""What is kept of an image: its name, colour (also told apart without colours) and mark."""


def plot(lines: Lines) -> Figure:
    """Draw a panel for each task: every setting beside the same number of numbers of other kinds.

    Parameters
    ----------
    lines : list of dict
        What ``benchmarks.utility --json`` wrote.
    """
    tasks = list(dict.fromkeys(line["task"] for line in lines))
    figure = Figure(figsize=(2.6 * len(tasks), 3.6), facecolor="white", layout="constrained")
    for place, task in enumerate(tasks):
        axes = figure.add_subplot(1, len(tasks), place + 1)
        own = [line for line in lines if line["task"] == task and line["model"] == "logistic"]
        settings = list(dict.fromkeys(_setting(line) for line in own if _setting(line)))
        for shift, (kind, (name, colour, mark)) in enumerate(KEPT.items()):
            points = [line["auc"] for line in own if line["seen"].startswith(kind)]
            places = [number + 0.13 * (shift - 2) for number in range(len(points))]
            values = [each["value"] for each in points]
            below = [each["value"] - each["low"] for each in points]
            above = [each["high"] - each["value"] for each in points]
            axes.errorbar(
                places, values, (below, above), fmt=mark, color=colour, markersize=5,
                elinewidth=1, label=name,
            )  # fmt: skip
        whole = next(line for line in own if line["seen"].startswith("original"))
        axes.axhline(whole["auc"]["value"], color=MUTED, linewidth=1, linestyle="--")
        axes.set_xticks(range(len(settings)), settings, fontsize=8, family=FONT)
        axes.set_xlim(-0.5, len(settings) - 0.5)
        axes.set_title(task.replace(", ", "\n"), fontsize=9, family=FONT, color=INK)
        axes.tick_params(axis="y", labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        if not place:
            axes.set_ylabel("AUC, with 95 % interval", fontsize=9, family=FONT)
    marks, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        marks, names, loc="outside lower center", ncols=len(KEPT), fontsize=9, frameon=False,
        title="dashed: the original at 64 × 64 (28 × 28) pixels. All by logistic regression.",
        title_fontsize=9,
    )  # fmt: skip
    return figure


def _setting(line: dict[str, Any]) -> str:
    """Return the setting of what is seen, on two lines; "" of the original."""
    seen = str(line["seen"])
    return seen[seen.index("J=") :].replace(", ", "\n") if "J=" in seen else ""


def main(words: Sequence[str] | None = None) -> None:
    """Read the figures, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", type=Path, help="what benchmarks.utility --json wrote")
    parser.add_argument("-o", "--out", type=Path, required=True, help="PNG to write")
    options = parser.parse_args(words)
    write_figure(options.out, plot(json.loads(options.figures.read_text("utf-8"))))


if __name__ == "__main__":
    main()
