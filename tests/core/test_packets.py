"""The wavelet packet against the oracle, against PyWavelets, and against its own inverse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import pywt
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deepfixcx.errors import ImageTooSmallError, NonFiniteError, PixelsShapeError, SpecError
from deepfixcx.packets import SUBBANDS, band_number, band_path, decompose, recompose
from deepfixcx.pooling import pool, unpool
from deepfixcx.spec import CodecSpec
from deepfixcx.wavelets import filter_bank

from . import oracle
from .strategies import MAX_SIDE, images_and_specs, sides

ALL_WAVELETS = pywt.wavelist(kind="discrete")
# dmey is PyWavelets' truncated Meyer filter: it calls it orthogonal, but it is so only to 1e-2
# (see test_dmey_is_orthonormal_only_roughly), so it cannot invert any better.
ORTHONORMAL = [name for name in ALL_WAVELETS if pywt.Wavelet(name).orthogonal and name != "dmey"]
BIORTHOGONAL = [name for name in ALL_WAVELETS if not pywt.Wavelet(name).orthogonal]


def _image(height: int, width: int) -> NDArray[np.float32]:
    return np.random.default_rng([height, width]).random((height, width), np.float32)


def _flipped(image: NDArray[Any]) -> NDArray[Any]:
    return image[..., ::-1, ::-1]


# -- against the oracle ---------------------------------------------------------------------------


@given(images_and_specs())
def test_decompose_is_the_oracle(drawn: tuple[NDArray[Any], CodecSpec]) -> None:
    pixels, spec = drawn
    bands = decompose(pixels, spec)
    batch = oracle.to_unit(pixels).reshape((1,) * (4 - pixels.ndim) + pixels.shape)
    assert bands.shape[:3] == (*batch.shape[:2], 4**spec.level)
    assert bands.dtype == np.float32
    for n in range(len(batch)):
        for channel in range(batch.shape[1]):
            want = oracle.decompose(batch[n, channel], spec.level, spec.wavelet, spec.boundary)
            np.testing.assert_allclose(bands[n, channel], want, rtol=0, atol=2e-5)


@pytest.mark.parametrize("boundary", ["zero", "periodic"])
@pytest.mark.parametrize("wavelet", ALL_WAVELETS)
def test_every_wavelet_is_the_oracle(wavelet: str, boundary: Any) -> None:
    image = _image(11, 10)
    spec = CodecSpec(2, 1, wavelet, boundary=boundary)
    want = oracle.decompose(image.astype(np.float64), 2, wavelet, boundary)
    scale = np.abs(want).max()
    bands = decompose(image, spec)
    np.testing.assert_allclose(bands[0, 0], want, rtol=0, atol=1e-5 * scale)
    back = oracle.recompose(want, 2, wavelet, boundary, 11, 10)
    got = recompose(want[None, None].astype(np.float32), spec, 11, 10)
    np.testing.assert_allclose(got[0, 0], back, rtol=0, atol=1e-5 * max(scale, abs(back).max()))


# -- against PyWavelets ---------------------------------------------------------------------------
# PyWavelets convolves and this package correlates, which is the same on the image turned by 180
# degrees. Nothing else differs in periodization mode where 2**J divides the image: no shift, no
# sign, and the paths have the same letters.


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("wavelet", ALL_WAVELETS)
def test_periodic_is_the_periodization_of_pywavelets(wavelet: str, level: int) -> None:
    image = _image(16, 24)
    bands = decompose(image, CodecSpec(level, 1, wavelet, boundary="periodic"))[0, 0]
    packet = pywt.WaveletPacket2D(
        _flipped(image).astype(np.float64), wavelet, "periodization", maxlevel=level
    )
    scale = np.abs(bands).max()
    for number, band in enumerate(bands):
        theirs = _flipped(packet[band_path(number, level)].data)
        np.testing.assert_allclose(band, theirs, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_haar_is_pywavelets_with_zeros(level: int) -> None:
    image = _image(32, 16)
    packet = pywt.WaveletPacket2D(_flipped(image), "haar", "zero", maxlevel=level)
    for number, band in enumerate(decompose(image, CodecSpec(level, 1))[0, 0]):
        theirs = _flipped(packet[band_path(number, level)].data)
        np.testing.assert_allclose(band, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("wavelet", ALL_WAVELETS)
def test_zero_is_pywavelets_on_an_image_between_zeros(wavelet: str) -> None:
    """One split: before the second, PyWavelets would keep what lies beyond the edge."""
    image = _image(13, 18)
    bands = decompose(image, CodecSpec(1, 1, wavelet))[0, 0]
    margin = 2 * pywt.Wavelet(wavelet).dec_len
    among_zeros = np.pad(image.astype(np.float64), ((margin, margin + 1), (margin, margin)))
    packet = pywt.WaveletPacket2D(_flipped(among_zeros), wavelet, "periodization", maxlevel=1)
    for letter, band in zip(SUBBANDS, bands, strict=True):
        first = margin // 2
        theirs = _flipped(packet[letter].data)[first : first + 7, first : first + 9]
        np.testing.assert_allclose(band, theirs, rtol=0, atol=1e-5 * np.abs(bands).max())


# -- against its own inverse ----------------------------------------------------------------------


@pytest.mark.parametrize("size", [(16, 24), (13, 9), (1, 7)])
@pytest.mark.parametrize("wavelet", [*ORTHONORMAL, *BIORTHOGONAL])
def test_periodic_inverts(wavelet: str, size: tuple[int, int]) -> None:
    image = _image(*size)
    spec = CodecSpec(2, 1, wavelet, boundary="periodic")
    bands = decompose(image, spec)
    # Biorthogonal filters are not of norm one: rounding grows with what the bands hold.
    scale = max(1.0, float(np.abs(bands).max()) / 4)
    np.testing.assert_allclose(recompose(bands, spec, *size)[0, 0], image, atol=1e-5 * scale)


@given(st.data(), sides, sides, st.sampled_from(["haar", "db2", "sym5", "coif3"]))
def test_periodic_inverts_at_any_size(
    data: st.DataObject, height: int, width: int, wavelet: str
) -> None:
    spec = CodecSpec(data.draw(st.integers(1, 4)), 1, wavelet, boundary="periodic")
    image = _image(height, width)
    back = recompose(decompose(image, spec), spec, height, width)
    np.testing.assert_allclose(back[0, 0], image, atol=1e-5)


@pytest.mark.parametrize("wavelet", ORTHONORMAL)
def test_periodic_keeps_the_energy(wavelet: str) -> None:
    image = _image(24, 16)
    bands = decompose(image, CodecSpec(3, 1, wavelet, boundary="periodic"))
    assert np.sum(bands.astype(float) ** 2) == pytest.approx(np.sum(image**2), rel=1e-5)


def test_dmey_is_orthonormal_only_roughly() -> None:
    low = np.array(pywt.Wavelet("dmey").dec_lo)
    products = [low[: len(low) - lag] @ low[lag:] for lag in range(0, len(low), 2)]
    error = np.abs(np.array(products) - np.eye(1, len(products))[0]).max()
    assert 1e-4 < error < 1e-2
    image = _image(32, 32)
    spec = CodecSpec(2, 1, "dmey", boundary="periodic")
    back = recompose(decompose(image, spec), spec, 32, 32)[0, 0]
    assert 1e-4 < np.abs(back - image).max() < 5e-2


@pytest.mark.parametrize("wavelet", ["db2", "coif2", "bior4.4"])
def test_zero_inverts_away_from_the_edge(wavelet: str) -> None:
    image = _image(65, 70)
    spec = CodecSpec(1, 1, wavelet)
    back = recompose(decompose(image, spec), spec, 65, 70)[0, 0]
    edge = filter_bank(wavelet).offset + 1
    inside = (slice(edge, -edge - 1), slice(edge, -edge - 1))
    np.testing.assert_allclose(back[inside], image[inside], atol=1e-5)


@given(st.integers(1, MAX_SIDE), st.integers(1, MAX_SIDE), st.integers(1, 4))
def test_haar_inverts_with_zeros_too(height: int, width: int, level: int) -> None:
    spec = CodecSpec(level, 1)
    image = _image(height, width)
    back = recompose(decompose(image, spec), spec, height, width)
    np.testing.assert_allclose(back[0, 0], image, atol=1e-6)


# -- names of bands -------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [1, 2, 3])
def test_paths_and_numbers_are_inverse(level: int) -> None:
    paths = [band_path(number, level) for number in range(4**level)]
    assert len(set(paths)) == 4**level
    assert [band_number(path, level) for path in paths] == list(range(4**level))


def test_a_vertical_edge_is_in_v() -> None:
    image = np.zeros((8, 8), np.float32)
    image[:, 3:] = 1
    strongest = np.abs(decompose(image, CodecSpec(1, 1))[0, 0, 1:]).sum((1, 2)).argmax() + 1
    assert band_path(int(strongest), 1) == "v"
    strongest = np.abs(decompose(image.T, CodecSpec(1, 1))[0, 0, 1:]).sum((1, 2)).argmax() + 1
    assert band_path(int(strongest), 1) == "h"


@pytest.mark.parametrize("path", ["", "a", "aaa", "ax", "AA"])
def test_paths_that_name_no_band(path: str) -> None:
    with pytest.raises(SpecError, match="2 letters of 'avhd'"):
        band_number(path, 2)


@pytest.mark.parametrize("number", [-1, 16])
def test_numbers_of_no_band(number: int) -> None:
    with pytest.raises(SpecError, match="0 to 15"):
        band_path(number, 2)


# -- errors ---------------------------------------------------------------------------------------


def test_decompose_refuses_what_it_cannot_split() -> None:
    spec = CodecSpec(1, 1, "db2")
    with pytest.raises(PixelsShapeError):
        decompose(np.ones(4), spec)
    with pytest.raises(NonFiniteError):
        decompose(np.full((4, 4), np.nan), spec)
    assert decompose(np.ones((0, 1, 4, 4)), spec).shape == (0, 1, 4, 2, 2)


@pytest.mark.parametrize("shape", [(1, 1, 4, 4, 5), (1, 1, 16, 4, 4), (1, 4, 4, 4)])
def test_bands_of_another_image(shape: tuple[int, ...]) -> None:
    bands = np.ones(shape, np.float32)
    with pytest.raises(PixelsShapeError, match=r"\(B, C, 4, 4, 4\)"):
        recompose(bands, CodecSpec(1, 1), 8, 7)
    with pytest.raises(PixelsShapeError, match=r"\(B, C, 4, 4, 4\)"):
        pool(bands, CodecSpec(1, 1), 8, 7)


def test_pool_of_nothing_and_of_too_little() -> None:
    spec = CodecSpec(1, 3, pooling=("l1", "max"))
    assert pool(np.ones((0, 2, 4, 5, 5), np.float32), spec, 10, 10).shape == (0, 2, 4, 3, 3, 2)
    with pytest.raises(ImageTooSmallError):
        pool(np.ones((1, 1, 4, 2, 5), np.float32), spec, 4, 10)


@pytest.mark.parametrize("grid", ["balanced", "padded"])
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 7))
def test_unpool_is_the_oracle(grid: Any, height: int, width: int, patches: int) -> None:
    spec = CodecSpec(1, patches, grid=grid)
    if grid == "balanced" and min(spec.band_shape(height, width)) < patches:
        return
    values = np.random.default_rng(0).random((1, 1, 4, patches, patches), np.float32)
    want = oracle.unpool(values[0, 0], spec.band_shape(height, width), grid)
    assert np.array_equal(unpool(values, spec, height, width)[0, 0], want.astype(np.float32))
