"""The mosaic puts every band where its frequency is."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepfixcx import Codec, CodecSpec, DeepfixcxError
from deepfixcx.packets import band_number, band_position, recompose
from deepfixcx.report import mosaic


def paths(level: int) -> list[str]:
    return ["".join(letters) for letters in product("avhd", repeat=level)]


@pytest.mark.parametrize("level", [1, 2, 3])
def test_every_band_has_its_own_place(level: int) -> None:
    places = {band_position(path) for path in paths(level)}
    assert places == set(product(range(2**level), repeat=2))


@pytest.mark.parametrize("level", [1, 2, 3])
def test_place_is_the_number_of_sign_changes_of_the_haar_pattern(level: int) -> None:
    spec = CodecSpec(level, 1)
    for path in paths(level):
        bands = np.zeros((1, 1, spec.bands, 1, 1), np.float32)
        bands[0, 0, band_number(path, level)] = 1
        pattern = recompose(bands, spec, spec.block, spec.block)[0, 0]
        down = int((np.diff(np.sign(pattern[:, 0])) != 0).sum())
        across = int((np.diff(np.sign(pattern[0])) != 0).sum())
        assert band_position(path) == (down, across), path


@pytest.mark.parametrize("wavelet", ["haar", "db4"])
@pytest.mark.parametrize("vertical", [True, False])
def test_finer_stripes_lie_further_out(wavelet: str, vertical: bool) -> None:
    codec = Codec(3, 1, wavelet, boundary="periodic")
    places = []
    for waves in range(2, 128, 8):
        stripes = np.cos(2 * np.pi * waves / 256 * np.arange(256))
        image = np.tile(stripes, (256, 1)) if vertical else np.tile(stripes[:, None], 256)
        tiles = mosaic(codec.encode(image.astype(np.float32)))
        row, column = divmod(int(tiles.argmax()), 8)
        assert (row if vertical else column) == 0
        places.append(column if vertical else row)
    assert places == sorted(places)
    assert places[0] == 0
    assert places[-1] == 7


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_tiles_are_the_bands(level: int, rows: int, columns: int) -> None:
    codec = Codec(level, (rows, columns))
    code = codec.encode(np.random.default_rng(level).random((3, 40, 32), np.float32))
    laid = mosaic(code)
    assert laid.shape == (2**level * rows, 2**level * columns)
    for path in ("a" * level, "v" * level, "h" + "a" * (level - 1)):
        row, column = band_position(path)
        tile = laid[row * rows : (row + 1) * rows, column * columns : (column + 1) * columns]
        np.testing.assert_allclose(tile, code.band(path)[0].mean(axis=0), rtol=1e-6)


def test_squares_become_roots_and_signs_are_dropped() -> None:
    image = np.full((1, 8, 8), 0.5, np.float32)
    assert mosaic(Codec(1, 1, pooling="l2").encode(image))[0, 0] == pytest.approx(1)
    assert mosaic(Codec(1, 1, pooling=("sum", "max")).encode(-image))[0, 0] == pytest.approx(1)


def test_unknown_letters_are_refused() -> None:
    with pytest.raises(DeepfixcxError):
        band_position("ax")
