"""Does a resampled release tell who is in it: the attack that its guarantee does not cover.

The attacker knows an image and its labels, and asks whether it was among those released. It
compares how likely the image is by the means and the covariance of the release with how likely it
is by those of public images.

    python -m benchmarks.mechanism_membership --markdown docs/privacy-research.md
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.mechanism_ideas import FOLDS, ROOT, Data, load
from benchmarks.table import Table, put_section
from deepfixcx.experiments.trial import Trial, patient_folds
from deepfixcx.measures import roc_auc
from deepfixcx.mechanisms import Chain, LabelResampling, Mechanism, Plain, Records, TaskProjection
from deepfixcx.mechanisms.whitening import Whitening
from deepfixcx.spec import CodecSpec

Floats = NDArray[np.float64]

RIDGE = 1e-3

TRIED: dict[str, tuple[Mechanism, int]] = {
    "plain codes": (Plain(), 60),
    "resampling of 60 components, 8 copies": (LabelResampling(0, 60, 8), 60),
    "resampling of 40 components, 4 copies": (LabelResampling(0, 40, 4), 40),
    "resampling of 20 components, 4 copies": (LabelResampling(0, 20, 4), 20),
    "projection on 8, resampling, 4 copies": (
        Chain((TaskProjection(8), LabelResampling(copies=4))),
        8,
    ),
    "projection, resampling, 4 copies": (Chain((TaskProjection(), LabelResampling(copies=4))), 4),
}
"""What is released, and how many numbers of it the attacker looks at."""


def likelihood(scores: Floats, labels: NDArray[Any], seen: Floats, told: NDArray[Any]) -> Floats:
    """Return log likelihoods by the means given labels and the covariance of what is seen."""
    labels, told = np.nan_to_num(labels, nan=0.5), np.nan_to_num(told, nan=0.5)
    design = np.column_stack([np.ones(len(told)), told])
    slopes = np.linalg.lstsq(design, seen, rcond=None)[0]
    apart = seen - design @ slopes
    covariance = apart.T @ apart / (len(apart) - design.shape[1])
    covariance += RIDGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    own = scores - np.column_stack([np.ones(len(labels)), labels]) @ slopes
    distances = np.einsum("ij,jk,ik->i", own, np.linalg.inv(covariance), own)
    return np.asarray(-(distances + np.linalg.slogdet(covariance)[1]) / 2, np.float64)


def membership(mechanism: Mechanism, components: int, data: Data, seeds: int) -> tuple[float, ...]:
    """Return the AUC of the attacker for images, and for other images of the same patients.

    Of the patients in the release, images alternate: one is released, the next is not.
    """
    own, others = [], []
    for seed in range(seeds):
        trial = Trial(data.inputs["codes"], data.labels, data.patients, seed=seed)
        fitted = trial.fit(mechanism)
        private = trial.private
        outside = fitted.represent(trial.public.array)
        whitening = Whitening.fit(outside if outside.ndim == 2 else trial.public.array, components)
        public = whitening.scores(outside)
        asked = whitening.scores(fitted.represent(private.array))
        fold = patient_folds(private.patients, FOLDS, seed)
        second = _second_images(private.patients)
        for number in range(FOLDS):
            inside = (fold != number) & ~second
            part = Records.of(
                private.array[inside], private.labels[inside], private.patients[inside]
            )
            made = fitted.apply(part, np.random.default_rng([seed, number]))
            scores = likelihood(
                asked, trial.truth, whitening.scores(made.array), made.labels
            ) - likelihood(asked, trial.truth, public, trial.public.labels)
            stranger = fold == number
            own.append(_area(scores[inside], scores[stranger & ~second]))
            others.append(_area(scores[(fold != number) & second], scores[stranger & second]))
    return float(np.mean(own)), float(np.mean(others))


def _second_images(patients: NDArray[np.str_]) -> NDArray[np.bool_]:
    seen: dict[str, int] = {}
    second = np.zeros(len(patients), bool)
    for place, patient in enumerate(patients.tolist()):
        second[place] = seen.get(patient, 0) % 2 == 1
        seen[patient] = seen.get(patient, 0) + 1
    return second


def _area(members: Floats, strangers: Floats) -> float:
    scores = np.concatenate([members, strangers])
    return roc_auc(np.arange(len(scores)) < len(members), scores)


def main(words: Sequence[str] | None = None) -> None:
    """Ask it of every release."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of real images; DEEPFIXCX_DATA if absent")
    parser.add_argument("--seeds", type=int, default=5, help="divisions of the patients")
    parser.add_argument("--level", type=int, default=3)
    parser.add_argument("--patches", type=int, default=4)
    parser.add_argument("--markdown", type=Path, help="page whose section to replace")
    options = parser.parse_args(words)
    folder = options.data or Path(
        os.environ.get("DEEPFIXCX_DATA") or ROOT.parent / "shared" / "data"
    )
    data = load(folder, CodecSpec(options.level, options.patches), noise=False)
    table = Table(["what is released", "its images", "other images of its patients"])
    for name, (mechanism, components) in TRIED.items():
        own, others = membership(mechanism, components, data, options.seeds)
        table.add(name, f"{own:.3f}", f"{others:.3f}")
        print(table.rows[-1], flush=True)
    command = f"python -m benchmarks.mechanism_membership --seeds {options.seeds}"
    parts = [table.markdown(), f"Made by `{command}`."]
    print("\n\n".join(parts))
    if options.markdown is not None:
        put_section(options.markdown, "membership", parts)


if __name__ == "__main__":
    main()
