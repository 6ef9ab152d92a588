"""Attributes in codes are inferred, others are not; what labels reveal is separated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepfixcx.audit.inference import above_median, attack_inference
from deepfixcx.errors import AuditError
from tests.audit.making import make_population


def sexes(owners: np.ndarray) -> np.ndarray:
    return np.asarray(np.array(["F", "M"])[owners % 2])


def test_an_attribute_in_the_codes_is_found() -> None:
    vectors, owners = make_population(patients=80)
    shown = vectors + 2 * (owners % 2)[:, None]
    result = attack_inference(shown, sexes(owners), owners, name="sex", raw=vectors)
    assert result.value.low > 0.8
    assert result.gain.low > 0.3
    assert result.floor == 0.5
    assert 0.3 < result.raw < 0.7
    assert (result.mode, result.n) == ("sex", 80)


def test_an_attribute_that_is_not_there_is_at_chance_as_often_as_stated() -> None:
    """A patient's two images are alike, so that only patient-disjoint folds are at chance."""
    covered, areas = 0, []
    for seed in range(40):
        vectors, owners = make_population(patients=60, noise=0.1, seed=seed)
        sex = np.array(["F", "M"])[np.random.default_rng(seed).integers(0, 2, 60)][owners]
        value = attack_inference(vectors, sex, owners, name="sex", seed=seed).value
        covered += value.low <= 0.5 <= value.high
        areas.append(value.value)
    assert covered >= 33
    assert np.mean(areas) == pytest.approx(0.5, abs=0.04)


def test_what_labels_tell_is_the_floor() -> None:
    vectors, owners = make_population(patients=80)
    labels = np.stack([owners % 2, np.full(len(owners), np.nan)], axis=1)
    result = attack_inference(vectors, sexes(owners), owners, name="sex", labels=labels)
    assert result.floor > 0.95
    assert result.gain.high < 0
    assert result.control == result.floor


def test_the_floor_is_never_below_guessing() -> None:
    """Labels that tell nothing are at 0.5, more or less; who does worse by them guesses."""
    floors = []
    for seed in range(8):
        vectors, owners = make_population(patients=40, seed=seed)
        labels = np.random.default_rng(seed).integers(0, 2, 40)[owners]
        result = attack_inference(
            vectors, sexes(owners), owners, name="sex", labels=labels, seed=seed
        )
        floors.append(result.floor)
        assert result.gain.value == pytest.approx(result.value.value - result.floor)
    assert min(floors) == 0.5
    assert max(floors) > 0.5


def test_each_of_several_values_is_distinguished_from_the_others() -> None:
    vectors, owners = make_population(patients=90)
    sites = np.array(["north", "south", "west"])[owners % 3]
    shown = np.concatenate([vectors, np.eye(3)[owners % 3]], axis=1)
    result = attack_inference(shown, sites, owners, name="site")
    assert result.value.low > 0.9


def test_unknown_and_rare_values_do_not_count() -> None:
    vectors, owners = make_population(patients=40)
    sex = sexes(owners).astype(object)
    sex[:20] = None
    sex[20:24] = "O"
    result = attack_inference(vectors, sex, owners, name="sex")
    assert result.n == 28
    with pytest.raises(AuditError, match="'sex' has 1 values"):
        attack_inference(vectors, np.full(80, "F"), owners, name="sex")
    with pytest.raises(AuditError, match="there are 80 records, 3 values"):
        attack_inference(vectors, ["F", "M", "F"], owners, name="sex")


@given(st.lists(st.integers(0, 90), min_size=1, max_size=30))
def test_half_are_above_the_median(ages: list[int]) -> None:
    words = above_median([str(age) for age in ages])
    assert words.count("above") <= len(ages) / 2
    assert [word == "above" for word in words] == [age > np.median(ages) for age in ages]


def test_ages_that_are_no_numbers_are_unknown() -> None:
    assert above_median(np.array(["", "old", None, "nan"], dtype=object)) == ["", "", "", ""]
    assert above_median(["30", "", "50"]) == ["below", "", "above"]
