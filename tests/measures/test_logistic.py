"""A logistic regression reaches its optimum whatever its solver does, or a warning says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

linear = pytest.importorskip("sklearn.linear_model", reason="the extra [sklearn] is not installed")

from sklearn.exceptions import ConvergenceWarning  # noqa: E402

from deepfixcx.measures.logistic import logistic_regression  # noqa: E402

GENERATOR = np.random.default_rng(0)
VALUES = (GENERATOR.normal(size=(60, 8)) * 10.0 ** np.arange(-3, 5)).astype(np.float32)
TRUTH = (VALUES[:, 3] + GENERATOR.normal(size=60) > 0).astype(float)


def optimum(values: np.ndarray, truth: np.ndarray, penalty: float) -> np.ndarray:
    """Newton's method in float64, step by step."""
    x = np.column_stack([values.astype(np.float64), np.ones(len(values))])
    ridge = np.diag([penalty] * values.shape[1] + [0.0])
    weights = np.zeros(x.shape[1])
    for _ in range(200):
        chance = (1 + np.tanh(x @ weights / 2)) / 2
        hessian = x.T @ (x * (chance * (1 - chance))[:, None]) + ridge
        gradient = x.T @ (chance - truth) + ridge @ weights
        weights -= 0.5 * np.linalg.solve(hessian, gradient)
    return weights


def stop_early(monkeypatch: pytest.MonkeyPatch, *solvers: str) -> None:
    whole = linear.LogisticRegression

    def stopped(**settings: Any) -> Any:
        steps = 1 if settings["solver"] in solvers else settings["max_iter"]
        return whole(**{**settings, "max_iter": steps})

    monkeypatch.setattr(linear, "LogisticRegression", stopped)


@pytest.mark.parametrize("penalty", [1e-2, 3.0, 3000.0])
def test_optimum_is_reached_though_the_first_solver_stops(
    penalty: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = optimum(VALUES, TRUTH, penalty)
    stop_early(monkeypatch, "lbfgs")
    weights, bias = logistic_regression(VALUES, TRUTH, penalty)
    odds = VALUES.astype(np.float64) @ weights + bias
    expected = VALUES.astype(np.float64) @ right[:-1] + right[-1]
    assert np.abs(odds - expected).max() < 0.02 * max(1.0, np.abs(expected).max())


def test_result_that_is_not_the_optimum_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    stop_early(monkeypatch, "lbfgs", "newton-cholesky")
    with pytest.warns(ConvergenceWarning, match="before its optimum"):
        logistic_regression(VALUES, TRUTH, 1e-2)
