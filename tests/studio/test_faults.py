"""Small things that a person at the page stumbles over, each in a real browser."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from tests.release.phantoms import Maker
from tests.studio.conftest import PROGRAM, Served, serving
from tests.studio.test_browser import WAIT, after, give, picture, png, set_to, text

pytest.importorskip("nicegui", reason="needs the extra studio")
pytest.importorskip("playwright", reason="needs the Python package playwright")

pytestmark = pytest.mark.slow


@pytest.fixture
def page(browser: Any, served: Served) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1920, "height": 900}, locale="en-US")
    context.set_default_timeout(WAIT)
    tab = context.new_page()
    wrong: list[str] = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.goto(served.url)
    yield tab
    context.close()
    assert not wrong


def frames(count: int, side: int) -> bytes:
    """A TIFF file of several 16-bit frames."""
    written = io.BytesIO()
    generator = np.random.default_rng(0)
    made = [
        Image.fromarray(generator.integers(0, 65536, (side, side), np.uint16)) for _ in range(count)
    ]
    made[0].save(written, "TIFF", save_all=True, append_images=made[1:])
    return written.getvalue()


def test_a_field_an_image_and_a_message_leave_no_trace_behind(page: Any) -> None:
    field = page.get_by_label("Patches P, exact")
    picture(page)
    field.fill("0")
    field.press("Enter")
    assert field.input_value() == "8"
    give(page, png(64)[:200])
    page.get_by_text("This file cannot be shown: the file").wait_for()
    page.get_by_role("button", name="Chest, synthetic").click()
    page.wait_for_function("document.querySelector('.drop .message').textContent === ''")
    after(page, lambda: give(page, png(24)))  # at J = 3 at most P = 3 fits
    page.wait_for_function("document.querySelector('.copies').textContent.includes('--patches 3')")
    page.get_by_role("button", name="Chest, synthetic").click()
    page.wait_for_function("document.querySelector('.copies').textContent.includes('--patches 8')")


def test_frames_keep_the_zoom_and_count_in_the_sizes(page: Any) -> None:
    after(page, lambda: give(page, frames(3, 64)))
    page.get_by_text("3 frames").first.wait_for()
    # 3 frames of 64 x 64 of 2 bytes; 4096 values of 4 bytes
    page.locator(".kept", has_text="24.6 kB → 49.2 kB").first.wait_for()
    fitted = text(page, ".corner.bottom.left")
    page.get_by_label("Zoom in").click()
    for _ in range(600):
        if (zoomed := text(page, ".corner.bottom.left")) != fitted:
            break
        page.wait_for_timeout(100)
    assert zoomed != fitted
    after(page, lambda: set_to(page, "frame", 1))
    page.locator(".corner.bottom.left", has_text=zoomed).first.wait_for()
    page.get_by_role("button", name="Fit").click()
    page.locator(".stage").hover()
    page.mouse.wheel(0, 120)
    page.wait_for_function("document.querySelector('#frame').value === '2'")


def test_a_reload_keeps_theme_and_image(page: Any) -> None:
    after(page, lambda: give(page, png(40)))
    page.get_by_role("button", name="Light or dark").click()
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload()
    page.get_by_text("40 × 40 pixels, 8 bit").wait_for()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == ground


def test_the_newest_of_two_uploads_is_shown_and_one_can_be_cancelled(page: Any) -> None:
    picture(page)
    page.evaluate(
        """([first, second]) => {
            const field = document.querySelector('input[type=file]');
            for (const text of [first, second]) {
                const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
                const carried = new DataTransfer();
                carried.items.add(new File([bytes], 'a.png'));
                field.files = carried.files;
                field.dispatchEvent(new Event('change'));
            }
        }""",
        [encoded(png(80)), encoded(png(56))],
    )
    page.get_by_text("56 × 56 pixels").first.wait_for()
    page.wait_for_timeout(500)
    assert "56 × 56" in text(page, ".about")
    page.route("**/upload/**", lambda _: None)  # never answered
    give(page, png(72))
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel").wait_for(state="hidden")
    assert text(page, ".drop .message") == ""


def encoded(content: bytes) -> str:
    import base64

    return base64.b64encode(content).decode()


def test_fingers_scroll_and_zoom(browser: Any, served: Served) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True)
    tab = context.new_page()
    tab.set_default_timeout(WAIT)
    tab.goto(served.url)
    picture(tab)
    divider = tab.get_by_role("slider", name=re.compile("Divider"))
    touch = """(moves) => {
        const stage = document.querySelector('.stage');
        stage.setPointerCapture = () => {};
        const area = stage.getBoundingClientRect();
        for (const [kind, id, x, y] of moves) {
            const at = {clientX: area.left + x, clientY: area.top + y};
            const about = {pointerId: id, pointerType: 'touch', bubbles: true, button: 0};
            stage.dispatchEvent(new PointerEvent(kind, {...about, ...at}));
        }
    }"""
    swipe = [["pointerdown", 1, 60, 90], ["pointermove", 1, 60, 30], ["pointerup", 1, 60, 30]]
    tab.evaluate(touch, swipe)
    assert divider.get_attribute("aria-valuenow") == "50"
    pinch = [["pointerdown", 1, 100, 100], ["pointerdown", 2, 140, 100]]
    pinch += [["pointermove", 2, 220, 100], ["pointerup", 2, 220, 100], ["pointerup", 1, 100, 100]]
    tab.evaluate(touch, pinch)
    tab.wait_for_function("document.querySelector('.stage').className.includes('zoomed')")
    assert divider.get_attribute("aria-valuenow") == "50"
    context.close()


def test_captions_addresses_and_back_follow_the_order(page: Any, served: Served) -> None:
    page.goto(f"{served.origin}/release?sort=alike")
    page.wait_for_function("document.querySelector('.thumb-words')?.textContent.includes('SSIM')")
    page.get_by_label("Sorted").select_option("detail")
    page.wait_for_function("document.querySelector('.thumb-words').textContent.includes('detail')")
    page.locator(".bin:not([disabled])").last.click()
    page.wait_for_function("location.search.includes('between=')")
    page.locator(".thumb").first.click()
    page.wait_for_function("location.search.includes('image=')")
    assert page.locator(".thumb[aria-pressed=true]").count() == 1
    name = text(page, ".sheet h2")
    count = page.locator(".thumb").count()
    page.get_by_role("link", name="Explore", exact=True).click()
    page.locator(".explore img.privatized[data-shown]").wait_for()
    page.wait_for_function("location.pathname === '/'")
    page.go_back()
    page.get_by_role("heading", name=name, exact=True).wait_for()
    assert page.get_by_label("Sorted").input_value() == "detail"
    assert page.locator(".thumb").count() == count < 8


def test_an_attack_is_shown_and_follows_patches(page: Any, served: Served) -> None:
    page.goto(f"{served.origin}/release?kind=done")
    page.wait_for_function("document.querySelectorAll('.thumb').length === 8")
    page.locator(".thumb").first.click()
    page.locator(".guesses img").first.wait_for()
    assert page.locator(".guesses li").count() == 6
    assert page.locator(".guesses li.right").count() == 1
    said = page.locator(".attack .note")
    assert "searches 8 records. The right patient: rank 1." in text(page, ".attack .note")
    before = said.inner_text()
    page.locator("#attack-patches").press("Home")
    page.wait_for_function(
        "before => document.querySelector('.attack .note').innerText !== before", arg=before
    )


def test_a_frontier_names_points_by_a_line_and_shows_what_is_released(
    page: Any, served: Served
) -> None:
    page.goto(f"{served.origin}/audit")
    page.get_by_label("Result").select_option(label="Frontier: frontier")
    point = page.locator("[data-pick=J2_P6_plain]")
    point.wait_for()
    place = point.locator("circle").last
    x, y = float(place.get_attribute("cx")), float(place.get_attribute("cy"))
    leader = str(point.locator("path").last.get_attribute("d"))
    assert leader.startswith(f"M{x + 13} {y}L")
    assert point.locator("text").text_content() == "shared"
    assert page.locator(".plot svg").first.bounding_box()["width"] <= 760
    page.locator("[data-pick=J2_P6_blur] .reach").click()
    page.get_by_text("The blurred image with 576 values.").wait_for()
    assert point.evaluate("mark => (mark.focus(), getComputedStyle(mark).outlineStyle)") == "none"
    page.get_by_text("label-only baseline").first.wait_for()
    for value in (0.66, 0.67):
        page.locator(".plot .threshold").press("ArrowRight")
        page.locator(f".plot .threshold[aria-valuenow='{value}']").wait_for()
    page.wait_for_function("location.search.includes('threshold=0.67')")
    page.get_by_role("button", name="blur", exact=True).click()
    page.wait_for_function("location.search.includes('family=blur')")
    page.reload()
    page.locator("button[aria-pressed=true]:has-text('blur')").wait_for()
    page.get_by_text("linkage ≤ 0.67").wait_for()


def test_a_sweep_is_a_map_of_pictures_by_an_estimate(page: Any, served: Served) -> None:
    page.goto(f"{served.origin}/audit")
    page.get_by_label("Result").select_option(label="Sweep: sweep")
    cell = page.locator("[data-pick=J3_P8]")
    page.wait_for_function("document.querySelector('[data-pick=J3_P8] img')?.naturalWidth > 0")
    assert cell.inner_text() == "0.900"
    by_auc = cell.evaluate("cell => cell.style.background")
    page.get_by_label("Coloured by").select_option("share")
    page.wait_for_function("document.querySelector('[data-pick=J3_P8]').innerText !== '0.900'")
    assert text(page, "[data-pick=J3_P8]") == "8 %"
    assert cell.evaluate("cell => cell.style.background") != by_auc
    cell.click()
    page.get_by_role("heading", name="J=3, P=8, plain").wait_for()


def test_a_restarted_studio_asks_for_its_new_link(browser: Any, tmp_path: Path) -> None:
    with serving(cwd=tmp_path) as first:
        tab = browser.new_context().new_page()
        tab.set_default_timeout(WAIT)
        tab.goto(first.url)
        picture(tab)
        port = first.origin.rpartition(":")[2]
    with serving("--port", port, cwd=tmp_path):
        tab.get_by_text("The studio was restarted").wait_for()
    tab.context.close()


def test_records_are_drawn_and_unfinished_results_come_last(
    browser: Any, shelf: Path, tmp_path: Path
) -> None:
    Maker(tmp_path / "data")("projection", tmp_path / "shelf" / "records")
    (tmp_path / "shelf" / "a frontier").mkdir()
    (tmp_path / "shelf" / "a frontier" / "frontier.json").write_text("{}", "utf-8")
    shutil.copytree(shelf / "sweep", tmp_path / "shelf" / "sweep")
    with serving(str(tmp_path / "shelf"), cwd=tmp_path) as studio:
        tab = browser.new_context().new_page()
        tab.set_default_timeout(WAIT)
        tab.goto(studio.url)
        tab.goto(f"{studio.origin}/release")
        tab.locator(".thumb").first.wait_for()
        tab.wait_for_function(
            "[...document.querySelectorAll('.thumb img')].slice(0, 8)"
            ".every((image) => image.complete)"
        )
        drawn = (
            "[...document.querySelectorAll('.thumb img')].slice(0, 8).map((i) => i.naturalWidth)"
        )
        assert min(tab.evaluate(drawn)) > 0
        tab.goto(f"{studio.origin}/audit")
        tab.locator(".map-cell").first.wait_for()
        assert "a frontier (unfinished)" in text(tab, "select[name=result]")
        tab.context.close()


def test_figures_are_those_of_the_picture_on_the_screen(page: Any) -> None:
    after(page, lambda: give(page, png(1024)))
    for place, share in ((3, "0.098 %"), (9, "1.2 %")):  # P = 4 and 14 at J = 3
        after(page, lambda place=place: set_to(page, "patches", place))
        said = page.locator(".kept .big").inner_text()
        assert said.startswith(share.replace(" ", "\N{NO-BREAK SPACE}")), said


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 210 images, a figure of this package, and two releases of the images."""
    from deepfixcx.release import ReleaseOptions, privatize_dataset
    from deepfixcx.report.drawing import write_figure
    from deepfixcx.spec import CodecSpec

    folder = tmp_path_factory.mktemp("crowd")
    (folder / "scans").mkdir()
    for number in range(210):
        (folder / "scans" / f"{number:03}.png").write_bytes(png(32, seed=number))
    for name, spec in (("coarse", CodecSpec(2, 3)), ("fine", CodecSpec(1, 8))):
        privatize_dataset(folder / "scans", folder / name, ReleaseOptions(spec))
    write_figure(folder / "figure.png", Figure())
    return folder


