r"""How far a code can move when pixels change, and what noise that hides it costs.

Codes in whole numbers (`integer_codes`): pixels 0 to q = 255, Haar without its factor 2**-J, sums
of absolute values over cells. Let x and y be two images and d = y - x. A block of 2**J x 2**J
pixels gives one coefficient in each of the 4**J bands, W d_b for the block's pixels d_b, where W
has entries 1 and -1 and W Wᵀ = 4**J. A sum of absolute values moves by no more than the sum of
the absolute moves of its members.

*At most m pixels differ.* A pixel moves every band's coefficient of its block by at most q, so one
cell of each band by at most q. All m together: L1 <= m 4**J q. As a vector over bands that is
2**J q for one pixel, and by the triangle inequality L2 <= m 2**J q. For volumes the same holds
with N = 8**J_z 4**(J - J_z) bands: L1 <= m N q, L2 <= m sqrt(N) q.

*All pixels of an s x s square may differ.* Let n_b be its pixels in block b. Then
|W d_b|_2 = 2**J |d_b|_2 <= 2**J q sqrt(n_b), and |W d_b|_1 <= 2**J |W d_b|_2. Summed over blocks,
L1 <= 4**J q sum_b sqrt(n_b). For L2, blocks of one cell add by the triangle inequality, cells by
Pythagoras: L2 <= 2**J q sqrt(sum_cells (sum_{b in cell} sqrt(n_b))**2). As n_b is rows times
columns, both sums are products of one for rows and one for columns, and each is maximized over
where the square lies.

Several channels that change together are as many codes side by side: C times the L1, sqrt(C) times
the L2.

*Accounting* (zero-concentrated privacy, by OpenDP). A sum of integer vectors, which one patient
changes by at most a length B, with discrete Gaussian noise of deviation s, costs
rho = B**2 / (2 s**2). Costs of several sums add up, also where a later sum is chosen after an
earlier one was seen; OpenDP converts their sum into (epsilon, delta).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.errors import MechanismError
from deepfixcx.spec import Cells, CodecSpec

__all__ = [
    "LARGEST_PIXEL",
    "Sensitivity",
    "as_means",
    "check_budget",
    "clipped_integers",
    "epsilon_of",
    "integer_codes",
    "integer_noise",
    "noisy_sum",
    "pixel_sensitivity",
    "region_sensitivity",
    "rho_of",
]

LARGEST_PIXEL = 255
"""q: noise is added to codes of 8-bit pixels."""

ROUNDING = 1 + 1e-12
"""Roots are rounded; bounds are made so much larger."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Largest distance of the codes in whole numbers of two neighbouring images.

    Attributes
    ----------
    l1 : int
        Largest sum of absolute differences.
    l2 : float
        Largest Euclidean distance.

    Examples
    --------
    >>> Sensitivity(l1=24, l2=12.0).l1
    24
    """

    l1: int
    l2: float


def pixel_sensitivity(spec: CodecSpec, pixels: int, *, channels: int = 1) -> Sensitivity:
    """Return how far a code moves when at most so many pixels differ.

    Parameters
    ----------
    spec : CodecSpec
        Haar, pooled by l1.
    pixels : int
        m, 1 or more; each may change in every channel.
    channels : int
        C.

    Returns
    -------
    Sensitivity
        In units of 1 / (255 * 2**J) of a sum of absolute coefficients; of volumes, of one over
        255 times the square root of the number of bands.

    Raises
    ------
    MechanismError
        The spec is another, or a number is not positive.

    Examples
    --------
    >>> pixel_sensitivity(CodecSpec(level=2, patches=4), pixels=3)
    Sensitivity(l1=12240, l2=3060.0)
    """
    check_spec(spec)
    if pixels < 1 or channels < 1:
        raise MechanismError(f"pixels must be 1 or more, got {pixels}; channels {channels}")
    one = pixels * LARGEST_PIXEL
    l2 = one * np.sqrt(spec.bands) * np.sqrt(channels)
    exact = channels == 1 and sum(spec.axis_levels) % 2 == 0  # the root is a power of two
    return Sensitivity(one * spec.bands * channels, float(l2 if exact else l2 * ROUNDING))


def region_sensitivity(
    spec: CodecSpec, side: int, height: int, width: int, *, channels: int = 1
) -> Sensitivity:
    """Return how far a code moves when all pixels of some square may differ.

    Parameters
    ----------
    spec : CodecSpec
        Haar, pooled by l1.
    side : int
        s, of the square, in pixels, 1 or more. Where the image is smaller, the whole image.
    height, width : int
        Of the images, in pixels.
    channels : int
        C.

    Returns
    -------
    Sensitivity
        In units of 1 / (255 * 2**J) of a sum of absolute coefficients.

    Raises
    ------
    MechanismError
        The spec is another, or a number is not positive.
    ImageTooSmallError
        The spec does not fit the image.

    Examples
    --------
    >>> spec = CodecSpec(level=2, patches=4)
    >>> region_sensitivity(spec, 1, 64, 64) == pixel_sensitivity(spec, 1)
    True
    >>> region_sensitivity(spec, 8, 64, 64).l1 < pixel_sensitivity(spec, 64).l1
    True
    """
    check_spec(spec)
    spec.refuse_volumes("the bound for a square")
    if side < 1 or channels < 1:
        raise MechanismError(f"the square has 1 pixel a side or more, got {side}")
    axes = [
        _largest_sums(length, min(side, length), spec.block, cells)
        for length, cells in zip((height, width), spec.cells(height, width), strict=True)
    ]
    (rows, rows_squared), (columns, columns_squared) = axes
    l1 = LARGEST_PIXEL * spec.bands * channels * rows * columns
    l2 = LARGEST_PIXEL * spec.block * np.sqrt(channels * rows_squared * columns_squared)
    if side == 1 and channels == 1:
        return Sensitivity(round(l1), float(l2))
    return Sensitivity(int(np.ceil(l1 * ROUNDING)), float(l2 * ROUNDING))


def check_spec(spec: CodecSpec) -> None:
    """Refuse a spec for which the bounds are not proved."""
    if spec.wavelet != "haar" or spec.pooling != "l1":
        raise MechanismError(
            f"the bounds are proved only for the Haar wavelet and l1 pooling, got {spec}; "
            "use these settings"
        )


def _largest_sums(length: int, side: int, block: int, cells: Cells) -> tuple[float, float]:
    """Return the largest sums of an axis: over blocks, of sqrt(n); over cells, of its square."""
    count = -(-length // block)
    owner = cells.of_each_row()
    best = best_squared = 0.0
    for start in range(length - side + 1):
        edges = np.arange(count + 1) * block
        inside = np.clip(edges, start, start + side)
        roots: NDArray[np.float64] = np.sqrt(np.diff(inside).astype(np.float64))
        best = max(best, float(roots.sum()))
        of_cells = np.bincount(owner, roots)
        best_squared = max(best_squared, float((of_cells**2).sum()))
    return best, best_squared


def integer_codes(pixels: NDArray[Any], spec: CodecSpec) -> NDArray[np.int64]:
    """Return exact int64 codes (B, C, 4**J, P, P) of uint8 pixels (B, C, H, W).

    Sums over each cell of the absolute Haar coefficients, times 255 * 2**J.
    """
    check_spec(spec)
    spec.refuse_volumes("noise in whole numbers")
    if pixels.dtype != np.uint8 or pixels.ndim != 4:
        raise MechanismError(
            f"noise is added to codes of 8-bit pixels, uint8 (B, C, H, W), got {pixels.dtype} "
            f"{pixels.shape}"
        )
    images, channels, height, width = pixels.shape
    rows, columns = spec.cells(height, width)
    block = spec.block
    down, across = spec.band_shape(height, width)
    signs = _signs(spec.level)
    order = _band_numbers(spec.level)
    codes = np.empty((images, channels, spec.bands, *spec.grid_shape), np.int64)
    padded = np.zeros((channels, down * block, across * block))
    for place, image in enumerate(pixels):
        padded[:, :height, :width] = image
        blocks = padded.reshape(channels, down, block, across, block)
        # sums and differences of whole numbers below 2**53 are exact in float64
        half = np.einsum("fr,chrwk->cfhwk", signs, blocks, optimize=True)
        bands = np.abs(np.einsum("gk,cfhwk->cfghw", signs, half, optimize=True))
        sums = _sum_cells(_sum_cells(bands, rows.starts, rows.stops, 3), *columns.arrays[:2], 4)
        codes[place][:, order.ravel()] = np.rint(sums).reshape(channels, -1, *spec.grid_shape)
    return codes


def as_means(
    codes: NDArray[np.int64], spec: CodecSpec, height: int, width: int
) -> NDArray[np.float32]:
    """Turn codes of `integer_codes` into the means, float32, that a `Code` holds."""
    rows, columns = spec.cells(height, width)
    members = np.outer(rows.lengths, columns.lengths)
    return (codes / (LARGEST_PIXEL * spec.block * members)).astype(np.float32)


def _sum_cells(
    values: NDArray[np.float64], starts: NDArray[np.int64], stops: NDArray[np.int64], axis: int
) -> NDArray[np.float64]:
    """Sum ranges along an axis; an empty range, which the padded grid can have, gives 0."""
    before = np.zeros_like(np.take(values, [0], axis=axis))
    running = np.concatenate([before, np.cumsum(values, axis=axis)], axis=axis)
    sums = np.take(running, stops, axis=axis) - np.take(running, starts, axis=axis)
    return np.asarray(sums, np.float64)


def _signs(level: int) -> NDArray[np.float64]:
    """Return the patterns of one axis (2**J, 2**J): 1 and -1, the first split most significant."""
    signs = np.ones((1, 1))
    low, high = np.array([[1.0, 1.0]]), np.array([[-1.0, 1.0]])
    for _ in range(level):
        # a later split acts on sums or differences of neighbours, so on twice as wide pixels
        signs = np.concatenate([np.kron(signs, low), np.kron(signs, high)])
    return signs


def _band_numbers(level: int) -> NDArray[np.int64]:
    """Return the number of the band with each pair of patterns, (2**J, 2**J)."""
    places = np.arange(1 << level)
    numbers = np.zeros((1 << level, 1 << level), np.int64)
    for split in range(level):
        bit = places >> split & 1
        numbers += (2 * bit[:, None] + bit) << 2 * split
    return numbers


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
