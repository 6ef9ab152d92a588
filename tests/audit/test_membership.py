"""Membership of a model: found where it was learned by heart, at chance where not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import beta
from sklearn.metrics import roc_auc_score

from deepfixcx.audit.membership import (
    attack_membership,
    attack_release_membership,
    confidence,
    shadow_scores,
)
from deepfixcx.audit.suite import audit_release
from deepfixcx.audit.target import Target
from deepfixcx.audit.tracing import least_epsilon
from deepfixcx.errors import AuditError

Floats = NDArray[np.float64]


def memorizing(leak: float, seed: int = 0, images: int = 400) -> tuple[Floats, NDArray[np.bool_]]:
    """Return confidences (9, N) of nine models, more by `leak` in what they learned from."""
    generator = np.random.default_rng(seed)
    seen = np.zeros((9, images), np.bool_)
    for pair in range(0, 8, 2):
        seen[pair] = generator.random(images) < 0.5
        seen[pair + 1] = ~seen[pair]
    seen[8] = generator.random(images) < 0.5
    difficulty = generator.normal(0, 3, images)
    return difficulty + leak * seen + generator.normal(0, 1, seen.shape), seen


def test_what_was_learned_by_heart_is_found() -> None:
    sure, seen = memorizing(leak=4)
    found, area = attack_membership(sure[8], seen[8], sure[:8], seen[:8], np.arange(400))
    assert found.value.low > 0.5
    assert area.value.low > 0.95
    assert (found.figure, found.chance, found.n) == ("TPR at 1 % FPR", 0.01, 400)
    # confidence alone does not tell, because images differ in difficulty far more
    assert roc_auc_score(seen[8], sure[8]) < 0.85


def test_what_was_not_learned_by_heart_is_at_chance_as_often_as_stated() -> None:
    covered, rates = 0, []
    for seed in range(30):
        sure, seen = memorizing(leak=0, seed=seed, images=300)
        found, area = attack_membership(
            sure[8], seen[8], sure[:8], seen[:8], np.arange(300), seed=seed
        )
        covered += area.value.low <= 0.5 <= area.value.high
        rates.append(found.value.value)
    assert covered >= 25
    assert np.mean(rates) < 0.02


def test_the_rate_is_that_of_a_slow_count() -> None:
    sure, seen = memorizing(leak=2)
    results = attack_membership(sure[8], seen[8], sure[:8], seen[:8], np.arange(400))
    inside, shadows = seen[8], seen[:8]

    def density(which: NDArray[np.bool_]) -> Floats:
        means = np.array([sure[:8, n][which[:, n]].mean() for n in range(400)])
        left = np.concatenate([sure[:8, n][which[:, n]] - means[n] for n in range(400)])
        variance = (left**2).sum() / (which.sum() - 400)
        return np.asarray(-((sure[8] - means) ** 2) / (2 * variance) - np.log(variance) / 2)

    ratio = density(shadows) - density(~shadows)
    outside = np.sort(ratio[~inside])[::-1]
    accepted = int(0.01 * len(outside))
    threshold = outside[accepted]
    assert (ratio[~inside] > threshold).mean() <= 0.01
    assert results[0].value.value == pytest.approx((ratio[inside] > threshold).mean())
    assert results[1].value.value == pytest.approx(roc_auc_score(inside, ratio))


def test_shadows_learn_from_halves_of_the_patients() -> None:
    patients = np.repeat(np.arange(20), 2)
    asked: list[NDArray[np.int64]] = []

    def fit(places: NDArray[np.int64]) -> Floats:
        asked.append(places)
        return np.isin(np.arange(40), places).astype(float)

    scores, members = shadow_scores(fit, patients, shadows=6, seed=1)
    assert (scores == members).all()
    assert (members[::2] == ~members[1::2]).all()
    assert (members[:, ::2] == members[:, 1::2]).all()  # both images of a patient, or none
    assert [len(each) for each in asked] == [20] * 6
    assert (shadow_scores(fit, patients, shadows=6, seed=1)[1] == members).all()
    assert (shadow_scores(fit, patients, shadows=6, seed=2)[1] != members).any()


def test_confidence_is_in_the_right_answer() -> None:
    sure = confidence([0.5, 0.8, 0.8, 1.0, 0.0], [1, 1, 0, 1, 1])
    assert sure[:3].round(3).tolist() == [0, 1.386, -1.386]
    assert np.isfinite(sure).all()
    assert sure[3] == pytest.approx(-sure[4])


def test_what_does_not_fit_is_refused() -> None:
    sure, seen = memorizing(leak=0)
    own, inside, others, saw = sure[8], seen[8], sure[:8], seen[:8]
    patients = np.arange(400)
    for arguments, reason in (
        ((own[:5], inside, others, saw), "for each image"),
        ((own, inside, others, saw[:3]), "for each image"),
        ((own, inside, others[:, :5], saw[:, :5]), "shadows are"),
        ((own, np.ones(400), others, saw), "only one of them"),
        ((own, inside, others[:3], saw[:3]), "train more"),
    ):
        with pytest.raises(AuditError, match=reason):
            attack_membership(arguments[0], arguments[1], arguments[2], arguments[3], patients)
    for shadows in (2, 5):
        with pytest.raises(AuditError, match="even number"):
            shadow_scores(lambda _: own, patients, shadows=shadows)


def test_intervals_do_not_collapse_where_everything_is_found() -> None:
    """A bootstrap of perfect scores has no width, and says that 40 patients prove everything."""
    sure, seen = memorizing(leak=1000, images=40)
    found, area = attack_membership(sure[8], seen[8], sure[:8], seen[:8], np.arange(40))
    for each in (found, area):
        assert each.value.value == 1
        assert 0.7 < each.value.low < 0.97
        assert np.isfinite(each.detectable)
    # one false positive in a hundred cannot be seen among twenty others
    assert found.floor > 0.05
    assert found.chance == 0.01


def test_too_few_patients_have_no_interval() -> None:
    """Many images of two patients on each side are not many observations."""
    sure, seen = memorizing(leak=3, images=40)
    seen[8] = np.arange(40) < 20
    sure[8] += 3 * seen[8]
    owners = np.arange(40) // 10
    _, area = attack_membership(sure[8], seen[8], sure[:8], seen[:8], owners)
    assert np.isnan(area.value.low)
    assert "too few patients" in str(area.value)


def test_a_threshold_of_few_others_is_no_proof() -> None:
    """The highest of 30 others lets through 3 % of all; it was held against 1 %."""
    false = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        member = np.arange(330) < 300
        seen = np.stack([member, ~member] * 4)
        sure = generator.normal(size=(8, 330))
        found, _ = attack_membership(generator.normal(size=330), member, sure, seen, np.arange(330))
        false += found.gain.low > 0
    assert false <= 10


def test_the_worst_patient_has_an_interval_over_the_runs() -> None:
    """Found in 16 of 16 pairs of runs, the bootstrap said [1, 1]."""
    vectors = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)

    def remake(places: NDArray[np.int64], _: object) -> tuple[NDArray[np.float32], Floats]:
        return vectors[places], np.zeros((len(places), 1))

    results = attack_release_membership(remake, vectors, np.zeros((30, 1)), np.arange(30), runs=16)
    worst = next(each for each in results if each.figure == "worst patient AUC")
    assert worst.value.value == 1
    assert 0.5 < worst.value.low < 0.95


def test_a_bound_of_epsilon_is_that_of_exact_binomial_intervals() -> None:
    lowest = beta.ppf(0.05, 90, 11)  # Clopper and Pearson, one side, 90 of 100
    assert least_epsilon(90, 100, 0.0, 100) == pytest.approx(np.log(lowest / (1 - lowest)))
    assert least_epsilon(90, 100, 1e-3, 1000) < least_epsilon(90, 100, 0.0, 100)
    assert least_epsilon(50, 100, 0.0, 100) == 0


def test_a_bound_of_epsilon_exceeds_the_truth_as_rarely_as_stated() -> None:
    """Randomized response with epsilon 1: each decision is right with e / (1 + e)."""
    right = np.random.default_rng(0).binomial(200, np.e / (1 + np.e), 400)
    by_count = {int(each): least_epsilon(int(each), 200, 0.0, 200) for each in np.unique(right)}
    shown = np.array([by_count[int(each)] for each in right])
    assert (shown > 1).mean() <= 0.07
    assert shown.mean() > 0.6


@pytest.mark.parametrize(
    ("deviation", "claimed", "verdict"), [(0, 0.2, "CONTRADICTS"), (9, 2, "agrees")]
)
def test_an_audit_compares_the_stated_budget_with_what_it_shows(
    deviation: float, claimed: float, verdict: str
) -> None:
    vectors = np.random.default_rng(0).normal(size=(120, 8)).astype(np.float32)
    labels = np.zeros((120, 1), np.float32)

    def remake(places: NDArray[np.int64], generator: np.random.Generator) -> tuple[Any, Floats]:
        mean = vectors[places].mean(0) + generator.normal(0, deviation, 8)
        return np.tile(mean, (50, 1)).astype(np.float32), np.zeros((50, 1))

    target = Target(
        vectors, None, vectors, np.arange(120).astype(np.str_), members=[()] * 120,
        record_labels=labels, labels=labels, label_names=("sick",), remake=remake,
        budget=(claimed, 1e-5), raw=vectors,
    )  # fmt: skip
    (note,) = audit_release(target, samples=100).notes
    assert verdict in note
    assert f"epsilon {claimed:g} for a patient" in note
