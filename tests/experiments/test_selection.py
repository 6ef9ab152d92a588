"""Recommendations allow for the choice of the best of many settings."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.selection import false_frontiers, false_sweeps
from deepfixcx.experiments.recommendation import recommend_code, recommend_mechanism
from deepfixcx.experiments.rows import FrontierRow, Row, compare, put_interval
from deepfixcx.measures.areas import auc_estimate
from deepfixcx.measures.intervals import Estimate


def estimates(settings: int, shift: float, seed: int) -> list[Estimate]:
    """Return the areas of independent scores of 60 patients."""
    generator = np.random.default_rng(seed)
    labels = np.arange(60) % 2
    return [
        auc_estimate(labels, generator.normal(size=60) + shift * labels, np.arange(60))
        for _ in range(settings)
    ]


def sweep_rows(found: list[Estimate]) -> list[Row]:
    rows = []
    for place, each in enumerate(found):
        figures = {"numbers": 2.0**place, "share": 0.01}
        put_interval(figures, "auc", each.interval())
        rows.append(Row(1 + place, 2, figures, each))
    return rows


def test_the_best_of_twelve_settings_at_chance_is_not_recommended() -> None:
    """Without the correction, one of twelve intervals lies above chance in 26 % of data sets."""
    wrong = uncorrected = 0
    for seed in range(100):
        rows = sweep_rows(estimates(12, 0.0, seed))
        uncorrected += recommend_code(rows).row is not None
        wrong += recommend_code(compare(rows, to_best=True)).row is not None
    assert uncorrected >= 12
    assert wrong <= 7


def test_random_labels_are_not_served() -> None:
    assert false_sweeps(range(8))[0] <= 2
    assert false_frontiers(range(3))[0] <= 1


def test_settings_that_are_good_are_still_recommended() -> None:
    found = recommend_code(compare(sweep_rows(estimates(12, 1.8, 0)), to_best=True))
    assert found.row is not None
    assert found.row.level == 1  # all are equally good, so the smallest
    assert "allowing for the choice" in found.sentence
    good, bad = estimates(1, 4.0, 1), estimates(1, 1.0, 2)
    best = recommend_code(compare(sweep_rows([*bad, *good]), to_best=True)).row
    assert best is not None
    assert best.level == 2


def test_the_frontier_recommends_no_setting_at_chance() -> None:
    def rows(found: list[Estimate], linkage_high: float) -> list[FrontierRow]:
        made = []
        for place, each in enumerate(found):
            figures = {"linkage": 0.5, "linkage_low": 0.45, "linkage_high": linkage_high}
            figures["floor_raw"] = 0.5
            put_interval(figures, "auc", each.interval())
            made.append(FrontierRow(2, place + 1, "plain", 4, figures, each))
        return compare(made)

    nothing = recommend_mechanism(rows(estimates(6, 0.0, 3), 0.52))
    assert nothing.row is None
    assert "better than chance" in nothing.sentence
    assert recommend_mechanism(rows(estimates(6, 1.8, 3), 0.52)).row is not None
    unproven = recommend_mechanism(rows(estimates(6, 1.8, 3), 0.545))
    assert unproven.row is None  # of six, one may be within 0.05 of the floor by chance
    assert "shown" in unproven.sentence


def test_rows_keep_what_they_are_compared_with() -> None:
    (row,) = sweep_rows(estimates(1, 1.0, 0))
    again = Row.from_json(row.to_json())
    assert again.estimate is not None
    assert row.estimate is not None
    assert again.estimate.interval().low == pytest.approx(row.estimate.interval().low)
    assert (again.figures, again.name) == (
        {k: round(v, 6) for k, v in row.figures.items()},
        "J1_P2",
    )
