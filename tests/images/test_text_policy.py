"""What of the text in pixels is painted: not measurements, but everything of a patient."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset

from deepfixcx.errors import DeidentifyError
from deepfixcx.images import rapid_text, text_mask
from deepfixcx.images.masking import Region
from deepfixcx.images.text_mask import Reading, TextMask, is_measure, outside_regions


@pytest.mark.parametrize(
    "text",
    [
        "12",
        "4.2",
        "4.2cm",
        "cm",
        "12mm",
        "60%",
        "GAIN",
        "Vmax",
        "L",
        "1:2",
        "-3",
        "1.5x2.0",
        "FR30",
        "GAIN60",
        "GAIN:60",
        "4.2 cm",
        "L5",
    ],
)
def test_measurements_are_known(text: str) -> None:
    assert is_measure(text)


@pytest.mark.parametrize(
    "text",
    [
        "Winterbottom",
        "774411",
        "1951-06-07",
        "07.06.1951",
        "07/06/51",
        "MRN12",
        "A1234",
        "555 123 4567",
        "774 4112",
        "15 05 1960",
        "L 15 05 60",
        "L1234",
        "FR12345",
        "GAIN 60 Smith",
        "",
        "Dr",
        "10:11:12:13",
    ],
)
def test_names_numbers_and_dates_are_no_measurements(text: str) -> None:
    assert not is_measure(text)


def painted(monkeypatch: pytest.MonkeyPatch, readings: set[Reading]) -> set[Region]:
    monkeypatch.setattr(text_mask, "_frame_readings", lambda _frame: readings)
    monkeypatch.setattr(text_mask, "has_tesseract", lambda: True)
    mask = TextMask("phi", is_patient=lambda text: text == "44")
    return set(mask.regions(np.zeros((1, 1, 40, 90), np.uint8), {}))


def test_a_measurement_stays_unless_one_reading_is_of_the_patient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, near, apart = Region(0, 0, 10, 20), Region(1, 1, 10, 20), Region(20, 40, 10, 20)
    unsure, sure = Reading("word", near, 40.0), Reading("word", near, 100.1)
    assert painted(monkeypatch, {Reading("4.2", one), unsure}) == set()
    assert painted(monkeypatch, {Reading("4.2", one), sure}) == {one, near}
    assert painted(monkeypatch, {Reading("4.2", one), Reading("44", near)}) == {one, near}
    assert painted(monkeypatch, {Reading("4.2", one), Reading("word", apart)}) == {apart}
    assert painted(monkeypatch, {Reading("GAIN 60", one)}) == set()
    assert painted(monkeypatch, {Reading("GAIN Smith", one)}) == {one}


def test_a_letter_inside_of_a_word_does_not_keep_the_word(monkeypatch: pytest.MonkeyPatch) -> None:
    word, letter = Region(0, 0, 10, 60), Region(0, 10, 10, 5)
    readings = {Reading("Hospital", word, 90.0), Reading("l", letter, 99.0)}
    assert word in painted(monkeypatch, readings)


def test_a_gap_between_two_painted_words_is_painted_unless_a_measurement_stays_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = {Reading("Larkspur", Region(5, 0, 10, 20)), Reading("Valley", Region(6, 38, 10, 20))}
    gap = Region(6, 20, 9, 18)
    assert gap in painted(monkeypatch, words)
    measure = Reading("12", Region(6, 22, 10, 14))
    assert gap not in painted(monkeypatch, {*words, measure})
    apart = {Reading("Larkspur", Region(5, 0, 10, 20)), Reading("Valley", Region(6, 48, 10, 20))}
    assert len(painted(monkeypatch, apart)) == 2


def test_the_grain_of_an_image_is_no_writing() -> None:
    grain = np.random.default_rng(0).normal(90, 3, (200, 300)).astype(np.uint8)
    plain, *strokes = text_mask._variants(grain)
    assert np.array_equal(plain, grain)
    assert max((float((each == 0).mean()) for each in strokes), default=0.0) < 0.001


def test_what_is_not_read_is_a_line_by_its_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = {"low": (10, 20, 10, 24), "wide": (10, 200, 60, 100), "anatomy": (10, 110, 10, 130)}

    def found(sure: float) -> set[str]:
        corners = {
            name: [(left, top), (right, top), (right, bottom), (left, bottom)]
            for name, (left, right, top, bottom) in boxes.items()
        }
        lines = [(corners[name], name, sure) for name in boxes]
        monkeypatch.setattr(rapid_text, "_engine", lambda: lambda *_, **__: (lines, None))
        return {text for text, *_ in rapid_text.rapid_lines(np.zeros((300, 300), np.uint8))}

    assert found(0.9) == set(boxes)
    assert found(0.1) == {"low", "wide"}


def test_large_images_are_read_in_tiles_that_share_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = np.zeros((1600, 3000), int)

    def engine(tile: np.ndarray, text_score: float) -> tuple[list[Any], None]:
        assert max(tile.shape) <= rapid_text.TILE
        assert text_score == 0
        corners = [(10, 10), (30, 10), (30, 20), (10, 20)]
        return [(corners, "x", 0.1)], None

    monkeypatch.setattr(rapid_text, "_engine", lambda: engine)
    lines = rapid_text.rapid_lines(seen.astype(np.uint8))
    starts = {(region.top + 3, region.left + 3) for _, region, _ in lines}
    assert all(sure == 10 for *_, sure in lines)
    for top, left in starts:
        seen[max(0, top - 10) :, max(0, left - 10) :][: rapid_text.TILE, : rapid_text.TILE] += 1
    assert seen.min() >= 1


def test_a_frame_that_is_repeated_is_read_once_and_every_other_frame_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []

    def lines(plane: np.ndarray) -> list[Any]:
        seen.append(int(plane.max()))
        return [("x", Region(int(plane.max()), 0, 5, 5), 99.0)]

    monkeypatch.setattr(text_mask, "rapid_lines", lines)
    monkeypatch.setattr(text_mask, "check_rapid", lambda: None)
    frames = np.zeros((4, 1, 40, 40), np.uint8)
    frames[1, 0, 20, 20], frames[3, 0, 20, 20] = 30, 31  # one gray of one pixel is another frame
    found = TextMask("all", "rapidocr").regions(frames, Dataset())
    assert seen == [0, 30, 31]
    assert [region.top for region in found] == [0, 30, 31]


@pytest.mark.parametrize("seed", range(5))
def test_what_lies_outside_of_ultrasound_regions_is_painted(seed: int) -> None:
    rng = np.random.default_rng(seed)
    header, inside = Dataset(), np.zeros((30, 40), bool)
    header.SequenceOfUltrasoundRegions = []
    for _ in range(rng.integers(1, 4)):
        (top, bottom), (left, right) = (sorted(rng.integers(0, n, 2).tolist()) for n in (30, 40))
        item = Dataset()
        item.RegionLocationMinX0, item.RegionLocationMinY0 = left, top
        item.RegionLocationMaxX1, item.RegionLocationMaxY1 = right, bottom
        header.SequenceOfUltrasoundRegions.append(item)
        inside[top : bottom + 1, left : right + 1] = True
    shown = np.zeros((30, 40), int)
    for top, left, height, width in outside_regions(header, 30, 40):
        shown[top : top + height, left : left + width] += 1
    assert np.array_equal(shown, (~inside).astype(int))


def test_header_without_sound_regions() -> None:
    assert outside_regions(Dataset(), 30, 40) == ()
    header = Dataset()
    header.SequenceOfUltrasoundRegions = [Dataset()]
    with pytest.raises(DeidentifyError, match="ultrasound region"):
        outside_regions(header, 30, 40)


@pytest.mark.skipif(
    importlib.util.find_spec("rapidocr_onnxruntime") is None, reason="needs the extra ocr"
)
@pytest.mark.parametrize("size", [10, 24])
def test_networks_find_a_burned_in_name(size: int) -> None:
    picture = Image.new("L", (320, 120), 40)
    place, font = (30, 40), ImageFont.load_default(size)
    draw = ImageDraw.Draw(picture)
    draw.text(place, "Ottilie Winterbottom", 220, font)
    left, top, right, bottom = (int(edge) for edge in draw.textbbox(place, "Ottilie", font))
    mask = TextMask("all", "rapidocr")
    assert mask.name == "all rapidocr"
    covered = np.zeros((120, 320), bool)
    for row, column, height, width in mask.regions(np.asarray(picture)[None, None], {}):
        covered[row : row + height, column : column + width] = True
    assert covered[top:bottom, left:right].all()
