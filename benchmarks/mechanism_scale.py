"""From how many patients on is a private release worth making: a simulation of synthesis.

A population is fitted to all X-rays of `cxr_nih` (20 principal components, which know no label, and
four labels); residuals have heavy tails (Student's t with 5 degrees of freedom, which clipping
meets). Public images are a sample of
it, or of a population whose slopes differ. Utility is the AUC of the best linear score that the
released model teaches, on the population.

    python -m benchmarks.mechanism_scale --markdown docs/privacy-research.md
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.mechanism_synthesis import data_folder, load, tiny
from benchmarks.synthesis_ideas import IDEAS
from benchmarks.table import Table, put_section
from deepfixcx.measures import roc_auc
from deepfixcx.mechanisms import Records
from deepfixcx.mechanisms.label_model import BEYOND, HISTOGRAM, LabelModel, Measured
from deepfixcx.mechanisms.sensitivity import rho_of

NUMBERS, FREEDOM = 20, 5
PUBLIC = 160
SIZES = (200, 1_000, 10_000, 100_000, 1_000_000)
EPSILONS = (1.0, 2.0, 4.0)
DELTA = 1e-7
"""Below one divided by the largest number of patients."""

SHIFT = 0.1
"""Deviation of what differs between the slopes of the two populations, in deviations of numbers."""

TESTED, CHUNK, WORTH = 20_000, 50_000, 0.01

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Population:
    """Labels by a histogram, and vectors around means that are linear in them."""

    model: LabelModel

    def draw(self, count: int, generator: np.random.Generator) -> Iterator[tuple[Floats, Any]]:
        """Yield vectors and states of so many patients, in parts."""
        for first in range(0, count, CHUNK):
            size = min(CHUNK, count - first)
            states = generator.choice(len(self.model.prior), size, p=self.model.prior)
            fresh = generator.standard_normal((size, NUMBERS))
            fresh *= np.sqrt((FREEDOM - 2) / generator.chisquare(FREEDOM, size))[:, None]
            means = (self.model.design @ self.model.slopes)[states]
            yield means + fresh @ self.model.root.T, states

    def shifted(self, generator: np.random.Generator) -> Population:
        """Return a population with other slopes."""
        other = generator.normal(0, SHIFT, self.model.slopes.shape) @ self.model.root.T
        other[0] = 0
        return Population(replace(self.model, slopes=self.model.slopes + other))

    def sample(self, count: int, generator: np.random.Generator) -> LabelModel:
        """Fit the model to a sample, as public images are."""
        vectors, states = next(self.draw(count, generator))
        labels = self.model.patterns[states].astype(np.float32)
        return LabelModel.fit(vectors, labels, np.arange(count).astype(np.str_))


def sums(model: LabelModel, parts: Iterator[tuple[Floats, Any]]) -> Measured:
    """Return what `measure` does for patients of one image each with known labels, in parts."""
    counts, total = np.zeros(len(model.prior)), np.zeros(model.slopes.shape)
    bound = math.sqrt(NUMBERS) + BEYOND
    for vectors, states in parts:
        apart = np.linalg.solve(model.root, (vectors - (model.design @ model.slopes)[states]).T).T
        apart *= np.minimum(1, bound / np.linalg.norm(apart, axis=1, keepdims=True))
        counts += np.bincount(states, minlength=len(counts))
        total += model.design[states].T @ apart
    return Measured(counts, total)


def noisy(
    measured: Measured, model: LabelModel, epsilon: float, generator: np.random.Generator
) -> Measured:
    """Add the noise of `measure`, seeded so that the table can be repeated."""
    rho = rho_of(epsilon, DELTA)
    first = 1 / math.sqrt(2 * HISTOGRAM * rho)
    second = model.bound / math.sqrt(2 * (1 - HISTOGRAM) * rho)
    return Measured(
        measured.counts + generator.normal(0, first, measured.counts.shape),
        measured.sums + generator.normal(0, second, measured.sums.shape),
        (first, second),
    )


def utility(
    slopes: Floats, shares: Floats, model: LabelModel, tested: Floats, labels: Floats
) -> float:
    """Return the mean AUC of the linear scores that a classifier learns from such records."""
    means = model.design @ slopes
    areas = []
    for column in range(labels.shape[1]):
        ill = model.patterns[:, column] == 1
        weights = [np.where(side, shares, 0) / shares[side].sum() for side in (~ill, ill)]
        centres = [each @ means for each in weights]
        within = model.root @ model.root.T
        for side, centre, weight in zip((~ill, ill), centres, weights, strict=True):
            apart = means - centre
            within = within + (apart.T * weight) @ apart * shares[side].sum()
        score = tested @ np.linalg.solve(within, centres[1] - centres[0])
        areas.append(roc_auc(labels[:, column], score))
    return float(np.mean(areas))


def simulate(population: Population, *, shift: bool, seeds: int) -> dict[str, list[float]]:
    """Return utilities of public images alone, of all budgets, and without one, by size."""
    found: dict[str, list[list[float]]] = {}
    for seed in range(seeds):
        generator = np.random.default_rng([seed, shift])
        other = population.shifted(generator) if shift else population
        model = other.sample(PUBLIC, generator)
        tested, states = next(population.draw(TESTED, generator))
        labels = model.patterns[states]

        def judge(measured: Measured | None, model: Any = model, tested: Any = tested,
                  labels: Any = labels) -> float:  # fmt: skip
            if measured is None:
                return utility(model.slopes, model.prior, model, tested, labels)
            shares, _ = measured.histogram(model)
            return utility(measured.slopes(model), shares, model, tested, labels)

        rows: dict[str, list[float]] = {"public": [], "none": []}
        for size in SIZES:
            exact = sums(model, population.draw(size, generator))
            rows["public"].append(judge(None))
            rows["none"].append(judge(exact))
            for epsilon in EPSILONS:
                made = judge(noisy(exact, model, epsilon, generator))
                rows.setdefault(f"{epsilon:g}", []).append(made)
        for name, values in rows.items():
            found.setdefault(name, []).append(values)
    return {name: np.mean(values, axis=0).tolist() for name, values in found.items()}


def worth(found: dict[str, list[float]], name: str) -> str:
    """Return from how many patients on a release adds enough; between sizes, interpolated."""
    above = np.array(found[name]) - found["public"] - WORTH
    if above[0] >= 0:
        return f"fewer than {SIZES[0]:,}"
    if (above < 0).all():
        return f"more than {SIZES[-1]:,}"
    last = int(np.argmax(above >= 0))
    share = -above[last - 1] / (above[last] - above[last - 1])
    size = SIZES[last - 1] * (SIZES[last] / SIZES[last - 1]) ** share
    return f"{float(f'{size:.1g}'):,.0f}"


def draw(results: dict[str, dict[str, list[float]]], path: Path) -> None:
    """Draw utility against patients."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for axes, (title, found) in zip(
        figure.subplots(1, 2, sharey=True), results.items(), strict=True
    ):
        for name, values in found.items():
            public = name == "public"
            label = "public images alone" if public else f"ε = {name}"
            label = "no noise" if name == "none" else label
            axes.plot(SIZES, values, "k--" if public else "o-", label=label, markersize=4)
        axes.set(xscale="log", xlabel="patients", title=title)
        axes.grid(color="#e4e4e4", linewidth=0.6)
    figure.axes[0].set_ylabel("AUC, mean of four labels")
    figure.axes[0].legend(frameon=False)
    figure.savefig(path, dpi=110)


