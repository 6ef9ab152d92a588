"""Synthesis: what it draws, what a patient changes in it, and what an attacker infers from it."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms import Records, ShrunkSynthesis, epsilon_lower_bound, mechanism_named
from deepfixcx.mechanisms.label_model import LabelModel, Measured, contributions, measure
from deepfixcx.mechanisms.sensitivity import clipped_integers, epsilon_of, noisy_sum, rho_of
from deepfixcx.mechanisms.synthesis import FittedSynthesis
from tests.mechanisms.making import make_records

RNG = np.random.default_rng


def people(count: int, seed: int, *, slope: float = 0.8) -> Records:
    """Draw vectors of six numbers; the first follows one label and the second another."""
    generator = RNG(seed)
    labels = (generator.random((count, 2)) < (0.5, 0.3)).astype(np.float32)
    vectors = generator.normal(size=(count, 6))
    vectors[:, :2] += slope * labels
    return Records.of(vectors, labels, np.char.add(f"{seed}-", np.arange(count).astype(np.str_)))


@pytest.fixture(scope="module", params=["labels", "variance"])
def fitted(request: pytest.FixtureRequest) -> FittedSynthesis:
    return ShrunkSynthesis(numbers=3, directions=request.param).fit(people(300, 1), RNG(0))


def test_principal_components_are_the_same_whatever_the_labels(fitted: FittedSynthesis) -> None:
    public = people(300, 1)
    later = replace(fitted.mechanism).fit(public.with_labels(1 - public.labels[:, :1]), RNG(0))
    same = np.allclose(later.represent(public.array), fitted.represent(public.array))
    assert same == (fitted.mechanism.directions == "variance")


# -- what is drawn ------------------------------------------------------------------------------


def test_records_belong_to_no_patient_and_are_as_many_as_the_patients(
    fitted: FittedSynthesis,
) -> None:
    drawn = fitted.apply(people(150, 2), RNG(0))
    assert drawn.array.shape == (600, 3)
    assert not len(drawn.patients)
    assert not any(map(len, drawn.members))
    assert set(np.unique(drawn.labels)) == {0, 1}


def test_labels_are_drawn_from_the_histogram_of_patients(fitted: FittedSynthesis) -> None:
    """Each patient counts once, however many images; shares come back to within one record."""
    private = people(100, 3)
    twice = private.select([*range(100), *range(10)])
    drawn = fitted.apply(Records.of(twice.array, twice.labels, twice.patient_of_each()), RNG(0))
    for pattern in itertools.product((0, 1), repeat=2):
        own = (private.labels == pattern).all(axis=1).mean()
        assert abs((drawn.labels == pattern).all(axis=1).mean() - own) <= 1 / len(drawn)


def test_means_given_labels_are_between_public_and_private(fitted: FittedSynthesis) -> None:
    """The same population: the correction is small. Another slope: it is followed."""

    def contrast(records: Records, of: NDArray[np.float32]) -> NDArray[np.float64]:
        ill = records.labels[:, 0] == 1
        return np.asarray(of[ill].mean(axis=0) - of[~ill].mean(axis=0), np.float64)

    public = contrast(people(300, 1), fitted.represent(people(300, 1).array))
    alike, steeper = people(400, 4), people(400, 5, slope=2.4)
    same = fitted.apply(alike, RNG(0))
    other = fitted.apply(steeper, RNG(0))
    assert np.linalg.norm(contrast(same, same.array) - public) < 0.25
    wanted = contrast(steeper, fitted.represent(steeper.array))
    found = contrast(other, other.array)
    assert np.linalg.norm(found - wanted) < 0.35 * np.linalg.norm(public - wanted)


def test_slopes_are_those_of_public_images_where_noise_hides_the_difference(
    fitted: FittedSynthesis,
) -> None:
    model = fitted.model
    counts, sums = contributions(
        model, people(50, 6).array[:, :3].astype(float), people(50, 6).labels,
        people(50, 6).patients,
    )  # fmt: skip
    loud = Measured(counts.sum(0), sums.sum(0).reshape(model.slopes.shape), (100.0, 1e6))
    assert np.allclose(loud.slopes(model), model.slopes, atol=1e-6)
    assert np.allclose(loud.histogram(model)[0], model.prior, atol=0.01)


def test_a_correction_is_the_posterior_mean() -> None:
    """One label, one number, no difference beyond sampling: precisions add, done by hand."""
    model = LabelModel(
        np.array([0.5]), np.zeros((2, 1)), np.eye(1), np.diag([0.01, 0.04]), np.array([0.5, 0.5])
    )
    # 100 patients, half of them ill; the ill ones 0.1 above, so that nothing is beyond chance
    measured = Measured(np.array([50.0, 50.0]), np.array([[0.0], [25 * 0.1]]))
    gram = 100 * 0.25
    expected = 0.1 * 0.04 / (0.04 + 1 / gram)
    assert measured.slopes(model)[1, 0] == pytest.approx(expected, rel=1e-4)


def test_an_unknown_label_counts_as_either_state() -> None:
    model = LabelModel(
        np.array([0.25]), np.zeros((2, 1)), np.eye(1), np.eye(2), np.array([0.75, 0.25])
    )
    counts, sums = contributions(
        model, np.array([[2.0]]), np.array([[np.nan]], np.float32), np.array(["a"])
    )
    assert counts[0] == pytest.approx([0.75, 0.25])
    assert sums[0] == pytest.approx([2.0, 2.0 * (0.75 * -0.25 + 0.25 * 0.75)])


def test_decoded_records_are_codes_of_the_original_shape() -> None:
    public, private = make_records(seed=1), make_records(seed=2)
    fitted = ShrunkSynthesis(numbers=4, decoded=True).fit(public, RNG(0))
    drawn = fitted.apply(private, RNG(0))
    assert drawn.array.shape[1:] == private.array.shape[1:]
    assert fitted.represent(private.array).shape == private.array.shape
    varies = drawn.array.std(axis=0).mean() / private.array.std(axis=0).mean()
    assert 0.5 < varies < 1.5  # what the numbers do not determine is drawn, too


def test_names_carry_numbers_and_the_budget() -> None:
    assert mechanism_named("synthesis") == ShrunkSynthesis()
    assert mechanism_named("synthesis-24") == ShrunkSynthesis(24)
    assert mechanism_named("synthesis-8-4") == ShrunkSynthesis(8, 4.0, 1e-5)
    assert mechanism_named("synthesis-8-0.5-1e-6") == ShrunkSynthesis(8, 0.5, 1e-6)
    assert mechanism_named("synthesis-codes-8-4") == ShrunkSynthesis(8, 4.0, decoded=True)
    assert mechanism_named("synthesis-pca") == ShrunkSynthesis(20, directions="variance")
    whole = ShrunkSynthesis(16, 4.0, decoded=True, directions="variance")
    assert mechanism_named("synthesis-pca-codes-16-4") == whole
    assert "pca" in whole.name


def test_too_many_labels_are_refused() -> None:
    with pytest.raises(MechanismError, match="1 to 8 labels, got 9"):
        ShrunkSynthesis(2).fit(Records.of(np.eye(20), np.ones((20, 9)), np.arange(20)), RNG(0))


# -- what a patient changes ---------------------------------------------------------------------


def hostile(kind: int, generator: np.random.Generator) -> tuple[Any, Any]:
    """Return images and labels of one patient, as far from all others as can be."""
    count = (1, 2, 30)[kind % 3]
    numbers = generator.normal(size=(count, 3)) * 10.0 ** generator.integers(-3, 9)
    labels = generator.choice([0.0, 1.0, np.nan], (count, 2)).astype(np.float32)
    return numbers, labels


@pytest.mark.parametrize("kind", range(12))
def test_adding_a_patient_changes_the_sums_by_the_claimed_bound(
    fitted: FittedSynthesis, kind: int
) -> None:
    others = people(40, 7)
    numbers, labels = fitted.represent(others.array).astype(float), others.labels
    more, theirs = hostile(kind, RNG(kind))
    one = measure(fitted.model, numbers, labels, others.patients)
    two = measure(
        fitted.model, np.concatenate([numbers, more]), np.concatenate([labels, theirs]),
        np.concatenate([others.patients, np.full(len(more), "new")]),
    )  # fmt: skip
    design = [(1, a - fitted.model.centre[0], b - fitted.model.centre[1])
              for a in (0, 1) for b in (0, 1)]  # fmt: skip
    longest = max(math.sqrt(sum(x * x for x in row)) for row in design)
    claimed = (math.sqrt(3) + 1) * longest
    assert fitted.model.bound == pytest.approx(claimed)
    assert np.linalg.norm(two.counts - one.counts) <= 1 + 1e-9
    assert np.linalg.norm(two.sums - one.sums) <= claimed * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_whole_numbers_are_never_longer_than_the_bound(seed: int) -> None:
    """The proof is about integers: a row's squares sum to at most those of the bound."""
    values = RNG(seed).normal(size=(50, 7)) * 10.0 ** RNG(seed).integers(-4, 5, (50, 1))
    values[0] = 0
    values[1] = 3.0 / math.sqrt(7)  # exactly as long as the bound
    step = 3.0 / 997
    whole = clipped_integers(values, 3.0, step)
    assert all(sum(int(x) ** 2 for x in row) <= 997**2 for row in whole)
    inside = np.linalg.norm(values, axis=1) <= 3
    assert np.abs(whole[inside] * step - values[inside]).max() <= step


