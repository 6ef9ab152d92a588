"""What a sweep tries, and the first pass over its images."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from deepfixcx.choices import CodeModel
from deepfixcx.datasets import Dataset
from deepfixcx.errors import ImageTooSmallError, LabelError, ModelError
from deepfixcx.learn.baselines import resize, unit_pixels
from deepfixcx.learn.mapping import (
    Failure,
    Image,
    Report,
    WorkerPool,
    map_labelled,
    most_often,
)
from deepfixcx.learn.options import NETWORKS, TrainingOptions
from deepfixcx.learn.parts import check_counts
from deepfixcx.spec import CodecSpec

__all__ = ["ORIGINAL_SIDE", "Skipped", "Survey", "SweepOptions", "survey_dataset"]


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """Which settings are tried, and what learns from them."""

    levels: Sequence[int] = (1, 2, 3, 4, 5, 6)
    patches: Sequence[int] = (2, 4, 8)
    like: CodecSpec | None = None
    model: CodeModel = "logistic"
    cnn: str | None = None
    folds: int = 5
    seed: int = 0
    side: int | None = None
    epochs: int | None = None
    within: str | None = None

    def __post_init__(self) -> None:
        """Check the options."""
        for name in ("levels", "patches"):
            values = tuple(getattr(self, name))
            if not values or len(set(values)) != len(values):
                raise ModelError(f"{name} must be one or more different numbers; got {values}")
            object.__setattr__(self, name, values)
        if self.model not in get_args(CodeModel):
            raise ModelError(f"a sweep trains logistic or mlp on codes, not {self.model!r}")
        if self.folds < 3:
            raise ModelError(
                f"a sweep needs 3 folds or more (train, validation, test), got {self.folds}"
            )
        if self.cnn is None and self.side is not None:
            raise ModelError("side is the size of the images of a network; name a network with cnn")
        if self.cnn is None and self.model == "logistic" and self.epochs is not None:
            raise ModelError("the model 'logistic' has no epochs; omit them")
        if self.cnn is not None and self.cnn not in NETWORKS and ":" not in self.cnn:
            raise ModelError(
                f"there is no network {self.cnn!r}; available: {', '.join(NETWORKS)}, and your "
                "own as package.module:Class"
            )
        for spec in self.specs():
            self.for_mlp(spec)
            self.for_network(spec)

    def specs(self) -> tuple[CodecSpec, ...]:
        """Return all settings, by level and then patches."""
        like = self.like or CodecSpec(1, 1)
        return tuple(
            replace(like, level=level, patches=patches)
            for level in sorted(self.levels)
            for patches in sorted(self.patches)
        )

    def for_mlp(self, spec: CodecSpec) -> TrainingOptions:
        """Return how the mlp is trained."""
        return TrainingOptions("mlp", spec=spec, seed=self.seed, epochs=self.epochs)

    def for_network(self, spec: CodecSpec | None) -> TrainingOptions | None:
        """Return how the network is trained, on images made of codes or, without a spec, others."""
        if self.cnn is None:
            return None
        if spec is None:
            return TrainingOptions(
                self.cnn, "original", side=self.side, seed=self.seed, epochs=self.epochs
            )
        original = TrainingOptions(self.cnn, "original", side=self.side)
        return TrainingOptions(
            self.cnn, "images", spec, int(original.number("side")), self.seed, epochs=self.epochs
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the options as plain JSON values."""
        values = asdict(self)
        return {**values, "like": None if self.like is None else self.like.to_dict()}


ORIGINAL_SIDE = 64
"""Pixels a side of the original that the small classifier sees."""

SHARE_THAT_FITS = 0.95
"""A setting is skipped if it fits fewer of the images."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A setting that was not tried, and why."""

    level: int
    patches: tuple[int, ...]
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
    facts, failures = map_labelled(dataset, _look, workers=pool, report=report)
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
