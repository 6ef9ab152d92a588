"""Gaussian noise in whole numbers, and what it costs: zero-concentrated privacy, by OpenDP.

A sum of integer vectors, which one patient changes by at most a length B, with discrete Gaussian
noise of deviation s, costs rho = B**2 / (2 s**2). Costs of several sums add up, also where a later
sum is chosen after an earlier one was seen; OpenDP converts their sum into (epsilon, delta).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.errors import MechanismError

__all__ = [
    "check_budget",
    "clipped_integers",
    "epsilon_of",
    "integer_noise",
    "noisy_sum",
    "rho_of",
]

HALVINGS = 60
FINENESS = 1 << 10
"""Steps of the grid in one deviation of the noise: rounding to it costs nothing that counts."""


def integer_noise(scale: float, *, gaussian: bool) -> Any:
    """Return OpenDP's measurement that adds noise in whole numbers to a vector."""
    measurements = require("opendp.measurements", extra="dp")
    domains = require("opendp.domains", extra="dp")
    metrics = require("opendp.metrics", extra="dp")
    require("opendp.mod", extra="dp").enable_features("contrib")
    domain = domains.vector_domain(domains.atom_domain(T="i64"))
    if gaussian:
        return measurements.make_gaussian(domain, metrics.l2_distance(T="f64"), scale=scale)
    return measurements.make_laplace(domain, metrics.l1_distance(T="i64"), scale=scale)


def epsilon_of(rho: float, delta: float) -> float:
    """Return the epsilon of all measurements that together cost rho, at this delta.

    Canonne, Kamath and Steinke, NeurIPS 2020, arXiv:2004.00010, proposition 12, as OpenDP computes
    it, rounded up.
    """
    if not rho:
        return 0.0
    combinators = require("opendp.combinators", extra="dp")
    alike = integer_noise(1 / math.sqrt(2 * rho), gaussian=True)
    return float(combinators.make_zCDP_to_approxDP(alike).map(1.0).epsilon(delta))


def check_budget(epsilon: float, delta: float) -> None:
    """Raise unless epsilon is positive and delta between 0 and 1."""
    if not (0 < epsilon < math.inf and 0 < delta < 1):
        raise MechanismError(
            f"epsilon is positive and delta between 0 and 1, got {epsilon} and {delta}"
        )


@lru_cache(maxsize=64)
def rho_of(epsilon: float, delta: float) -> float:
    """Return the largest rho that (epsilon, delta) allows."""
    check_budget(epsilon, delta)
    low, high = 0.0, epsilon  # epsilon <= rho + 2 sqrt(rho log(1 / delta)), so rho < epsilon
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if middle and epsilon_of(middle, delta) > epsilon:
            high = middle
        else:
            low = middle
    return low


def clipped_integers(values: NDArray[np.float64], bound: float, step: float) -> NDArray[np.int64]:
    """Return rows on a grid of whole steps, none longer than `bound`; exact in whole numbers."""
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    shorter = values * np.minimum(1, bound / np.maximum(lengths, 1e-300))
    whole = np.trunc(shorter / step).astype(np.int64)  # never longer than before
    most = math.floor(bound / step) ** 2
    for row in np.flatnonzero((whole**2).sum(axis=1) > most):  # by rounding errors alone
        whole[row] = np.trunc(whole[row] * (1 - 1e-6)).astype(np.int64)
        if int((whole[row] ** 2).sum()) > most:
            whole[row] = 0
    return np.asarray(whole, np.int64)


def noisy_sum(
    values: NDArray[np.float64], bound: float, rho: float
) -> tuple[NDArray[np.float64], float]:
    """Return the sum of clipped rows (N, n) with noise that costs rho, and its deviation.

    Adding or removing a row changes the sum by at most `bound`. The noise comes from the entropy
    of the operating system, never from a seed.
    """
    deviation = bound / math.sqrt(2 * rho)
    step = deviation / FINENESS
    whole = clipped_integers(values, bound, step).sum(axis=0)
    scale = math.floor(bound / step) / math.sqrt(2 * rho) * (1 + 1e-12)
    noisy = np.array(integer_noise(scale, gaussian=True)(whole.tolist()), np.float64)
    return noisy * step, scale * step
