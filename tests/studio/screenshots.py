"""Pictures of every page, wide and narrow, light and dark, to be looked at.

``python -m tests.studio.screenshots FOLDER OUT`` opens the studio on FOLDER, which should hold a
release, a model, an audit, a frontier, a sweep and a node, and writes PNG files to OUT.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.studio.conftest import chromium, serving

PAGES = {
    "explore": ("/", "img.privatized[data-shown]"),
    "volumes": ("/volumes", ".volume[data-privatized]"),
    "release": ("/release", ".thumb img"),
    "audit": ("/audit", ".plot svg"),
    "explain": ("/explain", ".reason-cell, .page pre"),
    "node": ("/node", ".listed td, .page pre"),
}


def shoot(tab: Any, origin: str, out: Path, ending: str) -> None:
    for name, (path, sign) in PAGES.items():
        tab.goto(origin + path)
        tab.locator(sign).first.wait_for()
        if name == "audit":
            audits = tab.locator("select[name=result] option").filter(has_text="Audit:")
            tab.get_by_label("Result").select_option(label=audits.first.inner_text())
        tab.wait_for_timeout(2500)
        tab.screenshot(path=out / f"{name}-{ending}.png", full_page=True)
        if name == "release":
            tab.get_by_label("Sorted").select_option("detail")
            tab.locator(".bin").first.wait_for()
            tab.locator(".thumb").nth(2).click()
            tab.locator(".alike-thumb img").first.wait_for()
            tab.wait_for_timeout(1000)
            tab.screenshot(path=out / f"chosen-{ending}.png", full_page=True)
        if name != "audit":
            continue
        for option in tab.locator("select[name=result] option").all_inner_texts():
            if not option.startswith("Audit"):
                tab.get_by_label("Result").select_option(label=option)
                tab.locator("img.privatized[data-shown]").wait_for()
                tab.wait_for_timeout(1000)
                kind = option.partition(":")[0].lower()
                tab.screenshot(path=out / f"{kind}-{ending}.png", full_page=True)


def main(folder: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with serving(str(folder), cwd=out) as studio, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        for width in (1280, 1920, 390):
            for scheme in ("light", "dark"):
                context = browser.new_context(
                    viewport={"width": width, "height": 900}, color_scheme=scheme
                )
                tab = context.new_page()
                tab.set_default_timeout(60_000)
                tab.goto(studio.url)
                shoot(tab, studio.origin, out, f"{width}-{scheme}")
                context.close()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
