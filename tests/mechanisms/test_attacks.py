"""Attackers who know the method: what each guarantee admits, and what it excludes."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deepfixcx.audit.candidates import attack_differencing, attack_subset_sum
from deepfixcx.audit.carriers import attack_rare_labels
from deepfixcx.audit.result import AttackResult
from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms import KMixing, LabelResampling, Records
from deepfixcx.mechanisms.catalogue import MECHANISMS, mechanism_named
from deepfixcx.mechanisms.records import patients_per_group, safe_labels
from tests.mechanisms.making import make_records

Floats = NDArray[np.float64]


def of(results: tuple[AttackResult, ...], figure: str) -> float:
    return float(next(each for each in results if each.figure == figure).value.value)


# -- mixing: its guarantee admits what an attacker with candidates finds ------------------------


def test_the_guarantee_of_mixing_admits_that_its_members_are_found() -> None:
    records = make_records(patients=60, images=1, labels=1)
    others = make_records(patients=60, images=1, labels=1, seed=9)
    released = KMixing(3).apply(records, np.random.default_rng(0))
    candidates = np.concatenate([records.flat, others.flat])
    found = attack_subset_sum(
        released.flat, candidates, [each.tolist() for each in released.members], np.arange(120)
    )
    assert of(found, "recall") > 0.95
    assert "finds the members of nearly every record" in KMixing(3).guarantee


def test_the_guarantee_of_mixing_admits_that_two_releases_show_a_patient() -> None:
    records = make_records(patients=30, images=1, labels=1, seed=3)
    whole = records.with_labels(np.zeros((30, 1), np.float32))
    differences = []
    for patient in range(8):
        fewer = whole.select([place for place in range(30) if place != patient])
        sums = [
            (made.flat * made.patient_counts[:, None]).sum(axis=0)
            for each in (whole, fewer)
            for made in [KMixing(3).apply(each, np.random.default_rng(0))]
        ]
        differences.append(sums[0] - sums[1])
    found = attack_differencing(np.array(differences), whole.flat, np.arange(8), np.arange(30))
    assert of(found, "precision@1") == 1
    assert "is the code of that patient" in KMixing(3).guarantee


# -- resampling: rare labels, and the patient with the most influence --------------------------


def carriers(positives: int, seed: int, label_patients: int = 50) -> float:
    """AUC of finding who carries a label that has nothing to do with the images."""
    generator = np.random.default_rng(seed)
    public, own = generator.normal(size=(2, 250, 5))
    sick, extra = generator.integers(0, 2, 250), np.zeros(250)
    extra[generator.permutation(250)[:positives]] = 1
    labels = np.stack([sick, extra], axis=1)
    own[:, 0] += sick
    mechanism = LabelResampling(copies=2, label_patients=label_patients)
    fitted = mechanism.fit(Records.of(public, sick, np.arange(250)), generator)
    made = fitted.apply(Records.of(own, labels, np.arange(250)), generator)
    found = attack_rare_labels(
        made.array, made.labels, own.astype(np.float32), labels, np.arange(250),
        names=["sick", "extra"], copies=2,
    )  # fmt: skip
    (area,) = (
        each.value.value
        for each in found
        if each.mode == "extra" and each.attacker.startswith("discriminant")
    )
    return float(area)


@pytest.mark.parametrize("positives", [1, 2, 8, 35, 50, 77])
def test_carriers_of_a_label_without_meaning_are_not_found(positives: int) -> None:
    """Unshrunk slopes gave 0.97, 0.78, 0.67, 0.58, about 0.58 and 0.57."""
    areas = [carriers(positives, seed) for seed in range(24)]
    noise = 3 * 0.3 / np.sqrt(positives * len(areas))
    assert np.mean(areas) == pytest.approx(0.5, abs=0.02 + noise)


def influence(images: Floats, seed: int) -> tuple[float, float]:
    """Score releases with and without a patient: by their means and covariance, given labels."""
    generator = np.random.default_rng(seed)
    numbers = images.shape[1]
    public, others = generator.normal(size=(2, 200, numbers))
    sick = generator.integers(0, 2, 201)
    fitted = LabelResampling().fit(Records.of(public, sick[:200], np.arange(200)), generator)
    scores = []
    for last in (images, generator.normal(size=(1, numbers))):
        array = np.concatenate([others, last])
        owner = np.concatenate([np.arange(200), np.full(len(last), 200)])
        made = fitted.apply(Records.of(array, sick[owner], owner), generator)
        design = np.column_stack([np.ones(len(made)), made.labels])
        slopes = np.linalg.lstsq(design, made.array, rcond=None)[0]
        covariance = np.cov((made.array - design @ slopes).T)
        apart = images - np.array([1, sick[200]]) @ slopes
        distances = np.einsum("id,de,ie->i", apart, np.linalg.inv(covariance), apart)
        scores.append(-(distances.mean() + np.linalg.slogdet(covariance)[1]))
    return scores[0], scores[1]


@pytest.mark.parametrize(
    "images",
    [
        np.full((12, 4), 1.0) + np.random.default_rng(0).normal(0, 0.3, (12, 4)),
        np.full((1, 4), 4.0),
    ],
    ids=["twelve images", "the farthest image"],
)
def test_no_patient_has_much_influence_on_resampled_records(images: Floats) -> None:
    """With every image counted alike, these two were members with an AUC of 0.9 and 0.8."""
    inside, outside = np.array([influence(images, seed) for seed in range(80)]).T
    area = (inside[:, None] > outside).mean()
    assert area < 0.72
    assert "membership" in LabelResampling().fit(
        Records.of(np.eye(4), np.zeros(4), np.arange(4)), np.random.default_rng(0)
    ).guarantee  # fmt: skip


def test_a_patient_with_many_images_counts_once() -> None:
    generator = np.random.default_rng(0)
    array = generator.normal(size=(120, 2))
    labels = np.arange(120) % 2
    fitted = LabelResampling().fit(Records.of(array, labels, np.arange(120)), generator)
    once = Records.of(array, labels, np.arange(120))
    places = np.concatenate([np.arange(120), np.full(300, 7)])
    often = Records.of(array[places], labels[places], places)
    means = [
        fitted.apply(each, np.random.default_rng(0)).array.mean(axis=0) for each in (once, often)
    ]
    assert np.abs(means[0] - means[1]).max() < 0.25  # 300 of 420 images would move them by up to 2


# -- labels ---------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(*3 * [st.sampled_from([0, 1, None])]), min_size=1, max_size=60),
    st.integers(2, 6),
    st.integers(0, 9),
    st.integers(1, 3),
)
def test_every_combination_of_released_labels_covers_enough_patients(
    rows: list[tuple[int | None, ...]], minimum: int, positives: int, images: int
) -> None:
    labels = np.array([[np.nan if x is None else x for x in row] for row in rows], np.float32)
    patients = (np.arange(len(rows)) // images).astype(np.str_)
    safe = safe_labels(labels, patients, minimum, positives)
    assert sorted(safe.kept + safe.dropped) == [0, 1, 2]
    assert safe.labels.shape == (len(rows), len(safe.kept))
    known = ~np.isnan(safe.labels)
    assert np.array_equal(safe.withheld, ~known.any(axis=1))
    assert np.array_equal(safe.labels[known], labels[:, list(safe.kept)][known])
    released = safe.labels[~safe.withheld]
    owners = patients[~safe.withheld]
    for column, state in product(range(len(safe.kept)), (0, 1)):
        carriers_of = set(owners[released[:, column] == state].tolist())
        assert len(carriers_of) >= max(minimum, positives)
    if len(released):
        patterns = np.unique(np.nan_to_num(released, nan=2), axis=0, return_inverse=True)[1]
        assert patients_per_group(patterns.reshape(-1), owners).min() >= minimum


def test_a_common_label_stays_and_other_numbers_are_refused() -> None:
    labels = np.array([[1, 1]] * 20 + [[0, 0]] * 20 + [[1, 0]] * 3, np.float32)
    safe = safe_labels(labels, np.arange(43).astype(np.str_))
    assert safe.kept == (0, 1)
    assert safe.merged is False or np.isnan(safe.labels[40:, 1]).all()
    with pytest.raises(MechanismError, match="such as age"):
        safe_labels(np.array([[57.0]], np.float32), np.array(["a"]))
    with pytest.raises(MechanismError, match="2 or more"):
        safe_labels(labels, np.arange(43).astype(np.str_), 1)


# -- wording --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(MECHANISMS))
def test_every_guarantee_names_its_attacker_and_the_worst_case(name: str) -> None:
    public = make_records(patients=40)
    fitted = mechanism_named(name).fit(public, np.random.default_rng(0))
    manifest = fitted.to_manifest()
    for each in manifest.get("steps", [manifest]):
        parts = ("Attacker: ", " On average: ", " Worst case: ")
        assert all(part in each["guarantee"] for part in parts)
