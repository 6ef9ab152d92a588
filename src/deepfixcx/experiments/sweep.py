"""The sweep: every level and number of patches on the data at hand, and which to take.

A setting is measured by its size, the similarity of reconstructions and the AUC of classifiers.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.code import Code
from deepfixcx.codec import Codec
from deepfixcx.datasets import Dataset, Split, folds_by_patient
from deepfixcx.datasets.splits import join_copies
from deepfixcx.errors import ModelError
from deepfixcx.experiments.folder import Progress, Say, TrialFolder, TrialKind
from deepfixcx.experiments.recommendation import Recommendation, recommend_code
from deepfixcx.experiments.rows import Row, compare, put_interval, sweep_as_csv
from deepfixcx.experiments.sweep_inputs import Skipped, Survey, SweepOptions, survey_dataset
from deepfixcx.learn.baselines import blur, enlarge, median, unit_pixels
from deepfixcx.learn.loading import Channels, load_pixels
from deepfixcx.learn.mapping import Done, Failure, Image, Report, WorkerPool, map_images
from deepfixcx.learn.parts import confounder_note, group_names
from deepfixcx.learn.scorers import (
    choose_device,
    fold_numbers,
    score_by_logistic,
    score_by_mlp,
    score_by_network,
)
from deepfixcx.measures import auc_interval
from deepfixcx.measures.areas import auc_estimate
from deepfixcx.measures.intervals import Estimate
from deepfixcx.measures.quality import LEAST_SIDE, psnr, ssim
from deepfixcx.spec import CodecSpec

__all__ = ["Judge", "Sweep", "SweepOptions", "run_sweep"]

KIND = TrialKind("sweep", 3, Row, ModelError)

Array = NDArray[np.float32]

IMAGES_COMPARED = 100
"""SSIM and PSNR are means over at most so many images, drawn at random."""


@dataclass(frozen=True, eq=False, slots=True)
class Sweep:
    """What came of a sweep."""

    rows: tuple[Row, ...]
    skipped: tuple[Skipped, ...]
    recommendation: Recommendation[Row]
    failures: tuple[Failure, ...]
    images: int
    patients: int
    notes: tuple[str, ...]


def run_sweep(
    dataset: Dataset,
    folder: str | Path,
    options: SweepOptions | None = None,
    *,
    workers: int = 1,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    reading: Report | None = None,
    progress: Progress | None = None,
    draw: Callable[[Sweep], Mapping[str, bytes]] | None = None,
) -> Sweep:
    """Try every setting on a dataset."""
    options = options or SweepOptions()
    _check_tools(options, device)
    ways = {"resume": resume, "overwrite": overwrite}
    with (
        TrialFolder.claim(KIND, Path(folder), dataset, options.to_dict(), **ways) as place,
        WorkerPool(workers) as pool,
    ):
        survey = survey_dataset(dataset, options.specs(), pool, reading)
        contents = [hashlib.sha256(each.tobytes()).hexdigest() for each in survey.small]
        joined, copies = join_copies(survey.dataset, contents)
        survey = replace(survey, dataset=joined)
        folds = folds_by_patient(survey.dataset, options.folds, options.seed)
        judge = Judge.of(survey.dataset, folds, options, device)
        place.begin(survey.content)
        measured, _ = place.try_all(_settings(survey, judge, pool), progress)
        rows = compare(measured, options.seed, to_best=True)
        notes = confounder_note(survey.dataset) if options.within is None else ()
        sweep = Sweep(
            tuple(rows),
            survey.skipped,
            recommend_code(rows),
            survey.failures,
            len(survey.dataset),
            survey.dataset.patient_count,
            (*folds[0].notes, *copies, *notes),
        )
        figures = {} if draw is None else draw(sweep)
        place.finish(sweep_as_csv(rows), survey.failures, figures)
    return sweep


def _settings(survey: Survey, judge: Judge, pool: WorkerPool) -> dict[str, Callable[[Say], Row]]:
    """Return what measures each row, by its name; the original first."""
    settings: dict[str, Callable[[Say], Row]] = {
        Row().name: partial(_measure_original, survey, judge, pool)
    }
    for spec in survey.specs:
        name = Row(spec.level, spec.grid_shape[0]).name
        settings[name] = partial(_measure_setting, spec, survey, judge, pool)
    return settings


def _check_tools(options: SweepOptions, device: str) -> None:
    """See before hours of reading that there is everything to learn with."""
    require("sklearn", extra="learn")
    if options.model == "mlp" or options.cnn is not None:
        choose_device(device)
    if options.cnn is not None:
        from deepfixcx.learn.networks import find_factory

        find_factory(options.cnn)


# -- one setting ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, slots=True)
class Judge:
    """Who judges every setting: the same labels, folds and patients."""

    options: SweepOptions  # What learns
    labels: Array  # (N, L); 1, 0, or NaN where unknown
    label_names: tuple[str, ...]  # Names of the labels
    patients: NDArray[np.str_]  # (N,); Whose image it is; and only images of one group are compared
    groups: NDArray[np.str_]
    folds: tuple[Split, ...]  # Of the cross-validation
    device: str = "auto"  # Where torch works

    @classmethod
    def of(
        cls, dataset: Dataset, folds: tuple[Split, ...], options: SweepOptions, device: str
    ) -> Judge:
        """Make the judge of a dataset."""
        groups = fold_numbers(folds).astype(np.str_)
        if options.within is not None:
            kinds = group_names(dataset, options.within)
            groups = np.char.add(np.char.add(groups, " "), kinds)
        return cls(
            options,
            np.array(dataset.labels),
            dataset.label_names,
            dataset.patients,
            groups,
            folds,
            device,
        )

    def code_model(self, inputs: Array, spec: CodecSpec, *, codes: bool) -> Array:
        """Return scores (N, L) of the classifier on codes, or of the same on small images."""
        seed = self.options.seed
        if self.options.model == "logistic":
            return score_by_logistic(inputs, self.labels, self.folds, rooted=codes, seed=seed)
        training = self.options.for_mlp(spec)
        return score_by_mlp(inputs, self.labels, self.folds, training, self.device)

    def network(self, inputs: Array, spec: CodecSpec | None) -> Array:
        """Return scores (N, L) of the network on images made of codes, or on other images."""
        training = self.options.for_network(spec)
        if training is None:
            raise ModelError("the sweep has no network")
        return score_by_network(inputs, self.labels, self.folds, training, self.device)

    def judge(self, figures: dict[str, float], name: str, scores: Array) -> Estimate:
        """Add the AUC, mean and, of several, for each label; return the estimate of the mean."""
        whole = auc_estimate(self.labels, scores, self.patients, self.groups)
        put_interval(figures, name, whole.interval())
        if len(self.label_names) > 1:
            for place, label in enumerate(self.label_names):
                one = auc_interval(
                    self.labels[:, place], scores[:, place], self.patients, self.groups
                )
                put_interval(figures, f"{name}_{label}", one)
        return whole


def _measure_original(survey: Survey, judge: Judge, pool: WorkerPool, say: Say) -> Row:
    """Return the row of the original images."""
    figures: dict[str, float] = {}
    say("original")
    scores = judge.code_model(survey.small, survey.specs[0], codes=False)
    judge.judge(figures, "auc", scores)
    training = judge.options.for_network(None)
    if training is not None:
        say("original, network")
        side = int(training.number("side"))
        channels: Channels = 1 if survey.channels == 1 else 3
        loaded = load_pixels(survey.dataset.records, side, channels=channels, workers=pool)
        if loaded.failures:
            raise _changed(loaded.failures)
        judge.judge(figures, "cnn_auc", judge.network(loaded.array, None))
    return Row(figures=figures)


def _measure_setting(
    spec: CodecSpec, survey: Survey, judge: Judge, pool: WorkerPool, say: Say
) -> Row:
    """Return the row of one setting."""
    say(f"{spec}: encoding")
    codes, blurred, medians = _encode_all(spec, survey, pool)
    numbers = spec.numbers(survey.channels)
    mean_values = survey.channels * float(survey.sizes.prod(axis=1).mean())
    figures: dict[str, float] = {
        "numbers": numbers,
        "share": numbers / mean_values,
        "ratio_memory": survey.source_bytes / codes.nbytes,
        "ratio_disk": survey.file_bytes / _bytes_on_disk(codes, spec, survey.sizes),
    }
    say(f"{spec}: comparing with the originals")
    figures |= _qualities(spec, survey, judge.options.seed, pool)
    kinds = {"": codes, "blur_": blurred, "median_": medians}
    estimates = {}
    for prefix, inputs in kinds.items():
        say(f"{spec}: learning from {'codes' if not prefix else prefix.strip('_')}")
        scores = judge.code_model(inputs, spec, codes=not prefix)
        estimates[prefix] = judge.judge(figures, f"{prefix}auc", scores)
    training = judge.options.for_network(spec)
    if training is not None:
        side = int(training.number("side"))
        for prefix, inputs in kinds.items():
            say(f"{spec}: network on {'images' if not prefix else prefix.strip('_')}")
            if prefix:
                scores = judge.network(enlarge(inputs, side, side), None)
            else:
                scores = judge.network(inputs, spec)
            judge.judge(figures, f"{prefix}cnn_auc", scores)
    return Row(spec.level, spec.grid_shape[0], figures, estimates[""])


# -- images -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Encode:
    """An image becomes its code and the two filtered images; it travels to another process."""

    spec: CodecSpec
    channels: int

    def __call__(self, image: Image) -> tuple[Array, Array, Array]:
        pixels = _common_pixels(image, self.channels)
        code = Codec(self.spec).encode(pixels).array[0]
        whole = unit_pixels(pixels, gray=False)[None]
        numbers = self.spec.numbers(self.channels)
        return code, blur(whole, numbers)[0], median(whole, numbers)[0]


def _encode_all(spec: CodecSpec, survey: Survey, pool: WorkerPool) -> list[Array]:
    """Return codes, blurred and median-filtered images, each (N, ...)."""
    channels, count = survey.channels, len(survey.dataset)
    arrays: list[Array] = []
    work = _Encode(spec, channels)
    for row, outcome in enumerate(map_images(survey.dataset.records, work, workers=pool)):
        if isinstance(outcome, Failure):
            raise _changed([outcome])
        if not arrays:
            arrays = [np.empty((count, *part.shape), np.float32) for part in outcome.result]
        for array, part in zip(arrays, outcome.result, strict=True):
            array[row] = part
    return arrays


def _bytes_on_disk(codes: Array, spec: CodecSpec, sizes: NDArray[np.int64]) -> int:
    """Return the size of the file of all codes, as `Code.save` writes it."""
    with tempfile.TemporaryDirectory(prefix="deepfixcx-") as folder:
        path = Path(folder) / "codes.safetensors"
        Code(codes, spec, sizes).save(path)
        return path.stat().st_size


@dataclass(frozen=True, slots=True)
class _Compare:
    """An image becomes SSIM and PSNR of its reconstructions; it travels to another process."""

    spec: CodecSpec
    channels: int

    def __call__(self, image: Image) -> dict[str, float]:
        pixels = _common_pixels(image, self.channels)
        whole = unit_pixels(pixels, gray=False)
        height, width = whole.shape[1:]
        numbers = self.spec.numbers(self.channels)
        made = {
            "": Codec(self.spec).privatize(pixels, size="original"),
            "blur_": enlarge(blur(whole[None], numbers), height, width)[0],
            "median_": enlarge(median(whole[None], numbers), height, width)[0],
        }
        return {
            f"{prefix}{name}": measure(whole, reconstruction)
            for prefix, reconstruction in made.items()
            for name, measure in (("ssim", ssim), ("psnr", psnr))
        }


def _qualities(spec: CodecSpec, survey: Survey, seed: int, pool: WorkerPool) -> dict[str, float]:
    """Return means over some images, the same for every setting."""
    large = np.flatnonzero(survey.sizes.min(axis=1) >= LEAST_SIDE)
    drawn = np.random.default_rng(seed).permutation(large)[:IMAGES_COMPARED]
    records = [survey.dataset.records[place] for place in np.sort(drawn)]
    results = []
    for outcome in map_images(records, _Compare(spec, survey.channels), workers=pool):
        if not isinstance(outcome, Done):
            raise _changed([outcome])
        results.append(outcome.result)
    names = list(results[0]) if results else []
    return {name: float(np.mean([each[name] for each in results])) for name in names}


def _changed(failures: Sequence[Failure]) -> ModelError:
    return ModelError(
        f"an image that was read earlier cannot be read now ({failures[0].error}); do not change "
        "the dataset during a sweep, and start again with --overwrite"
    )


def _common_pixels(image: Image, channels: int) -> NDArray[Any]:
    """Return pixels (C, H, W) in the dtype of the file; for three channels gray is repeated."""
    pixels = image.pixels
    return np.repeat(pixels, channels, axis=0) if len(pixels) < channels else pixels
