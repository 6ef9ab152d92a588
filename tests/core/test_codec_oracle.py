"""The codec against the oracle, and its paths against each other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from deepfixcx import Codec, CodecSpec
from deepfixcx.choices import Grid, Pooling
from deepfixcx.errors import (
    ImageTooSmallError,
    NonFiniteError,
    PixelsShapeError,
    SpecError,
)
from deepfixcx.packets import decompose, recompose
from deepfixcx.pooling import amplitudes, pool, unpool
from deepfixcx.spec import POOLINGS

from . import oracle
from .strategies import images, images_and_specs, sides, specs

TOLERANCE = 1e-5
HAAR_L1 = {"wavelet": st.just("haar"), "pooling": st.just("l1")}


def _encode_slowly(pixels: NDArray[Any], spec: CodecSpec) -> NDArray[np.float64]:
    batch = oracle.to_unit(pixels).reshape((1,) * (4 - pixels.ndim) + pixels.shape)
    codes = []
    for image in batch.reshape(-1, *batch.shape[2:]):
        bands = oracle.decompose(image, spec.level, spec.wavelet, spec.boundary)
        one = [oracle.pool(bands, spec.grid_shape, name, spec.grid) for name in spec.poolings]
        codes.append(one[0] if len(one) == 1 else np.stack(one, -1))
    return np.array(codes).reshape(len(batch), *spec.code_shape(batch.shape[1]))


def _decode_slowly(
    values: NDArray[np.floating], spec: CodecSpec, height: int, width: int
) -> NDArray[np.float64]:
    bands = oracle.unpool(values.astype(np.float64), spec.band_shape(height, width), spec.grid)
    return oracle.recompose(bands, spec.level, spec.wavelet, spec.boundary, height, width)


def _assert_close(
    got: NDArray[Any], want: NDArray[Any], made_of: NDArray[Any], tolerance: float = TOLERANCE
) -> None:
    """Compare relative to the largest number, of the result or of what it was summed up from."""
    assert got.shape == want.shape
    assert got.dtype == np.float32
    terms = np.abs(made_of / np.iinfo(made_of.dtype).max if made_of.dtype.kind == "u" else made_of)
    scale = max(np.abs(want).max(), terms.max(), 1e-3)
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * scale)


# -- against the oracle ---------------------------------------------------------------------------


@settings(max_examples=200)
@given(images_and_specs())
def test_encode_is_the_oracle(drawn: tuple[NDArray[Any], CodecSpec]) -> None:
    pixels, spec = drawn
    before = pixels.copy()
    code = Codec(spec).encode(pixels)
    _assert_close(code.array, _encode_slowly(pixels, spec), pixels)
    assert (code.sizes == pixels.shape[-2:]).all()
    assert np.array_equal(pixels, before)


@settings(max_examples=150)
@given(images_and_specs(**HAAR_L1))
def test_the_fast_path_is_the_oracle(drawn: tuple[NDArray[Any], CodecSpec]) -> None:
    pixels, spec = drawn
    _assert_close(Codec(spec).encode(pixels).array, _encode_slowly(pixels, spec), pixels)


@pytest.mark.parametrize("level", [4, 5, 6])
def test_the_fast_path_at_deep_levels(level: int) -> None:
    pixels = np.random.default_rng(level).random((70, 90))
    spec = CodecSpec(level, (2, 1))
    _assert_close(Codec(spec).encode(pixels).array, _encode_slowly(pixels, spec), pixels)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("grid", ["balanced", "padded"])
@pytest.mark.parametrize("boundary", ["zero", "periodic"])
@pytest.mark.parametrize("wavelet", ["haar", "db3"])
def test_every_pooling_on_every_path(wavelet: str, boundary: Any, grid: Any, pooling: str) -> None:
    pixels = np.random.default_rng(0).random((2, 2, 37, 26), np.float32)
    spec = CodecSpec(2, (4, 3), wavelet, pooling, boundary, grid)
    _assert_close(Codec(spec).encode(pixels).array, _encode_slowly(pixels, spec), pixels)


@given(st.data(), sides, sides)
def test_decode_is_the_oracle(data: st.DataObject, height: int, width: int) -> None:
    spec = data.draw(specs(height, width))
    pixels = data.draw(images((2, height, width), ["<f4"]))
    codec = Codec(spec)
    code = codec.encode(pixels)
    values = code.array[..., 0] if len(spec.poolings) > 1 else code.array
    if spec.poolings[0] == "l2":
        values = np.sqrt(values)
    whole, compact = codec.decode(code), codec.decode(code, "compact")
    side = spec.compact_shape()
    assert isinstance(whole, np.ndarray)
    assert np.shape(compact) == (1, 2, *side)
    for channel in range(2):
        want = _decode_slowly(values[0, channel], spec, height, width)
        _assert_close(whole[0, channel], want, values, 3 * TOLERANCE)
        bands = values[0, channel].astype(np.float64)
        want = oracle.recompose(bands, spec.level, spec.wavelet, spec.boundary, *side)
        _assert_close(np.asarray(compact)[0, channel], want, values, 3 * TOLERANCE)


@pytest.mark.parametrize("wavelet", ["haar", "db2"])
@pytest.mark.parametrize("pooling", ["l1", "l2", "sum", "sum_pos"])
def test_a_cell_of_a_million_members_is_still_exact(wavelet: str, pooling: str) -> None:
    pixels = np.random.default_rng(0).random((1500, 1700), np.float32)
    spec = CodecSpec(1, 1, wavelet, pooling)
    bands = decompose(pixels, spec)[0, 0].astype(np.float64)
    want = oracle.pool(bands, (1, 1), pooling, "balanced").ravel()
    got = Codec(spec).encode(pixels).array.ravel()
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6 * np.max(want))


# -- one path against another ---------------------------------------------------------------------


@settings(max_examples=150)
@given(images_and_specs(**HAAR_L1))
def test_the_fast_path_is_the_slow_path(drawn: tuple[NDArray[Any], CodecSpec]) -> None:
    pixels, spec = drawn
    slow = pool(decompose(pixels, spec), spec, *pixels.shape[-2:])
    _assert_close(Codec(spec).encode(pixels).array, slow, pixels)


@given(st.data(), sides, sides)
def test_the_haar_decoder_is_the_general_one(data: st.DataObject, height: int, width: int) -> None:
    spec = data.draw(specs(height, width, wavelet=st.just("haar")))
    code = Codec(spec).encode(data.draw(images((2, height, width))))
    bands = unpool(amplitudes(code.array, spec), spec, height, width)
    general = recompose(bands, spec, height, width)
    np.testing.assert_allclose(Codec(spec).decode(code), general, rtol=0, atol=1e-6)


@given(st.data(), sides, sides, st.integers(0, 4))
def test_batch_loop_and_list_agree_to_the_last_bit(
    data: st.DataObject, height: int, width: int, count: int
) -> None:
    codec = Codec(data.draw(specs(height, width)))
    batch = data.draw(images((count, 2, height, width)))
    code = codec.encode(batch)
    assert len(code) == count
    if not count:
        return
    for n, image in enumerate(batch):
        assert codec.encode(image) == code[n]
        for channel in range(2):
            alone = codec.encode(image[channel]).array[0, 0]
            assert np.array_equal(alone, code.array[n, channel])
    assert codec.encode(list(batch)) == code
    assert codec.encode(tuple(batch)) == code


@given(st.data())
def test_a_list_of_sizes_is_a_loop(data: st.DataObject) -> None:
    shapes = data.draw(st.lists(st.tuples(sides, sides), min_size=1, max_size=4))
    spec = data.draw(specs(min(h for h, _ in shapes), min(w for _, w in shapes)))
    codec = Codec(spec)
    pixels = [data.draw(images(shape)) for shape in shapes]
    code = codec.encode(pixels)
    assert code.sizes.tolist() == [list(shape) for shape in shapes]
    decoded = codec.decode(code)
    for n, image in enumerate(pixels):
        alone = codec.encode(image)
        assert alone == code[n]
        assert np.array_equal(codec.decode(alone)[0], decoded[n])


@given(st.data(), st.integers(30, 90), st.integers(5, 30), st.integers(1, 400))
def test_strips_do_not_show(data: st.DataObject, height: int, width: int, values: int) -> None:
    spec = data.draw(specs(height, width))
    pixels = data.draw(images((2, height, width)))
    whole = Codec(spec).encode(pixels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deepfixcx.codec.STRIP_VALUES", values)
        patch.setattr("deepfixcx.codec.PART_MARGINS", 1)  # a row of cells has parts as well
        in_strips = Codec(spec).encode(pixels)
    _assert_close(in_strips.array, whole.array, pixels, 1e-6)


@pytest.mark.parametrize("grid", ["balanced", "padded"])
@pytest.mark.parametrize(
    "pooling", ["l1", "l2", "sum", "sum_pos", "sum_neg", "max", "min", "median"]
)
def test_a_huge_cell_is_pooled_in_parts(
    pooling: Pooling, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(0).random((2, 150, 20), np.float32)
    codec = Codec(1, 2, "db2", pooling, grid=grid)
    whole = codec.encode(pixels)
    monkeypatch.setattr("deepfixcx.codec.STRIP_VALUES", 100)
    monkeypatch.setattr("deepfixcx.codec.PART_MARGINS", 1)
    _assert_close(codec.encode(pixels).array, whole.array, pixels, 1e-6)


@pytest.mark.parametrize(("level", "patches"), [(6, 3), (7, 2), (8, 1), (9, 1)])
def test_deep_levels_are_pooling_the_bands(level: int, patches: int) -> None:
    pixels = np.random.default_rng(level).random((1, 1, 300, 400), np.float32)
    codec = Codec(level, patches)
    code = codec.encode(pixels)
    slow = pool(decompose(pixels, codec.spec), codec.spec, 300, 400)
    _assert_close(code.array, slow, pixels, 1e-6)
    bands = unpool(amplitudes(code.array, codec.spec), codec.spec, 300, 400)
    _assert_close(np.asarray(codec.decode(code)), recompose(bands, codec.spec, 300, 400), bands)


@settings(max_examples=150)
@given(images_and_specs())
def test_strip_by_strip_is_pooling_the_bands(drawn: tuple[NDArray[Any], CodecSpec]) -> None:
    pixels, spec = drawn
    slow = pool(decompose(pixels, spec), spec, *pixels.shape[-2:])
    _assert_close(Codec(spec).encode(pixels).array, slow, pixels, 1e-6)


@given(st.data(), sides, sides)
def test_decoding_is_recomposing_the_unpooled_bands(
    data: st.DataObject, height: int, width: int
) -> None:
    codec = Codec(data.draw(specs(height, width)))
    code = codec.encode(data.draw(images((2, height, width))))
    bands = unpool(amplitudes(code.array, codec.spec), codec.spec, height, width)
    slow = recompose(bands, codec.spec, height, width)
    _assert_close(np.asarray(codec.decode(code)), slow, bands, 1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_integers_are_scaled_by_their_full_range(dtype: str) -> None:
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (9, 12)).astype(dtype)
    for codec in (Codec(1, 2), Codec(1, 2, "db2")):
        scaled = codec.encode(pixels / np.float64(np.iinfo(dtype).max))
        np.testing.assert_allclose(codec.encode(pixels).array, scaled.array, rtol=0, atol=1e-6)


# -- threads and processes ------------------------------------------------------------------------

DIGEST = """
import hashlib, json, numpy as np
from deepfixcx import Codec
pixels = np.random.default_rng(0).random((5, 2, 40, 36), np.float32)
digests = []
for settings in ((2, 3), (2, 3, "db2", ("l2", "median"), "periodic")):
    codec = Codec(*settings)
    code = codec.encode(pixels)
    for array in (code.array, codec.decode(code), codec.decode(code, "compact")):
        digests.append(hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest())
