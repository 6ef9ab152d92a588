"""The first pass of a sweep over a dataset: what can be read, how large it is, what fits."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.datasets import Dataset
from deepfixcx.errors import ImageTooSmallError, LabelError, ModelError
from deepfixcx.learn.mapping import Crew, Done, Failure, Image, Report, map_images
from deepfixcx.learn.resizing import resize, unit_pixels
from deepfixcx.spec import CodecSpec

__all__ = ["ORIGINAL_SIDE", "Skipped", "Survey", "common_pixels", "survey_dataset"]

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
    """What is known of the images before the first setting.

    Attributes
    ----------
    dataset : Dataset
        The images that every setting uses, N of them.
    channels : int
        1 if all are gray, otherwise 3.
    sizes : ndarray of int64, shape (N, 2)
        Heights and widths.
    source_bytes, file_bytes : int
        Of all pixels in memory, and of all files.
    small : ndarray of float32, shape (N, C, 64, 64)
        The originals, small.
    specs : tuple of CodecSpec
        The settings that fit.
    skipped : tuple of Skipped
        The others.
    failures : tuple of Failure
        Images that are not used; places are those of the dataset that was given.
    content : str
        A hash of what the files hold.
    """

    dataset: Dataset
    channels: int
    sizes: NDArray[np.int64]
    source_bytes: int
    file_bytes: int
    small: NDArray[np.float32]
    specs: tuple[CodecSpec, ...]
    skipped: tuple[Skipped, ...]
    failures: tuple[Failure, ...]
    content: str


def survey_dataset(
    dataset: Dataset,
    specs: tuple[CodecSpec, ...],
    crew: Crew,
    report: Report | None = None,
) -> Survey:
    """Read every image that has a label once.

    Parameters
    ----------
    dataset : Dataset
        With the labels to learn.
    specs : tuple of CodecSpec
        All settings.
    crew : Crew
        Who reads.
    report : callable, optional
        Told how many images are read, and of how many.

    Returns
    -------
    Survey
        Images that are too small for a setting that fits the others are left out.

    Raises
    ------
    LabelError
        A label that does not have both yes and no.
    ModelError
        No image can be used, or no setting fits.
    """
    if not dataset.label_names:
        raise LabelError("the dataset has no labels to learn")
    labelled = np.flatnonzero(dataset.known.any(axis=1))
    records = [dataset.records[place] for place in labelled]
    facts: dict[int, _Facts] = {}
    failures = []
    for outcome in map_images(records, _look, workers=crew, report=report):
        place = int(labelled[outcome.place])
        if isinstance(outcome, Done):
            facts[place] = outcome.result
        else:
            failures.append(Failure(place, outcome.error, outcome.reason))
    if not facts:
        raise ModelError(f"no image can be used{_most_often(failures)}")
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
    _check_labels(used)
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


def _check_labels(dataset: Dataset) -> None:
    for name, (yes, no, _) in dataset.counts().items():
        if not yes or not no:
            raise LabelError(
                f"the label {name!r} has {yes} yes and {no} no among the images that can be used; "
                f"omit it or gather more images. A label of -1 counts as uncertain and so as "
                f"unknown; --uncertain negative counts it as no"
            )


def _most_often(failures: list[Failure]) -> str:
    often = Counter(f"{each.error}: {each.reason}" for each in failures).most_common(1)
    return f"; most often {often[0][0]}" if often else ": none has a label"
