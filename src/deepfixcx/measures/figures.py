"""Figures by name, as rows of a table keep them: in JSON, in CSV, with their intervals.

A figure that has an interval is three: ``auc``, ``auc_low`` and ``auc_high``. What could not be
measured is NaN here, null in JSON, and an empty cell in CSV.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence

from deepfixcx._words import TableWriter
from deepfixcx.measures.intervals import Interval

__all__ = ["figures_from_json", "figures_to_json", "interval_named", "put_interval", "table_of"]

Figures = Mapping[str, float]


def put_interval(figures: dict[str, float], name: str, interval: Interval) -> None:
    """Add a figure with its interval: ``name``, ``name_low`` and ``name_high``.

    Parameters
    ----------
    figures : dict of str to float
        They are added there.
    name : str
        Of the figure.
    interval : Interval
        What was measured.

    Examples
    --------
    >>> figures = {}
    >>> put_interval(figures, "auc", Interval(0.8, 0.7, 0.9))
    >>> figures
    {'auc': 0.8, 'auc_low': 0.7, 'auc_high': 0.9}
    """
    figures[name] = interval.value
    figures[f"{name}_low"], figures[f"{name}_high"] = interval.low, interval.high


def interval_named(figures: Figures, name: str) -> Interval:
    """Return a figure with its interval; NaN where there is none.

    Parameters
    ----------
    figures : mapping of str to float
        As `put_interval` made them.
    name : str
        Of the figure.

    Returns
    -------
    Interval

    Examples
    --------
    >>> interval_named({"auc": 0.8}, "auc")
    Interval(value=0.8, low=nan, high=nan)
    """
    value, low, high = (figures.get(f"{name}{end}", math.nan) for end in ("", "_low", "_high"))
    return Interval(value, low, high)


def figures_to_json(figures: Figures) -> dict[str, float | None]:
    """Return figures as JSON has them, with six places.

    Parameters
    ----------
    figures : mapping of str to float
        Of a row.

    Returns
    -------
    dict of str to float or None

    Examples
    --------
    >>> figures_to_json({"auc": 2 / 3, "psnr": float("nan")})
    {'auc': 0.666667, 'psnr': None}
    """
    return {
        name: round(value, 6) if math.isfinite(value) else None for name, value in figures.items()
    }


def figures_from_json(values: Mapping[str, float | None]) -> dict[str, float]:
    """Return the figures again that `figures_to_json` wrote.

    Parameters
    ----------
    values : mapping of str to float or None
        As JSON gives them back.

    Returns
    -------
    dict of str to float

    Examples
    --------
    >>> figures_from_json({"auc": 0.5, "psnr": None})
    {'auc': 0.5, 'psnr': nan}
    """
    return {name: math.nan if value is None else float(value) for name, value in values.items()}


def table_of(
    heads: Sequence[str], rows: Iterable[tuple[Sequence[object], Figures]], names: Sequence[str]
) -> str:
    """Return rows and their figures as CSV, with six digits.

    Parameters
    ----------
    heads : sequence of str
        Names of the first columns.
    rows : iterable of (sequence, mapping)
        First cells of each row, and its figures.
    names : sequence of str
        The figures that are columns, in order.

    Returns
    -------
    str

    Examples
    --------
    >>> print(table_of(["level"], [([3], {"auc": 0.9}), ([4], {})], ["auc"]), end="")
    level,auc
    3,0.9
    4,
    """
    text = io.StringIO()
    writer = TableWriter(text)
    writer.writerow([*heads, *names])
    for first, figures in rows:
        writer.writerow([*first, *(_cell(figures.get(name, math.nan)) for name in names)])
    return text.getvalue()


def _cell(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else ""
