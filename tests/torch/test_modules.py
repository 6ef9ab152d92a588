"""The modules as torch users use them: shapes, dtypes, errors, copies, workers."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (extra: torch)")

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from deepfixcx import Codec, CodecSpec
from deepfixcx.errors import (
    CodeError,
    ImageTooSmallError,
    NonFiniteError,
    PixelsShapeError,
    SpecError,
)
from deepfixcx.torch import Decode, Encode, Privatize
from deepfixcx.torch.functional import decode, encode, kernel_for


@pytest.mark.parametrize("shape", [(20, 24), (3, 20, 24), (2, 3, 20, 24), (0, 3, 20, 24)])
@pytest.mark.parametrize("pooling", ["l1", ("l1", "max")])
@pytest.mark.parametrize("grad", [False, True])
def test_axes(shape: tuple[int, ...], pooling: Any, grad: bool) -> None:
    several = () if pooling == "l1" else (2,)
    pixels = torch.rand(shape, requires_grad=grad)
    code = Encode(2, (3, 4), pooling=pooling)(pixels)
    assert code.shape == (*shape[:-2], 16, 3, 4, *several)
    assert Decode(2, (3, 4), pooling=pooling)(code).shape == (*shape[:-2], 12, 16)
    assert Decode(2, (3, 4), pooling=pooling, size=(20, 24))(code).shape == shape
    assert Privatize(2, (3, 4), pooling=pooling)(pixels).shape == (*shape[:-2], 12, 16)
    assert Privatize(2, (3, 4), pooling=pooling, size="original")(pixels).shape == shape


def test_a_size_with_the_call_goes_before_that_of_the_module() -> None:
    module, code = Decode(1, 2, size=(9, 9)), torch.rand(1, 4, 2, 2)
    assert module(code).shape == (1, 9, 9)
    assert module(code, (6, 5)).shape == (1, 6, 5)
    assert torch.equal(module(code, (6, 5)), decode(code, CodecSpec(1, 2), (6, 5)))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
@pytest.mark.parametrize("wavelet", ["haar", "db2"])
def test_integers_are_scaled_as_by_the_codec(dtype: torch.dtype, wavelet: str) -> None:
    array = np.random.default_rng(0).random((2, 1, 20, 24))
    array = array * (255 if dtype == torch.uint8 else 65535)
    pixels = torch.from_numpy(array.astype(str(dtype).removeprefix("torch.")))
    code = encode(pixels, CodecSpec(2, 3, wavelet))
    assert code.dtype == torch.float32
    assert np.array_equal(code.numpy(), Codec(2, 3, wavelet).encode(pixels.numpy()).array)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("grad", [False, True])
def test_floats_keep_their_dtype(dtype: torch.dtype, grad: bool) -> None:
    pixels = torch.rand(1, 1, 40, 40, dtype=torch.float64).to(dtype)
    want = Privatize(3, 2, size="original")(pixels.double())
    got = Privatize(3, 2, size="original")(pixels.requires_grad_(grad))
    assert got.dtype == dtype
    error = 16 * torch.finfo(dtype).eps if dtype != torch.float64 else 1e-12
    torch.testing.assert_close(got.double(), want, rtol=error, atol=error)


def test_half_precision_is_worked_in_single() -> None:
    """The mean of many equal numbers is that number; sums in half precision would stall."""
    pixels = torch.full((1, 1, 512, 512), 0.1, dtype=torch.float16, requires_grad=True)
    code = Encode(1, 1)(pixels)
    assert abs(float(code[0, 0, 0, 0, 0].detach()) - 2 * float(pixels.detach()[0, 0, 0, 0])) < 1e-3


def test_autocast_changes_nothing() -> None:
    pixels = torch.rand(1, 1, 33, 40, requires_grad=True)
    module = Privatize(2, 3, "db2", size="original")
    with torch.autocast("cpu", torch.bfloat16):
        inside = module(pixels)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, module(pixels))


@pytest.mark.parametrize("layout", ["channels last", "transposed", "sliced"])
@pytest.mark.parametrize("grad", [False, True])
def test_memory_layout(layout: str, grad: bool) -> None:
    pixels = torch.rand(2, 3, 40, 40)
    view = {
        "channels last": pixels.to(memory_format=torch.channels_last),
        "transposed": pixels.mT,
        "sliced": pixels[:, :, ::2, 1::2],
    }[layout]
    plain = view.contiguous().clone()
    module = Encode(2, 3)
    assert torch.equal(module(view.requires_grad_(grad)), module(plain.requires_grad_(grad)))


def test_pixels_are_left_as_they_are() -> None:
    for wavelet in ("haar", "db2"):
        for grad in (False, True):
            pixels = torch.rand(1, 1, 17, 19)
            before = pixels.clone()
            Privatize(2, 2, wavelet)(pixels.requires_grad_(grad))
            assert torch.equal(pixels, before)


@pytest.mark.parametrize(
    ("pixels", "error", "words"),
    [
        (np.ones((9, 9)), PixelsShapeError, "ndarray.*from_numpy"),
        (torch.ones(9), PixelsShapeError, r"\(9,\)"),
        (torch.ones(1, 1, 1, 9, 9), PixelsShapeError, r"\(H, W\)"),
        (torch.ones(0, 9), PixelsShapeError, "without pixels"),
        (torch.ones(1, 0, 9, 9), PixelsShapeError, "without pixels"),
        (torch.ones(40, 40, 3), PixelsShapeError, "movedim"),
        (torch.ones(9, 9, dtype=torch.int64), PixelsShapeError, "int64"),
        (torch.ones(9, 9, dtype=torch.bool), PixelsShapeError, "bool"),
        (torch.ones(9, 9, dtype=torch.complex64), PixelsShapeError, "complex64"),
        (torch.ones(2, 40), ImageTooSmallError, "2x40"),
        (torch.ones(2, 40, requires_grad=True), ImageTooSmallError, "2x40"),
        (torch.full((9, 9), float("nan")), NonFiniteError, "NaN"),
    ],
)
def test_what_cannot_be_encoded(pixels: Any, error: type[Exception], words: str) -> None:
    for module in (Encode(1, 3), Privatize(1, 3, "db2")):
        with pytest.raises(error, match=words):
            module(pixels)


@pytest.mark.parametrize(
    "code",
    [
        np.ones((1, 4, 3, 3)),
        torch.ones(1, 4, 3, 4),
        torch.ones(4, 3),
        torch.ones(1, 1, 1, 4, 3, 3),
        torch.ones(4, 3, 3, dtype=torch.uint8),
    ],
)
def test_what_is_no_code(code: Any) -> None:
    with pytest.raises(CodeError, match=r"\(B, C, 4, 3, 3\)"):
        Decode(1, 3)(code)


def test_what_cannot_be_built() -> None:
    for module in (Encode, Decode, Privatize):
        with pytest.raises(SpecError, match="either a spec or"):
            module(CodecSpec(1, 2), 3)
        with pytest.raises(SpecError, match="wavelet"):
            module(1, 2, "no such")
    for size in ("original", (4,), (4.0, 4.0), (0, 4), 7):
        with pytest.raises(SpecError, match="size"):
            Decode(1, 2, size=size)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="large"):
        Privatize(1, 2, size="large")  # type: ignore[arg-type]
    with pytest.raises(ImageTooSmallError):
        Decode(2, 4, size=(8, 8))


def test_spec_or_settings() -> None:
    spec = CodecSpec(2, (3, 4), "db2", ("l1", "max"), "periodic", "padded")
    for module in (Encode, Decode, Privatize):
        built = module(2, (3, 4), "db2", ["l1", "max"], "periodic", "padded")
        assert built.spec == spec == module(spec).spec


def test_they_say_what_they_are() -> None:
    assert repr(Encode(3, 4, grid="padded")) == "Encode(J=3 P=4 haar l1 padded)"
    assert repr(Decode(3, 4, size=(40, 50))) == "Decode(J=3 P=4 haar l1, size=(40, 50))"
    assert "adaptive='filters1d'" in repr(Encode(3, 4, adaptive="filters1d"))
    assert "size='original'" in repr(Privatize(3, 4, size="original"))


@pytest.mark.parametrize("adaptive", [None, "filters1d", "filters2d"])
def test_copies(adaptive: Any) -> None:
    pixels = torch.rand(1, 1, 16, 16)
    for module in (Encode(2, 2, adaptive=adaptive), Privatize(2, 2, adaptive=adaptive)):
        for copied in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
            assert torch.equal(copied(pixels), module(pixels))
            assert repr(copied) == repr(module)


def test_which_way_is_taken() -> None:
    haar, pixels = CodecSpec(2, 2), torch.rand(1, 1, 16, 16)
    assert kernel_for(pixels, haar) == "numba"
    assert kernel_for(pixels.double(), haar) == "torch"
    assert kernel_for(pixels.to("meta"), haar) == "torch"
    pixels.requires_grad_()
    assert kernel_for(pixels, haar) == "torch"
    with torch.no_grad():
        assert kernel_for(pixels, haar) == "numba"


def test_operators_pass_the_checks_of_torch() -> None:
    text = CodecSpec(2, 3, "db2", ("l1", "max")).to_json()
    tests = ("test_schema", "test_faketensor")
    pixels = (torch.rand(2, 1, 20, 24), (torch.rand(1, 3, 16, 16) * 255).to(torch.uint8))
    for batch in pixels:
        torch.library.opcheck(torch.ops.deepfixcx.encode, (batch, text), test_utils=tests)
    values = torch.rand(2, 1, 16, 3, 3)
    torch.library.opcheck(torch.ops.deepfixcx.decode, (values, text, [20, 24]), test_utils=tests)


def test_vmap_is_a_loop() -> None:
    spec, pixels = CodecSpec(2, 3), torch.rand(3, 2, 1, 20, 24)
    operators: Any = torch.ops.deepfixcx
    for axis in (0, 1, 2):
        parts = pixels.unbind(axis)
        code = torch.func.vmap(lambda batch: encode(batch, spec), in_dims=axis)(pixels)
        assert torch.equal(code, torch.stack([encode(part, spec) for part in parts]))
        images = torch.func.vmap(lambda batch: decode(batch, spec, (20, 24)))(code)
        assert torch.equal(images, torch.stack([decode(part, spec, (20, 24)) for part in code]))
    four, text = torch.rand(2, 1, 20, 5, 24), spec.to_json()
    code = torch.func.vmap(lambda batch: operators.encode(batch, text), in_dims=3)(four)
    assert torch.equal(code, torch.stack([encode(part, spec) for part in four.unbind(3)]))
    code = code.movedim(0, 3)
    images = torch.func.vmap(lambda c: operators.decode(c, text, [9, 9]), in_dims=3)(code)
    assert torch.equal(images, torch.stack([decode(c, spec, (9, 9)) for c in code.unbind(3)]))


class Images(Dataset[torch.Tensor]):
    """Four images, encoded on request."""

    encode = Encode(2, 3)

    def __len__(self) -> int:
        return 4

    def __getitem__(self, image: int) -> torch.Tensor:
        code: torch.Tensor = self.encode(torch.full((1, 20, 20), image / 4))
        return code


@pytest.mark.slow
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_of_a_data_loader(context: str) -> None:
    images = Images()
    torch.ops.deepfixcx.encode(torch.rand(1, 1, 20, 20), images.encode.spec.to_json())
    loader = DataLoader(images, batch_size=2, num_workers=2, multiprocessing_context=context)
    with pytest.MonkeyPatch.context() as patch:
        if context == "fork":  # Python warns of every fork beside threads
            patch.setenv("PYTHONWARNINGS", "ignore")
        codes = torch.cat(list(loader))
    assert torch.equal(codes, torch.stack([images[image] for image in range(4)]))


def test_in_front_of_a_network() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(Encode(2, 4), nn.Flatten(), nn.Linear(256, 2))
    pixels, labels = torch.rand(16, 1, 32, 32), torch.arange(16) % 2
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(pixels), labels)
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    assert list(network.state_dict()) == ["2.weight", "2.bias"]


@pytest.mark.parametrize("adaptive", [None, "filters1d", "filters2d"])
@pytest.mark.parametrize("outer", [(0,), (0, 2), (3, 0), (3,)])
def test_vmap_takes_any_number_of_images(adaptive: Any, outer: tuple[int, ...]) -> None:
    pixels = torch.rand(*outer, 1, 20, 24)
    encode, decode = Encode(2, 3, adaptive=adaptive), Decode(2, 3, adaptive=adaptive)
    for axis in range(len(outer)):
        code = torch.vmap(encode, in_dims=axis)(pixels)
        back = (pixels.movedim(axis, 0).shape[:-2], 16, 3, 3)
        assert code.shape == (*back[0], *back[1:])
        assert torch.vmap(decode)(code).shape == (*back[0], 12, 12)
    expected = encode(pixels.flatten(0, -4)).reshape(*outer, 1, 16, 3, 3)
    assert torch.allclose(torch.vmap(encode)(pixels), expected, atol=1e-6)


@pytest.mark.filterwarnings("ignore:The PyTorch API of", "ignore:Sparse", "ignore:nested")
def test_numbers_without_a_place_in_the_result_are_refused() -> None:
    masked = torch.masked.masked_tensor(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8) > 0.5)
    nested = torch.nested.nested_tensor([torch.rand(1, 8, 8)])
    for pixels, kind in (
        (masked, "masked"), (nested, "nested"), (torch.rand(1, 1, 8, 8).to_sparse(), "sparse"),
    ):  # fmt: skip
        for module in (Encode(1, 2), Privatize(1, 2)):
            with pytest.raises(PixelsShapeError, match=f"{kind} tensor: "):
                module(pixels)
        with pytest.raises(CodeError, match=f"{kind} tensor: "):
            Decode(1, 2)(pixels)
