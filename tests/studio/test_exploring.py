"""What Explore says of a setting is what the codec does."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from deepfixcx.packets import band_path, band_position
from deepfixcx.report.html import mosaic
from deepfixcx.studio.exploring import Look, example, example_names
from deepfixcx.studio.uploads import Picture
from deepfixcx.studio.workspace import Settings

NOISE = np.random.default_rng(0).integers(0, 256, (2, 1, 45, 61), np.uint8)
PICTURE = Picture(NOISE, 1000, "noise")


def shown(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def test_pictures_are_the_image_and_its_reconstruction() -> None:
    look = Look(PICTURE, Settings(2, 4, size="original"), frame=1)
    assert np.array_equal(shown(look.original_png()), NOISE[1, 0])
    expected = look.codec.privatize(NOISE[1, 0], "original")
    assert np.abs(shown(look.privatized_png()) - 255 * expected.clip(0, 1)).max() <= 0.51
    assert shown(Look(PICTURE, Settings(2, 4)).privatized_png()).shape == (16, 16)


@given(st.integers(1, 4), st.integers(1, 3), st.data())
def test_the_cell_under_the_pointer_is_the_number_of_the_mosaic(
    level: int, patches: int, data: st.DataObject
) -> None:
    look = Look(PICTURE, Settings(level, patches, grid="padded"))
    values = mosaic(look.code)
    row, column = (data.draw(st.integers(0, len(values) - 1)) for _ in range(2))
    cell = look.cell(row // patches, column // patches, row % patches, column % patches)
    assert cell.words.endswith(f": {values[row, column]:.3g}")


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_every_place_of_the_mosaic_is_a_band(level: int) -> None:
    look = Look(PICTURE, Settings(level, 1))
    places = {band_position(band_path(number, level)): number for number in range(4**level)}
    for (row, column), number in places.items():
        assert f"(band {band_path(number, level)})" in look.cell(row, column, 0, 0).words


def test_cells_cover_the_image_once() -> None:
    look = Look(PICTURE, Settings(2, 3))
    boxes = [look.cell(0, 0, row, column).box for row in range(3) for column in range(3)]
    assert sum(width * height for _, _, width, height in boxes) == pytest.approx(1)
    assert boxes[0][:2] == (0, 0)
    assert boxes[-1][0] + boxes[-1][2] == pytest.approx(1)


@pytest.mark.parametrize("place", [(4, 0, 0, 0), (0, 0, 3, 0), (-1, 0, 0, 0), (0, 0, 0, -1)])
def test_places_outside_the_mosaic_are_refused(place: tuple[int, int, int, int]) -> None:
    with pytest.raises(IndexError):
        Look(PICTURE, Settings(2, 3)).cell(*place)


def test_figures_count_every_frame_at_its_depth() -> None:
    look = Look(PICTURE, Settings(2, 3))
    figures = look.figures()
    assert figures.kept.startswith("144 of 2,745 values")
    # two frames of 45 x 61 bytes become two codes of 144 values of 4 bytes
    assert figures.memory == "5.5 kB → 1.2 kB  (1 : 4.8), 2 frames"
    assert figures.disk.startswith("1.0 kB → code 1.")
    assert look.likeness().startswith("SSIM ")
    deep = Picture(np.zeros((1, 1, 40, 40), np.float32), 0, "16 bit", 16)
    assert Look(deep, Settings(2, 3)).figures().memory.startswith("3.2 kB → 576 bytes")
    tiny = Picture(np.zeros((1, 1, 9, 9), np.uint8), 0, "tiny")
    assert "smaller than 11" in Look(tiny, Settings(1, 1)).likeness()


def test_every_example_can_be_shown() -> None:
    assert len(example_names()) >= 1
    for name in example_names():
        picture = example(name)
        _, height, width = picture.shape
        assert f"{height:,} × {width:,}" in picture.words
        look = Look(picture, Settings())
        look.privatized_png()
        assert look.units()["unit"] == ("HU" if name == "Head, CT" else "")
