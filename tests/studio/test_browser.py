"""The studio in a real browser: every control, bad uploads, two users, a lost connection."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from tests.studio.conftest import PROGRAM, Served, serving

pytest.importorskip("nicegui", reason="needs the extra studio")
pytest.importorskip("playwright", reason="needs the Python package playwright")

pytestmark = pytest.mark.slow

WAIT = 90_000  # ms: a busy machine is slow, not wrong


@pytest.fixture
def page(browser: Any, served: Served) -> Iterator[Any]:
    """A tab that may only see its own origin, and reports every error of a script."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    context.set_default_timeout(WAIT)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab = context.new_page()
    wrong: list[str] = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("request", lambda asked: foreign(asked.url, served.origin, wrong))
    tab.on("websocket", lambda socket: foreign(socket.url, served.origin, wrong))
    tab.goto(served.url)
    yield tab
    context.close()
    assert not wrong


def foreign(url: str, origin: str, wrong: list[str]) -> None:
    parts, own = urlsplit(url), urlsplit(origin)
    if parts.scheme != "data" and parts.netloc != own.netloc:
        wrong.append(f"asked {url}")


def picture(tab: Any) -> str:
    """Return the URL of the privatized image that is on the screen."""
    shown = tab.locator("img.privatized[data-shown]")
    shown.wait_for()
    return str(shown.get_attribute("data-shown"))


def after(tab: Any, step: Any) -> str:
    """Do something, and return the privatized image that comes of it."""
    before = picture(tab)
    step()
    tab.wait_for_function(
        "before => document.querySelector('img.privatized')?.dataset.shown !== before", arg=before
    )
    return picture(tab)


def set_to(tab: Any, name: str, index: int) -> None:
    tab.locator(f"#{name}").evaluate(
        "(input, index) => {input.value = index; input.dispatchEvent(new Event('input'))}", index
    )


def png(side: int, seed: int = 0) -> bytes:
    written = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side), np.uint8)
    Image.fromarray(pixels).save(written, "PNG")
    return written.getvalue()


def give(tab: Any, content: bytes, name: str = "JANE_DOE.png") -> None:
    file = {"name": name, "mimeType": "image/png", "buffer": content}
    tab.locator("input[type=file]").set_input_files(file)


def text(tab: Any, selector: str) -> str:
    return str(tab.locator(selector).inner_text()).replace("\N{NO-BREAK SPACE}", " ")


def test_first_open_shows_an_example_and_no_token(page: Any) -> None:
    picture(page)
    assert "token" not in page.url
    page.get_by_text("1,024 × 1,024 pixels, a synthetic radiograph").wait_for()
    page.wait_for_function("document.querySelector('.kept').textContent.includes('SSIM')")
    assert "0.39 % of the values, 1 : 256" in text(page, ".kept")
    assert page.title() == "deepfixcx studio"


def test_every_control_changes_the_image_and_what_is_copied(page: Any) -> None:
    after(page, lambda: set_to(page, "level", 1))
    after(page, lambda: set_to(page, "patches", 3))
    assert text(page, ".controls").count("4 × 4") >= 2  # 16 bands, 4 x 4 numbers in each
    after(page, lambda: page.get_by_role("radio", name="Filled in").check())
    page.get_by_text("Wavelet, pooling, grid").click()
    after(page, lambda: page.get_by_label("Wavelet").select_option("db2"))
    after(page, lambda: page.get_by_label("Pooling").select_option("max"))
    after(page, lambda: page.get_by_role("radio", name="Padded").check())
    after(page, lambda: page.get_by_role("radio", name="Periodic").check())
    wanted = (
        "deepfixcx privatize FOLDER OUT --level 2 --patches 4 --wavelet db2 --pooling max "
        "--boundary periodic --grid padded --size original"
    )
    page.get_by_text(wanted).wait_for()
    page.get_by_label("Copy Command line").click()
    page.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == wanted
    page.get_by_label("Copy Python").click()
    page.wait_for_function("navigator.clipboard.readText().then(text => text.includes('Codec('))")
    assert "boundary='periodic'" in page.evaluate("navigator.clipboard.readText()")
    assert "wavelet=db2" in page.url


