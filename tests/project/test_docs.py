"""The documentation builds without a warning and needs nothing from the network."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

LOADED = re.compile(r"<(?:script|img|iframe)[^>]*\ssrc=\"(https?:)?//|<link[^>]*stylesheet[^>]*//")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1", "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_every_page_is_built(site: Path) -> None:
    pages = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    for page in pages:
        built = page.with_suffix("") if page.stem != "index" else page.parent
        assert (site / built / "index.html").is_file()


@pytest.mark.slow
def test_public_names_are_in_the_reference(site: Path) -> None:
    for name, page in (("Codec", "codec"), ("CodecSpec", "spec"), ("Code", "code")):
        text = (site / "reference" / page / "index.html").read_text("utf-8")
        assert f'id="deepfixcx.{page}.{name}"' in text


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert not LOADED.search(page.read_text("utf-8")), page.relative_to(site)


def test_a_number_and_its_unit_stay_on_one_line() -> None:
    kept = runpy.run_path(str(ROOT / "docs" / ".hooks" / "units.py"))["on_page_content"]
    page = "<p>95 % of 64 × 64 pixels, 8 patches</p><pre>95 %</pre>"
    assert kept(page) == (
        "<p>95\N{NO-BREAK SPACE}% of 64\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}64"
        "\N{NO-BREAK SPACE}pixels, 8 patches</p><pre>95 %</pre>"
    )
