"""Whitened components and logistic regression, as scikit-learn would do it, and as arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deepfixcx.errors import LabelError, ModelError, ModelFileError
from deepfixcx.learn.logistic import LogisticCodes
from deepfixcx.measures import roc_auc
from deepfixcx.measures.code_range import signed_root

Array = NDArray[np.float32]


def codes(images: int, seed: int = 0) -> tuple[Array, NDArray[np.float64]]:
    """Codes whose third band is larger where the first label is yes."""
    generator = np.random.default_rng(seed)
    labels = (generator.random((images, 2)) < 0.5).astype(float)
    values = generator.gamma(2, 1, (images, 1, 16, 3, 3)).astype(np.float32)
    values[:, 0, 2] *= 1 + labels[:, :1, None].astype(np.float32)
    values[:, 0, 5] *= 1 + labels[:, 1:, None].astype(np.float32)
    values *= np.logspace(-3, 2, 16, dtype=np.float32)[:, None, None]
    return values, labels


@pytest.mark.parametrize("rooted", [True, False])
def test_it_is_what_scikit_learn_makes(rooted: bool) -> None:
    values, labels = codes(200)
    model = LogisticCodes.fit(values, labels[:, 0], rooted=rooted, components=20)
    flat = values.reshape(200, -1)
    reference = make_pipeline(
        StandardScaler(),
        PCA(20, whiten=True, random_state=0),
        LogisticRegression(C=0.1, max_iter=1000),
    ).fit(np.sqrt(flat) if rooted else flat, labels[:, 0])
    expected = reference.predict_proba(np.sqrt(flat) if rooted else flat)[:, 1]
    assert np.allclose(model.predict_proba(values)[:, 0], expected, atol=1e-3)


def test_it_learns_each_label_for_itself() -> None:
    values, labels = codes(400)
    new, truth = codes(200, seed=1)
    scores = LogisticCodes.fit(values, labels).decision(new)
    assert scores.shape == (200, 2)
    for own in (0, 1):
        assert roc_auc(truth[:, own], scores[:, own]) > 0.85
        assert roc_auc(truth[:, own], scores[:, 1 - own]) < 0.65


def test_roots_matter_where_numbers_span_orders_of_magnitude() -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(400) % 2
    values = np.exp(generator.normal(0, 2, (400, 8))).astype(np.float32)
    values *= np.exp(0.5 * labels)[:, None].astype(np.float32)
    areas = [
        roc_auc(
            labels[200:],
            LogisticCodes.fit(values[:200], labels[:200], rooted=rooted, components=8).decision(
                values[200:]
            )[:, 0],
        )
        for rooted in (False, True)
    ]
    assert areas[1] > areas[0] + 0.05
    assert np.allclose(signed_root(np.array([-4, 0, 9], np.float32)), [-2, 0, 3])


def test_unknown_labels_do_not_count() -> None:
    values, labels = codes(120)
    holes = labels[:, 0].copy()
    holes[60:] = math.nan
    wrong = labels[:, 0].copy()
    wrong[60:] = 1 - wrong[60:]
    first = LogisticCodes.fit(values, holes).decision(values)
    assert not np.allclose(first, LogisticCodes.fit(values, wrong).decision(values))
    both = LogisticCodes.fit(values, np.stack([holes, labels[:, 1]], 1)).decision(values)
    assert np.allclose(both[:, 0], first[:, 0], atol=1e-5)


def test_one_kind_of_label_gives_constant_scores() -> None:
    values, labels = codes(40)
    labels[:, 1] = 1
    scores = LogisticCodes.fit(values, labels).predict_proba(values)
    assert (scores[:, 1] == 0.5).all()
    assert scores[:, 0].std() > 0


def test_penalty_and_components_change_the_model() -> None:
    values, labels = codes(120)
    models = [
        LogisticCodes.fit(values, labels, penalty=1.0),
        LogisticCodes.fit(values, labels, penalty=1000.0),
        LogisticCodes.fit(values, labels, components=3),
    ]
    sizes = [float(np.abs(model.weights).sum()) for model in models]
    assert sizes[1] < 0.5 * sizes[0]
    assert models[0].projection.shape == (144, 10)  # one component for twelve images
    assert models[2].projection.shape == (144, 3)
    assert LogisticCodes.fit(values[:2], labels[:2]).projection.shape == (144, 1)


def test_constant_numbers_do_no_harm() -> None:
    values, labels = codes(60)
    values[:, :, 7:] = 0
    model = LogisticCodes.fit(values, labels, components=59)
    assert np.isfinite(model.decision(values)).all()


def test_it_is_stored_without_pickle() -> None:
    values, labels = codes(60)
    model = LogisticCodes.fit(values, labels)
    data = safetensors.numpy.save(model.to_arrays())
    again = LogisticCodes.from_arrays(safetensors.numpy.load(data))
    assert np.array_equal(again.predict_proba(values), model.predict_proba(values))
    assert again.rooted == model.rooted


def test_damaged_arrays_are_named() -> None:
    arrays = LogisticCodes.fit(*codes(60)).to_arrays()
    for change in (
        {"mean": np.zeros(3, np.float32)},
        {"weights": np.zeros((2, 2), np.float32)},
        {"bias": np.zeros(5, np.float32)},
        {"rooted": np.zeros(2)},
    ):
        with pytest.raises(ModelFileError):
            LogisticCodes.from_arrays({**arrays, **change})
    del arrays["projection"]
    with pytest.raises(ModelFileError):
        LogisticCodes.from_arrays(arrays)


def test_what_cannot_be_learned_is_named() -> None:
    values, labels = codes(30)
    for bad in (labels[:20], labels[:1, :1], labels * 2):
        with pytest.raises(LabelError):
            LogisticCodes.fit(values, bad)
    with pytest.raises(LabelError, match="two or more"):
        LogisticCodes.fit(values[:1], labels[:1])
    with pytest.raises(ModelError, match="144 numbers"):
        LogisticCodes.fit(values, labels).decision(values[:, :, :4])


def test_the_same_seed_gives_the_same_model() -> None:
    values, labels = codes(100)
    first, second = (LogisticCodes.fit(values, labels, seed=4) for _ in range(2))
    assert np.array_equal(first.projection, second.projection)
