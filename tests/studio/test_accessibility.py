"""Every page, wide and narrow, light and dark: axe-core finds nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.studio.conftest import Served, absent
from tests.studio.test_node_page import worked

pytest.importorskip("nicegui", reason="needs the extra studio")

pytestmark = pytest.mark.slow

PAGES = {
    "/": "img.privatized[data-shown]",
    "/volumes": ".volume[data-privatized]",
    "/release": ".thumb img",
    "/audit": ".plot svg",
    "/explain": ".page pre",
    "/node": "td",
}
"""Pages, with what is there once they are."""


@pytest.fixture(scope="module", autouse=True)
def node(shelf: Path) -> Iterator[None]:
    """The folder of the studio has that of a node, too."""
    spool = worked(shelf / "beside")
    yield
    shutil.rmtree(spool.parent)


@pytest.fixture(scope="module")
def axe() -> str:
    try:
        import axe_playwright_python
    except ImportError:
        absent("axe-core", "the Python package axe-playwright-python")
    folder = Path(str(axe_playwright_python.__file__)).parent
    return (folder / "axe.min.js").read_text("utf-8")


def violations(tab: Any, axe: str) -> list[str]:
    tab.evaluate(axe)
    found = tab.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']}: {json.dumps([node['html'][:120] for node in each['nodes']][:3])}"
        for each in found["violations"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_no_violation(
    browser: Any, served: Served, axe: str, width: int, scheme: str
) -> None:
    # the page forbids scripts from elsewhere, and axe-core is one
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
    )
    tab = context.new_page()
    tab.set_default_timeout(60_000)
    tab.goto(served.url)
    wrong = []
    for path, sign in PAGES.items():
        tab.goto(served.origin + path)
        tab.locator(sign).first.wait_for()
        tab.wait_for_timeout(500)
        if path == "/release":
            tab.get_by_label("Sorted").select_option("detail")
            tab.locator(".bin").first.wait_for()
            tab.locator(".thumb").first.click()
            tab.locator(".alike-thumb").first.wait_for()
        if path == "/":
            tab.get_by_text("Wavelet, pooling, grid").click()
        wide = tab.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            wrong.append(f"{path} is {wide} pixels wide")
        wrong += [f"{path} {each}" for each in violations(tab, axe)]
        if path == "/audit":
            for kind in ("Frontier: frontier", "Sweep: sweep"):
                tab.get_by_label("Result").select_option(label=kind)
                tab.locator(".stage").wait_for()
                wrong += [f"{kind} {each}" for each in violations(tab, axe)]
    context.close()
    assert not wrong, "\n".join(wrong)
