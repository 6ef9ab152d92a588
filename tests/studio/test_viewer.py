"""The viewer: values and windows in the unit of the file, frames and series."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image

from deepfixcx.studio.exploring import Look
from deepfixcx.studio.units import Curve
from deepfixcx.studio.uploads import Reader
from deepfixcx.studio.workspace import Settings
from tests.studio.conftest import Served, serving
from tests.studio.test_browser import WAIT, after, give, picture, png, text
from tests.studio.test_faults import frames

pytest.importorskip("nicegui", reason="needs the extra studio")

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three slices of a CT, which differ in brightness."""
    folder = tmp_path_factory.mktemp("series") / "ct"
    folder.mkdir()
    for number in range(3):
        header = pydicom.dcmread(SHIPPED / "CT_small.dcm")
        header.PixelData = (header.pixel_array + 100 * number).astype(np.int16).tobytes()
        header.WindowCenter, header.WindowWidth = [40, 500], [400, 2000]
        header.save_as(folder / f"slice-{number}.dcm")
    return folder


def test_values_are_those_of_the_modality_and_grays_know_their_value(series: Path) -> None:
    reader = Reader()
    found = reader.read(series / "slice-1.dcm")
    reader.close()
    about = found.units.about(found.frames, 0)
    assert (about["unit"], about["low"], about["high"]) == ("HU", -160, 239)  # 40, 400
    assert about["presets"][0] == ["Window 2 of the file", 500.0, 2000.0]  # type: ignore[index]
    header = pydicom.dcmread(series / "slice-1.dcm")
    stored = header.pixel_array * float(header.RescaleSlope) + float(header.RescaleIntercept)
    look = Look(found, Settings(1, 2, size="original"))
    assert np.array_equal(look.original_values(), stored)
    shown = np.clip((look.privatized_values() + 160) / 399, 0, 1)
    assert np.abs(shown - look.privatized[0].clip(0, 1)).max() < 1e-4


def test_a_curve_is_found_where_it_is_a_line_inverted_or_bent() -> None:
    values = np.arange(0, 1000, dtype=np.int16).reshape(1, -1)
    line = Curve.between(values, np.clip((values - 100) / 500, 0, 1))
    assert line is not None
    assert line.ends == (100, 600)
    turned = Curve.between(values, 1 - np.clip((values - 100) / 500, 0, 1))
    assert turned is not None
    assert turned.ends == (600, 100)
    grays = 1 / (1 + np.exp(-(values - 500) / 100))
    bent = Curve.between(values, grays)
    assert bent is not None
    assert np.abs(bent.of(grays.astype(np.float32)) - values).max() < 0.5
    assert Curve.between(values, np.abs(values - 500) / 500) is None


def test_a_reader_that_crashes_is_started_again(series: Path) -> None:
    reader = Reader()
    assert reader.read(series / "slice-0.dcm").frames.shape == (1, 1, 128, 128)
    assert reader._process is not None
    reader._process.kill()
    reader._process.wait(60)
    assert reader.read(series / "slice-0.dcm").frames.shape == (1, 1, 128, 128)
    reader.close()