def test_noise_has_the_deviation_that_it_states() -> None:
    found = [noisy_sum(np.zeros((1, 400)), 2.0, 0.5) for _ in range(5)]
    stated = found[0][1]
    assert stated == pytest.approx(2.0 / math.sqrt(2 * 0.5), rel=1e-2)
    assert np.concatenate([each for each, _ in found]).std() == pytest.approx(stated, rel=0.06)


# -- what it costs ------------------------------------------------------------------------------


@pytest.mark.parametrize("rho", [0.05, 0.7])
def test_both_sums_together_cost_rho(fitted: FittedSynthesis, rho: float) -> None:
    """A sum that one patient changes by at most B costs B² / 2 s² with noise of deviation s.

    Shares are rounded towards 0, so they are up to 1 % shorter than B.
    """
    counts, slopes = fitted.measure(people(60, 5), rho).noise
    spent = 1 / (2 * counts**2) + fitted.model.bound**2 / (2 * slopes**2)
    assert spent == pytest.approx(rho, rel=0.01)


@pytest.mark.parametrize(("epsilon", "delta"), [(1, 1e-5), (4, 1e-5), (8, 1e-6)])
def test_the_budget_is_the_best_conversion_of_the_paper(epsilon: float, delta: float) -> None:
    """Canonne, Kamath and Steinke 2020, corollary 13, minimized over a fine grid of orders."""
    rho = rho_of(epsilon, delta)
    orders = 1 + np.geomspace(1e-3, 1e4, 200_000)
    by_hand = (
        orders * rho
        + (np.log(1 / delta) + (orders - 1) * np.log1p(-1 / orders) - np.log(orders)) / (orders - 1)
    ).min()
    assert epsilon_of(rho, delta) <= epsilon * (1 + 1e-9)
    assert by_hand == pytest.approx(epsilon, rel=1e-4)


