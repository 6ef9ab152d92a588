"""The frontier: specs times mechanisms, each with re-trained attackers, in a folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.audit.result import AttackResult, figure_of
from deepfixcx.datasets import Dataset, FeatureMatrix
from deepfixcx.errors import AuditError, LabelError, MechanismError
from deepfixcx.experiments.folder import Progress, Say, TrialFolder, TrialKind
from deepfixcx.experiments.frontier_inputs import (
    ATTACKERS,
    FrontierOptions,
    Inputs,
    dp_pix,
    feature_inputs,
    mechanism_named,
    noised,
    read_inputs,
    split_noise,
)
from deepfixcx.experiments.recommendation import Recommendation, recommend_mechanism
from deepfixcx.experiments.rows import FrontierRow, compare, frontier_as_csv, put_interval
from deepfixcx.experiments.trial import WITH_LABELS, Trial, Utility, divide_patients
from deepfixcx.learn.mapping import Failure
from deepfixcx.measures.intervals import Estimate, Interval
from deepfixcx.mechanisms import Mechanism, ShrunkSynthesis
from deepfixcx.mechanisms import Records as Released
from deepfixcx.mechanisms.protocol import FittedMechanism
from deepfixcx.mechanisms.records import safe_labels
from deepfixcx.spec import CodecSpec

__all__ = ["Frontier", "FrontierOptions", "figures_of", "mean_figures", "run_frontier"]

Array = NDArray[np.float32]
Figures = dict[str, float]

KIND = TrialKind("frontier", 3, FrontierRow, MechanismError)


@dataclass(frozen=True, eq=False, slots=True)
class Frontier:
    """What came of it.

    Attributes
    ----------
    rows : tuple of FrontierRow
        Every setting that could be tried.
    skipped : tuple of (str, str)
        The settings that could not, and why.
    recommendation : Recommendation
        Which setting to take.
    failures : tuple of Failure
        Images that were not used.
    images, patients : int
        How many were.
    labels, dropped : tuple of str
        The labels that every setting serves, and those that too few patients have to be released.
    """

    rows: tuple[FrontierRow, ...]
    skipped: tuple[tuple[str, str], ...]
    recommendation: Recommendation[FrontierRow]
    failures: tuple[Failure, ...]
    images: int
    patients: int
    labels: tuple[str, ...]
    dropped: tuple[str, ...]


def run_frontier(
    dataset: Dataset | FeatureMatrix,
    folder: str | Path,
    options: FrontierOptions | None = None,
    *,
    workers: int = 1,
    resume: bool = False,
    overwrite: bool = False,
    reading: Callable[[int, int], None] | None = None,
    progress: Progress | None = None,
    draw: Callable[[Frontier], Mapping[str, bytes]] | None = None,
) -> Frontier:
    """Try every mechanism on every spec, or on a matrix of features.

    Parameters
    ----------
    dataset : Dataset or FeatureMatrix
        Images with patients, and the labels to serve; or features of any encoder, to which levels,
        patches and baselines do not apply.
    folder : path-like
        To be made.
    options : FrontierOptions, optional
        What is tried.
    workers : int
        Processes that read. Never changes a number.
    resume : bool
        Go on with a frontier of the same images, labels and options; another threshold is allowed.
    overwrite : bool
        Replace an earlier one in the folder.
    reading : callable, optional
        Receives how many images are read, and of how many.
    progress : callable, optional
        Receives what is being done, how many rows are done, and of how many.
    draw : callable, optional
        Returns files to write beside the table, by name.

    Returns
    -------
    Frontier

    Raises
    ------
    MechanismError
        The folder is in use or holds another frontier, or the images do not serve.
    LabelError
        No label, one without positives or negatives, or none that could be released.
    TrainingStoppedError
        The disk is full; `resume` goes on.
    MissingExtraError
        A package to learn with is not installed.
    """
    options = options or FrontierOptions()
    require("sklearn", extra="learn")
    ways = {"resume": resume, "overwrite": overwrite}
    matrix = dataset if isinstance(dataset, FeatureMatrix) else None
    if matrix is not None:
        options = options.for_features()
    images = dataset.dataset if isinstance(dataset, FeatureMatrix) else dataset
    with TrialFolder.claim(KIND, Path(folder), images, options.to_dict(), **ways) as place:
        if matrix is None:
            inputs = read_inputs(images, options.specs(), workers=workers, report=reading)
        else:
            inputs = feature_inputs(matrix)
        place.begin(inputs.content)
        kept, fewest = _served_labels(inputs.dataset, options)
        names = inputs.dataset.label_names
        settings = {
            FrontierRow(*_place(spec), name, 0).name: partial(
                _try_one, spec, name, inputs, kept, fewest, options
            )
            for spec in inputs.codes
            for name in options.mechanisms
        }
        rows, skipped = place.try_all(settings, progress, (MechanismError,))
        rows = compare(rows)
        frontier = Frontier(
            tuple(rows),
            tuple(skipped),
            recommend_mechanism(rows, options.max_linkage),
            inputs.failures,
            len(inputs.dataset),
            inputs.dataset.patient_count,
            tuple(names[column] for column in kept),
            tuple(name for column, name in enumerate(names) if column not in kept),
        )
        figures = {} if draw is None else draw(frontier)
        place.finish(frontier_as_csv(rows), inputs.failures, figures)
    return frontier


def _served_labels(dataset: Dataset, options: FrontierOptions) -> tuple[list[int], int]:
    """Return the columns of the labels that all settings serve, and the minimum that they meet."""
    minima = sorted({options.label_patients(name) for name in options.mechanisms}, reverse=True)
    for fewest in minima:
        if kept := _released_labels(dataset, options, fewest):
            return kept, fewest
    raise LabelError(
        f"no label could be released: each needs at least {minima[-1]} positive and as many "
        "negative patients among those to release; use more patients or other labels"
    )


def _released_labels(dataset: Dataset, options: FrontierOptions, fewest: int) -> list[int]:
    """Return the columns of the labels that a release of every division could hold."""
    labels, patients = np.array(dataset.labels), dataset.patients
    kept = list(range(labels.shape[1]))
    found: set[int] = set()
    while len(found) < len(kept):
        kept, found = sorted(found) or kept, set(sorted(found) or kept)
        for seed in range(options.seeds):
            _, inside = divide_patients(patients, options.public, seed)
            safe = safe_labels(
                labels[inside][:, kept], patients[inside], options.min_patients, fewest
            )
            found &= {kept[column] for column in safe.kept}
        if not found:
            return []
    return kept


def _place(spec: CodecSpec | None) -> tuple[int | None, int | None]:
    return (None, None) if spec is None else (spec.level, spec.grid_shape[0])


def _try_one(
    spec: CodecSpec | None,
    name: str,
    inputs: Inputs,
    kept: list[int],
    fewest: int,
    options: FrontierOptions,
    report: Say,
) -> FrontierRow:
    """Return the row of one mechanism; an error of a mechanism says why there is none."""
    if (needed := options.label_patients(name)) > fewest:
        raise MechanismError(
            f"no label has {needed} positive and {needed} negative patients to release"
        )

    def say(step: str) -> None:
        report(f"{name}: {step}" if spec is None else f"{spec}, {name}: {step}")

    labels, patients = np.array(inputs.dataset.labels)[:, kept], inputs.dataset.patients
    names = np.unique(patients)
    several, estimates = [], []
    numbers = 0
    for seed in range(options.seeds):
        array, noisy = _arrays_of(name, spec, inputs, options, seed)
        trial = Trial(
            array,
            labels,
            patients,
            noisy=noisy,
            public=options.public,
            min_patients=options.min_patients,
            label_patients=options.label_patients(name),
            seed=seed,
        )
        mechanism = mechanism_named(name if spec is None else split_noise(name, spec)[1])
        fitted = trial.fit(mechanism)
        say("utility")
        utility = trial.utility(fitted)
        judged = np.unique(trial.private.patients)
        estimates.append((utility.estimate, np.searchsorted(names, judged)))
        several.append(
            figures_of(
                trial,
                mechanism,
                inputs.small,
                fitted=fitted,
                utility=utility,
                attackers=options.attackers,
                say=say,
            )
        )
        numbers = int(np.prod(fitted.represent(array[:1]).shape[1:]))
    figures, estimate = mean_figures(several), Estimate.mean(estimates, len(names))
    put_interval(figures, "auc", estimate.interval())
    return FrontierRow(*_place(spec), name, numbers, figures, estimate)


def _arrays_of(
    name: str, spec: CodecSpec | None, inputs: Inputs, options: FrontierOptions, seed: int
) -> tuple[Array, Array | None]:
    """Return what a mechanism is given without noise, and with it where there is some."""
    if spec is None:
        return inputs.codes[spec], None
    if name == "blur":
        return inputs.blurred[spec], None
    cells, sizes = inputs.pixelated[spec], inputs.sizes
    if name == "pixelate":
        return cells, None
    if name == "dp-pix":
        return cells, dp_pix(cells, sizes, options.epsilon, options.pixels, seed)
    codes, noise = inputs.codes[spec], split_noise(name, spec)[0]
    return codes, None if noise is None else noised(codes, sizes, noise, seed)


# -- one setting ------------------------------------------------------------------------------


MODES = {"released": False, "raw": True}
"""What a record is linked to: other records, or raw images."""


def figures_of(
    trial: Trial,
    mechanism: Mechanism,
    images: Array | None = None,
    *,
    fitted: FittedMechanism | None = None,
    utility: Utility | None = None,
    attackers: Sequence[str] = ATTACKERS,
    say: Callable[[str], None] | None = None,
) -> Figures:
    """Try a mechanism on one division of the patients; `fitted` and `utility` if they are known."""
    if isinstance(mechanism, ShrunkSynthesis):
        raise MechanismError(
            "records of synthesis are of no patient, so that linkage has no right answer; make a "
            "release and test membership with audit"
        )
    say = say or (lambda _: None)
    fitted = fitted or trial.fit(mechanism)
    if utility is None:
        say("utility")
        utility = trial.utility(fitted)
    figures: Figures = {}
    for name, found in (
        ("auc", utility.auc),
        ("public_auc", utility.public),
        ("added", utility.added),
    ):
        put_interval(figures, name, found)
    figures["other_auc"] = utility.other
    figures |= {f"auc_{place}": value for place, value in enumerate(utility.each)}
    released = trial.release(fitted)
    figures |= _linkage(trial, fitted, released, attackers, say)
    if images is not None:
        say("reconstruction")
        results = trial.reconstruction(released, images)
        for name in ("SSIM", "PSNR"):
            put_interval(figures, f"{name.lower()}_gain", figure_of(results, name).gain)
    return figures


def mean_figures(several: Sequence[Figures]) -> Figures:
    """Return means over divisions; intervals are those of one division, averaged."""
    if not several:
        raise MechanismError("there is no patient split to average over; give one seed or more")
    means: Figures = {}
    for name in several[0]:
        values = [each[name] for each in several if math.isfinite(each.get(name, math.nan))]
        means[name] = round(float(np.mean(values)), 9) if values else math.nan
    return means


def _linkage(
    trial: Trial,
    fitted: FittedMechanism,
    released: Released,
    attackers: Sequence[str],
    say: Callable[[str], None],
) -> Figures:
    figures: Figures = {}
    strongest: AttackResult | None = None
    with_labels: list[tuple[float, float]] = []
    for mode, raw in MODES.items():
        found: list[tuple[AttackResult, AttackResult]] = []
        for attacker in (*attackers, WITH_LABELS):
            say(f"linkage, {mode}, {attacker}")
            try:
                results = trial.linkage(fitted, released, attacker, raw=raw)
            except AuditError:  # no two records of one patient are left to learn from
                continue
            pair = figure_of(results, "AUC"), figure_of(results, "precision@1")
            if attacker == WITH_LABELS:
                with_labels.append((pair[0].value.value, pair[1].value.value))
            else:
                found.append(pair)
        areas = [area.value.value for area, _ in found]
        precisions = [precision.value.value for _, precision in found]
        figures[f"linkage_{mode}"] = max(areas, default=math.nan)
        figures[f"precision_{mode}"] = max(precisions, default=math.nan)
        figures[f"floor_{mode}"] = found[0][0].floor if found else math.nan
        figures[f"chance_{mode}"] = found[0][1].chance if found else math.nan
        figures[f"precision_floor_{mode}"] = found[0][1].floor if found else math.nan
        for area, _ in found:
            if strongest is None or area.value.value > strongest.value.value:
                strongest = area
    nothing = Interval(math.nan, math.nan, math.nan)
    put_interval(figures, "linkage", nothing if strongest is None else strongest.value)
    figures["labelled_linkage"] = max((area for area, _ in with_labels), default=math.nan)
    figures["labelled_precision"] = max((each for _, each in with_labels), default=math.nan)
    return figures
