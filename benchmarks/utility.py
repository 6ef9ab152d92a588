"""How well tasks can be done with codes, and with as many numbers of other kinds (AUC)."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.table import Table, put_section
from deepfixcx import Codec, CodecSpec
from deepfixcx.datasets import Dataset, Split, folds_by_patient, load_dataset
from deepfixcx.learn.baselines import BASELINES
from deepfixcx.learn.loading import load_pixels
from deepfixcx.learn.options import TrainingOptions
from deepfixcx.learn.scorers import (
    score_by_logistic,
    score_by_mlp,
    score_by_network,
)
from deepfixcx.measures import Interval, auc_interval, roc_auc

__all__ = [
    "TASKS",
    "Line",
    "Task",
    "counts_of",
    "line_of",
    "lines_of",
    "main",
    "tiny_task",
    "utility_table",
]

Array = NDArray[np.float32]

ROOT = Path(__file__).resolve().parents[1]
SIDE = 320
SMALL_SIDE = 64
"""Pixels a side of the original that logistic regression sees."""

SPECS = (CodecSpec(2, 4), CodecSpec(3, 4), CodecSpec(2, 8))
SPECS_28 = (CodecSpec(1, 3), CodecSpec(2, 2), CodecSpec(2, 4))


@dataclass(frozen=True, eq=False, slots=True)
class Task:
    """Images with one label, and how they are divided.

    Attributes
    ----------
    name : str
        For the table.
    pixels : ndarray of float32, shape (N, C, H, W)
        In [0, 1].
    labels : ndarray of float32, shape (N, 1)
        1, 0, or NaN where unknown.
    patients, views : ndarray of str, shape (N,)
        Views are empty where they are not known.
    folds : tuple of Split
        Every test part is scored by models of the others.
    specs : tuple of CodecSpec
        Settings of the codes.
    """

    name: str
    pixels: Array
    labels: Array
    patients: NDArray[np.str_]
    views: NDArray[np.str_]
    folds: tuple[Split, ...]
    specs: tuple[CodecSpec, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table; `within` compares images of one view only."""

    task: str
    seen: str
    model: str
    numbers: int
    share: float
    auc: Interval
    deviation: float
    within: Interval | None
    accuracy: float | None


# -- tasks ------------------------------------------------------------------------------------


def _from_folder(
    name: str, folder: str, label: str, data: Path, folds: int, specs: tuple[CodecSpec, ...]
) -> Task:
    dataset = load_dataset(data / folder, labels=label)
    return _of_dataset(name, dataset, folds, specs, SIDE)


def _of_dataset(
    name: str, dataset: Dataset, folds: int, specs: tuple[CodecSpec, ...], side: int
) -> Task:
    dataset = dataset.select(dataset.known[:, 0])
    loaded = load_pixels(dataset.records, side)
    dataset = dataset.select(loaded.places)
    views = np.array([record.view or "" for record in dataset.records], dtype=np.str_)
    return Task(
        name,
        loaded.array,
        np.array(dataset.labels),
        dataset.patients,
        views,
        folds_by_patient(dataset, folds),
        specs,
    )


def _pneumoniamnist(data: Path, _: int) -> Task:
    parts = ("train", "val", "test")
    with np.load(data / "pneumoniamnist" / "pneumoniamnist_rebuilt.npz") as file:
        images = np.concatenate([file[f"{part}_images"] for part in parts])
        labels = np.concatenate([file[f"{part}_labels"] for part in parts])
        ends = np.cumsum([len(file[f"{part}_images"]) for part in parts])
    places = np.arange(len(images))
    split = Split(places[: ends[0]], places[ends[0] : ends[1]], places[ends[1] :])
    return Task(
        "PneumoniaMNIST, official split",
        np.asarray(images[:, None] / 255, np.float32),
        np.asarray(labels.reshape(-1, 1), np.float32),
        places.astype(np.str_),
        np.full(len(images), "", dtype=np.str_),
        (split,),
        SPECS_28,
    )


TASKS: dict[str, Callable[[Path, int], Task]] = {
    "cxr-pneumonia": lambda data, folds: _from_folder(
        "X-rays, pneumonia", "cxr_nih", "pneumonia", data, folds, SPECS
    ),
    "cxr-effusion": lambda data, folds: _from_folder(
        "X-rays, effusion", "cxr_nih", "effusion", data, folds, SPECS
    ),
    "children": lambda data, folds: _from_folder(
        "children's X-rays, pneumonia", "cxr_kermany", "pneumonia", data, folds, SPECS
    ),
    "fundus": lambda data, folds: _from_folder(
        "fundus, any retinopathy", "fundus_dr", "any_dr", data, folds, SPECS
    ),
    "pneumoniamnist": _pneumoniamnist,
}
"""Tasks on the folder of real images, by the name that --tasks takes."""


