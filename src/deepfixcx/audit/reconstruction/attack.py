"""Make images of records, and count the signs that are right."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.audit.features import Array, patient_folds, patient_numbers
from deepfixcx.audit.reconstruction.attackers import (
    INVERTERS,
    LIKENESS,
    REFERENCES,
    FitInverter,
    Released,
    likeness,
    numbers_of,
    resize,
)
from deepfixcx.audit.result import AttackResult, detectable_gain
from deepfixcx.codec import Codec
from deepfixcx.errors import AuditError
from deepfixcx.measures import mean_difference, mean_interval
from deepfixcx.measures.intervals import Floats, patient_means
from deepfixcx.packets import band_path
from deepfixcx.spec import CodecSpec

__all__ = ["Inversion", "attack_reconstruction", "attack_signs"]


@dataclass(frozen=True, eq=False, slots=True)
class Inversion:
    """What came of an attack.

    Attributes
    ----------
    results : tuple of AttackResult
        ``"SSIM"``, ``"MS-SSIM"`` and ``"PSNR"`` (decibels).
    images : ndarray of float32, shape (n, C, H, W)
        What the attacker shows, for the images at `places`; each by an attacker who did not train
        on its patient.
    means : ndarray of float32, shape (n, C, H, W)
        The mean image of the patients that this attacker trained on.
    places : ndarray of int64, shape (n,)
        Which images, in ascending order.

    Examples
    --------
    >>> images = np.zeros((2, 1, 8, 8), np.float32)
    >>> len(Inversion((), images, images, np.arange(2)).images)
    2
    """

    results: tuple[AttackResult, ...]
    images: Array
    means: Array
    places: NDArray[np.int64]


def attack_reconstruction(
    released: Released,
    images: Array,
    patients: ArrayLike,
    *,
    attacker: str | FitInverter = "ridge",
    public: tuple[Released, Array, ArrayLike] | None = None,
    folds: int = 3,
    most: int | None = None,
    seed: int = 0,
) -> Inversion:
    """Make images of codes, by attackers who train on other patients.

    Parameters
    ----------
    released : Code, or ndarray of shape (N, ...)
        What was released of each image. A record of several images is given for each of them.
    images : ndarray of float32, shape (N, C, H, W)
        The images in [0, 1], in the size in which they are compared: 64 to 128 pixels a side.
    patients : array_like, shape (N,)
        Whose they are.
    attacker : str or callable
        ``"plain"``, ``"neighbour"``, ``"ridge"``, ``"ridge-ssim"``, ``"interpolation"``,
        ``"variation"``, ``"unet"``; or a function, see
        `deepfixcx.audit.reconstruction.attackers.FitInverter`.
    public : tuple, optional
        Records, images and patients that the attacker trains on, instead of those of other folds:
        public images, encoded without protection. The floor is then their mean image.
    folds : int
        Of the patients.
    most : int, optional
        Invert at most so many images, chosen at random, for attackers that are slow.
    seed : int
        Of folds and attacker.

    Returns
    -------
    Inversion
        The floor is the mean image of the others; the control is the image that the attacker makes
        of a stranger's code.

    Raises
    ------
    AuditError
        No such attacker, or arrays of several lengths.

    References
    ----------
    Wang et al., Image quality assessment: from error visibility to structural similarity, IEEE
    Transactions on Image Processing, 2004, doi:10.1109/TIP.2003.819861.

    Examples
    --------
    >>> from deepfixcx import Codec
    >>> from deepfixcx.images import phantom
    >>> images = np.stack([phantom(np.random.default_rng(n), 32)[None] for n in range(40)])
    >>> code = Codec(level=2, patches=2).encode(images)
    >>> inversion = attack_reconstruction(code, images, np.arange(40))
    >>> [result.figure for result in inversion.results], inversion.images.shape
    (['SSIM', 'MS-SSIM', 'PSNR'], (40, 1, 32, 32))
    """
    owners = patient_numbers(patients)
    if isinstance(attacker, str) and attacker not in INVERTERS:
        raise AuditError(f"an attacker is one of {', '.join(INVERTERS)}; got {attacker!r}")
    fit = INVERTERS[attacker] if isinstance(attacker, str) else attacker
    name = attacker if isinstance(attacker, str) else attacker.__name__
    if not len(numbers_of(released)) == len(images) == len(owners) or images.ndim != 4:
        raise AuditError(
            f"there are {len(numbers_of(released))} records, images of shape {images.shape} and "
            f"{len(owners)} patients; give one record and one patient for each image (C, H, W)"
        )
    generator = np.random.default_rng(seed)
    fold_of = patient_folds(owners, folds, generator)[owners]
    if public is not None:
        folds, fold_of = 1, np.zeros(len(owners), np.int64)
    chosen = np.arange(len(images))
    if most is not None and most < len(images):
        chosen = np.sort(generator.permutation(len(images))[:most])
    shown = np.zeros((len(images), *images.shape[1:]), np.float32)
    means, strangers = np.zeros_like(shown), np.zeros_like(shown)
    for fold in range(folds):
        others, tested = np.flatnonzero(fold_of != fold), chosen[fold_of[chosen] == fold]
        if not len(tested):
            continue
        known = released[others], images[others], owners[others]
        if public is not None:
            known = public[0], public[1], patient_numbers(public[2])
        shown[tested] = fit(*known, seed)(released[tested])
        means[tested] = known[1].mean(axis=0)
        strangers[tested] = shown[_others(tested, owners, generator)]
    results = _judge(
        name, images[chosen], (shown[chosen], means[chosen], strangers[chosen]), owners[chosen],
        seed,
    )  # fmt: skip
    return Inversion(results, shown[chosen], means[chosen], chosen)


def _others(
    tested: NDArray[np.int64], owners: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.int64]:
    """Return for each tested image one of another patient; itself where there is none."""
    stand_ins = tested.copy()
    for row, place in enumerate(tested):
        strangers = tested[owners[tested] != owners[place]]
        if len(strangers):
            stand_ins[row] = strangers[generator.integers(len(strangers))]
    return stand_ins


def _judge(
    attacker: str,
    images: Array,
    shown: tuple[Array, Array, Array],
    owners: NDArray[np.int64],
    seed: int,
) -> tuple[AttackResult, ...]:
    """Compare what is shown, the mean image and a stranger's with the truth."""
    count = int(owners.max()) + 1
    results = []
    for figure in LIKENESS:
        own, floor, control = (
            patient_means(likeness(figure, images, made), owners, count) for made in shown
        )
        results.append(
            AttackResult(
                attack="reconstruction",
                mode="codes to images",
                attacker=attacker,
                figure=figure,
                value=mean_interval(own),
                chance=float("nan"),
                floor=float(np.nanmean(floor)),
                gain=(gain := mean_difference(own, floor)),
                control=float(np.nanmean(control)),
                raw=float("nan"),
                n=int(np.isfinite(own).sum()),
                seed=seed,
                reference=REFERENCES.get(attacker, ""),
                detectable=detectable_gain(gain, _error(floor)),
            )
        )
    return tuple(results)


