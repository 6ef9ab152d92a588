"""A session with uploads, ended by SIGKILL, leaves no file, and no log names anything."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.studio.conftest import serving

pytest.importorskip("nicegui", reason="needs the extra studio")

pytestmark = pytest.mark.slow


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_nothing_stays_after_uploads_and_sigkill(browser: Any, tmp_path: Path) -> None:
    for name in ("home", "temporary", "cwd", "elsewhere"):
        (tmp_path / name).mkdir()
    env = {
        "HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path / "temporary"),
        "XDG_CACHE_HOME": str(tmp_path / "home" / "cache"),
        "MPLCONFIGDIR": str(tmp_path / "elsewhere"),  # a list of fonts, whoever runs it
    }
    pixels = np.random.default_rng(0).integers(0, 256, (2000, 1500), np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    content = written.getvalue()
    assert len(content) > 1 << 20  # web frameworks put larger bodies on the disk
    with serving(cwd=tmp_path / "cwd", env=env) as studio:
        tab = browser.new_context().new_page()
        tab.set_default_timeout(60_000)
        tab.goto(studio.url)
        tab.locator("img.privatized[data-shown]").wait_for()
        file = {"name": "DOE^JANE.png", "mimeType": "image/png", "buffer": content}
        tab.locator("input[type=file]").set_input_files(file)
        tab.get_by_text("2,000 × 1,500 pixels, 8 bit").wait_for()
        tab.locator("#level").press("ArrowRight")
        tab.get_by_role("link", name="Release").click()
        tab.get_by_text("deepfixcx privatize").wait_for()
        opened = [
            str(entry.readlink())
            for entry in Path(f"/proc/{studio.process.pid}/fd").iterdir()
            if entry.is_symlink()
        ]
        os.kill(studio.process.pid, signal.SIGKILL)
        studio.process.wait(20)
        tab.context.close()
        said = "".join(studio.said)
    for name in ("home", "temporary", "cwd"):
        assert files_below(tmp_path / name) == set()
    assert not [path for path in opened if path.startswith(str(tmp_path)) or "deleted" in path]
    assert "DOE" not in said
    assert said.count("token=") == 1
