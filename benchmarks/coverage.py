"""How often 95 % intervals over patients hold the truth: several methods on simulated patients.

Images of one patient share a random part of their score. An AUC has four methods side by side; the
other measures have the one of `deepfixcx.measures` beside the percentile bootstrap of version 0.1.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, stdtrit

from benchmarks.table import Table, put_section
from deepfixcx.measures import (
    Interval,
    auc_difference,
    average_precision,
    average_precision_interval,
    calibration_interval,
    expected_calibration_error,
    mean_difference,
    mean_interval,
    rate_interval,
    roc_auc,
)
from deepfixcx.measures.areas import auc_estimate
from deepfixcx.measures.intervals import Estimate

__all__ = ["Design", "area_designs", "coverage", "main", "others"]

Floats = NDArray[np.float64]
Limits = tuple[float, float]
Trial = Callable[[np.random.Generator], tuple[float, dict[str, Limits]]]
"""Draws patients; returns the truth and the limits of each method."""

NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Design:
    """Patients to draw: how many, their share of positives, how alike their images are."""

    patients: int
    positives: float
    area: float
    shared: float = 0.0
    most_images: int = 1
    mixed: bool = False

    def draw(self, generator: np.random.Generator) -> tuple[Floats, Floats, NDArray[np.int64]]:
        """Return labels, scores and patients; three patients or more on each side."""
        while True:
            sizes = generator.integers(1, self.most_images + 1, self.patients)
            owners = np.repeat(np.arange(self.patients), sizes)
            if self.mixed:
                labels = (generator.random(len(owners)) < self.positives).astype(float)
            else:
                count = max(3, round(self.positives * self.patients))
                labels = (generator.permutation(self.patients) < count)[owners].astype(float)
            if all(len(np.unique(owners[labels == label])) >= 3 for label in (0, 1)):
                break
        own = math.sqrt(self.shared) * generator.standard_normal(self.patients)[owners]
        rest = math.sqrt(1 - self.shared) * generator.standard_normal(len(owners))
        return labels, own + rest + labels * math.sqrt(2) * NORMAL.inv_cdf(self.area), owners

    def __call__(self, generator: np.random.Generator) -> tuple[float, dict[str, Limits]]:
        """Draw patients once, and make the interval of the AUC by each method."""
        labels, scores, owners = self.draw(generator)
        found = auc_estimate(labels, scores, owners)
        chosen = found.interval()
        newcombe = Estimate(
            found.value, np.zeros(1), found.degrees, found.patients, found.patients, 0
        ).interval()
        return self.area, {
            "percentile bootstrap (0.1)": _bootstrap(roc_auc, labels, scores, owners, generator),
            "Obuchowski, logit and t": _logit(found),
            "Newcombe, Kish's patients": (newcombe.low, newcombe.high),
            "chosen: both": (chosen.low, chosen.high),
        }


def area_designs() -> Iterator[Design]:
    """Return 10 to 200 patients, areas from 0.5 to 0.99, images alone, alike and of both labels."""
    for patients in (10, 20, 40, 100, 200):
        for positives in (0.5, 0.2):
            if patients * positives < 3:
                continue
            for area in (0.5, 0.7, 0.9, 0.97, 0.99):
                for shared, most, mixed in ((0, 1, False), (0.5, 5, False), (0.8, 8, False),
                                            (0.5, 5, True)):  # fmt: skip
                    yield Design(patients, positives, area, shared, most, mixed)


def _logit(found: Estimate) -> Limits:
    if not 0 < found.value < 1:
        return found.value, found.value
    error = math.sqrt(found.variance) / (found.value * (1 - found.value))
    reach = float(stdtrit(found.degrees, 0.975)) * error
    return float(expit(logit(found.value) - reach)), float(expit(logit(found.value) + reach))


def _bootstrap(
    metric: Callable[[Floats, Floats], float],
    labels: Floats,
    scores: Floats,
    owners: NDArray[np.int64],
    generator: np.random.Generator,
) -> Limits:
    """Return the percentile interval of 100 draws of patients."""
    images = np.split(np.arange(len(owners)), np.flatnonzero(np.diff(owners)) + 1)
    drawn = []
    for _ in range(100):
        chosen = generator.integers(0, len(images), len(images))
        places = np.concatenate([images[each] for each in chosen])
        drawn.append(metric(labels[places], scores[places]))
    low, high = np.nanquantile(drawn, (0.025, 0.975)) if np.isfinite(drawn).any() else (0.5, 0.5)
    return float(low), float(high)


def others() -> dict[str, list[Trial]]:
    """Return trials of the measures that are no AUC."""
    counts = (10, 20, 50, 200)
    shares = (0.5, 0.8, 0.95)
    return {
        "sensitivity, accuracy": [_rates(n, p, most) for n in counts for p in shares
                                  for most in (1, 5)],
        "top-1 and means of 0 to 1": [_top(n, p) for n in counts for p in (0.03, 0.2, 0.8)],
        "difference of two AUC": [_area_pairs(n, a, b) for n in counts[1:]
                                  for a, b in ((0.7, 0.7), (0.95, 0.8))],
        "difference of two top-1": [_top_pairs(n, a, b) for n in counts
                                    for a, b in ((0.2, 0.2), (0.4, 0.1), (0.05, 0.05))],
        "average precision": [_precisions(n, a) for n in counts[1:] for a in (0.7, 0.95)],
        "calibration error": [_calibrations(n, s) for n in counts for s in (1.0, 0.5, 0.2)],
    }  # fmt: skip


def _limits(found: Interval) -> dict[str, Limits]:
    return {"chosen": (found.low, found.high)}


def _alike(owners: NDArray[np.int64], generator: np.random.Generator, shared: float) -> Floats:
    """Return normal numbers that images of one patient share in part."""
    own = generator.standard_normal(int(owners.max()) + 1)[owners]
    rest = generator.standard_normal(len(owners))
    return np.asarray(math.sqrt(shared) * own + math.sqrt(1 - shared) * rest, np.float64)


def _owners(patients: int, most: int, generator: np.random.Generator) -> NDArray[np.int64]:
    return np.repeat(np.arange(patients), generator.integers(1, most + 1, patients))


def _rates(patients: int, share: float, most: int) -> Trial:
    def trial(generator: np.random.Generator) -> tuple[float, dict[str, Limits]]:
        owners = _owners(patients, most, generator)
        right = (_alike(owners, generator, 0.5) < NORMAL.inv_cdf(share)).astype(float)
        before = _bootstrap(lambda one, _: float(one.mean()), right, right, owners, generator)
        return share, {"bootstrap": before, **_limits(rate_interval(right, owners))}

    return trial


def _top(patients: int, share: float) -> Trial:
    def trial(generator: np.random.Generator) -> tuple[float, dict[str, Limits]]:
        each = generator.binomial(3, generator.beta(2 * share, 2 - 2 * share, patients)) / 3
        before = _bootstrap(lambda one, _: float(one.mean()), each, each, np.arange(patients),
                            generator)  # fmt: skip
        return share, {"bootstrap": before, **_limits(mean_interval(each, (0, 1)))}

    return trial


def _top_pairs(patients: int, one: float, two: float) -> Trial:
    def trial(generator: np.random.Generator) -> tuple[float, dict[str, Limits]]:
        drawn = _alike(np.repeat(np.arange(patients), 2), generator, 0.5).reshape(patients, 2)
        ours, theirs = (
            (drawn[:, place] < NORMAL.inv_cdf(share)).astype(float)
            for place, share in enumerate((one, two))
        )
        before = _bootstrap(lambda a, b: float((a - b).mean()), ours, theirs, np.arange(patients),
                            generator)  # fmt: skip
        return one - two, {"bootstrap": before, **_limits(mean_difference(ours, theirs, (0, 1)))}

    return trial


def _area_pairs(patients: int, one: float, two: float) -> Trial:
    def trial(generator: np.random.Generator) -> tuple[float, dict[str, Limits]]:
        labels, ours, owners = Design(patients, 0.4, one, 0.5, 4).draw(generator)
        shift = math.sqrt(2) * NORMAL.inv_cdf(one)
        theirs = 0.7 * (ours - labels * shift) + math.sqrt(0.51) * _alike(owners, generator, 0.5)
        theirs += labels * math.sqrt(2) * NORMAL.inv_cdf(two)
        both = np.stack([ours, theirs], axis=1)

        def gain(truth: Floats, scores: Floats) -> float:
            return roc_auc(truth, scores[:, 0]) - roc_auc(truth, scores[:, 1])

        before = _bootstrap(gain, labels, both, owners, generator)
        found = auc_difference(labels, ours, theirs, owners)
        return one - two, {"bootstrap": before, **_limits(found)}

    return trial


def _precisions(patients: int, area: float) -> Trial:
    wide = Design(50_000, 0.4, area, 0.5, 4).draw(np.random.default_rng(0))
    truth = average_precision(wide[0], wide[1])

    def trial(generator: np.random.Generator) -> tuple[float, dict[str, Limits]]:
        drawn = Design(patients, 0.4, area, 0.5, 4).draw(generator)
        before = _bootstrap(average_precision, *drawn, generator)
        return truth, {"bootstrap": before, **_limits(average_precision_interval(*drawn))}

    return trial


def _calibrations(patients: int, slope: float) -> Trial:
    """Probabilities of which the log odds are too large by 1 / slope."""
    odds = 1.5 * np.random.default_rng(0).standard_normal(200_000)
    places = np.minimum((expit(odds) * 10).astype(int), 9)
    gaps = np.bincount(places, expit(slope * odds) - expit(odds)) / len(odds)
    truth = float(np.abs(gaps).sum())

    def trial(generator: np.random.Generator) -> tuple[float, dict[str, Limits]]:
        owners = _owners(patients, 4, generator)
        odds = 1.5 * _alike(owners, generator, 0.5)
        come_true = [NORMAL.cdf(each) for each in _alike(owners, generator, 0.5)]
        labels = (np.array(come_true) < expit(slope * odds)).astype(float)
        before = _bootstrap(expected_calibration_error, labels, expit(odds), owners, generator)
        found = calibration_interval(labels, expit(odds), owners, samples=300)
        return truth, {"bootstrap": before, **_limits(found)}

    return trial


def coverage(trials: Sequence[Trial], repeats: int, seed: int = 0) -> dict[str, list[Limits]]:
    """Return share of intervals with the truth and mean width, of each method and trial."""
    found: dict[str, list[Limits]] = {}
    for number, trial in enumerate(trials):
        held: dict[str, list[tuple[bool, float]]] = {}
        generator = np.random.default_rng([seed, number])
        for _ in range(repeats):
            truth, methods = trial(generator)
            for name, (low, high) in methods.items():
                inside = low - 1e-9 <= truth <= high + 1e-9
                held.setdefault(name, []).append((inside, high - low))
        for name, each in held.items():
            inside, width = np.mean(each, axis=0)
            found.setdefault(name, []).append((float(inside), float(width)))
    return found


def _table(groups: dict[str, Sequence[Trial]], repeats: int) -> str:
    table = Table(
        ["measure", "interval", "designs", "covers, mean", "covers, least", "below 0.93", "width"],
        2,
    )
    for measure, trials in groups.items():
        for method, found in coverage(trials, repeats).items():
            inside = np.array([each for each, _ in found])
            table.add(
                measure, method, str(len(found)), f"{inside.mean():.3f}", f"{inside.min():.3f}",
                f"{(inside < 0.93).mean():.0%}", f"{np.mean([width for _, width in found]):.3f}",
            )  # fmt: skip
    return table.markdown()


def main(words: Sequence[str] | None = None) -> None:
    """Simulate, print the table, and put it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=400, help="Data sets for each design.")
    parser.add_argument("--markdown", type=Path, help="Page with a section named coverage.")
    options = parser.parse_args(words)
    table = _table({"AUC": list(area_designs()), **others()}, options.repeats)
    print(table)
    if options.markdown is not None:
        chance = 1.96 * math.sqrt(0.95 * 0.05 / options.repeats)
        note = (
            f"`python -m benchmarks.coverage`: {options.repeats} data sets for each design; a "
            f"coverage of 0.95 is measured as 0.95 ± {chance:.3f}."
        )
        put_section(options.markdown, "coverage", [table, note])


if __name__ == "__main__":
    main()
