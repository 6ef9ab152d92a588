"""Attacks on releases whose rows are of no image: linkage, membership, carriers of rare labels.

Linkage gives the attacker more than synthesis releases: a row for each image, drawn given the
labels of that image. Attackers are those of the audit, without its controls, which take most of its
time; each value comes with what every patient contributes to it, so that means over divisions have
intervals over patients.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.audit.carriers import attack_rare_labels
from deepfixcx.audit.features import patient_numbers
from deepfixcx.audit.linkage import ATTACKERS
from deepfixcx.audit.linkage import Records as Targets
from deepfixcx.audit.linkage.labels import fit_beside_labels, fit_label_ratio, labels_of
from deepfixcx.audit.linkage.trial import Found, join, judge, make_tests
from deepfixcx.audit.membership import release_scores
from deepfixcx.errors import AuditError
from deepfixcx.measures.intervals import Estimate, patient_means
from deepfixcx.mechanisms import Records

__all__ = ["carriers", "linkage", "membership", "share_estimate"]

Array = NDArray[np.float32]
Floats = NDArray[np.float64]

FOLDS = 3
RUNS = 80
"""Releases for membership; the worst patient is chosen on one half and judged on the other."""

COUNTS = (11, 16, 35, 50, 77)
"""Carriers of the label without meaning; 11 is the minimum of `privatize`."""

DRAWS = 4
"""Draws of carriers for each count and division."""


def share_estimate(values: Floats) -> Estimate:
    """Return the mean of one value in [0, 1] for each patient; NaN counts as no value."""
    known = np.isfinite(values)
    count = int(known.sum())
    mean = float(values[known].mean()) if count else math.nan
    moved = np.where(known, (np.nan_to_num(values) - mean) / max(count, 1), 0.0)
    return Estimate(mean, moved, max(count - 1, 0), (float(count),), (float(count),), 8)


def linkage(rows: Records, probes: Array, truth: Array, seed: int) -> dict[str, Any]:
    """Link rows to each other and to raw images; the strongest attacker counts.

    Returns estimates over the patients of `rows`, and first hits divided by those of chance.
    """
    owners = patient_numbers(rows.patients)
    count = int(owners.max()) + 1
    targets = Targets(rows.array, [each.tolist() for each in rows.members])
    found: dict[str, list[tuple[Estimate, float]]] = {}
    for raw in (False, True):
        try:
            parts = _attack(targets, Targets(probes) if raw else None, owners, truth, seed)
        except AuditError:  # no two rows of one patient are left to learn from
            continue
        for name, whole in parts.items():
            area = patient_means(whole.auc, whole.patients, count)
            first, chance = (
                float(np.nanmean(patient_means(each, whole.patients, count)))
                for each in (whole.precision, whole.precision_by_chance)
            )
            found.setdefault(name, []).append((share_estimate(area), first / chance))
    alone = [*found["distance"], *found["whitening"]]
    best = {
        "linkage": alone, "with labels": found["with labels"], "label-only": found["labels"],
    }  # fmt: skip
    return {
        **{n: max(pairs, key=lambda pair: pair[0].value)[0] for n, pairs in best.items()},
        "top1": max(ratio for _, ratio in alone),
    }


def _attack(
    targets: Targets, probes: Targets | None, owners: Any, truth: Array, seed: int
) -> dict[str, Found]:
    """Return what each attacker finds: two without labels, labels alone, and one with both."""
    looked_for = targets if probes is None else probes
    sides = labels_of(looked_for, truth, len(owners)), labels_of(targets, truth, len(owners))
    generator = np.random.default_rng(seed)
    found: dict[str, list[Found]] = {}
    for test in make_tests(targets, probes, owners, FOLDS, generator):
        pair = looked_for.array[test.probes], targets.array[test.gallery]
        of_pair = sides[0][test.probes], sides[1][test.gallery]
        whitening = ATTACKERS["whitening"]
        compare = whitening(test.training, seed)
        both = fit_beside_labels(whitening, test.training, *sides, compare, seed)
        alike = {
            "distance": ATTACKERS["distance"](test.training, seed)(*pair),
            "whitening": compare(*pair),
            "labels": fit_label_ratio(test.training, *sides)(*of_pair),
            "with labels": both(*pair, *of_pair),
        }
        for name, values in alike.items():
            found.setdefault(name, []).append(judge(values, test.searches, generator))
    return {name: join(parts) for name, parts in found.items()}


Remake = Callable[[NDArray[np.int64], np.random.Generator], Records]


def membership(
    remake: Remake, seen: Array, labels: Array, patients: NDArray[np.str_], seed: int,
    runs: int = RUNS,
) -> dict[str, float]:  # fmt: skip
    """Return the mean AUC over patients, and that of the worst patient, of the better score.

    Releases are made of random halves of the patients, and of the other halves. The worst patient
    is that of the first half of the releases, judged on the second half, and the other way round:
    so chance alone gives 0.5, not the largest of many noisy values.
    """
    owners = patient_numbers(patients)
    count = int(owners.max()) + 1
    generator = np.random.default_rng(seed)
    known = np.asarray(labels, np.float64)
    held = np.asarray(seen, np.float64).reshape(len(owners), -1)
    inside = np.zeros((runs, count), np.bool_)
    scores: dict[str, Floats] = {}
    for run in range(runs):
        inside[run] = ~inside[run - 1] if run % 2 else generator.permutation(count) % 2 == 0
        made = remake(np.flatnonzero(inside[run][owners]), generator)
        flat = np.asarray(made.array, np.float64).reshape(len(made), -1)
        for name, each in release_scores(flat, made.labels.astype(np.float64), held, known).items():
            scores.setdefault(name, np.zeros((runs, count)))[run] = np.bincount(owners, each, count)
    results = []
    halves = slice(None, runs // 2), slice(runs // 2, None)
    for rows in scores.values():
        first, second = (_areas(rows[half], inside[half]) for half in halves)
        worst = (second[int(first.argmax())] + first[int(second.argmax())]) / 2
        results.append((float(_areas(rows, inside).mean()), float(worst)))
    return {"membership": max(r[0] for r in results), "worst": max(r[1] for r in results)}


def _areas(scores: Floats, inside: NDArray[np.bool_]) -> Floats:
    """Return for each column how often a run with the patient scores higher than one without."""
    ranks = np.argsort(np.argsort(scores, axis=0), axis=0) + 1.0
    with_patient = inside.sum(axis=0)
    sums = (ranks * inside).sum(axis=0) - with_patient * (with_patient + 1) / 2
    return np.asarray(sums / (with_patient * (len(scores) - with_patient)), np.float64)


def carriers(
    release: Callable[[Array, Array, np.random.Generator], Records],
    seen: Array,
    private: Records,
    public: Records,
    seed: int,
) -> dict[str, float]:
    """Return for each count of carriers the AUC of finding them in a release with their label.

    The label has nothing to do with the images; public patients carry it as often. `release` takes
    labels of the public and of the private images, this one last.
    """
    generator = np.random.default_rng([seed, 5])
    areas: dict[str, list[float]] = {}
    numbers = [patient_numbers(each.patient_of_each()) for each in (public, private)]
    for count in COUNTS:
        for _ in range(DRAWS):
            columns = []
            for owners, share in zip(numbers, (None, count), strict=True):
                whole = int(owners.max()) + 1
                carrying = share or max(2, round(count * whole / (int(numbers[1].max()) + 1)))
                columns.append(np.isin(owners, generator.permutation(whole)[:carrying]))
            labels = [
                np.column_stack([each.labels, column]).astype(np.float32)
                for each, column in zip((public, private), columns, strict=True)
            ]
            made = release(labels[0], labels[1], generator)
            results = attack_rare_labels(
                made.array, made.labels[:, -1:], seen, columns[1][:, None],
                private.patient_of_each(), names=["extra"],
            )  # fmt: skip
            areas.setdefault(str(count), []).append(max(each.value.value for each in results[:1]))
    return {f"carriers {count}": float(np.mean(each)) for count, each in areas.items()}
