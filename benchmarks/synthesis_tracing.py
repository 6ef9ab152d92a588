"""Who was released, traced in the sums of synthesis: theory beside two attackers.

Releases are made of random halves of the private patients. The attacker scores a patient by
cᵀ V⁻¹ S: the patient's share c of the sums S, in units of their covariance V, which it takes from
the public images, or knows. The theory says Φ(√(2 D / n)) on average for the latter and no noise.
A second table states how much of a claimed epsilon attackers show: in the pair game for the patient
with the longest share, and as `audit` does, for the patients there are. Its noise is not seeded.

    python -m benchmarks.synthesis_tracing --markdown docs/privacy-research.md
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm

from benchmarks.mechanism_synthesis import DELTA, EPSILONS, NAMED, Division, data_folder, load, tiny
from benchmarks.synthesis_attacks import membership
from benchmarks.synthesis_ideas import Idea
from benchmarks.table import Table, put_section
from deepfixcx.audit.tracing import shown_epsilon
from deepfixcx.mechanisms import epsilon_lower_bound
from deepfixcx.mechanisms.label_model import HISTOGRAM, contributions
from deepfixcx.mechanisms.sensitivity import noisy_sum, rho_of

RIDGE = 1e-3
RUNS, AUDITED = 200, 256
TRIALS = 1000
FAR = 1e6


def shares_of(fitted: Any, records: Any) -> Any:
    """Return what each patient adds to the sums, (M, D)."""
    numbers = fitted.numbers(records)
    owners = records.patient_of_each()
    return contributions(fitted.model, numbers, records.labels, owners)[1]


def trace(division: Division, numbers: int, epsilon: float | None, *, knows: bool) -> Any:
    """Return the mean AUC over patients and that of the worst patient, and theory."""
    idea = Idea("", numbers=numbers)
    fitted: Any = idea.fit(division.public(idea, division.images.labels), np.random.default_rng(0))
    private = division.private(idea, None)
    own, public = shares_of(fitted, private), shares_of(fitted, fitted.public)
    rho = None if epsilon is None else NAMED * rho_of(epsilon, DELTA)
    deviation = 0.0 if rho is None else fitted.model.bound / math.sqrt(2 * (1 - HISTOGRAM) * rho)
    known = own if knows else public
    spread = len(own) / 4 * known.T @ known / len(known)
    spread += RIDGE * np.trace(spread) / len(spread) * np.eye(len(spread))
    solved = np.linalg.solve(spread + deviation**2 * np.eye(len(spread)), own.T).T
    _, first = np.unique(private.patient_of_each(), return_index=True)

    def score(half: Any, generator: Any) -> Any:
        sums = own[half].sum(axis=0) + deviation * generator.standard_normal(own.shape[1])
        scores = np.zeros(len(private))
        scores[first] = solved @ sums
        return {"traced": scores}

    found = membership(score, private.patients, division.seed, RUNS)
    theory = norm.cdf(math.sqrt(2 * own.shape[1] / len(own)))
    bound = 1.0 if rho is None else norm.cdf(math.sqrt(rho))
    return found["membership"], found["worst"], theory if rho is None else math.nan, bound


def bounds_of(division: Division, numbers: int, epsilon: float) -> tuple[float, float]:
    """Return lower bounds of epsilon: from the pair game, and from an audit of the patients."""
    idea = Idea("", numbers=numbers)
    fitted: Any = idea.fit(division.public(idea, division.images.labels), np.random.default_rng(0))
    model, rho = fitted.model, rho_of(epsilon, DELTA)
    longest = model.patterns[[np.linalg.norm(model.design, axis=1).argmax()]]
    far = np.full((1, len(model.root)), FAR)
    counts, sums = contributions(model, far, longest.astype(np.float32), np.array(["asked"]))

    def game(patients: int) -> Any:
        def several(count: int) -> Any:
            made = []
            for _ in range(count):
                one, first = noisy_sum(counts[:patients], 1.0, HISTOGRAM * rho)
                two, second = noisy_sum(sums[:patients], model.bound, (1 - HISTOGRAM) * rho)
                made.append(one @ counts[0] / first**2 + two @ sums[0] / second**2)
            return np.array(made)

        return several

    pair = epsilon_lower_bound(
        game(0), game(1), lambda scores: scores, trials=TRIALS, delta=DELTA
    ).value
    own = replace(fitted.fitted.mechanism, epsilon=epsilon, delta=DELTA)
    release, private = replace(fitted.fitted, mechanism=own), division.private(idea, None)

    def remake(places: Any, generator: Any) -> Any:
        made = release.apply(private.select(places), generator)
        return made.array, made.labels.astype(np.float64)

    audited = shown_epsilon(
        remake, release.represent(private.array), private.labels, private.patient_of_each(),
        delta=DELTA, runs=AUDITED,
    )  # fmt: skip
    return pair, audited.value


def main(words: Sequence[str] | None = None) -> None:
    """Trace patients in releases of several sizes and budgets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of real images; DEEPFIXCX_DATA if absent")
    parser.add_argument("--cache", type=Path, help="folder for the codes, which are kept")
    parser.add_argument("--numbers", nargs="+", type=int, default=[4, 8, 24])
    parser.add_argument("--seeds", type=int, default=1, help="divisions of the patients")
    parser.add_argument("--tiny", action="store_true", help="drawn codes, to try the program out")
    parser.add_argument("--markdown", type=Path, help="page whose section to replace")
    options = parser.parse_args(words)
    images = tiny() if options.tiny else load(data_folder(options.data), options.cache)
    divisions = [Division(images, seed) for seed in range(options.seeds)]
    table = Table(
        ["numbers", "ε", "V of public images", "its worst patient", "V known", "its worst patient",
         "theory, V known", "bound of every attacker"],
        words=2,
    )  # fmt: skip
    for numbers in options.numbers:
        for epsilon in (None, *EPSILONS):
            rows = [
                np.mean([trace(each, numbers, epsilon, knows=knows) for each in divisions], axis=0)
                for knows in (False, True)
            ]
            values = [*rows[0][:2], *rows[1][:2], *rows[1][2:]]
            shown = ["–" if math.isnan(value) else f"{value:.3f}" for value in values]
            table.add(str(numbers), "–" if epsilon is None else f"{epsilon:g}", *shown)
    second = Table(["numbers", "claimed ε", "shown in the pair game", "shown by an audit"], words=2)
    for numbers in options.numbers:
        for epsilon in EPSILONS:
            bounds = bounds_of(divisions[0], numbers, epsilon)
            second.add(str(numbers), f"{epsilon:g}", *(f"{each:.2f}" for each in bounds))
    chosen = " ".join(map(str, options.numbers))
    command = f"python -m benchmarks.synthesis_tracing --numbers {chosen} --seeds {options.seeds}"
    parts = [table.markdown(), second.markdown(), f"Made by `{command}`."]
    print("\n\n".join(parts))
    if options.markdown is not None:
        put_section(options.markdown, "tracing", parts)


if __name__ == "__main__":
    main()