def test_settings_in_the_address_are_taken(page: Any, served: Served) -> None:
    page.goto(f"{served.origin}/?level=2&patches=5&pooling=nonsense")
    picture(page)
    page.get_by_text("deepfixcx privatize FOLDER OUT --level 2 --patches 5").wait_for()


def test_settings_that_do_not_fit_are_out_of_reach_and_say_why(page: Any) -> None:
    after(page, lambda: give(page, png(64)))
    page.get_by_text("At most 8 fits: at J = 3 a band has 8 × 8").wait_for()
    page.get_by_label("Patches P, exact").fill("50")
    page.get_by_label("Patches P, exact").press("Enter")
    assert page.get_by_label("Patches P, exact").input_value() == "8"
    set_to(page, "patches", 15)
    page.wait_for_timeout(300)
    assert "--patches 8" in text(page, ".copies")
    page.get_by_text("Wavelet, pooling, grid").click()
    assert page.locator("input[name=boundary]").first.is_disabled()
    page.get_by_text("The Haar wavelet uses no pixels beyond the edge.").wait_for()


def test_keyboard_alone_is_enough(page: Any) -> None:
    picture(page)
    page.locator("#level").focus()
    after(page, lambda: page.keyboard.press("ArrowRight"))
    assert "--level 4" in text(page, ".copies")
    divider = page.get_by_role("slider", name=re.compile("Divider"))
    divider.focus()
    page.keyboard.press("ArrowRight")
    assert divider.get_attribute("aria-valuenow") == "52"
    page.keyboard.press("End")
    assert divider.get_attribute("aria-valuenow") == "100"
    page.locator(".stage").focus()
    before = text(page, ".corner.bottom.left")
    page.keyboard.press("+")
    assert text(page, ".corner.bottom.left") != before
    page.keyboard.press("0")
    assert text(page, ".corner.bottom.left") == before
    page.locator(".map").focus()
    page.keyboard.press("ArrowDown")
    page.get_by_text("local brightness (band aaaa), row 2 of 8, column 1 of 8").wait_for()
    page.locator(".box").wait_for()
    page.keyboard.press("Escape")
    page.get_by_text("Point at a value to see its place.").wait_for()


