"""Results are at their optimum whatever the solver does, or a warning says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

optimize = pytest.importorskip("scipy.optimize", reason="the extra [sklearn] is not installed")
linear = pytest.importorskip("sklearn.linear_model", reason="the extra [sklearn] is not installed")

from sklearn.exceptions import ConvergenceWarning  # noqa: E402

from deepfixcx.measures.solvers import (  # noqa: E402
    logistic_regression,
    non_negative_weights,
)

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


def test_nearest_result_counts_where_no_solver_reaches_the_optimum(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second solver may end farther from the optimum than the first."""
    whole = linear.LogisticRegression

    def stopped(**settings: Any) -> Any:
        return whole(**{**settings, "max_iter": 20 if settings["solver"] == "lbfgs" else 1})

    monkeypatch.setattr(linear, "LogisticRegression", stopped)
    with pytest.warns(ConvergenceWarning, match="before its optimum"):
        both = logistic_regression(VALUES, TRUTH, 1e-2)
    with pytest.warns(ConvergenceWarning):
        first = logistic_regression(VALUES, TRUTH, 1e-2, solvers=("lbfgs",))
    assert (both[0] == first[0]).all()


def test_balanced_positives_and_negatives_weigh_the_same() -> None:
    """As if the rarer kind were there as often: rows repeated give the same optimum."""
    positives, negatives = VALUES[TRUTH == 1], VALUES[TRUTH == 0]
    few, many = positives[:7], negatives[:21]
    rows = np.concatenate([few, many])
    truth = np.repeat([1.0, 0.0], [7, 21])
    balanced = logistic_regression(rows / VALUES.std(0), truth, 1.0, balanced=True)
    again = np.concatenate([few, few, few, many]) / VALUES.std(0)
    # 28 balanced rows are 14 and 14, the repeated ones 21 and 21
    repeated = logistic_regression(again, np.repeat([1.0, 0.0], [21, 21]), 1.5)
    assert np.abs(balanced[0] - repeated[0]).max() < 0.01
    assert abs(balanced[1] - repeated[1]) < 0.01


def mixtures() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return columns, two of them equal, weights, and the sums that they make."""
    matrix = GENERATOR.random((40, 12))
    matrix[:, 11] = matrix[:, 10]
    weights = GENERATOR.random((12, 5)) * (GENERATOR.random((12, 5)) > 0.6)
    return matrix, weights, matrix @ weights


def test_non_negative_weights_explain_sums_though_columns_are_equal() -> None:
    matrix, weights, sums = mixtures()
    found = non_negative_weights(matrix, sums)
    assert found.min() >= 0
    assert np.abs(matrix @ found - sums).max() < 1e-6
    assert np.abs(found[:10] - weights[:10]).max() < 1e-6


def test_non_negative_weights_are_right_though_the_solver_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    matrix, weights, sums = mixtures()
    whole = optimize.nnls

    def stopped(rows: Any, aim: Any, **options: Any) -> Any:
        if len(rows) == len(matrix):
            raise RuntimeError("Maximum number of iterations reached.")
        return whole(rows, aim, **options)

    monkeypatch.setattr(optimize, "nnls", stopped)
    found = non_negative_weights(matrix, sums)
    assert np.abs(found[:10] - weights[:10]).max() < 1e-4


@pytest.mark.parametrize("wrong", ["raises", "returns something else"])
def test_weights_that_are_not_the_optimum_say_so(
    wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix, _, sums = mixtures()

    def broken(rows: Any, _aim: Any, **_: Any) -> Any:
        if wrong == "raises":
            raise RuntimeError("Maximum number of iterations reached.")
        return np.ones(rows.shape[1]), 0.0

    monkeypatch.setattr(optimize, "nnls", broken)
    with pytest.warns(ConvergenceWarning, match="5 of 5 records"):
        non_negative_weights(matrix, sums)
