"""The pictures of the studio and the report that the documentation shows.

``python -m tests.studio.doc_pictures REPORT OUT`` takes a report as HTML, and writes
``explore.png``, ``explore.gif`` and ``report.png`` to OUT.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.studio.conftest import chromium, serving

STEPS = (
    *(("patches", 7), ("patches", 9), ("patches", 12)),
    *(("patches", 9), ("patches", 6), ("level", 1), ("level", 0), ("level", 1), ("level", 2)),
)
"""Sliders and their places, one after the other."""


def set_slider(tab: Any, name: str, place: int) -> None:
    shown = tab.locator("img.privatized").get_attribute("data-shown")
    tab.locator(f"#{name}").evaluate(
        "(input, place) => {input.value = place; input.dispatchEvent(new Event('input'))}", place
    )
    tab.wait_for_function(
        "shown => document.querySelector('img.privatized').dataset.shown !== shown", arg=shown
    )
    tab.wait_for_function("document.querySelector('.kept').textContent.includes('SSIM')")


def animated(tab: Any) -> list[Image.Image]:
    frames = []
    for name, place in STEPS:
        set_slider(tab, name, place)
        shot = Image.open(io.BytesIO(tab.screenshot()))
        small = shot.convert("RGB").resize((960, 660), Image.Resampling.LANCZOS)
        frames.append(small.quantize(48, dither=Image.Dither.NONE))
    return frames


def main(report: Path, out: Path) -> None:
    with sync_playwright() as play, tempfile.TemporaryDirectory() as empty:
        browser = play.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        with serving(cwd=Path(empty)) as studio:
            tab = browser.new_page(viewport={"width": 1280, "height": 880})
            tab.set_default_timeout(60_000)
            tab.goto(studio.url)
            tab.get_by_text("SSIM").first.wait_for()
            tab.wait_for_timeout(1500)
            tab.screenshot(path=out / "explore.png")
            first, *others = animated(tab)
            first.save(
                out / "explore.gif", save_all=True, append_images=others, duration=700, loop=0,
                optimize=True,
            )  # fmt: skip
        tab = browser.new_page(viewport={"width": 1000, "height": 760})
        tab.goto(report.resolve().as_uri())
        tab.screenshot(path=out / "report.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
