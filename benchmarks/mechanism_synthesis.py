"""Synthesis and ideas beyond it on real images: utility, linkage, membership, unnamed labels.

Every row is measured on the same divisions of the patients of `cxr_nih`: two fifths are public, and
classifiers learn from releases of four fifths of the others and are tested on the rest. With a
budget, four fifths of rho are spent on the four labels and a tenth on each label wanted later.

    python -m benchmarks.mechanism_synthesis --markdown docs/privacy-research.md

`--group` chooses what is measured together: synthesis beside the goals, ideas beyond it, or rivals.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.mechanism_ideas import LABELS, ROOT, SIDE
from benchmarks.synthesis_attacks import (
    COUNTS,
    RUNS,
    Scorer,
    carriers,
    linkage,
    membership,
    scorer_of,
)
from benchmarks.synthesis_ideas import GROUPS, IDEAS, Fitted, Idea, PublicAlone, late_records
from benchmarks.synthesis_kinds import Synthesis
from benchmarks.synthesis_rivals import encodings
from benchmarks.table import Table, put_section
from deepfixcx.codec import Codec
from deepfixcx.datasets import load_dataset
from deepfixcx.errors import MechanismError
from deepfixcx.experiments.trial import UTILITY_FOLDS, Trial
from deepfixcx.learn.loading import load_pixels
from deepfixcx.learn.logistic import LogisticCodes
from deepfixcx.measures.areas import auc_estimate
from deepfixcx.measures.intervals import Estimate
from deepfixcx.mechanisms import Records
from deepfixcx.mechanisms.sensitivity import rho_of
from deepfixcx.spec import CodecSpec

SPECS = ((2, 19), (3, 4), (4, 4))
EPSILONS = [8.0, 4.0, 2.0]
DELTA = 1e-5
NAMED, LATE = 0.8, 0.1
"""Shares of rho: for the four labels, and for each of the labels wanted later."""

UNNAMED = ("edema", "sex")
CONDITIONS = ("view", "sex", "age")

Array = NDArray[np.float32]
Found = dict[str, Any]
Row = dict[str, Any]
SEX = len(LABELS.split(",")) + CONDITIONS.index("sex")
"""Column of sex where view, sex and age stand behind the four labels."""
BEHIND = (2, 1, 3)
"""Columns of view, sex and age among edema, sex, view and age."""


@dataclass(frozen=True, eq=False)
class Images:
    """Codes of all specs, labels, and what no mechanism is told of."""

    codes: Mapping[str, Array]
    labels: Array
    patients: NDArray[np.str_]
    unnamed: Mapping[str, Array]
    conditions: Array
    view: NDArray[np.str_]


def data_folder(given: Path | None) -> Path:
    """Return the folder of real images."""
    return given or Path(os.environ.get("DEEPFIXCX_DATA") or ROOT.parent / "shared" / "data")


def load(folder: Path, cache: Path | None, *, rivals: bool = False) -> Images:
    """Read and encode the X-rays once; `cache` is a folder that keeps the codes."""
    kept = cache and cache / ("rivals.npz" if rivals else "codes.npz")
    if kept and kept.is_file():
        stored = dict(np.load(kept))
    else:
        stored = _encoded(folder, rivals=rivals)
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.savez(kept, allow_pickle=False, **stored)
    extra = stored["extra"]
    return Images(
        {name[6:]: stored[name] for name in stored if name.startswith("codes ")},
        stored["labels"],
        stored["patients"],
        {"edema": extra[:, :1], "sex": extra[:, 1:2]},
        extra[:, BEHIND],
        np.where(extra[:, 2] > 0, "AP", "PA"),
    )


def _encoded(folder: Path, *, rivals: bool) -> dict[str, NDArray[Any]]:
    dataset = load_dataset(folder / "cxr_nih", labels=f"{LABELS},edema")
    loaded = load_pixels(dataset.records, SIDE)
    dataset = dataset.select(loaded.places)
    bytes_ = np.rint(loaded.array * 255).astype(np.uint8)
    codes = {
        f"codes {level},{patches}": Codec(CodecSpec(level, patches)).encode(bytes_).array
        for level, patches in SPECS
    }
    if rivals:
        codes |= {f"codes {name}": each for name, each in encodings(folder, loaded.array).items()}
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
        extra[:, BEHIND],
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
        seen, private = fitted.represent(private.array), fitted.prepared(private)
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

    def figures(self, idea: Idea, epsilon: float | None, *, attacks: bool = True) -> Found:
        """Measure one idea: estimates over the patients of all images, and single values."""
        images, truth = self.images, self.trial.truth
        rho = None if epsilon is None else rho_of(epsilon, DELTA)
        generator = np.random.default_rng([self.seed, 1])
        fitted = idea.fit(self.public(idea, images.labels), generator)
        private = self.private(idea, None)
        named = None if rho is None else NAMED * rho
        plainly = fitted
        if idea.conditioned:
            fitted, private = late_records(
                fitted,
                self.public(idea, np.column_stack([images.labels, images.conditions])),
                self.private(idea, np.column_stack([images.labels, images.conditions])),
            )
        scores = self.scores(fitted, private, named)[:, : truth.shape[1]]
        found: Found = {
            "named": self._area(truth, scores),
            "within": self._area(truth, scores, self.within),
        }
        for name, column in images.unnamed.items():
            late = rho if rho is None else LATE * rho
            later, theirs = late_records(
                fitted, self.public(idea, column), self.private(idea, column)
            )
            answers = self.scores(later, theirs, late)
            if idea.conditioned and name == "sex":  # it is released with the others
                answers = self.scores(fitted, private, named)[:, SEX : SEX + 1]
            found[name] = self._area(column[self.trial.places], answers)
        if attacks and idea.kind is not PublicAlone:
            found |= self._attacks(idea, fitted, plainly, private, named)
        return found

    def _area(self, truth: Array, scores: Array, groups: Any = None) -> Estimate:
        groups = self.groups if groups is None else groups
        return auc_estimate(truth, scores, self.trial.private.patients, groups)

    def _attacks(
        self, idea: Idea, fitted: Fitted, plainly: Fitted, private: Records, rho: float | None
    ) -> Found:
        """Link rows as if each stood for the image whose labels it has; ask for membership."""
        rows = fitted.rows_of(private, rho, np.random.default_rng([self.seed, 2]))
        probes, prepared = fitted.represent(private.array), fitted.prepared(private)
        found: Found = linkage(rows, probes, self.trial.truth, self.seed)
        if idea.of_images:
            return found
        score = scorer_of(
            lambda places, generator: fitted.release(prepared.select(places), rho, generator),
            probes,
            private,
        )
        quick = isinstance(fitted, Synthesis) and idea.kind is Synthesis
        own_score: Scorer = fitted.scorer(prepared, rho) if quick else score  # type: ignore[attr-defined]
        found |= membership(own_score, private.patients, self.seed, RUNS if quick else RUNS // 4)
        public, own = (
            plainly.prepared(each)
            for each in (self.public(idea, self.images.labels), self.private(idea, None))
        )
        seen = own.array if isinstance(fitted, Synthesis) else plainly.represent(own.array)

        def release(before: Array, labels: Array, generator: np.random.Generator) -> Records:
            later = plainly.with_labels(public.with_labels(before))
            return later.release(own.with_labels(labels), rho, generator)

        return found | carriers(release, seen, own, public, self.seed)


# -- the command ------------------------------------------------------------------------------

UTILITY = {
    "named": "named",
    "within": "within view",
    "edema": "edema",
    "sex": "sex",
}
ATTACKS = {
    "linkage": "linkage",
    "with labels": "with labels",
    "label-only": "labels alone",
    "top1": "top-1 ÷ chance",
    "membership": "membership, mean",
    "worst": "worst patient",
    **{f"carriers {count}": f"{count} carriers" for count in COUNTS},
}


def mean_row(several: Sequence[Found], names: Sequence[NDArray[np.int64]], count: int) -> Row:
    """Return means over divisions as plain JSON values; estimates with what each patient adds."""
    row: Row = {}
    for what, first in several[0].items():
        if isinstance(first, Estimate):
            pairs = [(each[what], places) for each, places in zip(several, names, strict=True)]
            row[what] = Estimate.mean(pairs, count).to_dict()
        else:
            row[what] = float(np.mean([each[what] for each in several]))
    return row


def interval_of(value: Any) -> str:
    """Return a value of a row as text, with its interval where it has one."""
    if value is None:
        return "–"
    if not isinstance(value, dict):
        return f"{value:.3f}"
    found = Estimate.from_dict(value).interval()
    return f"{found.value:.3f} [{found.low:.2f}, {found.high:.2f}]"


def main(words: Sequence[str] | None = None) -> None:
    """Measure every idea of a group."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of real images; DEEPFIXCX_DATA if absent")
    parser.add_argument("--cache", type=Path, help="folder for codes and results, which are kept")
    parser.add_argument("--group", choices=list(GROUPS), default="synthesis-goals")
    parser.add_argument("--ideas", nargs="+", choices=sorted(IDEAS), help="only these of the group")
    parser.add_argument("--epsilons", nargs="*", type=float, default=EPSILONS)
    parser.add_argument("--seeds", type=int, default=5, help="divisions of the patients")
    parser.add_argument("--no-attacks", action="store_true")
    parser.add_argument("--kept", action="store_true", help="lay out the cache; measure nothing")
    parser.add_argument("--tiny", action="store_true", help="drawn codes, to try the program out")
    parser.add_argument("--markdown", type=Path, help="page whose section to replace")
    options = parser.parse_args(words)
    rivals = options.group == "rivals"
    images = (
        tiny() if options.tiny else load(data_folder(options.data), options.cache, rivals=rivals)
    )
    divisions = [Division(images, seed) for seed in range(options.seeds)]
    rows: dict[str, Row] = {}
    attacked = not options.no_attacks
    for name in options.ideas or GROUPS[options.group]:
        idea = IDEAS[name]
        for epsilon in (None, *options.epsilons) if idea.budgets else (None,):
            key = name if epsilon is None else f"{name} ε={epsilon:g}"
            there = _kept(key, len(divisions), options.cache, attacks=attacked)
            if options.kept and not any(each.is_file() for each in there):
                continue
            row = _row(key, idea, epsilon, divisions, options.cache, attacks=attacked)
            if row is not None:
                rows[key] = row
    command = f"python -m benchmarks.mechanism_synthesis --group {options.group}"
    command += f" --seeds {options.seeds}" + " --no-attacks" * options.no_attacks
    if options.epsilons != EPSILONS:
        command += f" --epsilons {' '.join(f'{each:g}' for each in options.epsilons)}"
    if options.ideas:
        command += f" --ideas {' '.join(options.ideas)}"
    parts = [table_of(rows, UTILITY).markdown()]
    if attacked:
        parts.append(table_of(rows, ATTACKS).markdown())
    if options.group == "synthesis-goals" and attacked and {"plain", "public"} <= rows.keys():
        parts.append(goals(rows).markdown())
    parts.append(f"Made by `{command}`.")
    print("\n\n".join(parts))
    if options.markdown is not None:
        put_section(options.markdown, options.group, parts)


