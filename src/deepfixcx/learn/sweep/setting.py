"""The first pass over a dataset, and one setting of a sweep: size, similarity and usefulness."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.code import Code
from deepfixcx.codec import Codec
from deepfixcx.datasets import Dataset, Split
from deepfixcx.errors import ImageTooSmallError, LabelError, ModelError
from deepfixcx.learn.baselines import blur, enlarge, median, resize, unit_pixels
from deepfixcx.learn.loading import Channels, load_pixels
from deepfixcx.learn.mapping import (
    Done,
    Failure,
    Image,
    Report,
    WorkerPool,
    map_images,
    most_often,
)
from deepfixcx.learn.parts import check_counts, group_names
from deepfixcx.learn.scorers import (
    fold_numbers,
    score_by_logistic,
    score_by_mlp,
    score_by_network,
)
from deepfixcx.learn.sweep.options import SweepOptions
from deepfixcx.learn.sweep.rows import Row
from deepfixcx.learn.trial_folder import Say, put_interval
from deepfixcx.measures import auc_interval
from deepfixcx.measures.areas import auc_estimate
from deepfixcx.measures.intervals import Estimate
from deepfixcx.measures.quality import LEAST_SIDE, psnr, ssim
from deepfixcx.spec import CodecSpec

__all__ = [
    "ORIGINAL_SIDE",
    "Judge",
    "Skipped",
    "Survey",
    "common_pixels",
    "measure_original",
    "measure_setting",
    "survey_dataset",
]

ORIGINAL_SIDE = 64
"""Pixels a side of the original that the small classifier sees."""

SHARE_THAT_FITS = 0.95
"""A setting is skipped if it fits fewer of the images."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A setting that was not tried, and why."""

    level: int
    patches: tuple[int, int]
    reason: str


@dataclass(frozen=True, eq=False, slots=True)
class Survey:
    """What is known of the images before the first setting."""

    dataset: Dataset  # The images that every setting uses, N of them
    channels: int  # 1 if all are gray, otherwise 3
    sizes: NDArray[np.int64]  # (N, 2); Heights and widths
    source_bytes: int  # Of all pixels in memory, and of all files
    file_bytes: int
    small: NDArray[np.float32]  # (N, C, 64, 64); The originals, small
    specs: tuple[CodecSpec, ...]  # The settings that fit
    skipped: tuple[Skipped, ...]  # The others
    # Images that are not used; places are those of the dataset that was given
    failures: tuple[Failure, ...]
    content: str  # A hash of what the files hold


def survey_dataset(
    dataset: Dataset,
    specs: tuple[CodecSpec, ...],
    pool: WorkerPool,
    report: Report | None = None,
) -> Survey:
    """Read every image that has a label once."""
    if not dataset.label_names:
        raise LabelError("the dataset has no labels to learn")
    labelled = np.flatnonzero(dataset.known.any(axis=1))
    records = [dataset.records[place] for place in labelled]
    facts: dict[int, _Facts] = {}
    failures = []
    for outcome in map_images(records, _look, workers=pool, report=report):
        place = int(labelled[outcome.place])
        if isinstance(outcome, Done):
            facts[place] = outcome.result
        else:
            failures.append(Failure(place, outcome.error, outcome.reason))
    if not facts:
        raise ModelError(f"no image can be used{most_often(failures) or ': none has a label'}")
    fitting, skipped = _that_fit(specs, [each.size for each in facts.values()])
    if not fitting:
        raise ModelError(f"no setting fits these images: {skipped[0].reason}")
    for place in sorted(facts):
        reason = _misfit(fitting, facts[place].size)
        if reason:
            failures.append(Failure(place, ImageTooSmallError.__name__, reason))
            del facts[place]
    places = sorted(facts)
    used = dataset.select(places)
    check_counts(
        {name: (yes, no) for name, (yes, no, _) in used.counts().items()},
        "the images that can be used",
    )
    chosen = [facts[place] for place in places]
    channels = max(len(each.small) for each in chosen)
    small = np.empty((len(chosen), channels, ORIGINAL_SIDE, ORIGINAL_SIDE), np.float32)
    for row, each in enumerate(chosen):
        small[row] = each.small
    return Survey(
        used,
        channels,
        np.array([each.size for each in chosen], np.int64),
        sum(each.source_bytes for each in chosen),
        sum(each.file_bytes for each in chosen),
        small,
        fitting,
        skipped,
        tuple(sorted(failures, key=lambda failure: failure.place)),
        hashlib.sha256("".join(sorted(each.digest for each in chosen)).encode()).hexdigest(),
    )


def common_pixels(image: Image, channels: int) -> NDArray[Any]:
    """Return pixels (C, H, W) in the dtype of the file; for three channels gray is repeated."""
    pixels = image.pixels
    return np.repeat(pixels, channels, axis=0) if len(pixels) < channels else pixels


@dataclass(frozen=True, eq=False, slots=True)
class _Facts:
    size: tuple[int, int]
    source_bytes: int
    file_bytes: int
    digest: str
    small: NDArray[np.float32]


def _look(image: Image) -> _Facts:
    height, width = image.pixels.shape[1:]
    pixels = unit_pixels(image.pixels, gray=False)
    small = resize(pixels, ORIGINAL_SIDE, ORIGINAL_SIDE)
    return _Facts((height, width), image.pixels.nbytes, image.file_bytes, image.digest, small)


def _that_fit(
    specs: tuple[CodecSpec, ...], sizes: list[tuple[int, int]]
) -> tuple[tuple[CodecSpec, ...], tuple[Skipped, ...]]:
    fitting, skipped = [], []
    counts = Counter(sizes)
    for spec in specs:
        misfits = {size: reason for size in counts if (reason := _misfit((spec,), size))}
        fit = sum(count for size, count in counts.items() if size not in misfits)
        if fit >= SHARE_THAT_FITS * len(sizes):
            fitting.append(spec)
        else:
            reason = misfits[max(misfits, key=lambda size: counts[size])]
            skipped.append(Skipped(spec.level, spec.grid_shape, reason))
    return tuple(fitting), tuple(skipped)


def _misfit(specs: tuple[CodecSpec, ...], size: tuple[int, int]) -> str:
    """Return why the first of the settings that does not fit an image does not, or nothing."""
    for spec in specs:
        try:
            spec.cells(*size)
        except ImageTooSmallError as error:
            return str(error)
    return ""


Array = NDArray[np.float32]

IMAGES_COMPARED = 100
"""SSIM and PSNR are means over at most so many images, drawn at random."""


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


def measure_original(survey: Survey, judge: Judge, pool: WorkerPool, say: Say) -> Row:
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


def measure_setting(
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
        pixels = common_pixels(image, self.channels)
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
