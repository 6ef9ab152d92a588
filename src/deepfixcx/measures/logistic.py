"""Logistic regression whose optimum is checked, so that no solver's early stop changes a result."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require

__all__ = ["logistic_regression"]

STEPS = 1000
"""Most iterations of each solver."""

TOLERANCE = 2e-4
"""Largest gradient, per image, of what counts as the optimum; solvers aim at half of it."""

SOLVERS = ("lbfgs", "newton-cholesky")
"""The second is used where the first stops before the optimum, as its line search may by rounding;
it costs more for many numbers, and needs no line search near the optimum."""


def logistic_regression(
    values: NDArray[Any], truth: NDArray[Any], penalty: float
) -> tuple[NDArray[np.float64], float]:
    """Return weights, shape (n,), and bias of values of shape (N, n) and truths 1 or 0.

    The optimum is unique, because weights are penalized, and known by its gradient. Where no solver
    reaches it, a ConvergenceWarning says how far the result is from it.
    """
    linear = require("sklearn.linear_model", extra="sklearn")
    warning = require("sklearn.exceptions", extra="sklearn").ConvergenceWarning
    numbers = np.asarray(values, np.float64)  # a line search in float32 ends in rounding
    yes = np.asarray(truth, np.float64)
    gradient = np.inf
    for solver in SOLVERS:
        model = linear.LogisticRegression(C=1 / penalty, max_iter=STEPS, solver=solver)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", warning)
            model.fit(numbers, yes)
        weights, bias = np.asarray(model.coef_[0]), float(model.intercept_[0])
        gradient = _gradient(numbers, yes, weights, bias, penalty)
        if gradient <= TOLERANCE:
            return weights, bias
    warnings.warn(
        f"the logistic regression stopped before its optimum (gradient {gradient:.1g} per image, "
        f"limit {TOLERANCE:g}): scale the values, or use a larger penalty",
        warning,
        stacklevel=2,
    )
    return weights, bias


def _gradient(
    values: NDArray[np.float64],
    yes: NDArray[np.float64],
    weights: NDArray[np.float64],
    bias: float,
    penalty: float,
) -> float:
    """Return the largest part of the gradient of the penalized loss, per image."""
    error = (1 + np.tanh((values @ weights + bias) / 2)) / 2 - yes
    parts = np.append(values.T @ error + penalty * weights, error.sum())
    return float(np.abs(parts).max() / len(values))
