"""Who trains on what: no tested patient, no record that shares an image with the probe."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepfixcx.audit.linkage import Records
from deepfixcx.audit.linkage.pairs import Pairs
from deepfixcx.audit.linkage.trial import make_tests
from deepfixcx.errors import AuditError


def records_of(members: list[tuple[int, ...]]) -> Records:
    """Records that hold their own number."""
    return Records(np.arange(len(members), dtype=np.float32)[:, None], members)


@given(st.integers(0, 10_000), st.integers(1, 3), st.booleans())
def test_nothing_leaks_from_training_to_test(seed: int, size: int, raw: bool) -> None:
    generator = np.random.default_rng(seed)
    patients = np.repeat(np.arange(20), 3)
    shuffled = generator.permutation(60)
    members = [tuple(shuffled[at : at + size]) for at in range(0, 60, size)]
    released = records_of(members)
    probes = Records(np.arange(60, dtype=np.float32)[:, None]) if raw else None
    probe_members = [(image,) for image in range(60)] if raw else members
    try:
        tests = list(make_tests(released, probes, patients, 3, generator))
    except AuditError:
        return  # too much is mixed for anything to learn from
    seen: set[int] = set()
    for test in tests:
        trained = set(test.training.gallery_places)
        assert not trained & set(test.gallery)
        owners_trained = {patients[i] for record in trained for i in members[record]}
        owners_trained |= {
            patients[i] for place in test.training.probe_places for i in probe_members[place]
        }
        tested = set(test.searches.patients)
        assert not owners_trained & tested
        assert not seen & tested  # each patient is tested in one fold
        seen |= tested
        for probe, patient, true, stranger in zip(
            test.probes[test.searches.probes], test.searches.patients,
            test.searches.true, test.searches.stranger, strict=True,
        ):  # fmt: skip
            own = set(probe_members[probe])
            assert patient in {patients[i] for i in own}
            for place, is_true, is_stranger in zip(test.gallery, true, stranger, strict=True):
                theirs = set(members[place])
                owners = {patients[i] for i in theirs}
                assert is_true == (patient in owners and not own & theirs)
                assert is_stranger == (not owners & {patients[i] for i in own})


def test_every_patient_with_two_images_is_searched_once() -> None:
    patients = np.array([0, 0, 1, 1, 2, 3, 4, 4, 5, 5])
    released = records_of([(image,) for image in range(10)])
    tests = make_tests(released, None, patients, 2, np.random.default_rng(0))
    searched = [patient for test in tests for patient in test.searches.patients]
    assert sorted(searched) == [0, 0, 1, 1, 4, 4, 5, 5]


def test_members_are_checked() -> None:
    with pytest.raises(AuditError, match="2 records and members of 1"):
        Records(np.zeros((2, 3)), [(0,)])
    with pytest.raises(AuditError, match="needs one image or more"):
        Records(np.zeros((2, 3)), [(0,), ()])
    with pytest.raises(AuditError, match="needs one image or more"):
        Records(np.zeros((2, 3)), [(0,), (-1,)])
    with pytest.raises(AuditError, match="NaN"):
        Records(np.array([[np.nan]]))
    with pytest.raises(AuditError, match="image 7"):
        Records(np.zeros((1, 2)), [(7,)]).images(7)


def test_what_cannot_be_tried_is_said() -> None:
    patients = np.repeat(np.arange(10), 2)
    released = records_of([(image,) for image in range(20)])
    with pytest.raises(AuditError, match="encode the probes with the settings"):
        list(make_tests(released, Records(np.zeros((20, 2))), patients, 2,
                        np.random.default_rng(0)))  # fmt: skip
    with pytest.raises(AuditError, match="two images that are not copies"):
        list(make_tests(released, None, np.arange(20), 2, np.random.default_rng(0)))
    one = np.array([0, 0, *range(1, 19)])
    with pytest.raises(AuditError, match="attackers cannot learn"):
        list(make_tests(released, None, one, 2, np.random.default_rng(0)))
    with pytest.raises(AuditError, match="10 patients cannot be divided into 11"):
        list(make_tests(released, None, patients, 11, np.random.default_rng(0)))


def training() -> Pairs:
    patients = np.repeat(np.arange(30), 2)
    released = records_of([(image,) for image in range(60)])
    return next(iter(make_tests(released, None, patients, 3, np.random.default_rng(0)))).training


def test_patients_set_aside_are_in_one_part() -> None:
    pairs = training()
    learning, aside = pairs.split(0.25, np.random.default_rng(1))
    assert not set(learning.probe_places // 2) & set(aside.probe_places // 2)
    assert len(aside.probe_places) == pytest.approx(len(pairs.probe_places) / 4, abs=2)
    assert learning.some_match()
    assert aside.some_match()
    assert (learning.probes[:, 0] == learning.probe_places).all()


def test_probes_among_themselves_are_pairs_too() -> None:
    pairs = training().among_probes()
    same = pairs.probe_places[:, None] // 2 == pairs.gallery_places[None] // 2
    assert (pairs.match == (same & ~np.eye(len(same), dtype=bool))).all()
