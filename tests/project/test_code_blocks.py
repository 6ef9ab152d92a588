"""Every code block of the README and the documentation does what it shows.

The blocks of a page run in order, in a folder of their own that holds the images the texts speak
of. Python blocks share their names. Of the blocks of shell commands the lines that call deepfixcx
run; they have to succeed. They run in this process: a new one for each of a hundred commands would
import torch a hundred times.
"""

from __future__ import annotations

import re
import shlex
import shutil
import traceback
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image
from pydicom import examples
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser
from typer.testing import CliRunner

from deepfixcx.cli.app import app
from tests.conftest import COMMANDS, ROOT

PAGES = [
    path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if path.is_file()
]


def commands_in(block: str) -> list[list[str]]:
    """Return the calls of deepfixcx in a block of shell commands, each as its words."""
    lines = re.sub(r"\\\n\s*", " ", block).splitlines()
    calls = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]
    return [words[1:] for words in calls if words[:1] == ["deepfixcx"]]


def run_commands(example: Example) -> None:
    for words in commands_in(example.parsed):
        done = CliRunner().invoke(app, words)
        text = f"deepfixcx {shlex.join(words)}\n{done.output}"
        assert done.exit_code == 0, text + "".join(traceback.format_exception(done.exception))


SYBIL = Sybil(
    parsers=[
        PythonCodeBlockParser(),
        CodeBlockParser("bash", run_commands),
        CodeBlockParser("console", run_commands),
    ]
)


def chest(height: int, width: int, seed: int) -> Image.Image:
    """Draw two dark lungs on a bright body, with a little noise."""
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    lungs = sum(np.exp(-(((columns - x) / 0.3) ** 2) - (rows / 0.6) ** 2) for x in (-0.45, 0.45))
    noise = np.random.default_rng(seed).normal(0, 0.02, (height, width))
    return Image.fromarray(np.clip(255 * (0.8 - 0.6 * lungs + noise), 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the files that the texts speak of: chest.png, and a folder scans/ with two wards."""
    folder = tmp_path_factory.mktemp("images")
    for ward in ("ward-1", "ward-2"):
        (folder / "scans" / ward).mkdir(parents=True)
    chest(480, 400, 0).save(folder / "chest.png")
    chest(320, 320, 1).save(folder / "scans" / "ward-1" / "front.png")
    chest(400, 320, 2).save(folder / "scans" / "ward-1" / "side.jpg", quality=95)
    shutil.copy(examples.get_path("ct"), folder / "scans" / "ward-2" / "0001.dcm")
    return folder


def make_dataset(folder: Path) -> None:
    """Make xrays/: two images of each of thirty patients; the sick ones have finer noise."""
    folder.mkdir()
    rows = ["file,patient_id,pneumonia"]
    for number in range(60):
        sick = number // 2 % 2
        image = np.asarray(chest(64, 64, number), np.float64)
        image[10:40, 10:40] += np.random.default_rng(number).normal(0, 20 * sick, (30, 30))
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
        rows.append(f"{number}.png,p{number // 2},{sick}")
    (folder / "manifest.csv").write_text("\n".join(rows), "utf-8")


def make_volumes(folder: Path) -> None:
    """Make volumes/: two small NIfTI files."""
    folder.mkdir()
    make: Any = nibabel.Nifti1Image
    for seed in (1, 2):
        values = np.random.default_rng(seed).integers(0, 4096, (64, 64, 32)).astype(np.uint16)
        make(values, np.eye(4)).to_filename(folder / f"{seed}.nii.gz")


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        # packages of others warn of each other, and leave files open
        pytest.param(page, marks=pytest.mark.filterwarnings("ignore"))
        if page.name == "how-to-load.md"
        else page
        for page in PAGES
        if page.name != "tutorial.md"
    ],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_blocks_run(
    page: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(images, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    if page.name in ("README.md", "how-to-year.md"):  # other pages make their own
        make_dataset(tmp_path / "xrays")
    if page.name == "how-to-volumes.md":
        make_volumes(tmp_path / "volumes")
    if page.name == "how-to-node.md":  # its commands read the configuration that it shows
        shown = re.findall(r"```toml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
        (tmp_path / "node.toml").write_text(shown[0], "utf-8")
    for example in SYBIL.parse(page).examples():
        example.evaluate()


def test_commands_are_found() -> None:
    block = (
        "$ deepfixcx inspect scans  # look\nmake demo\ndeepfixcx show a.png \\\n    -o 'b c.png'\n"
    )
    assert commands_in(block) == [["inspect", "scans"], ["show", "a.png", "-o", "b c.png"]]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_shown(command: str) -> None:
    shown = [
        words[0]
        for page in PAGES
        for block in re.findall(
            r"```(?:bash|console)\n(.*?)```", page.read_text("utf-8"), re.DOTALL
        )
        for words in commands_in(block)
    ]
    assert command in shown
