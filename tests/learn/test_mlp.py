"""`CodeMLP`: normalization, attention and its penalty."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from deepfixcx import CodecSpec
from deepfixcx.errors import ModelError
from deepfixcx.learn.fitting import fit
from deepfixcx.learn.networks import CodeMLP
from deepfixcx.learn.options import TrainingOptions

SHAPE = (1, 16, 2, 2)
PLACE = (0, 5, 1, 0)
"""The only number of a code that says anything in `codes_with_labels`."""


def codes_with_labels(images: int = 200, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = np.random.default_rng(seed)
    codes = generator.gamma(2, 0.01, (images, *SHAPE)).astype(np.float32)
    codes[:, 0, 0] += 3  # an approximation that is large and says nothing
    labels = np.arange(images) % 2
    codes[(slice(None), *PLACE)] *= 1 + 3 * labels
    return torch.from_numpy(codes), torch.from_numpy(labels[:, None].astype(np.float32))


def trained(l1: float) -> CodeMLP:
    codes, labels = codes_with_labels()
    torch.manual_seed(0)
    mlp = CodeMLP(SHAPE, labels=1, l1=l1)
    mlp.fit_normalization(codes)
    options = TrainingOptions(
        spec=CodecSpec(2, 2), l1=l1, epochs=40, patience=40, learning_rate=5e-3
    )
    fit(mlp, codes, labels, np.arange(200), np.zeros(0, np.int64), options)  # all the epochs
    return mlp


def test_attention_finds_the_number_that_matters() -> None:
    attention = trained(l1=1e-2).attention().detach()
    assert tuple(attention.shape) == SHAPE
    assert (attention >= 0).all()
    assert int(attention.argmax()) == np.ravel_multi_index(PLACE, SHAPE)
    others = attention.flatten().sort().values[:-1]
    assert attention[PLACE] > 3 * others.max()


def test_held_weights_give_the_same_answers_until_released() -> None:
    torch.manual_seed(0)
    mlp, codes = CodeMLP(SHAPE, labels=2).eval(), torch.rand(6, *SHAPE)
    mlp.fit_normalization(codes)
    before, kept = mlp(codes).detach(), set(mlp.state_dict())
    mlp.hold(True)
    assert torch.allclose(mlp(codes), before, atol=1e-5)
    assert set(mlp.state_dict()) == kept
    with torch.no_grad():
        mlp.strength.mul_(2)
    assert torch.allclose(mlp(codes), before, atol=1e-5)  # of the weights as they were
    mlp.hold(False)
    assert not torch.allclose(mlp(codes), before, atol=1e-2)


def test_penalty_makes_attention_sparse() -> None:
    shares = []
    for l1 in (0.0, 1e-2):
        attention = trained(l1).attention().detach()
        shares.append(float(attention[PLACE] / attention.sum()))
    assert shares[1] > 1.5 * shares[0]


def test_penalty_is_the_sum_of_the_attention() -> None:
    mlp = CodeMLP(SHAPE, labels=2, l1=0.25)
    assert mlp.penalty().item() == pytest.approx(0.25 * mlp.attention().sum().item())
    torch.autograd.backward(mlp.penalty())
    assert mlp.strength.grad is not None
    assert (mlp.strength.grad == 0.25).all()


def test_larger_directions_change_nothing() -> None:
    """The attention alone says how strongly a number enters."""
    codes, _ = codes_with_labels(8)
    mlp = CodeMLP(SHAPE, labels=2).eval()
    before = mlp(codes)
    with torch.no_grad():
        mlp.directions.mul_(7)
        assert torch.allclose(mlp(codes), before, atol=1e-5)
        mlp.strength[PLACE].mul_(7)
        assert not torch.allclose(mlp(codes), before, atol=1e-3)


def test_a_number_without_attention_does_not_enter() -> None:
    codes, _ = codes_with_labels(8)
    mlp = CodeMLP(SHAPE, labels=2).eval()
    with torch.no_grad():
        mlp.strength[PLACE] = 0
    changed = codes.clone()
    changed[(slice(None), *PLACE)] = 100
    assert torch.equal(mlp(codes), mlp(changed))


def entering(mlp: CodeMLP, codes: Tensor) -> Tensor:
    """Return what enters the first layer where every attention is 1: normalized numbers."""
    n = math.prod(mlp.code_shape)
    probe = CodeMLP(mlp.code_shape, labels=n, hidden=(n,), dropout=0)
    probe.load_state_dict(
        {**probe.state_dict(), "size": mlp.size, "mean": mlp.mean, "deviation": mlp.deviation}
    )
    with torch.no_grad():
        probe.strength.fill_(1)
        probe.directions.copy_(torch.eye(n))
        probe.layers = torch.nn.Sequential()
        entered: Tensor = probe(codes)
    return entered


@given(scale=st.floats(1e-4, 1e4), seed=st.integers(0, 100))
def test_normalized_numbers_have_mean_0_and_variance_1(scale: float, seed: int) -> None:
    """Whatever the scale of a band, and with values of both signs."""
    generator = np.random.default_rng(seed)
    codes = torch.from_numpy(generator.normal(0.3, 1, (50, 1, 4, 2, 2)).astype(np.float32) * scale)
    mlp = CodeMLP((1, 4, 2, 2), labels=1)
    mlp.fit_normalization(codes)
    normal = entering(mlp, codes)
    assert torch.allclose(normal.mean(0), torch.zeros(16), atol=1e-3)
    assert torch.allclose(normal.std(0, correction=0), torch.ones(16), atol=1e-3)
    # it is the same whatever the unit of the numbers
    other = CodeMLP((1, 4, 2, 2), labels=1)
    other.fit_normalization(codes * 8)
    assert torch.allclose(entering(other, codes * 8), normal, atol=1e-3)


def test_normalization_is_the_formula() -> None:
    codes, _ = codes_with_labels(20)
    mlp = CodeMLP(SHAPE, labels=1)
    mlp.fit_normalization(codes)
    values = codes.numpy().astype(np.float64)
    logarithms = np.sign(values) * np.log1p(np.abs(values) / (0.1 * np.abs(values).mean(0)))
    expected = (logarithms - logarithms.mean(0)) / logarithms.std(0)
    np.testing.assert_allclose(entering(mlp, codes), expected.reshape(20, -1), atol=1e-4)


def test_constant_numbers_become_zero() -> None:
    codes = torch.ones(5, *SHAPE)
    codes[:, :, 3] = 0
    mlp = CodeMLP(SHAPE, labels=1)
    mlp.fit_normalization(codes)
    assert torch.allclose(entering(mlp, codes), torch.zeros(5, 64), atol=1e-5)


def test_statistics_are_stored_and_not_learned() -> None:
    mlp = CodeMLP(SHAPE, labels=1)
    assert {"size", "mean", "deviation"} <= set(mlp.state_dict())
    assert not {"size", "mean", "deviation"} & {name for name, _ in mlp.named_parameters()}


def test_several_poolings() -> None:
    shape = CodecSpec(1, 2, pooling=("l1", "max")).code_shape(3)
    mlp = CodeMLP(shape, labels=4, hidden=(8, 6)).eval()
    codes = torch.rand(5, *shape)
    mlp.fit_normalization(codes)
    assert mlp(codes).shape == (5, 4)
    assert tuple(mlp.attention().shape) == shape == (3, 4, 2, 2, 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"code_shape": (16, 2, 2)}, "a code has shape"),
        ({"labels": 0}, "one label or more"),
        ({"hidden": ()}, "hidden layers"),
        ({"hidden": (8, 0)}, "hidden layers"),
        ({"dropout": 1.0}, "dropout"),
        ({"l1": -1.0}, "l1"),
        ({"l1": math.nan}, "l1"),
    ],
)
def test_arguments_out_of_range(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        CodeMLP(**{"code_shape": SHAPE, "labels": 1, **arguments})  # type: ignore[arg-type]


def test_codes_of_another_spec_are_refused() -> None:
    mlp = CodeMLP(SHAPE, labels=1)
    with pytest.raises(ModelError, match=r"\(B, 1, 16, 2, 2\), got \(3, 1, 64, 2, 2\)"):
        mlp(torch.ones(3, 1, 64, 2, 2))
    with pytest.raises(ModelError, match="two codes or more"):
        mlp.fit_normalization(torch.ones(1, *SHAPE))


def test_the_middle_is_where_normalized_numbers_are_zero() -> None:
    codes = torch.rand(50, 1, 4, 2, 2) * torch.tensor([100.0, 1, 0.1, 0])[:, None, None]
    model = CodeMLP((1, 4, 2, 2), labels=1)
    model.fit_normalization(codes)
    middle = model.middle()
    assert middle.shape == (1, 4, 2, 2)
    normal = (model._logarithms(middle[None]) - model.mean) / model.deviation
    assert torch.allclose(normal, torch.zeros_like(normal), atol=1e-4)
    assert bool((codes.amin(0) <= middle).all() and (middle <= codes.amax(0)).all())
