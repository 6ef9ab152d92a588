"""The rows of a sweep, how they are stored, and which setting they recommend."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from deepfixcx.errors import ModelFileError
from deepfixcx.learn.trial_folder import (
    figures_from_json,
    figures_to_json,
    interval_named,
    put_interval,
    table_of,
)
from deepfixcx.measures import Interval
from deepfixcx.measures.intervals import Estimate, joint_error

__all__ = ["Recommendation", "Row", "compare", "recommend", "rows_as_csv"]

CHANCE = 0.5


@dataclass(frozen=True, slots=True)
class Row:
    """What was found for one setting, or for the original where there is none."""

    level: int | None = None  # J
    patches: int | None = None  # P
    # By name, in the order of the columns; NaN where there is none
    figures: Mapping[str, float] = field(default_factory=dict)
    # Of ``auc``, with which rows are compared; the table does not have it
    estimate: Estimate | None = field(default=None, compare=False)

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
        estimate = None if self.estimate is None else self.estimate.to_dict()
        return json.dumps(
            {
                "level": self.level,
                "patches": self.patches,
                "figures": figures,
                "estimate": estimate,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Row:
        """Make the row again that `to_json` wrote."""
        try:
            values: dict[str, Any] = json.loads(text)
            kept = values.get("estimate")
            return cls(
                values["level"],
                values["patches"],
                figures_from_json(values["figures"]),
                None if kept is None else Estimate.from_dict(kept),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ModelFileError(
                "a row of the sweep is damaged; start again with --overwrite"
            ) from None


def rows_as_csv(rows: Sequence[Row]) -> str:
    """Return a table: the original first, then the settings by level and patches."""
    names = list(dict.fromkeys(name for row in _sorted(rows, last=True) for name in row.figures))
    lines = [
        (["original" if row.level is None else "code", row.level, row.patches], row.figures)
        for row in _sorted(rows)
    ]
    return table_of(["what", "level", "patches"], lines, names)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Which setting to take, and why."""

    level: int | None  # J and P; None where no setting is better than chance
    patches: int | None
    sentence: str  # The reason


def compare(rows: Sequence[Row], seed: int = 0) -> list[Row]:
    """Return rows with limits that hold for all settings at once, and the distance to the best."""
    tried = [row for row in rows if row.level is not None and row.estimate is not None]
    known = [row.estimate for row in tried if row.estimate and not math.isnan(row.auc.value)]
    if not known:
        return list(rows)
    error = joint_error(known, seed)
    best = max(known, key=lambda each: each.value)
    compared = []
    for row in rows:
        figures = dict(row.figures)
        if row.level is not None and row.estimate is not None:
            joint = row.estimate.interval(error)
            figures["auc_joint_low"], figures["auc_joint_high"] = joint.low, joint.high
            put_interval(figures, "auc_behind", best.less(row.estimate, error))
        compared.append(replace(row, figures=figures))
    return compared


def recommend(rows: Sequence[Row]) -> Recommendation:
    """Choose the smallest code whose AUC cannot be distinguished from the best one's."""
    judged = [row for row in rows if row.level is not None and not math.isnan(row.auc.value)]
    if not judged:
        return Recommendation(None, None, "No setting could be compared: no AUC was measured.")
    best = max(judged, key=lambda row: (row.auc.value, -row.figures["numbers"]))
    above = [row for row in judged if _low(row) > CHANCE]
    if not above:
        return Recommendation(
            None,
            None,
            f"No setting is better than chance, allowing for the choice among {len(judged)}: the "
            f"best, {_setting(best)}, has an AUC of {best.auc}; use more images, or check that "
            "the label is visible in images.",
        )
    reaching = [row for row in above if _reaches(row, best)] or [best]
    chosen = min(
        reaching,
        key=lambda row: (row.figures["numbers"], -row.auc.value, row.level or 0),
    )
    return Recommendation(chosen.level, chosen.patches, _reason(chosen, best, rows))


def _low(row: Row) -> float:
    return row.figures.get("auc_joint_low", row.auc.low)


def _reaches(row: Row, best: Row) -> bool:
    behind = row.figures.get("auc_behind_low")
    return row.auc.high >= best.auc.value if behind is None else behind <= 0


def _reason(chosen: Row, best: Row, rows: Sequence[Row]) -> str:
    kept = f"{chosen.figures['numbers']:,.0f} values, {100 * chosen.figures['share']:.3g} %"
    start = f"Take {_setting(chosen)} ({kept} of the original): its AUC is {chosen.auc}"
    if "auc_joint_low" in chosen.figures:
        start += f", above {_low(chosen):.3f} allowing for the choice among all settings"
    if chosen is best:
        start += ", the best; no smaller code reaches this AUC"
    else:
        start += (
            f", and it is the smallest code that may be as good as the best, {best.auc.value:.3f} "
            f"at {_setting(best)}"
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
