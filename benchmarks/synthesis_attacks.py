"""Attacks on releases whose rows are of no image: linkage, membership, carriers of rare labels.

Linkage gives the attacker more than synthesis releases: a row for each image, drawn given the
labels of that image. Attackers are those of the audit, written to be quick; values come with what
every patient adds, so that means over divisions have intervals over patients.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.audit.features import (
    Components,
    Standard,
    flatten,
    minus_distances,
    patient_numbers,
)
from deepfixcx.audit.linkage import Records as Targets
from deepfixcx.audit.linkage.labels import fit_label_ratio, labels_of
from deepfixcx.audit.linkage.pairs import Pairs
from deepfixcx.audit.linkage.trial import Searches, Test, make_tests
from deepfixcx.audit.membership import release_scores
from deepfixcx.measures import roc_auc
from deepfixcx.measures.intervals import Estimate, patient_means
from deepfixcx.mechanisms import Records

__all__ = ["Scorer", "carriers", "linkage", "membership", "scorer_of"]

Array = NDArray[np.float32]
Floats = NDArray[np.float64]

FOLDS = 3
MOST_COMPONENTS, SHRINKAGE = 128, 0.2
WEIGHTS = (0.25, 0.5, 1.0)
"""Of numbers beside labels: numbers say again what labels say."""

RUNS = 200
"""Releases for membership; the worst patient is chosen on one half and judged on the other."""

COUNTS = (11, 16, 35, 50, 77)
"""Carriers of the label without meaning; 11 is the minimum of `privatize`."""

DRAWS = 6
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

    Returns estimates over the patients of `rows`, and first hits divided by those of chance. Ways
    to compare, and weights of labels beside numbers, are those that turn out best: an attacker
    has to choose them on other patients, and does no better.
    """
    owners = patient_numbers(rows.patients)
    count = int(owners.max()) + 1
    targets = Targets(rows.array, [each.tolist() for each in rows.members])
    found: dict[tuple[bool, str], list[_Searched]] = {}
    for raw in (False, True):
        looked_for = Targets(probes) if raw else targets
        sides = labels_of(looked_for, truth, len(owners)), labels_of(targets, truth, len(owners))
        generator = np.random.default_rng(seed)
        for test in make_tests(targets, looked_for if raw else None, owners, FOLDS, generator):
            compared = compare(test.training, looked_for.array, targets.array, test)
            by_label = fit_label_ratio(test.training, *sides)(
                sides[0][test.probes], sides[1][test.gallery]
            )
            alike = {f"alone {way}": values for way, values in compared.items()}
            alike["labels"] = by_label.astype(np.float64)
            for weight in WEIGHTS:
                alike[f"with {weight}"] = by_label + weight * compared["log ratio"]
            for name, values in alike.items():
                found.setdefault((raw, name), []).append(search(values, test.searches))
    results: dict[str, list[tuple[Estimate, float]]] = {}
    for (_, name), parts in found.items():
        places = np.concatenate([each.patients for each in parts])
        area, first, chance = (
            patient_means(np.concatenate([getattr(each, what) for each in parts]), places, count)
            for what in ("areas", "firsts", "chances")
        )
        ratio = float(np.nanmean(first) / np.nanmean(chance))
        results.setdefault(name.split()[0], []).append((share_estimate(area), ratio))
    best = {name: max(pairs, key=lambda pair: pair[0].value) for name, pairs in results.items()}
    return {
        "linkage": best["alone"][0],
        "with labels": best["with"][0],
        "label-only": best["labels"][0],
        "top1": best["alone"][1],
    }


def compare(training: Pairs, all_probes: Array, all_gallery: Array, test: Test) -> dict[str, Any]:
    """Return how alike the tested probes and rows are, whitened by what changes within patients."""
    sides = []
    for learned, whole, tested in (
        (training.probes, all_probes, test.probes),
        (training.gallery, all_gallery, test.gallery),
    ):
        scale = Standard.fit(flatten(learned))
        sides.append((scale(flatten(learned)), scale(flatten(whole[tested]))))
    (x, own), (y, gallery) = sides
    parts = Components.fit(np.concatenate([x, y]), MOST_COMPONENTS)
    x, own, y, gallery = (parts(each) for each in (x, own, y, gallery))
    lines, columns = np.nonzero(training.match)
    weights = 1 / training.match.sum(axis=1)[lines]
    apart = (x[lines] - y[columns]).astype(np.float64)
    within = (apart.T * weight_of(weights)) @ apart / 2
    size = np.trace(within) / len(within)
    within = (1 - SHRINKAGE) * within + SHRINKAGE * size * np.eye(len(within))
    values, vectors = np.linalg.eigh(within)
    whiten = vectors / np.sqrt(values)
    spread, axes = np.linalg.eigh(np.cov(np.concatenate([x, y]) @ whiten, rowvar=False) - np.eye(
        len(within)
    ))  # fmt: skip
    one, other, spread = own @ whiten @ axes, gallery @ whiten @ axes, spread.clip(0)
    both, alone = spread / (2 * spread + 1), spread**2 / ((spread + 1) * (2 * spread + 1))
    squares = (one**2 @ alone)[:, None] + (other**2 @ alone)[None]
    lengths = np.linalg.norm(one, axis=1)[:, None] * np.linalg.norm(other, axis=1)[None]
    return {
        "distance": minus_distances(own, gallery),
        "angle": one @ other.T / lengths.clip(1e-30),
        "log ratio": (one * both) @ other.T - squares / 2,
    }


