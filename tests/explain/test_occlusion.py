"""Occlusion of any model, models of many kinds, baselines, and methods by name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor, nn

from deepfixcx import Code, Codec, CodecSpec
from deepfixcx.errors import ExplanationError
from deepfixcx.explain import methods as module
from deepfixcx.explain import models
from deepfixcx.explain.methods import METHODS, explain_codes, occlusion, parts_of
from deepfixcx.explain.models import (
    as_explainable,
    baseline_codes,
    mean_code,
    without_details,
    zeros,
)
from deepfixcx.learn.logistic import LogisticCodes
from deepfixcx.learn.networks import CodeMLP
from deepfixcx.learn.options import TrainingOptions
from deepfixcx.learn.scorers import LogisticScorer, ModuleScorer

SPEC = CodecSpec(2, 3)

Floats = NDArray[np.float32]


@pytest.fixture(scope="module")
def code() -> Code:
    images = np.random.default_rng(0).random((30, 3, 24, 24), np.float32)
    return Codec(SPEC).encode(images)


def pair(codes: Floats) -> Floats:
    """Two numbers that work together: their product."""
    return codes[:, 0, 3, 1, 2] * codes[:, 1, 5, 0, 0]


@pytest.mark.parametrize("by", ["cell", "band", "number"])
def test_what_is_lost_is_counted_once_for_each_part(code: Code, by: Any) -> None:
    baseline = zeros(code)
    why = occlusion(pair, code, baseline, by=by)
    parts = parts_of(code, by)
    for image in (0, 7):
        for part in np.unique(parts):
            without = np.where(parts == part, baseline[0], code.array[image])
            lost = pair(code.array[image : image + 1]) - pair(without[np.newaxis])
            assert why.values[image][parts == part].sum() == pytest.approx(lost[0], abs=1e-5)
            assert np.ptp(why.values[image][parts == part]) == 0  # divided evenly


def test_parts_part_the_code(code: Code) -> None:
    assert np.bincount(parts_of(code, "cell").ravel()).tolist() == [3 * 16] * 9
    assert np.bincount(parts_of(code, "band").ravel()).tolist() == [3 * 9] * 16
    assert np.bincount(parts_of(code, "number").ravel()).tolist() == [3] * 144
    several = Codec(CodecSpec(1, 2, pooling=("l1", "max"))).encode(np.eye(8))
    assert np.bincount(parts_of(several, "number").ravel()).tolist() == [2] * 16
    with pytest.raises(ExplanationError, match="occlusion is by"):
        parts_of(code, "pixel")


def test_each_image_has_its_own_baseline(code: Code) -> None:
    others = np.roll(code.array, 1, axis=0)
    one = occlusion(pair, code, others).values
    for image in (0, 5):
        alone = occlusion(pair, code[image], others[image : image + 1]).values[0]
        assert np.array_equal(one[image], alone)
    assert not np.array_equal(one, occlusion(pair, code, others[:1]).values)


def test_runs_change_nothing(code: Code, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = occlusion(pair, code[:3], zeros(code)).values
    monkeypatch.setattr(module, "NUMBERS_AT_ONCE", 1000)
    monkeypatch.setattr(models, "NUMBERS_AT_ONCE", 1000)
    assert np.array_equal(occlusion(pair, code[:3], zeros(code)).values, whole)


# -- models -----------------------------------------------------------------------------------


def fitted(code: Code) -> tuple[LogisticCodes, CodeMLP]:
    labels = code.array[:, 0, 3, 2, 1] > np.median(code.array[:, 0, 3, 2, 1])
    torch.manual_seed(0)
    mlp = CodeMLP(SPEC.code_shape(3), 1).eval()
    mlp.fit_normalization(torch.from_numpy(code.array))
    return LogisticCodes.fit(code.embedding(), labels, components=8), mlp


def test_models_of_every_kind(code: Code) -> None:
    logistic, mlp = fitted(code)
    odds = logistic.decision(code.embedding())[:, 0]
    for known in (logistic, LogisticScorer(logistic)):
        explained = as_explainable(known)
        assert explained.outputs(code.array, 0) == pytest.approx(odds, abs=1e-4)
        assert explained.module is not None
    logits = mlp(torch.from_numpy(code.array)).detach().numpy()[:, 0]
    for model in (mlp, ModuleScorer(mlp)):
        assert as_explainable(model).outputs(code.array, 0) == pytest.approx(logits, abs=1e-5)
    forest = RandomForestClassifier(10, random_state=0).fit(code.embedding(), odds > 0)
    found = as_explainable(forest).outputs(code.array, 1)
    assert found == pytest.approx(forest.predict_proba(code.embedding())[:, 1])
    assert as_explainable(forest).unit == "output"
    explained = as_explainable(pair)
    assert as_explainable(explained) is explained
    for wrong in (3, "model", None):
        with pytest.raises(ExplanationError, match="a model must be"):
            as_explainable(wrong)


def classifier(code: Code, spec: CodecSpec | None = SPEC) -> SimpleNamespace:
    """What a Classifier has that explanations look at."""
    options = TrainingOptions("logistic", spec=SPEC)
    seen = SimpleNamespace(spec=spec) if spec is None else options
    return SimpleNamespace(
        options=seen, scorer=LogisticScorer(fitted(code)[0]), label_names=("edema",),
        range=None, facts={},
    )  # fmt: skip


def test_classifiers_know_labels_and_spec(code: Code) -> None:
    why = explain_codes(classifier(code), code, target="edema")
    assert why.label == "edema"
    assert why.top(1)[0].words.endswith("edema")
    with pytest.raises(ExplanationError, match="no label 'oedema'; there are edema"):
        explain_codes(classifier(code), code, target="oedema")
    with pytest.raises(ExplanationError, match="the outputs 0 to 0"):
        explain_codes(classifier(code), code, target=1)
    other = Codec(CodecSpec(1, 6)).encode(np.zeros((2, 3, 24, 24)))
    with pytest.raises(ExplanationError, match="takes codes of J=2 P=3"):
        explain_codes(classifier(code), other)
    with pytest.raises(ExplanationError, match="trained on original images"):
        explain_codes(classifier(code, None), code)


def test_models_that_return_something_else(code: Code) -> None:
    def three(codes: Floats) -> Floats:
        return codes[:, 0, 0]

    def one(_: Floats) -> Floats:
        return np.zeros((1, 1), np.float32)

    for wrong in (three, one):
        with pytest.raises(ExplanationError, match="return outputs"):
            occlusion(wrong, code, zeros(code))
    with pytest.raises(ExplanationError, match="has 1 outputs, got 4"):
        occlusion(pair, code, zeros(code), 4)


class Logits(nn.Module):
    """It returns logits without an axis of outputs."""

    def forward(self, codes: Tensor) -> Tensor:
        return codes.sum((1, 2, 3, 4))


def test_modules_return_an_axis_of_outputs(code: Code) -> None:
    with pytest.raises(ExplanationError, match="a module returns logits"):
        explain_codes(Logits(), code)


# -- baselines and methods --------------------------------------------------------------------


def test_baselines(code: Code) -> None:
    assert mean_code(code)[0] == pytest.approx(code.array.mean(axis=0), abs=1e-6)
    left = without_details(code)
    assert np.array_equal(left[:, :, 0], code.array[:, :, 0])
    assert not left[:, :, 1:].any()
    assert not zeros(code).any()
    with pytest.raises(ExplanationError, match="give more images"):
        mean_code(code[:1])


def test_the_mean_is_that_of_the_reference_then_of_the_model_then_of_the_codes(code: Code) -> None:
    known = as_explainable(fitted(code)[0])
    unknown = as_explainable(pair)
    reference = code[:5]
    for model in (known, unknown):
        assert np.array_equal(baseline_codes("mean", code, model, reference), mean_code(reference))
    middle = baseline_codes("mean", code[:1], known)  # a single image will do
    # what the model learned from has roots whose mean is that of the middle
    assert np.sqrt(middle[0]) == pytest.approx(np.sqrt(code.array).mean(axis=0), abs=1e-4)
    assert np.array_equal(baseline_codes("mean", code, unknown), mean_code(code))
    with pytest.raises(ExplanationError, match="there is no baseline"):
        baseline_codes("noise", code, unknown)


@pytest.mark.parametrize("method", METHODS)
def test_methods_by_name(code: Code, method: str) -> None:
    model = fitted(code)[1]
    why = explain_codes(model, code[:4], method=method)
    assert why.method.replace(" ", "-").lower().startswith(method[:8])
    assert np.abs(why.values).sum() > 0
    if method == "gradient-shap":
        with pytest.raises(ExplanationError, match="omit the baseline"):
            explain_codes(model, code[:4], method=method, baseline="zeros")
        return
    own = explain_codes(model, code[:4], method=method, baseline=zeros(code))
    named = explain_codes(model, code[:4], method=method, baseline="zeros")
    assert np.array_equal(own.values, named.values)
    assert not np.array_equal(own.values, why.values)


def test_no_such_method(code: Code) -> None:
    with pytest.raises(ExplanationError, match="there is no method 'lime'"):
        explain_codes(pair, code, method="lime")
