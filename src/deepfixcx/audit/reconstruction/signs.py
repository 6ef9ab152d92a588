"""Which signs an inverted image gets right, band by band: pooling took them away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.audit.features import Array
from deepfixcx.audit.folds import patient_numbers
from deepfixcx.audit.reconstruction.resizing import resize
from deepfixcx.audit.result import AttackResult, detectable_gain
from deepfixcx.codec import Codec
from deepfixcx.errors import AuditError
from deepfixcx.measures import mean_difference, mean_interval
from deepfixcx.measures.intervals import Floats, patient_means
from deepfixcx.packets import band_path
from deepfixcx.spec import CodecSpec

__all__ = ["attack_signs"]


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
