"""What Explain says is what the model and `explain` say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.studio.conftest import serving

pytest.importorskip("torch", reason="needs the extra learn")
pytest.importorskip("nicegui", reason="needs the extra studio")

from deepfixcx.codec import Codec
from deepfixcx.datasets import ImageRecord, load_dataset
from deepfixcx.errors import ModelFileError, PixelsError
from deepfixcx.explain.methods import explain_codes
from deepfixcx.learn.model_folder import load_model
from deepfixcx.report.explained_model import with_amount
from deepfixcx.studio.page_explain import DIFFUSE, explain_picture
from deepfixcx.studio.uploads import Picture
from tests.learn.making import make_dataset


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from deepfixcx.learn.options import TrainingOptions
    from deepfixcx.learn.training import train_model
    from deepfixcx.spec import CodecSpec

    folder = tmp_path_factory.mktemp("trained")
    make_dataset(folder / "xrays", 40)
    dataset = load_dataset(folder / "xrays", labels="sick")
    options = TrainingOptions(model="logistic", spec=CodecSpec(2, 4))
    train_model(dataset, folder / "model", options)
    return folder


def noise(channels: int = 1, side: int = 64) -> Picture:
    generator = np.random.default_rng(1)
    return Picture(generator.integers(0, 256, (1, channels, side, side), np.uint8), 0, "noise")


def test_answer_and_reasons_are_those_of_the_model(trained: Path) -> None:
    found = explain_picture(trained / "model", noise(), 0)
    model = load_model(trained / "model")
    code = Codec(2, 4).encode(noise().frames[0])
    (answer,) = found.answers
    assert answer.label == "sick"
    assert answer.score == pytest.approx(float(model.scores_of_code(code)[0, 0]))
    assert (answer.words == "positive") == (answer.score >= answer.threshold)
    why = explain_codes(model, code, target="sick")
    reasons = tuple(with_amount(reason, "log odds") for reason in why.reasons(5))
    assert found.reasons == (reasons or (DIFFUSE,))
    amounts = np.array(found.drawn["amounts"])
    assert amounts.sum(axis=(1, 2)) == pytest.approx(why.edge_groups()[0], abs=1e-5)
    assert amounts.sum(axis=0) == pytest.approx(why.spatial()[0], abs=1e-5)
    assert found.drawn["rows"] == [[0, 0.25], [0.25, 0.5], [0.5, 0.75], [0.75, 1]]
    assert found.error < 0.05
    assert found.original_png().startswith(b"\x89PNG")


def test_colour_is_seen_by_a_gray_model_as_by_predict(trained: Path, tmp_path: Path) -> None:
    colour = noise(3)
    Image.fromarray(np.moveaxis(colour.frames[0], 0, -1)).save(tmp_path / "colour.png")
    model = load_model(trained / "model", device="cpu")
    loaded = model.load([ImageRecord(tmp_path / "colour.png")], workers=1)
    expected = model.scores(loaded.array)[0].tolist()
    found = explain_picture(trained / "model", colour, 0)
    assert [answer.score for answer in found.answers] == pytest.approx(expected, abs=1e-6)
    assert "receives the brightness" in found.note
    assert "receives the brightness" not in explain_picture(trained / "model", noise(1), 0).note


def test_what_cannot_be_explained_is_named(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError):
        explain_picture(tmp_path, noise(), 0)
    with pytest.raises(PixelsError):
        explain_picture(trained / "model", noise(side=8), 0)


@pytest.mark.slow
def test_the_page_asks_the_model(browser: Any, trained: Path, tmp_path: Path) -> None:
    with serving(str(trained), cwd=tmp_path) as studio:
        tab = browser.new_context().new_page()
        tab.set_default_timeout(90_000)
        tab.goto(studio.url)
        tab.locator("img.privatized[data-shown]").wait_for()
        tab.get_by_role("link", name="Explain").click()
        tab.get_by_role("row", name="sick").wait_for()
        assert tab.get_by_role("row", name="sick").inner_text().split()[1] in (
            "positive",
            "negative",
        )
        reasons = tab.locator("section[aria-label='Reasons in words'] li")
        assert reasons.count() <= 5
        cell = tab.locator(".reason-cell[data-cell='1,2']")
        fields = tab.locator(".reason-field")
        every = fields.all_inner_texts()
        cell.hover()
        tab.get_by_text("Row 2, column 3:").wait_for()
        assert fields.all_inner_texts() != every  # those of the cell alone
        signs = tab.locator(".reason-cell").all_inner_texts()
        assert {each.strip() for each in signs} <= {"+", "−", ""}
        fields.nth(1).hover()
        tab.get_by_text("vertical edges of 4–8 px:").wait_for()
        assert tab.locator(".reason-field.linked").count() == 1
        tab.mouse.move(1, 1)
        assert fields.all_inner_texts() == every
        if reasons.count():
            reasons.first.locator("button").hover()
            assert tab.locator(".reason-cell.linked").count() == 1
            assert tab.locator(".reason-field.linked").count() == 1
        tab.get_by_role("button", name="reconstruction").click()
        file = {"name": "a.png", "mimeType": "image/png", "buffer": b"no image"}
        tab.locator("input[type=file]").set_input_files(file)
        tab.get_by_text("This file cannot be shown").wait_for()
        tab.context.close()
