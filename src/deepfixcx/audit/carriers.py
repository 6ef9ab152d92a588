"""Who carries a rare label? What labelled records reveal about the very patients they are of.

The attacker has the release, with its labels, and images of patients whose labels are unknown. Of a
label with few positives, the records show the few patients themselves rather than the disease.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.audit.features import (
    Array,
    Components,
    Standard,
    flatten,
    minus_distances,
    patient_folds,
    patient_numbers,
)
from deepfixcx.audit.result import AttackResult, detectable_gain, mann_whitney_error
from deepfixcx.errors import AuditError
from deepfixcx.measures import Interval, auc_difference, auc_interval, roc_auc
from deepfixcx.measures.intervals import Floats

__all__ = ["attack_rare_labels"]

MOST_COMPONENTS = 64
SHRINKAGE = 0.1
FOLDS = 5
FEWEST = 3
"""Carriers from which on an interval can be estimated."""

REFERENCE = "Homer et al. 2008, doi:10.1371/journal.pgen.1000167, of the kind of attack"


def attack_rare_labels(
    released: Array,
    labels: ArrayLike,
    candidates: Array,
    candidate_labels: ArrayLike,
    patients: ArrayLike,
    *,
    names: Sequence[str],
    copies: int = 1,
    seed: int = 0,
) -> tuple[AttackResult, ...]:
    """Rank candidates by a discriminant that is learned on the released records of each label."""
    owners = patient_numbers(patients)
    released_labels = np.asarray(labels, np.float64).reshape(len(released), -1)
    truth = np.asarray(candidate_labels, np.float64).reshape(len(candidates), -1)
    if not len(candidates) == len(owners) or not released_labels.shape[1] == truth.shape[1] == len(
        names
    ):
        raise AuditError(
            f"labels of shape {np.shape(labels)} and {np.shape(candidate_labels)}, "
            f"{len(owners)} patients and {len(names)} names do not fit"
        )
    released_labels, truth = (
        np.where(np.isfinite(each), each > 0.5, np.nan) for each in (released_labels, truth)
    )
    records, held = flatten(released), flatten(candidates)
    if not (np.isfinite(records).all() and np.isfinite(held).all()):
        raise AuditError("records or candidates hold NaN or infinity")
    folds = min(FOLDS, int(owners.max()) + 1)
    fold_of = patient_folds(owners, folds, np.random.default_rng(seed))[owners]
    results: list[AttackResult] = []
    for one, other, name in zip(released_labels.T, truth.T, names, strict=True):
        options = _Options(name, copies, seed)
        results += _attack(records, one, held, other, owners, fold_of, options)
    return tuple(results)


# -- helpers ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Options:
    name: str
    copies: int
    seed: int


def _attack(
    records: Array,
    released_labels: Floats,
    held: Array,
    truth: Floats,
    owners: NDArray[np.int64],
    fold_of: NDArray[np.int64],
    options: _Options,
) -> Iterator[AttackResult]:
    """Yield the results of one label; none where it has no positive or no negative patient."""
    count = int(owners.max()) + 1
    known = np.isfinite(truth)
    carrier, seen = np.zeros(count), np.zeros(count, np.bool_)
    np.maximum.at(carrier, owners[known], truth[known])
    seen[owners[known]] = True
    if (
        len(np.unique(released_labels[np.isfinite(released_labels)])) < 2
        or len(np.unique(carrier[seen])) < 2
    ):
        return
    without = np.full(len(held), 0.5)
    for fold in np.unique(fold_of):
        others, tested = known & (fold_of != fold), fold_of == fold
        if len(np.unique(truth[others])) == 2:  # otherwise there is nothing to learn from
            score = _scores(held[others], truth[others], held[tested], 1)["discriminant"]
            # ranks: discriminants of several folds have no common scale
            without[tested] = np.argsort(np.argsort(score, kind="stable")) / max(len(score) - 1, 1)
    whose = np.arange(int(seen.sum()))
    truth, floor = carrier[seen], _highest(without, owners, count)[seen]
    yes, no = int(truth.sum()), int((1 - truth).sum())
    error = mann_whitney_error(yes, no)
    area = max(roc_auc(truth, floor), 0.5)
    if area == 0.5:
        floor = np.zeros(len(floor))
    for attacker, score in _scores(records, released_labels, held, options.copies).items():
        own = _highest(score, owners, count)[seen]
        value, gain = auc_interval(truth, own, whose), auc_difference(truth, own, floor, whose)
        if yes < FEWEST:
            value = _by_permutation(value.value, yes, no)
            gain = Interval(value.value - area, value.low - area, value.high - area)
        yield AttackResult(
            attack="rare labels",
            mode=options.name,
            attacker=f"{attacker}, {yes} carrier" + ("" if yes == 1 else "s"),
            figure="AUC",
            value=value,
            chance=0.5,
            floor=area,
            gain=gain,
            control=area,
            raw=float("nan"),
            n=len(truth),
            seed=options.seed,
            reference=REFERENCE,
            detectable=detectable_gain(gain, error),
        )


def _by_permutation(area: float, yes: int, no: int) -> Interval:
    """Return the interval of the area of one or two carriers: as wide as that by chance."""
    generator = np.random.default_rng(0)
    drawn = np.array(
        [generator.permutation(yes + no)[:yes].mean() / (yes + no - 1) for _ in range(4000)]
    )
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(area, max(area - (high - 0.5), 0.0), min(area + (0.5 - low), 1.0))


def _scores(
    records: Array, released_labels: Floats, candidates: Array, copies: int
) -> dict[str, Floats]:
    """Return how much each candidate is like the positive records, in two ways."""
    known = np.isfinite(released_labels)
    scale = Standard.fit(records[known])
    parts = Components.fit(scale(records[known]), MOST_COMPONENTS)
    learned = parts(scale(records[known])).astype(np.float64)
    asked = parts(scale(candidates)).astype(np.float64)
    yes = released_labels[known] > 0.5
    positive, negative = learned[yes], learned[~yes]
    centred = np.concatenate([positive - positive.mean(axis=0), negative - negative.mean(axis=0)])
    within = centred.T @ centred / max(len(centred) - 2, 1)
    size = max(float(np.trace(within)) / len(within), 1e-30)
    within = (1 - SHRINKAGE) * within + SHRINKAGE * size * np.eye(len(within))
    turn = np.linalg.inv(np.linalg.cholesky(within)).T
    asked, positive, negative = asked @ turn, positive @ turn, negative @ turn
    spread = 1 - min(1.0, copies / len(positive)) + 1 / len(positive)
    apart = ((asked - negative.mean(axis=0)) ** 2).sum(axis=1)
    near = ((asked - positive.mean(axis=0)) ** 2).sum(axis=1)
    return {
        "discriminant": np.asarray(apart - near / spread, np.float64),
        "nearest record": minus_distances(asked, positive).max(axis=1).astype(np.float64),
    }


def _highest(scores: Floats, owners: NDArray[np.int64], count: int) -> Floats:
    best = np.full(count, -np.inf)
    np.maximum.at(best, owners, scores)
    return best
