"""Records, and mechanisms in a row."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms import (
    BandSelection,
    Chain,
    IdentitySuppression,
    KMixing,
    LabelResampling,
    Mechanism,
    Plain,
    Quantization,
    Records,
    TaskProjection,
)
from deepfixcx.mechanisms.records import label_patterns
from tests.mechanisms.making import make_records

EVERY: list[Mechanism] = [
    Plain(),
    BandSelection(highest=0.5),
    Quantization(4.0),
    KMixing(3),
    KMixing(3, "member", jitter=0.5),
    IdentitySuppression(4, 20),
    TaskProjection(),
    TaskProjection(3, components=10),
    TaskProjection(decoded=True),
    LabelResampling(components=8),
    LabelResampling(kept=0.5, components=8),
    Chain((TaskProjection(), LabelResampling(copies=2))),
    Chain((BandSelection(highest=0.5), TaskProjection(), KMixing(3))),
]


@pytest.mark.parametrize("mechanism", EVERY, ids=lambda mechanism: mechanism.name)
def test_every_mechanism_releases_what_it_says(mechanism: Mechanism) -> None:
    public, private = make_records(seed=1), make_records(seed=2)
    fitted = mechanism.fit(public, np.random.default_rng(0))
    before = private.array.copy()
    released = fitted.apply(private, np.random.default_rng(0))
    again = fitted.apply(private, np.random.default_rng(0))
    assert np.array_equal(released.array, again.array)
    assert np.array_equal(private.array, before)
    assert released.array.dtype == np.float32
    # a model that learned from the release takes new codes in the same form
    assert fitted.represent(private.array).shape[1:] == released.array.shape[1:]
    assert len(released) == len(released.labels) == len(released.members)
    for place, members in enumerate(released.members):
        for member in members:  # labels that are released are those of every member
            assert np.array_equal(released.labels[place], private.labels[member])
    manifest = fitted.to_manifest()
    assert json.loads(json.dumps(manifest)) == manifest
    assert fitted.guarantee
    text = json.dumps(manifest)
    assert not any(patient in text for patient in ("p0", "p17"))


def test_a_chain_says_what_each_step_guarantees() -> None:
    chain = Chain((TaskProjection(), KMixing(4)))
    fitted = chain.fit(make_records(seed=1), np.random.default_rng(0))
    assert "2 numbers" in fitted.guarantee
    assert "4 patients" in fitted.guarantee
    steps = fitted.to_manifest()["steps"]
    assert [step["mechanism"] for step in steps] == ["projection", "mixing"]


def test_a_chain_does_one_step_after_the_other() -> None:
    public, private = make_records(seed=1), make_records(seed=2)
    generator = np.random.default_rng(5)
    chain = Chain((BandSelection(highest=0.5), Quantization(4.0)))
    released = chain.fit(public, generator).apply(private, generator)
    by_hand = Quantization(4.0).represent(BandSelection(highest=0.5).represent(private.array))
    assert np.array_equal(released.array, by_hand)


@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(0, 12), st.integers(0, 4)),
        elements=st.sampled_from([0.0, 1.0, np.nan]),
    )
)
def test_patterns_tell_equal_labels_from_others(labels: np.ndarray) -> None:
    numbers = label_patterns(labels)
    for one in range(len(labels)):
        for other in range(len(labels)):
            equal = np.array_equal(labels[one], labels[other], equal_nan=True)
            assert (numbers[one] == numbers[other]) == equal


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Records.of(np.zeros(3), [0, 0, 0], list("abc")), "records are an array"),
        (lambda: Records.of(np.zeros((3, 0)), [0, 0, 0], list("abc")), "with numbers in it"),
        (lambda: Records.of(np.zeros((3, 2)), [0, 0], list("abc")), "rows of labels"),
        (lambda: Records.of(np.zeros((3, 2)), [0, 0, 0], list("ab")), "as many patients"),
        (lambda: Records.of(np.full((3, 2), np.nan), [0, 0, 0], list("abc")), "NaN or infinity"),
        (lambda: Chain(()), "at least one"),
    ],
)
def test_what_does_not_fit_is_named(make: object, reason: str) -> None:
    with pytest.raises(MechanismError, match=reason):
        make()  # type: ignore[operator]


def test_mixed_records_belong_to_no_single_patient() -> None:
    records = make_records()
    mixed = KMixing(3).apply(records, np.random.default_rng(0))
    with pytest.raises(MechanismError, match="mixing last"):
        mixed.patient_of_each()
    with pytest.raises(MechanismError, match="mixing last"):
        KMixing(3).apply(mixed, np.random.default_rng(0))
