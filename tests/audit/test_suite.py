"""All attacks together, and the verdict in words and as a page."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deepfixcx import Codec, CodecSpec
from deepfixcx.audit.linkage import siamese_cnn, siamese_mlp
from deepfixcx.audit.reconstruction import unet, variation
from deepfixcx.audit.result import AttackResult
from deepfixcx.audit.suite import Audit, Target, audit_release
from deepfixcx.audit.verdict import answers
from deepfixcx.errors import AuditError
from deepfixcx.measures import Interval
from deepfixcx.report.audit_page import audit_figure, audit_markdown
from tests.audit.making import make_images

SPEC = CodecSpec(2, 4)


def make_target(**changes: Any) -> Target:
    images, owners = make_images(patients=30)
    code = Codec(SPEC).encode(images)
    target = Target(
        code,
        images,
        code.array,
        owners.astype(np.str_),
        labels=(owners % 2).astype(np.float32),
        attributes={"sex": ["F" if owner % 3 else "M" for owner in owners]},
    )
    return replace(target, **changes)


@pytest.fixture(scope="module")
def audit() -> Audit:
    return audit_release(make_target(), samples=100)


def test_every_attack_is_made(audit: Audit) -> None:
    made = {(each.attack, each.mode, each.attacker) for each in audit.results}
    for attacker in ("distance", "whitening"):
        assert ("reference", "raw images", attacker) in made
        assert ("linkage", "released-released", attacker) in made
        assert ("linkage", "released-raw", attacker) in made
    assert ("linkage", "inverted-raw", "whitening") in made
    assert ("inference", "sex", "logistic") in made
    for attacker in ("plain", "neighbour", "ridge", "ridge-ssim"):
        assert ("reconstruction", "codes to images", attacker) in made
    assert sum(each.figure == "right signs" for each in audit.results) == 16
    raw = {each.attacker: each.value.value for each in audit.results
           if (each.attack, each.figure) == ("reference", "AUC")}  # fmt: skip
    for each in audit.results:
        if (each.attack, each.figure) == ("linkage", "AUC"):
            assert each.raw == raw[each.attacker]


def test_the_same_seed_gives_the_same_report() -> None:
    target = make_target(attributes={})
    once, again, other = (audit_release(target, seed=seed, samples=30) for seed in (2, 2, 3))
    assert audit_markdown(once) == audit_markdown(again)
    assert [each.to_dict() for each in once.results] == [each.to_dict() for each in again.results]
    assert audit_markdown(once) != audit_markdown(other)


def test_full_trains_networks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (siamese_mlp, siamese_cnn):
        monkeypatch.setattr(module, "PROTOCOL", replace(module.PROTOCOL, epochs=2, pairs=60))
    monkeypatch.setattr(unet, "EPOCHS", 1)
    monkeypatch.setattr(variation, "STEPS", 2)
    audit = audit_release(make_target(attributes={}), full=True, samples=20)
    made = {each.attacker for each in audit.results}
    assert {"siamese-mlp", "siamese-cnn", "variation", "unet"} <= made
    weak = [each for each in audit.results if not each.valid]
    assert all(each.attack == "linkage" and "raw images" in each.reason for each in weak)
    assert not any("--full" in each for each in audit.untested)
    shown = [label.get_text() for label in audit_figure(audit).axes[0].get_yticklabels()]
    assert ("siamese-cnn: two records (weak)" in shown) == any(
        each.attacker == "siamese-cnn" for each in weak
    )


def test_progress_is_told_and_what_was_not_tested() -> None:
    told: list[tuple[str, int, int]] = []
    images, _ = make_images(patients=30)
    target = make_target(patients=np.arange(60).astype(np.str_), attributes={})
    audit = audit_release(target, samples=20, report=lambda *step: told.append(step))
    assert [done for _, done, _ in told] == list(range(len(told)))
    assert told[-1] == ("done", len(told) - 1, len(told) - 1)
    assert sum("patients with two images" in each for each in audit.untested) == 5
    assert any("tells no sex" in each for each in audit.untested)
    assert any("--full" in each for each in audit.untested)
    assert any("membership" in each for each in audit.untested)
    words = [answer.word for answer in answers(audit)]
    assert words[:3] == ["not tested"] * 3
    with pytest.raises(AuditError, match="are as many"):
        audit_release(replace(target, images=images[:5]))


def test_records_that_mix_images_stand_for_each_of_them() -> None:
    images, owners = make_images(patients=30)
    order = np.random.default_rng(0).permutation(60).reshape(20, 3)
    code = Codec(SPEC).encode(images).array
    mixed = np.stack([code[group].mean(axis=0) for group in order])
    target = make_target(released=mixed, members=[tuple(map(int, group)) for group in order])
    records, places = target.pairs()
    assert places.tolist() == list(range(60))
    assert all(place in order[record] for record, place in zip(records, places, strict=True))
    audit = audit_release(target, samples=20)
    modes = {(each.attack, each.attacker) for each in audit.results}
    assert ("reconstruction", "ridge") in modes
    assert ("reconstruction", "plain") not in modes  # an array has no spec to decode with
    linked, raw = (
        next(each.value.value for each in audit.results
             if (each.attack, each.attacker, each.figure) == (attack, "whitening", "AUC"))
        for attack in ("linkage", "reference")
    )  # fmt: skip
    assert linked < raw
    assert len(owners) == audit.images


def test_what_anybody_could_encode_is_not_attacked_twice() -> None:
    """Of codes as they are the two modes are one; of anything else they are not."""
    plain = make_target(attributes={})
    assert plain.is_plain()
    order = np.random.default_rng(0).permutation(60)
    turned = make_target(released=plain.encoded[order], members=[(int(each),) for each in order])
    assert turned.is_plain()
    for other in (
        make_target(released=plain.encoded * 1.001),
        make_target(released=plain.encoded[order]),
        make_target(released=plain.encoded[:50]),
        make_target(members=[(each, (each + 1) % 60) for each in range(60)]),
    ):
        assert not other.is_plain()
    audit = audit_release(plain, samples=20)
    by_mode = {
        mode: [replace(each, mode="") for each in audit.results if each.mode == mode]
        for mode in ("released-released", "released-raw")
    }
    assert len(by_mode["released-raw"]) == 9
    assert [each.to_dict() for each in by_mode["released-raw"]] == [
        each.to_dict() for each in by_mode["released-released"]
    ]


def test_marks_mean_one_thing(audit: Audit) -> None:
    """An orange diamond is what is there without the codes, a grey open circle raw images."""
    found: dict[str, set[float]] = {}
    for axes in audit_figure(audit).axes:
        for line in axes.lines:
            found.setdefault(f"{line.get_marker()} {line.get_markeredgecolor()}", set()).add(
                float(np.asarray(line.get_xdata()).ravel()[0])
            )
    floors = {each.floor for each in audit.results if each.attack != "reference"}
    raws = {each.raw for each in audit.results if math.isfinite(each.raw)}
    assert found["D #c05a00"] <= floors
    assert found["o #6e6e6e"] <= raws
    assert set(found) == {"D #c05a00", "o #6e6e6e", "o #0b4f8a", "None #0b4f8a"}


def test_what_was_not_measured_is_never_printed() -> None:
    nothing = Interval(math.nan, math.nan, math.nan)
    measured = one((0.1, 0.06, 0.2)).results[0]
    results = (replace(measured, value=nothing, gain=nothing, control=math.nan),)
    text = audit_markdown(replace(one((0.1, 0.06, 0.2)), results=results))
    assert "nan" not in text
    assert answers(replace(one((0.1, 0.06, 0.2)), results=results))[1].word == "not tested"
    assert results[0].to_dict()["value"] == [None, None, None]


def test_a_release_of_constants_shows_nothing() -> None:
    code = Codec(SPEC).encode(np.full((60, 1, 32, 32), 0.5, np.float32))
    audit = audit_release(make_target(released=code, encoded=code.array), samples=100)
    assert [answer.word for answer in answers(audit)] == ["not shown"] * 4


def test_an_open_release_shows_everything() -> None:
    images, owners = make_images(patients=60, side=16)
    flat = images.reshape(len(images), -1)
    shown = np.concatenate([flat, np.eye(2)[owners % 2]], axis=1).astype(np.float32)
    target = Target(shown, images, shown, owners.astype(np.str_),
                    attributes={"sex": [str(owner % 2) for owner in owners]})  # fmt: skip
    said = answers(audit_release(target, samples=100))
    assert [answer.word for answer in said[:3]] == ["yes"] * 3
    assert said[3].word == "a little"  # drawn chests differ so little that 0.05 cannot be gained
    assert "named" not in said[0].sentence
    assert said[2].evidence[0].mode == "sex"


# -- words ------------------------------------------------------------------------------------


def one(gain: tuple[float, float, float], **changes: Any) -> Audit:
    values: dict[str, Any] = {
        "attack": "linkage", "mode": "released-raw", "attacker": "whitening", "figure": "AUC",
        "value": Interval(*(0.6 + part for part in gain)), "chance": 0.5, "floor": 0.6,
        "gain": Interval(*gain), "control": 0.5, "raw": 0.8, "n": 9, "seed": 0, "reference": "",
    }  # fmt: skip
    return Audit((AttackResult(**{**values, **changes}),), (), 18, 9, False, 0)


@pytest.mark.parametrize(
    ("gain", "word"),
    [
        ((0.1, 0.06, 0.2), "yes"),
        ((0.1, 0.01, 0.2), "yes"),
        ((0.04, 0.01, 0.07), "a little"),
        ((0.1, -0.01, 0.2), "not shown"),
    ],
)
def test_what_is_sure_decides_the_word(gain: tuple[float, float, float], word: str) -> None:
    assert answers(one(gain))[1].word == word


def test_few_patients_are_no_proof() -> None:
    """Where the interval reaches high, nothing shown is not nothing there."""
    assert "too few patients" in answers(one((0.04, -0.01, 0.2)))[1].sentence
    assert "too few patients" not in answers(one((0.01, -0.02, 0.04)))[1].sentence


def test_a_large_figure_that_shows_nothing_says_why() -> None:
    hidden = answers(one((0.01, -0.02, 0.04)))[1].sentence
    assert "not surely more than labels alone do: the gain is 0.010 [-0.020, 0.040]" in hidden
    guessed = answers(one((0.01, -0.02, 0.04), floor=0.5))[1].sentence
    assert "not surely more than guessing does" in guessed
    assert "not surely" not in answers(one((0.2, 0.1, 0.3)))[1].sentence


def test_the_answer_names_what_it_is_held_against() -> None:
    raw = one((0.2, 0.1, 0.3), attack="reference", mode="raw images").results
    said = answers(replace(one((0.2, 0.1, 0.3)), results=(*raw, *one((0.1, 0.06, 0.2)).results)))
    assert (
        "70 % of the cases (AUC 0.700 [0.660, 0.800]; whitening, an image from" in said[1].sentence
    )
    assert "Guessing does in 50 %, whoever knows labels alone in 60 %, and" in said[1].sentence
    assert "on raw images in 80 %." in said[1].sentence
    assert "labels" not in answers(one((0.1, 0.06, 0.2), floor=0.5))[1].sentence


def test_what_is_not_inferred_is_said_too() -> None:
    changes = {
        "attack": "inference",
        "floor": 0.5,
        "value": Interval(0.8, 0.7, 0.9),
        "raw": math.nan,
    }
    shown = one((0.3, 0.2, 0.4), mode="sex", **changes).results
    hidden = one((0.02, -0.1, 0.1), mode="age", **changes).results
    answer = answers(replace(one((0.3, 0.2, 0.4)), results=(*hidden, *shown)))[2]
    assert answer.word == "yes"
    assert "tell sex with an AUC of 0.800 [0.700, 0.900]. An AUC" in answer.sentence
    assert "Not shown: age" in answer.sentence
    assert "too few patients" in answer.sentence
    nothing = answers(replace(one((0.3, 0.2, 0.4)), results=hidden))[2]
    assert nothing.word == "not shown"
    assert nothing.sentence.startswith("No attacker told more than is known without the codes: age")
    assert "Not shown" not in nothing.sentence


def test_weak_attackers_answer_nothing() -> None:
    weak = one((0.3, 0.2, 0.4), valid=False, reason="too weak")
    answer = answers(weak)[1]
    assert answer.word == "not tested"
    assert "too weak" in answer.sentence


def test_the_page_says_what_the_verdict_says(audit: Audit) -> None:
    figure = audit_figure(audit)
    texts = " ".join(" ".join(text.get_text().split()) for text in figure.texts)
    for answer in answers(audit):
        assert answer.question in texts
        assert answer.sentence[:60] in texts
    assert "no legal advice" in texts
    assert len(figure.axes) == 4
    assert "distance: two records" in [
        label.get_text() for label in figure.axes[0].get_yticklabels()
    ]
    markdown = audit_markdown(audit)
    for answer in answers(audit):
        assert answer.sentence in markdown
    for each in audit.untested:
        assert f"- {each}" in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("| linkage, released-raw")]
    assert len(rows) == 9  # five figures of distance, four of whitening
    assert "10.56553/popets-2023-0055" in markdown
    assert "nan" not in markdown
    assert "right signs" in markdown
    assert "vdd" not in markdown  # single bands are in the JSON alone


def test_an_empty_audit_has_a_page() -> None:
    empty = Audit((), ("everything",), 0, 0, True, 0)
    assert audit_figure(empty).texts
    assert "- everything" in audit_markdown(empty)


def test_results_are_plain_json(audit: Audit) -> None:
    text = json.dumps([each.to_dict() for each in audit.results], allow_nan=False)
    again = json.loads(text)
    assert len(again) == len(audit.results)
    assert all(each["reference"] for each in again)
    assert not any(isinstance(value, float) and math.isnan(value)
                   for each in again for value in each.values())  # fmt: skip
