"""How often sweep and frontier recommend a setting on random labels, which no setting can serve.

Each data set has random codes of several settings that share numbers, patients with one to three
images, and labels of a fair coin for each patient. Classifiers, folds, intervals and rules are
those of the commands; only the images are left out, because codes of noise are noise.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.table import Table, put_section
from deepfixcx.datasets import Dataset, ImageRecord, folds_by_patient
from deepfixcx.experiments.recommendation import recommend_code, recommend_mechanism
from deepfixcx.experiments.rows import FrontierRow, Row, compare, put_interval
from deepfixcx.experiments.trial import Trial
from deepfixcx.learn.scorers import fold_numbers, score_by_logistic
from deepfixcx.measures.areas import auc_estimate
from deepfixcx.measures.intervals import Estimate
from deepfixcx.mechanisms.catalogue import mechanism_named

__all__ = ["coin_flips", "false_frontiers", "false_sweeps", "main"]

SETTINGS = (4, 16, 64, 6, 24, 96)
"""Numbers of each setting's code; parts of the same random numbers."""

MECHANISMS = ("plain", "quantization", "suppression", "bands")
DIVISIONS = 2


def coin_flips(seed: int, patients: int = 60) -> tuple[NDArray[np.float32], Dataset]:
    """Return random codes (N, 1, 4, 5, 5), and images of patients with a label of a coin."""
    generator = np.random.default_rng(seed)
    owners = np.repeat(np.arange(patients), generator.integers(1, 4, patients))
    label = generator.permutation(patients) < patients // 2
    own = generator.random((patients, 1, 4, 5, 5))[owners]
    codes = (own + generator.random(own.shape)) / 2
    records = tuple(
        ImageRecord(
            Path(f"/{place}.png"), f"p{owner}", labels=(float(label[owner]),), known=(True,)
        )
        for place, owner in enumerate(owners)
    )
    return codes.astype(np.float32), Dataset("random", ("coin",), records, Path("/"))


def false_sweeps(seeds: Sequence[int], patients: int = 60) -> tuple[int, int]:
    """Return how many sweeps recommend a setting, with the correction and without."""
    corrected = plain = 0
    for seed in seeds:
        codes, dataset = coin_flips(seed, patients)
        folds = folds_by_patient(dataset, 5, seed)
        labels, groups = np.array(dataset.labels), fold_numbers(folds)
        rows = []
        for place, numbers in enumerate(SETTINGS):
            inputs = codes.reshape(len(codes), 1, 1, 1, -1)[..., :numbers]
            scores = score_by_logistic(inputs, labels, folds, rooted=True, seed=seed)
            estimate = auc_estimate(labels, scores, dataset.patients, groups)
            figures = {"numbers": float(numbers), "share": 0.01}
            put_interval(figures, "auc", estimate.interval())
            rows.append(Row(1 + place // 3, 2 ** (1 + place % 3), figures, estimate))
        corrected += recommend_code(compare(rows, to_best=True)).row is not None
        plain += recommend_code(rows).row is not None
    return corrected, plain


def false_frontiers(seeds: Sequence[int], patients: int = 100) -> tuple[int, int]:
    """Return how many frontiers recommend a mechanism, with the correction and without."""
    corrected = plain = 0
    for seed in seeds:
        codes, dataset = coin_flips(seed, patients)
        rows = []
        for name in MECHANISMS:
            parts = []
            for division in range(DIVISIONS):
                trial = Trial(codes, np.array(dataset.labels), dataset.patients, seed=division)
                fitted = trial.fit(mechanism_named(name))
                numbers = np.unique(dataset.patients, return_inverse=True)[1][trial.places]
                parts.append((trial.utility(fitted).estimate, np.unique(numbers)))
            estimate = Estimate.mean(parts, patients)
            figures = {"linkage": 0.5, "floor_raw": 0.5}
            put_interval(figures, "auc", estimate.interval())
            rows.append(FrontierRow(1, 5, name, 100, figures, estimate))
        corrected += recommend_mechanism(compare(rows)).row is not None
        plain += recommend_mechanism(rows).row is not None
    return corrected, plain


def main(words: Sequence[str] | None = None) -> None:
    """Try random data sets, print the table, and put it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", type=int, default=200, help="Random data sets.")
    parser.add_argument("--markdown", type=Path, help="Page with a section named selection.")
    options = parser.parse_args(words)
    table = Table(["command", "settings", "data sets", "recommends", "without the correction"])
    seeds = range(options.datasets)
    for name, count, found in (
        ("sweep", len(SETTINGS), false_sweeps(seeds)),
        ("frontier", len(MECHANISMS), false_frontiers(seeds)),
    ):
        shares = (f"{each} ({each / options.datasets:.1%})" for each in found)
        table.add(name, str(count), str(options.datasets), *shares)
    text = table.markdown()
    print(text)
    if options.markdown is not None:
        put_section(options.markdown, "selection", [text])


if __name__ == "__main__":
    main()
