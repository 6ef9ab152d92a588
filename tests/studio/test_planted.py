"""No text of a file that the studio opens becomes markup in a real browser."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import deepfixcx.studio
from deepfixcx.report.html_release import ReleaseFacts
from deepfixcx.report.html_results import read_audit, read_frontier, read_sweep
from tests.report.planting import plant_csv, plant_json
from tests.studio.conftest import serving

STATIC = Path(deepfixcx.studio.__file__).parent / "static"
FOUND = "[data-planted], b"
NAMED = '<b data-planted="0">x'


def plant(folder: Path) -> Path:
    """Plant markers in every text of a release, an audit, a frontier and a sweep."""
    release = folder / NAMED
    (folder / "shared").rename(release)
    (folder / "shared.private").rename(folder / f"{NAMED}.private")
    audit, about = folder / "shared.audit" / "audit.json", release / "dataset.json"
    number = plant_json(audit, lambda: read_audit(audit), 1)
    number = plant_json(about, lambda: ReleaseFacts.read(release), number)
    number = plant_csv(release / "manifest.csv", lambda: ReleaseFacts.read(release), number, about)
    for name, read in (("sweep", read_sweep), ("frontier", read_frontier)):
        table = folder / name / f"{name}.csv"
        number = plant_csv(table, lambda read=read, name=name: read(folder / name), number, None)  # type: ignore[misc]
    return folder


def test_one_component_alone_takes_markup_and_it_takes_that_of_the_package() -> None:
    """Vue escapes every other text, such as the label of a reason."""
    taking = {
        path.name
        for path in STATIC.glob("*.js")
        if re.search(r"v-html|innerHTML|outerHTML|insertAdjacent", path.read_text("utf-8"))
    }
    assert taking == {"markup.js"}


@pytest.mark.slow
def test_no_text_of_a_file_becomes_markup_in_the_studio(
    browser: Any, shelf: Path, tmp_path: Path
) -> None:
    pytest.importorskip("nicegui", reason="needs the extra studio")
    folder = plant(shutil.copytree(shelf, tmp_path / "planted"))
    for private in folder.glob("*.private"):  # which knows that the release was changed
        shutil.rmtree(private)
    with serving(str(folder), cwd=tmp_path) as studio:
        tab = browser.new_page()
        tab.set_default_timeout(60_000)
        wrong: list[str] = []
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.goto(studio.url)
        seen = ""
        for path in ("release", "audit?result=0", "audit?result=1", "audit?result=2"):
            tab.goto(f"{studio.origin}/{path}")
            tab.locator("#main h1").wait_for()
            tab.locator("#main .card:visible, #main .thumb:visible").first.wait_for()
            assert not tab.locator(FOUND).count()
            seen += tab.locator("#main").inner_text()
        assert "data-planted" in seen
        tab.goto(f"{studio.origin}/release")
        tab.locator("#main .thumb").last.click()
        tab.locator(".sheet h2").wait_for()
        assert not tab.locator(FOUND).count()
        assert not wrong
