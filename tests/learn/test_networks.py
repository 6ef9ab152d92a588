"""Networks on images, with the codec in front."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from deepfixcx import Codec, CodecSpec
from deepfixcx.errors import ImageTooSmallError, ModelError
from deepfixcx.learn.networks import ImageNetwork, build_network, find_factory, try_network
from deepfixcx.learn.options import NETWORKS

SPEC = CodecSpec(level=2, patches=4)


def pixels(images: int = 6, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).random((images, channels, 40, 36), np.float32)


@pytest.mark.parametrize(
    ("name", "channels"), [("densenet121", 1), ("resnet18", 3), ("efficientnet-b0", 1)]
)
def test_networks_of_monai(name: str, channels: int) -> None:
    model = ImageNetwork(build_network(name, channels, labels=2), channels)
    example = torch.rand(2, channels, 32, 32)
    try_network(model, name, example, labels=2)
    assert model.eval()(example).shape == (2, 2)


def test_every_name_is_tried_above() -> None:
    assert NETWORKS == ("densenet121", "resnet18", "efficientnet-b0")


def test_the_network_sees_what_the_codec_leaves() -> None:
    model = ImageNetwork(nn.Identity(), channels=1, spec=SPEC)
    expected = Codec(SPEC).privatize(pixels())
    assert expected.shape == (6, 1, 16, 16)
    np.testing.assert_allclose(model(torch.from_numpy(pixels())), expected, atol=1e-5)


def test_codes_and_their_images_are_the_same_to_it() -> None:
    model = ImageNetwork(nn.Identity(), channels=3, spec=SPEC, side=24)
    images = torch.from_numpy(pixels(channels=3))
    codes = torch.from_numpy(Codec(SPEC).encode(pixels(channels=3)).array)
    assert model(images).shape == (6, 3, 24, 24)
    assert torch.allclose(model(images), model(codes), atol=1e-5)


def test_the_codec_learns_nothing() -> None:
    model = ImageNetwork(nn.Conv2d(1, 2, 3), channels=1, spec=SPEC)
    assert {name for name, _ in model.named_parameters()} == {"network.weight", "network.bias"}


@pytest.mark.parametrize("spec", [None, SPEC])
def test_standardization(spec: CodecSpec | None) -> None:
    model = ImageNetwork(nn.Identity(), channels=3, spec=spec)
    images = torch.from_numpy(pixels(channels=3)) * torch.tensor([1, 5, 0.1]).view(3, 1, 1)
    model.fit_normalization(images, batch=4)
    seen = model(images)
    assert torch.allclose(seen.mean((0, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(seen.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-4)


def test_side_needs_a_spec_and_fits_it() -> None:
    with pytest.raises(ModelError, match="a spec is needed"):
        ImageNetwork(nn.Identity(), channels=1, side=32)
    with pytest.raises(ImageTooSmallError):
        ImageNetwork(nn.Identity(), channels=1, spec=SPEC, side=8)


OWN = """
from torch import nn

class Small(nn.Module):
    def __init__(self, channels, labels):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.LazyLinear(labels))

    def forward(self, images):
        return self.layers(images)

class Holder:
    @staticmethod
    def make(channels, labels):
        return nn.Sequential(nn.Flatten(), nn.Linear(channels * 256, labels))

def wrong_shape(channels, labels):
    return nn.Conv2d(channels, labels, 3)

def no_module(channels, labels):
    return 3

def broken(channels, labels):
    raise RuntimeError("no such thing")

def too_large(channels, labels):
    return nn.Conv2d(channels, labels, 99)

number = 3
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_networks.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_networks", raising=False)
    return "own_networks"


def test_own_network(own: str) -> None:
    network = build_network(f"{own}:Holder.make", channels=3, labels=2)
    model = ImageNetwork(network, channels=3, spec=SPEC)
    assert model(torch.from_numpy(pixels(channels=3))).shape == (6, 2)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet19", "there is no network 'resnet19'"),
        ("nowhere:Class", "cannot be imported"),
        ("OWN:Nothing", "cannot be imported"),
        ("OWN:number", "cannot be called"),
        ("OWN:no_module", "returned int"),
        ("OWN:broken", "no such thing"),
        (":Class", "there is no network"),
    ],
)
def test_own_network_that_cannot_be_built(own: str, name: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        build_network(name.replace("OWN", own), channels=1, labels=2)


@pytest.mark.parametrize(
    ("name", "words"),
    [("wrong_shape", "not logits of shape"), ("too_large", "fails on such images")],
)
def test_own_network_that_does_not_fit(own: str, name: str, words: str) -> None:
    model = ImageNetwork(find_factory(f"{own}:{name}")(1, 2), channels=1, spec=SPEC)
    with pytest.raises(ModelError, match=words):
        try_network(model, name, torch.zeros(2, *SPEC.code_shape(1)), labels=2)
    assert model.training
