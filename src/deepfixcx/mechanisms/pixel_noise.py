"""Noise: differential privacy for the pixels of one image, by OpenDP."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.code import Code
from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms.integer_codes import as_means, integer_codes
from deepfixcx.mechanisms.sensitivity import (
    Sensitivity,
    check_spec,
    pixel_sensitivity,
    region_sensitivity,
)
from deepfixcx.mechanisms.simple import guarantee_text
from deepfixcx.spec import CodecSpec

__all__ = ["Budget", "PixelNoise"]

STEP = 1 + 1e-9
"""A scale is made larger by so much until OpenDP grants the epsilon that was asked for."""

HALVINGS = 60


@dataclass(frozen=True, slots=True)
class Budget:
    """What noise of one release of one image costs.

    Attributes
    ----------
    epsilon, delta : float
        As OpenDP accounts for them; `epsilon` is at most what was asked for.
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
    The noise comes from OpenDP, which draws from the operating system's entropy: it is never
    repeatable, because who can repeat noise can take it away.

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
            raise MechanismError("say what may differ: pixels=m or side=s, one of the two")
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
            "knows everything but those pixels: all other images and the rest of this one",
            f"({self.epsilon:g}, {self.delta:g})-differentially private for two images {what}, of "
            "the same size and number of channels",
            "the same holds for every image, for one release; whose image it is is not hidden, "
            "because two images of a patient differ in more pixels",
        )

    def budget(self, height: int, width: int, channels: int = 1) -> Budget:
        """Return the noise for images of this size, and what OpenDP says it costs.

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
            Not negative: what noise made negative becomes 0.

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
        add = _measurement(budget.scale, gaussian=self.delta > 0)
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
            return float(_measurement(scale, gaussian=False).map(sensitivity.l1))
        combinators = require("opendp.combinators", extra="dp")
        measurement = combinators.make_zCDP_to_approxDP(_measurement(scale, gaussian=True))
        return float(measurement.map(sensitivity.l2).epsilon(self.delta))


def _measurement(scale: float, *, gaussian: bool) -> Any:
    """Return OpenDP's measurement that adds noise in whole numbers to a vector."""
    measurements = require("opendp.measurements", extra="dp")
    domains = require("opendp.domains", extra="dp")
    metrics = require("opendp.metrics", extra="dp")
    require("opendp.mod", extra="dp").enable_features("contrib")
    domain = domains.vector_domain(domains.atom_domain(T="i64"))
    if gaussian:
        return measurements.make_gaussian(domain, metrics.l2_distance(T="f64"), scale=scale)
    return measurements.make_laplace(domain, metrics.l1_distance(T="i64"), scale=scale)
