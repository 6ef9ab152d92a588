"""Within which range the inputs of a model lie, and whether an image lies within it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import ModelError

__all__ = ["FEWEST", "CodeRange", "signed_root"]

Array = NDArray[np.float32]

QUANTILE = 2.326
"""Of the normal distribution at 0.99: 1 % of images like those of the training are beyond it."""

TINY = 1e-37

FEWEST = 20
"""Of fewer images no limit is learned."""


@dataclass(frozen=True, eq=False, slots=True)
class CodeRange:
    """Mean and spread of each number of the codes that a model learned from."""

    center: Array
    spread: Array
    """Mean and standard deviation of signed square roots; infinite for a number without spread."""
    limit: float
    """Distance that 1 % of images like those of the training exceed; infinite of fewer than 20."""

    @classmethod
    def of(cls, codes: Array, seed: int = 0) -> CodeRange:
        """Learn the range of some codes; the limit from two halves, each measured by the other."""
        center, spread = _moments(codes)
        limit = math.inf
        if len(codes) >= FEWEST:
            order = np.random.default_rng(seed).permutation(len(codes))
            halves = np.array_split(order, 2)
            distances = [
                cls(*_moments(codes[one]), math.inf).distance(codes[other])
                for one, other in (halves, halves[::-1])
            ]
            logarithms = np.log(np.concatenate(distances) + TINY)
            limit = float(np.exp(logarithms.mean() + QUANTILE * logarithms.std()))
        return cls(center, spread, limit)

    def unusual(self, codes: Array) -> Array:
        """Return how many standard deviations each number is from the mean, of the same shape."""
        if codes.shape[1:] != self.center.shape:
            raise ModelError(
                f"this range is that of codes {self.center.shape}, got {codes.shape[1:]}; use the "
                "settings of the model"
            )
        return (signed_root(codes) - self.center) / self.spread

    def distance(self, codes: Array) -> NDArray[np.float64]:
        """Return the mean square of `unusual` of each image, (N,): about 1 of usual images."""
        used = max(1, int(np.isfinite(self.spread).sum()))
        return np.array(
            [float((self.unusual(each[None]) ** 2).sum(dtype=np.float64)) / used for each in codes]
        )

    def outside(self, codes: Array) -> NDArray[np.bool_]:
        """Return which images are beyond the limit, (N,)."""
        beyond: NDArray[np.bool_] = self.distance(codes) > self.limit
        return beyond


def signed_root(values: Array) -> Array:
    """Take square roots of the sizes and keep the signs."""
    return np.copysign(np.sqrt(np.abs(values)), values)


def _moments(codes: Array) -> tuple[Array, Array]:
    rooted = signed_root(codes)
    center, spread = rooted.mean(axis=0), rooted.std(axis=0)
    least = max(1e-4 * float(spread.max(initial=0)), TINY)
    return center, np.where(spread > least, spread, np.inf).astype(np.float32)