@pytest.fixture(scope="module")
def ward(series: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(str(series.parent), cwd=tmp_path_factory.mktemp("cwd")) as studio:
        yield studio


@pytest.fixture
def page(browser: Any, ward: Served) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
    context.set_default_timeout(WAIT)
    tab = context.new_page()
    wrong: list[str] = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.goto(ward.url)
    yield tab
    context.close()
    assert not wrong


def values(tab: Any, dx: float = -20) -> dict[str, str]:
    """Point at the stage, and return what its corner says."""
    stage = tab.locator(".stage").bounding_box()
    tab.mouse.move(stage["x"] + stage["width"] / 2 + dx, stage["y"] + stage["height"] / 2)
    tab.locator(".probe").wait_for()
    found = re.fullmatch(
        r"row (?P<row>\d+), column (?P<column>\d+): "
        r"original (?P<original>\S+), privatized (?P<privatized>\S+)(?: (?P<unit>\S+))?",
        text(tab, ".probe"),
    )
    assert found is not None, text(tab, ".probe")
    return found.groupdict()


def gray(tab: Any, canvas: str) -> int:
    """Return the red of the middle pixel of a canvas."""
    return int(
        tab.locator(canvas).evaluate(
            "c => c.getContext('2d').getImageData(c.width >> 1, c.height >> 1, 1, 1).data[0]"
        )
    )


@pytest.mark.slow
def test_values_and_windows_in_hounsfield_units(page: Any, series: Path) -> None:
    after(page, lambda: page.get_by_label("Image of the folder").select_option("ct/slice-1.dcm"))
    header = pydicom.dcmread(series / "slice-1.dcm")
    stored = header.pixel_array * float(header.RescaleSlope) + float(header.RescaleIntercept)
    found = values(page)
    row, column = int(found["row"]) - 1, int(found["column"]) - 1
    assert (found["original"], found["unit"]) == (f"{stored[row, column]:.0f}", "HU")
    assert page.get_by_label("Window centre").input_value() == "40"
    assert page.get_by_label("Window width").input_value() == "400"
    page.get_by_label("Window", exact=True).select_option(label="Lung")
    page.get_by_label("Window centre").wait_for()
    assert page.get_by_label("Window centre").input_value() == "-600"
    page.locator("canvas").first.wait_for()
    middle = stored[64, 64]
    expected = round(255 * np.clip((middle + 1350) / 1499, 0, 1))
    page.wait_for_function(
        "gray => {const c = [...document.querySelectorAll('.plane canvas')].at(-1);"
        "return Math.abs(c.getContext('2d').getImageData(64, 64, 1, 1).data[0] - gray) <= 1}",
        arg=expected,
    )
    page.get_by_label("Window width").fill("3000")
    page.get_by_label("Window width").press("Enter")
    page.wait_for_function("[...document.querySelectorAll('option')].some(o => o.value === 'own')")
    page.keyboard.press("Tab")
    stage = page.locator(".stage").bounding_box()
    middle_of = (stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2)
    page.mouse.move(*middle_of)
    page.mouse.down(button="right")
    page.mouse.move(middle_of[0] + 60, middle_of[1])
    page.mouse.up(button="right")
    assert float(page.get_by_label("Window width").input_value()) > 3900
    divider = page.get_by_role("slider", name=re.compile("Divider"))
    assert divider.get_attribute("aria-valuenow") == "50"
    page.locator(".stage").focus()
    page.keyboard.press("r")
    assert page.get_by_label("Window width").input_value() == "400"
    page.keyboard.press("i")
    page.wait_for_function("document.querySelector('.plane').style.filter.includes('invert(1)')")
    page.keyboard.press("w")
    page.wait_for_function(
        "document.querySelector('[aria-label=\"Window width\"]').value === '2000'"
    )
    page.keyboard.press("?")
    page.get_by_text("next window").wait_for()


@pytest.mark.slow
def test_wheel_and_keys_lead_through_a_series_and_keep_zoom_and_window(page: Any) -> None:
    after(page, lambda: page.get_by_label("Image of the folder").select_option("ct/slice-0.dcm"))
    thumbs = page.locator(".strip-thumb")
    assert thumbs.count() == 3
    page.wait_for_function(
        "[...document.querySelectorAll('.strip-thumb img')].every(i => i.naturalWidth > 0)"
    )
    first = float(values(page)["original"])
    page.get_by_label("Zoom in").click()
    page.get_by_label("Window", exact=True).select_option(label="Bone")
    zoomed = text(page, ".corner.bottom.left")
    page.locator(".stage").focus()
    after(page, lambda: page.keyboard.press("PageDown"))
    page.locator(".strip-thumb[aria-pressed=true]", has_text="2").wait_for()
    assert text(page, ".corner.bottom.left") == zoomed
    assert page.get_by_label("Window width").input_value() == "2500"
    page.locator(".stage").hover()
    after(page, lambda: page.mouse.wheel(0, 120))
    page.locator(".strip-thumb[aria-pressed=true]", has_text="3").wait_for()
    page.mouse.wheel(0, 120)  # behind the last one there is none
    page.wait_for_timeout(300)
    after(page, lambda: thumbs.first.click())
    page.get_by_role("button", name="Fit").click()
    assert float(values(page)["original"]) == first


@pytest.mark.slow
def test_frames_are_played_and_stop(page: Any) -> None:
    after(page, lambda: give(page, frames(4, 64)))
    page.locator(".strip-thumb").nth(3).wait_for()
    page.get_by_label("Frames per second").fill("20")
    page.locator(".stage").focus()
    page.keyboard.press(" ")
    for number in ("3", "1", "2"):  # around
        page.locator(".strip-thumb[aria-pressed=true]", has_text=number).wait_for()
    page.get_by_role("button", name="Stop").click()
    page.wait_for_timeout(500)
    before = page.locator("#frame").input_value()
    page.wait_for_timeout(500)
    assert page.locator("#frame").input_value() == before


@pytest.mark.slow
def test_values_of_pictures_and_what_is_saved(page: Any) -> None:
    after(page, lambda: give(page, png(40, seed=4)))
    expected = np.random.default_rng(4).integers(0, 256, (40, 40), np.uint8)
    found = values(page)
    assert found["original"] == str(expected[int(found["row"]) - 1, int(found["column"]) - 1])
    page.get_by_label("Window width").fill("64")
    page.get_by_label("Window width").press("Enter")
    with page.expect_download() as saved:
        page.get_by_label("Save the picture: privatized").click()
    with Image.open(saved.value.path()) as kept:
        assert kept.size == (40, 40)  # J=3 and P=5, the most that fits
    after(page, lambda: give(page, png(48)))
    assert page.get_by_label("Window width").input_value() == "256"


@pytest.mark.slow
def test_map_and_image_are_seen_together_and_sources_fill_one_row(page: Any) -> None:
    picture(page)
    page.locator(".mosaic img").wait_for()
    tops = {
        round(each.bounding_box()["y"] + each.bounding_box()["height"] / 2)
        for each in page.locator(".source .button, .source .chip, .source select").all()
    }
    assert max(tops) - min(tops) <= 8
    for part in (".stage", ".mosaic .map", "#level", "#patches"):
        box = page.locator(part).bounding_box()
        assert box["y"] >= 0, part
        assert box["y"] + box["height"] <= 800, part


@pytest.mark.slow
def test_a_pipe_in_the_folder_stops_nothing(browser: Any, series: Path, tmp_path: Path) -> None:
    import os

    shutil.copytree(series, tmp_path / "ct")
    os.mkfifo(tmp_path / "ct" / "pipe.png")
    with serving(str(tmp_path), cwd=tmp_path) as studio:
        tab = browser.new_page()
        tab.set_default_timeout(WAIT)
        tab.goto(studio.url)
        picture(tab)
        tab.get_by_label("Image of the folder").select_option("ct/pipe.png")
        tab.get_by_text("This image cannot be shown").wait_for()
        tab.close()
