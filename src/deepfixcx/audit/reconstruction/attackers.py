"""What an attacker inverts, how images are compared, and the inverters by name.

Those that need torch load it when they are asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.audit.features import CODE_AXES, Array, Standard, minus_distances, set_aside
from deepfixcx.code import Code
from deepfixcx.codec import Codec
from deepfixcx.errors import AuditError
from deepfixcx.measures.intervals import Floats
from deepfixcx.measures.quality import ms_ssim, psnr, ssim

__all__ = [
    "INVERTERS",
    "LIKENESS",
    "REFERENCES",
    "FitInverter",
    "Invert",
    "LogScores",
    "Released",
    "code_of",
    "fit_interpolation",
    "fit_neighbour",
    "fit_plain",
    "fit_ridge",
    "fit_ridge_by_ssim",
    "likeness",
    "numbers_of",
    "resize",
]


Released = Code | NDArray[np.float32]
"""Codes with their spec; or an array (N, ...) without one."""

Invert = Callable[[Released], Array]
"""Makes images (N, C, H, W) of what was released."""

FitInverter = Callable[[Released, Array, NDArray[np.int64], int], Invert]
"""An attacker: given what was released of others, their images, whose they are and a seed."""

KNEE = 0.01
"""Below this share of its mean a number of a code counts as nothing: there logarithms end."""


def numbers_of(released: Released) -> Array:
    """Return the array."""
    return np.asarray(released.array if isinstance(released, Code) else released, np.float32)


def code_of(released: Released, attacker: str) -> Code:
    """Return the code, or say that this attacker needs one."""
    if isinstance(released, Code):
        return released
    raise AuditError(
        f"the attacker {attacker!r} inverts codes with their spec, and this is an array of shape "
        f"{released.shape}; take 'neighbour', 'ridge' or 'unet'"
    )


@dataclass(frozen=True, eq=False, slots=True)
class LogScores:
    """Standard scores of the logarithms of codes, or of other numbers as they are, (N, n)."""

    knee: Array | None
    standard: Standard

    @classmethod
    def fit(cls, released: Released) -> LogScores:
        """Learn scales from what was released of others."""
        numbers = numbers_of(released)
        flat = numbers.reshape(len(numbers), -1)
        knee = None
        if numbers.ndim in CODE_AXES:
            knee = np.maximum(KNEE * np.abs(flat).mean(axis=0), 1e-12)
        return cls(knee, Standard.fit(_logarithms(flat, knee)))

    def __call__(self, released: Released) -> Array:
        """Return scores (N, n)."""
        numbers = numbers_of(released)
        return self.standard(_logarithms(numbers.reshape(len(numbers), -1), self.knee))


def _logarithms(flat: Array, knee: Array | None) -> Array:
    if knee is None:
        return flat
    return np.asarray(np.sign(flat) * np.log1p(np.abs(flat) / knee), np.float32)


def resize(images: Array, height: int, width: int) -> Array:
    """Resize images (..., H, W) along both axes."""
    rows, columns = _weights(images.shape[-2], height), _weights(images.shape[-1], width)
    return np.asarray(rows @ images @ columns.T, np.float32)


def _weights(before: int, after: int) -> Array:
    """Return what each new pixel takes of each old one, (after, before); rows sum to 1."""
    scale = before / after
    reach = max(scale, 1.0)  # half the width of the triangle
    centres = (np.arange(after) + 0.5) * scale - 0.5
    if scale > 1:  # an average over the pixels that become one
        low = np.arange(after)[:, None] * scale
        edges = np.clip(np.arange(before + 1)[None], low, low + scale)
        weights = np.diff(edges, axis=1)
    else:
        places = np.clip(centres, 0, before - 1)[:, None]
        weights = np.maximum(1 - np.abs(np.arange(before)[None] - places) / reach, 0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


MOST_DECIBELS = 100.0
"""Equal images have an infinite PSNR, which has no mean."""


def likeness(name: str, originals: Array, reconstructions: Array) -> Floats:
    """Return one figure for each pair of images (N, C, H, W)."""
    measure = LIKENESS[name]
    pairs = zip(originals, reconstructions, strict=True)
    return np.array([measure(one, other) for one, other in pairs], np.float64)


def _decibels(original: Array, reconstruction: Array) -> float:
    return min(psnr(original, reconstruction), MOST_DECIBELS)


LIKENESS: Mapping[str, Callable[[Array, Array], float]] = {
    "SSIM": ssim,
    "MS-SSIM": ms_ssim,
    "PSNR": _decibels,
}


def fit_plain(_: Released, images: Array, *__: object) -> Invert:
    """Decode as anybody can who has the code; nothing is learned but the size of the images.

    Gaudio et al., doi:10.1002/widm.1495.
    """
    height, width = images.shape[2:]

    def invert(released: Released) -> Array:
        code = code_of(released, "plain")
        decoded = Codec(code.spec).decode(code, "original")
        return np.stack([resize(image, height, width) for image in decoded]).clip(0, 1)

    return invert


def fit_neighbour(released: Released, images: Array, *_: object) -> Invert:
    """Remember codes and images of others, such as of a public dataset.

    Fredrikson et al., doi:10.1145/2810103.2813677.
    """
    scores = LogScores.fit(released)
    known = scores(released)

    def invert(unknown: Released) -> Array:
        nearest = np.argmax(minus_distances(scores(unknown), known), axis=1)
        return np.asarray(images[nearest], np.float32)

    return invert


PENALTIES = np.logspace(-3, 2, 11)
"""As shares of the mean strength of an image."""

MOST_ASIDE = 60
"""Images by which the penalty is chosen."""

Judge = Callable[[Array, Array], float]


def fit_ridge(released: Released, images: Array, owners: NDArray[np.int64], seed: int) -> Invert:
    """Learn pixels as sums of logarithms of codes, with the penalty of the least squared error.

    Hoerl and Kennard, doi:10.1080/00401706.1970.10488634.
    """
    return _fit(released, images, owners, seed, _minus_error)


def fit_ridge_by_ssim(
    released: Released, images: Array, owners: NDArray[np.int64], seed: int
) -> Invert:
    """Learn the same with the penalty of the highest SSIM, which is larger."""
    return _fit(released, images, owners, seed, _mean_ssim)


def fit_interpolation(
    released: Released, images: Array, owners: NDArray[np.int64], seed: int
) -> Invert:
    """Interpolate the approximation, one value a cell, and learn what is missing by ridge.

    At fine settings the approximation alone is a small copy of the image. Cubic splines; the
    penalty is that of the highest SSIM, and may be infinite, which leaves the interpolation.
    """
    scale = 0.0

    def interpolated(unknown: Released) -> Array:
        return np.asarray(scale * _splines(unknown, *images.shape[2:]), np.float32)

    begin = _splines(released, *images.shape[2:])
    scale = float((begin * images).sum() / max(float((begin * begin).sum()), 1e-12))
    missing = images - np.float32(scale) * begin
    scores = LogScores.fit(released)
    known = scores(released)
    generator = np.random.default_rng(seed)
    learning, aside = set_aside(owners, generator)
    held = generator.permutation(aside)[:MOST_ASIDE]
    trial = _Ridge(known[learning], missing[learning])
    base = np.float32(scale) * begin[held]
    made = {each: base + trial.predict(known[held], each, None) for each in PENALTIES}
    made[np.inf] = base
    best = max(made, key=lambda each: _mean_ssim(images[held], made[each].clip(0, 1)))
    if not np.isfinite(best):
        return lambda unknown: interpolated(unknown).clip(0, 1)
    ridge = _Ridge(known, missing)
    return lambda unknown: (
        interpolated(unknown) + ridge.predict(scores(unknown), float(best), None)
    ).clip(0, 1)


def _splines(released: Released, height: int, width: int) -> Array:
    """Return the approximation of codes in the size of images, not scaled, (N, C, H, W)."""
    ndimage = require("scipy.ndimage", extra="audit")
    code = code_of(released, "interpolation")
    cells = np.asarray(code.array[:, :, 0], np.float64)
    cells = cells[..., 0] if cells.ndim == 5 else cells  # the first of several poolings
    rows, columns = (
        (np.arange(after) + 0.5) * before / after - 0.5
        for before, after in zip(cells.shape[2:], (height, width), strict=True)
    )
    places = np.stack(np.meshgrid(rows, columns, indexing="ij"))
    flat = cells.reshape(-1, *cells.shape[2:])
    made = [ndimage.map_coordinates(each, places, order=3, mode="nearest") for each in flat]
    return np.asarray(made, np.float32).reshape(*cells.shape[:2], height, width)


def _minus_error(truth: Array, made: Array) -> float:
    return -float(((truth - made) ** 2).mean())


def _mean_ssim(truth: Array, made: Array) -> float:
    return float(likeness("SSIM", truth, made).mean())


def _fit(
    released: Released, images: Array, owners: NDArray[np.int64], seed: int, judge: Judge
) -> Invert:
    scores = LogScores.fit(released)
    known = scores(released)
    generator = np.random.default_rng(seed)
    learning, aside = set_aside(owners, generator)
    held = generator.permutation(aside)[:MOST_ASIDE]
    trial = _Ridge(known[learning], images[learning])
    made = [trial.predict(known[held], penalty) for penalty in PENALTIES]
    best = PENALTIES[int(np.argmax([judge(images[held], each) for each in made]))]
    ridge = _Ridge(known, images)
    return lambda unknown: ridge.predict(scores(unknown), float(best))


class _Ridge:
    """A regression whose penalty can still be chosen."""

    def __init__(self, known: Array, images: Array) -> None:
        self._known, self._mean = known.astype(np.float64), images.mean(axis=0)
        wanted = (images - self._mean).reshape(len(images), -1).astype(np.float64)
        self._strengths, self._axes = np.linalg.eigh(self._known @ self._known.T)
        self._turned = self._axes.T @ wanted
        self._unit = max(float(self._strengths.mean()), 1e-12)

    def predict(
        self, scores: Array, penalty: float, limits: tuple[float, float] | None = (0, 1)
    ) -> Array:
        """Return images (N, C, H, W) of scores (N, n)."""
        shrunk = np.maximum(self._strengths, 0) + penalty * self._unit
        alike = scores.astype(np.float64) @ self._known.T @ self._axes / shrunk
        pixels = (alike @ self._turned).reshape(-1, *self._mean.shape) + self._mean
        return np.asarray(pixels if limits is None else pixels.clip(*limits), np.float32)


def _variation(released: Released, images: Array, owners: NDArray[np.int64], seed: int) -> Invert:
    from deepfixcx.audit.reconstruction.torch_inverters import fit_variation

    return fit_variation(released, images, owners, seed)


def _unet(released: Released, images: Array, owners: NDArray[np.int64], seed: int) -> Invert:
    from deepfixcx.audit.reconstruction.torch_inverters import fit_unet

    return fit_unet(released, images, owners, seed)


INVERTERS: Mapping[str, FitInverter] = {
    "plain": fit_plain,
    "neighbour": fit_neighbour,
    "ridge": fit_ridge,
    "ridge-ssim": fit_ridge_by_ssim,
    "interpolation": fit_interpolation,
    "variation": _variation,
    "unet": _unet,
}

REFERENCES: Mapping[str, str] = {
    "plain": "Gaudio et al. 2023, doi:10.1002/widm.1495",
    "neighbour": "Fredrikson et al. 2015, doi:10.1145/2810103.2813677",
    "ridge": "Hoerl and Kennard 1970, doi:10.1080/00401706.1970.10488634",
    "ridge-ssim": "Hoerl and Kennard 1970, doi:10.1080/00401706.1970.10488634",
    "interpolation": "Unser 1999, doi:10.1109/79.799930",
    "variation": "Rudin, Osher and Fatemi 1992, doi:10.1016/0167-2789(92)90242-F",
    "unet": "Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28",
}