def weight_of(weights: Floats) -> Floats:
    """Return weights that sum to 1."""
    return np.asarray(weights / weights.sum(), np.float64)


@dataclass(frozen=True, eq=False)
class _Searched:
    patients: NDArray[np.int64]
    areas: Floats
    firsts: Floats
    chances: Floats


def search(alike: Any, searches: Searches) -> _Searched:
    """Return for each search how often a true row is more alike than a stranger, and first."""
    values = np.asarray(alike, np.float64)[searches.probes]
    lines, columns = np.nonzero(searches.true)
    strangers, own = searches.stranger.sum(axis=1), searches.true.sum(axis=1)
    kept = np.where(searches.stranger, values, np.nan)[lines]
    true = values[lines, columns][:, None]
    right = np.nansum((kept < true) + 0.5 * (kept == true), axis=1) / strangers[lines]
    areas = np.bincount(lines, right, len(values)) / own
    first, best = (
        np.where(mask, values, -np.inf).max(axis=1) for mask in (searches.true, searches.stranger)
    )
    firsts = (first > best) + (first == best) * own / (own + 1)
    return _Searched(searches.patients, areas, firsts, own / (own + strangers))


Scorer = Callable[[NDArray[np.bool_], np.random.Generator], dict[str, Floats]]
"""Makes a release of the chosen patients (M,), and scores all images (N,), in several ways."""


def scorer_of(
    remake: Callable[[NDArray[np.int64], np.random.Generator], Records], seen: Array, own: Records
) -> Scorer:
    """Score by the nearest record, and by how well records and labels explain an image."""
    owners = patient_numbers(own.patients)
    held = np.asarray(seen, np.float64).reshape(len(owners), -1)

    def score(half: NDArray[np.bool_], generator: np.random.Generator) -> dict[str, Floats]:
        made = remake(np.flatnonzero(half[owners]), generator)
        flat = np.asarray(made.array, np.float64).reshape(len(made), -1)
        labels = (made.labels.astype(np.float64), own.labels.astype(np.float64))
        return release_scores(flat, labels[0], held, labels[1])

    return score


def membership(
    score: Scorer, patients: NDArray[np.str_], seed: int, runs: int = RUNS
) -> dict[str, float]:
    """Return the mean AUC over patients, and that of the worst patient, of the better score.

    Releases are made of random halves of the patients, and of the other halves. The worst patient
    is that of the first half of the releases, judged on the second half, and the other way round:
    so chance alone gives 0.5, not the largest of many noisy values.
    """
    owners = patient_numbers(patients)
    count = int(owners.max()) + 1
    generator = np.random.default_rng(seed)
    inside = np.zeros((runs, count), np.bool_)
    scores: dict[str, Floats] = {}
    for run in range(runs):
        inside[run] = ~inside[run - 1] if run % 2 else generator.permutation(count) % 2 == 0
        for name, each in score(inside[run], generator).items():
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
            score = discriminant(made, seen)
            best, truth = np.full(whole, -np.inf), np.zeros(whole)
            np.maximum.at(best, numbers[1], score)
            np.maximum.at(truth, numbers[1], columns[1].astype(float))
            areas.setdefault(str(count), []).append(roc_auc(truth, best))
    return {f"carriers {count}": float(np.mean(each)) for count, each in areas.items()}


def discriminant(made: Records, seen: Array) -> Floats:
    """Score images by Fisher's discriminant of the last label, given the others, of records."""
    design = np.column_stack([np.ones(len(made)), np.nan_to_num(made.labels, nan=0.5)])
    flat = made.array.reshape(len(made), -1).astype(np.float64)
    slopes = np.linalg.lstsq(design, flat, rcond=None)[0]
    apart = flat - design @ slopes
    within = apart.T @ apart / len(apart) + 1e-6 * np.eye(flat.shape[1])
    return np.asarray(seen.reshape(len(seen), -1) @ np.linalg.solve(within, slopes[-1]), np.float64)
