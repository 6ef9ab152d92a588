"""The transform follows torchvision's rules, with and without that library."""

from __future__ import annotations

import importlib
import pickle
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (extra: torch)")

import torch
from PIL import Image

from deepfixcx import Codec
from deepfixcx.errors import PixelsShapeError
from deepfixcx.torch.torchvision import Privatize

RNG = np.random.default_rng(0)


@pytest.fixture
def types(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return torchvision's module of tensor types, or one like it where it is not installed."""
    module: Any
    try:
        module = importlib.import_module("torchvision.tv_tensors")
    except ImportError:
        module = ModuleType("torchvision.tv_tensors")
        module.TVTensor = type("TVTensor", (torch.Tensor,), {})
        for name in ("Image", "Video", "Mask"):
            setattr(module, name, type(name, (module.TVTensor,), {}))
        module.wrap = lambda tensor, *, like: tensor.as_subclass(type(like))
    monkeypatch.setitem(sys.modules, "torchvision.tv_tensors", module)
    return module


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8, torch.uint16])
@pytest.mark.parametrize("shape", [(40, 44), (3, 40, 44), (2, 3, 40, 44)])
def test_tensors_keep_their_dtype(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    unit = torch.rand(shape, dtype=torch.float64)
    full = {torch.uint8: 255, torch.uint16: 65535}.get(dtype, 1)
    pixels = (unit * full).to(dtype)
    got = Privatize(2, 4)(pixels)
    assert got.dtype == dtype
    assert got.shape == (*shape[:-2], 16, 16)
    want = Codec(2, 4).privatize((pixels.double() / full).numpy())
    error = np.abs(got.double().numpy() / full - np.clip(want, 0, 1 if full > 1 else None)).max()
    assert error <= 0.5 / full + 1e-5 if full > 1 else error < 1e-5


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("shape", [(40, 44), (40, 44, 3)])
def test_arrays_have_their_channels_last(dtype: str, shape: tuple[int, ...]) -> None:
    full = np.iinfo(dtype).max if dtype.startswith("u") else 1
    array = (RNG.random(shape) * full).astype(dtype)
    got = Privatize(2, 4, size="original")(array)
    assert isinstance(got, np.ndarray)
    assert (got.dtype, got.shape) == (array.dtype, shape)
    planes = array.reshape(40, 44, -1)
    for channel in range(planes.shape[2]):
        want = Codec(2, 4).privatize(planes[:, :, channel], "original")
        want = want if full == 1 else np.clip(want, 0, 1)
        error = np.abs(got.reshape(planes.shape)[:, :, channel] / full - want).max()
        assert error <= (0.51 / full if full > 1 else 1e-5)


@pytest.mark.parametrize(
    ("mode", "after"),
    [
        ("1", "L"),
        ("L", "L"),
        ("LA", "LA"),
        ("P", "RGB"),
        ("RGB", "RGB"),
        ("RGBA", "RGBA"),
        ("CMYK", "RGB"),
        ("I;16", "I;16"),
        ("F", "F"),
    ],
)
def test_pillow_images(mode: str, after: str) -> None:
    gray = Image.fromarray((RNG.random((40, 44)) * 255).astype(np.uint8))
    image = gray.convert("I").convert(mode) if mode == "I;16" else gray.convert(mode)
    got = Privatize(2, 4)(image)
    assert isinstance(got, Image.Image)
    assert (got.mode, got.size) == (after, (16, 16))
    if mode == "L":
        want = np.clip(Codec(2, 4).privatize(np.asarray(image)), 0, 1)
        assert np.abs(np.asarray(got) / 255 - want).max() < 0.51 / 255


def test_an_image_of_unknown_range() -> None:
    with pytest.raises(PixelsShapeError, match="int32"):
        Privatize(2, 4)(Image.new("I", (40, 40)))


def test_bright_pixels_do_not_wrap_around() -> None:
    """The reconstruction of noise leaves [0, 1]; as integers it is clipped."""
    bright = (torch.rand(1, 40, 44, generator=torch.Generator().manual_seed(0)) * 255).byte()
    exact = Privatize(2, 4)(bright / 255)
    assert exact.max() > 1.01
    rounded = Privatize(2, 4)(bright)
    assert (rounded / 255 - exact.clamp(0, 1)).abs().max() <= 0.5 / 255 + 1e-5


def test_without_types_the_first_tensor_is_the_image() -> None:
    transform, image, other = Privatize(1, 2), torch.rand(1, 8, 8), torch.rand(1, 8, 8)
    first, second, label = transform(image, other, 3)
    assert first.shape == (1, 4, 4)
    assert second is other
    assert label == 3
    sample = transform({"y": "text", "image": image, "label": torch.tensor(3)})
    assert sample["image"].shape == (1, 4, 4)
    assert sample["label"] == 3
    assert transform([image, {"more": (other,)}])[1]["more"][0] is other
    assert transform("no image") == "no image"


def test_a_pillow_image_goes_before_tensors() -> None:
    image, tensor = Image.new("L", (8, 8)), torch.rand(1, 8, 8)
    kept, small = Privatize(1, 2)(tensor, image)
    assert kept is tensor
    assert small.size == (4, 4)


def test_typed_tensors(types: Any) -> None:
    image = torch.rand(1, 8, 8).as_subclass(types.Image)
    video = torch.rand(2, 1, 8, 8).as_subclass(types.Video)
    mask, plain = torch.zeros(1, 8, 8).as_subclass(types.Mask), torch.rand(1, 8, 8)
    got = Privatize(1, 2)({"image": image, "video": video, "mask": mask, "plain": plain})
    assert type(got["image"]) is types.Image
    assert type(got["video"]) is types.Video
    assert got["image"].shape == (1, 4, 4)
    assert got["video"].shape == (2, 1, 4, 4)
    assert got["mask"] is mask
    assert got["plain"] is plain
    alone = Privatize(1, 2)(mask)
    assert alone is mask


def test_it_can_be_sent_to_workers() -> None:
    transform = Privatize(1, 2)
    image = torch.rand(1, 8, 8)
    assert torch.equal(pickle.loads(pickle.dumps(transform))(image), transform(image))
    assert "J=1 P=2" in repr(transform)


@pytest.mark.filterwarnings("ignore:The PyTorch API of")
def test_masked_images_are_refused() -> None:
    array = np.ma.masked_less(np.random.default_rng(0).random((32, 32), np.float32), 0.5)
    tensor = torch.masked.masked_tensor(torch.rand(1, 32, 32), torch.rand(1, 32, 32) > 0.5)
    for image in (array, tensor):
        with pytest.raises(PixelsShapeError, match="masked"):
            Privatize(2, 3)(image)
