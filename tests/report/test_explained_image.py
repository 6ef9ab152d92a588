"""The figure of one code shows the code, and the original only where it was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepfixcx import Code, Codec, CodecSpec
from deepfixcx.errors import ExplanationError, PixelsShapeError
from deepfixcx.explain.bands import band_energy, code_energy, explain_bands
from deepfixcx.explain.naming import Spacing
from deepfixcx.images import phantom, read_image
from deepfixcx.report import mosaic, write_figure
from deepfixcx.report.explained_image import explained_figure
from tests.report.test_figures import images_of, words_of


@pytest.fixture(scope="module")
def chest() -> NDArray[np.float32]:
    return phantom(np.random.default_rng(7), 128)


def explained(
    pixels: NDArray[np.float32],
    spec: CodecSpec,
    *,
    spacing: Spacing | None = None,
    original: bool = False,
) -> Figure:
    code = Codec(spec).encode(pixels)
    summary = explain_bands(spec, pixels.shape[-2], pixels.shape[-1], spacing)
    energy = band_energy(pixels, spec)
    return explained_figure(code, summary, energy, original=pixels if original else None)


def spills(figure: Figure) -> list[str]:
    """Return what reaches beyond the page: words, or the labels of axes."""
    figure.draw_without_rendering()
    page = figure.bbox
    labels = [label for axes in figure.axes for label in axes.get_xticklabels()]
    labels += [label for axes in figure.axes for label in axes.get_yticklabels()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in [*figure.texts, *labels]]
    return [
        words
        for words, box in boxes
        if words and not (page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0)
    ]


def overlaps(figure: Figure) -> list[tuple[str, str]]:
    """Return pairs of words that are written over each other."""
    figure.draw_without_rendering()
    labels = [label for axes in figure.axes for label in axes.get_xticklabels()]
    texts = [text for text in [*figure.texts, *labels] if text.get_text().strip()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    return [
        (one, other)
        for place, (one, box) in enumerate(boxes)
        for other, another in boxes[place + 1 :]
        if box.x0 < another.x1 and another.x0 < box.x1 and box.y0 < another.y1
        and another.y0 < box.y1
    ]  # fmt: skip


def test_it_draws_reconstruction_code_and_energy(chest: NDArray[np.float32]) -> None:
    spec = CodecSpec(2, 4)
    reconstruction, bands, energy = images_of(explained(chest, spec))
    code = Codec(spec).encode(chest)
    expected = np.clip(Codec(spec).decode(code), 0, 1)[0][0]
    np.testing.assert_allclose(reconstruction, expected, rtol=1e-5)
    values = mosaic(code)
    np.testing.assert_allclose(bands.max(), 1)
    assert bands.shape == values.shape
    table = band_energy(chest, spec).by_scale_and_orientation()
    np.testing.assert_allclose(energy, table / table.max())


def test_the_original_is_there_only_where_it_is_given(chest: NDArray[np.float32]) -> None:
    spec = CodecSpec(2, 4)
    without, shown = (explained(chest, spec, original=original) for original in (False, True))
    assert "original" not in words_of(without)
    assert not any(np.array_equal(drawn, chest) for drawn in images_of(without))
    original, reconstruction, missing, *_ = images_of(shown)
    np.testing.assert_array_equal(original, chest)
    difference = chest - reconstruction
    expected = 0.5 + difference / (2 * np.abs(difference).max())
    np.testing.assert_allclose(missing, expected, atol=1e-5)
    assert "not for sharing" in words_of(shown)


def test_it_says_in_words_what_is_left(chest: NDArray[np.float32]) -> None:
    words = " ".join(words_of(explained(chest, CodecSpec(2, 4), spacing=(0.5, 0.5))).split())
    assert "256 of 16,384 values (1.6 %, 1 : 64), with J=2 P=4 haar l1" in words
    for kind in ("removed", "obscured", "preserved"):
        assert kind in words
    assert "a cell of 32 × 32 pixels (16 × 16 mm)" in words
    assert "the brighter side of an edge" in words
    assert "local brightness: 99" in words
    assert "px (2–4 mm)" in words
    assert words.count("%") >= 7  # a share for each scale and orientation
    rough = words_of(explained(chest, CodecSpec(2, 4, "db2")))
    assert "the mean brightness of each of 4 × 4 cells (roughly)" in rough


def test_codes_tell_less_of_the_energy(chest: NDArray[np.float32]) -> None:
    spec = CodecSpec(2, 4)
    code = Codec(spec).encode(chest)
    summary = explain_bands(spec, 128, 128)
    assert "estimated from the code" in words_of(explained_figure(code, summary, code_energy(code)))
    exact = explained_figure(code, summary, band_energy(chest, spec))
    assert "estimated from the code" not in words_of(exact)


def test_one_image_of_several_is_drawn(chest: NDArray[np.float32]) -> None:
    spec = CodecSpec(2, 4)
    code = Codec(spec).encode(np.stack([chest, chest[::-1]])[:, None])
    summary = explain_bands(spec, 128, 128)
    drawn = images_of(explained_figure(code, summary, code_energy(code, 1), image=1))[0]
    expected = np.clip(Codec(spec).privatize(chest[::-1], "original"), 0, 1)
    np.testing.assert_allclose(drawn, expected, rtol=1e-5)


@pytest.mark.parametrize("original", [True, False])
@pytest.mark.parametrize(
    ("shape", "spec", "spacing"),
    [
        ((40, 300), CodecSpec(2, 4), None),
        ((3, 300, 40), CodecSpec(3, 4, "db2"), (0.123, 12.3)),
        ((2, 64, 64), CodecSpec(1, (3, 9), pooling=("median", "max")), None),
        ((512, 512), CodecSpec(5, 16), (0.14, 0.14)),
        ((64, 64), CodecSpec(6, 1, pooling="sum", grid="padded"), None),
        ((64, 64), CodecSpec(1, 32, pooling="sum"), (1, 1)),
    ],
)
def test_words_stay_on_the_page_and_apart(
    shape: tuple[int, ...], spec: CodecSpec, spacing: Spacing | None, original: bool
) -> None:
    pixels = np.random.default_rng(0).random(shape, np.float32)
    figure = explained(pixels, spec, spacing=spacing, original=original)
    assert spills(figure) == []
    assert overlaps(figure) == []


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_an_even_image_has_no_edges(tmp_path: Path, value: float) -> None:
    figure = explained(np.full((32, 32), value, np.float32), CodecSpec(1, 4), original=True)
    write_figure(tmp_path / "a.png", figure, dpi=30)
    assert "no edges at all" in words_of(figure)


def test_what_does_not_belong_together_is_refused(chest: NDArray[np.float32]) -> None:
    spec = CodecSpec(2, 4)
    code = Codec(spec).encode(chest)
    summary, energy = explain_bands(spec, 128, 128), code_energy(code)
    with pytest.raises(ExplanationError, match="make it with explain_bands"):
        explained_figure(code, explain_bands(spec, 128, 127), energy)
    with pytest.raises(ExplanationError, match="make it with explain_bands"):
        explained_figure(code, explain_bands(CodecSpec(2, 5), 128, 128), energy)
    with pytest.raises(ExplanationError, match="energy level 3"):
        explained_figure(code, summary, band_energy(chest, CodecSpec(3, 4)))
    with pytest.raises(ExplanationError, match="the original has"):
        explained_figure(code, summary, energy, original=chest[:64])
    with pytest.raises(PixelsShapeError):
        explained_figure(code, summary, energy, original=np.zeros((2, 1, 128, 128)))


def test_same_explanation_same_bytes(tmp_path: Path, chest: NDArray[np.float32]) -> None:
    for name in ("a.png", "b.png"):
        write_figure(tmp_path / name, explained(chest, CodecSpec(2, 4)), dpi=40)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_real_images(data_folder: Path, tmp_path: Path) -> None:
    for folder in ("cxr_nih", "fundus_dr"):
        path = sorted((data_folder / folder / "images").iterdir())[0]
        pixels = read_image(path).pixels[0]
        codec = Codec(3, 8)
        code: Code = codec.encode(pixels)
        summary = explain_bands(codec.spec, *pixels.shape[1:])
        figure = explained_figure(code, summary, band_energy(pixels, codec.spec), original=pixels)
        assert spills(figure) == []
        assert path.stem not in words_of(figure)
        write_figure(tmp_path / "a.png", figure, dpi=40)
