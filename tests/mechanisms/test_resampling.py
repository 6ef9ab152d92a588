"""Label resampling: records of equal labels are alike, and classifiers learn the same."""

from __future__ import annotations

import numpy as np
import pytest

from deepfixcx.errors import MechanismError
from deepfixcx.learn.logistic import LogisticCodes
from deepfixcx.measures import roc_auc
from deepfixcx.mechanisms import Chain, LabelResampling, Records, TaskProjection
from deepfixcx.mechanisms.records import label_patterns
from tests.mechanisms.making import make_records


def vectors(count: int = 400, seed: int = 0) -> Records:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, (count, 2))
    array = generator.normal(size=(count, 3)) @ np.array([[1, 0.5, 0], [0, 1, 0], [0, 0, 2.0]])
    array[:, 0] += labels[:, 0]
    return Records.of(array, labels, np.arange(count))


def test_who_is_who_makes_no_difference() -> None:
    """Exchange images of equal labels: the release is the same, number by number."""
    records = vectors()
    patterns = label_patterns(records.labels)
    generator = np.random.default_rng(1)
    exchanged = np.arange(len(records))
    for pattern in np.unique(patterns):
        here = np.flatnonzero(patterns == pattern)
        exchanged[here] = generator.permutation(here)
    assert not np.array_equal(exchanged, np.arange(len(records)))
    mechanism = LabelResampling(copies=2)
    fitted = mechanism.fit(records, generator)
    one = fitted.apply(records, np.random.default_rng(7))
    other = fitted.apply(records.with_array(records.array[exchanged]), np.random.default_rng(7))
    assert np.allclose(one.array, other.array, atol=1e-4)
    assert np.array_equal(one.labels, other.labels)


def test_a_record_that_keeps_its_own_part_is_distinguished() -> None:
    records = vectors()
    fitted = LabelResampling(kept=0.5).fit(records, np.random.default_rng(0))
    released = fitted.apply(records, np.random.default_rng(0))
    own = np.corrcoef(released.array[:, 2], records.array[:, 2])[0, 1]
    assert own == pytest.approx(np.sqrt(0.5), abs=0.1)
    none = LabelResampling().fit(records, np.random.default_rng(0))
    drawn = none.apply(records, np.random.default_rng(0))
    place = np.concatenate(drawn.members)
    assert abs(np.corrcoef(drawn.array[:, 2], records.array[place, 2])[0, 1]) < 0.15


@pytest.mark.parametrize("kept", [0.0, 0.3])
def test_means_and_covariance_given_labels_are_kept(kept: float) -> None:
    records = vectors(4000)
    fitted = LabelResampling(kept=kept).fit(records, np.random.default_rng(0))
    released = fitted.apply(records, np.random.default_rng(3))
    for pattern in range(4):
        before = records.array[label_patterns(records.labels) == pattern]
        after = released.array[label_patterns(released.labels) == pattern]
        assert len(before) == len(after)
        assert np.allclose(before.mean(axis=0), after.mean(axis=0), atol=0.3)
        assert np.allclose(np.cov(before.T), np.cov(after.T), atol=0.8)  # far scores are drawn in


def test_a_classifier_learns_as_much_from_copies() -> None:
    public, private, others = (make_records(200, 1, seed=seed) for seed in (1, 2, 3))
    projection = TaskProjection(components=30).fit(public, np.random.default_rng(0))
    seen = projection.represent(others.array)
    chain = Chain((TaskProjection(components=30), LabelResampling(copies=4)))
    released = chain.fit(public, np.random.default_rng(0)).apply(private, np.random.default_rng(0))
    assert len(released) == 4 * len(private)
    areas = []
    for array, labels in (
        (projection.represent(private.array), private.labels),
        (released.array, released.labels),
    ):
        model = LogisticCodes.fit(array, labels, rooted=False, components=2)
        areas.append(roc_auc(others.labels[:, 0], model.decision(seen)[:, 0]))
    assert areas[1] > areas[0] - 0.02
    assert areas[1] > 0.8


def test_the_order_does_not_tell_who_is_who() -> None:
    records = vectors()
    fitted = LabelResampling().fit(records, np.random.default_rng(0))
    order = np.concatenate(fitted.apply(records, np.random.default_rng(0)).members)
    assert sorted(order.tolist()) == list(range(400))
    assert not np.array_equal(order, np.arange(400))


def test_codes_are_drawn_as_codes() -> None:
    public, private = make_records(160, seed=1), make_records(160, seed=2)
    fitted = LabelResampling(components=10).fit(public, np.random.default_rng(0))
    released = fitted.apply(private, np.random.default_rng(0))
    assert released.array.shape == private.array.shape
    assert fitted.to_manifest()["components"] == 10
    scores = fitted.whitening
    assert scores is not None
    # the sick still have more of their band, and the healthy less
    sick = released.labels[:, 0] == 1
    assert released.array[sick, 0, 8].mean() > released.array[~sick, 0, 8].mean() + 0.05


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda: LabelResampling(kept=1.0), "below 1"),
        (lambda: LabelResampling(copies=0), "1 or more"),
        (lambda: LabelResampling(kept=0.1, copies=2), "averaged"),
        (
            lambda: (
                LabelResampling(patients=50)
                .fit(vectors(), np.random.default_rng(0))
                .apply(vectors(40), np.random.default_rng(0))
            ),
            "release 50 patients or more",
        ),
        (
            lambda: (
                LabelResampling(components=40)
                .fit(make_records(60), np.random.default_rng(0))
                .apply(make_records(60), np.random.default_rng(0))
            ),
            "40 numbers of 60 patients",
        ),
    ],
)
def test_what_does_not_fit_is_named(act: object, reason: str) -> None:
    with pytest.raises(MechanismError, match=reason):
        act()  # type: ignore[operator]


def test_patients_count_and_not_images() -> None:
    records = vectors(100)
    one = Records.of(records.array, records.labels, np.arange(100) // 10)
    fitted = LabelResampling(patients=20).fit(one, np.random.default_rng(0))
    with pytest.raises(MechanismError, match="of 10 patients"):
        fitted.apply(one, np.random.default_rng(0))
