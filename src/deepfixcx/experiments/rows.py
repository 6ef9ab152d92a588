"""The rows of a grid: how results are named, stored, tabulated and compared."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, ClassVar, Self, TypeVar

from deepfixcx.errors import ModelFileError
from deepfixcx.io.tables import TableWriter
from deepfixcx.measures import Interval
from deepfixcx.measures.intervals import Estimate, joint_error

__all__ = [
    "FrontierRow",
    "Row",
    "TrialRow",
    "compare",
    "frontier_as_csv",
    "put_interval",
    "sweep_as_csv",
    "table_of",
]

Figures = Mapping[str, float]


def put_interval(figures: dict[str, float], name: str, interval: Interval) -> None:
    """Add a figure with its interval: ``name``, ``name_low`` and ``name_high``."""
    figures[name] = interval.value
    figures[f"{name}_low"], figures[f"{name}_high"] = interval.low, interval.high


class TrialRow:
    """Results for one setting: a dataclass with `figures`, and the `estimate` of ``auc``."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    grid: ClassVar[str]  # The grid of the row
    figures: Figures  # By name, in the order of the columns; NaN where there is none
    estimate: Estimate | None  # Of ``auc``, with which rows are compared; no table has it

    @property
    def name(self) -> str:
        """Name of its file."""
        raise NotImplementedError

    def interval(self, name: str) -> Interval:
        """Return a figure with its interval; NaN where there is none."""
        ends = (self.figures.get(f"{name}{end}", math.nan) for end in ("", "_low", "_high"))
        return Interval(*ends)

    def to_json(self) -> str:
        """Return the row as JSON, figures with six places; NaN becomes null."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        figures = {
            name: round(value, 6) if math.isfinite(value) else None
            for name, value in self.figures.items()
        }
        estimate = None if self.estimate is None else self.estimate.to_dict()
        return json.dumps({**values, "figures": figures, "estimate": estimate})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Make the row again that `to_json` wrote."""
        try:
            values = json.loads(text)
            kept = values.get("estimate")
            estimate = None if kept is None else Estimate.from_dict(kept)
            figures = {
                name: math.nan if value is None else float(value)
                for name, value in values["figures"].items()
            }
            return cls(**{**values, "figures": figures, "estimate": estimate})
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ModelFileError(
                f"a row of the {cls.grid} is damaged; start again with --overwrite"
            ) from None


AnyRow = TypeVar("AnyRow", bound=TrialRow)


@dataclass(frozen=True, slots=True)
class Row(TrialRow):
    """Results of a sweep for one setting, or for the original where there is none."""

    grid = "sweep"

    level: int | None = None  # J
    patches: int | None = None  # P
    figures: Figures = field(default_factory=dict)
    estimate: Estimate | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """``"J3_P4"``, or ``"original"``."""
        return "original" if self.level is None else f"J{self.level}_P{self.patches}"

    @property
    def auc(self) -> Interval:
        """The figure that decides."""
        return self.interval("auc")


@dataclass(frozen=True, slots=True)
class FrontierRow(TrialRow):
    """Results of a frontier for one mechanism on one spec.

    Attributes
    ----------
    level, patches : int or None
        J and P; of a baseline those of the code that it keeps as many numbers as. None where
        records are vectors of features.
    mechanism : str
        Its name in the catalogue.
    numbers : int
        Of a record.
    figures : mapping of str to float
        As of `figures_of`; NaN where there is none.
    estimate : Estimate or None
        Of ``auc``, with which rows are compared; the table does not have it.
    """

    grid = "frontier"

    level: int | None
    patches: int | None
    mechanism: str
    numbers: int
    figures: Figures = field(default_factory=dict)
    estimate: Estimate | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """Name of its file, such as ``"J3_P4_mixing-3"``."""
        return (
            self.mechanism
            if self.level is None
            else f"J{self.level}_P{self.patches}_{self.mechanism}"
        )


def compare(rows: Sequence[AnyRow], seed: int = 0, *, to_best: bool = False) -> list[AnyRow]:
    """Return rows with limits of the AUC that hold for all rows at once.

    ``auc_joint_low`` and ``auc_joint_high`` allow for the choice of the best of many settings, by
    the maximum of a multiplier bootstrap over patients; ``auc_behind`` is the distance to the best.
    """
    known = [row.estimate for row in rows if row.estimate and math.isfinite(row.estimate.value)]
    if not known:
        return list(rows)
    error = joint_error(known, seed)
    best = max(known, key=lambda each: each.value)
    compared = []
    for row in rows:
        figures = dict(row.figures)
        if row.estimate is not None:
            joint = row.estimate.interval(error)
            figures["auc_joint_low"], figures["auc_joint_high"] = joint.low, joint.high
            if to_best:
                put_interval(figures, "auc_behind", best.less(row.estimate, error))
        compared.append(replace(row, figures=figures))
    return compared


def table_of(
    heads: Sequence[str], rows: Iterable[tuple[Sequence[object], Figures]], names: Sequence[str]
) -> str:
    """Return rows and their figures as CSV, with six digits."""
    text = io.StringIO()
    writer = TableWriter(text)
    writer.writerow([*heads, *names])
    for first, figures in rows:
        values = (figures.get(name, math.nan) for name in names)
        writer.writerow(
            [*first, *(f"{each:.6g}" if math.isfinite(each) else "" for each in values)]
        )
    return text.getvalue()


def sweep_as_csv(rows: Sequence[Row]) -> str:
    """Return a table: the original first, then the settings by level and patches."""
    settings = sorted(
        (row for row in rows if row.level is not None),
        key=lambda row: (row.level or 0, row.patches or 0),
    )
    original = [row for row in rows if row.level is None]
    lines = [
        (["original" if row.level is None else "code", row.level, row.patches], row.figures)
        for row in (*original, *settings)
    ]
    return table_of(["what", "level", "patches"], lines, _names([*settings, *original]))


def frontier_as_csv(rows: Sequence[FrontierRow]) -> str:
    """Return a table with a line for each row.

    Examples
    --------
    >>> print(frontier_as_csv([FrontierRow(3, 4, "plain", 1024, {"auc": 0.9})]), end="")
    level,patches,mechanism,numbers,auc
    3,4,plain,1024,0.9
    """
    lines = [([row.level, row.patches, row.mechanism, row.numbers], row.figures) for row in rows]
    return table_of(["level", "patches", "mechanism", "numbers"], lines, _names(rows))


def _names(rows: Sequence[TrialRow]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.figures))
