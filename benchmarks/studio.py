"""How soon the studio answers, in a real browser: sliders, and 2,000 images sorted.

``python -m benchmarks.studio`` needs the extra studio, playwright and chromium.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from deepfixcx.images import phantom, write_png
from deepfixcx.release import ReleaseOptions, privatize_dataset
from deepfixcx.spec import CodecSpec
from tests.studio.conftest import chromium, serving

SIZES = ((1024, 1024, 60), (4096, 3328, 300))
"""Height, width, and the most milliseconds from a slider to the image."""

MOVES, IMAGES, SIDE = 20, 2000, 96
MOST_SORTING = 2.0

MOVE = """(place) => new Promise((done) => {
    const image = document.querySelector('img.privatized');
    const slider = document.querySelector('#patches');
    const watcher = new MutationObserver(() => {
        watcher.disconnect();
        done(performance.now() - begin);
    });
    watcher.observe(image, {attributes: true, attributeFilter: ['data-shown']});
    slider.value = place;
    const begin = performance.now();
    slider.dispatchEvent(new Event('input'));
})"""
"""Milliseconds from an event of the slider until the browser has decoded the image of it."""

SORTED = "document.querySelector('.thumb-words')?.textContent.startsWith('detail')"


def picture(height: int, width: int) -> bytes:
    """Return a synthetic radiograph as PNG."""
    drawn = phantom(np.random.default_rng(0), max(height, width))[:height, :width]
    written = io.BytesIO()
    Image.fromarray(np.rint(255 * drawn).astype(np.uint8)).save(written, "PNG")
    return written.getvalue()


def slid(tab: Any, height: int, width: int) -> list[float]:
    """Return the milliseconds of moves of the slider of P over an image of this size."""
    file = {"name": "a.png", "mimeType": "image/png", "buffer": picture(height, width)}
    tab.locator("input[type=file]").set_input_files(file)
    tab.get_by_text(f"{height:,} × {width:,} pixels").first.wait_for()
    tab.wait_for_timeout(3000)
    found = []
    for move in range(MOVES + 2):
        found.append(tab.evaluate(MOVE, 5 + move % 6))
        tab.wait_for_timeout(600)
    return found[2:]


def in_order(tab: Any, origin: str) -> tuple[float, float]:
    """Return the seconds to sort a release by detail, and again after the page was reloaded."""
    tab.goto(f"{origin}/release")
    tab.locator(".thumb img").first.wait_for()
    tab.wait_for_timeout(1500)
    begin = time.perf_counter()
    tab.get_by_label("Sorted").select_option("detail")
    tab.wait_for_function(SORTED)
    first = time.perf_counter() - begin
    begin = time.perf_counter()
    tab.reload()
    tab.wait_for_function(SORTED)
    return first, time.perf_counter() - begin


def release_of(folder: Path, images: int) -> None:
    """Make a release of synthetic radiographs below a folder."""
    (folder / "scans").mkdir()
    drawn = [phantom(np.random.default_rng(number), SIDE) for number in range(25)]
    for number in range(images):
        pixels = np.roll(drawn[number % 25], number, axis=1)
        write_png(folder / "scans" / f"{number}.png", pixels[np.newaxis], bits=8)
    privatize_dataset(folder / "scans", folder / "shared", ReleaseOptions(CodecSpec(3, 4)))


def main() -> int:
    """Measure, print, and return 1 where a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=IMAGES)
    images = parser.parse_args().images
    missed = 0
    with TemporaryDirectory() as name, sync_playwright() as play:
        folder = Path(name)
        release_of(folder, images)
        browser = play.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        with serving(str(folder), cwd=folder) as studio:
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            tab.set_default_timeout(120_000)
            tab.goto(studio.url)
            tab.locator("img.privatized[data-shown]").wait_for()
            for height, width, most in SIZES:
                found = slid(tab, height, width)
                median = statistics.median(found)
                missed += median > most
                print(
                    f"slider to image, {height} x {width}: median {median:.0f} ms of {len(found)} "
                    f"({min(found):.0f} to {max(found):.0f}); at most {most} ms"
                )
            first, again = in_order(tab, studio.origin)
            missed += first > MOST_SORTING
            print(
                f"{images:,} images sorted by detail: {first:.1f} s; after a reload, with the "
                f"page: {again:.1f} s; at most {MOST_SORTING:.0f} s"
            )
        browser.close()
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
