"""Figures of why a model decided: what they show, and that they show no original."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from deepfixcx import Code, Codec, CodecSpec
from deepfixcx.errors import ExplanationError
from deepfixcx.explain.attribution import Attribution
from deepfixcx.explain.cohort import bias
from deepfixcx.explain.methods import occlusion
from deepfixcx.explain.shortcuts import Finding
from deepfixcx.measures import Interval
from deepfixcx.report.attribution_axes import pale
from deepfixcx.report.drawing import decimals_for, write_figure
from deepfixcx.report.explained_model import attribution_figure, bias_figure

Floats = NDArray[np.float32]


def model(codes: Floats) -> Floats:
    """Yes where the lower left is bright, and no where the upper right is."""
    return codes[:, 0, 0, -1, 0] - codes[:, 0, 0, 0, -1]


def explained(spec: CodecSpec, size: tuple[int, int] = (48, 64), by: Any = "number") -> Attribution:
    pixels = np.random.default_rng(0).random((3, 1, *size), np.float32)
    code = Codec(spec).encode(pixels)
    return occlusion(model, code, np.zeros_like(code.array), by=by)


def words_of(figure: Figure) -> str:
    texts = [each.get_text() for each in figure.texts]
    texts += [each.get_text() for axes in figure.axes for each in axes.texts]
    return "\n".join(texts)


def spills(figure: Figure) -> list[str]:
    """Return texts that reach beyond the page."""
    figure.draw_without_rendering()
    page = figure.bbox
    boxes = [(text.get_text(), text.get_window_extent()) for text in figure.texts]
    return [
        words
        for words, box in boxes
        if words and not (page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0)
    ]


def drawn(figure: Figure) -> NDArray[np.uint8]:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=60)
    return np.asarray(Image.open(data).convert("RGB"))


def test_signs_stand_in_the_cells_that_push() -> None:
    why = explained(CodecSpec(2, 4))
    figure = attribution_figure(why, 1, title="image 2")
    signs = {
        (float(text.get_position()[0]), float(text.get_position()[1])): text.get_text()
        for text in figure.axes[1].texts
        if not text.get_text().isdigit()
    }
    # cells are 16 pixels wide and 12 high
    assert signs == {(7.5, 41.5): "+", (55.5, 5.5): "−"}
    layer = np.asarray(figure.axes[1].get_images()[1].get_array())
    assert layer.shape == (48, 64, 4)
    assert layer[-1, 0, 0] > layer[-1, 0, 2]  # orange
    assert layer[0, -1, 2] > layer[0, -1, 0]  # blue
    assert layer[0, 0, 3] == 0  # nothing


def test_words_say_what_was_decided_and_why() -> None:
    why = explained(CodecSpec(2, 4))
    words = words_of(attribution_figure(why, title="image 1"))
    for said in (
        "image 1: output 0,",
        "towards output 0",
        "away from output 0",
        "lower left, cell row 4, column 1: local brightness pushes towards output 0",
        "vertical edges",
        "4–8 px",
    ):
        assert said in words
    score = replace(why, unit="log odds", outputs=np.zeros(3, np.float32), label="edema")
    assert "edema, score 0.500 (baseline 0.500)" in words_of(attribution_figure(score))


@pytest.mark.parametrize(("by", "panels"), [("cell", 2), ("band", 2), ("number", 3)])
def test_only_what_the_method_resolves_is_drawn(by: str, panels: int) -> None:
    assert len(attribution_figure(explained(CodecSpec(2, 4), by=by)).axes) == panels


def test_amounts_stand_in_the_field_of_their_bands() -> None:
    why = explained(CodecSpec(2, 4))
    axes = attribution_figure(why).axes[2]
    fields = {text.get_position(): text.get_text() for text in axes.texts[:7]}
    assert len(fields) == 7
    amount = why.edge_groups()[0, 0]
    assert fields[(1.5, 2.5)] == f"{amount:+.3f}".replace("-", "−")  # brightness, below the rest
    assert fields[(0.5, 0.5)] == "+0.000"


def test_reasons_have_numbers_in_words_and_panels_and_diffuse_ones_are_not_named() -> None:
    why = explained(CodecSpec(2, 4))
    low = np.full(why.amounts().shape, 1e-3, np.float32)
    others = np.stack([why.amounts() / 2, 0 * why.amounts()])
    figure = attribution_figure(replace(why, chance=low, others=others, stable=np.full(3, 2.5)))
    words = " ".join(words_of(figure).split())
    for number, reason in enumerate(replace(why, chance=low).reasons(2), 1):
        assert f"{number}. {reason}: " in words
        marks = [text.get_text() for axes in figure.axes[:2] for text in axes.texts]
        assert marks.count(str(number)) == 2
        fields = [text.get_text() for text in figure.axes[2].texts]
        assert str(number) in ", ".join(fields[7:])
    assert "(+0 to +2 over baselines; chance" in words
    assert "2.5 of the five strongest places and bands stay" in words
    diffuse = words_of(attribution_figure(replace(why, chance=low + 100)))
    assert "diffuse: no place and band is larger than chance" in diffuse
    assert "pushes" not in diffuse


def test_an_original_is_drawn_where_it_is_given() -> None:
    why = explained(CodecSpec(2, 4))
    original = np.random.default_rng(1).random((1, 48, 64), np.float32)
    figure = attribution_figure(why, original=original)
    shown = np.asarray(figure.axes[0].get_images()[0].get_array())
    np.testing.assert_allclose(shown, original[0])
    assert "not for sharing" in words_of(figure)
    assert spills(figure) == []
    with pytest.raises(ExplanationError, match="the original has"):
        attribution_figure(why, original=original[:, 1:])


def test_colours_over_dark_pixels_are_those_of_the_scale() -> None:
    """The image below is almost white, so that orange over a dark lung is orange."""
    for pixels in (np.zeros((1, 8, 8), np.float32), np.zeros((3, 8, 8), np.float32)):
        assert pale(pixels).shape == (8, 8)
        assert pale(pixels).min() > 0.8


def test_the_reconstruction_is_shown_and_not_more() -> None:
    """Two images with the same code give the same figure: nothing else is known of them."""
    spec = CodecSpec(2, 4)
    pixels = np.random.default_rng(0).random((1, 1, 48, 48), np.float32)
    turned = pixels.reshape(1, 1, 4, 3, 4, 4, 3, 4)[:, :, :, ::-1].reshape(1, 1, 48, 48)
    figures = []
    for each in (pixels, turned):
        code = Codec(spec).encode(each)
        why = occlusion(model, code, np.zeros_like(code.array), by="cell")
        figures.append(drawn(attribution_figure(why)))
    assert np.abs(figures[0].astype(int) - figures[1]).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("size", [(48, 64), (200, 30), (1500, 2100)])
@pytest.mark.parametrize("spec", [CodecSpec(1, 2), CodecSpec(3, 4, grid="padded")], ids=str)
def test_every_size_is_drawn(size: tuple[int, int], spec: CodecSpec) -> None:
    why = replace(explained(spec, size), label=30 * "a long label ")
    figure = attribution_figure(why, original=np.zeros((1, *size), np.float32), note="a note")
    assert spills(figure) == []
    assert "image left" in words_of(figure)
    assert drawn(figure).std() > 5
    width, height = figure.get_size_inches()
    assert width < 25
    assert height < 12


def test_fine_grids_have_a_few_signs() -> None:
    axes = attribution_figure(explained(CodecSpec(1, 16), (64, 64))).axes[1]
    assert 1 <= len(axes.texts) <= 12


def summed(count: int = 24, patches: int = 4, **options: Any) -> Any:
    pixels = np.random.default_rng(0).random((count, 1, 64, 64), np.float32)
    code = Codec(CodecSpec(2, patches)).encode(pixels)
    return bias(model, code, **options)


def test_a_model_summed_up() -> None:
    shown = Finding(
        "place and band", "upper left, cell row 1, column 1: " + 20 * "more of it " + "counts",
        Interval(1.0, 0.5, 1.5), Interval(3.0, 2.0, 4.0), (0.9, 0.8), (10, 10),
    )  # fmt: skip
    found = summed(method="occlusion", patients=np.arange(24) // 2)
    found = replace(found, findings=(shown,))
    figure = bias_figure(found)
    words = words_of(figure)
    assert "attributions: output 0, 24 images of 12 patients" in words
    assert "signs of shortcuts" in words
    assert spills(figure) == []
    for finding in found.findings:
        assert finding.words in " ".join(words.split())
    cells = [text.get_text().split("\n")[0] for text in figure.axes[0].texts]
    assert float(cells[12]) == pytest.approx(found.places[3, 0, 0], abs=5e-5)
    assert len(figure.axes) == 2


def test_attention_is_drawn_where_there_is_some() -> None:
    found = summed(method="occlusion")
    attention = np.zeros((1, 16, 4, 4), np.float32)
    attention[0, 0, 2, 1] = 3
    figure = bias_figure(replace(found, attention=attention))
    assert len(figure.axes) == 4
    shares = [text.get_text() for text in figure.axes[2].texts]
    assert shares[9] == "100 %"
    assert shares.count("0 %") == 15
    assert "100 %" in [text.get_text() for text in figure.axes[3].texts]


def test_no_finding_is_said_to_be_no_proof() -> None:
    found = replace(summed(method="occlusion"), findings=())
    assert "does not prove" in words_of(bias_figure(found))
    for method in ("occlusion-by-cell", "occlusion-by-band"):
        assert len(bias_figure(summed(method=method)).axes) == 1
    assert drawn(bias_figure(summed(patches=16, method="occlusion-by-cell"))).std() > 5


def test_the_same_figure_gives_the_same_bytes(tmp_path: Path) -> None:
    why = explained(CodecSpec(2, 4))
    for name in ("a.png", "b.png"):
        write_figure(tmp_path / name, attribution_figure(why))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_colour_images_are_drawn() -> None:
    code = Codec(CodecSpec(1, 3)).encode(np.random.default_rng(0).random((1, 3, 30, 30)))
    why = occlusion(model, Code(code.array, code.spec, code.sizes), 0 * code.array)
    figure = attribution_figure(why)
    assert np.asarray(figure.axes[0].get_images()[0].get_array()).shape == (30, 30, 3)
    words = "red −0.025, green −0.025, blue −0.025 output, summed over places and bands"
    assert words in words_of(figure)


def test_a_scale_says_what_the_strongest_colour_stands_for() -> None:
    why = explained(CodecSpec(2, 4))
    words = words_of(attribution_figure(why))
    for most in (np.abs(why[0].spatial()).max(), np.abs(why[0].edge_groups()).max()):
        digits = decimals_for(float(most))
        assert f"+{most:.{digits}f} output" in words
        assert f"−{most:.{digits}f}" in words
    found = summed(method="occlusion")
    most = found.places[..., 0].max()
    assert f"{most:.{decimals_for(float(most))}f} output" in words_of(bias_figure(found))


@pytest.mark.parametrize(("patches", "lines"), [(3, 2), (5, 1), (12, 0)])
def test_values_and_intervals_are_written_apart(patches: int, lines: int) -> None:
    figure = bias_figure(summed(patches=patches, method="occlusion"))
    figure.draw_without_rendering()
    for axes in figure.axes:
        boxes = [text.get_window_extent() for text in axes.texts]
        for place, one in enumerate(boxes):
            for other in boxes[place + 1 :]:
                apart = one.x1 <= other.x0 or other.x1 <= one.x0
                assert apart or one.y1 <= other.y0 or other.y1 <= one.y0
    shown = [text.get_text().count("\n") + 1 for text in figure.axes[0].texts]
    assert shown == [lines] * (patches**2 if lines else 0)
