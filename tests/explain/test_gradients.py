"""Integrated gradients, DeepLift and gradient SHAP: complete, right, and as Captum has them."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepfixcx import Code, Codec, CodecSpec
from deepfixcx.errors import ExplanationError
from deepfixcx.explain import gradients
from deepfixcx.explain.attribution import Attribution
from deepfixcx.explain.deeplift import deep_lift
from deepfixcx.explain.gradients import gradient_shap, integrated_gradients
from deepfixcx.explain.methods import occlusion
from deepfixcx.explain.models import as_explainable, mean_code, without_details, zeros
from deepfixcx.learn.logistic import LogisticCodes
from deepfixcx.learn.networks import CodeMLP, ImageNetwork
from tests.learn.own import Small

SPEC = CodecSpec(2, 4)

Method = Callable[[object, Code, NDArray[np.float32]], Attribution]
METHODS: list[Method] = [integrated_gradients, deep_lift]
BASELINES: list[Callable[[Code], NDArray[np.float32]]] = [mean_code, without_details, zeros]


@pytest.fixture(scope="module")
def code() -> Code:
    generator = np.random.default_rng(0)
    images = generator.random((24, 1, 40, 40), np.float32)
    images[:12, :, :10, :10] = 0  # numbers of a code that are zero
    return Codec(SPEC).encode(images * generator.random((24, 1, 1, 1), np.float32))


def fitted_mlp(code: Code, hidden: tuple[int, ...] = (16, 8)) -> CodeMLP:
    torch.manual_seed(0)
    mlp = CodeMLP(SPEC.code_shape(code.channels), 2, hidden)
    mlp.fit_normalization(torch.from_numpy(code.array))
    return mlp.eval()


def fitted_logistic(code: Code, *, rooted: bool = True) -> LogisticCodes:
    labels = code.array[:, 0, 3, 2, 1] > np.median(code.array[:, 0, 3, 2, 1])
    return LogisticCodes.fit(code.embedding(), labels, components=10, rooted=rooted)


def plain(activation: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(256, 12), activation, nn.Linear(12, 3)).eval()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("kind", ["mlp", "logistic", "not rooted", "tanh"])
def test_values_sum_to_the_change_of_the_output(
    code: Code, method: Method, baseline: Callable[[Code], NDArray[np.float32]], kind: str
) -> None:
    models: dict[str, object] = {
        "mlp": fitted_mlp(code),
        "logistic": fitted_logistic(code),
        "not rooted": fitted_logistic(code, rooted=False),
        "tanh": plain(nn.Tanh()),
    }
    why = method(models[kind], code, baseline(code))
    assert (why.completeness_error <= 0.01).all()
    assert np.abs(why.values).sum() > 0.1


@pytest.mark.parametrize("baseline", BASELINES)
def test_deeplift_does_not_mind_kinks(
    code: Code, baseline: Callable[[Code], NDArray[np.float32]]
) -> None:
    why = deep_lift(plain(nn.ReLU(inplace=True)), code, baseline(code))
    assert (why.completeness_error <= 0.01).all()


def test_outputs_are_those_of_the_model(code: Code) -> None:
    model = fitted_logistic(code)
    why = integrated_gradients(model, code, zeros(code))
    assert why.outputs == pytest.approx(model.decision(code.embedding())[:, 0], abs=1e-3)
    assert why.unit == "log odds"


@pytest.mark.parametrize("method", METHODS)
def test_an_additive_model_has_one_right_answer(code: Code, method: Method) -> None:
    """Logistic regression adds up what each number contributes, so every method must find it."""
    model = fitted_logistic(code)
    weights = (model.projection @ model.weights)[:, 0].reshape(code.array.shape[1:])
    baseline = mean_code(code)
    right = weights * (np.sqrt(code.array) - np.sqrt(baseline))
    assert method(model, code, baseline).values == pytest.approx(right, abs=2e-4)
    assert occlusion(model, code[:3], baseline).values == pytest.approx(right[:3], abs=1e-3)


def test_gradient_shap_averages_over_the_reference(code: Code) -> None:
    model = plain(nn.Identity())
    weights = model.get_parameter("3.weight")[0] @ model.get_parameter("1.weight")
    right = weights.detach().numpy().reshape(code.array.shape[1:]) * (
        code.array - code.array.mean(axis=0)
    )
    few, many = (gradient_shap(model, code, code, samples=n).values - right for n in (5, 2000))
    assert np.abs(many).mean() < np.abs(few).mean() / 5
    why = gradient_shap(fitted_mlp(code), code, code, samples=400)
    change = np.abs(why.outputs - why.baseline_outputs)
    assert np.median(why.completeness_error[change > np.median(change)]) < 0.1


def test_gradient_shap_depends_on_the_seed_alone(code: Code) -> None:
    model = fitted_mlp(code)
    torch.manual_seed(5)
    one = gradient_shap(model, code, code, samples=5, seed=3)
    torch.manual_seed(6)
    assert np.array_equal(one.values, gradient_shap(model, code, code, samples=5, seed=3).values)
    assert not np.array_equal(one.values, gradient_shap(model, code, code, samples=5).values)


def test_steps_that_are_dense_at_the_ends_are_needed_for_roots(code: Code) -> None:
    twin = as_explainable(fitted_logistic(code)).differentiable("test")
    codes, middle = torch.from_numpy(code.array), (np.arange(50) + 0.5) / 50
    mean = torch.zeros_like(codes)
    for share in middle:  # 50 equal steps
        line = (codes * share).requires_grad_(True)
        mean += torch.autograd.grad(twin(line).sum(), line)[0] / 50
    sums = (mean * codes).flatten(1).sum(1).detach().numpy()
    why = integrated_gradients(twin, code, zeros(code), steps=50)
    change = why.outputs - why.baseline_outputs
    ours = np.median(why.completeness_error)
    assert ours * 50 < np.median(np.abs(sums - change) / np.abs(change))


def test_kinks_need_more_steps(code: Code) -> None:
    model, baseline = plain(nn.ReLU()), without_details(code)
    errors = [
        np.median(integrated_gradients(model, code, baseline, steps=steps).completeness_error)
        for steps in (3, 30, 300)
    ]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 0.01


def test_parts_of_a_batch_change_nothing(code: Code, monkeypatch: pytest.MonkeyPatch) -> None:
    model = fitted_mlp(code)
    reference = [integrated_gradients(model, code, without_details(code)).values]
    reference.append(gradient_shap(model, code, code, samples=7).values)
    monkeypatch.setattr(gradients, "NUMBERS_AT_ONCE", 5 * 50 * 256)
    again = [integrated_gradients(model, code, without_details(code)).values]
    again.append(gradient_shap(model, code, code, samples=7).values)
    for one, other in zip(reference, again, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def captum_values(name: str, model: nn.Module, code: Code, baseline: Tensor) -> NDArray[np.float32]:
    attr = pytest.importorskip("captum.attr", reason="Captum is not installed")
    codes = torch.from_numpy(code.array)
    with warnings.catch_warnings():  # it warns of the hooks that it sets
        warnings.simplefilter("ignore")
        if name == "IntegratedGradients":
            made = attr.IntegratedGradients(model).attribute(codes, baseline, 0, n_steps=400)
        else:
            made = attr.DeepLift(model).attribute(codes, baseline, 0)
    values: NDArray[np.float32] = made.detach().numpy().astype(np.float32)
    return values


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.ELU, nn.Sigmoid, nn.Softplus])
def test_deeplift_is_that_of_captum(code: Code, activation: type[nn.Module]) -> None:
    model = plain(activation())
    theirs = captum_values("DeepLift", model, code, torch.from_numpy(zeros(code)))
    assert deep_lift(model, code, zeros(code)).values == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ELU, nn.CELU])
def test_integrated_gradients_are_those_of_captum(code: Code, activation: type[nn.Module]) -> None:
    model = plain(activation())
    theirs = captum_values("IntegratedGradients", model, code, torch.from_numpy(zeros(code)))
    assert integrated_gradients(model, code, zeros(code)).values == pytest.approx(theirs, abs=1e-3)


def test_captum_is_not_complete_on_our_models(code: Code) -> None:
    """Why DeepLift is written here: plain functions and CELU are no modules that Captum knows."""
    model = fitted_mlp(code)
    baseline = mean_code(code)
    theirs = captum_values(
        "DeepLift", model, code, torch.from_numpy(baseline).repeat(24, 1, 1, 1, 1)
    )
    ours = deep_lift(model, code, baseline)
    sums = theirs.reshape(24, -1).sum(axis=1)
    change = ours.outputs - ours.baseline_outputs
    assert np.median(np.abs(sums - change) / np.abs(change)) > 0.05
    assert ours.completeness_error.max() < 0.01


def test_other_outputs(code: Code) -> None:
    model = fitted_mlp(code)
    logits = model(torch.from_numpy(code.array)).detach().numpy()
    for method in METHODS:
        why = [method(model, code, zeros(code), target) for target in (0, 1)]  # type: ignore[call-arg]
        for target in (0, 1):
            assert why[target].outputs == pytest.approx(logits[:, target], abs=1e-5)
        assert not np.allclose(why[0].values, why[1].values)


def test_networks_on_images_are_explained_through_the_codec(code: Code) -> None:
    torch.manual_seed(0)
    network = ImageNetwork(Small(1, 1), 1, SPEC).eval()
    why = integrated_gradients(network, code[:3], without_details(code[:3]), steps=100)
    assert np.abs(why.values).sum() > 0
    assert np.median(why.completeness_error) < 0.05


def test_a_model_is_as_it_was(code: Code) -> None:
    model = fitted_mlp(code).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for method in METHODS:
        method(model, code, zeros(code))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(each.requires_grad and each.grad is None for each in model.parameters())


def test_errors(code: Code) -> None:
    model = fitted_mlp(code)
    with pytest.raises(ExplanationError, match="a baseline of codes"):
        integrated_gradients(model, code, np.zeros((1, 3)))
    with pytest.raises(ExplanationError, match="one baseline or as many"):
        deep_lift(model, code, code.array[:3])
    with pytest.raises(ExplanationError, match="one step or more"):
        integrated_gradients(model, code, zeros(code), steps=0)
    with pytest.raises(ExplanationError, match="two or more codes"):
        gradient_shap(model, code, code[:1])
    with pytest.raises(ExplanationError, match="one sample or more"):
        gradient_shap(model, code, code, samples=0)
    for target in (2, -1, "pneumonia"):
        with pytest.raises(ExplanationError):
            integrated_gradients(model, code, zeros(code), target)
    with pytest.raises(ExplanationError, match="no gradient with respect to codes"):
        integrated_gradients(Blind(), code, zeros(code))
    with pytest.raises(ExplanationError, match="needs gradients"):
        deep_lift(lambda codes: codes[:, 0, 0, 0], code, zeros(code))
    with pytest.raises(ExplanationError, match="nothing to explain"):
        integrated_gradients(model, code[:0], zeros(code))


class Blind(nn.Module):
    """It returns logits that do not depend on the codes."""

    def forward(self, codes: Tensor) -> Tensor:
        return torch.zeros(len(codes), 2)