def _error(values: Floats) -> float:
    """Return the standard error of the floor: a lone figure of no spread is no proof of power."""
    known = values[np.isfinite(values)]
    return float(known.std() / np.sqrt(max(len(known), 1)))


def attack_signs(
    spec: CodecSpec,
    images: Array,
    inverted: Array,
    means: Array,
    patients: ArrayLike,
    *,
    attacker: str,
    seed: int = 0,
) -> tuple[AttackResult, ...]:
    """Compare the signs of the sums of coefficients in every cell.

    Parameters
    ----------
    spec : CodecSpec
        Whose bands and cells; its pooling does not matter.
    images, inverted, means : ndarray of float32, shape (N, C, H, W)
        The truth; what an attacker makes of the codes; and the mean image of the others, which is
        the floor. `Inversion.images` and `Inversion.means`.
    patients : array_like, shape (N,)
        Whose they are.
    attacker : str
        Who made the images, for the results.
    seed : int
        Stands in the results; nothing is random here.

    Returns
    -------
    tuple of AttackResult
        ``"right signs"``, the share of cells: first of all details together, then of each band
        but the approximation, whose path is the mode.

    Raises
    ------
    AuditError
        Shapes that differ.

    References
    ----------
    Gaudio et al., DeepFixCX, WIREs Data Mining and Knowledge Discovery, 2023,
    doi:10.1002/widm.1495, of the removal of edge information.

    Examples
    --------
    >>> images = np.random.default_rng(0).random((20, 1, 32, 32), np.float32)
    >>> flat = np.full_like(images, 0.5)
    >>> results = attack_signs(
    ...     CodecSpec(1, 4), images, images, flat, np.arange(20), attacker="truth"
    ... )
    >>> [(result.mode, result.value.value) for result in results]
    [('all details', 1.0), ('v', 1.0), ('h', 1.0), ('d', 1.0)]
    """
    if not images.shape == inverted.shape == means.shape or images.ndim != 4:
        raise AuditError(
            f"images of one shape (N, C, H, W) are compared, got {images.shape}, "
            f"{inverted.shape} and {means.shape}"
        )
    owners = patient_numbers(patients)
    truth, own, floor = (_signs(spec, each) for each in (images, inverted, means))
    known = truth != 0
    right, guessed = (_shares(known, truth == each) for each in (own, floor))
    bands = [(band_path(number, spec.level), [number]) for number in range(1, spec.bands)]
    results = []
    for mode, numbers in [("all details", list(range(1, spec.bands))), *bands]:
        pair = [
            patient_means(_mean_of(each, numbers), owners, int(owners.max()) + 1)
            for each in (right, guessed)
        ]
        if not np.isfinite(pair[0]).any():
            continue
        if np.nanmean(pair[1]) < 0.5:  # a mean image that is worse than guessing is no baseline
            pair[1] = np.full_like(pair[1], 0.5)
        results.append(
            AttackResult(
                attack="reconstruction",
                mode=mode,
                attacker=attacker,
                figure="right signs",
                value=mean_interval(pair[0], (0, 1)),
                chance=0.5,
                floor=float(np.nanmean(pair[1])),
                gain=(gain := mean_difference(pair[0], pair[1], (0, 1))),
                control=float("nan"),
                raw=float("nan"),
                n=int(np.isfinite(pair[0]).sum()),
                seed=seed,
                reference="Gaudio et al. 2023, doi:10.1002/widm.1495",
                detectable=detectable_gain(gain),
            )
        )
    return tuple(results)


