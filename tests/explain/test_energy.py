"""Shares of energy: those of the pixels, and those that a code knows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deepfixcx import Code, Codec, CodecSpec
from deepfixcx.errors import CodeError, ExplanationError, NonFiniteError
from deepfixcx.explain.bands import Energy, band_energy, code_energy
from deepfixcx.explain.naming import ORIENTATIONS, band_name, band_names
from deepfixcx.images import phantom
from deepfixcx.packets import decompose


def noise(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random(shape, np.float32)


def stripes(period: int, axis: int) -> NDArray[np.float32]:
    wave = 0.5 + 0.4 * np.cos(2 * np.pi * (np.arange(64) + 0.5) / period)
    return np.broadcast_to(wave[:, None] if axis == 0 else wave, (64, 64)).astype(np.float32)


@given(st.integers(1, 3), st.integers(8, 40), st.integers(8, 40), st.integers(1, 3))
def test_shares_of_haar_are_those_of_the_pixels(
    level: int, height: int, width: int, channels: int
) -> None:
    """The approximation's share by hand: the squared sums of blocks."""
    image = noise((channels, height, width), height)
    energy = band_energy(image, CodecSpec(level, 1))
    assert energy.exact
    assert energy.shares.sum() == pytest.approx(1)
    block = 2**level
    rows, columns = height // block, width // block  # blocks that are padded do not count
    whole = image[:, : rows * block, : columns * block].astype(np.float64)
    sums = whole.reshape(channels, rows, block, columns, block).sum(axis=(2, 4))
    expected = (sums**2).sum() / block**2 / (whole**2).sum()
    assert energy.brightness == pytest.approx(expected, rel=1e-4)


@given(st.integers(1, 2), st.integers(1, 4))
def test_codes_of_squares_know_the_energy(level: int, patches: int) -> None:
    image = noise((2, 32, 44), patches)
    for pooling in ("l2", ("max", "l2")):
        spec = CodecSpec(level, patches, pooling=pooling)
        reported = code_energy(Codec(spec).encode(image))
        assert reported.exact
        np.testing.assert_allclose(reported.shares, band_energy(image, spec).shares, rtol=1e-4)


@pytest.mark.parametrize("wavelet", ["haar", "db2"])
def test_padding_is_not_taken_for_anatomy(wavelet: str) -> None:
    """Of an even image, whose only edges are those to the zeros around it, no edge is found."""
    spec, image = CodecSpec(3, 8, wavelet), np.full((117, 91), 0.5, np.float32)
    energy = band_energy(image, spec)
    assert energy.padding == pytest.approx(1, abs=1e-6)
    assert energy.brightness == pytest.approx(1, abs=1e-6)
    reported = code_energy(Codec(spec).encode(image))
    assert reported.brightness == pytest.approx(1, abs=1e-6)
    assert band_energy(image[:112, :88], CodecSpec(3, 8)).padding == pytest.approx(0)


@pytest.mark.parametrize("grid", ["balanced", "padded"])
def test_cells_with_padding_are_left_out_of_a_code(grid: str) -> None:
    """By hand: of 30 x 41 pixels the last row and column of blocks of 4 x 4 are padded."""
    spec = CodecSpec(2, 4, pooling="l2", grid=grid)  # type: ignore[arg-type]
    image = noise((30, 41))
    rows, columns = spec.cells(30, 41)
    inner = [
        [k for k in range(4) if cells.stops[k] * 4 <= side and cells.lengths[k]
         == cells.stops[k] - cells.starts[k]]
        for cells, side in ((rows, 30), (columns, 41))
    ]  # fmt: skip
    squares = decompose(image, spec)[0, 0].astype(np.float64) ** 2
    expected = np.zeros(16)
    for i in inner[0]:
        for j in inner[1]:
            expected += squares[
                :, rows.starts[i] : rows.stops[i], columns.starts[j] : columns.stops[j]
            ].sum(axis=(1, 2))
    reported = code_energy(Codec(spec).encode(image))
    np.testing.assert_allclose(reported.shares, expected / expected.sum(), rtol=1e-4)
    assert 0 < reported.padding < 1


@pytest.mark.parametrize("pooling", ["l1", "sum", "max", ("sum", "l1")])
def test_other_codes_know_it_where_cells_are_even(pooling: str | tuple[str, ...]) -> None:
    """Blocks that are all the same: each cell has one value, and nothing is lost."""
    block = np.abs(noise((4, 4)))
    spec = CodecSpec(2, 2, pooling=pooling)
    image = np.tile(block, (8, 8))
    reported, true = code_energy(Codec(spec).encode(image)), band_energy(image, spec)
    assert not reported.exact
    np.testing.assert_allclose(reported.shares, true.shares, atol=1e-6)


