"""Suppression and projection: what is removed is gone, what labels need stays."""

from __future__ import annotations

import numpy as np
import pytest

from deepfixcx.errors import MechanismError
from deepfixcx.learn.logistic import LogisticCodes
from deepfixcx.measures import roc_auc
from deepfixcx.mechanisms import IdentitySuppression, Records, TaskProjection
from deepfixcx.mechanisms.whitening import (
    Whitening,
    identity_directions,
    label_matrix,
    task_directions,
)
from tests.mechanisms.making import make_records

GENERATOR = np.random.default_rng(0)


def test_codes_that_agree_in_the_kept_numbers_give_the_same_record() -> None:
    public, private = make_records(seed=1), make_records(seed=2)
    for decoded in (False, True):
        fitted = TaskProjection(components=20, decoded=decoded).fit(public, GENERATOR)
        weights = fitted.weights
        scores = fitted.whitening.scores(private.array)
        # the guarantee: move all else as far as one likes
        null = np.linalg.svd(weights.T)[2][weights.shape[1] :]
        moved = scores + np.random.default_rng(3).normal(0, 0.2, (len(scores), len(null))) @ null
        one, other = (fitted.whitening.rebuild(each) for each in (scores, moved))
        assert np.abs(one - other).max() > 1e-3
        kept = fitted.represent(one), fitted.represent(other)
        assert np.allclose(*kept, atol=2e-3 * np.abs(kept[0]).max())


def test_projection_keeps_the_labels_and_little_else() -> None:
    public, private = make_records(200, seed=1), make_records(200, seed=2)
    fitted = TaskProjection(components=40).fit(public, GENERATOR)
    vectors = fitted.represent(private.array)
    assert vectors.shape == (400, 2)
    model = LogisticCodes.fit(vectors[:200], private.labels[:200], rooted=False, components=2)
    scores = model.decision(vectors[200:])
    for column in range(2):
        assert roc_auc(private.labels[200:, column], scores[:, column]) > 0.85


def test_a_decoded_projection_has_the_shape_and_rank_of_its_directions() -> None:
    public = make_records(100, seed=1)
    fitted = TaskProjection(components=30, decoded=True).fit(public, GENERATOR)
    codes = fitted.represent(public.array)
    assert codes.shape == public.array.shape
    scores = fitted.whitening.scores(codes)
    assert np.linalg.matrix_rank(scores, tol=1e-2 * np.linalg.norm(scores)) <= 2


def test_more_directions_keep_more() -> None:
    public = make_records(100, seed=1)
    few = TaskProjection(2, components=30).fit(public, GENERATOR)
    many = TaskProjection(6, components=30).fit(public, GENERATOR)
    assert many.represent(public.array).shape == (200, 6)
    assert "6 numbers" in many.guarantee
    target = label_matrix(public.labels)
    errors = []
    for fitted in (few, many):
        vectors = fitted.represent(public.array).astype(np.float64)
        left = target - vectors @ np.linalg.lstsq(vectors, target, rcond=None)[0]
        errors.append(float((left**2).sum()))
    assert errors[1] < errors[0]
    with pytest.raises(MechanismError, match="have only"):
        TaskProjection(31, components=30).fit(public, GENERATOR)


def test_simpls_with_one_label_and_all_directions_is_least_squares() -> None:
    records = make_records(60, labels=1, seed=4)
    scores = Whitening.fit(records.array, 8).scores(records.array)
    scores = scores * np.arange(1, 9)  # not white, so that there are several directions
    found = scores @ task_directions(scores, records.labels, 8)
    target = label_matrix(records.labels)[:, 0]
    by_pls = found @ np.linalg.lstsq(found, target, rcond=None)[0]
    by_hand = scores @ np.linalg.lstsq(scores, target, rcond=None)[0]
    assert np.allclose(by_pls, by_hand, atol=1e-6)
    # latent variables are uncorrelated
    gram = found.T @ found
    assert np.allclose(gram, np.diag(np.diag(gram)), atol=1e-6 * np.abs(gram).max())


def test_removed_directions_are_gone() -> None:
    public, private = make_records(100, seed=1), make_records(100, seed=2)
    fitted = IdentitySuppression(5, 20).fit(public, GENERATOR)
    scores = fitted.whitening.scores(private.array)
    shift = np.random.default_rng(3).normal(size=(len(scores), 5)) @ fitted.removed.T
    one = fitted.whitening.rebuild(scores)
    other = fitted.whitening.rebuild(scores + 0.1 * shift)
    assert np.allclose(fitted.represent(one), fitted.represent(other), atol=2e-3)
    assert not np.allclose(one, other, atol=1e-2)


