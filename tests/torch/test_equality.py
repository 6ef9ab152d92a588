"""One suite for three: the oracle, the compiled kernels and the differentiable way of torch."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

pytest.importorskip("torch", reason="PyTorch is not installed (extra: torch)")

import torch

from deepfixcx import Codec, CodecSpec
from deepfixcx.pooling import amplitudes
from deepfixcx.spec import POOLINGS
from deepfixcx.torch import Decode, Encode, Privatize
from deepfixcx.torch.functional import decode, encode, kernel_for, to_unit
from deepfixcx.torch.packets import decompose, recompose
from deepfixcx.torch.pooling import pool
from tests.core import oracle
from tests.core.strategies import images_and_specs, sides, specs

TOLERANCE = 1e-5
WAYS = ["numba", "torch"]
SHAPE = (1, 2, 21, 14)

PIXELS = np.random.default_rng(0).random(SHAPE, np.float32) - np.float32(0.2)


def as_tensor(array: NDArray[Any], way: str) -> torch.Tensor:
    """Return a tensor that takes this way through the codec: a gradient leads through torch."""
    tensor = torch.from_numpy(np.array(array))
    return tensor.requires_grad_(way == "torch")


def assert_close(got: torch.Tensor, want: NDArray[Any], tolerance: float = TOLERANCE) -> None:
    assert tuple(got.shape) == want.shape
    scale = max(1.0, float(np.abs(want).max(initial=0)))
    np.testing.assert_allclose(got.detach().numpy(), want, rtol=0, atol=tolerance * scale)


@lru_cache(maxsize=64)
def oracle_bands(level: int, wavelet: str, boundary: str) -> list[NDArray[np.float64]]:
    planes = PIXELS.reshape(-1, *SHAPE[2:]).astype(np.float64)
    return [oracle.decompose(plane, level, wavelet, boundary) for plane in planes]


def oracle_code(spec: CodecSpec) -> NDArray[np.float64]:
    bands = oracle_bands(spec.level, spec.wavelet, spec.boundary)
    features = [
        [oracle.pool(plane, spec.grid_shape, name, spec.grid) for plane in bands]
        for name in spec.poolings
    ]
    code = np.moveaxis(np.array(features), 0, -1)
    code = code[..., 0] if isinstance(spec.pooling, str) else code
    return code.reshape(SHAPE[0], *spec.code_shape(SHAPE[1]))


def oracle_images(code: NDArray[Any], spec: CodecSpec, size: Any) -> NDArray[np.float64]:
    values = amplitudes(code.astype(np.float64), spec)
    planes = values.reshape(-1, *values.shape[2:])
    if size is None:
        size, bands = spec.compact_shape(), planes
    else:
        bands = np.array([oracle.unpool(p, spec.band_shape(*size), spec.grid) for p in planes])
    images = [oracle.recompose(b, spec.level, spec.wavelet, spec.boundary, *size) for b in bands]
    return np.array(images).reshape(*SHAPE[:2], *size)


SPECS = [
    CodecSpec(level, patches, wavelet, pooling, boundary, grid)  # type: ignore[arg-type]
    for wavelet in ("haar", "db2", "bior2.2", "coif1")
    for boundary in ("zero", "periodic")
    for grid in ("balanced", "padded")
    for pooling, level, patches in [
        *((name, 2, (4, 3)) for name in POOLINGS),
        ("l1", 1, 5),
        ("l1", 3, 1),
        (("l2", "median", "l1"), 1, (2, 7)),
    ]
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_encode_is_the_oracle(spec: CodecSpec, way: str) -> None:
    pixels = as_tensor(PIXELS, way)
    assert kernel_for(pixels, spec) == way
    assert_close(Encode(spec)(pixels), oracle_code(spec))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [None, SHAPE[2:]])
@pytest.mark.parametrize("spec", [spec for spec in SPECS if spec.pooling in ("l1", "l2")], ids=str)
def test_decode_is_the_oracle(spec: CodecSpec, size: Any, way: str) -> None:
    code = oracle_code(spec).astype(np.float32)
    got = Decode(spec, size=size or "compact")(as_tensor(code, way))
    assert_close(got, oracle_images(code, spec, size), 3 * TOLERANCE)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", ["compact", "original"])
@pytest.mark.parametrize("spec", SPECS[::3], ids=str)
def test_privatize_is_the_codec(spec: CodecSpec, size: Any, way: str) -> None:
    want = Codec(spec).privatize(PIXELS, size)
    assert_close(Privatize(spec, size=size)(as_tensor(PIXELS, way)), want)


def test_without_a_gradient_the_numbers_are_those_of_the_codec_to_the_last_bit() -> None:
    for spec in SPECS[::5]:
        code = Codec(spec).encode(PIXELS)
        got = encode(torch.from_numpy(PIXELS), spec)
        assert np.array_equal(got.numpy(), code.array)
        if spec.poolings[0] != "l2":  # roots differ in the last bit
            image = decode(got, spec, (21, 14))
            assert np.array_equal(image.numpy(), np.asarray(Codec(spec).decode(code)))


@settings(max_examples=60)
@given(images_and_specs())
def test_any_pixels_and_spec(drawn: tuple[NDArray[Any], CodecSpec]) -> None:
    pixels, spec = drawn
    want = Codec(spec).encode(pixels).array
    native = np.array(pixels, pixels.dtype.newbyteorder("="))
    exact = native if native.dtype.kind == "u" else native.astype(np.float32)
    batch = torch.from_numpy(exact.reshape((1,) * (4 - exact.ndim) + exact.shape))
    assert_close(encode(batch, spec), want)
    assert_close(pool(decompose(to_unit(batch), spec), spec, *exact.shape[-2:]), want)


@settings(max_examples=40)
@given(st.data(), sides, sides)
def test_any_code_and_size(data: st.DataObject, height: int, width: int) -> None:
    spec = data.draw(specs(height, width))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    codec = Codec(spec)
    code = codec.encode(rng.random((2, height, width), np.float32))
    for size in (None, (height, width)):
        want = np.asarray(codec.decode(code, "original" if size else "compact"))
        assert_close(decode(as_tensor(code.array, "torch"), spec, size), want)


@settings(max_examples=30)
@given(st.data(), sides, sides)
def test_merging_takes_splitting_back(data: st.DataObject, height: int, width: int) -> None:
    wavelet = st.sampled_from(["haar", "db2", "sym4", "db7"])
    spec = data.draw(specs(height, width, wavelet=wavelet))
    if spec.boundary == "zero" and spec.wavelet != "haar":
        return
    rows, columns = -(-height // 8) * 8, -(-width // 8) * 8  # an orthonormal packet, no odd sides
    pixels = torch.rand(2, rows, columns, generator=torch.Generator().manual_seed(0)).double()
    back = recompose(decompose(pixels, spec), spec, rows, columns)
    np.testing.assert_allclose(back.numpy(), pixels.numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("level", [4, 6, 8])
@pytest.mark.parametrize("way", WAYS)
def test_deep_levels(level: int, way: str) -> None:
    pixels = np.random.default_rng(level).random((1, 90, 70), np.float32)
    spec = CodecSpec(level, (1, 2) if level < 7 else 1)
    assert_close(encode(as_tensor(pixels, way), spec)[None], Codec(spec).encode(pixels).array)
