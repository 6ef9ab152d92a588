"""The rows of a sweep, how they are stored, and which setting they recommend."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deepfixcx.errors import ModelFileError
from deepfixcx.measures import Interval

__all__ = ["Recommendation", "Row", "interval_of", "put_interval", "recommend", "rows_as_csv"]

CHANCE = 0.5


@dataclass(frozen=True, slots=True)
class Row:
    """What was found for one setting, or for the original where there is none.

    Attributes
    ----------
    level : int or None
        J.
    patches : int or None
        P.
    figures : mapping of str to float
        By name, in the order of the columns; NaN where there is none.
    """

    level: int | None = None
    patches: int | None = None
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """``"J3_P4"``, or ``"original"``."""
        return "original" if self.level is None else f"J{self.level}_P{self.patches}"

    def to_json(self) -> str:
        """Return the row as JSON; NaN becomes null."""
        figures = {name: _finite(value) for name, value in self.figures.items()}
        return json.dumps({"level": self.level, "patches": self.patches, "figures": figures})

    @classmethod
    def from_json(cls, text: str) -> Row:
        """Make the row again that `to_json` wrote.

        Raises
        ------
        ModelFileError
            The text is no such row.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            figures = {
                name: math.nan if value is None else float(value)
                for name, value in values["figures"].items()
            }
            return cls(values["level"], values["patches"], figures)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ModelFileError("a row of the sweep is damaged; start it anew") from None


def put_interval(figures: dict[str, float], name: str, interval: Interval) -> None:
    """Add a figure with its interval: ``name``, ``name_low`` and ``name_high``."""
    figures[name] = interval.value
    figures[f"{name}_low"], figures[f"{name}_high"] = interval.low, interval.high


def interval_of(row: Row, name: str) -> Interval:
    """Return a figure with its interval; NaN where the row has none."""
    value, low, high = (row.figures.get(f"{name}{end}", math.nan) for end in ("", "_low", "_high"))
    return Interval(value, low, high)


def rows_as_csv(rows: Sequence[Row]) -> str:
    """Return a table: the original first, then the settings by level and patches.

    Examples
    --------
    >>> print(rows_as_csv([Row(3, 4, {"auc": 0.9}), Row(figures={"auc": 0.8})]), end="")
    what,level,patches,auc
    original,,,0.8
    code,3,4,0.9
    """
    names = list(dict.fromkeys(name for row in _sorted(rows, last=True) for name in row.figures))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["what", "level", "patches", *names])
    for row in _sorted(rows):
        what = "original" if row.level is None else "code"
        cells = [_cell(row.figures.get(name, math.nan)) for name in names]
        writer.writerow([what, row.level, row.patches, *cells])
    return text.getvalue()


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Which setting to take, and why.

    Attributes
    ----------
    level, patches : int or None
        J and P; None where no setting can be told from chance.
    sentence : str
        The reason.
    """

    level: int | None
    patches: int | None
    sentence: str


def recommend(rows: Sequence[Row]) -> Recommendation:
    """Choose the smallest code whose AUC cannot be told from the best one's.

    Of the settings whose interval for ``auc`` reaches the highest ``auc`` of all settings, that
    with the fewest numbers; of equally small ones that with the higher AUC, then the lower level.
    With few patients intervals are wide, and the rule takes smaller codes.

    Parameters
    ----------
    rows : sequence of Row
        With the figures ``numbers``, ``share``, ``auc``, ``auc_low`` and ``auc_high``; the row of
        the original is compared with, and never chosen.

    Returns
    -------
    Recommendation
        A setting, unless there is none whose whole interval lies above 0.5.

    Examples
    --------
    >>> large = {"numbers": 1024, "share": 0.01, "auc": 0.9, "auc_low": 0.86, "auc_high": 0.93}
    >>> small = {"numbers": 256, "share": 0.0025, "auc": 0.88, "auc_low": 0.84, "auc_high": 0.91}
    >>> recommend([Row(2, 8, large), Row(3, 2, small)]).level
    3
    """
    judged = [row for row in rows if row.level is not None and not math.isnan(_auc(row).value)]
    if not judged:
        return Recommendation(None, None, "No setting could be judged: there is no AUC.")
    best = max(judged, key=lambda row: (_auc(row).value, -row.figures["numbers"]))
    if not any(_auc(row).low > CHANCE for row in judged):
        return Recommendation(
            None,
            None,
            f"No setting can be told from chance: the best, {_setting(best)}, has an AUC of "
            f"{_auc(best)}; gather more images, or ask whether the label can be seen at all.",
        )
    reaching = [row for row in judged if _auc(row).high >= _auc(best).value]
    chosen = min(
        reaching, key=lambda row: (row.figures["numbers"], -_auc(row).value, row.level or 0)
    )
    return Recommendation(chosen.level, chosen.patches, _reason(chosen, best, rows))


def _reason(chosen: Row, best: Row, rows: Sequence[Row]) -> str:
    kept = f"{chosen.figures['numbers']:,.0f} numbers, {100 * chosen.figures['share']:.3g} %"
    start = f"Take {_setting(chosen)} ({kept} of the original's): its AUC is {_auc(chosen)}"
    if chosen is best:
        start += ", the best, and no smaller code reaches it"
    else:
        start += (
            f", it is the smallest code whose interval reaches the best, {_auc(best).value:.3f} at "
            f"{_setting(best)}"
        )
    for row in rows:
        if row.level is None and not math.isnan(_auc(row).value):
            return f"{start}, and the original at 64 × 64 pixels has {_auc(row)}."
    return f"{start}."


def _auc(row: Row) -> Interval:
    return interval_of(row, "auc")


def _setting(row: Row) -> str:
    return f"J={row.level}, P={row.patches}"


def _sorted(rows: Sequence[Row], *, last: bool = False) -> list[Row]:
    """Sort rows; the original comes first, or last."""
    none = 1 << 30 if last else -1
    return sorted(
        rows, key=lambda row: (none if row.level is None else row.level, row.patches or 0)
    )


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def _cell(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else ""