def test_a_long_list_is_complete_and_a_sorted_release_stays_sorted(
    browser: Any, crowd: Path, tmp_path: Path
) -> None:
    with serving(str(crowd), cwd=tmp_path) as studio:
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.add_init_script(
            """window.said = [];
            setInterval(() => {
                const text = document.querySelector('.release .about')?.textContent;
                if (text && text !== said.at(-1)) said.push(text);
            }, 1);"""
        )
        tab = context.new_page()
        tab.set_default_timeout(WAIT)
        tab.goto(studio.url)
        picture(tab)
        names = tab.locator("#file-names option")
        assert names.count() == 210
        assert not [each for each in names.all() if "figure" in str(each.get_attribute("value"))]
        tab.goto(f"{studio.origin}/release")
        tab.locator(".thumb").first.wait_for()
        tab.get_by_label("Sorted").select_option("detail")
        sorted_ = "document.querySelector('.thumb-words')?.textContent.startsWith('detail')"
        tab.wait_for_function(sorted_)
        assert any("reading 200 of 210" in each for each in tab.evaluate("said"))
        tab.reload()
        tab.wait_for_function(sorted_)
        assert not any("reading" in each for each in tab.evaluate("said"))
        context.close()


def test_releases_stand_side_by_side_and_their_table_filters_sorts_and_is_saved(
    browser: Any, crowd: Path, tmp_path: Path
) -> None:
    with serving(str(crowd), cwd=tmp_path) as studio:
        tab = browser.new_page(viewport={"width": 1280, "height": 800})
        tab.set_default_timeout(WAIT)
        tab.goto(studio.url)
        tab.goto(f"{studio.origin}/release")
        card = tab.locator(".beside")
        rows = card.locator(".listed tbody tr:visible")
        card.locator(".beside-table img").first.wait_for()
        shown = card.locator(".beside-table tr")
        assert [each.locator("img").count() for each in shown.all()] == [8, 8]
        assert rows.count() == 2
        card.get_by_label("Filter rows").fill("fine")
        tab.wait_for_function(
            "document.querySelectorAll('.beside .listed tbody tr:not([hidden])').length === 1"
        )
        with tab.expect_download() as saved:
            card.get_by_role("button", name="Save as CSV").click()
        lines = Path(saved.value.path()).read_text("utf-8").splitlines()
        assert len(lines) == 2
        assert lines[1].startswith('"fine","1","8","plain","210","0"')
        card.get_by_label("Filter rows").fill("")
        card.locator("th button", has_text=re.compile("^J$")).click()
        assert rows.first.inner_text().startswith("fine")
        card.get_by_role("button", name="fine", exact=True).click()
        tab.wait_for_function("document.querySelectorAll('.beside-table tr').length === 1")
        tab.close()


def test_tables_of_a_report_keep_every_column_on_a_phone(
    browser: Any, shelf: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.html"
    command = [*PROGRAM, "report", str(shelf / "shared"), "-o", str(report)]
    subprocess.run(
        command, capture_output=True, check=False, timeout=300
    )  # its audit is of no release
    tab = browser.new_page(viewport={"width": 390, "height": 800})
    tab.goto(report.resolve().as_uri())
    outside = tab.evaluate(
        """() => [...document.querySelectorAll('td')].filter((cell) => {
            const box = cell.getBoundingClientRect(), wide = cell.closest('.wide');
            const scrolls = wide && wide.scrollWidth > wide.clientWidth;
            return box.width && box.right > 391 && !scrolls;
        }).length"""
    )
    assert tab.locator("td").count() > 10
    assert outside == 0
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    tab.close()
