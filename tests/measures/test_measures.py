"""Metrics against their definitions and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from deepfixcx.errors import LabelError
from deepfixcx.measures import (
    areas,
    auc_interval,
    average_precision,
    confusion_at,
    expected_calibration_error,
    reliability_curve,
    roc_auc,
    youden_threshold,
)
from tests.measures.test_intervals import drawn

Pairs = list[tuple[int, float]]
PAIRS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([-2.0, 0.0, 0.1, 0.5, 0.7, 1.0])),
    min_size=2,
    max_size=30,
).filter(lambda pairs: len({label for label, _ in pairs}) == 2)


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


def test_average_precision_without_a_block_is_that_of_the_others() -> None:
    generator = np.random.default_rng(4)
    for digits in (1, 6):  # with equal scores and without
        labels = (generator.random(80) < 0.3).astype(np.float64)
        scores = (generator.random(80) + labels / 2).round(digits)
        blocks = generator.integers(0, 7, 80)
        blocks[labels == 1] %= 6  # without one block, no positive is lost
        found = areas._precisions_without(labels, scores, blocks)
        others = [average_precision(labels[blocks != n], scores[blocks != n]) for n in range(7)]
        assert found == pytest.approx(others, abs=1e-12)
    assert np.isnan(areas._precisions_without(np.eye(1, 4)[0], np.arange(4.0), np.arange(4))[0])