@pytest.mark.parametrize("epsilon", [1.0, 4.0])
def test_the_budget_is_not_below_what_a_gaussian_exactly_costs(epsilon: float) -> None:
    """Balle and Wang 2018: delta of the Gaussian mechanism at this epsilon; independent of zCDP."""
    mu = math.sqrt(2 * rho_of(epsilon, 1e-5))
    exact = norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu)
    assert exact <= 1e-5
    assert exact > 1e-6  # and not far from it


def test_shares_of_rho_add_up() -> None:
    rho = rho_of(4.0, 1e-5)
    assert epsilon_of(0.8 * rho + 0.1 * rho + 0.1 * rho, 1e-5) == pytest.approx(4.0, rel=1e-6)
    assert epsilon_of(0.0, 1e-5) == 0


def test_an_attacker_shows_no_more_epsilon_than_claimed_and_some_of_it(
    fitted: FittedSynthesis,
) -> None:
    """The strongest attacker: all other patients are known, the asked one is as far as can be."""
    rho = rho_of(4.0, 1e-5)
    direction = np.full((1, 3), 1e6)
    counts, sums = contributions(
        fitted.model, direction, np.array([[1.0, 1.0]], np.float32), np.array(["new"])
    )

    def release(patients: int) -> Any:
        def several(count: int) -> NDArray[np.float64]:
            made = []
            for _ in range(count):
                one, first = noisy_sum(counts[:patients], 1.0, 0.25 * rho)
                two, second = noisy_sum(sums[:patients], fitted.model.bound, 0.75 * rho)
                made.append(one @ counts[0] / first**2 + two @ sums[0] / second**2)
            return np.array(made)

        return several

    bound = epsilon_lower_bound(release(0), release(1), lambda each: each, trials=3000, delta=1e-5)
    assert 0.5 < bound.value <= 4.0


def test_without_a_budget_the_same_attacker_is_certain(fitted: FittedSynthesis) -> None:
    private = people(60, 9)
    one = fitted.measure(private, None)
    two = fitted.measure(private.select(range(59)), None)
    assert not np.array_equal(one.counts, two.counts)
    assert "not differentially private" in fitted.guarantee
    budgeted = replace(fitted, mechanism=ShrunkSynthesis(3, epsilon=2.0))
    assert "(2, 1e-05)-differentially private" in budgeted.guarantee