def main(words: Sequence[str] | None = None) -> None:
    """Simulate both cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of real images; DEEPFIXCX_DATA if absent")
    parser.add_argument("--cache", type=Path, help="folder for the codes, which are kept")
    parser.add_argument("--seeds", type=int, default=10, help="samples of public patients")
    parser.add_argument("--tiny", action="store_true", help="drawn codes, to try the program out")
    parser.add_argument("--markdown", type=Path, help="page whose section to replace")
    options = parser.parse_args(words)
    images = tiny() if options.tiny else load(data_folder(options.data), options.cache)
    records = Records.of(images.codes["2,19"], images.labels, images.patients)
    fitted: Any = IDEAS["synthesis-pca-20"].fit(records, np.random.default_rng(0))
    population = Population(fitted.model)
    results = {
        "the same population": simulate(population, shift=False, seeds=options.seeds),
        "public images with other slopes": simulate(population, shift=True, seeds=options.seeds),
    }
    table = Table(
        ["public images are of", "ε", *(f"{size:,}" for size in SIZES), "worth making from"],
        words=2,
    )
    for title, found in results.items():
        for name, values in found.items():
            last = "" if name == "public" else worth(found, name)
            shown = {"public": "public alone", "none": "no noise"}.get(name, name)
            table.add(title, shown, *(f"{value:.3f}" for value in values), last)
    command = f"python -m benchmarks.mechanism_scale --seeds {options.seeds}"
    parts = [table.markdown(), f"Made by `{command}`."]
    print("\n\n".join(parts))
    if options.markdown is not None:
        draw(results, options.markdown.parent / "images" / "synthesis-scale.png")
        put_section(options.markdown, "scale", parts)


if __name__ == "__main__":
    main()
