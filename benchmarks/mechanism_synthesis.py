"""Synthesis and ideas beyond it on real images: utility, linkage, membership, unnamed labels.

Every row is measured on the same divisions of the patients of `cxr_nih`: two fifths are public, and
classifiers learn from releases of four fifths of the others and are tested on the rest. With a
budget, four fifths of rho are spent on the four labels and a tenth on each label wanted later.

    python -m benchmarks.mechanism_synthesis --markdown docs/privacy-research.md
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.mechanism_ideas import LABELS, ROOT, SIDE
from benchmarks.synthesis_ideas import IDEAS, Fitted, Idea, late_records
from benchmarks.table import Table, put_section
from deepfixcx.audit.membership import attack_release_membership
from deepfixcx.codec import Codec
from deepfixcx.datasets import load_dataset
from deepfixcx.errors import AuditError, MechanismError
from deepfixcx.experiments.trial import UTILITY_FOLDS, Trial
from deepfixcx.learn.loading import load_pixels
from deepfixcx.learn.logistic import LogisticCodes
from deepfixcx.measures import roc_auc
from deepfixcx.mechanisms import Records
from deepfixcx.mechanisms.accounting import rho_of
from deepfixcx.spec import CodecSpec

SPECS = ((2, 19), (3, 4), (4, 4))
DELTA = 1e-5
NAMED, LATE = 0.8, 0.1
"""Shares of rho: for the four labels, and for each of the labels wanted later."""

UNNAMED = ("edema", "sex")
CONDITIONS = ("view", "sex", "age")

Array = NDArray[np.float32]
Figures = dict[str, float]


@dataclass(frozen=True, eq=False)
class Images:
    """Codes of all specs, labels, and what no mechanism is told of."""

    codes: Mapping[str, Array]
    labels: Array
    patients: NDArray[np.str_]
    unnamed: Mapping[str, Array]
    conditions: Array
    view: NDArray[np.str_]


def load(folder: Path, cache: Path | None) -> Images:
    """Read and encode the X-rays once."""
    if cache is not None and cache.is_file():
        stored = dict(np.load(cache))
    else:
        stored = _encoded(folder)
        if cache is not None:
            np.savez(cache, allow_pickle=False, **stored)
    extra = stored["extra"]
    return Images(
        {name[6:]: stored[name] for name in stored if name.startswith("codes ")},
        stored["labels"],
        stored["patients"],
        {"edema": extra[:, :1], "sex": extra[:, 1:2]},
        extra[:, 1:4],
        np.where(extra[:, 2] > 0, "AP", "PA"),
    )


def _encoded(folder: Path) -> dict[str, NDArray[Any]]:
    dataset = load_dataset(folder / "cxr_nih", labels=f"{LABELS},edema")
    loaded = load_pixels(dataset.records, SIDE)
    dataset = dataset.select(loaded.places)
    bytes_ = np.rint(loaded.array * 255).astype(np.uint8)
    codes = {
        f"codes {level},{patches}": Codec(CodecSpec(level, patches)).encode(bytes_).array
        for level, patches in SPECS
    }
    truth = np.array(dataset.labels, np.float32)
    about = [{"view": each.view or "", **each.attributes} for each in dataset.records]
    others = [(a["sex"] == "M", a["view"] == "AP", float(a["age"]) >= 55) for a in about]
    return {
        **codes,
        "labels": truth[:, :4],
        "extra": np.column_stack([truth[:, 4:], np.array(others, np.float32)]),
        "patients": dataset.patients,
    }


def tiny() -> Images:
    """Draw codes that take seconds, to try the program out."""
    generator = np.random.default_rng(0)
    patients = np.arange(320) // 2
    labels = generator.integers(0, 2, (160, 8))[patients].astype(np.float32)
    labels[:, 2:4] = labels[:, :2]
    codes = 1 + 0.1 * generator.random((160, 1, 16, 2, 2))[patients]
    codes[:, 0, :8, 0, 0] += 0.05 * labels + 0.02 * generator.normal(size=(320, 8))
    extra = labels[:, 4:]
    return Images(
        {f"{level},{patches}": codes.astype(np.float32) for level, patches in SPECS},
        labels[:, :4],
        patients.astype(np.str_),
        {"edema": extra[:, :1], "sex": extra[:, 1:2]},
        extra[:, 1:4],
        np.where(extra[:, 2] > 0, "AP", "PA"),
    )


# -- one division -----------------------------------------------------------------------------


@dataclass(eq=False)
class Division:
    """One division of the patients, and what is measured on it."""

    images: Images
    seed: int
    spec: str = "2,19"
    trial: Trial = field(init=False)

    def __post_init__(self) -> None:
        """Divide the patients."""
        images = self.images
        array = images.codes[self.spec]
        self.trial = Trial(array, images.labels, images.patients, seed=self.seed)
        inside = set(self.trial.places.tolist())
        public = set(self.trial.public.patients.tolist())
        self.outside = np.array(
            [
                place
                for place in range(len(array))
                if place not in inside and images.patients[place] in public
            ]
        )
        self.groups = self.trial._folds.astype(np.str_)
        self.within = np.char.add(self.groups, images.view[self.trial.places])

    def public(self, idea: Idea, labels: Array) -> Records:
        """Return the public records as an idea sees them."""
        images = self.images
        return Records.of(
            idea.seen(images.codes)[self.outside],
            labels[self.outside],
            images.patients[self.outside],
        )

    def private(self, idea: Idea, labels: Array | None) -> Records:
        """Return the private records; labels of the trial, or of all images."""
        places = self.trial.places
        chosen = self.trial.private.labels if labels is None else labels[places]
        return Records.of(
            idea.seen(self.images.codes)[places], chosen, self.images.patients[places]
        )

    def scores(self, fitted: Fitted, private: Records, rho: float | None) -> Array:
        """Return log odds for the tested fold, of a release of the others."""
        scores = np.zeros(private.labels.shape, np.float32)
        seen = fitted.represent(private.array)
        for fold in range(UTILITY_FOLDS):
            tested = self.trial._folds == fold
            generator = np.random.default_rng([self.seed, 3, fold])
            made = fitted.release(private.select(np.flatnonzero(~tested)), rho, generator)
            components = max(1, int((~tested).sum()) // 12)
            model = LogisticCodes.fit(
                made.array, made.labels, rooted=made.array.ndim > 2, components=components
            )
            scores[tested] = model.decision(seen[tested])
        return scores

    def figures(self, idea: Idea, epsilon: float | None, *, attacks: bool = True) -> Figures:
        """Measure one idea."""
        images, truth = self.images, self.trial.truth
        rho = None if epsilon is None else rho_of(epsilon, DELTA)
        generator = np.random.default_rng([self.seed, 1])
        fitted = idea.fit(self.public(idea, images.labels), generator)
        private = self.private(idea, None)
        named = None if rho is None else NAMED * rho
        if idea.conditioned:
            fitted, private = late_records(
                fitted,
                self.public(idea, np.column_stack([images.labels, images.conditions])),
                self.private(idea, np.column_stack([images.labels, images.conditions])),
            )
        scores = self.scores(fitted, private, named)
        found = {
            "named": self._area(truth, scores),
            "within": self._area(truth, scores, self.within),
        }
        for name, column in images.unnamed.items():
            late = rho if rho is None else LATE * rho
            later, theirs = late_records(
                fitted, self.public(idea, column), self.private(idea, column)
            )
            answers = self.scores(later, theirs, late)
            found[name] = self._area(column[self.trial.places], answers)
            if idea.budgets and not idea.conditioned:
                anew = idea.fit(self.public(idea, column), generator)
                answers = self.scores(anew, theirs, late)
                found[f"{name} later"] = self._area(column[self.trial.places], answers)
        if attacks:
            found |= self._attacks(fitted, private, named)
        return found

    def _area(self, truth: Array, scores: Array, groups: Any = None) -> float:
        groups = self.groups if groups is None else groups
        pairs = zip(truth.T, scores.T, strict=False)
        return float(np.mean([roc_auc(*pair, groups) for pair in pairs]))

    def _attacks(self, fitted: Fitted, private: Records, rho: float | None) -> Figures:
        """Link rows as if each stood for the image whose labels it has; ask for membership."""
        found: Figures = {}
        own: Any = _Own(fitted, private)
        rows = fitted.rows_of(private, rho, np.random.default_rng([self.seed, 2]))
        trial = self.trial
        areas: list[float] = []
        ratios: list[float] = []
        together: list[float] = []
        for raw in (False, True):
            for attacker in ("distance", "whitening", "with labels"):
                try:
                    results = trial.linkage(own, rows, attacker, raw=raw, samples=1)
                except AuditError:
                    continue
                values = {each.figure: each for each in results}
                area, first = values["AUC"], values["precision@1"]
                if attacker == "with labels":
                    together.append(area.value.value)
                else:
                    areas.append(area.value.value)
                    ratios.append(first.value.value / first.chance)
                    found["floor"] = area.floor
        found |= {
            "linkage": max(areas, default=np.nan),
            "with labels": max(together, default=np.nan),
            "top1": max(ratios, default=np.nan),
        }

        def remake(places: NDArray[np.int64], generator: np.random.Generator) -> Any:
            made = fitted.release(private.select(places), rho, generator)
            return made.array, made.labels.astype(np.float64)

        results = attack_release_membership(
            remake,
            fitted.represent(private.array),
            private.labels,
            private.patients,
            runs=16,
            seed=self.seed,
        )
        for figure, name in (("AUC", "membership"), ("worst patient AUC", "worst")):
            found[name] = max(each.value.value for each in results if each.figure == figure)
        return found


@dataclass(frozen=True, eq=False)
class _Own:
    """What `Trial.linkage` asks of a mechanism: the form of raw images."""

    fitted: Fitted
    private: Records

    def represent(self, array: Array) -> Array:
        del array
        return self.fitted.represent(self.private.array)


# -- the command ------------------------------------------------------------------------------

COLUMNS = {
    "named": "named",
    "within": "within view",
    "edema": "edema",
    "sex": "sex",
    "edema later": "edema, own release",
    "sex later": "sex, own release",
    "linkage": "linkage",
    "with labels": "with labels",
    "floor": "label-only",
    "top1": "top-1 ÷ chance",
    "membership": "membership",
    "worst": "worst patient",
}


def main(words: Sequence[str] | None = None) -> None:
    """Measure every idea."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of real images; DEEPFIXCX_DATA if absent")
    parser.add_argument("--cache", type=Path, help="file for the codes")
    parser.add_argument("--ideas", nargs="+", choices=sorted(IDEAS), default=list(IDEAS))
    parser.add_argument("--epsilons", nargs="*", type=float, default=[8.0, 4.0, 2.0])
    parser.add_argument("--seeds", type=int, default=5, help="divisions of the patients")
    parser.add_argument("--no-attacks", action="store_true")
    parser.add_argument("--tiny", action="store_true", help="drawn codes, to try the program out")
    parser.add_argument("--markdown", type=Path, help="page whose section to replace")
    parser.add_argument("--json", type=Path, help="file for the figures, which are kept")
    options = parser.parse_args(words)
    folder = options.data or Path(
        os.environ.get("DEEPFIXCX_DATA") or ROOT.parent / "shared" / "data"
    )
    images = tiny() if options.tiny else load(folder, options.cache)
    rows: dict[str, Figures] = {}
    if options.json is not None and options.json.is_file():
        rows = json.loads(options.json.read_text("utf-8"))
    divisions = [Division(images, seed) for seed in range(options.seeds)]
    for name in options.ideas:
        idea = IDEAS[name]
        for epsilon in (None, *options.epsilons) if idea.budgets else (None,):
            key = name if epsilon is None else f"{name} ε={epsilon:g}"
            if key in rows:
                continue
            began = time.monotonic()
            attacks = not options.no_attacks and (epsilon is None or idea.attacked)
            try:
                several = [each.figures(idea, epsilon, attacks=attacks) for each in divisions]
            except MechanismError as error:
                print(f"{key:28s} {error}")
                continue
            rows[key] = {
                what: float(np.nanmean([each[what] for each in several])) for what in several[0]
            }
            shown = " ".join(f"{what} {value:.3f}" for what, value in rows[key].items())
            print(f"{key:28s} {shown} {time.monotonic() - began:.0f} s", flush=True)
            if options.json is not None:
                options.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    table = table_of(rows)
    command = f"python -m benchmarks.mechanism_synthesis --seeds {options.seeds}"
    command += " --no-attacks" * options.no_attacks
    if options.ideas != list(IDEAS):
        command += f" --ideas {' '.join(options.ideas)}"
    parts = [table.markdown(), f"Made by `{command}`."]
    print("\n\n".join(parts))
    if options.markdown is not None:
        put_section(options.markdown, "synthesis", parts)


def table_of(rows: Mapping[str, Figures]) -> Table:
    """Lay all figures out, ideas in order, each with its budgets below."""
    measured = {what for figures in rows.values() for what in figures}
    columns = {what: title for what, title in COLUMNS.items() if what in measured}
    table = Table(["what is released", "ε", *columns.values()], words=2)
    order = {name: place for place, name in enumerate(IDEAS)}
    for key in sorted(rows, key=lambda key: order.get(key.split(" ε=")[0], 99)):
        name, _, epsilon = key.partition(" ε=")
        cells = [
            f"{rows[key][what]:.3f}" if np.isfinite(rows[key].get(what, np.nan)) else "–"
            for what in columns
        ]
        table.add(IDEAS[name].title, epsilon or "–", *cells)
    return table


if __name__ == "__main__":
    main()
