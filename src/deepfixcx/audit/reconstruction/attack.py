"""Turn what was released back into images, and judge what that gains over the mean image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.audit.features import Array
from deepfixcx.audit.folds import patient_folds, patient_numbers
from deepfixcx.audit.reconstruction.attackers import INVERTERS, REFERENCES
from deepfixcx.audit.reconstruction.likeness import LIKENESS, likeness
from deepfixcx.audit.reconstruction.released import FitInverter, Released, numbers_of
from deepfixcx.audit.result import AttackResult, detectable_gain
from deepfixcx.errors import AuditError
from deepfixcx.measures import mean_difference, mean_interval
from deepfixcx.measures.intervals import Floats, patient_means

__all__ = ["Inversion", "attack_reconstruction"]


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
        `deepfixcx.audit.reconstruction.released.FitInverter`.
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