def _row(
    key: str,
    idea: Idea,
    epsilon: float | None,
    divisions: Sequence[Division],
    cache: Path | None,
    *,
    attacks: bool,
) -> Row | None:
    """Measure a row, or read it from the cache."""
    places = _kept(key, len(divisions), cache, attacks=attacks)
    for each in places:
        if each.is_file():
            found: Row = json.loads(each.read_text("utf-8"))
            return found
    began = time.monotonic()
    try:
        several = [each.figures(idea, epsilon, attacks=attacks) for each in divisions]
    except MechanismError as error:
        print(f"{key:28s} {error}")
        return None
    names = np.unique(divisions[0].images.patients)
    judged = [np.searchsorted(names, np.unique(each.trial.private.patients)) for each in divisions]
    row = mean_row(several, judged, len(names))
    shown = " ".join(f"{what} {interval_of(value)}" for what, value in row.items())
    print(f"{key:28s} {shown} {time.monotonic() - began:.0f} s", flush=True)
    if places:
        places[-1].write_text(json.dumps(row) + "\n", "utf-8")
    return row


def _kept(key: str, divisions: int, cache: Path | None, *, attacks: bool) -> list[Path]:
    """Return where a row may be kept; the last one is where it is written."""
    if cache is None:
        return []
    whole = cache / f"{key} {divisions}.json"
    return [whole] if attacks else [whole, cache / f"{key} {divisions} utility.json"]


