"""Deletion and insertion follow what matters; explanations change when the model does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from deepfixcx import Code, Codec, CodecSpec
from deepfixcx.errors import ExplanationError
from deepfixcx.explain.attribution import Attribution
from deepfixcx.explain.deeplift import deep_lift
from deepfixcx.explain.faithfulness import (
    deletion_insertion,
    label_randomization,
    map_correlation,
    model_randomization,
)
from deepfixcx.explain.gradients import integrated_gradients
from deepfixcx.explain.methods import occlusion
from deepfixcx.explain.models import mean_code, zeros
from deepfixcx.learn.logistic import LogisticCodes
from deepfixcx.learn.networks import CodeMLP

SPEC = CodecSpec(2, 4)


@pytest.fixture(scope="module")
def code() -> Code:
    generator = np.random.default_rng(0)
    images = generator.random((120, 1, 32, 32), np.float32)
    images[::2, :, :8, 8:16] *= 0.3  # what labels are about
    return Codec(SPEC).encode(images)


@pytest.fixture(scope="module")
def model(code: Code) -> LogisticCodes:
    return LogisticCodes.fit(code.embedding(), labels_of(code))


def labels_of(code: Code) -> NDArray[np.float64]:
    return (np.arange(len(code)) % 2).astype(np.float64)


@pytest.mark.parametrize("by", ["cell", "band", "number"])
def test_curves_begin_and_end_where_they_should(code: Code, model: LogisticCodes, by: Any) -> None:
    why = integrated_gradients(model, code, mean_code(code))
    curves = deletion_insertion(model, why, by=by, steps=10)
    assert (curves.shares[0], curves.shares[-1]) == (0, 1)
    assert curves.deletion.shape == (len(code), len(curves.shares))
    assert len(curves.shares) <= 11
    for one, first, last in (
        (curves.deletion, why.outputs, why.baseline_outputs),
        (curves.insertion, why.baseline_outputs, why.outputs),
    ):
        assert one[:, 0] == pytest.approx(first, abs=1e-3)
        assert one[:, -1] == pytest.approx(last, abs=1e-3)


def test_the_right_order_beats_a_shuffled_one(code: Code, model: LogisticCodes) -> None:
    why = integrated_gradients(model, code, mean_code(code))
    generator = np.random.default_rng(0)
    for by in ("cell", "band", "number"):
        ours = deletion_insertion(model, why, by=by)
        chance = deletion_insertion(model, why, by=by, shuffled=generator)
        assert (ours.deletion_area <= chance.deletion_area + 1e-3).mean() > 0.95
        assert (ours.insertion_area >= chance.insertion_area - 1e-3).mean() > 0.95
        turned = deletion_insertion(model, replace(why, values=-why.values), by=by)
        assert (turned.deletion_area > ours.deletion_area).mean() > 0.95


def test_curves_need_an_attribution_of_such_parts(code: Code, model: LogisticCodes) -> None:
    cells = occlusion(model, code[:2], zeros(code), by="cell")
    deletion_insertion(model, cells, by="cell")
    for by in ("band", "number"):
        with pytest.raises(ExplanationError, match="does not distinguish"):
            deletion_insertion(model, cells, by=by)
    with pytest.raises(ExplanationError, match="one step or more"):
        deletion_insertion(model, cells, steps=0)


Explain = Callable[[Any], Attribution]


@pytest.mark.parametrize("method", [integrated_gradients, deep_lift])
def test_maps_of_random_models_are_others(code: Code, method: Any) -> None:
    mlp = CodeMLP(SPEC.code_shape(1), 1, hidden=(32, 16))
    mlp.fit_normalization(torch.from_numpy(code.array))
    before = {name: value.clone() for name, value in mlp.state_dict().items()}
    checks = model_randomization(mlp, lambda model: method(model, code, mean_code(code)), seed=1)
    assert [check.what for check in checks] == [name for name, _ in mlp.named_parameters()][::-1]
    assert abs(checks[-1].correlation) < 0.15
    assert checks[0].correlation > 0.9  # the last bias changes no gradient
    assert all(torch.equal(before[name], value) for name, value in mlp.state_dict().items())
    again = model_randomization(mlp, lambda model: method(model, code, mean_code(code)), seed=1)
    assert again == checks
    other = model_randomization(mlp, lambda model: method(model, code, mean_code(code)), seed=2)
    assert other[-1] != checks[-1]


def test_maps_of_random_labels_are_others(code: Code) -> None:
    def fit(labels: NDArray[Any]) -> LogisticCodes:
        return LogisticCodes.fit(code.embedding(), labels)

    def explain(model: LogisticCodes) -> Attribution:
        return integrated_gradients(model, code, mean_code(code))

    check = label_randomization(fit, labels_of(code), explain)
    assert check.what == "labels"
    assert abs(check.correlation) < 0.2
    same = map_correlation(explain(fit(labels_of(code))), explain(fit(labels_of(code))))
    assert same == pytest.approx(1)


def test_a_map_that_does_not_look_at_the_model_fails_the_check(code: Code) -> None:
    """The check can fail: here the 'explanation' is the code itself, whatever the model."""

    def edges(_: object) -> Attribution:
        outputs = np.zeros(len(code), np.float32)
        return Attribution(
            code.array, code, zeros(code), outputs, outputs, "edges", 0, "yes", "output"
        )

    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(256, 1))
    assert model_randomization(module, edges)[-1].correlation == pytest.approx(1)
    assert model_randomization(module, edges)[-1].absolute == pytest.approx(1)


def test_correlation_is_that_of_ranks(code: Code) -> None:
    from scipy.stats import spearmanr

    generator = np.random.default_rng(3)
    why = integrated_gradients(
        LogisticCodes.fit(code.embedding(), labels_of(code)), code[:3], mean_code(code)
    )
    values = why.values.round(1) + generator.normal(0, 0.1, why.values.shape).round(1)
    other = replace(why, values=values.astype(np.float32))
    pairs = zip(why.values.reshape(3, -1), other.values.reshape(3, -1), strict=True)
    theirs = np.mean([spearmanr(one, two).statistic for one, two in pairs])
    assert map_correlation(why, other) == pytest.approx(theirs)
    monotone = replace(why, values=why.values**3)
    assert map_correlation(why, monotone) == pytest.approx(1)
    turned = replace(why, values=-why.values)
    assert map_correlation(why, turned) == pytest.approx(-1)
    assert map_correlation(why, turned, absolute=True) == pytest.approx(1)
    with pytest.raises(ExplanationError, match="same codes"):
        map_correlation(why, why[:2])
    with pytest.raises(ExplanationError, match="no parameters"):
        model_randomization(Free(), lambda _: why)


class Free(nn.Module):
    """A module without parameters."""

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        return codes.flatten(1)[:, :1]
