"""Metrics against their definitions and against scikit-learn; intervals over patients."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from deepfixcx.errors import LabelError
from deepfixcx.measures import (
    Interval,
    auc_interval,
    average_precision,
    bootstrap,
    confusion_at,
    expected_calibration_error,
    patient_bootstrap,
    reliability_curve,
    roc_auc,
    youden_threshold,
)
from deepfixcx.measures.rates import rate_interval

Pairs = list[tuple[int, float]]
PAIRS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([-2.0, 0.0, 0.1, 0.5, 0.7, 1.0])),
    min_size=2,
    max_size=30,
).filter(lambda pairs: len({label for label, _ in pairs}) == 2)


def drawn(
    images: int, patients: int, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    owners = generator.integers(0, patients, images)
    labels = (generator.random(images) < 0.4).astype(float)
    return labels, np.round(labels + generator.normal(0, 1, images), 1), owners


@given(PAIRS)
def test_areas_agree_with_scikit_learn(pairs: Pairs) -> None:
    labels, scores = zip(*pairs, strict=True)
    assert roc_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
    assert average_precision(labels, scores) == pytest.approx(
        average_precision_score(labels, scores)
    )


@given(PAIRS)
def test_area_is_the_share_of_pairs_in_order(pairs: Pairs) -> None:
    yes = [score for label, score in pairs if label]
    no = [score for label, score in pairs if not label]
    wins = sum((a > b) + (a == b) / 2 for a in yes for b in no)
    labels, scores = zip(*pairs, strict=True)
    assert roc_auc(labels, scores) == pytest.approx(wins / len(yes) / len(no))


def test_groups_compare_only_pairs_within() -> None:
    labels = [1, 0, 0, 1, 1, 0]
    scores = [0.2, 0.1, 0.3, 0.9, 0.7, 0.8]
    groups = ["PA", "PA", "PA", "AP", "AP", "AP"]
    # PA: one of two pairs in order; AP: one of two
    assert roc_auc(labels, scores, groups) == 0.5
    assert roc_auc(labels, scores) == pytest.approx(6 / 9)
    # a shortcut by group alone is worth nothing within groups
    assert roc_auc([1, 1, 0, 0, 0, 1], [1, 1, 1, 0, 0, 0], groups) == 0.5


def test_one_class_has_no_area() -> None:
    for labels in ([1, 1], [0, 0], [math.nan, 1]):
        assert math.isnan(roc_auc(labels, [0.1, 0.2]))
    assert math.isnan(average_precision([0, 0], [0.1, 0.2]))
    interval = auc_interval([1, 1], [0.1, 0.2], [0, 1])
    assert all(map(math.isnan, (interval.value, interval.low, interval.high)))
    assert math.isnan(expected_calibration_error([math.nan], [0.4]))
    assert math.isnan(youden_threshold([1, 1], [0.1, 0.2]))


def test_unknown_labels_do_not_count() -> None:
    labels, scores, owners = drawn(60, 20)
    holes = labels.copy()
    holes[::3] = math.nan
    known = ~np.isnan(holes)
    assert roc_auc(holes, scores) == roc_auc(labels[known], scores[known])
    assert average_precision(holes, scores) == average_precision(labels[known], scores[known])
    assert confusion_at(holes, scores, 0.5) == confusion_at(labels[known], scores[known], 0.5)
    assert auc_interval(holes, scores, owners).value == roc_auc(holes, scores)


@pytest.mark.parametrize(
    ("labels", "scores"),
    [
        ([0, 1], [0.1]),
        ([[0], [1]], [[0.1], [0.2]]),
        ([0, 2], [0.1, 0.2]),
        ([0, 1], [0.1, math.nan]),
        ([0, 1], [0.1, math.inf]),
    ],
)
def test_bad_pairs_are_named(labels: list[int], scores: list[float]) -> None:
    for metric in (roc_auc, average_precision, youden_threshold):
        with pytest.raises(LabelError):
            metric(labels, scores)
    with pytest.raises(LabelError):
        auc_interval(labels[:1], scores, [0, 1])


def test_groups_and_patients_have_one_name_an_image() -> None:
    with pytest.raises(LabelError, match="one for each image"):
        roc_auc([0, 1], [0.1, 0.2], ["PA"])
    with pytest.raises(LabelError, match="one for each image"):
        auc_interval([0, 1], [0.1, 0.2], ["a", "b", "c"])


def test_calibration_by_hand() -> None:
    curve = reliability_curve([0, 1, 1, 0, math.nan], [0.05, 0.15, 1.0, 0.95, 0.5], bins=10)
    assert curve.counts.tolist() == [1, 1, 2]
    assert curve.predicted.tolist() == pytest.approx([0.05, 0.15, 0.975])
    assert curve.observed.tolist() == [0, 1, 0.5]
    error = expected_calibration_error([0, 1, 1, 0], [0.05, 0.15, 1.0, 0.95])
    assert error == pytest.approx((0.05 + 0.85 + 2 * 0.475) / 4)
    with pytest.raises(LabelError, match="from 0 to 1"):
        reliability_curve([0, 1], [0.5, 1.5])


def test_probabilities_that_come_true_are_calibrated() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.random(20_000)
    labels = generator.random(20_000) < probabilities
    assert expected_calibration_error(labels, probabilities) < 0.02
    assert expected_calibration_error(labels, probabilities**3) > 0.1


@given(PAIRS)
def test_no_threshold_beats_youdens(pairs: Pairs) -> None:
    labels, scores = zip(*pairs, strict=True)

    def gain(threshold: float) -> float:
        counted = confusion_at(labels, scores, threshold)
        return counted.sensitivity + counted.specificity

    best = gain(youden_threshold(labels, scores))
    assert all(best >= gain(score) - 1e-12 for score in scores)


def test_confusion_by_hand() -> None:
    counted = confusion_at([1, 1, 0, 0, 0], [0.9, 0.2, 0.5, 0.1, 0.3], 0.5)
    assert (counted.true_positives, counted.false_negatives) == (1, 1)
    assert (counted.false_positives, counted.true_negatives) == (1, 2)
    assert counted.sensitivity == 0.5
    assert counted.specificity == pytest.approx(2 / 3)
    assert counted.precision == 0.5
    assert counted.accuracy == 0.6
    assert math.isnan(confusion_at([0], [0.1], 0.5).sensitivity)


@pytest.mark.parametrize("at_once", [1, 200, 10**6])
def test_the_fast_interval_equals_the_slow_one(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "VALUES_AT_ONCE", at_once)
    labels, scores, owners = drawn(50, 17)
    labels[:5] = math.nan
    slow = patient_bootstrap(lambda a, b: roc_auc(a, b), labels, scores, owners, 100, seed=3)
    fast = patient_bootstrap(roc_auc, labels, scores, owners, 100, seed=3)
    assert (fast.value, fast.low, fast.high) == pytest.approx((slow.value, slow.low, slow.high))


def test_copies_of_a_patients_images_add_nothing() -> None:
    labels, scores, owners = drawn(80, 80)
    once = auc_interval(labels, scores, owners)
    copied = auc_interval(np.tile(labels, 9), np.tile(scores, 9), np.tile(owners, 9))
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high))
    strangers = auc_interval(np.tile(labels, 9), np.tile(scores, 9), np.arange(9 * 80))
    assert strangers.high - strangers.low < 0.5 * (once.high - once.low)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    # of a yes shifted by one standard deviation, the area is 0.7602
    held = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        labels = np.arange(120) % 2
        interval = auc_interval(
            labels, labels + generator.normal(0, 1, 120), np.arange(120), samples=200, seed=seed
        )
        held += interval.low <= 0.7602 <= interval.high
    assert 86 <= held <= 100


def test_intervals_are_as_wide_as_theory_says() -> None:
    values = np.random.default_rng(0).normal(0, 1, 400)
    interval = patient_bootstrap(
        lambda _, scores: float(scores.mean()), np.ones(400), values, np.arange(400), 4000
    )
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.05)


def test_several_labels_are_averaged_over_the_same_draws() -> None:
    labels, scores, owners = drawn(60, 30)
    twice = auc_interval(np.stack([labels, labels], 1), np.stack([scores, scores], 1), owners)
    once = auc_interval(labels, scores, owners)
    assert twice == once
    with_one_class = np.stack([labels, np.ones(60)], 1)
    assert auc_interval(with_one_class, np.stack([scores, scores], 1), owners) == once
    opposite = np.stack([labels, 1 - labels], 1)
    both = auc_interval(opposite, np.stack([scores, scores], 1), owners)
    assert (both.value, both.low, both.high) == pytest.approx((0.5, 0.5, 0.5))


def test_seeds_decide() -> None:
    labels, scores, owners = drawn(60, 30)
    first = auc_interval(labels, scores, owners, seed=1)
    assert first == auc_interval(labels, scores, owners, seed=1)
    assert first != auc_interval(labels, scores, owners, seed=2)
    assert str(Interval(0.5, 0.25, 0.75)) == "0.500 [0.250, 0.750]"


def test_any_metric_has_an_interval() -> None:
    labels, scores, owners = drawn(60, 30)
    interval = patient_bootstrap(average_precision, labels, scores, owners, samples=100)
    assert interval.low < interval.value < interval.high
    nothing = patient_bootstrap(lambda *_: math.nan, labels, scores, owners, samples=10)
    assert math.isnan(nothing.low)


# -- rates ------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [0, 1])
def test_rates_of_all_or_none_are_those_of_wilson(answer: int) -> None:
    """Against the roots of the score equation (p - x)^2 = z^2 x (1 - x) / n."""
    count, quantile = 11, 1.959964
    roots = np.roots(
        [
            1 + quantile**2 / count,
            -2 * answer - quantile**2 / count,
            answer**2,
        ]
    )
    found = rate_interval(np.full(11, answer), np.arange(11))
    assert found.value == answer
    assert (found.low, found.high) == pytest.approx(sorted(roots), abs=1e-6)


def test_rates_count_patients_and_not_images() -> None:
    one_each = rate_interval(np.ones(8), np.arange(8))
    assert rate_interval(np.ones(24), np.arange(24) // 3) == one_each
    unequal = rate_interval(np.ones(24), np.r_[np.arange(7), np.full(17, 7)])
    assert unequal.low < one_each.low  # most images are of one patient
    unknown = np.r_[np.ones(8), np.full(5, np.nan)]
    assert rate_interval(unknown, np.arange(13)) == one_each
    assert np.isnan(rate_interval(np.full(3, np.nan), np.arange(3)).value)


def test_other_rates_are_those_of_the_bootstrap() -> None:
    right = np.random.default_rng(0).integers(0, 2, 30).astype(float)
    patients = np.arange(30) // 2
    expected = patient_bootstrap(lambda truth, _: truth.mean(), right, right, patients, seed=3)
    assert rate_interval(right, patients, seed=3) == expected