def table_of(rows: Mapping[str, Row], columns: Mapping[str, str]) -> Table:
    """Lay figures out, each idea with its budgets below."""
    shown = {key: row for key, row in rows.items() if any(what in row for what in columns)}
    used = {
        what: title for what, title in columns.items() if any(what in row for row in shown.values())
    }
    table = Table(["what is released", "ε", *used.values()], words=2)
    for key, row in shown.items():
        name, _, epsilon = key.partition(" ε=")
        table.add(IDEAS[name].title, epsilon or "–", *(interval_of(row.get(what)) for what in used))
    return table


def goals(rows: Mapping[str, Row]) -> Table:
    """Compare synthesis with every goal; "yes" is a value that reaches it."""

    def value(row: Row, what: str) -> float:
        found = row[what]
        return float(found["value"] if isinstance(found, dict) else found)

    plain, public = rows["plain"], rows["public"]
    named = value(plain, "named")
    wanted: dict[str, Callable[[Row], tuple[float, float, bool]]] = {
        "linkage ≤ 0.60": lambda r: (value(r, "linkage"), 0.60, True),
        "with labels ≤ labels alone + 0.01": lambda r: (
            value(r, "with labels"), value(r, "label-only") + 0.01, True
        ),
        "top-1 ≤ 1.5 × chance": lambda r: (value(r, "top1"), 1.5, True),
        "worst membership ≤ 0.60": lambda r: (value(r, "worst"), 0.60, True),
        "carriers ≤ 0.55": lambda r: (
            max(value(r, f"carriers {count}") for count in COUNTS), 0.55, True
        ),
        "named ≥ plain − 0.005": lambda r: (value(r, "named"), named - 0.005, False),
        "named ≥ plain − 0.01": lambda r: (value(r, "named"), named - 0.01, False),
        "named ≥ public + 0.01": lambda r: (
            value(r, "named"), value(public, "named") + 0.01, False
        ),
        "edema ≥ plain − 0.02": lambda r: (
            value(r, "edema"), value(plain, "edema") - 0.02, False
        ),
        "sex ≥ 0.76": lambda r: (value(r, "sex"), 0.76, False),
    }  # fmt: skip
    judged = [key for key in rows if key.startswith("synthesis")]
    table = Table(["release", *wanted])
    for key in judged:
        cells = []
        for compare in wanted.values():
            own, limit, below = compare(rows[key])
            met = own <= limit if below else own >= limit
            cells.append(f"{'yes' if met else 'no'} ({own:.3f})")
        table.add(key.replace("synthesis-", ""), *cells)
    return table


if __name__ == "__main__":
    main()
