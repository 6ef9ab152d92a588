"""What a frontier tries: mechanisms, baselines and noise by name; and the codes that it reads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.audit.linkage import ATTACKERS as KNOWN_ATTACKERS
from deepfixcx.codec import Codec
from deepfixcx.datasets import Dataset, FeatureMatrix
from deepfixcx.datasets.splits import join_copies
from deepfixcx.errors import LabelError, MechanismError
from deepfixcx.learn.baselines import blur, pixelate, resize, unit_pixels
from deepfixcx.learn.mapping import Failure, Image, map_labelled
from deepfixcx.learn.parts import check_counts
from deepfixcx.mechanisms import PixelNoise, catalogue, pixel_sensitivity
from deepfixcx.mechanisms.catalogue import (
    MECHANISMS,
    OFFERED,
    label_patients,
    names_in,
    noise_named,
)
from deepfixcx.mechanisms.protocol import Mechanism, Plain
from deepfixcx.mechanisms.records import MIN_PATIENTS
from deepfixcx.mechanisms.sensitivity import as_means
from deepfixcx.spec import CodecSpec

__all__ = [
    "ATTACKERS",
    "BASELINES",
    "DEFAULT",
    "MECHANISMS",
    "FrontierOptions",
    "Inputs",
    "check_names",
    "dp_pix",
    "feature_inputs",
    "mechanism_named",
    "noised",
    "read_inputs",
    "split_noise",
]

Array = NDArray[np.float32]

ATTACKERS = ("distance", "whitening")
"""Attackers on codes that take seconds."""

DEFAULT: tuple[str, ...] = (
    *("plain", "quantization", "suppression", "projection"),
    *("resampling-20", "resampling", "pixelate", "blur", "dp-pix"),
)
"""Without mixing: an attacker who holds candidate images finds the members of its records."""

BASELINES = ("pixelate", "blur", "dp-pix")
"""As many numbers of an image, kept in another way."""


def mechanism_named(name: str) -> Mechanism:
    """Make a mechanism; that of a baseline releases it as it is.

    Raises
    ------
    MechanismError
        There is none of that name.

    Examples
    --------
    >>> mechanism_named("mixing-3").name
    'mixing k=3 a member'
    """
    check_names([name])
    return Plain() if name in BASELINES else catalogue.mechanism_named(name)


def check_names(names: Sequence[str]) -> None:
    """See that there are mechanisms or baselines of these names.

    Raises
    ------
    MechanismError
        One is unknown, or there is no name.
    """
    if not names:
        raise MechanismError(f"name at least one mechanism: {', '.join([*OFFERED, *BASELINES])}")
    for name in names:
        catalogue.check_name(name, BASELINES)


def split_noise(name: str, spec: CodecSpec) -> tuple[PixelNoise | None, str]:
    """Return the noise that a name begins with, or None, and the name of the mechanism after it.

    Raises
    ------
    MechanismError
        The noise is out of range, or does not fit the spec.

    Examples
    --------
    >>> spec = CodecSpec(level=2, patches=4)
    >>> [split_noise(name, spec)[1] for name in ("mixing-3", "noise-2-16", "noise-2-9+mixing-3")]
    ['mixing-3', 'plain', 'mixing-3']
    """
    first, *others = names_in(name) or (name,)
    noise = noise_named(first, spec)
    if noise is None:
        return None, name
    return noise, "+".join(others) or "plain"


@dataclass(frozen=True, slots=True)
class FrontierOptions:
    """Settings of a frontier.

    Parameters
    ----------
    levels, patches : tuple of int
        J and P; every pair is tried.
    mechanisms : tuple of str
        By their names in `deepfixcx.experiments.frontier_inputs`; baselines too, and noise, such as
        ``"noise-1-16"``, alone or before others: ``"noise-8-16+mixing-3"``.
    attackers : tuple of str
        Of linkage; see `deepfixcx.audit.linkage.ATTACKERS`.
    seeds : int
        So many divisions of the patients are averaged.
    public : float
        Share of the patients that mechanisms are fitted on.
    max_linkage : float, optional
        The threshold: recommend the most useful setting whose linkage AUC is at most this; see
        `recommend_mechanism` for the default threshold.
    min_patients : int
        Fewest patients of each combination of released labels, as for ``privatize``.
    epsilon, pixels : float, int
        Of DP-Pix: its promise, and how many pixels may differ.

    Raises
    ------
    MechanismError
        An option is unknown or out of range.
    SpecError
        No such level or patches.

    Examples
    --------
    >>> len(FrontierOptions(levels=(2, 3), patches=(4,)).specs())
    2
    """

    levels: tuple[int, ...] = (2, 3)
    patches: tuple[int, ...] = (4,)
    mechanisms: tuple[str, ...] = DEFAULT
    attackers: tuple[str, ...] = ATTACKERS
    seeds: int = 3
    public: float = 0.4
    max_linkage: float | None = None
    min_patients: int = MIN_PATIENTS
    epsilon: float = 1.0
    pixels: int = 16

    def __post_init__(self) -> None:
        """Check the options."""
        check_names(
            [split_noise(name, spec)[1] for name in self.mechanisms for spec in self.specs()]
        )
        for attacker in self.attackers:
            if attacker not in KNOWN_ATTACKERS:
                raise MechanismError(
                    f"unknown attacker {attacker!r}; choose from {', '.join(KNOWN_ATTACKERS)}"
                )
        if not self.attackers or self.seeds < 1:
            raise MechanismError("a frontier needs at least one attacker and one seed")
        if not 0 < self.public < 1:
            raise MechanismError(f"public is a share of the patients, got {self.public}")
        if self.min_patients < 2:
            raise MechanismError(f"--min-patients is 2 or more, got {self.min_patients}")
        if self.max_linkage is not None and not 0.5 <= self.max_linkage <= 1:
            raise MechanismError(
                f"the linkage threshold is an AUC from 0.5 (chance) to 1; got {self.max_linkage}"
            )
        if self.epsilon <= 0 or self.pixels < 1:
            raise MechanismError(
                f"DP-Pix needs a positive epsilon and 1 pixel or more, got {self.epsilon}, "
                f"{self.pixels}"
            )

    def for_features(self) -> FrontierOptions:
        """Return the options for a matrix of features, which has no level and no baselines.

        Raises
        ------
        MechanismError
            A baseline or noise on pixels is named, which needs images.
        """
        chosen = self.mechanisms
        if chosen == DEFAULT:
            chosen = tuple(name for name in chosen if name not in BASELINES)
        if of_images := [name for name in chosen if name in BASELINES or name.startswith("noise")]:
            raise MechanismError(f"{of_images[0]!r} works on images, and these are features")
        return replace(self, levels=(1,), patches=(1,), mechanisms=chosen)

    def specs(self) -> tuple[CodecSpec, ...]:
        """Return every pair of level and patches."""
        return tuple(CodecSpec(level, patches) for level in self.levels for patches in self.patches)

    def label_patients(self, name: str) -> int:
        """Return how many positives and how many negatives a label needs for one mechanism."""
        last = mechanism_named(split_noise(name, self.specs()[0])[1])
        return max(self.min_patients, label_patients(last))

    def to_dict(self) -> dict[str, Any]:
        """Return what decides the figures, as plain JSON values; the threshold does not."""
        settings = asdict(self)
        del settings["max_linkage"]
        return settings


SMALL_SIDE = 64
"""Pixels a side of the images that attackers try to reconstruct."""


@dataclass(frozen=True, eq=False, slots=True)
class Inputs:
    """What a frontier works on."""

    dataset: Dataset  # The images that could be used, N of them
    # (N, 1, 4**J, P, P) of every spec; or features (N, K), which have none
    codes: dict[CodecSpec | None, Array]
    # (N, 1, s, s); As many numbers as the code of that spec, or slightly fewer
    pixelated: dict[CodecSpec, Array]
    blurred: dict[CodecSpec, Array]
    small: Array | None  # (N, 1, 64, 64); The originals, small; None of features
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
    done, failures = map_labelled(dataset, _Prepare(specs), workers=workers, report=report)
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


def feature_inputs(matrix: FeatureMatrix) -> Inputs:
    """Return features as a frontier works on them, without images."""
    dataset, array = matrix.dataset, matrix.array
    if not dataset.label_names:
        raise LabelError("the features have no labels; name some with --labels")
    if not dataset.has_patients:
        raise MechanismError("some rows of the features have no patient ID, which linkage needs")
    used = np.flatnonzero(dataset.known.any(axis=1))
    dataset, array = dataset.select(used), array[used]
    counts = {name: (yes, no) for name, (yes, no, _) in dataset.counts().items()}
    check_counts(counts, "the rows that can be used")
    content = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    sizes = np.zeros((len(array), 2), np.int64)
    return Inputs(dataset, {None: array}, {}, {}, None, sizes, (), content)


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
