"""Gradients are right, exist where numbers are flat, and can teach filters."""

from __future__ import annotations

import copy
from typing import Any

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (extra: torch)")

import torch

from deepfixcx import CodecSpec
from deepfixcx.errors import SpecError
from deepfixcx.spec import POOLINGS
from deepfixcx.torch import Decode, Encode, Privatize
from deepfixcx.torch.functional import decode, encode


def doubles(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64).requires_grad_()


SETTINGS: list[dict[str, Any]] = [
    {"level": 1, "patches": (2, 3)},
    {"level": 2, "patches": 2, "grid": "padded"},
    {"level": 1, "patches": 2, "wavelet": "db2", "boundary": "periodic"},
    {"level": 1, "patches": 2, "wavelet": "bior2.2", "grid": "padded"},
]


@pytest.mark.parametrize("pooling", [*POOLINGS, ("l1", "max")])
@pytest.mark.parametrize("settings", SETTINGS)
def test_encode_gradcheck(settings: dict[str, Any], pooling: Any) -> None:
    module = Encode(**settings, pooling=pooling)
    pixels = (doubles(1, 1, 7, 6) - 0.4).detach().requires_grad_()
    assert torch.autograd.gradcheck(module, (pixels,))


@pytest.mark.parametrize("size", ["compact", (7, 6)])
@pytest.mark.parametrize("pooling", ["l1", "l2"])
@pytest.mark.parametrize("settings", SETTINGS)
def test_decode_gradcheck(settings: dict[str, Any], pooling: str, size: Any) -> None:
    module = Decode(**settings, pooling=pooling, size=size)
    code = doubles(1, *module.spec.code_shape(1))
    assert torch.autograd.gradcheck(module, (code,))


@pytest.mark.parametrize("adaptive", ["filters1d", "filters2d"])
@pytest.mark.parametrize("boundary", ["zero", "periodic"])
def test_filters_gradcheck(adaptive: Any, boundary: Any) -> None:
    module = Privatize(1, 2, "db2", "sum", boundary, size="original", adaptive=adaptive).double()
    pixels = doubles(1, 1, 7, 6)

    def run(analysis: torch.Tensor, synthesis: torch.Tensor) -> torch.Tensor:
        filters = {"encode.filters": analysis, "decode.filters": synthesis}
        result: torch.Tensor = torch.func.functional_call(module, filters, (pixels,))
        return result

    assert torch.autograd.gradcheck(run, list(module.parameters()))


@pytest.mark.parametrize("pooling", ["l1", "l2", "max", "sum_pos"])
def test_flat_images_have_gradients_too(pooling: str) -> None:
    pixels = torch.full((1, 1, 16, 16), 0.5, requires_grad=True)
    Privatize(2, 2, pooling=pooling, size="original")(pixels).square().sum().backward()
    assert pixels.grad is not None
    assert pixels.grad.isfinite().all()
    assert pixels.grad.abs().sum() > 0


def test_forward_gradients_are_not_lost() -> None:
    pixels, spec = doubles(1, 1, 12, 12).detach().float(), CodecSpec(2, 2)
    direction = torch.ones_like(pixels)
    with torch.autograd.forward_ad.dual_level():
        forward: Any = torch.autograd.forward_ad
        code = encode(forward.make_dual(pixels, direction), spec)
        tangent = forward.unpack_dual(code).tangent
    assert tangent is not None
    step = encode(pixels + 0.01 * direction, spec) - encode(pixels, spec)
    torch.testing.assert_close(tangent * 0.01, step, rtol=0, atol=1e-5)


# torch's own forward gradients script code on first use, and that is deprecated
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")


@pytest.mark.parametrize("adaptive", ["filters1d", "filters2d"])
@pytest.mark.parametrize("wavelet", ["haar", "db2", "bior2.2"])
@pytest.mark.parametrize("boundary", ["zero", "periodic"])
def test_filters_begin_as_the_wavelet(wavelet: str, adaptive: Any, boundary: Any) -> None:
    settings: dict[str, Any] = {"wavelet": wavelet, "boundary": boundary}
    pixels = doubles(2, 3, 19, 14).detach()
    for size in ("compact", "original"):
        fixed = Privatize(2, 3, **settings, size=size)
        learned = Privatize(2, 3, **settings, size=size, adaptive=adaptive)
        torch.testing.assert_close(learned(pixels), fixed(pixels), rtol=0, atol=1e-6)
    length = {"haar": 2, "db2": 4, "bior2.2": 6}[wavelet]
    shape = (2, length) if adaptive == "filters1d" else (4, length, length)
    assert [tuple(p.shape) for p in learned.parameters()] == [shape, shape]
    assert not list(fixed.parameters())
    assert not fixed.state_dict()


@pytest.mark.parametrize("adaptive", ["filters1d", "filters2d"])
def test_filters_learn(adaptive: Any) -> None:
    """Filters that were disturbed find a code like the undisturbed one again."""
    torch.manual_seed(0)
    pixels, target = torch.rand(8, 1, 16, 16), Encode(1, 4, "db2")
    module = Encode(1, 4, "db2", adaptive=adaptive)
    assert module.filters is not None
    before = module.filters.detach().clone()
    with torch.no_grad():
        module.filters.add_(0.05 * torch.randn_like(module.filters))
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = (module(pixels) - target(pixels)).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 * losses[0]
    assert not torch.equal(module.filters, before)


def test_filters_change_the_code_whatever_is_asked_of_gradients() -> None:
    """Learned filters are used in evaluation too, where the fixed ones would take a kernel."""
    module = Encode(1, 2, adaptive="filters1d")
    pixels = torch.rand(1, 1, 8, 8)
    with torch.no_grad():
        before = module(pixels)
        assert module.filters is not None
        module.filters.mul_(2)
        torch.testing.assert_close(module(pixels), 4 * before)


def test_state_and_copies() -> None:
    module = Privatize(2, 3, "db2", adaptive="filters1d")
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1)
    other = Privatize(2, 3, "db2", adaptive="filters1d")
    other.load_state_dict(module.state_dict(), strict=True)
    pixels = torch.rand(1, 1, 20, 20)
    assert torch.equal(other(pixels), module(pixels))
    assert torch.equal(copy.deepcopy(module)(pixels), module(pixels))


def test_unknown_filters() -> None:
    with pytest.raises(SpecError, match="filters3d"):
        Encode(1, 2, adaptive="filters3d")  # type: ignore[arg-type]


def test_second_gradients() -> None:
    code = doubles(1, 1, 4, 2, 2)
    spec = CodecSpec(1, 2, pooling="l2")
    assert torch.autograd.gradgradcheck(lambda c: decode(c, spec), (code,))
