"""Codes with the noise of `PixelNoise`, to see what it leaves of them; never to release them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms import PixelNoise, pixel_sensitivity
from deepfixcx.mechanisms.catalogue import names_in, noise_named
from deepfixcx.mechanisms.sensitivity import as_means
from deepfixcx.spec import CodecSpec

__all__ = ["noised", "split_noise"]

Array = NDArray[np.float32]


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


def noised(codes: Array, sizes: NDArray[np.int64], noise: PixelNoise, seed: int) -> Array:
    """Add discrete Laplace noise of a seed to codes of 8-bit images.

    Distributed as that of `PixelNoise`, so it shows what noise costs; but who knows the seed can
    take it away, so it protects nothing.

    Parameters
    ----------
    codes : ndarray of float32, shape (N, C, 4**J, P, P)
        Of the noise's spec.
    sizes : ndarray of int64, shape (N, 2)
        Heights and widths of the images.
    noise : PixelNoise
        For at most m pixels, with delta 0.
    seed : int
        Of the noise.

    Returns
    -------
    ndarray of float32, shape (N, C, 4**J, P, P)
        Not negative.

    Raises
    ------
    MechanismError
        The noise is for squares, or Gaussian.

    References
    ----------
    As `PixelNoise`.

    Examples
    --------
    >>> noise = PixelNoise(CodecSpec(level=1, patches=1), epsilon=1.0, pixels=1)
    >>> noised(np.ones((1, 1, 4, 1, 1), np.float32), np.array([[64, 64]]), noise, seed=0).shape
    (1, 1, 4, 1, 1)
    """
    if noise.pixels is None or noise.delta:
        raise MechanismError(f"only Laplacian noise for pixels is tried here, got {noise.name}")
    scale = pixel_sensitivity(noise.spec, noise.pixels, channels=codes.shape[1]).l1 / noise.epsilon
    generator = np.random.default_rng(seed)
    # the difference of two geometric numbers is discrete Laplacian
    one, other = generator.geometric(-np.expm1(-1 / scale), (2, *codes.shape))
    noisy = codes.copy()
    for height, width in np.unique(sizes, axis=0).tolist():
        same = (sizes == (height, width)).all(axis=1)
        noisy[same] += as_means((one - other)[same], noise.spec, height, width)
    return np.maximum(noisy, np.float32(0))
