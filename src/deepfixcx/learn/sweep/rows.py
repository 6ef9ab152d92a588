"""The rows of a sweep, how they are stored, and which setting they recommend."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deepfixcx.errors import ModelFileError
from deepfixcx.measures import Interval
from deepfixcx.measures.figures import (
    figures_from_json,
    figures_to_json,
    interval_named,
    table_of,
)

__all__ = ["Recommendation", "Row", "recommend", "rows_as_csv"]

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

    def interval(self, name: str) -> Interval:
        """Return a figure with its interval; NaN where there is none."""
        return interval_named(self.figures, name)

    @property
    def auc(self) -> Interval:
        """The figure that decides."""
        return self.interval("auc")

    def to_json(self) -> str:
        """Return the row as JSON; NaN becomes null."""
        figures = figures_to_json(self.figures)
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
            return cls(values["level"], values["patches"], figures_from_json(values["figures"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ModelFileError("a row of the sweep is damaged; start it anew") from None


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
    lines = [
        (["original" if row.level is None else "code", row.level, row.patches], row.figures)
        for row in _sorted(rows)
    ]
    return table_of(["what", "level", "patches"], lines, names)


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
    judged = [row for row in rows if row.level is not None and not math.isnan(row.auc.value)]
    if not judged:
        return Recommendation(None, None, "No setting could be judged: there is no AUC.")
    best = max(judged, key=lambda row: (row.auc.value, -row.figures["numbers"]))
    if not any(row.auc.low > CHANCE for row in judged):
        return Recommendation(
            None,
            None,
            f"No setting can be told from chance: the best, {_setting(best)}, has an AUC of "
            f"{best.auc}; gather more images, or ask whether the label can be seen at all.",
        )
    reaching = [row for row in judged if row.auc.high >= best.auc.value]
    chosen = min(
        reaching,
        key=lambda row: (row.figures["numbers"], -row.auc.value, row.level or 0),
    )
    return Recommendation(chosen.level, chosen.patches, _reason(chosen, best, rows))


def _reason(chosen: Row, best: Row, rows: Sequence[Row]) -> str:
    kept = f"{chosen.figures['numbers']:,.0f} numbers, {100 * chosen.figures['share']:.3g} %"
    start = f"Take {_setting(chosen)} ({kept} of the original's): its AUC is {chosen.auc}"
    if chosen is best:
        start += ", the best, and no smaller code reaches it"
    else:
        start += (
            f", it is the smallest code whose interval reaches the best, {best.auc.value:.3f} at "
            f"{_setting(best)}"
        )
    for row in rows:
        if row.level is None and not math.isnan(row.auc.value):
            return f"{start}, and the original at 64 × 64 pixels has {row.auc}."
    return f"{start}."


def _setting(row: Row) -> str:
    return f"J={row.level}, P={row.patches}"


def _sorted(rows: Sequence[Row], *, last: bool = False) -> list[Row]:
    """Sort rows; the original comes first, or last."""
    none = 1 << 30 if last else -1
    return sorted(
        rows, key=lambda row: (none if row.level is None else row.level, row.patches or 0)
    )
