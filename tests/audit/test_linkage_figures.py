"""The figures of linkage against slow ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score, roc_curve

from deepfixcx.audit.linkage.labels import gallery_distances, label_distances, stand_ins
from deepfixcx.audit.linkage.trial import RATES, Searches, equal_error, judge, kolmogorov


def one_search(true: list[int], records: int) -> Searches:
    """One probe looks for the true ones among so many records."""
    mine = np.zeros((1, records), np.bool_)
    mine[0, true] = True
    return Searches(np.array([0]), np.array([0]), mine, ~mine)


def slow_mean_precision(similarity: np.ndarray, true: np.ndarray) -> float:
    order = np.argsort(-similarity, kind="stable")
    count = int(true.sum())
    total = 0.0
    for rank in range(1, count + 1):
        if true[order[rank - 1]]:
            total += true[order[:rank]].sum() / rank
    return total / count


@given(st.integers(0, 10_000), st.integers(1, 5), st.booleans())
def test_figures_are_those_of_slow_loops(seed: int, count: int, rounded: bool) -> None:
    generator = np.random.default_rng(seed)
    similarity = generator.normal(size=(1, 20)).astype(np.float32)
    if rounded:
        similarity = similarity.round(0)  # ties
    true = generator.choice(20, count, replace=False)
    searches = one_search(list(true), 20)
    found = judge(similarity, searches, generator)
    assert found.auc[0] == pytest.approx(roc_auc_score(searches.true[0], similarity[0]))
    if not rounded:
        assert found.precision[0] == searches.true[0][similarity[0].argmax()]
        slow = slow_mean_precision(similarity[0], searches.true[0])
        assert found.mean_precision[0] == pytest.approx(slow)
        same, other = similarity[0][searches.true[0]], similarity[0][~searches.true[0]]
        # steps of the grid of rates, and half a stranger, are what the fast way may differ by
        ks = ks_2samp(same, other).statistic
        assert kolmogorov(found.rejects)[0] == pytest.approx(ks, abs=1 / len(other) + 0.003)


def test_equal_error_rate_is_where_the_slow_rates_cross() -> None:
    generator = np.random.default_rng(0)
    true = list(range(2000))
    similarity = np.concatenate([generator.normal(1, 1, 2000), generator.normal(0, 1, 2000)])
    found = judge(similarity[None].astype(np.float32), one_search(true, 4000), generator)
    thresholds = np.sort(similarity)
    misses = np.array([(similarity[:2000] < each).mean() for each in thresholds])
    accepts = np.array([(similarity[2000:] >= each).mean() for each in thresholds])
    crossing = int(np.argmin(np.abs(misses - accepts)))
    slow = (misses[crossing] + accepts[crossing]) / 2
    assert equal_error(found.rejects)[0] == pytest.approx(slow, abs=0.003)
    assert slow == pytest.approx(0.309, abs=0.02)  # of two normals one deviation apart


def test_chance_is_what_a_random_order_reaches() -> None:
    generator = np.random.default_rng(0)
    searches = one_search([0, 1, 2], 12)
    runs = [
        judge(generator.random((1, 12)).astype(np.float32), searches, generator)
        for _ in range(4000)
    ]
    first, mean = (np.mean([getattr(run, name)[0] for run in runs]) for name in
                   ("precision", "mean_precision"))  # fmt: skip
    assert runs[0].precision_by_chance[0] == pytest.approx(0.25)
    assert first == pytest.approx(0.25, abs=0.03)
    assert mean == pytest.approx(runs[0].mean_precision_by_chance[0], abs=0.02)


def test_what_is_equally_alike_is_in_random_order() -> None:
    """Constants do not put the record with the lowest number first."""
    searches = one_search([0], 10)
    flat = np.zeros((1, 10), np.float32)
    runs = [judge(flat, searches, np.random.default_rng(seed)) for seed in range(400)]
    assert np.mean([run.precision[0] for run in runs]) == pytest.approx(0.1, abs=0.05)
    assert runs[0].auc[0] == 0.5
    assert equal_error(runs[0].rejects)[0] == pytest.approx(0.5)
    assert kolmogorov(runs[0].rejects)[0] == pytest.approx(0)


def test_ties_are_straight_lines_of_the_curve() -> None:
    """Labels alone take few values; then rates lie on the lines between the corners of the ROC."""
    generator = np.random.default_rng(0)
    true = list(range(60))
    similarity = np.concatenate([generator.integers(0, 3, 60) + 1, generator.integers(0, 3, 240)])
    found = judge(similarity[None].astype(np.float32), one_search(true, 300), generator)
    accepts, hits, _ = roc_curve(np.arange(300) < 60, similarity, drop_intermediate=False)
    slow = 1 - np.interp(RATES, accepts, hits)
    np.testing.assert_allclose(found.rejects[0], slow, atol=1e-9)
    grid = np.linspace(0, 1, 100_001)
    crossing = grid[np.argmin(np.abs(1 - np.interp(grid, accepts, hits) - grid))]
    assert equal_error(found.rejects)[0] == pytest.approx(crossing, abs=1e-3)


def test_patients_count_the_same_however_many_images_they_have() -> None:
    true = np.array([[True, False], [True, False], [False, True]])
    searches = Searches(np.array([0, 1, 2]), np.array([0, 0, 1]), true, ~true)
    similarity = np.array([[1, 0], [1, 0], [1, 0]], np.float32)
    found = judge(similarity, searches, np.random.default_rng(0))
    assert found.auc.tolist() == [1, 1, 0]
    curve = found.curve(2)
    assert curve.shape == (2, len(RATES))
    assert not np.allclose(curve[0], curve[1])


def test_strangers_with_the_same_labels_stand_in() -> None:
    true = np.array([[True, False, False, False, False]])
    searches = Searches(np.array([0]), np.array([0]), true, ~true)
    labels = np.array([[1], [0], [0], [1], [0]], np.float32)
    for seed in range(5):
        replaced = stand_ins(searches, gallery_distances(labels), np.random.default_rng(seed))
        assert replaced.true[0].tolist() == [False, False, False, True, False]
        assert replaced.stranger[0].tolist() == [False, True, True, False, True]


def test_one_stranger_is_left_to_tell_from() -> None:
    true = np.array([[True, True, False, False]])
    searches = Searches(np.array([0]), np.array([0]), true, ~true)
    replaced = stand_ins(searches, gallery_distances(np.zeros((4, 1))), np.random.default_rng(0))
    assert replaced.true.sum() == replaced.stranger.sum() == 1
    alone = Searches(searches.probes, searches.patients, true, np.array([[0, 0, 0, 1]], np.bool_))
    assert not len(
        stand_ins(alone, gallery_distances(np.zeros((4, 1))), np.random.default_rng(0)).probes
    )


def test_labels_that_agree_are_alike() -> None:
    apart = label_distances(np.array([[1, 0]], np.float32), np.array([[1, 0], [0.5, 0], [0, 1]]))
    assert apart[0].tolist() == [0, 0.25, 1]
