"""k-mixing: no record depends on fewer than k patients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms import KMixing, Records
from deepfixcx.mechanisms.mixing import nearest_groups
from tests.mechanisms.making import make_records


@given(
    st.integers(2, 5),
    st.lists(st.integers(0, 9), min_size=1, max_size=40),
    st.integers(0, 2**32 - 1),
)
def test_groups_are_a_partition_with_k_patients_each(k: int, owners: list[int], seed: int) -> None:
    places = np.random.default_rng(seed).normal(size=(len(owners), 3))
    names = np.array(owners).astype(np.str_)
    groups = nearest_groups(places, names, k)
    if len(set(owners)) < k:
        assert groups == []
        return
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(owners)))
    assert all(len(set(names[group].tolist())) >= k for group in groups)


@pytest.mark.parametrize("each", ["group", "member"])
@pytest.mark.parametrize("jitter", [0.0, 0.9])
@pytest.mark.parametrize("k", [2, 5])
def test_every_record_depends_on_k_patients(each: str, jitter: float, k: int) -> None:
    records = make_records(images=3)
    mechanism = KMixing(k, each, jitter)  # type: ignore[arg-type]
    released = mechanism.apply(records, np.random.default_rng(0))
    assert released.patient_counts.min() >= k
    # not in name only: in the mean of its group each patient has a share, and none the most of it
    for place, members in enumerate(released.members[:10]):
        values = records.flat[members].astype(np.float64)
        weights, *_ = np.linalg.lstsq(values.T, released.flat[place], rcond=None)
        assert np.allclose(values.T @ weights, released.flat[place], atol=1e-5)
        shares = {
            patient: weights[records.patients[members] == patient].sum()
            for patient in records.patients[members].tolist()
        }
        assert sum(shares.values()) == pytest.approx(1, abs=1e-3)
        assert min(shares.values()) > 0
        most = (1 + jitter) / ((1 + jitter) + (len(shares) - 1) * (1 - jitter))
        assert max(shares.values()) <= most + 1e-3


def test_an_image_changes_only_records_that_name_it() -> None:
    records = make_records()
    first = KMixing(4).apply(records, np.random.default_rng(0))
    array = records.array.copy()
    array[7] *= 1 + 1e-4  # too little to change the groups
    second = KMixing(4).apply(records.with_array(array), np.random.default_rng(0))
    changed = np.flatnonzero((first.flat != second.flat).any(axis=1))
    assert changed.tolist() == [
        place for place, members in enumerate(first.members) if 7 in members
    ]


def test_groups_are_of_what_is_alike() -> None:
    near = np.concatenate([np.zeros((4, 2)), np.full((4, 2), 9.0)])
    noise = np.random.default_rng(0).normal(0, 0.1, near.shape)
    records = Records.of(near + noise, np.zeros(8), list("abcdefgh"))
    released = KMixing(4).apply(records, np.random.default_rng(0))
    assert sorted(released.array[:, 0].round().tolist()) == [0, 9]


def test_rare_labels_are_withheld() -> None:
    records = make_records(patients=30, images=1, labels=1)
    labels = records.labels.copy()
    labels[:, 0] = 0
    labels[:2] = 1
    rare = Records.of(records.array, labels, records.patients)
    released = KMixing(3, "member").apply(rare, np.random.default_rng(0))
    assert len(released) == 28
    assert not released.labels.any()
    few = rare.select([0, 1, 2])
    with pytest.raises(MechanismError, match="no 3 patients share"):
        KMixing(3).apply(few, np.random.default_rng(0))


def test_the_order_does_not_tell_the_members() -> None:
    records = make_records(patients=40, images=1, labels=1)
    orders = {
        tuple(int(members[0]) for members in KMixing(2).apply(records, generator).members)
        for generator in (np.random.default_rng(0), np.random.default_rng(1))
    }
    assert len(orders) == 2


def test_copies_of_a_group_differ_by_jitter_only() -> None:
    records = make_records()
    generator = np.random.default_rng(0)
    same = KMixing(5, "member").apply(records, generator)
    assert len(same) == len(records)
    assert len(np.unique(same.flat, axis=0)) < len(same)
    other = KMixing(5, "member", jitter=0.5).apply(records, generator)
    assert len(np.unique(other.flat, axis=0)) == len(other)


@pytest.mark.parametrize("words", [{"k": 1}, {"k": 3, "each": "pair"}, {"k": 3, "jitter": 1.0}])
def test_parameters_are_checked(words: dict[str, object]) -> None:
    with pytest.raises(MechanismError):
        KMixing(**words)  # type: ignore[arg-type]
