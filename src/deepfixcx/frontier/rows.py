"""The rows of a frontier, how they are stored, and which setting meets a threshold."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Any

from deepfixcx.errors import MechanismError
from deepfixcx.learn.trial_folder import (
    figures_from_json,
    figures_to_json,
    interval_named,
    table_of,
)
from deepfixcx.measures import Interval
from deepfixcx.measures.intervals import ERROR, Estimate, joint_error

__all__ = ["FrontierRow", "Recommendation", "compare", "recommend", "rows_as_csv"]

ABOVE_FLOOR = 0.05
"""By default, linkage may be so much above the label-only baseline, ..."""

ONE_TASK = 0.05
"""Labels are nearly one task if the score for one does so little worse on another."""

CHANCE = 0.5

TIMES_CHANCE = 2
"""... and the most similar record may be the right patient's so much more often than by chance."""


@dataclass(frozen=True, slots=True)
class FrontierRow:
    """What was found for one mechanism on one spec.

    Attributes
    ----------
    level, patches : int
        J and P; of a baseline those of the code that it keeps as many numbers as.
    mechanism : str
        Its name in the catalogue.
    numbers : int
        Of a record.
    figures : mapping of str to float
        As of `figures_of`; NaN where there is none.
    estimate : Estimate or None
        Of ``auc``, with which rows are compared; the table does not have it.
    """

    level: int
    patches: int
    mechanism: str
    numbers: int
    figures: Mapping[str, float] = field(default_factory=dict)
    estimate: Estimate | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """Name of its file, such as ``"J3_P4_mixing-3"``."""
        return f"J{self.level}_P{self.patches}_{self.mechanism}"

    def interval(self, name: str) -> Interval:
        """Return a figure with its interval; NaN where there is none."""
        return interval_named(self.figures, name)

    def to_json(self) -> str:
        """Return the row as JSON; NaN becomes null."""
        return json.dumps(
            {
                "level": self.level,
                "patches": self.patches,
                "mechanism": self.mechanism,
                "numbers": self.numbers,
                "figures": figures_to_json(self.figures),
                "estimate": None if self.estimate is None else self.estimate.to_dict(),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> FrontierRow:
        """Make the row again that `to_json` wrote.

        Raises
        ------
        MechanismError
            The text is no such row.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            kept = values.get("estimate")
            estimate = None if kept is None else Estimate.from_dict(kept)
            figures = figures_from_json(values["figures"])
            return cls(**{**values, "figures": figures, "estimate": estimate})
        except (ValueError, KeyError, TypeError, AttributeError):
            raise MechanismError(
                "a row of the frontier is damaged; start again with --overwrite"
            ) from None


def rows_as_csv(rows: Sequence[FrontierRow]) -> str:
    """Return a table with a line for each row.

    Examples
    --------
    >>> print(rows_as_csv([FrontierRow(3, 4, "plain", 1024, {"auc": 0.9})]), end="")
    level,patches,mechanism,numbers,auc
    3,4,plain,1024,0.9
    """
    names = list(dict.fromkeys(name for row in rows for name in row.figures))
    lines = [([row.level, row.patches, row.mechanism, row.numbers], row.figures) for row in rows]
    return table_of(["level", "patches", "mechanism", "numbers"], lines, names)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Which setting to take, and why.

    Attributes
    ----------
    row : FrontierRow or None
        None where no setting meets the threshold.
    sentence : str
        The reason.
    """

    row: FrontierRow | None
    sentence: str


def compare(rows: Sequence[FrontierRow]) -> list[FrontierRow]:
    """Return rows with limits of the AUC that hold for all rows at once.

    ``auc_joint_low`` and ``auc_joint_high`` allow for the choice of the best of many settings, by
    the maximum of a multiplier bootstrap over patients.
    """
    known = [row.estimate for row in rows if row.estimate and math.isfinite(row.estimate.value)]
    error = joint_error(known)
    compared = []
    for row in rows:
        figures = dict(row.figures)
        if row.estimate is not None:
            joint = row.estimate.interval(error)
            figures["auc_joint_low"], figures["auc_joint_high"] = joint.low, joint.high
        compared.append(replace(row, figures=figures))
    return compared


def recommend(rows: Sequence[FrontierRow], max_linkage: float | None = None) -> Recommendation:
    """Choose the most useful setting that is shown to be useful and hard enough to link.

    Limits allow for the choice among many settings: the lower limit of the AUC (see `compare`) lies
    above chance, and the upper limit of linkage, by Bonferroni's rule, meets the threshold.

    Parameters
    ----------
    rows : sequence of FrontierRow
        With ``auc``, ``linkage``, ``floor_raw`` and ``labelled_linkage``. Where linkage could not
        be measured, a row is not chosen: that an attacker found nothing to train on is no safety.
        Mixing is never chosen: an attacker who holds candidate images finds the members of its
        records.
    max_linkage : float, optional
        The threshold: largest linkage AUC of the strongest attacker that does not know labels. By
        default that and that of the attacker who knows them are at most 0.05 above the label floor,
        and precision@1 is at most twice chance.

    Returns
    -------
    Recommendation

    Examples
    --------
    >>> plain = FrontierRow(3, 4, "plain", 1024, {"auc": 0.9, "linkage": 0.8, "floor_raw": 0.6})
    >>> safer = FrontierRow(3, 4, "resampling", 1, {"auc": 0.88, "linkage": 0.55, "floor_raw": 0.6})
    >>> recommend([plain, safer], 0.6).row.mechanism
    'resampling'
    """
    judged = [
        row
        for row in rows
        if all(math.isfinite(row.figures.get(name, math.nan)) for name in ("auc", "linkage"))
    ]
    if not judged:
        return Recommendation(None, "No setting could be compared: linkage was not measured.")
    hard = [
        row
        for row in judged
        if "mixing" not in row.mechanism and _meets(row, max_linkage, len(judged))
    ]
    fitting = [row for row in hard if not _low(row) <= CHANCE]
    if hard and not fitting:
        best = max(hard, key=lambda row: row.figures["auc"])
        return Recommendation(
            None,
            "No setting that meets the linkage threshold is better than chance, allowing for "
            f"the choice among {len(judged)}: the best, {_setting(best)}, has an AUC of "
            f"{best.interval('auc')}.",
        )
    threshold = (
        f"linkage ≤ {max_linkage:.3g}"
        if max_linkage is not None
        else (
            f"linkage ≤ label-only baseline + {ABOVE_FLOOR} and precision@1 ≤ {TIMES_CHANCE} × "
            f"chance"
        )
    )
    if not fitting:
        least = min(judged, key=lambda row: row.figures["linkage"])
        return Recommendation(
            None,
            f"No setting is shown to meet the threshold: {threshold}. Lowest linkage: "
            f"{least.interval('linkage')}, by {_setting(least)}, with an AUC of "
            f"{least.interval('auc')}.",
        )
    chosen = max(fitting, key=lambda row: (row.figures["auc"], -row.numbers))
    plain = max(
        (row for row in judged if row.mechanism == "plain"),
        key=lambda row: row.figures["auc"],
        default=None,
    )
    sentence = (
        f"Take {_setting(chosen)}: of the settings shown to meet the threshold ({threshold}), it "
        f"has the highest AUC, {chosen.interval('auc')}; its linkage is "
        f"{chosen.interval('linkage')}"
    )
    if plain is not None and plain is not chosen:
        sentence += (
            f". Plain codes have an AUC of {plain.figures['auc']:.3f} and a linkage of "
            f"{plain.figures['linkage']:.3f}"
        )
    return Recommendation(chosen, f"{sentence}{_beside(chosen)}.")


def _low(row: FrontierRow) -> float:
    return row.figures.get("auc_joint_low", row.figures.get("auc_low", math.nan))


def _beside(row: FrontierRow) -> str:
    """Say what public images reach alone, how labels link, and whether labels are one task."""
    figures, sentence = row.figures, ""
    if math.isfinite(figures.get("added", math.nan)):
        sentence += (
            f". Public images alone reach an AUC of {row.interval('public_auc')}; the release "
            f"adds {row.interval('added')}"
        )
        if not figures.get("added_low", math.nan) > 0:
            sentence += ", which is not shown to be more than 0"
    if math.isfinite(floor := figures.get("floor_raw", math.nan)):
        sentence += f". The label-only baseline of linkage is an AUC of {floor:.3f}"
        if math.isfinite(labelled := figures.get("labelled_linkage", math.nan)):
            sentence += f"; records with their labels reach {labelled:.3f}"
    if figures.get("other_auc", math.nan) > figures["auc"] - ONE_TASK:
        sentence += (
            ". The labels are nearly the same task: the score for one label reaches an AUC of "
            f"{figures['other_auc']:.3f} on another"
        )
    return sentence


def _meets(row: FrontierRow, threshold: float | None, choices: int) -> bool:
    """Return whether a row meets the threshold; what was not measured does not count against it."""
    figures = row.figures
    linkage = _upper(row.interval("linkage"), choices)
    if threshold is not None:
        return linkage <= threshold
    allowed = figures.get("floor_raw", math.nan) + ABOVE_FLOOR
    found_first = any(
        figures.get(f"precision_{mode}", math.nan)
        > TIMES_CHANCE * figures.get(f"chance_{mode}", math.nan)
        for mode in ("released", "raw")
    )
    linked = linkage > allowed or figures.get("labelled_linkage", math.nan) > allowed
    return math.isfinite(allowed) and not linked and not found_first


def _upper(value: Interval, choices: int) -> float:
    """Return an upper limit that holds for all choices; the value where none is known."""
    if math.isnan(value.high):
        return value.value
    normal = NormalDist()
    wider = normal.inv_cdf(1 - ERROR / (2 * choices)) / normal.inv_cdf(1 - ERROR / 2)
    return value.value + wider * (value.high - value.value)


def _setting(row: FrontierRow) -> str:
    return f"{row.mechanism} with J={row.level}, P={row.patches}"