print(json.dumps(digests))
"""


def test_the_number_of_threads_does_not_change_a_byte() -> None:
    answers = [
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env=os.environ | {"DEEPFIXCX_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
            timeout=240,
        ).stdout
        for threads in ("1", "2", "7")
    ]
    assert len(json.loads(answers[0])) == 6
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("settings", [(2, 3), (2, 3, "db2")])
def test_a_forked_child_encodes(settings: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPFIXCX_THREADS", "3")
    pixels = np.random.default_rng(0).random((6, 40, 36), np.float32)
    codec = Codec(*settings)
    code = codec.encode(pixels)  # the pool of threads exists before the fork
    with warnings.catch_warnings():
        # Python warns of every fork beside threads; that it works here is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        answer = 1
        try:
            signal.alarm(60)  # a child that waits for its parent's threads would wait for ever
            answer = 0 if codec.encode(pixels) == code else 1
        finally:
            os._exit(answer)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert codec.encode(pixels) == code


# -- privatize ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(40, 44), (3, 40, 44), (2, 3, 40, 44), (0, 3, 40, 44)])
@pytest.mark.parametrize("wavelet", ["haar", "db2"])
def test_privatize_keeps_the_axes(shape: tuple[int, ...], wavelet: str) -> None:
    codec = Codec(2, (3, 4), wavelet)
    pixels = np.random.default_rng(0).random(shape)
    assert codec.privatize(pixels).shape == (*shape[:-2], 12, 16)
    original = codec.privatize(pixels, "original")
    assert original.shape == shape
    assert original.dtype == np.float32
    if pixels.size:
        decoded = np.asarray(codec.decode(codec.encode(pixels)))
        assert np.array_equal(original, decoded.reshape(shape))


def test_privatize_of_a_list_gives_a_list() -> None:
    pixels = [np.ones((20, 24)), np.ones((1, 33, 41)), np.ones((20, 24))]
    codec = Codec(2, 3)
    compact, original = codec.privatize(pixels), codec.privatize(pixels, "original")
    assert [image.shape for image in compact] == [(12, 12), (1, 12, 12), (12, 12)]
    assert [image.shape for image in original] == [(20, 24), (1, 33, 41), (20, 24)]
    alike = codec.privatize([np.ones((20, 24))] * 2, "original")
    assert isinstance(alike, list)
    assert [image.shape for image in alike] == [(20, 24)] * 2


@pytest.mark.parametrize("shape", [(16, 16), (32, 8), (24, 40)])
def test_an_image_of_constant_cells_comes_back(shape: tuple[int, int]) -> None:
    coarse = np.random.default_rng(0).random((shape[0] // 8, shape[1] // 8))
    pixels = np.kron(coarse, np.ones((8, 8)))
    codec = Codec(2, (shape[0] // 4, shape[1] // 4))
    np.testing.assert_allclose(codec.privatize(pixels, "original"), pixels, atol=1e-6)


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pixels", "error", "words"),
    [
        (np.ones(5), PixelsShapeError, r"\(5,\)"),
        (np.ones((1, 1, 1, 5, 5)), PixelsShapeError, r"\(H, W\)"),
        (np.float32(1), PixelsShapeError, "NumPy array or a sequence"),
        (np.ones((5, 0)), PixelsShapeError, "without pixels"),
        (np.ones((0, 5, 5)), PixelsShapeError, "without pixels"),
        (np.ones((40, 40, 3)), PixelsShapeError, "moveaxis"),
        (np.ones((2, 40, 40, 1)), PixelsShapeError, "moveaxis"),
        (np.ones((5, 5), np.int64), PixelsShapeError, "int64"),
        (np.ones((5, 5), bool), PixelsShapeError, "bool"),
        (np.ones((5, 5), complex), PixelsShapeError, "complex128"),
        (np.array([["a"]]), PixelsShapeError, "dtype"),
        (np.array([[None]]), PixelsShapeError, "dtype"),
        ([], PixelsShapeError, "sequence is empty"),
        ("pixels", PixelsShapeError, "str"),
        (b"pixels", PixelsShapeError, "bytes"),
        ({"a": 1}, PixelsShapeError, "dict"),
        ([np.ones((1, 1, 5, 5))], PixelsShapeError, "image 0"),
        ([np.ones((5, 5)), np.ones((3, 5, 5))], PixelsShapeError, "image 1 .* 3 channels"),
        (np.ones((2, 40)), ImageTooSmallError, "2x40 .* 1x20 .* 3x3 cells .* 4x4 pixels"),
        ([np.ones((9, 9)), np.ones((40, 3))], ImageTooSmallError, "40x3"),
        (np.full((9, 9), np.nan), NonFiniteError, "NaN"),
        (np.full((9, 9), -np.inf), NonFiniteError, "infinite"),
        (np.full((9, 9), 1e300), NonFiniteError, "infinite"),
    ],
)
@pytest.mark.parametrize("wavelet", ["haar", "db2"])
def test_what_cannot_be_encoded(
    pixels: Any, error: type[Exception], words: str, wavelet: str
) -> None:
    with pytest.raises(error, match=words):
        Codec(1, 3, wavelet).encode(pixels)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("wavelet", ["haar", "db2"])
@pytest.mark.parametrize("pooling", ["l1", "min"])
@pytest.mark.parametrize("place", [(0, 0), (30, 40), (17, 23)])
def test_one_bad_pixel_is_found_anywhere(
    bad: float, wavelet: str, pooling: str, place: tuple[int, int]
) -> None:
    pixels = np.ones((2, 1, 31, 41), np.float32)
    pixels[1, 0, place[0], place[1]] = bad
    with pytest.raises(NonFiniteError):
        Codec(2, 3, wavelet, pooling).encode(pixels)
    with pytest.raises(NonFiniteError):
        decompose(pixels, CodecSpec(2, 3, wavelet, pooling))


def test_squares_that_overflow_are_an_error() -> None:
    with pytest.raises(NonFiniteError, match="too large"):
        Codec(1, 1, "db2", "l2").encode(np.full((8, 8), 1e30, np.float32))


def test_what_cannot_be_decoded() -> None:
    codec = Codec(1, 3)
    code = codec.encode(np.ones((9, 9)))
    with pytest.raises(SpecError, match=r"P=3 .* P=4|P=4 .* P=3"):
        Codec(1, 4).decode(code)
    with pytest.raises(SpecError, match="'original' or 'compact'"):
        codec.decode(code, "large")  # type: ignore[arg-type]


def test_codec_takes_a_spec_or_settings() -> None:
    spec = CodecSpec(2, 3, "db2", ("l1", "max"), "periodic", "padded")
    assert Codec(spec).spec == spec
    assert Codec(2, 3, "db2", ["l1", "max"], "periodic", "padded").spec == spec
    assert repr(Codec(spec)) == "Codec(J=2 P=3 db2 l1+max periodic padded)"
    with pytest.raises(SpecError, match="either a spec or"):
        Codec(spec, 3)
    with pytest.raises(SpecError, match="either a spec or"):
        Codec(spec, wavelet="db2")
    with pytest.raises(SpecError, match="patches"):
        Codec(2)
    for pooling in (None, 5, {"l1", "max"}):
        with pytest.raises(SpecError, match="pooling"):
            Codec(2, 3, pooling=pooling)  # type: ignore[arg-type]
