"""The verdict never says less than the numbers, whatever they are."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepfixcx.audit.result import AttackResult
from deepfixcx.audit.suite import UNIQUE, Audit
from deepfixcx.audit.verdict import Answer, answers
from deepfixcx.measures import Interval

SHARES = {
    "linkage": ("AUC", "EER", "KS", "precision@1", "mAP@R", UNIQUE),
    "reconstruction": ("SSIM", "MS-SSIM", "right signs"),
    "inference": ("AUC",),
    "rare labels": ("AUC",),
    "membership": ("AUC", "recall", "precision@1", "TPR at 1 % FPR", "worst patient AUC"),
}
QUESTIONS = {
    "precision@1": 0, "mAP@R": 0, UNIQUE: 0, "AUC": 1, "EER": 1, "KS": 1,
}  # fmt: skip


def result(
    attack: str, figure: str, value: Interval, floor: float, gain: Interval, **more: object
) -> AttackResult:
    options: dict[str, object] = {
        "mode": "all details", "attacker": "somebody", "chance": floor, "control": math.nan,
        "raw": math.nan, "n": 40, "seed": 0, "reference": "",
    }  # fmt: skip
    options |= more
    return AttackResult(
        attack=attack, figure=figure, value=value, floor=floor, gain=gain,
        **options,  # type: ignore[arg-type]
    )  # fmt: skip


@st.composite
def results(draw: st.DrawFn) -> AttackResult:
    attack = draw(st.sampled_from(sorted(SHARES)))
    figure = draw(st.sampled_from(SHARES[attack]))
    low, value, high = sorted(draw(st.floats(0, 1)) for _ in range(3))
    floor, narrower = draw(st.floats(0, 0.99)), draw(st.floats(0, 1.5))
    sign = -1 if figure == "EER" else 1
    middle = sign * (value - floor)
    gain = Interval(middle, middle - narrower * (value - low), middle + narrower * (high - value))
    interval = Interval(value, low, high)
    if draw(st.integers(0, 5)) == 0:
        interval = Interval(value, math.nan, math.nan)
        gain = Interval(middle, math.nan, math.nan)
    valid = draw(st.booleans())
    return result(
        attack, figure, interval, floor, gain, valid=valid,
        reason="" if valid else "it is weak",
        detectable=draw(st.sampled_from([math.nan, 0.01, 0.2, 2.0])),
        attacker=draw(st.sampled_from(["distance", "whitening", "labels", "whitening + labels"])),
    )  # fmt: skip


def exceeds(each: AttackResult) -> bool:
    if each.figure == "EER":
        return each.value.high < each.floor - 1e-6 or each.gain.low > 1e-6
    return each.value.low > each.floor + 1e-6 or each.gain.low > 1e-6


def of_question(said: tuple[Answer, ...], each: AttackResult) -> Answer:
    number = {"inference": 2, "rare labels": 2, "reconstruction": 3, "membership": 4}
    return said[number[each.attack] if each.attack in number else QUESTIONS[each.figure]]


@settings(max_examples=200, deadline=None)
@given(st.lists(results(), max_size=8))
def test_no_answer_says_less_than_its_numbers(made: list[AttackResult]) -> None:
    said = answers(Audit(tuple(made), (), 80, 40, False, 0))
    for each in made:
        answer = of_question(said, each)
        if exceeds(each):
            assert answer.word in ("yes", "a little"), (each, answer)
    for answer in said:
        family = [each for each in made if of_question(said, each) is answer]
        succeeded = [each for each in family if exceeds(each)]
        if answer.word in ("yes", "a little"):
            assert succeeded
            assert "No attack exceeds" not in answer.sentence
            assert any(
                str(each.value) in answer.sentence
                or each.figure in ("precision@1", UNIQUE)  # in per cent
                for each in succeeded
            ), (succeeded, answer)
        if answer.word == "not shown":
            assert "Smallest gain in" in answer.sentence
            assert "unknown" not in answer.sentence
        assert "nan" not in answer.sentence


@pytest.mark.parametrize("figure", ["EER", "KS"])
def test_a_success_that_the_area_does_not_show_is_named(figure: str) -> None:
    """It was "not tested" because the only AUC was a weak attacker's."""
    weak = result("linkage", "AUC", Interval(0.5, 0.4, 0.6), 0.5, Interval(0, -0.1, 0.1),
                  valid=False, reason="it is weak")  # fmt: skip
    value = Interval(0.2, 0.15, 0.25) if figure == "EER" else Interval(0.6, 0.5, 0.7)
    floor = 0.5 if figure == "EER" else 0.1
    strong = result("linkage", figure, value, floor, Interval(0.3, 0.25, 0.35))
    linked = answers(Audit((weak, strong), (), 80, 40, False, 0))[1]
    assert linked.word == "yes"
    assert f"Above its baseline: {figure} {value}, baseline {floor:.3f}" in linked.sentence


def test_a_value_above_its_baseline_is_a_little_even_if_the_gain_is_not_certain() -> None:
    made = result("linkage", "AUC", Interval(0.8, 0.75, 0.85), 0.74, Interval(0.06, -0.01, 0.13))
    assert answers(Audit((made,), (), 80, 40, False, 0))[1].word == "a little"


def test_what_could_not_be_tested_is_not_called_not_shown() -> None:
    made = [
        result("inference", "AUC", Interval(0.5, math.nan, math.nan), 0.5,
               Interval(0, math.nan, math.nan), mode="sex"),
        result("inference", "AUC", Interval(0.52, 0.42, 0.62), 0.5, Interval(0.02, -0.08, 0.12),
               mode="view"),
    ]  # fmt: skip
    inferred = answers(Audit(tuple(made), (), 80, 40, False, 0))[2]
    assert inferred.word == "not shown"
    assert "Not shown: view" in inferred.sentence
    assert "Too few patients for: sex" in inferred.sentence
    alone = answers(Audit((made[0],), (), 80, 40, False, 0))[2]
    assert (alone.word, "ot shown" in alone.sentence) == ("not tested", False)


def test_without_an_interval_nothing_is_not_shown_whatever_is_stated_as_detectable() -> None:
    nothing = Interval(0.0, math.nan, math.nan)
    made = result("linkage", "precision@1", nothing, 0.0, nothing, detectable=0.01)
    said = answers(Audit((made,), (), 80, 40, False, 0))[0]
    assert said.word == "not tested"
    assert "unknown share" not in said.sentence