def test_identity_is_found_where_it_was_put_and_labels_are_spared() -> None:
    generator = np.random.default_rng(0)
    owner = np.repeat(np.arange(300), 2)
    scores = generator.normal(size=(600, 6))
    scores[:, 2] = generator.normal(size=300)[owner] + generator.normal(0, 0.1, 600)
    none = np.zeros((6, 0))
    found = identity_directions(scores, owner.astype(np.str_), 1, none)
    assert abs(found[2, 0]) > 0.99
    protected = np.eye(6)[:, [2]]
    spared = identity_directions(scores, owner.astype(np.str_), 3, protected)
    assert np.allclose(protected.T @ spared, 0, atol=1e-12)
    assert np.allclose(spared.T @ spared, np.eye(3), atol=1e-12)


def test_suppression_links_less_and_keeps_labels() -> None:
    public, private = make_records(150, seed=1), make_records(150, seed=2)

    def nearest_is_own(array: np.ndarray) -> float:
        scores = Whitening.fit(array, 20).scores(array)
        distances = ((scores[:, None] - scores[None]) ** 2).sum(axis=2)
        np.fill_diagonal(distances, np.inf)
        owners = private.patients
        return float((owners[distances.argmin(axis=1)] == owners).mean())

    fitted = IdentitySuppression(12, 20).fit(public, GENERATOR)
    released = fitted.represent(private.array)
    assert nearest_is_own(released) < 0.5 * nearest_is_own(private.array)
    model = LogisticCodes.fit(released[:150], private.labels[:150])
    assert roc_auc(private.labels[150:, 0], model.decision(released[150:])[:, 0]) > 0.8


def test_no_record_at_all_gives_none() -> None:
    codes = np.random.default_rng(0).random((30, 1, 4, 2, 2)).astype(np.float32)
    whitening = Whitening.fit(codes, 8)
    scores = whitening.scores(codes[:0])
    assert scores.shape == (0, 8)
    assert whitening.rebuild(scores).shape == (0, 1, 4, 2, 2)


def test_whitening_is_white_and_turns_back() -> None:
    records = make_records(100)
    whitening = Whitening.fit(records.array, 200)
    scores = whitening.scores(records.array)
    assert np.allclose(scores.T @ scores / len(scores), np.eye(scores.shape[1]), atol=1e-6)
    assert np.allclose(whitening.rebuild(scores), records.array, atol=1e-5)
    few = Whitening.fit(records.array[:20], 100)  # fewer records than numbers
    assert few.scores(records.array).shape[1] <= 19
    assert np.allclose(few.rebuild(few.scores(records.array[:20])), records.array[:20], atol=1e-5)


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda: IdentitySuppression(20, 20), "1 to 19"),
        (lambda: TaskProjection(0), "1 or more"),
        (lambda: IdentitySuppression(2, 9).fit(make_records(images=1), GENERATOR), "two images"),
        (
            lambda: TaskProjection().fit(make_records().select([0, 1]), GENERATOR),
            "a positive and a negative",
        ),
        (lambda: Whitening.fit(np.ones((4, 3), np.float32), 2), "all records are equal"),
        (lambda: Whitening.fit(np.ones((1, 3), np.float32), 2), "2 records"),
        (
            lambda: (
                TaskProjection()
                .fit(make_records(), GENERATOR)
                .represent(np.ones((2, 3), np.float32))
            ),
            "same spec and channels",
        ),
    ],
)
def test_what_does_not_fit_is_named(act: object, reason: str) -> None:
    with pytest.raises(MechanismError, match=reason):
        act()  # type: ignore[operator]


def test_unknown_labels_count_for_nothing() -> None:
    records = make_records(100, seed=1)
    labels = records.labels.copy()
    labels[:40] = np.nan
    some = Records.of(records.array, labels, records.patients)
    fitted = TaskProjection(components=20).fit(some, GENERATOR)
    vectors = fitted.represent(records.array)
    assert roc_auc(records.labels[:40, 0], np.abs(vectors[:40, 0])) >= 0
    assert np.isfinite(vectors).all()
