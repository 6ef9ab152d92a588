"""One pass over a dataset: codes of every spec, baselines of as many numbers, small images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepfixcx.codec import Codec
from deepfixcx.datasets import Dataset
from deepfixcx.datasets.splits import join_copies
from deepfixcx.errors import LabelError, MechanismError
from deepfixcx.learn.baselines import blur, pixelate, resize, unit_pixels
from deepfixcx.learn.mapping import Done, Failure, Image, map_images
from deepfixcx.learn.parts import check_counts
from deepfixcx.mechanisms import PixelNoise, pixel_sensitivity
from deepfixcx.mechanisms.sensitivity import as_means
from deepfixcx.spec import CodecSpec

__all__ = ["SMALL_SIDE", "Inputs", "dp_pix", "noised", "read_inputs"]

Array = NDArray[np.float32]

SMALL_SIDE = 64
"""Pixels a side of the images that attackers try to reconstruct."""


@dataclass(frozen=True, eq=False, slots=True)
class Inputs:
    """What a frontier works on."""

    dataset: Dataset  # The images that could be used, N of them
    codes: dict[CodecSpec, Array]  # (N, 1, 4**J, P, P); Of every spec
    # (N, 1, s, s); As many numbers as the code of that spec, or slightly fewer
    pixelated: dict[CodecSpec, Array]
    blurred: dict[CodecSpec, Array]
    small: Array  # (N, 1, 64, 64); The originals, small
    sizes: NDArray[np.int64]  # (N, 2); Their heights and widths
    # Images that could not be used; places are those of the dataset that was given
    failures: tuple[Failure, ...]
    content: str  # A hash of what the files hold


def read_inputs(
    dataset: Dataset,
    specs: tuple[CodecSpec, ...],
    *,
    workers: int = 1,
    report: Callable[[int, int], None] | None = None,
) -> Inputs:
    """Read every image that has a label once; colour is made gray."""
    if not dataset.label_names:
        raise LabelError("the dataset has no labels; name some with --labels")
    if not dataset.has_patients:
        raise MechanismError(
            "the dataset has no patient IDs, which linkage needs; add a column of patient IDs"
        )
    labelled = np.flatnonzero(dataset.known.any(axis=1))
    records = [dataset.records[place] for place in labelled]
    done: dict[int, _Kept] = {}
    failures = []
    for outcome in map_images(records, _Prepare(specs), workers=workers, report=report):
        place = int(labelled[outcome.place])
        if isinstance(outcome, Done):
            done[place] = outcome.result
        else:
            failures.append(Failure(place, outcome.error, outcome.reason))
    if not done:
        why = f": {failures[0].reason}" if failures else ": none has a label"
        raise MechanismError(f"no image can be used{why}")
    used = dataset.select(sorted(done))
    kept = [done[place] for place in sorted(done)]
    contents = [hashlib.sha256(each.small.tobytes()).hexdigest() for each in kept]
    used, _ = join_copies(used, contents)
    counts = {name: (yes, no) for name, (yes, no, _) in used.counts().items()}
    check_counts(counts, "the images that can be used")
    return Inputs(
        used,
        {spec: np.stack([each.codes[n] for each in kept]) for n, spec in enumerate(specs)},
        {spec: np.stack([each.pixelated[n] for each in kept]) for n, spec in enumerate(specs)},
        {spec: np.stack([each.blurred[n] for each in kept]) for n, spec in enumerate(specs)},
        np.stack([each.small for each in kept]),
        np.array([each.size for each in kept], np.int64),
        tuple(failures),
        hashlib.sha256("".join(sorted(each.digest for each in kept)).encode()).hexdigest(),
    )


def dp_pix(
    pixelated: Array, sizes: NDArray[np.int64], epsilon: float, pixels: int, seed: int
) -> Array:
    """Add the Laplace noise of DP-Pix to pixelated images."""
    side = pixelated.shape[-1]
    smallest = (sizes // side).prod(axis=1)  # pixels of the smallest cell
    scales = pixels / np.maximum(smallest, 1) / epsilon
    noise = np.random.default_rng(seed).laplace(0, 1, pixelated.shape)
    noisy = pixelated + noise * scales.reshape(-1, 1, 1, 1)
    return np.asarray(noisy.clip(0, 1), np.float32)


@dataclass(frozen=True, eq=False, slots=True)
class _Kept:
    codes: list[Array]
    pixelated: list[Array]
    blurred: list[Array]
    small: Array
    size: tuple[int, int]
    digest: str


@dataclass(frozen=True, slots=True)
class _Prepare:
    """An image becomes all that is tried on it; it travels to another process."""

    specs: tuple[CodecSpec, ...]

    def __call__(self, image: Image) -> _Kept:
        pixels = unit_pixels(image.pixels, gray=True)
        _, height, width = pixels.shape
        numbers = [spec.numbers(1) for spec in self.specs]
        return _Kept(
            [Codec(spec).encode(pixels).array[0] for spec in self.specs],
            [pixelate(pixels[None], count)[0] for count in numbers],
            [blur(pixels[None], count)[0] for count in numbers],
            resize(pixels, SMALL_SIDE, SMALL_SIDE),
            (height, width),
            image.digest,
        )


def noised(codes: Array, sizes: NDArray[np.int64], noise: PixelNoise, seed: int) -> Array:
    """Add discrete Laplace noise of a seed, as `PixelNoise` draws it, to codes of 8-bit images."""
    if noise.pixels is None or noise.delta:
        raise MechanismError(f"a frontier supports only Laplacian pixel noise, got {noise.name}")
    scale = pixel_sensitivity(noise.spec, noise.pixels, channels=codes.shape[1]).l1 / noise.epsilon
    generator = np.random.default_rng(seed)
    # the difference of two geometric numbers is discrete Laplacian
    one, other = generator.geometric(-np.expm1(-1 / scale), (2, *codes.shape))
    noisy = codes.copy()
    for height, width in np.unique(sizes, axis=0).tolist():
        same = (sizes == (height, width)).all(axis=1)
        noisy[same] += as_means((one - other)[same], noise.spec, height, width)
    return np.maximum(noisy, np.float32(0))
