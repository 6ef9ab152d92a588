"""Attackers who hold candidate images, and find whose image is in the release, in which record.

The attacker encodes every candidate in the form of the release, as anyone can who knows the
method. `attack_subset_sum` explains a record as a sum of candidates, `attack_own_record` looks for
the record nearest to a candidate, and `attack_differencing` subtracts two releases that differ by
one patient. Candidates that are in no record are non-members, from whom members must be separated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.audit.features import (
    Array,
    Components,
    Standard,
    flatten,
    minus_distances,
    patient_numbers,
)
from deepfixcx.audit.result import (
    AttackResult,
    detectable_gain,
    found_at_one_percent,
    mann_whitney_error,
    result_of_means,
)
from deepfixcx.errors import AuditError
from deepfixcx.measures import Interval, auc_interval
from deepfixcx.measures.intervals import Floats, patient_means
from deepfixcx.measures.solvers import non_negative_weights

__all__ = ["attack_differencing", "attack_own_record", "attack_subset_sum"]

MOST_COMPONENTS = 128
SUM_TO_ONE = 0.1
"""Weight, in units of a record's length, of the condition that the weights of a sum are 1."""

SUBSET_SUM = "Lawson and Hanson 1995, doi:10.1137/1.9781611971217, of the solver"
OWN_RECORD = "Domingo-Ferrer and Torra 2003, doi:10.1023/A:1024723610180, of record linkage"
DIFFERENCING = "Dwork and Roth 2014, doi:10.1561/0400000042, section 1"


def attack_subset_sum(
    released: Array,
    candidates: Array,
    members: Sequence[Sequence[int]],
    patients: ArrayLike,
    *,
    seed: int = 0,
) -> tuple[AttackResult, ...]:
    """Explain each record as a sum of candidates with weights of 0 or more."""
    records, held, owners = _checked(released, candidates, members, patients)
    weights = _subset_sums(records, held)
    generator = np.random.default_rng(seed)
    noise = generator.random(weights.shape) * 1e-12  # equal weights come in random order
    count = int(owners.max()) + 1
    hits, firsts, chances, whose, first_of = [], [], [], [], []
    for row, inside in zip(weights + noise, members, strict=True):
        truth = np.unique(np.asarray(inside, np.int64))
        if not len(truth):
            continue
        best = np.argsort(-row)[: len(truth)]
        hits += np.isin(truth, best).tolist()
        chances += [len(truth) / len(held)] * len(truth)
        whose += owners[truth].tolist()
        firsts.append(float(best[0] in truth))
        first_of.append(int(owners[truth[0]]))
    if not whose:
        raise AuditError("no candidate is in any record, so no member can be found")
    options: dict[str, Any] = {"seed": seed, "reference": SUBSET_SUM}
    guessed = generator.random(len(hits)) < np.array(chances)
    results = [
        result_of_means(
            "membership", "candidates", "subset sum", "recall",
            _by_patient(hits, whose, count), _by_patient(chances, whose, count),
            null=_by_patient(guessed, whose, count), **options,
        ),
        result_of_means(
            "membership", "candidates", "subset sum", "precision@1",
            _by_patient(firsts, first_of, count),
            float(np.mean([len(set(inside)) for inside in members if len(inside)]) / len(held)),
            **options,
        ),
    ]  # fmt: skip
    score = weights.max(axis=0)
    return (*results, *_membership("subset sum", score, members, owners, options))


def attack_own_record(
    released: Array,
    candidates: Array,
    members: Sequence[Sequence[int]],
    patients: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    seed: int = 0,
) -> tuple[AttackResult, ...]:
    """Look for the record that is nearest to each candidate image."""
    _, _, owners = _checked(released, candidates, members, patients)
    records, held = flatten(released), flatten(candidates)
    scale = Standard.fit(np.concatenate([records, held]))
    parts = Components.fit(scale(np.concatenate([records, held])), MOST_COMPONENTS)
    alike = minus_distances(parts(scale(held)), parts(scale(records))).astype(np.float64)
    generator = np.random.default_rng(seed)
    own = np.zeros(alike.shape, np.bool_)
    for record, inside in enumerate(members):
        own[np.asarray(inside, np.int64), record] = True
    count = int(owners.max()) + 1
    patterns = np.zeros(len(records), np.int64)
    if labels is not None:
        filled = np.nan_to_num(np.asarray(labels, np.float64).reshape(len(records), -1), nan=2)
        patterns = np.unique(filled, axis=0, return_inverse=True)[1].reshape(-1)
    compared = np.zeros(own.shape, np.bool_)
    for place in np.flatnonzero(own.any(axis=1)):
        compared[place] = np.isin(patterns, patterns[own[place]])
    found = own.any(axis=1) & (compared & ~own).any(axis=1)
    rows = [
        _ranks(alike[place, compared[place]], own[place, compared[place]], generator)
        for place in np.flatnonzero(found)
    ]
    if not rows:
        raise AuditError(
            "every candidate is in all records or in none, so membership cannot be tested"
        )
    firsts, areas, chances = np.array(rows).T
    whose = owners[found]
    options: dict[str, Any] = {"seed": seed, "reference": OWN_RECORD}
    guess = generator.random((2, len(rows)))
    results = [
        result_of_means(
            "membership", "candidates", "own record", "precision@1",
            _by_patient(firsts, whose, count), _by_patient(chances, whose, count),
            null=_by_patient(guess[0] < chances, whose, count), **options,
        ),
        result_of_means(
            "membership", "candidates", "own record", "AUC rank",
            _by_patient(areas, whose, count), 0.5,
            null=_by_patient(guess[1], whose, count), **options,
        ),
    ]  # fmt: skip
    return (*results, *_membership("own record", alike.max(axis=1), members, owners, options))


