"""Figures say what is true of the image, name nobody, and are the same every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from deepfixcx import Codec, CodecSpec, DeepfixcxError
from deepfixcx.errors import ImageTooSmallError, PixelsShapeError, SpecError
from deepfixcx.images import phantom, read_image
from deepfixcx.report import Kept, contact_sheet, gallery, show_figure, write_figure
from deepfixcx.report.drawing import for_display
from deepfixcx.report.words import obscured, preserved, removed


@pytest.fixture(scope="module")
def chest() -> NDArray[np.float32]:
    return phantom(np.random.default_rng(7), 128)


def words_of(figure: Figure) -> str:
    inside = [text for axes in figure.axes for text in axes.texts]
    return "\n".join(text.get_text() for text in [*figure.texts, *inside])


def images_of(figure: Figure) -> list[NDArray[np.float64]]:
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def spills(figure: Figure) -> list[str]:
    """Return the texts that reach beyond the page."""
    figure.draw_without_rendering()
    page = figure.bbox
    boxes = [(text.get_text(), text.get_window_extent()) for text in figure.texts]
    return [
        words
        for words, box in boxes
        if box.x0 < page.x0 or box.x1 > page.x1 or box.y0 < page.y0 or box.y1 > page.y1
    ]


def test_show_draws_original_privatized_and_bands(chest: NDArray[np.float32]) -> None:
    codec = Codec(2, 4)
    figure = show_figure(chest, codec)
    original, privatized, bands = images_of(figure)
    np.testing.assert_array_equal(original, chest)
    np.testing.assert_allclose(privatized, np.clip(codec.privatize(chest), 0, 1), rtol=1e-5)
    assert bands.shape == (16, 16)
    assert bands.max() == 1
    assert bands[:4, :4].mean() > 10 * bands[4:, 4:].mean()


def test_show_says_how_many_numbers_are_kept(chest: NDArray[np.float32]) -> None:
    words = words_of(show_figure(chest, Codec(2, 4)))
    assert "256 of 16,384 values (1.6 %, 1 : 64)" in words
    assert "J=2 P=4 haar l1" in words
    assert "128 × 128 pixels" in words
    assert "16 × 16 pixels, drawn larger" in words
    assert "a cell of 32 × 32 pixels" in words


def test_show_of_the_original_size(chest: NDArray[np.float32]) -> None:
    figure = show_figure(chest, Codec(2, 4), size="original")
    assert images_of(figure)[1].shape == (128, 128)
    assert "cells filled in" in words_of(figure)


def test_show_says_which_frame_it_is(chest: NDArray[np.float32]) -> None:
    assert "frame 1 of 30" in words_of(show_figure(chest, Codec(2, 4), frames=30))


@pytest.mark.parametrize(
    ("shape", "codec"),
    [
        ((3, 40, 300), Codec(2, 4)),
        ((1, 300, 40), Codec(3, 4, "db2")),
        ((2, 64, 64), Codec(1, (3, 9), pooling=("median", "max"))),
        ((512, 512), Codec(5, 16)),
        ((64, 64), Codec(6, 1, pooling="sum", grid="padded")),
    ],
)
def test_show_fits_its_page(shape: tuple[int, ...], codec: Codec) -> None:
    figure = show_figure(np.random.default_rng(0).random(shape, np.float32), codec, frames=1000)
    assert spills(figure) == []


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0])
def test_show_of_one_gray(tmp_path: Path, value: float) -> None:
    figure = show_figure(np.full((32, 32), value, np.float32), Codec(1, 4))
    write_figure(tmp_path / "a.png", figure, dpi=30)
    original = images_of(figure)[0]
    assert original.min() >= 0
    assert original.max() <= 1


def test_integers_are_scaled_and_three_channels_are_colour() -> None:
    image = np.zeros((3, 4, 6), np.uint16)
    image[1] = 65535
    np.testing.assert_array_equal(for_display(image), np.tile([0.0, 1.0, 0.0], (4, 6, 1)))
    assert for_display(np.ones((2, 4, 6), np.uint8)).shape == (4, 6)


def test_large_images_are_reduced_before_drawing() -> None:
    assert for_display(np.zeros((1, 3000, 2500), np.uint8)).shape == (1500, 1250)


def test_one_image_a_figure() -> None:
    with pytest.raises(PixelsShapeError):
        show_figure(np.zeros((2, 1, 16, 16)), Codec(1, 2))
    with pytest.raises(ImageTooSmallError):
        show_figure(np.zeros((16, 16)), Codec(3, 8))


def test_sheet_has_the_ratio_of_every_setting(chest: NDArray[np.float32]) -> None:
    figure = contact_sheet(chest, (1, 2, 3), (4, 16, 32))
    words = words_of(figure)
    for level, patches in [(1, 4), (1, 16), (1, 32), (2, 4), (2, 16), (2, 32), (3, 4), (3, 16)]:
        kept = Kept.of_image(CodecSpec(level, patches), 1, 128, 128)
        assert f"{kept.percent}  ({kept.ratio})" in words
    assert words.count("%") == 8
    assert "does not fit:\nbands have\n16 × 16 values" in words
    assert [f"J = {level}" in words for level in (1, 2, 3)] == [True] * 3
    assert [f"P = {patches}" in words for patches in (4, 16, 32)] == [True] * 3
    assert spills(figure) == []


def test_sheet_draws_the_reconstructions(chest: NDArray[np.float32]) -> None:
    original, first, second = images_of(contact_sheet(chest, (2,), (4, 8)))
    np.testing.assert_array_equal(original, chest)
    for drawn, patches in ((first, 4), (second, 8)):
        expected = np.clip(Codec(2, patches).privatize(chest, "original"), 0, 1)
        np.testing.assert_allclose(drawn, expected, rtol=1e-5)


def test_sheet_uses_the_other_settings(chest: NDArray[np.float32]) -> None:
    like = CodecSpec(1, 1, wavelet="db2", pooling="max")
    drawn = images_of(contact_sheet(chest, (2,), (4,), like=like))[1]
    expected = Codec(2, 4, "db2", "max").privatize(chest, "original")
    np.testing.assert_allclose(drawn, np.clip(expected, 0, 1), rtol=1e-5)


def test_sheet_without_settings_is_refused(chest: NDArray[np.float32]) -> None:
    with pytest.raises(SpecError):
        contact_sheet(chest, (), (4,))
    with pytest.raises(SpecError):
        gallery({"chest": chest}, [])
    with pytest.raises(PixelsShapeError):
        gallery({}, [CodecSpec(1, 1)])


def test_gallery_has_a_row_for_each_image(chest: NDArray[np.float32]) -> None:
    colour = np.stack([chest[:60], chest[:60], chest[:60]])
    figure = gallery({"chest": chest, "colour": colour}, [CodecSpec(2, 4), CodecSpec(2, 16)])
    assert [drawn.shape for drawn in images_of(figure)] == [(128, 128)] * 3 + [(60, 128, 3)] * 2
    assert "does not fit" in words_of(figure)
    assert spills(figure) == []


def test_same_figure_same_bytes_without_traces_of_the_machine(
    tmp_path: Path, chest: NDArray[np.float32]
) -> None:
    for name in ("a.png", "b.png"):
        write_figure(tmp_path / name, show_figure(chest, Codec(2, 4)), dpi=40)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]
    with Image.open(tmp_path / "a.png") as picture:
        assert set(picture.info) <= {"dpi"}


def test_a_figure_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(DeepfixcxError, match="not a regular file"):
        write_figure(tmp_path / "a.png", Figure(figsize=(1, 1)))
    with pytest.raises(DeepfixcxError, match="cannot be written"):
        write_figure(tmp_path / "none" / "a.png", Figure(figsize=(1, 1)))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_numbers_in_words() -> None:
    assert str(Kept(1024, 262144)) == "1,024 of 262,144 values (0.39 %, 1 : 256)"
    assert Kept(200, 100).ratio == "1 : 0.5"
    assert Kept(200, 100).percent == "200 %"


@pytest.mark.parametrize("pooling", ["l1", "l2", "sum_pos", "sum_neg"])
def test_single_coefficients_lose_their_sign_at_least(pooling: str) -> None:
    spec = CodecSpec(3, 8, pooling=pooling)
    found = removed(spec, 64, 64)
    assert "brighter side" in found or "edges of one sign" in found
    assert obscured(spec, 64, 64).startswith("little")


@pytest.mark.parametrize("pooling", ["sum", "max", "min", "median", ("l1", "sum")])
def test_figure_admits_when_nothing_is_removed(pooling: str | tuple[str, ...]) -> None:
    spec = CodecSpec(3, 8, pooling=pooling)
    assert removed(spec, 64, 64).startswith("nothing")
    assert not removed(spec, 128, 128).startswith("nothing")
    if isinstance(pooling, str):  # and so it is
        image = np.random.default_rng(0).random((64, 64), np.float32)
        np.testing.assert_allclose(Codec(spec).privatize(image, "original"), image, atol=1e-5)


def test_words_for_a_single_cell() -> None:
    assert "1 × 1" not in preserved(CodecSpec(2, 1))


def test_figures_of_real_images(data_folder: Path, tmp_path: Path) -> None:
    for folder in ("cxr_nih", "fundus_dr"):
        path = sorted((data_folder / folder / "images").iterdir())[0]
        figure = show_figure(read_image(path).pixels[0], Codec(3, 8))
        assert path.stem not in words_of(figure)
        write_figure(tmp_path / "a.png", figure, dpi=40)
