"""Train one model on one dataset, from files on disk to a folder that can score new images."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.datasets import Dataset, ImageRecord, Split
from deepfixcx.errors import LabelError, ModelError
from deepfixcx.learn.checkpoint import (
    Keeping,
    check_settings,
    differences,
    read_header,
    settings_of,
)
from deepfixcx.learn.classifier import Classifier, loader_of
from deepfixcx.learn.loading import Loaded
from deepfixcx.learn.logistic import LogisticCodes
from deepfixcx.learn.mapping import Failure, Report, most_often
from deepfixcx.learn.model_folder import (
    CHECKPOINT_FILE,
    MODEL_FILE,
    claimed,
    load_model,
    read_settings,
    save_model,
)
from deepfixcx.learn.options import TrainingOptions
from deepfixcx.learn.parts import (
    PartRules,
    check_counts,
    images_fingerprint,
    parts_of_images,
    release_of,
)
from deepfixcx.learn.scorers import LogisticScorer, ModuleScorer, build_module, choose_device
from deepfixcx.measures import roc_auc, youden_threshold
from deepfixcx.measures.code_range import CodeRange

if TYPE_CHECKING:
    from deepfixcx.learn.classifier import ReleasedInputs
    from deepfixcx.learn.fitting import Epoch, Fitted

__all__ = ["Trained", "train_model"]

NO_CHOICE = 0.5
"""The threshold of a label for which none can be chosen."""


@dataclass(frozen=True, eq=False, slots=True)
class Trained:
    """What came of `train_model`.

    Attributes
    ----------
    classifier : Classifier
        The model.
    failures : tuple of Failure
        Images of the training and validation parts that could not be read.
    notes : tuple of str
        Notes for the user on the split and the labels.
    seconds : float
        From the first file to the model on disk; 0 if it had been trained before.
    """

    classifier: Classifier
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, eq=False, slots=True)
class _Prepared:
    """Inputs and labels in memory, and which rows are for what."""

    inputs: NDArray[np.float32]
    labels: NDArray[np.float32]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    failures: tuple[Failure, ...]


def train_model(
    dataset: Dataset,
    folder: str | Path,
    options: TrainingOptions,
    rules: PartRules | None = None,
    *,
    workers: int = 1,
    cache: str | None = None,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    reading: Report | None = None,
    report: Callable[[Epoch, Fitted], None] | None = None,
    released: ReleasedInputs | None = None,
) -> Trained:
    """Train a model and write it into a folder.

    Parameters
    ----------
    dataset : Dataset
        Images with the labels to learn, and no others.
    folder : path-like
        Folder of the model, to be made. It holds weights, mean and spread of each input value,
        counts and settings; no image, no name of a file and no patient.
    options : TrainingOptions
        The model.
    rules : PartRules, optional
        How the dataset is divided. The test part is not even read.
    workers : int
        Processes that read images.
    cache : str, optional
        Folder of codes, as in `encode_records`.
    device : str
        Where torch works: ``"auto"`` (a GPU where there is one), ``"cpu"``, ``"cuda"``, ...
    resume : bool
        Go on where a training of the same images and options was stopped, with the same result.
        What is finished is left as it is.
    overwrite : bool
        Replace a model that is in the folder.
    reading : callable, optional
        Receives how many images are read, and of how many.
    report : callable, optional
        Receives each epoch, and how training went up to then.
    released : ReleasedInputs, optional
        Train on these records instead of images; `dataset` is theirs.

    Returns
    -------
    Trained
        The model, and what could not be read.

    Raises
    ------
    ModelError
        The folder is in use or holds a training of other settings, options do not fit the images,
        or no image can be read.
    LabelError
        The training part lacks positives or negatives of a label.
    SplitError
        Too few patients.
    TrainingStoppedError
        The disk is full; --resume goes on.
    MissingExtraError
        A package that the model needs is not installed.
    """
    place, rules = Path(folder), rules or PartRules()
    if not dataset.label_names:
        raise LabelError("the dataset has no labels to learn")
    if options.kind != "logistic":
        require("torch", extra="learn")
        choose_device(device)
    if options.kind == "network":
        from deepfixcx.learn.networks import find_factory

        find_factory(options.model)  # before hours of reading
    if released is not None:
        released.check(options, rules)
    loader = loader_of(options, None) if released is None else released.load
    mechanism = None if released is None else released.mechanism
    split = rules.divide(dataset)
    settings = settings_of(options, rules, dataset, split)
    with claimed(place, resume=resume, overwrite=overwrite) as own:
        if resume and (place / MODEL_FILE).is_file():
            return _trained_before(place, settings, options, device)
        keeping = Keeping(place / CHECKPOINT_FILE, settings, resume)
        if resume and keeping.path.is_file():  # before hours of reading
            check_settings(read_header(keeping.path).settings, settings)
        start = time.perf_counter()
        load = partial(loader, workers=workers, cache=cache, report=reading)
        prepared = _prepare(dataset, split, load)
        read = time.perf_counter()
        scorer, progress = _fit(prepared, options, device, keeping, report)
        held, inputs = prepared.labels[prepared.validation], prepared.inputs[prepared.validation]
        scores = scorer.probabilities(inputs) if len(held) else held
        classifier = Classifier(
            options,
            dataset.label_names,
            int(prepared.inputs.shape[1]) if mechanism is None else mechanism.channels,
            tuple(map(_threshold, held.T, scores.T)),
            rules,
            settings["dataset"],
            {
                **_counts(dataset, split, prepared),
                "content": settings["content"],
                **_figures(dataset.label_names, prepared, scores),
                **progress,
                "release_checksum": release_of(dataset) if released is None else released.checksum,
                "seconds_reading": round(read - start, 3),
                "seconds_training": round(time.perf_counter() - read, 3),
            },
            scorer,
            mechanism,
            CodeRange.of(prepared.inputs[prepared.train]),
        )
        save_model(classifier, place)
        own.remove(place, [CHECKPOINT_FILE])
    notes = (*split.notes, *_notes(dataset.label_names, held))
    return Trained(classifier, prepared.failures, notes, time.perf_counter() - start)


def _trained_before(
    folder: Path, settings: dict[str, Any], options: TrainingOptions, device: str
) -> Trained:
    # a custom network runs only if it is named, so nothing is loaded before this
    before = read_settings(folder)
    if differing := differences(before, settings):
        raise ModelError(
            f"{folder.name!r} holds a model of another training ({differing}); replace it with "
            "--overwrite"
        )
    network = options.model if ":" in options.model else None
    classifier = load_model(folder, network=network, device=device)
    return Trained(classifier, (), ("the model is already trained; nothing was done",), 0.0)


# -- data -------------------------------------------------------------------------------------


def _prepare(
    dataset: Dataset, split: Split, load: Callable[[Sequence[ImageRecord]], Loaded]
) -> _Prepared:
    """Read the images of the training and the validation part that have a known label."""
    wanted = split.development[dataset.known[split.development].any(axis=1)]
    records = [dataset.records[place] for place in wanted]
    loaded = load(records)
    places = wanted[loaded.places]
    labels = np.asarray(dataset.labels[places])
    train = np.flatnonzero(np.isin(places, split.train))
    validation = np.flatnonzero(np.isin(places, split.validation))
    _check_labels(dataset.label_names, labels[train], loaded)
    return _Prepared(loaded.array, labels, train, validation, loaded.failures)


def _check_labels(names: Sequence[str], labels: NDArray[np.float32], loaded: Loaded) -> None:
    if not len(labels):
        raise ModelError(f"no image of the training part can be used{most_often(loaded.failures)}")
    positives, negatives = ((labels == kind).sum(axis=0).tolist() for kind in (1, 0))
    counts = dict(zip(names, zip(positives, negatives, strict=True), strict=True))
    check_counts(counts, "the images to train on")


# -- models -----------------------------------------------------------------------------------


def _fit(
    prepared: _Prepared,
    options: TrainingOptions,
    device: str,
    keeping: Keeping,
    report: Callable[[Epoch, Fitted], None] | None,
) -> tuple[LogisticScorer | ModuleScorer, dict[str, Any]]:
    """Return the fitted model, and the history of its training as plain JSON values."""
    if options.kind == "logistic":
        codes, known = prepared.inputs[prepared.train], prepared.labels[prepared.train]
        rooted = codes.ndim > 2  # vectors of a mechanism have signs, and no few large numbers
        model = LogisticCodes.fit(codes, known, rooted=rooted, seed=options.seed)
        return LogisticScorer(model), {}
    import torch

    from deepfixcx.learn.fitting import fit

    channels, labels = int(prepared.inputs.shape[1]), prepared.labels.shape[1]
    module: Any = build_module(options, channels, labels)
    inputs = torch.from_numpy(prepared.inputs)
    module.fit_normalization(inputs[torch.from_numpy(prepared.train)])
    chosen = choose_device(device)
    fitted = fit(
        module.to(chosen),
        inputs.to(chosen) if options.kind == "mlp" else inputs,  # all codes lie beside the model
        torch.from_numpy(prepared.labels),
        prepared.train,
        prepared.validation,
        options,
        keeping=keeping,
        report=report,
    )
    history = [
        {
            "train_loss": _json(epoch.train_loss),
            "validation_loss": _json(epoch.validation_loss),
            "validation_auc": _json(epoch.auc),
        }
        for epoch in fitted.history
    ]
    return ModuleScorer(module), {"best_epoch": fitted.best_epoch, "history": history}


# -- facts ------------------------------------------------------------------------------------


def _threshold(labels: NDArray[np.float32], scores: NDArray[np.float32]) -> float:
    threshold = youden_threshold(labels, scores)
    return NO_CHOICE if math.isnan(threshold) else threshold


def _notes(names: Sequence[str], held: NDArray[np.float32]) -> list[str]:
    return [
        f"the validation images lack positives or negatives of {name!r}: its threshold is "
        f"{NO_CHOICE}"
        for name, column in zip(names, held.T, strict=True)
        if not {0, 1} <= set(column[~np.isnan(column)])
    ]


def _counts(dataset: Dataset, split: Split, prepared: _Prepared) -> dict[str, Any]:
    unlabelled = ~dataset.known[split.development].any(axis=1)
    return {
        "images_train": len(prepared.train),
        "images_validation": len(prepared.validation),
        "images_test": len(split.test),
        "images_failed": len(prepared.failures),
        "images_unlabelled": int(unlabelled.sum()),
        "images": images_fingerprint(dataset),
        "parts_of_images": parts_of_images(dataset, split),
    }


def _figures(
    names: Sequence[str], prepared: _Prepared, scores: NDArray[np.float32]
) -> dict[str, Any]:
    """Return the share of yes of each label, and its AUC on the validation images."""
    train, held = prepared.labels[prepared.train], prepared.labels[prepared.validation]
    shares = [_json(float(np.nanmean(labels))) for labels in train.T]
    areas = [_json(roc_auc(*pair)) for pair in zip(held.T, scores.T, strict=True)]
    odds = np.clip(scores.astype(np.float64), 1e-7, 1 - 1e-7)
    spread = np.log(odds / (1 - odds)).std(axis=0) if len(scores) > 1 else [math.nan] * len(names)
    return {
        "prevalence": dict(zip(names, shares, strict=True)),
        "spread_of_log_odds": dict(zip(names, map(_json, map(float, spread)), strict=True)),
        "validation_auc": dict(zip(names, areas, strict=True)),
    }


def _json(number: float) -> float | None:
    """Return a number as JSON has it, without NaN."""
    return None if math.isnan(number) else round(number, 6)
