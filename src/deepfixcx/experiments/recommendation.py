"""Which setting to take: the smallest good code, or the mechanism that meets a threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Generic

from deepfixcx.experiments.rows import AnyRow, FrontierRow, Row, TrialRow
from deepfixcx.measures import Interval
from deepfixcx.measures.intervals import ERROR

__all__ = ["Recommendation", "recommend_code", "recommend_mechanism"]

ABOVE_FLOOR = 0.05
"""By default, linkage may be so much above the label-only baseline, ..."""

ONE_TASK = 0.05
"""Labels are nearly one task if the score for one does so little worse on another."""

CHANCE = 0.5

TIMES_CHANCE = 2
"""... and the most similar record may be the right patient's so much more often than by chance."""


@dataclass(frozen=True, slots=True)
class Recommendation(Generic[AnyRow]):
    """Which setting to take, and why.

    Attributes
    ----------
    row : Row or FrontierRow, or None
        None where no setting meets the threshold.
    sentence : str
        The reason.
    """

    row: AnyRow | None
    sentence: str


def recommend_code(rows: Sequence[Row]) -> Recommendation[Row]:
    """Choose the smallest code whose AUC cannot be distinguished from the best one's."""
    judged = [row for row in rows if row.level is not None and not math.isnan(row.auc.value)]
    if not judged:
        return Recommendation(None, "No setting could be compared: no AUC was measured.")
    best = max(judged, key=lambda row: (row.auc.value, -row.figures["numbers"]))
    above = [row for row in judged if _low(row) > CHANCE]
    if not above:
        return Recommendation(
            None,
            f"No setting is better than chance, allowing for the choice among {len(judged)}: the "
            f"best, {_code(best)}, has an AUC of {best.auc}; use more images, or check that "
            "the label is visible in images.",
        )
    reaching = [row for row in above if _reaches(row, best)] or [best]
    chosen = min(
        reaching,
        key=lambda row: (row.figures["numbers"], -row.auc.value, row.level or 0),
    )
    return Recommendation(chosen, _reason(chosen, best, rows))


def _reaches(row: Row, best: Row) -> bool:
    behind = row.figures.get("auc_behind_low")
    return row.auc.high >= best.auc.value if behind is None else behind <= 0


def _reason(chosen: Row, best: Row, rows: Sequence[Row]) -> str:
    kept = f"{chosen.figures['numbers']:,.0f} values, {100 * chosen.figures['share']:.3g} %"
    start = f"Take {_code(chosen)} ({kept} of the original): its AUC is {chosen.auc}"
    if "auc_joint_low" in chosen.figures:
        start += f", above {_low(chosen):.3f} allowing for the choice among all settings"
    if chosen is best:
        start += ", the best; no smaller code reaches this AUC"
    else:
        start += (
            f", and it is the smallest code that may be as good as the best, {best.auc.value:.3f} "
            f"at {_code(best)}"
        )
    for row in rows:
        if row.level is None and not math.isnan(row.auc.value):
            return f"{start}, and the original at 64 × 64 pixels has {row.auc}."
    return f"{start}."


def _low(row: TrialRow) -> float:
    return row.figures.get("auc_joint_low", row.figures.get("auc_low", math.nan))


def _code(row: Row | FrontierRow) -> str:
    return f"J={row.level}, P={row.patches}"


def recommend_mechanism(
    rows: Sequence[FrontierRow], max_linkage: float | None = None
) -> Recommendation[FrontierRow]:
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
    >>> recommend_mechanism([plain, safer], 0.6).row.mechanism
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
    return row.mechanism if row.level is None else f"{row.mechanism} with {_code(row)}"
