"""The codec of volumes against the oracle, PyWavelets and the codec of images."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pytest
import pywt
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from deepfixcx import Code, Codec, CodecSpec
from deepfixcx import volumes as volumes_module
from deepfixcx.choices import Boundary, Grid
from deepfixcx.errors import (
    CodeError,
    ImageTooSmallError,
    MechanismError,
    NonFiniteError,
    PixelsShapeError,
    SpecError,
)
from deepfixcx.mechanisms.sensitivity import (
    LARGEST_PIXEL,
    integer_codes,
    pixel_sensitivity,
    region_sensitivity,
)
from deepfixcx.packets import band_number, band_path, decompose, recompose
from deepfixcx.pooling import pool, unpool
from deepfixcx.release import ReleaseOptions
from deepfixcx.spec import BOUNDARIES, GRIDS, POOLINGS

from . import oracle

DTYPES = ["uint8", "uint16", "float32"]


def _volume(*shape: int, dtype: str = "float32", seed: int = 0) -> NDArray[Any]:
    rng = np.random.default_rng([seed, *shape])
    if dtype == "float32":
        return rng.random(shape, np.float32)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def _encode_slowly(volume: NDArray[Any], spec: CodecSpec) -> NDArray[np.float64]:
    bands = oracle.decompose(
        oracle.to_unit(volume), spec.level, spec.wavelet, spec.boundary, spec.level_z
    )
    features = [oracle.pool(bands, spec.grid_shape, name, spec.grid) for name in spec.poolings]
    return features[0] if len(features) == 1 else np.stack(features, -1)


@st.composite
def _drawn(draw: st.DrawFn, wavelets: list[str], poolings: list[Any]) -> tuple[Any, CodecSpec]:
    level = draw(st.integers(1, 3))
    level_z = draw(st.integers(0, level))
    shape = [draw(st.integers(1, 26)) for _ in range(3)]
    grid = draw(st.sampled_from(GRIDS))
    blocks = [-(-side >> level) for side, level in zip(shape, (level_z, level, level), strict=True)]
    more = 2 if grid == "padded" else 0
    spec = CodecSpec(
        level,
        tuple(draw(st.integers(1, min(4, count + more))) for count in blocks),
        draw(st.sampled_from(wavelets)),
        draw(st.sampled_from(poolings)),
        cast("Boundary", draw(st.sampled_from(BOUNDARIES))),
        cast("Grid", grid),
        ndim=3,
        level_z=level_z,
    )
    return _volume(*shape, dtype=draw(st.sampled_from(DTYPES)), seed=draw(st.integers(0, 99))), spec


@settings(max_examples=60)
@given(_drawn(["haar"], ["l1"]))
def test_haar_is_the_oracle_both_ways(drawn: tuple[NDArray[Any], CodecSpec]) -> None:
    volume, spec = drawn
    code = Codec(spec).encode(volume)
    want = _encode_slowly(volume, spec)
    np.testing.assert_allclose(code.array[0, 0], want, rtol=0, atol=2e-5)
    bands = oracle.unpool(want, spec.band_shape(*volume.shape), spec.grid)
    back = oracle.recompose(bands, spec.level, "haar", "zero", *volume.shape, level_z=spec.level_z)
    decoded = np.asarray(Codec(spec).decode(code))
    np.testing.assert_allclose(decoded[0, 0], back, rtol=0, atol=2e-4)


@settings(max_examples=40)
@given(_drawn(["haar", "db2", "bior2.2", "coif1"], ["l1", "l2", "median", ("max", "sum_neg")]))
def test_every_wavelet_and_pooling_is_the_oracle(drawn: tuple[NDArray[Any], CodecSpec]) -> None:
    volume, spec = drawn
    code = Codec(spec).encode(volume).array[0, 0]
    np.testing.assert_allclose(code, _encode_slowly(volume, spec), rtol=0, atol=1e-4)


@settings(max_examples=40)
@given(_drawn(["haar", "db2", "rbio3.1"], ["l1"]))
def test_bands_are_the_oracle_both_ways(drawn: tuple[NDArray[Any], CodecSpec]) -> None:
    volume, spec = drawn
    settings_ = spec.level, spec.wavelet, spec.boundary
    bands = decompose(volume, spec)
    want = oracle.decompose(oracle.to_unit(volume), *settings_, spec.level_z)
    np.testing.assert_allclose(bands[0, 0], want, rtol=0, atol=1e-4)
    back = oracle.recompose(want, *settings_, *volume.shape, level_z=spec.level_z)
    merged = recompose(bands, spec, *volume.shape)[0, 0]
    np.testing.assert_allclose(merged, back, rtol=0, atol=1e-3)


@pytest.mark.parametrize("level", [4, 5])
def test_haar_at_deep_levels(level: int) -> None:
    volume = _volume(35, 70, 50)
    for level_z in (1, 4):
        spec = CodecSpec(level, (2, 2, 1), ndim=3, level_z=level_z)
        code = Codec(spec).encode(volume)
        np.testing.assert_allclose(code.array[0, 0], _encode_slowly(volume, spec), atol=1e-5)
        values = unpool(code.array, spec, *volume.shape)
        slow = recompose(values, spec, *volume.shape)
        np.testing.assert_allclose(np.asarray(Codec(spec).decode(code)), slow, rtol=0, atol=2e-4)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("grid", GRIDS)
def test_strips_do_not_change_a_code(
    monkeypatch: pytest.MonkeyPatch, grid: Grid, pooling: str
) -> None:
    volume = _volume(37, 13, 9)
    spec = CodecSpec(2, (5, 2, 2), "db3", pooling, grid=grid, ndim=3)
    whole = pool(decompose(volume, spec), spec, *volume.shape)
    monkeypatch.setattr(volumes_module, "STRIP_VALUES", 200)
    np.testing.assert_allclose(Codec(spec).encode(volume).array, whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("wavelet", ["haar", "db2", "bior2.2"])
def test_periodic_is_the_periodization_of_pywavelets(wavelet: str) -> None:
    """PyWavelets convolves, so a volume is turned around; its paths name slices, rows, columns."""
    volume = _volume(8, 16, 12)
    spec = CodecSpec(2, 1, wavelet, boundary="periodic", ndim=3)
    bands = decompose(volume, spec)[0, 0]
    turned = volume[::-1, ::-1, ::-1].astype(np.float64)
    packet = pywt.WaveletPacketND(turned, wavelet, "periodization", maxlevel=2)
    for number, band in enumerate(bands):
        digits = divmod(number, 8)
        path = "".join("ad"[digit >> bit & 1] for digit in digits for bit in (2, 1, 0))
        theirs = packet[path].data[::-1, ::-1, ::-1]
        np.testing.assert_allclose(band, theirs, rtol=0, atol=1e-5 * np.abs(bands).max())


def test_without_splits_of_slices_a_volume_is_its_images() -> None:
    volume = _volume(6, 20, 28, dtype="uint16")
    images = Codec(2, 3).encode(volume[:, np.newaxis]).array
    code = Codec(2, (2, 3, 3), ndim=3, level_z=0).encode(volume).array
    mean = images.reshape(2, 3, *images.shape[1:]).mean(1)  # three images fall into each cell
    np.testing.assert_allclose(code[0, 0], mean[:, 0].swapaxes(0, 1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("wavelet", ["haar", "db3"])
@pytest.mark.parametrize("shape", [(8, 16, 12), (7, 9, 11), (1, 5, 3)])
def test_periodic_inverts(shape: tuple[int, int, int], wavelet: str) -> None:
    spec = CodecSpec(2, 1, wavelet, boundary="periodic", ndim=3, level_z=1)
    volume = _volume(*shape)
    back = recompose(decompose(volume, spec), spec, *shape)
    np.testing.assert_allclose(back[0, 0], volume, rtol=0, atol=1e-5)


def test_shapes_batches_and_sequences() -> None:
    codec = Codec(1, (2, 3, 4), pooling=["l1", "max"], ndim=3, level_z=0)
    batch = _volume(2, 3, 6, 10, 12)
    code = codec.encode(batch)
    assert code.array.shape == (2, 3, 4, 2, 3, 4, 2)
    assert code.sizes.tolist() == [[6, 10, 12]] * 2
    assert code.embedding().shape == (2, 3 * 4 * 24 * 2)
    assert codec.privatize(batch, "original").shape == batch.shape
    assert codec.privatize(batch[0, 0]).shape == codec.spec.compact_shape() == (2, 6, 8)
    several = codec.encode([batch[0], batch[1, :, :5, 1:]])
    assert several.sizes.tolist() == [[6, 10, 12], [5, 9, 12]]
    assert several[0] == code[0]
    decoded = codec.decode(several)
    assert [volume.shape for volume in decoded] == [(3, 6, 10, 12), (3, 5, 9, 12)]


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    codec, volume = Codec(2, (3, 4, 5), ndim=3), _volume(2, 1, 29, 33, 41)
    results = []
    for threads in ("1", "3"):
        monkeypatch.setenv("DEEPFIXCX_THREADS", threads)
        code = codec.encode(volume)
        results.append((code, np.asarray(codec.decode(code))))
    assert results[0][0] == results[1][0]
    assert np.array_equal(results[0][1], results[1][1])


@pytest.mark.parametrize("storage", ["float32", "float16", "uint8"])
def test_codes_are_stored(tmp_path: Any, storage: Any) -> None:
    code = Codec(2, (2, 3, 3), pooling=["l1", "min"], ndim=3).encode(_volume(2, 1, 13, 14, 15))
    code.save(tmp_path / "code.safetensors", storage)
    loaded = Code.load(tmp_path / "code.safetensors")
    assert loaded.spec == code.spec
    assert np.array_equal(loaded.sizes, code.sizes)
    axes = (0, 3, 4, 5)
    step = {"float32": 0, "float16": 2**-11 * np.abs(code.array).max()}.get(storage)
    if step is None:  # half a step of 255 for each channel, band and pooling
        step = (code.array.max(axes, keepdims=True) - code.array.min(axes, keepdims=True)) / 509
    assert (np.abs(loaded.array - code.array) <= step).all()


def test_paths_name_bands() -> None:
    paths = [band_path(number, 3, level_z=2) for number in range(8 * 8 * 4)]
    assert len(set(paths)) == 256
    assert [band_number(path, 3, level_z=2) for path in paths] == [*range(256)]
    assert [*paths[:5], paths[-1]] == ["aaa", "aav", "aah", "aad", "ava", "DDd"]
    code = Codec(2, 1, ndim=3, level_z=1).encode(_volume(4, 8, 8))
    assert np.array_equal(code.band("Va"), code.array[:, :, 5 * 4])
    for wrong in ("aA", "VV", "a", "ax"):
        with pytest.raises(SpecError, match="path of a band at level 2 is 2 letters"):
            code.band(wrong)


def test_errors_name_what_does_not_fit() -> None:
    codec = Codec(2, (4, 2, 2), ndim=3)
    with pytest.raises(
        ImageTooSmallError, match=r"12x64x64 has bands of 3x16x16.*more than 12x4x4"
    ):
        codec.encode(_volume(12, 64, 64))
    with pytest.raises(PixelsShapeError, match=r"\(D, H, W\).*got shape \(64, 64\)"):
        codec.encode(_volume(64, 64))
    with pytest.raises(PixelsShapeError, match="without voxels"):
        codec.encode(np.zeros((0, 8, 8), np.float32))
    with pytest.raises(NonFiniteError, match="voxels are NaN"):
        codec.encode(np.where(_volume(16, 8, 8) < 0.1, np.nan, 1))
    with pytest.raises(NonFiniteError, match="voxels are NaN"):
        Codec(2, 1, "db2", ndim=3).encode(np.where(_volume(16, 8, 8) < 0.1, np.inf, 1))
    with pytest.raises(PixelsShapeError, match=r"3 numbers \(slices, rows, columns\)"):
        codec.spec.cells(64, 64)
    with pytest.raises(CodeError, match="volumes needs sizes"):
        Code(np.zeros((1, *codec.spec.code_shape(1)), np.float32), codec.spec, np.array([[16, 16]]))


def test_parts_for_images_refuse_volumes() -> None:
    spec = CodecSpec(2, 2, ndim=3)
    for refused in (
        lambda: ReleaseOptions(spec, mechanisms=("bands",)),
        lambda: region_sensitivity(spec, 2, 16, 16),
        lambda: integer_codes(np.zeros((1, 1, 16, 16), np.uint8), spec),
    ):
        with pytest.raises((SpecError, MechanismError), match="works on images"):
            refused()


@pytest.mark.parametrize("level_z", [0, 1, 2])
def test_no_change_of_voxels_moves_a_code_further_than_its_sensitivity(level_z: int) -> None:
    """The attack sets voxels of one block to the extremes; one voxel alone reaches both bounds."""
    spec = CodecSpec(2, (1, 2, 2), ndim=3, level_z=level_z)
    shape = 1 << level_z, 8, 8
    members = math.prod(cells.lengths[0] for cells in spec.cells(*shape))
    unit = members * LARGEST_PIXEL * math.sqrt(spec.bands)
    rng, codec = np.random.default_rng(level_z), Codec(spec)
    reached = []
    for count in (1, 1, 2, 3, 5):
        before = (
            rng.choice(np.array([0, 255], np.uint8), shape)
            if count > 1
            else np.zeros(shape, np.uint8)
        )
        after = before.copy()
        places = rng.choice(16 << level_z, count, replace=False)
        block = after[:, :4, :4].reshape(-1)
        block[places] = 255 - block[places]
        after[:, :4, :4] = block.reshape(-1, 4, 4)
        moved = np.abs(codec.encode(after).array - codec.encode(before).array).astype(float)
        bound = pixel_sensitivity(spec, count)
        l1, l2 = moved.sum() * unit, math.sqrt((moved**2).sum()) * unit
        assert l1 <= bound.l1 * (1 + 1e-5)
        assert l2 <= bound.l2 * (1 + 1e-5)
        reached.append((l1 / bound.l1, l2 / bound.l2))
    assert min(*reached[0], *reached[1]) > 1 - 1e-5
