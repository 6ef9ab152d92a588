"""Intervals of many figures at once, over patients: two images of one are not two observations."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.errors import ExplanationError

__all__ = ["between_groups", "draw_images", "mean_intervals", "share_of_variation"]

Floats = NDArray[np.float64]


def draw_images(patients: ArrayLike | None, images: int, samples: int, seed: int) -> Floats:
    """Draw patients with replacement; return how often each image is in each draw, (S + 1, N)."""
    if samples < 1:
        raise ExplanationError(f"intervals need one draw or more, got {samples}")
    owners = np.arange(images) if patients is None else np.asarray(patients)
    if owners.shape != (images,):
        raise ExplanationError(
            f"{images} images need as many patients, got an array of shape {owners.shape}"
        )
    _, numbers = np.unique(owners, return_inverse=True)
    count = int(numbers.max()) + 1
    generator = np.random.default_rng(seed)
    counts = generator.multinomial(count, np.full(count, 1 / count), samples)
    drawn: Floats = np.ones((samples + 1, images))
    drawn[1:] = counts[:, numbers]
    return drawn


def mean_intervals(values: NDArray[np.float32], draws: Floats) -> Floats:
    """Return mean, low and high of each column of values (N, K), as (K, 3)."""
    means = draws @ values.astype(np.float64) / draws.sum(axis=1, keepdims=True)
    low, high = np.quantile(means[1:], (0.025, 0.975), axis=0)
    return np.stack([means[0], low, high], axis=1)


def share_of_variation(part: Floats, whole: Floats, labels: Floats | None, draws: Floats) -> Floats:
    """Return the share of the variation that comes from a part, in each draw, (S + 1,)."""
    if labels is None:
        weights = draws / draws.sum(axis=1, keepdims=True)
        mean_part, mean_whole = weights @ part, weights @ whole
        shared = weights @ (part * whole) - mean_part * mean_whole
        total = weights @ (whole * whole) - mean_whole * mean_whole
    else:
        shared, total = (_difference(each, labels, draws) for each in (part, whole))
    enough = np.abs(total) > 1e-12
    shares: Floats = np.divide(shared, total, out=np.full(len(draws), np.nan), where=enough)
    return shares


def between_groups(
    outputs: Floats, members: NDArray[np.bool_], labels: Floats, draws: Floats
) -> Floats:
    """Return the share of the variance within labels that membership explains, (S + 1,)."""
    between = np.zeros(len(draws))
    total = np.zeros(len(draws))
    for label in np.unique(labels):
        here = labels == label
        sides = [draws[:, here & side] for side in (members, ~members)]
        values = [outputs[here & side] for side in (members, ~members)]
        counts = [side.sum(axis=1) for side in sides]
        sums = [side @ value for side, value in zip(sides, values, strict=True)]
        count = counts[0] + counts[1]
        mean = (sums[0] + sums[1]) / np.maximum(count, 1)
        total += draws[:, here] @ outputs[here] ** 2 - count * mean**2
        for number, summed in zip(counts, sums, strict=True):
            between += number * (summed / np.maximum(number, 1) - mean) ** 2
    shares: Floats = np.divide(between, total, out=np.full(len(draws), np.nan), where=total > 1e-12)
    return shares


def _difference(values: Floats, labels: Floats, draws: Floats) -> Floats:
    """Return the mean of yes less that of no, in each draw; NaN where one of them is missing."""
    means = []
    for label in (1, 0):
        chosen = draws[:, labels == label]
        count = chosen.sum(axis=1)
        summed = chosen @ values[labels == label]
        means.append(np.divide(summed, count, out=np.full(len(draws), np.nan), where=count > 0))
    difference: Floats = means[0] - means[1]
    return difference
