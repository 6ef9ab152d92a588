"""All attacks together, and the verdict in words and as a page."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deepfixcx import Codec, CodecSpec
from deepfixcx.audit.linkage import siamese, siamese_cnn
from deepfixcx.audit.reconstruction import torch_inverters
from deepfixcx.audit.result import AttackResult
from deepfixcx.audit.suite import Audit, PublicImages, Target, audit_release
from deepfixcx.audit.verdict import answers
from deepfixcx.errors import AuditError
from deepfixcx.measures import Interval
from deepfixcx.report.audit_page import audit_figure, audit_markdown
from deepfixcx.report.figure_data import COLOURS, attack_panels
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
    assert ("linkage", "released-raw", "whitening + labels") in made
    assert ("membership", "candidates", "own record") in made
    for attacker in ("plain", "neighbour", "ridge", "interpolation"):
        assert ("reconstruction", "codes to images", attacker) in made
    assert sum(each.figure == "right signs" for each in audit.results) == 16
    raw = {each.attacker: each.value.value for each in audit.results
           if (each.attack, each.figure) == ("reference", "AUC")}  # fmt: skip
    for each in audit.results:
        if (each.attack, each.figure) == ("linkage", "AUC") and "labels" not in each.attacker:
            assert each.raw == raw[each.attacker]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_report() -> None:
    target = make_target(attributes={})
    once, again, other = (audit_release(target, seed=seed, samples=30) for seed in (2, 2, 3))
    assert audit_markdown(once) == audit_markdown(again)
    assert [each.to_dict() for each in once.results] == [each.to_dict() for each in again.results]
    assert audit_markdown(once) != audit_markdown(other)


@pytest.mark.slow
def test_full_trains_networks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (siamese, siamese_cnn):
        monkeypatch.setattr(module, "PROTOCOL", replace(module.PROTOCOL, epochs=2, pairs=60))
    monkeypatch.setattr(torch_inverters, "EPOCHS", 1)
    monkeypatch.setattr(torch_inverters, "STEPS", 2)
    audit = audit_release(make_target(attributes={}), full=True, samples=20)
    made = {each.attacker for each in audit.results}
    assert {"siamese-mlp", "siamese-cnn", "variation", "unet"} <= made
    weak = [each for each in audit.results if not each.valid]
    assert all(each.attack == "linkage" and "raw images" in each.reason for each in weak)
    assert not any("--full" in each for each in audit.untested)
    shown = [label.get_text() for label in audit_figure(audit).axes[0].get_yticklabels()]
    assert ("siamese-cnn: two records (not counted)" in shown) == any(
        each.attacker == "siamese-cnn" for each in weak
    )


@pytest.mark.slow
def test_progress_and_untested_attacks_are_reported() -> None:
    reported: list[tuple[str, int, int]] = []
    images, _ = make_images(patients=30)
    target = make_target(patients=np.arange(60).astype(np.str_), attributes={})
    audit = audit_release(target, samples=20, report=lambda *step: reported.append(step))
    assert [done for _, done, _ in reported] == list(range(len(reported)))
    assert reported[-1] == ("done", len(reported) - 1, len(reported) - 1)
    assert sum("patients with several images" in each for each in audit.untested) == 5
    assert any("no column of sex" in each for each in audit.untested)
    assert any("--public" in each for each in audit.untested)
    assert any("--full" in each for each in audit.untested)
    assert any("membership" in each for each in audit.untested)
    words = [answer.word for answer in answers(audit)]
    assert words[:3] == ["not tested"] * 3
    assert words[4] == "yes"  # plain codes: each image finds its own record
    with pytest.raises(AuditError, match="are as many"):
        audit_release(replace(target, images=images[:5]))


@pytest.mark.slow
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


@pytest.mark.slow
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
    assert len(by_mode["released-raw"]) == 17
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
    floor, raw, attack = (COLOURS[name] for name in ("mark", "muted", "accent"))
    assert found[f"D {floor}"] <= floors
    assert found[f"o {raw}"] <= raws
    chance = {f"None {raw}"}
    marks = {f"D {floor}", f"o {raw}", f"o {attack}", f"x {attack}", f"None {attack}"}
    assert set(found) - chance <= marks


def test_what_was_not_measured_is_never_printed() -> None:
    nothing = Interval(math.nan, math.nan, math.nan)
    measured = one((0.1, 0.06, 0.2)).results[0]
    results = (replace(measured, value=nothing, gain=nothing, control=math.nan),)
    text = audit_markdown(replace(one((0.1, 0.06, 0.2)), results=results))
    assert "nan" not in text
    assert answers(replace(one((0.1, 0.06, 0.2)), results=results))[1].word == "not tested"
    assert results[0].to_dict()["value"] == {"value": None, "low": None, "high": None}


@pytest.mark.slow
def test_a_release_of_constants_shows_nothing() -> None:
    code = Codec(SPEC).encode(np.full((60, 1, 32, 32), 0.5, np.float32))
    audit = audit_release(make_target(released=code, encoded=code.array), samples=100)
    said = answers(audit)
    assert [answer.word for answer in said] == ["not shown"] * 5
    assert all("would have been detected" in answer.sentence for answer in said)


@pytest.mark.slow
def test_an_open_release_shows_everything() -> None:
    images, owners = make_images(patients=60, side=16)
    flat = images.reshape(len(images), -1)
    shown = np.concatenate([flat, np.eye(2)[owners % 2]], axis=1).astype(np.float32)
    target = Target(shown, images, shown, owners.astype(np.str_),
                    attributes={"sex": [str(owner % 2) for owner in owners]})  # fmt: skip
    said = answers(audit_release(target, samples=100))
    assert [answer.word for answer in said[:3]] == ["yes"] * 3
    assert said[3].word == "yes"
    assert said[4].word == "yes"
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


def test_not_shown_names_the_smallest_effect_that_would_have_been_detected() -> None:
    hidden = answers(one((0.04, -0.01, 0.2), detectable=0.15))[1]
    assert hidden.word == "not shown"
    assert "Smallest gain in AUC that would have been detected" in hidden.sentence
    assert ": 0.150; smaller effects are not excluded" in hidden.sentence
    assert "would have been detected" not in answers(one((0.1, 0.06, 0.2)))[1].sentence


def test_an_attack_that_succeeds_counts_however_weak_the_attacker_is() -> None:
    """Precision@1 0.43 [0.31, 0.55] against 0.20 was "not tested", as AUC on raw images is 0.71."""
    weak = one(
        (0.23, 0.11, 0.35), figure="precision@1", value=Interval(0.43, 0.31, 0.55), floor=0.2,
        raw=0.71, valid=False, reason="on raw images the same attacker reaches 0.710",
    )  # fmt: skip
    assert answers(weak)[0].word == "yes"
    areas = one((0.01, -0.1, 0.1), raw=0.71, valid=False, reason="too weak").results
    assert answers(replace(weak, results=(*areas, *weak.results)))[1].word == "not tested"


@pytest.mark.parametrize(
    ("attack", "figure", "question"),
    [
        ("linkage", "mAP@R", 0), ("linkage", "unique patients", 0), ("linkage", "EER", 1),
        ("linkage", "KS", 1), ("inference", "AUC", 2), ("rare labels", "AUC", 2),
        ("reconstruction", "MS-SSIM", 3), ("membership", "worst patient AUC", 4),
    ],
)  # fmt: skip
def test_no_lower_bound_above_its_baseline_is_called_not_shown(
    attack: str, figure: str, question: int
) -> None:
    """Whatever else fails: one attack of the family that succeeds is enough."""
    family = {0: "precision@1", 3: "SSIM"}.get(question, "AUC")
    failed = one((0.0, -0.1, 0.1), attack=attack, figure=family).results
    if question == 3:
        failed += one((0.0, -0.1, 0.1), attack=attack, figure="PSNR").results
    shown = one((0.02, 0.01, 0.03), attack=attack, figure=figure).results
    audit = one((0.0, 0.0, 0.0))
    assert answers(replace(audit, results=failed))[question].word == "not shown"
    assert answers(replace(audit, results=(*failed, *shown)))[question].word in ("a little", "yes")


def test_few_first_hits_are_many_where_chance_is_small() -> None:
    rare = one((0.04, 0.02, 0.06), figure="precision@1", value=Interval(0.045, 0.025, 0.065),
               floor=0.005)  # fmt: skip
    assert answers(rare)[0].word == "yes"


def test_patients_alone_with_their_labels_are_singled_out() -> None:
    owners = np.repeat(np.arange(30), 2)
    labels = np.zeros((60, 2), np.float32)
    labels[owners < 3, 0] = 1
    labels[owners == 0, 1] = 1
    target = make_target(labels=labels, record_labels=labels, label_names=("a", "b"), attributes={})
    audit = audit_release(target, samples=20)
    unique = next(each for each in audit.results if each.figure == "unique patients")
    assert unique.value.value == pytest.approx(1 / 30)
    assert "released labels alone single out 3.3 % of 30 patients" in answers(audit)[0].sentence
    assert {each.mode for each in audit.results if each.attack == "rare labels"} == {"a", "b"}


@pytest.mark.slow
def test_labels_that_are_released_link_and_labels_that_are_not_are_a_baseline() -> None:
    noise = np.random.default_rng(0).random((60, 8)).astype(np.float32)
    owners = np.repeat(np.arange(30), 2)
    labels = (owners % 5).astype(np.float32)[:, None]
    known = make_target(released=noise, encoded=noise, labels=labels, attributes={})
    shared = replace(known, record_labels=labels, label_names=("site",))
    before = answers(audit_release(known, samples=20))[1]
    assert before.word == "not tested"
    assert "baseline of 0.915 leaves no room" in before.sentence
    said = answers(audit_release(shared, samples=20))[1]
    assert said.word == "yes"
    assert "attacker: labels" in said.sentence


@pytest.mark.slow
def test_copies_are_counted_and_do_not_count_as_linkage() -> None:
    """Each image twice is no re-identification: byte for byte, or with another contrast."""
    images, _ = make_images(patients=60, images=1)
    twice = np.repeat(images, 2, axis=0)
    twice[1:60:2] *= 0.9
    code = Codec(SPEC).encode(twice)
    target = Target(code, twice, code.array, np.repeat(np.arange(60), 2).astype(np.str_))
    audit = audit_release(target, samples=20)
    assert audit.copies is not None
    assert (audit.copies.identical, audit.copies.near) == (30, 30)
    assert [each.word for each in answers(audit)[:2]] == ["not tested"] * 2
    split = replace(target, patients=np.arange(120).astype(np.str_))
    found = audit_release(split, samples=20).copies
    assert found is not None
    assert found.across >= 60
    assert "under two patient IDs" in found.notes()[0]


def test_public_images_are_enough_to_train_on() -> None:
    images, owners = make_images(patients=60)
    code, inside = Codec(SPEC).encode(images), owners < 30
    places = np.flatnonzero(inside)
    public = PublicImages(images[~inside], code.array[~inside], owners[~inside].astype(np.str_))
    target = Target(
        code[places], images[inside], code.array[inside], owners[inside].astype(np.str_),
        public=public,
    )  # fmt: skip
    audit = audit_release(target, samples=20)
    made = {(each.attack, each.attacker): each for each in audit.results}
    assert made["linkage", "whitening, public images"].n == 30
    assert made["reconstruction", "ridge, public images"].gain.low > 0
    member = next(each for each in audit.results
                  if (each.attack, each.figure) == ("membership", "AUC"))  # fmt: skip
    assert member.value.value == 1
    assert not any("--public" in each for each in audit.untested)


def test_a_large_figure_that_shows_nothing_says_why() -> None:
    hidden = answers(one((0.01, -0.02, 0.04)))[1].sentence
    assert "Gain over the baseline: 0.010 [-0.020, 0.040]" in hidden
    assert "Label-only baseline: AUC 0.600" in hidden
    assert "No attack exceeds its baseline" in hidden


def test_the_answer_names_what_it_is_held_against() -> None:
    raw = one((0.2, 0.1, 0.3), attack="reference", mode="raw images").results
    said = answers(replace(one((0.2, 0.1, 0.3)), results=(*raw, *one((0.1, 0.06, 0.2)).results)))
    assert "AUC of 0.700 [0.660, 0.800] (attacker: whitening, an image from" in said[1].sentence
    assert "Chance: AUC 0.500. Label-only baseline: AUC 0.600." in said[1].sentence
    assert "Same attacker on raw images: AUC 0.800." in said[1].sentence
    assert "abel" not in answers(one((0.1, 0.06, 0.2), floor=0.5))[1].sentence


def test_what_is_not_inferred_is_said_too() -> None:
    changes = {
        "attack": "inference",
        "floor": 0.5,
        "value": Interval(0.8, 0.7, 0.9),
        "raw": math.nan,
    }
    shown = one((0.3, 0.2, 0.4), mode="sex", **changes).results
    changes["value"] = Interval(0.52, 0.4, 0.6)
    hidden = one((0.02, -0.1, 0.1), mode="age", **changes).results
    answer = answers(replace(one((0.3, 0.2, 0.4)), results=(*hidden, *shown)))[2]
    assert answer.word == "yes"
    assert "show sex with an AUC of 0.800 [0.700, 0.900]. Chance" in answer.sentence
    assert "Not shown: age" in answer.sentence
    nothing = answers(replace(one((0.3, 0.2, 0.4)), results=hidden))[2]
    assert nothing.word == "not shown"
    assert nothing.sentence.startswith("Not shown: age")


def test_weak_attackers_answer_nothing() -> None:
    weak = one((0.3, -0.2, 0.4), valid=False, reason="too weak")
    answer = answers(weak)[1]
    assert answer.word == "not tested"
    assert "too weak" in answer.sentence


def test_the_page_says_what_the_verdict_says(audit: Audit) -> None:
    figure = audit_figure(audit)
    texts = " ".join(" ".join(text.get_text().split()) for text in figure.texts)
    for answer in answers(audit):
        assert answer.question in texts
        assert answer.sentence[:60] in texts
    assert "neither legal advice" in texts
    assert len(figure.axes) == len(attack_panels(audit.results))
    assert "whitening + labels: two records" in [
        label.get_text() for label in figure.axes[0].get_yticklabels()
    ]
    markdown = audit_markdown(audit)
    for answer in answers(audit):
        assert answer.sentence in markdown
    for each in audit.untested:
        assert f"- {each}" in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("| linkage, released-raw")]
    assert len(rows) == 13  # five of distance, four of whitening, four of whitening with labels
    assert "## First hit by size of the gallery" in markdown
    curve = next(each for each in audit.curves if each.attacker == "whitening")
    assert str(curve.top1[-1]) in markdown
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
