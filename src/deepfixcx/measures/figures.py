"""Figures by name, as rows of a table keep them: in JSON, in CSV, with their intervals.

A figure that has an interval is three: ``auc``, ``auc_low`` and ``auc_high``. What could not be
measured is NaN here, null in JSON, and an empty cell in CSV.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence

from deepfixcx.io.tables import TableWriter
from deepfixcx.measures.intervals import Interval

__all__ = ["figures_from_json", "figures_to_json", "interval_named", "put_interval", "table_of"]

Figures = Mapping[str, float]


def put_interval(figures: dict[str, float], name: str, interval: Interval) -> None:
    """Add a figure with its interval: ``name``, ``name_low`` and ``name_high``."""
    figures[name] = interval.value
    figures[f"{name}_low"], figures[f"{name}_high"] = interval.low, interval.high


def interval_named(figures: Figures, name: str) -> Interval:
    """Return a figure with its interval; NaN where there is none."""
    value, low, high = (figures.get(f"{name}{end}", math.nan) for end in ("", "_low", "_high"))
    return Interval(value, low, high)


def figures_to_json(figures: Figures) -> dict[str, float | None]:
    """Return figures as JSON has them, with six places."""
    return {
        name: round(value, 6) if math.isfinite(value) else None for name, value in figures.items()
    }


def figures_from_json(values: Mapping[str, float | None]) -> dict[str, float]:
    """Return the figures again that `figures_to_json` wrote."""
    return {name: math.nan if value is None else float(value) for name, value in values.items()}


def table_of(
    heads: Sequence[str], rows: Iterable[tuple[Sequence[object], Figures]], names: Sequence[str]
) -> str:
    """Return rows and their figures as CSV, with six digits."""
    text = io.StringIO()
    writer = TableWriter(text)
    writer.writerow([*heads, *names])
    for first, figures in rows:
        writer.writerow([*first, *(_cell(figures.get(name, math.nan)) for name in names)])
    return text.getvalue()


def _cell(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else ""
