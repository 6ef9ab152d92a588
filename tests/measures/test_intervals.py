"""Intervals over patients: how often they hold the truth, and what they must never do."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.coverage import Design, coverage, others
from deepfixcx.errors import LabelError
from deepfixcx.measures import (
    Interval,
    auc_difference,
    auc_interval,
    average_precision,
    average_precision_interval,
    calibration_interval,
    expected_calibration_error,
    intervals,
    mean_difference,
    mean_interval,
    patient_bootstrap,
    rate_interval,
    roc_auc,
)
from deepfixcx.measures.areas import auc_estimate
from deepfixcx.measures.intervals import joint_error

Floats = NDArray[np.float64]


def drawn(images: int, patients: int, seed: int = 0) -> tuple[Floats, Floats, NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    owners = generator.integers(0, patients, images)
    labels = (generator.random(images) < 0.4).astype(float)
    return labels, np.round(labels + generator.normal(0, 1, images), 1), owners


def limits(found: Interval) -> tuple[float, float]:
    return found.low, found.high


# -- coverage ---------------------------------------------------------------------------------

DESIGNS = [
    Design(10, 0.5, 0.99),
    Design(10, 0.5, 0.5, 0.5, 5),
    Design(20, 0.2, 0.9, 0.8, 8),
    Design(40, 0.5, 0.97, 0.5, 5, mixed=True),
    Design(100, 0.2, 0.97, 0.8, 8),
    Design(200, 0.5, 0.7, 0.5, 5),
]


@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_intervals_of_areas_hold_the_truth(design: Design) -> None:
    """Of 200 intervals, 180 or more: fewer have a chance of 0.2 % where 95 % hold it."""

    def without_bootstrap(
        generator: np.random.Generator,
    ) -> tuple[float, dict[str, tuple[float, float]]]:
        return design.area, {"": limits(auc_interval(*design.draw(generator)))}

    ((held, _),) = coverage([without_bootstrap], 200)[""]
    assert held >= 0.90


@pytest.mark.slow
@pytest.mark.parametrize("measure", list(others()))
def test_intervals_of_other_measures_hold_the_truth(measure: str) -> None:
    found = coverage(others()[measure][:3], 60)["chosen"]
    assert np.mean([held for held, _ in found]) >= 0.92


def test_few_patients_have_no_interval_of_no_width() -> None:
    two = auc_interval([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], list("aabb"))
    assert (two.value, math.isnan(two.low)) == (1, True)
    assert str(two) == "1.000 (too few patients for an interval)"
    ten = auc_interval(np.arange(10) % 2, np.arange(10) % 2, np.arange(10))
    assert ten.low < 0.8
    assert ten.high == 1
    none = auc_interval(np.arange(10) % 2, -(np.arange(10) % 2), np.arange(10))
    assert (none.low, none.high) == pytest.approx((0, 1 - ten.low))


def test_copies_of_a_patients_images_add_nothing() -> None:
    labels, scores, owners = drawn(80, 80)
    once = auc_interval(labels, scores, owners)
    copied = auc_interval(np.tile(labels, 9), np.tile(scores, 9), np.tile(owners, 9))
    assert limits(copied) == pytest.approx(limits(once), abs=0.01)
    strangers = auc_interval(np.tile(labels, 9), np.tile(scores, 9), np.arange(9 * 80))
    assert strangers.high - strangers.low < 0.5 * (once.high - once.low)


def test_the_variance_is_that_of_delong_for_one_image_a_patient() -> None:
    labels, scores, _ = drawn(50, 50)
    above, below = scores[labels == 1], scores[labels == 0]
    wins = (above[:, None] > below) + (above[:, None] == below) / 2
    delong = wins.mean(1).var(ddof=1) / len(above) + wins.mean(0).var(ddof=1) / len(below)
    assert auc_estimate(labels, scores, np.arange(50)).variance == pytest.approx(delong)


def test_several_labels_are_averaged() -> None:
    labels, scores, owners = drawn(60, 30)
    once = auc_interval(labels, scores, owners)
    twice = auc_interval(np.stack([labels, labels], 1), np.stack([scores, scores], 1), owners)
    assert limits(twice) == pytest.approx(limits(once), abs=0.01)
    with_one_class = np.stack([labels, np.ones(60)], 1)
    assert auc_interval(with_one_class, np.stack([scores, scores], 1), owners) == once
    independent = np.random.default_rng(5).normal(size=60)
    narrow = auc_interval(np.stack([labels, labels], 1), np.stack([scores, independent], 1), owners)
    assert narrow.high - narrow.low < once.high - once.low


def test_groups_are_compared_within() -> None:
    labels, scores, owners = drawn(120, 60)
    groups = owners % 2
    found = auc_interval(labels, scores + 100 * groups, owners, groups)
    assert found.value == roc_auc(labels, scores, groups)
    assert limits(found) == limits(auc_interval(labels, scores, owners, groups))


# -- differences ------------------------------------------------------------------------------


def test_differences_are_paired() -> None:
    labels, scores, owners = drawn(200, 80)
    assert limits(auc_difference(labels, scores, scores, owners)) == pytest.approx((0, 0), abs=0.03)
    near = auc_difference(
        labels, scores, scores + np.random.default_rng(0).normal(0, 0.1, 200), owners
    )
    alone = auc_interval(labels, scores, owners)
    assert near.high - near.low < 0.5 * (alone.high - alone.low)
    values = np.random.default_rng(0).random(50)
    assert limits(mean_difference(values, values - 0.01)) == pytest.approx((0.01, 0.01))
    assert (
        mean_difference(np.ones(8), np.ones(8), (0, 1)).high > 0.1
    )  # 8 patients prove no equality


def test_joint_intervals_are_wider_the_less_their_values_move_together() -> None:
    generator = np.random.default_rng(0)
    labels, owners = np.arange(100) % 2, np.arange(100)
    scores = generator.normal(size=(12, 100))
    apart = joint_error([auc_estimate(labels, each, owners) for each in scores])
    together = joint_error([auc_estimate(labels, scores[0] + each / 50, owners) for each in scores])
    assert 0.05 / 12 * 0.8 < apart < 0.007
    assert together > 0.03
    assert joint_error([auc_estimate(labels, scores[0], owners)]) == 0.05


# -- shares and means -------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [0, 1])
def test_rates_of_all_or_none_are_those_of_wilson(answer: int) -> None:
    """Against the roots of the score equation (p - x)^2 = z^2 x (1 - x) / n."""
    count, quantile = 11, 1.959964
    over = quantile**2 / count
    roots = np.roots([1 + over, -2 * answer - over, answer**2])
    found = rate_interval(np.full(11, answer), np.arange(11))
    assert found.value == answer
    assert limits(found) == pytest.approx(sorted(roots), abs=1e-6)


def test_rates_count_patients_and_not_images() -> None:
    one_each = rate_interval(np.ones(8), np.arange(8))
    assert limits(rate_interval(np.ones(24), np.arange(24) // 3)) == pytest.approx(limits(one_each))
    unequal = rate_interval(np.ones(24), np.r_[np.arange(7), np.full(17, 7)])
    assert unequal.low < one_each.low  # most images are of one patient
    unknown = np.r_[np.ones(8), np.full(5, np.nan)]
    assert rate_interval(unknown, np.arange(13)) == one_each
    assert np.isnan(rate_interval(np.full(3, np.nan), np.arange(3)).value)
    assert np.isnan(rate_interval([1, 0, 1], list("aaa")).low)


def test_means_stay_within_their_bounds() -> None:
    assert limits(mean_interval([3.0], (0, 5)))[0] != 3
    assert mean_interval(np.full(6, 5.0), (0, 5)).high == 5
    assert mean_interval(np.full(6, 5.0), (0, 5)).low < 4
    assert np.isnan(mean_interval([np.nan]).value)
    with pytest.raises(LabelError, match="bounds"):
        mean_interval([0.5, 1.5], (0, 1))


# -- precision and calibration ----------------------------------------------------------------


def test_the_precision_of_draws_is_that_of_repeated_images() -> None:
    labels, scores, owners = drawn(60, 30)
    found = average_precision_interval(labels, scores, owners)
    assert found.value == pytest.approx(average_precision(labels, scores))
    slow = [average_precision(labels[owners != each], scores[owners != each]) for each in range(30)]
    count = len(np.unique(owners))
    assert found.low < min(slow) or found.high > max(slow)
    assert count > 20
    assert np.isnan(average_precision_interval(np.zeros(5), np.arange(5), np.arange(5)).value)
    assert np.isnan(average_precision_interval([1, 0, 0], [1, 2, 3], [0, 1, 2]).low)


def test_perfect_probabilities_are_not_called_wrong() -> None:
    generator = np.random.default_rng(4)
    probabilities = generator.random(60)
    labels = generator.random(60) < probabilities
    plain = expected_calibration_error(labels, probabilities)
    found = calibration_interval(labels, probabilities, np.arange(60))
    assert plain > 0.05  # by chance alone
    assert found.low == 0
    assert found.value < plain < found.high
    wrong = calibration_interval(labels, 1 - probabilities, np.arange(60))
    assert wrong.low > 0.2
    again = calibration_interval(labels, probabilities, np.arange(60), seed=0)
    assert again == found


# -- the bootstrap of other metrics -----------------------------------------------------------


@pytest.mark.parametrize("at_once", [1, 200, 10**6])
def test_runs_of_draws_change_nothing(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    labels, scores, owners = drawn(50, 17)
    whole = patient_bootstrap(average_precision, labels, scores, owners, 50, seed=3)
    monkeypatch.setattr(intervals, "VALUES_AT_ONCE", at_once)
    assert patient_bootstrap(average_precision, labels, scores, owners, 50, seed=3) == whole
    assert patient_bootstrap(average_precision, labels, scores, owners, 50, seed=4) != whole


def test_bootstrap_intervals_are_as_wide_as_theory_says() -> None:
    values = np.random.default_rng(0).normal(0, 1, 400)
    found = patient_bootstrap(
        lambda _, scores: float(scores.mean()), np.ones(400), values, np.arange(400), 4000
    )
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.05)
    few = patient_bootstrap(
        lambda _, scores: float(scores.mean()), np.ones(6), values[:6], np.arange(6), 4000
    )
    assert few.high - few.low > 2 * 2.3 * values[:6].std(ddof=1) / 6**0.5
    nothing = patient_bootstrap(lambda *_: math.nan, np.ones(3), np.ones(3), np.arange(3), 10)
    assert math.isnan(nothing.low)
