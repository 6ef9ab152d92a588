"""A studio in a process of its own, and a real browser that looks at it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from deepfixcx.images import phantom, write_png

PROGRAM = [sys.executable, "-c", "from deepfixcx.cli import main; main()"]


def absent(what: str, package: str) -> None:
    """Skip, naming the package; on the machine of CI nothing may be absent."""
    reason = f"{what} is not here; install {package}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass
class Served:
    """A studio that runs."""

    url: str
    process: subprocess.Popen[str]
    said: list[str]

    @property
    def origin(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def token(self) -> str:
        return self.url.partition("token=")[2]


@contextmanager
def serving(*words: str, cwd: Path, env: dict[str, str] | None = None) -> Iterator[Served]:
    """Start ``deepfixcx studio``, and end it."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}
    environment.pop("PYTEST_CURRENT_TEST", None)
    process = subprocess.Popen(
        [*PROGRAM, "studio", "--no-browser", *words],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    said: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"http://\S+", line):
                break
        else:
            raise AssertionError("".join(said))
        reader = threading.Thread(target=lambda: said.extend(process.stdout or ()), daemon=True)
        reader.start()
        yield Served(found[0], process, said)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(60)
        reader.join(5)
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to open the studio on: images, a release of them, an audit, a frontier, a sweep."""
    from deepfixcx.release import ReleaseOptions, privatize_dataset
    from deepfixcx.spec import CodecSpec
    from tests.studio.results import write_results

    folder = tmp_path_factory.mktemp("shelf")
    scans = folder / "scans"
    scans.mkdir()
    for number in range(8):
        pixels = phantom(np.random.default_rng(number), 96)
        write_png(scans / f"{number}.png", pixels[np.newaxis], bits=8)
    (scans / "cut.png").write_bytes((scans / "0.png").read_bytes()[:300])
    (scans / "empty.png").touch()
    privatize_dataset(scans, folder / "shared", ReleaseOptions(CodecSpec(2, 6)))
    write_results(folder)
    return folder


@pytest.fixture(scope="module")
def served(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A studio that is opened on `shelf`, with the originals of the release."""
    pytest.importorskip("nicegui", reason="needs the extra studio")
    words = (str(shelf), "--originals", str(shelf / "scans"))
    with serving(*words, cwd=tmp_path_factory.mktemp("cwd")) as studio:
        yield studio


def chromium() -> str:
    """Return where the browser is."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        absent("a browser", "chromium")
    return str(found)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real browser without a window."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        absent("playwright", "the Python package playwright")
    with sync_playwright() as play:
        found = play.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield found
        found.close()
