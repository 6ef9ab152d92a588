"""All figures of one mechanism, as means over several divisions of the patients."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from deepfixcx.audit.result import AttackResult, figure_of
from deepfixcx.errors import AuditError, MechanismError
from deepfixcx.frontier.trial import WITH_LABELS, Trial, Utility
from deepfixcx.mechanisms import Mechanism
from deepfixcx.mechanisms.protocol import FittedMechanism

__all__ = ["ATTACKERS", "MODES", "figures_of", "mean_figures"]

Array = NDArray[np.float32]
Figures = dict[str, float]

ATTACKERS = ("distance", "whitening")
"""Attackers on codes that take seconds."""

MODES = {"released": False, "raw": True}
"""What a record is linked to: other records, or raw images."""


def figures_of(
    trial: Trial,
    mechanism: Mechanism,
    images: Array | None = None,
    *,
    utility: Utility | None = None,
    attackers: Sequence[str] = ATTACKERS,
    say: Callable[[str], None] | None = None,
) -> Figures:
    """Try a mechanism on one division of the patients."""
    say = say or (lambda _: None)
    fitted = trial.fit(mechanism)
    if utility is None:
        say("utility")
        utility = trial.utility(fitted)
    figures: Figures = {"auc": utility.auc.value}
    figures |= {"auc_low": utility.auc.low, "auc_high": utility.auc.high}
    for name, found in (("public_auc", utility.public), ("added", utility.added)):
        figures |= _with_interval(name, (found.value, found.low, found.high))
    figures["other_auc"] = utility.other
    figures |= {f"auc_{place}": value for place, value in enumerate(utility.each)}
    figures |= _linkage(trial, fitted, attackers, say)
    if images is not None:
        say("reconstruction")
        released = trial.release(fitted)
        results = trial.reconstruction(released, images)
        for name in ("SSIM", "PSNR"):
            gain = figure_of(results, name).gain
            figures |= _with_interval(f"{name.lower()}_gain", (gain.value, gain.low, gain.high))
    return figures


def mean_figures(several: Sequence[Figures]) -> Figures:
    """Return means over divisions; intervals are those of one division, averaged."""
    if not several:
        raise MechanismError("there is no patient split to average over; give one seed or more")
    means: Figures = {}
    for name in several[0]:
        values = [each[name] for each in several if math.isfinite(each.get(name, math.nan))]
        means[name] = round(float(np.mean(values)), 9) if values else math.nan
    return means


def _linkage(
    trial: Trial, fitted: FittedMechanism, attackers: Sequence[str], say: Callable[[str], None]
) -> Figures:
    released = trial.release(fitted)
    figures: Figures = {}
    strongest: AttackResult | None = None
    with_labels: list[tuple[float, float]] = []
    for mode, raw in MODES.items():
        found: list[tuple[AttackResult, AttackResult]] = []
        for attacker in (*attackers, WITH_LABELS):
            say(f"linkage, {mode}, {attacker}")
            try:
                results = trial.linkage(fitted, released, attacker, raw=raw)
            except AuditError:  # no two records of one patient are left to learn from
                continue
            pair = figure_of(results, "AUC"), figure_of(results, "precision@1")
            if attacker == WITH_LABELS:
                with_labels.append((pair[0].value.value, pair[1].value.value))
            else:
                found.append(pair)
        areas = [area.value.value for area, _ in found]
        precisions = [precision.value.value for _, precision in found]
        figures[f"linkage_{mode}"] = max(areas, default=math.nan)
        figures[f"precision_{mode}"] = max(precisions, default=math.nan)
        figures[f"floor_{mode}"] = found[0][0].floor if found else math.nan
        figures[f"chance_{mode}"] = found[0][1].chance if found else math.nan
        figures[f"precision_floor_{mode}"] = found[0][1].floor if found else math.nan
        for area, _ in found:
            if strongest is None or area.value.value > strongest.value.value:
                strongest = area
    whole = (math.nan, math.nan, math.nan)
    if strongest is not None:
        whole = strongest.value.value, strongest.value.low, strongest.value.high
    figures |= _with_interval("linkage", whole)
    figures["labelled_linkage"] = max((area for area, _ in with_labels), default=math.nan)
    figures["labelled_precision"] = max((each for _, each in with_labels), default=math.nan)
    return figures


def _with_interval(name: str, whole: tuple[float, float, float]) -> Figures:
    return dict(zip((name, f"{name}_low", f"{name}_high"), whole, strict=True))