def tiny_task(folds: int) -> Task:
    """Draw a task that takes seconds: the sick have fine texture."""
    generator = np.random.default_rng(0)
    labels = (np.arange(60) // 2 % 2).astype(np.float32)[:, None]
    pixels = generator.normal(0.5, 0.05, (60, 1, 32, 32)) + 0.2 * generator.random((60, 1, 1, 1))
    pixels += generator.normal(0, 0.1, pixels.shape) * labels[:, :, None, None]
    patients = (np.arange(60) // 2).astype(np.str_)
    ordered = np.arange(60)
    parts = [ordered[ordered // 2 % folds == fold] for fold in range(folds)]
    splits = [
        Split(
            np.setdiff1d(ordered, np.union1d(parts[fold], parts[(fold + 1) % folds])),
            parts[(fold + 1) % folds],
            parts[fold],
        )
        for fold in range(folds)
    ]
    views = np.where(np.arange(60) // 2 % 3 == 0, "AP", "PA").astype(np.str_)
    small = (CodecSpec(1, 2), CodecSpec(2, 2))
    return Task(
        "drawn texture",
        pixels.clip(0, 1).astype(np.float32),
        labels,
        patients,
        views,
        tuple(splits),
        small,
    )


# -- lines ------------------------------------------------------------------------------------


def lines_of(task: Task, options: argparse.Namespace) -> Iterator[Line]:
    """Yield the rows of a task: originals first, then each setting beside its baselines."""
    seeds = range(options.seeds)
    pixels = int(np.prod(task.pixels.shape[1:]))
    side = min(SMALL_SIDE, task.pixels.shape[-1])
    small = BASELINES["downsample"](task.pixels, task.pixels.shape[1] * side**2)
    yield line_of(
        task, f"original at {side}×{side}", "logistic", small[0].size, [_logistic(task, small)]
    )
    if options.cnn is not None:
        network = TrainingOptions(
            options.cnn, "original", side=task.pixels.shape[-1], epochs=options.epochs
        )
        scores = [_network(task, task.pixels, network, seed, options.device) for seed in seeds]
        yield line_of(task, "original", options.cnn, pixels, scores)
    for spec in task.specs:
        numbers = spec.numbers(task.pixels.shape[1])
        codes = Codec(spec).encode(task.pixels).array
        setting = f"J={spec.level}, P={spec.grid_shape[0]}"
        for name, keep in BASELINES.items():
            kept = keep(task.pixels, numbers)
            yield line_of(
                task, f"{name} as {setting}", "logistic", kept[0].size, [_logistic(task, kept)]
            )
        rooted = [_logistic(task, codes, rooted=True)]
        yield line_of(task, f"codes {setting}", "logistic", numbers, rooted)
        mlp = TrainingOptions("mlp", spec=spec, epochs=options.epochs)
        scores = [
            score_by_mlp(codes, task.labels, task.folds, replace(mlp, seed=seed), options.device)
            for seed in seeds
        ]
        yield line_of(task, f"codes {setting}", "mlp", numbers, scores)
        if options.cnn is not None:
            network = TrainingOptions(
                options.cnn, "images", spec, task.pixels.shape[-1], epochs=options.epochs
            )
            scores = [_network(task, codes, network, seed, options.device) for seed in seeds]
            yield line_of(task, f"images of {setting}", options.cnn, numbers, scores)


def _logistic(task: Task, inputs: Array, *, rooted: bool = False) -> Array:
    return score_by_logistic(inputs, task.labels, task.folds, rooted=rooted)


def _network(task: Task, inputs: Array, options: TrainingOptions, seed: int, device: str) -> Array:
    return score_by_network(inputs, task.labels, task.folds, replace(options, seed=seed), device)


def line_of(task: Task, seen: str, model: str, numbers: int, scores: Sequence[Array]) -> Line:
    """Judge the scores of one or more seeds on the images that are in a test part."""
    tested = np.sort(np.concatenate([fold.test for fold in task.folds]))
    fold = np.zeros(len(task.labels), np.int64)
    for number, split in enumerate(task.folds):
        fold[split.test] = number
    groups = fold[tested].astype(np.str_)
    columns = np.concatenate([each[tested] for each in scores], axis=1)
    labels = np.repeat(task.labels[tested], len(scores), axis=1)
    patients, views = task.patients[tested], task.views[tested]
    areas = [roc_auc(*pair, groups) for pair in zip(labels.T, columns.T, strict=True)]
    within = None
    if (views != "").all() and len(set(views)) > 1:
        both = np.char.add(np.char.add(groups, " "), views)
        within = auc_interval(labels, columns, patients, both)
    accuracy = None
    if len(task.folds) == 1:
        middle = 0.0 if model == "logistic" else 0.5  # of log odds, of probabilities
        accuracy = float(((columns > middle) == (labels == 1)).mean())
    return Line(
        task.name,
        seen,
        model,
        numbers,
        numbers / int(np.prod(task.pixels.shape[1:])),
        auc_interval(labels, columns, patients, groups),
        float(np.std(areas, ddof=1)) if len(areas) > 1 else 0.0,
        within,
        accuracy,
    )


def utility_table(lines: Sequence[Line]) -> Table:
    """Lay the rows of one task out."""
    columns = ["what a model sees", "model", "numbers", "of the pixels", "AUC"]
    seeds = any(line.deviation for line in lines)
    within = any(line.within for line in lines)
    accuracy = any(line.accuracy is not None for line in lines)
    columns += ["± over seeds"] * seeds + ["AUC within view"] * within + ["accuracy"] * accuracy
    table = Table(columns, words=2)
    for line in lines:
        cells = [line.seen, line.model, f"{line.numbers:,}", f"{100 * line.share:.3g} %"]
        cells.append(str(line.auc))
        if seeds:
            cells.append(f"{line.deviation:.3f}" if line.deviation else "")
        if within:
            cells.append("" if line.within is None else str(line.within))
        if accuracy:
            cells.append("" if line.accuracy is None else f"{line.accuracy:.3f}")
        table.add(*cells)
    return table


# -- the command ------------------------------------------------------------------------------


def main(words: Sequence[str] | None = None) -> None:
    """Judge every task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of real images; DEEPFIXCX_DATA if absent")
    parser.add_argument("--tasks", nargs="+", choices=sorted(TASKS), default=list(TASKS))
    parser.add_argument("--folds", type=int, default=5, help="of the cross-validation")
    parser.add_argument("--seeds", type=int, default=5, help="of mlp and networks")
    parser.add_argument("--epochs", type=int, help="most passes of mlp and networks")
    parser.add_argument("--cnn", help="also a network, such as resnet18")
    parser.add_argument("--device", default="auto", help="where torch works")
    parser.add_argument("--tiny", action="store_true", help="a drawn task, to try the program out")
    parser.add_argument("--markdown", type=Path, help="page whose section to replace")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args(words)
    data = options.data or Path(os.environ.get("DEEPFIXCX_DATA") or ROOT.parent / "shared" / "data")
    names = ["tiny"] if options.tiny else options.tasks
    parts: list[str] = []
    lines: list[Line] = []
    for name in names:
        task = tiny_task(options.folds) if options.tiny else TASKS[name](data, options.folds)
        own = list(lines_of(task, options))
        lines += own
        size = "×".join(map(str, task.pixels.shape[1:]))
        parts += [f"**{task.name}** ({counts_of(task)}; {size})", utility_table(own).markdown()]
        print("\n\n".join(parts[-2:]), end="\n\n", flush=True)
    parts.append(_conditions(options, names))
    print(parts[-1])
    if options.markdown is not None:
        put_section(options.markdown, "utility", parts)
    if options.json is not None:
        options.json.write_text(
            json.dumps([asdict(line) for line in lines], indent=2) + "\n", "utf-8"
        )


def counts_of(task: Task) -> str:
    """Say how many images of how many patients are tested."""
    tested = np.concatenate([fold.test for fold in task.folds])
    yes, no = int((task.labels[tested] == 1).sum()), int((task.labels[tested] == 0).sum())
    return (
        f"{yes} positives and {no} negatives of {len(set(task.patients[tested]))} patients tested"
    )


def _conditions(options: argparse.Namespace, names: Sequence[str]) -> str:
    command = "python -m benchmarks.utility"
    command += " --tiny" if options.tiny else f" --tasks {' '.join(names)}"
    for name in ("folds", "seeds", "epochs", "cnn"):
        value = getattr(options, name)
        if value is not None:
            command += f" --{name} {value}"
    return (
        f"Made by `{command}`. Folds never share a patient; the AUC compares images of one fold, "
        f"with 95 % intervals over patients, and is the mean of {options.seeds} seeds for mlp and "
        f"networks. Accuracy is at a probability of 0.5."
    )


if __name__ == "__main__":
    main()