def _signs(spec: CodecSpec, images: Array) -> Array:
    """Return the sign of each cell's sum, (N, 4**J, cells); of no coefficient 0."""
    height, width = (
        max(side, least) for side, least in zip(images.shape[2:], spec.compact_shape(), strict=True)
    )
    large = resize(images, height, width)
    sums = Codec(replace(spec, pooling="sum")).encode(large).array
    rounding = 1e-5 * float(np.abs(sums).max(initial=0))
    signs = np.where(np.abs(sums) > rounding, np.sign(sums), 0)
    return np.asarray(np.moveaxis(signs, 2, 1).reshape(len(images), spec.bands, -1), np.float32)


def _shares(known: NDArray[np.bool_], right: NDArray[np.bool_]) -> Floats:
    """Return the share of the known cells of each image and band that are right, (N, 4**J)."""
    counts = known.sum(axis=2)
    shares = np.full(counts.shape, np.nan)
    np.divide((known & right).sum(axis=2), counts, out=shares, where=counts > 0)
    return shares


def _mean_of(shares: Floats, bands: list[int]) -> Floats:
    chosen = shares[:, bands]
    known = np.isfinite(chosen)
    counts = known.sum(axis=1)
    means = np.full(len(chosen), np.nan)
    np.divide(np.where(known, chosen, 0).sum(axis=1), counts, out=means, where=counts > 0)
    return means
