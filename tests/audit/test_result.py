"""What a result says of itself."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepfixcx.audit.result import AttackResult, figure_of, validity
from deepfixcx.measures import Interval
from deepfixcx.measures.intervals import draw_patients, patient_means


def result(**changes: Any) -> AttackResult:
    values: dict[str, Any] = {
        "attack": "linkage", "mode": "released-raw", "attacker": "whitening", "figure": "AUC",
        "value": Interval(0.8, 0.7, 0.9), "chance": 0.5, "floor": 0.6,
        "gain": Interval(0.2, 0.1, 0.3), "control": 0.55, "raw": 0.85, "n": 10, "seed": 0,
        "reference": "somebody",
    }  # fmt: skip
    return AttackResult(**{**values, **changes})


@given(st.floats(0, 1), st.floats(0, 0.99))
def test_residual_risk_is_the_share_of_what_is_left(attack: float, control: float) -> None:
    risk = result(value=Interval(attack, 0, 1), control=control).residual_risk
    assert 0 <= risk <= 1
    if attack > control:
        assert control + risk * (1 - control) == pytest.approx(attack)
    else:
        assert risk == 0


def test_residual_risk_of_errors_is_that_of_success() -> None:
    error = result(figure="EER", value=Interval(0.2, 0, 1), control=0.4)
    assert error.residual_risk == pytest.approx((0.8 - 0.6) / (1 - 0.6))


@pytest.mark.parametrize("changes", [{"figure": "PSNR"}, {"control": math.nan}, {"control": 1.0}])
def test_no_residual_risk_where_it_means_nothing(changes: dict[str, Any]) -> None:
    assert math.isnan(result(**changes).residual_risk)


def test_as_json_nothing_is_nan() -> None:
    reported = result(
        chance=math.nan, gain=Interval(0.1, math.nan, math.nan), raw=math.nan
    ).to_dict()
    text = json.dumps(reported, allow_nan=False)
    again = json.loads(text)
    assert again["value"] == {"value": 0.8, "low": 0.7, "high": 0.9}
    assert again["gain"] == {"value": 0.1, "low": None, "high": None}
    assert again["chance"] is None
    assert again["residual_risk"] == pytest.approx((0.8 - 0.55) / 0.45)


def test_a_weak_attacker_does_not_count() -> None:
    assert validity(0.75) == (True, "")
    assert validity(0.74)[1] == "on raw images the same attacker reaches 0.740, less than 0.75"
    assert validity(math.nan) == (False, "the same attacker was not tried on raw images")


def test_the_one_result_of_a_figure() -> None:
    results = (result(), result(figure="EER"), result(figure="EER"))
    assert figure_of(results, "AUC") is results[0]
    for name in ("EER", "SSIM"):
        with pytest.raises(KeyError):
            figure_of(results, name)


# -- intervals --------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(-5, 5)), min_size=1, max_size=30))
def test_patient_means_are_those_of_a_slow_loop(pairs: list[tuple[int, float]]) -> None:
    owners, values = (np.array(each) for each in zip(*pairs, strict=True))
    means = patient_means(values, owners, 5)
    for patient in range(5):
        own = values[owners == patient]
        assert means[patient] == pytest.approx(own.mean() if len(own) else math.nan, nan_ok=True)


def test_draws_hold_as_many_patients_as_there_are() -> None:
    draws = draw_patients(7, 50, seed=3)
    assert draws.shape == (50, 7)
    assert (draws.sum(axis=1) == 7).all()
    assert (draws.sum(axis=0) > 0).all()  # each patient is drawn
    assert (draws == draw_patients(7, 50, seed=3)).all()
    assert (draws != draw_patients(7, 50, seed=4)).any()