def test_of_several_poolings_l1_is_taken_before_others() -> None:
    image = phantom(np.random.default_rng(0), 64)
    both = code_energy(Codec(2, 2, pooling=["sum", "l1"]).encode(image))
    alone = code_energy(Codec(2, 2).encode(image))
    np.testing.assert_allclose(both.shares, alone.shares, rtol=1e-5)


@pytest.mark.parametrize(("axis", "orientation"), [(0, "horizontal"), (1, "vertical")])
@pytest.mark.parametrize(("period", "octave"), [(3, 2), (6, 1), (12, 0)])
def test_stripes_have_their_energy_at_their_scale_and_orientation(
    axis: int, orientation: str, period: int, octave: int
) -> None:
    energy = band_energy(stripes(period, axis), CodecSpec(3, 1))
    table = energy.by_scale_and_orientation()
    assert table.shape == (3, 3)
    assert table.sum() == pytest.approx(1)
    row, column = np.unravel_index(table.argmax(), table.shape)
    assert ORIENTATIONS[row] == orientation
    assert column == octave
    low, high = energy.octaves()[octave]
    assert low <= period <= high
    strongest = energy.strongest(1)[0]
    assert strongest.orientation == orientation
    assert strongest.low <= period <= strongest.high


def test_the_layout_by_frequency_has_every_band_in_its_place() -> None:
    energy = band_energy(noise((64, 64)), CodecSpec(2, 1))
    laid = energy.by_frequency()
    assert laid[0, 0] == 0
    assert laid.sum() == pytest.approx(1)
    for name in band_names(2)[1:]:
        assert laid[name.row, name.column] == energy.details[name.number]


def test_strongest_are_in_order_and_never_the_approximation() -> None:
    energy = band_energy(noise((64, 64)), CodecSpec(2, 1))
    names = energy.strongest(99)
    assert len(names) == 15
    shares = [energy.shares[name.number] for name in names]
    assert shares == sorted(shares, reverse=True)
    assert band_name("aa") not in names
    with pytest.raises(ExplanationError):
        energy.strongest(0)


@pytest.mark.parametrize("image", [np.zeros((8, 8), np.uint8), np.full((8, 8), 0.5)])
def test_without_edges_there_are_no_shares(image: NDArray[np.float64]) -> None:
    spec = CodecSpec(1, 1)
    for energy in (band_energy(image, spec), code_energy(Codec(spec).encode(image))):
        assert energy.brightness == pytest.approx(float(image.max() > 0))
        assert np.isfinite(energy.by_scale_and_orientation()).all()
        assert energy.by_scale_and_orientation().sum() == pytest.approx(0, abs=1e-9)
        assert energy.strongest(3) == ()


def test_integers_are_scaled() -> None:
    image = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
    one, other = (band_energy(each, CodecSpec(2, 1)) for each in (image, image / 255))
    np.testing.assert_allclose(one.shares, other.shares, rtol=1e-5)


def test_one_image_of_a_code_is_taken() -> None:
    images = [noise((16, 16)), stripes(6, 1)]
    codec = Codec(2, 2, pooling="l2")
    code = codec.encode(images)
    for number, image in enumerate(images):
        expected = band_energy(image, codec.spec).shares
        np.testing.assert_allclose(code_energy(code, number).shares, expected, rtol=1e-4)
    for number in (2, -1):
        with pytest.raises(CodeError, match="images 0 to 1"):
            code_energy(code, number)


def test_what_cannot_be_measured_is_named() -> None:
    spec = CodecSpec(1, 1)
    with pytest.raises(ExplanationError, match="on one image"):
        band_energy(np.zeros((2, 1, 8, 8)), spec)
    with pytest.raises(NonFiniteError):
        band_energy(np.full((8, 8), np.nan), spec)
    with pytest.raises(ExplanationError, match="levels 1 to 8"):
        band_energy(np.zeros((8, 8)), CodecSpec(9, 1))
    broken = Code(np.full((1, 1, 4, 1, 1), np.nan, np.float32), spec, np.array([[8, 8]]))
    with pytest.raises(CodeError, match="NaN"):
        code_energy(broken)


def test_an_energy_is_a_value() -> None:
    assert "shares" not in repr(Energy(1, np.ones(4) / 4, exact=True))