def test_mouse_moves_divider_zooms_and_asks_the_mosaic(page: Any) -> None:
    picture(page)
    stage = page.locator(".stage").bounding_box()
    middle = stage["y"] + stage["height"] / 2
    page.mouse.move(stage["x"] + stage["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(stage["x"] + stage["width"] / 4, middle)
    page.mouse.up()
    divider = page.get_by_role("slider", name=re.compile("Divider"))
    assert divider.get_attribute("aria-valuenow") == "25"
    page.get_by_label("Zoom in").click()
    assert "zoomed" in page.locator(".stage").get_attribute("class")
    page.get_by_role("button", name="Fit").click()
    page.get_by_role("button", name="Cells").click()
    assert page.locator(".cells path").get_attribute("d").count("M") == 14
    page.locator(".map").hover(position={"x": 2, "y": 2})
    page.get_by_text("local brightness (band aaa), row 1 of 8, column 1 of 8").wait_for()


def test_examples_and_images_of_the_folder(page: Any) -> None:
    for name in page.locator(".chips button").all_inner_texts():
        page.get_by_role("button", name=name, exact=True).click()
        page.locator(f"button[aria-pressed=true]:has-text('{name}')").wait_for()
    after(page, lambda: page.get_by_label("Image of the folder").select_option("scans/3.png"))
    page.get_by_text("96 × 96 pixels, 8 bit, PNG").wait_for()
    page.get_by_label("Image of the folder").select_option("scans/cut.png")
    page.get_by_text("This image cannot be shown: the file").wait_for()


def test_a_malformed_upload_is_refused_in_words_and_the_page_lives(page: Any) -> None:
    picture(page)
    give(page, png(64)[:200])
    page.get_by_text("This file cannot be shown: the file").wait_for()
    give(page, b"")
    page.get_by_text("the file has no bytes").wait_for()
    give(page, b"plain text")
    page.get_by_text("the content is not").wait_for()
    after(page, lambda: give(page, png(40)))
    page.get_by_text("40 × 40 pixels").first.wait_for()
    assert text(page, ".drop .message") == ""


def test_a_huge_upload_is_refused_in_words_and_the_page_lives(page: Any, tmp_path: Path) -> None:
    picture(page)
    huge = tmp_path / "huge.dcm"
    with huge.open("wb") as file:
        file.truncate(257 << 20)
    page.locator("input[type=file]").set_input_files(huge)
    page.get_by_text("This file has 257 MiB; the studio takes 256 MiB at most.").wait_for()
    bomb = Image.new("L", (1, 1))
    written = io.BytesIO()
    bomb.save(written, "PNG")
    content = bytearray(written.getvalue())
    content[16:24] = (50_000).to_bytes(4, "big") * 2
    import zlib

    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    give(page, bytes(content))
    page.get_by_text("the image declares more than").wait_for()
    after(page, lambda: set_to(page, "level", 0))


def test_no_name_of_a_file_leaves_the_browser(page: Any) -> None:
    sent: list[str] = []
    page.on("request", lambda asked: sent.append(f"{asked.url} {asked.headers}"))
    after(page, lambda: give(page, png(40), "DOE^JANE.png"))
    assert any("/upload/" in line for line in sent)
    assert not any("DOE" in line for line in sent)
    assert "DOE" not in page.content()


def test_two_users_do_not_see_each_other(browser: Any, served: Served) -> None:
    tabs = []
    for side in (64, 80):
        tab = browser.new_context().new_page()
        tab.set_default_timeout(WAIT)
        tab.goto(served.url)
        after(tab, lambda tab=tab, side=side: give(tab, png(side, side)))
        tabs.append(tab)
    first, second = (tab.locator("img.original").get_attribute("src") for tab in tabs)
    assert first.split("/")[2] != second.split("/")[2]
    after(tabs[0], lambda: set_to(tabs[0], "level", 0))
    assert "--level 1" in text(tabs[0], ".copies")
    assert "--level 3" in text(tabs[1], ".copies")
    tabs[0].get_by_text("64 × 64 pixels, 8 bit").wait_for()
    tabs[1].get_by_text("80 × 80 pixels, 8 bit").wait_for()
    for tab in tabs:
        tab.context.close()


def test_a_dropped_connection_comes_back_with_everything(page: Any) -> None:
    after(page, lambda: give(page, png(64)))
    after(page, lambda: set_to(page, "level", 1))
    page.evaluate("window.socket.io.engine.close()")
    page.wait_for_function("!window.socket.connected")
    set_to(page, "patches", 2)  # while nobody listens
    page.wait_for_function("window.socket.connected")
    after(page, lambda: set_to(page, "patches", 4))
    assert "--level 2 --patches 5" in text(page, ".copies")
    page.get_by_text("64 × 64 pixels, 8 bit").wait_for()


def test_the_image_stays_on_a_visit_to_another_page(page: Any) -> None:
    after(page, lambda: give(page, png(64)))
    page.get_by_role("link", name="Release").click()
    page.locator(".thumb").first.wait_for()
    assert page.locator("nav a[aria-current=page]").inner_text() == "Release"
    page.get_by_role("link", name="Explore", exact=True).click()
    page.get_by_text("64 × 64 pixels, 8 bit").wait_for()


def test_gallery_sorts_filters_searches_and_compares(page: Any, served: Served) -> None:
    page.goto(f"{served.origin}/release")
    page.get_by_text("finished · 8 images · 2 failed").wait_for()
    assert page.locator(".thumb").count() == 10
    page.get_by_role("button", name="failed 2").click()
    page.wait_for_function("document.querySelectorAll('.thumb').length === 2")
    page.locator(".thumb").first.click()
    page.get_by_text(re.compile("(DecodeError|EmptyFileError): the file")).wait_for()
    page.get_by_role("button", name="all 10").click()
    page.get_by_label("Sorted").select_option("alike")
    page.wait_for_function("document.querySelector('.thumb-words').textContent.includes('SSIM')")
    found = [
        float(words.split()[1]) for words in page.locator(".thumb-words").all_inner_texts()[:8]
    ]
    assert found == sorted(found, reverse=True)
    page.locator(".thumb").first.click()
    page.wait_for_function("document.querySelector('.sheet img.original')?.naturalWidth > 0")
    name = text(page, ".sheet h2")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "name => document.querySelector('.sheet h2').textContent !== name", arg=name
    )
    page.keyboard.press("Escape")
    page.locator(".sheet").wait_for(state="hidden")
    page.locator("input[name=search]").fill("000003")
    page.wait_for_function("document.querySelectorAll('.thumb').length === 1")


def test_a_release_is_followed_while_it_is_made(browser: Any, shelf: Path, tmp_path: Path) -> None:
    for name in ("shared", "shared.private"):
        shutil.copytree(shelf / name, tmp_path / name)
    paper = tmp_path / "shared" / "dataset.json"
    content = paper.read_bytes()
    paper.unlink()
    with serving(str(tmp_path), cwd=tmp_path) as studio:
        tab = browser.new_context().new_page()
        tab.set_default_timeout(WAIT)
        tab.goto(studio.url)
        tab.get_by_role("link", name="Release").click()
        tab.get_by_text("stopped · 10 of 10 files · 8 images").wait_for()
        paper.write_bytes(content)
        tab.get_by_text("finished · 8 images · 2 failed").wait_for()
        assert tab.locator("progress").is_hidden()
        tab.context.close()


GATE = """
import os, pathlib, time
from deepfixcx.release import shard

read_image, read = shard.read_image, []

def instead(stream, **options):
    read.append(stream)
    while len(read) > 20 and not pathlib.Path(os.environ["GATE"]).exists():
        time.sleep(0.05)
    return read_image(stream, **options)

shard.read_image = instead
"""
"""Read by every Python process of a run: after twenty images a decoder waits for a file."""


def privatizing(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start ``deepfixcx privatize`` in a process of its own, which waits at the gate."""
    command = [*PROGRAM, "privatize", "scans", "shared", "-J", "2", "-P", "6", "--workers", "1"]
    paths = [str(folder / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    gate = {"GATE": str(folder / "open"), "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.Popen(
        [*command, *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **gate},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def files_ended(tab: Any, state: str, files: int) -> int:
    """Wait until the page says a state, with some files ended and not all; return how many."""
    said = tab.get_by_role("status").get_by_text(
        re.compile(rf"^{state} · [1-9]\d* of {files} files")
    )
    said.wait_for()
    count = re.search(r"· (\d+) of", said.inner_text())
    assert count is not None
    assert 0 < int(count[1]) < files
    return int(count[1])


def test_a_real_run_is_followed_killed_and_resumed(browser: Any, tmp_path: Path) -> None:
    files = 64
    for name in ("scans", "site"):
        (tmp_path / name).mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(GATE)
    for number in range(files):
        (tmp_path / "scans" / f"{number}.png").write_bytes(png(64, seed=number))
    run = privatizing(tmp_path)
    try:
        while not (tmp_path / "shared.private" / "ledger.sqlite").exists():
            assert run.poll() is None
            time.sleep(0.05)
        with serving(str(tmp_path), cwd=tmp_path) as studio:
            tab = browser.new_context().new_page()
            tab.set_default_timeout(WAIT)
            tab.goto(f"{studio.url.replace('/?', '/release?')}")
            running = files_ended(tab, "running", files)
            tab.wait_for_function("document.querySelectorAll('.thumb img').length > 0")
            assert tab.locator("progress").is_visible()
            assert 0 < float(tab.locator("progress").get_attribute("value")) < files
            os.killpg(run.pid, signal.SIGKILL)
            run.wait(60)
            stopped = files_ended(tab, "stopped", files)
            assert stopped >= running
            first = tab.locator(".thumb img").first
            assert first.evaluate("image => image.decode().then(() => image.naturalWidth)") == 24
            run = privatizing(tmp_path, "--resume")
            assert files_ended(tab, "running", files) >= stopped
            (tmp_path / "open").touch()
            tab.get_by_text(f"finished · {files} images · 0 failed").wait_for()
            assert tab.locator("progress").is_hidden()
            assert run.wait(60) == 0
            tab.locator(".thumb").nth(3).click()
            tab.get_by_text("Most similar in this release").wait_for()
            tab.context.close()
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait(60)


def test_bars_of_a_measure_filter_and_the_address_remembers(page: Any, served: Served) -> None:
    page.goto(f"{served.origin}/release")
    page.get_by_label("Sorted").select_option("detail")
    bars = page.locator(".bin:not([disabled])")
    bars.last.wait_for()
    label = str(bars.last.get_attribute("aria-label"))
    count = int(label.split(": ")[1].split()[0])
    bars.last.click()
    page.wait_for_function(
        "count => document.querySelectorAll('.thumb').length === count", arg=count
    )
    assert count < 8
    bars.last.click()
    page.wait_for_function("document.querySelectorAll('.thumb').length >= 8")
    page.get_by_role("button", name="failed 2").click()
    page.wait_for_function("location.search === '?release=0&kind=failed&sort=detail'")
    page.reload()
    page.locator("button[aria-pressed=true]:has-text('failed 2')").wait_for()
    page.wait_for_function("document.querySelectorAll('.thumb').length === 2")
    assert page.get_by_label("Sorted").input_value() == "detail"


def test_the_most_alike_records_are_shown_and_lead_on(page: Any, served: Served) -> None:
    page.goto(f"{served.origin}/release")
    page.get_by_role("button", name="gray 8").click()
    page.wait_for_function("document.querySelectorAll('.thumb').length === 8")
    page.locator(".thumb").first.click()
    page.get_by_text("Most similar in this release").wait_for()
    found = page.locator(".alike-thumb")
    assert found.count() == 6
    distances = [float(each.get_attribute("aria-label").split()[-1]) for each in found.all()]
    assert distances == sorted(distances)
    name = found.first.locator(".thumb-name").inner_text()
    found.first.click()
    page.get_by_role("heading", name=name, exact=True).wait_for()


def test_a_mechanism_is_isolated_and_the_point_of_a_release_shows_it(
    page: Any, served: Served
) -> None:
    page.goto(f"{served.origin}/audit")
    page.get_by_label("Result").select_option(label="Frontier: frontier")
    points = page.locator(".plot [data-pick]")
    page.wait_for_function("document.querySelectorAll('.plot [data-pick]').length === 6")
    page.get_by_role("button", name="mixing-3", exact=True).click()
    page.wait_for_function("document.querySelectorAll('.plot [data-pick]').length === 2")
    page.get_by_role("button", name="all", exact=True).click()
    page.wait_for_function("document.querySelectorAll('.plot [data-pick]').length === 6")
    here = points.filter(has_text="shared")
    assert here.count() == 1
    assert here.get_attribute("data-pick") == "J2_P6_plain"
    here.focus()
    page.keyboard.press("Enter")
    page.get_by_text("Some of the 8 images of the release shared").wait_for()
    page.wait_for_function("location.search.includes('point=J2_P6_plain')")
    page.reload()
    page.get_by_text("Some of the 8 images of the release shared").wait_for()


def test_audit_frontier_and_sweep_are_figures_to_choose_from(page: Any, served: Served) -> None:
    page.goto(f"{served.origin}/audit")
    result = page.get_by_label("Result")
    result.select_option(label="Audit: shared.audit/audit.json")
    page.get_by_text("Can records be linked? Yes.").wait_for()
    page.get_by_text("Membership in a released model was not tested.").wait_for()
    assert page.locator(".plot svg").count() == 4
    result.select_option(label="Frontier: frontier")
    page.get_by_text("No setting is shown to meet the threshold: linkage").wait_for()
    page.get_by_role("button", name=re.compile("J=3, P=4, plain")).focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="J=3, P=4, plain").wait_for()
    picture(page)
    result.select_option(label="Sweep: sweep")
    page.locator("[data-pick=J1_P2]").click()
    page.get_by_role("heading", name="J=1, P=2, plain").wait_for()
    page.get_by_role("link", name="Open in Explore").click()
    page.get_by_text("deepfixcx privatize FOLDER OUT --level 1 --patches 2").wait_for()


def test_light_and_dark(page: Any) -> None:
    picture(page)
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Light or dark").click()
    assert page.evaluate(ground) != light


def test_without_a_folder_every_page_says_what_to_do(browser: Any, tmp_path: Path) -> None:
    with serving(cwd=tmp_path) as studio:
        tab = browser.new_context().new_page()
        tab.set_default_timeout(WAIT)
        tab.goto(studio.url)
        picture(tab)
        for name, command in (("Release", "privatize"), ("Explain", "train"), ("Audit", "audit")):
            tab.get_by_role("link", name=name).click()
            tab.get_by_text(f"deepfixcx {command}").wait_for()
        tab.context.close()
    assert not list(tmp_path.iterdir())
