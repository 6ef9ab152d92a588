"""Rules of a mask: which file fits, what is painted, and what is wrong with a rule file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from pydicom import examples

from deepfixcx.errors import DeidentifyError
from deepfixcx.images import phantom
from deepfixcx.images.masking import (
    DeviceMask,
    Region,
    Rule,
    load_mask,
    paint,
    painted_share,
)
from deepfixcx.images.text_mask import TextMask
from tests.programs import program

PIXELS = np.full((3, 1, 60, 80), 200, np.uint8)
RULES = """
otherwise = "keep"

[[rules]]
manufacturer = "Acme Medical"
model = "Scan 2000"
rows = 60
columns = 80
regions = [[0, 0, 10, 80], [50, 40, 10, 40]]

[[rules]]
manufacturer = "acme medical"
regions = []
"""


def device(manufacturer: str = "", model: str = "") -> dict[str, str]:
    return {"Manufacturer": manufacturer, "ManufacturerModelName": model}


def test_the_first_rule_that_fits_counts(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(RULES)
    mask = load_mask(tmp_path / "rules.toml")
    fits = device("ACME MEDICAL ", "scan 2000")
    assert mask.regions(PIXELS, fits) == (Region(0, 0, 10, 80), Region(50, 40, 10, 40))
    assert mask.regions(PIXELS[:, :, :50], fits) == ()  # the second rule: it writes nothing
    assert mask.regions(PIXELS, device("Other")) == ()  # otherwise = "keep"
    strict = DeviceMask(mask.rules)
    with pytest.raises(DeidentifyError, match="no rule of the mask"):
        strict.regions(PIXELS, device("Other"))
    with pytest.raises(DeidentifyError):
        strict.regions(PIXELS, {})


def test_a_mask_has_one_name_for_the_same_rules(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(RULES)
    rules = {
        "otherwise": "keep",
        "rules": [
            {
                "manufacturer": "Acme Medical",
                "model": "Scan 2000",
                "rows": 60,
                "columns": 80,
                "regions": [[0, 0, 10, 80], [50, 40, 10, 40]],
            },
            {"manufacturer": "acme medical", "regions": []},
        ],
    }
    (tmp_path / "rules.json").write_text(json.dumps(rules))
    one, two = load_mask(tmp_path / "rules.toml"), load_mask(tmp_path / "rules.json")
    assert one == two
    assert one.name == two.name != DeviceMask(one.rules).name


def test_painted_on_every_frame_and_channel() -> None:
    frames = np.full((2, 3, 20, 30), 65535, np.uint16)
    painted = paint(frames, [Region(0, 0, 5, 30), Region(15, 25, 99, 99)])
    assert not painted[:, :, :5].any()
    assert not painted[:, :, 15:, 25:].any()
    assert (painted[:, :, 5:15] == 65535).all()
    assert (frames == 65535).all()  # a copy
    assert paint(frames, ()) is frames


def test_a_header_that_cannot_be_read_fits_no_rule() -> None:
    class Damaged:
        def get(self, key: Any, default: Any = None, /) -> Any:
            raise ValueError(f"CANARY in {key}, not {default}")

    mask = DeviceMask((Rule((Region(0, 0, 1, 1),), manufacturer="Acme"),))
    with pytest.raises(DeidentifyError, match="no rule") as caught:
        mask.regions(PIXELS, Damaged())
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("rules = 3", "not a mask"),
        ("rules = []", "not a mask"),
        ("", "no rules"),
        ("rule = []", "'rule'"),
        ("otherwise = 'drop'\n[[rules]]\nregions = []", "refuse"),
        ("[[rules]]\nmodel = 'x'", "no regions"),
        ("[[rules]]\nregion = []\nregions = []", r"\['region'\]"),
        ("[[rules]]\nregions = 5", "a list"),
        ("[[rules]]\nregions = [[0, 0, 5]]", "whole pixels"),
        ("[[rules]]\nregions = [[0, 0, 0, 5]]", "whole pixels"),
        ("[[rules]]\nregions = [[0, 0, -1, 5]]", "whole pixels"),
        ("[[rules]]\nregions = [[0, 0, 1.5, 5]]", "whole pixels"),
        ("[[rules]]\nregions = []\nrows = '5'", "a number of pixels"),
        ("[[rules]]\nregions = []\nrows = 0", "a number of pixels"),
        ("[[rules]]\nregions = []\nmodel = 5", "a text"),
        ("[[rules", "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_rule_file(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "rules.toml").write_text(content)
    with pytest.raises(DeidentifyError, match=says):
        load_mask(tmp_path / "rules.toml")


def test_files_that_are_no_rules(tmp_path: Path) -> None:
    with pytest.raises(DeidentifyError, match="No such file"):
        load_mask(tmp_path / "rules.toml")
    with pytest.raises(DeidentifyError, match="cannot be read"):
        load_mask(tmp_path)
    shutil.copy(str(examples.get_path("ct")), tmp_path / "rules.json")
    with pytest.raises(DeidentifyError, match="cannot be read"):
        load_mask(tmp_path / "rules.json")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(DeidentifyError, match="not a mask"):
        load_mask(tmp_path / "list.json")


def with_writing(
    texts: dict[tuple[int, int], str], height: int, gray: int = 255, size: int = 512
) -> Any:
    """Draw texts at (row, column) into a synthetic radiograph; return 8-bit gray."""
    image = phantom(np.random.default_rng(0), size=size)
    picture = Image.fromarray(np.rint(image * 200).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for (row, column), text in texts.items():
        draw.text((column, row), text, fill=gray, font=ImageFont.load_default(height))
    return np.asarray(picture)


@pytest.mark.slow
@pytest.mark.parametrize(("height", "gray"), [(20, 255), (16, 215), (24, 0)])
def test_writing_is_found_wherever_it_is_and_painted_on_every_frame(height: int, gray: int) -> None:
    program("tesseract-ocr", "tesseract")
    texts = {(8, 170): "DOE JOHN 1961", (450, 200): "ID 4711-0815"}
    plain = with_writing({}, height)
    frames = np.stack([plain, with_writing(texts, height, gray)])[:, np.newaxis]
    regions = TextMask().regions(frames, {})
    covered = paint(np.ones_like(frames), regions)[:, 0] == 0
    np.testing.assert_array_equal(covered[0], covered[1])
    written = np.abs(frames[1, 0].astype(int) - frames[0, 0]) > 30
    assert covered[1][written].mean() > 0.98
    assert covered[0].mean() < 0.25


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ink", "ground"),
    [((255, 0, 0), (85, 85, 85)), ((0, 0, 255), (85, 85, 85)), ((255, 0, 0), (0, 255, 0))],
)
def test_colour_of_the_same_mean_as_its_ground_is_writing(ink: Any, ground: Any) -> None:
    program("tesseract-ocr", "tesseract")
    picture = Image.new("RGB", (512, 300), ground)
    ImageDraw.Draw(picture).text(
        (40, 120), "DOE JOHN 1961", fill=ink, font=ImageFont.load_default(24)
    )
    frame = np.moveaxis(np.asarray(picture), -1, 0)
    written = np.abs(frame.astype(int) - np.array(ground)[:, None, None]).max(axis=0) > 60
    regions = TextMask().regions(frame[np.newaxis], {})
    covered = paint(np.ones((1, 1, 300, 512), np.uint8), regions)[0, 0] == 0
    assert covered[written].mean() > 0.98
    assert covered.mean() < 0.1


@pytest.mark.slow
@pytest.mark.parametrize(("height", "gray"), [(200, 255), (260, 0), (320, 230)])
def test_letters_above_a_third_of_the_height_are_writing(height: int, gray: int) -> None:
    program("tesseract-ocr", "tesseract")
    text = "DOE" if height < 300 else "AB"
    plain, frame = (with_writing({(60, 40): each}, height, gray) for each in ("", text))
    regions = TextMask().regions(frame[np.newaxis, np.newaxis], {})
    covered = paint(np.ones((1, 1, *frame.shape), np.uint8), regions)[0, 0] == 0
    assert covered[np.abs(frame.astype(int) - plain) > 30].mean() > 0.98


def test_the_painted_share_counts_overlaps_once() -> None:
    assert painted_share(
        [Region(0, 0, 5, 10), Region(0, 0, 10, 5), Region(9, 9, 5, 5)], 10, 10
    ) == (0.76)
    assert painted_share([], 10, 10) == 0


def test_without_tesseract_its_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DeidentifyError, match="apt-get install tesseract-ocr"):
        TextMask().regions(PIXELS, {})
