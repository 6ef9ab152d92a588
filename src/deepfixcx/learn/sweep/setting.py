"""One setting of a sweep: how small, how near to the original, and how useful its codes are."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepfixcx.code import Code
from deepfixcx.codec import Codec
from deepfixcx.datasets import Dataset, Split
from deepfixcx.errors import ModelError
from deepfixcx.learn.baselines import blur, enlarge, median
from deepfixcx.learn.grouping import group_names
from deepfixcx.learn.loading import Channels, load_pixels
from deepfixcx.learn.mapping import Crew, Done, Failure, Image, map_images
from deepfixcx.learn.resizing import unit_pixels
from deepfixcx.learn.sweep.models import (
    fold_numbers,
    score_by_logistic,
    score_by_mlp,
    score_by_network,
)
from deepfixcx.learn.sweep.options import SweepOptions
from deepfixcx.learn.sweep.rows import Row
from deepfixcx.learn.sweep.survey import Survey, common_pixels
from deepfixcx.measures import auc_interval
from deepfixcx.measures.areas import auc_estimate
from deepfixcx.measures.figures import put_interval
from deepfixcx.measures.intervals import Estimate
from deepfixcx.measures.quality import LEAST_SIDE, psnr, ssim
from deepfixcx.spec import CodecSpec

__all__ = ["Judge", "Say", "measure_original", "measure_setting"]

Array = NDArray[np.float32]

Say = Callable[[str], None]
"""Told what is being done."""

IMAGES_COMPARED = 100
"""SSIM and PSNR are means over at most so many images, drawn at random."""


@dataclass(frozen=True, eq=False, slots=True)
class Judge:
    """Who judges every setting: the same labels, folds and patients.

    Attributes
    ----------
    options : SweepOptions
        What learns.
    labels : ndarray of float32, shape (N, L)
        1, 0, or NaN where unknown.
    label_names : tuple of str, length L
        Names of the labels.
    patients, groups : ndarray, shape (N,)
        Whose image it is; and only images of one group are compared.
    folds : tuple of Split
        Of the cross-validation.
    device : str
        Where torch works.
    """

    options: SweepOptions
    labels: Array
    label_names: tuple[str, ...]
    patients: NDArray[np.str_]
    groups: NDArray[np.str_]
    folds: tuple[Split, ...]
    device: str = "auto"

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


def measure_original(survey: Survey, judge: Judge, crew: Crew, say: Say) -> Row:
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
        loaded = load_pixels(survey.dataset.records, side, channels=channels, workers=crew)
        if loaded.failures:
            raise _changed(loaded.failures)
        judge.judge(figures, "cnn_auc", judge.network(loaded.array, None))
    return Row(figures=figures)


def measure_setting(spec: CodecSpec, survey: Survey, judge: Judge, crew: Crew, say: Say) -> Row:
    """Return the row of one setting."""
    say(f"{spec}: encoding")
    parts = _encode_all(spec, survey, crew)
    numbers = spec.numbers(survey.channels)
    mean_values = survey.channels * float(survey.sizes.prod(axis=1).mean())
    figures: dict[str, float] = {
        "numbers": numbers,
        "share": numbers / mean_values,
        "ratio_memory": survey.source_bytes / parts.codes.nbytes,
        "ratio_disk": survey.file_bytes / _bytes_on_disk(parts.codes, spec, survey.sizes),
    }
    say(f"{spec}: comparing with the originals")
    figures |= _qualities(spec, survey, judge.options.seed, crew)
    kinds = {"": parts.codes, "blur_": parts.blurred, "median_": parts.medians}
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


@dataclass(frozen=True, eq=False, slots=True)
class _Parts:
    codes: Array
    blurred: Array
    medians: Array


@dataclass(frozen=True, slots=True)
class _Encode:
    """An image becomes its code and the two filtered images; it travels to another process."""

    spec: CodecSpec
    channels: int

    def __call__(self, image: Image) -> tuple[Array, Array, Array]:
        pixels = common_pixels(image, self.channels)
        code = Codec(self.spec).encode(pixels).array[0]
        whole = unit_pixels(pixels, gray=False)[None]
        numbers = self.spec.numbers(self.channels)
        return code, blur(whole, numbers)[0], median(whole, numbers)[0]


def _encode_all(spec: CodecSpec, survey: Survey, crew: Crew) -> _Parts:
    channels, count = survey.channels, len(survey.dataset)
    arrays: list[Array] = []
    work = _Encode(spec, channels)
    for row, outcome in enumerate(map_images(survey.dataset.records, work, workers=crew)):
        if isinstance(outcome, Failure):
            raise _changed([outcome])
        if not arrays:
            arrays = [np.empty((count, *part.shape), np.float32) for part in outcome.result]
        for array, part in zip(arrays, outcome.result, strict=True):
            array[row] = part
    return _Parts(*arrays)


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
        pixels = common_pixels(image, self.channels)
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


def _qualities(spec: CodecSpec, survey: Survey, seed: int, crew: Crew) -> dict[str, float]:
    """Return means over some images, the same for every setting."""
    large = np.flatnonzero(survey.sizes.min(axis=1) >= LEAST_SIDE)
    drawn = np.random.default_rng(seed).permutation(large)[:IMAGES_COMPARED]
    records = [survey.dataset.records[place] for place in np.sort(drawn)]
    results = []
    for outcome in map_images(records, _Compare(spec, survey.channels), workers=crew):
        if not isinstance(outcome, Done):
            raise _changed([outcome])
        results.append(outcome.result)
    names = list(results[0]) if results else []
    return {name: float(np.mean([each[name] for each in results])) for name in names}


def _changed(failures: Sequence[Failure]) -> ModelError:
    return ModelError(
        f"an image that was read before cannot be read any more ({failures[0].error}); leave the "
        f"dataset as it is while a sweep runs, and start it anew"
    )
