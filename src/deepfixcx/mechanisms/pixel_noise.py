"""Differential privacy for the pixels of one image, by OpenDP, and a game that tests it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.code import Code
from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms.protocol import guarantee_text
from deepfixcx.mechanisms.sensitivity import (
    Sensitivity,
    as_means,
    check_spec,
    integer_codes,
    integer_noise,
    pixel_sensitivity,
    region_sensitivity,
)
from deepfixcx.spec import CodecSpec

__all__ = ["Budget", "EpsilonBound", "PixelNoise", "epsilon_lower_bound"]

STEP = 1 + 1e-9
"""A scale grows by this factor until OpenDP accounts at most the requested epsilon."""

HALVINGS = 60


@dataclass(frozen=True, slots=True)
class Budget:
    """The privacy cost of one release of one image.

    Attributes
    ----------
    epsilon, delta : float
        As accounted by OpenDP; `epsilon` is at most the requested one.
    scale : float
        Of the discrete Laplace distribution, or the deviation of the discrete Gaussian, in whole
        numbers of `integer_codes`.
    sensitivity : Sensitivity
        What is hidden.

    Examples
    --------
    >>> Budget(1.0, 0.0, 24.0, Sensitivity(l1=24, l2=24.0)).epsilon
    1.0
    """

    epsilon: float
    delta: float
    scale: float
    sensitivity: Sensitivity


@dataclass(frozen=True, slots=True)
class PixelNoise:
    """Encode 8-bit images and add noise, so that small differences between images are hidden.

    The code is computed in whole numbers, without rounding, and discrete Laplace noise (delta 0) or
    discrete Gaussian noise (delta above 0) is added in whole numbers; what follows, such as
    division into means, cannot weaken it. So the guarantee holds for the floats that are released.
    The noise comes from OpenDP, which draws from the entropy of the operating system. It is never
    repeatable, because repeatable noise can be subtracted.

    Guarantee: two images that differ in at most m pixels, or anywhere within one square of s x s
    pixels, give any set of codes with probabilities that differ by at most a factor exp(epsilon),
    apart from delta. It does not hide that an image shows a patient whose other images look alike:
    they differ in far more pixels. Releasing an image twice adds both epsilons.

    Parameters
    ----------
    spec : CodecSpec
        Haar, pooled by l1.
    epsilon : float
        Positive.
    pixels : int, optional
        m.
    side : int, optional
        s. Give one of the two.
    delta : float
        From 0 to below 1; with 0 noise is Laplacian, otherwise Gaussian.

    Raises
    ------
    MechanismError
        The parameters do not fit together.

    References
    ----------
    Canonne, Kamath and Steinke, The discrete Gaussian for differential privacy, NeurIPS, 2020,
    arXiv:2004.00010; Fan, Image pixelization with differential privacy, DBSec, 2018,
    doi:10.1007/978-3-319-95729-6_10 (m pixels); Mironov, On significance of the least significant
    bits for differential privacy, CCS, 2012, doi:10.1145/2382196.2382264 (why whole numbers).

    Examples
    --------
    >>> noise = PixelNoise(CodecSpec(level=2, patches=2), epsilon=1.0, pixels=4)
    >>> budget = noise.budget(64, 64)
    >>> budget.epsilon <= 1.0, round(budget.scale)
    (True, 16320)
    >>> noise.encode(np.zeros((1, 1, 64, 64), np.uint8)).array.shape
    (1, 1, 16, 2, 2)
    """

    spec: CodecSpec
    epsilon: float
    pixels: int | None = None
    side: int | None = None
    delta: float = 0.0

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_spec(self.spec)
        if (self.pixels is None) == (self.side is None):
            raise MechanismError("give either pixels=m or side=s")
        if not (0 < self.epsilon < math.inf and 0 <= self.delta < 1):
            raise MechanismError(
                f"epsilon is positive and delta from 0 to below 1, got {self.epsilon}, {self.delta}"
            )
        if (self.pixels or self.side or 0) < 1:
            raise MechanismError("pixels or side is 1 or more")

    @property
    def name(self) -> str:
        """Short name with the parameters."""
        what = f"m={self.pixels}" if self.side is None else f"s={self.side}"
        return f"noise ε={self.epsilon:g} {what}"

    @property
    def guarantee(self) -> str:
        """What holds of every record."""
        what = (
            f"that differ in at most {self.pixels} pixels"
            if self.side is None
            else f"that differ within one square of {self.side} x {self.side} pixels"
        )
        return guarantee_text(
            "knows all other images, and all other pixels of this one",
            f"({self.epsilon:g}, {self.delta:g})-differentially private for two images {what}, of "
            "the same size and number of channels",
            "the same holds for every image, for one release; the identity of the patient is not "
            "hidden, because two images of a patient differ in more pixels",
        )

    def budget(self, height: int, width: int, channels: int = 1) -> Budget:
        """Return the noise for images of this size, and its cost by OpenDP.

        Raises
        ------
        MissingExtraError
            OpenDP is not installed.
        """
        if self.side is None:
            sensitivity = pixel_sensitivity(self.spec, self.pixels or 1, channels=channels)
        else:
            sensitivity = region_sensitivity(self.spec, self.side, height, width, channels=channels)
        scale = self._scale(sensitivity)
        return Budget(self._cost(scale, sensitivity), self.delta, scale, sensitivity)

    def encode(self, pixels: NDArray[Any]) -> Code:
        """Encode images with noise.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (B, C, H, W)
            Images of one size.

        Returns
        -------
        Code
            Not negative: negative values become 0.

        Raises
        ------
        MechanismError
            Pixels of another kind.
        ImageTooSmallError
            The spec does not fit the images.
        MissingExtraError
            OpenDP is not installed.
        """
        exact = integer_codes(pixels, self.spec)
        height, width = pixels.shape[2:]
        budget = self.budget(height, width, pixels.shape[1])
        add = integer_noise(budget.scale, gaussian=self.delta > 0)
        noisy = np.array(add(exact.ravel().tolist()), np.int64).reshape(exact.shape)
        means = np.maximum(as_means(noisy, self.spec, height, width), 0)
        return Code(means, self.spec, np.full((len(pixels), 2), (height, width), np.int64))

    def to_manifest(self, height: int, width: int, channels: int = 1) -> dict[str, Any]:
        """Return parameters, sensitivities and the cost for images of this size."""
        budget = self.budget(height, width, channels)
        return {
            "mechanism": "noise",
            "distribution": "discrete Gaussian" if self.delta else "discrete Laplace",
            "epsilon": budget.epsilon,
            "delta": budget.delta,
            "pixels": self.pixels,
            "side": self.side,
            "scale": budget.scale,
            "sensitivity_l1": budget.sensitivity.l1,
            "sensitivity_l2": budget.sensitivity.l2,
            "unit": f"1/{255 * self.spec.block} of a sum of absolute coefficients",
            "accounting": "one release of one image; releasing it again adds",
            "guarantee": self.guarantee,
        }

    def _scale(self, sensitivity: Sensitivity) -> float:
        if not self.delta:
            scale = sensitivity.l1 / self.epsilon
            while self._cost(scale, sensitivity) > self.epsilon:
                scale *= STEP
            return scale
        low = high = sensitivity.l2 / self.epsilon
        while self._cost(high, sensitivity) > self.epsilon:
            high *= 2
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            if self._cost(middle, sensitivity) > self.epsilon:
                low = middle
            else:
                high = middle
        return high

    def _cost(self, scale: float, sensitivity: Sensitivity) -> float:
        """Return the epsilon that OpenDP computes, rounded up by it."""
        if not self.delta:
            return float(integer_noise(scale, gaussian=False).map(sensitivity.l1))
        combinators = require("opendp.combinators", extra="dp")
        measurement = combinators.make_zCDP_to_approxDP(integer_noise(scale, gaussian=True))
        return float(measurement.map(sensitivity.l2).epsilon(self.delta))


Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class EpsilonBound:
    """A lower bound of epsilon.

    Attributes
    ----------
    value : float
        With the stated confidence epsilon is at least this; 0 if no bound was found.
    confidence : float
        Probability that the bound is right.
    trials : int
        Releases of each of the two images.

    Examples
    --------
    >>> EpsilonBound(0.7, 0.95, 1000).value <= 1.0  # of a mechanism that claims 1
    True
    """

    value: float
    confidence: float
    trials: int


def epsilon_lower_bound(
    first: Callable[[int], NDArray[Any]],
    second: Callable[[int], NDArray[Any]],
    score: Callable[[NDArray[Any]], Scores],
    *,
    trials: int = 2000,
    delta: float = 0.0,
    confidence: float = 0.95,
) -> EpsilonBound:
    """Play the pair game: guess the image of each release, one of two neighbouring images.

    Half of the releases chooses the threshold of the score with the largest bound, the other half
    counts right and wrong guesses. Intervals of Clopper and Pearson turn the counts into a bound:
    epsilon >= log((true positives - delta) / false positives), and the same for negatives.

    Parameters
    ----------
    first, second : callable
        Called with n, each returns n releases of its image, stacked along the first axis.
    score : callable
        Turns such releases into scores, large for the second image; a better score gives a
        tighter bound.
    trials : int
        Releases of each image, 20 or more.
    delta : float
        That the mechanism claims.
    confidence : float
        Of the bound, between 0 and 1.

    Returns
    -------
    EpsilonBound

    Raises
    ------
    MechanismError
        Too few trials, or scores that are not finite.
    MissingExtraError
        scipy is not installed.

    References
    ----------
    Jagielski, Ullman and Oprea, Auditing differentially private machine learning, NeurIPS, 2020,
    arXiv:2006.07709.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> bound = epsilon_lower_bound(
    ...     lambda count: generator.laplace(0, 1, count),
    ...     lambda count: generator.laplace(1, 1, count),
    ...     lambda releases: releases,
    ... )
    >>> 0.5 < bound.value < 1
    True
    """
    if trials < 20:
        raise MechanismError(f"the attack game needs 20 trials or more, got {trials}")
    if not 0 < confidence < 1:
        raise MechanismError(f"confidence is between 0 and 1, got {confidence}")
    half = trials // 2
    zeros, ones = (np.asarray(score(make(trials)), np.float64) for make in (first, second))
    if not (np.isfinite(zeros).all() and np.isfinite(ones).all()):
        raise MechanismError("scores of the game are not finite")
    tried = np.quantile(np.concatenate([zeros[:half], ones[:half]]), QUANTILES)
    promised = _bounds(zeros[:half], ones[:half], tried, delta, confidence)
    sign, place = np.unravel_index(int(np.argmax(promised)), promised.shape)
    chosen = tried[[place]]
    value = float(_bounds(zeros[half:], ones[half:], chosen, delta, confidence)[sign, 0])
    return EpsilonBound(max(0.0, value), confidence, trials)


QUANTILES = np.linspace(0.01, 0.99, 99)


def _bounds(
    zeros: Scores, ones: Scores, thresholds: Scores, delta: float, confidence: float
) -> NDArray[np.float64]:
    """Return the bound of each threshold: guesses for the second image, and for the first."""
    above = [(each[:, None] > thresholds).sum(axis=0) for each in (zeros, ones)]
    right = np.stack([above[1], len(zeros) - above[0]])
    wrong = np.stack([above[0], len(ones) - above[1]])
    beta = require("scipy.stats", extra="dp").beta
    tail, count = (1 - confidence) / 2, len(zeros)
    least = np.where(right > 0, beta.ppf(tail, np.maximum(right, 1), count - right + 1), 0)
    left = np.maximum(count - wrong, 1)
    most = np.where(wrong < count, beta.ppf(1 - tail, wrong + 1, left), 1)
    known = np.maximum(least - delta, np.finfo(np.float64).tiny)
    return np.asarray(np.log(known / most), np.float64)
