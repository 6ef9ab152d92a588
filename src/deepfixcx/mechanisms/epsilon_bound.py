"""Does noise keep its promise: a lower bound of epsilon from a game that an attacker plays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.errors import MechanismError

__all__ = ["EpsilonBound", "epsilon_lower_bound"]

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class EpsilonBound:
    """What the game showed.

    Attributes
    ----------
    value : float
        With the stated confidence epsilon is no smaller; 0 if nothing could be shown.
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
    """Play the pair game: releases of two neighbouring images, and a guess which it was.

    A half of the releases chooses the threshold of the score that promises most, the other half
    counts right and wrong guesses. Intervals of Clopper and Pearson turn the counts into a bound:
    epsilon >= log((true positives - delta) / false positives), and the same for negatives.

    Parameters
    ----------
    first, second : callable
        Told a number, each makes as many releases of its image, stacked along the first axis.
    score : callable
        Turns such releases into numbers, large for the second image; the better, the tighter.
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
        raise MechanismError(f"the game needs 20 trials or more, got {trials}")
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
