"""Principal components, and fits whose optimum is checked, so that no early stop is overlooked."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require

__all__ = ["logistic_regression", "non_negative_weights", "principal_components"]

LEAST_SHARE = 1e-10
"""Components with less of the largest variance are rounding errors."""


def principal_components(
    centred: NDArray[np.float64], most: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return unit directions (n, K) of vectors (N, n) of mean 0, and sums of squares along them.

    The largest sum is first, K is `most` or less; those that are rounding errors are left out.
    """
    few = len(centred) < centred.shape[1]
    squares, vectors = np.linalg.eigh(centred @ centred.T if few else centred.T @ centred)
    order = np.argsort(squares)[::-1][:most]
    order = order[squares[order] > LEAST_SHARE * max(float(squares.max(initial=0.0)), 0.0)]
    chosen, kept = vectors[:, order], squares[order]
    return (centred.T @ chosen / np.sqrt(kept) if few else chosen), kept


Floats = NDArray[np.float64]

STEPS = 1000
"""Most iterations of each solver."""

TOLERANCE = 2e-4
"""Largest gradient, per image, of what counts as the optimum; solvers aim at half of it."""

SOLVERS = ("lbfgs", "newton-cholesky")
"""The second is used where the first stops before the optimum, as its line search may by rounding;
it costs more for many columns, and needs no line search near the optimum."""

RIDGES = (0.0, 1e-7)
"""Of non-negative least squares, relative to the matrix: the second keeps columns that depend on
each other from entering and leaving for ever."""

SLACK = 1e-6
"""Largest violation of the conditions of its optimum, relative to the matrix and the target."""


def logistic_regression(
    values: NDArray[Any],
    truth: NDArray[Any],
    penalty: float,
    *,
    balanced: bool = False,
    solvers: Sequence[str] = SOLVERS,
) -> tuple[Floats, float]:
    """Return weights, shape (n,), and bias of values of shape (N, n) and truths 1 or 0."""
    linear = require("sklearn.linear_model", extra="sklearn")
    warning = require("sklearn.exceptions", extra="sklearn").ConvergenceWarning
    stumbling = require("scipy.linalg", extra="sklearn").LinAlgWarning
    matrix = np.asarray(values, np.float64)  # a line search in float32 ends in rounding
    positive = np.asarray(truth, np.float64)
    share = positive.mean()
    counted = np.where(positive == 1, 0.5 / share, 0.5 / (1 - share)) if balanced else None
    best = np.inf, np.zeros(matrix.shape[1]), 0.0
    for solver in solvers:
        model = linear.LogisticRegression(C=1 / penalty, max_iter=STEPS, solver=solver)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", warning)
            warnings.simplefilter("ignore", stumbling)
            model.fit(matrix, positive, sample_weight=counted)
        weights, bias = np.asarray(model.coef_[0]), float(model.intercept_[0])
        gradient = _gradient(matrix, positive, weights, bias, penalty, counted)
        if gradient < best[0]:
            best = gradient, weights, bias
        if gradient <= TOLERANCE:
            return weights, bias
    warnings.warn(
        f"the logistic regression stopped before its optimum (gradient {best[0]:.1g} per image, "
        f"limit {TOLERANCE:g}): scale the values, or use a larger penalty",
        warning,
        stacklevel=2,
    )
    return best[1:]


def non_negative_weights(matrix: Floats, targets: Floats) -> Floats:
    """Return weights, shape (n, K), of 0 or more whose sums of columns are nearest to K targets."""
    warning = require("sklearn.exceptions", extra="sklearn").ConvergenceWarning
    found = [_non_negative(matrix, target) for target in targets.T]
    if missed := sum(excess > SLACK for excess, _ in found):
        warnings.warn(
            f"non-negative least squares stopped before its optimum for {missed} of {len(found)} "
            f"records: an attacker with a better solver may explain them better",
            warning,
            stacklevel=2,
        )
    return np.stack([weights for _, weights in found], axis=1)


def _non_negative(matrix: Floats, target: Floats) -> tuple[float, Floats]:
    """Return how far the conditions of the optimum are missed, and the weights."""
    nnls = require("scipy.optimize", extra="sklearn").nnls
    count = matrix.shape[1]
    size = float(np.linalg.norm(matrix, axis=0).max(initial=0))
    best = _excess(matrix, target, np.zeros(count), size), np.zeros(count)
    for ridge in RIDGES:
        rows, aim = matrix, target
        if ridge:
            rows = np.concatenate([matrix, ridge * size * np.eye(count)])
            aim = np.append(target, np.zeros(count))
        try:
            weights = np.asarray(nnls(rows, aim, maxiter=10 * count)[0], np.float64)
        except RuntimeError:  # it did not converge
            continue
        excess = _excess(matrix, target, weights, size)
        if excess < best[0]:
            best = excess, weights
        if excess <= SLACK:
            break
    return best


def _excess(matrix: Floats, target: Floats, weights: Floats, size: float) -> float:
    """Return the largest violation of stationarity and of dual feasibility, relative to sizes."""
    slope = matrix.T @ (matrix @ weights - target)
    missed = np.where(weights > 0, np.abs(slope), np.maximum(-slope, 0))
    unit = size * float(np.linalg.norm(target))
    return float(missed.max(initial=0)) / unit if unit else 0.0


def _gradient(
    values: Floats,
    positive: Floats,
    weights: Floats,
    bias: float,
    penalty: float,
    counted: Floats | None,
) -> float:
    """Return the largest part of the gradient of the penalized loss, per image."""
    error = (1 + np.tanh((values @ weights + bias) / 2)) / 2 - positive
    if counted is not None:
        error *= counted
    parts = np.append(values.T @ error + penalty * weights, error.sum())
    return float(np.abs(parts).max() / len(values))