def attack_differencing(
    differences: Array,
    candidates: Array,
    left_out: ArrayLike,
    patients: ArrayLike,
    *,
    seed: int = 0,
) -> tuple[AttackResult, ...]:
    """Subtract two releases that differ by one patient, and look for whose codes remain."""
    names = np.asarray(patients)
    owners = patient_numbers(names)
    held = np.asarray(candidates, np.float64).reshape(len(owners), -1)
    apart = np.asarray(differences, np.float64).reshape(len(differences), -1)
    wanted = np.asarray(left_out)
    if held.shape[1:] != apart.shape[1:] or len(wanted) != len(apart):
        raise AuditError(
            f"differences of shape {apart.shape} do not fit candidates of shape {held.shape} and "
            f"{len(wanted)} patients left out"
        )
    known = np.unique(names)
    if not np.isin(wanted, known).all():
        raise AuditError("an excluded patient has no candidate image; add the images")
    sums = np.zeros((len(known), held.shape[1]))
    np.add.at(sums, owners, held)
    alike = minus_distances(apart, sums).astype(np.float64)
    truth = known[None] == wanted[:, None]
    generator = np.random.default_rng(seed)
    firsts, areas, chances = np.array(
        [_ranks(row, true, generator) for row, true in zip(alike, truth, strict=True)]
    ).T
    guess = generator.random((2, len(firsts)))
    options: dict[str, Any] = {"seed": seed, "reference": DIFFERENCING}
    return tuple(
        result_of_means(
            "membership", "two releases", "differencing", figure, own, floor, null=null, **options
        )
        for figure, own, floor, null in (
            ("precision@1", firsts, chances, guess[0] < chances),
            ("AUC rank", areas, np.full(len(areas), 0.5), guess[1]),
        )
    )


# -- helpers ----------------------------------------------------------------------------------


def _checked(
    released: Array, candidates: Array, members: Sequence[Sequence[int]], patients: ArrayLike
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Return records and candidates as vectors, and the patient number of each candidate."""
    owners = patient_numbers(patients)
    records = np.asarray(released, np.float64).reshape(len(released), -1)
    held = np.asarray(candidates, np.float64).reshape(len(candidates), -1)
    if not (records.shape[1] == held.shape[1] and len(held) == len(owners)):
        raise AuditError(
            f"records of shape {np.shape(released)}, candidates of shape {np.shape(candidates)} "
            f"and {len(owners)} patients do not fit; give candidates in the form of the records"
        )
    if len(members) != len(records):
        raise AuditError(f"there are {len(records)} records and members of {len(members)}")
    if not (np.isfinite(records).all() and np.isfinite(held).all()):
        raise AuditError("records or candidates hold NaN or infinity")
    return records, held, owners


def _subset_sums(records: Floats, held: Floats) -> Floats:
    """Return weights of candidates in records, (R, M), by non-negative least squares."""
    matrix, target = held.T, records.T
    if matrix.shape[0] > matrix.shape[1]:
        basis, matrix = np.linalg.qr(matrix)
        target = basis.T @ target
    scale = SUM_TO_ONE * float(np.median(np.linalg.norm(target, axis=0)))
    matrix = np.concatenate([matrix, np.full((1, matrix.shape[1]), scale)])
    target = np.concatenate([target, np.full((1, target.shape[1]), scale)])
    return non_negative_weights(matrix, target).T


def _ranks(
    alike: Floats, true: NDArray[np.bool_], generator: np.random.Generator
) -> tuple[float, float, float]:
    """Return whether the first is right, how often a right one is ahead, and the chance of it."""
    order = generator.permutation(len(alike))
    first = order[np.argmax(alike[order])]
    others = np.sort(alike[~true])
    below = np.searchsorted(others, alike[true], "left")
    below = below + np.searchsorted(others, alike[true], "right")
    area = float(below.mean()) / (2 * len(others)) if len(others) else np.nan
    return float(true[first]), area, float(true.mean())


def _by_patient(values: ArrayLike, owners: ArrayLike, count: int) -> Floats:
    return patient_means(np.asarray(values, np.float64), np.asarray(owners, np.int64), count)


def _membership(
    attacker: str,
    score: Floats,
    members: Sequence[Sequence[int]],
    owners: NDArray[np.int64],
    options: dict[str, Any],
) -> tuple[AttackResult, ...]:
    """Judge a score of membership, where the attacker holds members and non-members."""
    inside = np.zeros(len(score), np.bool_)
    inside[[place for each in members for place in each]] = True
    count = int(owners.max()) + 1
    # a patient is a member if one image is; the score of a patient is the highest of the images
    best = np.full(count, -np.inf)
    np.maximum.at(best, owners, score)
    member = np.zeros(count, np.bool_)
    member[owners[inside]] = True
    if not 0 < member.sum() < count:
        return ()
    score = best
    value = auc_interval(member.astype(np.float64), score, np.arange(count))
    yes, no = int(member.sum()), int((~member).sum())
    gain = Interval(value.value - 0.5, value.low - 0.5, value.high - 0.5)
    area = AttackResult(
        attack="membership", mode="candidates", attacker=attacker, figure="AUC",
        value=value, chance=0.5, floor=0.5, gain=gain,
        control=0.5, raw=float("nan"), n=len(score), seed=options["seed"],
        reference=options["reference"],
        detectable=detectable_gain(gain, mann_whitney_error(yes, no)),
    )  # fmt: skip
    return area, found_at_one_percent(area, score, member, np.arange(count))
