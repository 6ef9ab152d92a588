"""How large a reason is by chance: what models of random labels reach.

A model whose labels say nothing has weights of random direction. Its amount for some numbers of a
code is then normal, with a variance that is their share of the squared distance between code and
baseline, in standard deviations of each number; `FACTOR` was measured on logistic models,
multilayer perceptrons and networks that were fitted to permuted labels
(`python -m benchmarks.explanations`). Compared are amounts of a model whose scores spread as much.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.code import Code
from deepfixcx.explain.attribution import Attribution
from deepfixcx.explain.naming import band_groups
from deepfixcx.measures.code_range import FEWEST, CodeRange, signed_root

__all__ = ["chance_of", "even_shares", "range_of", "summed_shares"]

Floats = NDArray[np.float64]

FACTOR, LINEAR_FACTOR = 1.75, 1.25
"""Amounts of models of random labels are so much larger than those of independent weights."""

ERROR = 0.05
"""Share of images of such a model in which any reason seems larger than chance."""

LEAST = 1e-6


def even_shares(code: Code, known: CodeRange, baseline: NDArray[np.float32] | None) -> Floats:
    """Return the squared distance to a baseline in each group and cell, (B, G, P, P).

    Distances are in standard deviations of the range; without a baseline they are those to its
    center, and their sum is 1 on average over images.
    """
    groups = band_groups(code.spec.level)
    shares = np.empty((len(code), len(groups), *code.spec.grid_shape))
    used = max(1, int(np.isfinite(known.spread).sum()))
    for image, values in enumerate(code.array):
        start = known.center if baseline is None else signed_root(baseline[image % len(baseline)])
        squares = ((signed_root(values) - start) / known.spread).astype(np.float64) ** 2
        squares = squares.sum(axis=-1) if squares.ndim > 4 else squares
        for number, group in enumerate(groups):
            shares[image, number] = squares[:, list(group.bands)].sum(axis=(0, 1))
    least: Floats = np.maximum(shares / used, LEAST / shares[0].size)
    return least


def chance_of(
    why: Attribution, known: CodeRange, spread: float, *, linear: bool
) -> NDArray[np.float32]:
    """Return the amount that each reason has to exceed, of the shape of `Attribution.chance`.

    `spread` is the standard deviation of the output over many images, `linear` whether the model
    is a logistic regression.
    """
    shares = summed_shares(why, known)
    special = require("scipy.special", extra="sklearn")
    quantile = -float(special.ndtri(ERROR / 2 / shares[0].size))
    factor = LINEAR_FACTOR if linear else FACTOR
    return (factor * quantile * spread * np.sqrt(shares)).astype(np.float32)


def summed_shares(why: Attribution, known: CodeRange, *, center: bool = False) -> Floats:
    """Return even shares of an attribution's positions and bands, in the shape of its amounts."""
    shares = even_shares(why.code, known, None if center else why.baseline)
    if why.resolves == "place":
        shares = shares.sum(axis=1, keepdims=True)
    elif why.resolves == "band":
        shares = shares.sum(axis=(2, 3), keepdims=True)
    return shares


def range_of(code: Code) -> CodeRange | None:
    """Return the range of the codes of enough images."""
    return CodeRange.of(code.array) if len(code) >= FEWEST else None
