"""``deepfixcx demo``: what a newcomer runs first."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from deepfixcx import Code
from deepfixcx.cli import demo
from deepfixcx.io.folders import MARKER, OwnFolder, write_own

Run = Callable[..., Result]


def call(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deepfixcx", "demo", *words],
        cwd=folder, capture_output=True, text=True, check=False,
    timeout=240,
    )  # fmt: skip


@pytest.mark.slow
def test_demo_without_arguments_twice(tmp_path: Path) -> None:
    first = call(tmp_path, "--json", "demo.json")
    assert first.returncode == 0, first.stderr
    figures = json.loads((tmp_path / "demo.json").read_text())
    assert figures["files"] == figures["files_done"] == demo.PHANTOMS + len(demo.DICOM_FILES)
    assert figures["files_failed"] == 0
    assert figures["ratio_memory"] > 4
    for words in ("contact-sheet.png", "show.png", "do not share", "deepfixcx privatize"):
        assert words in first.stdout

    folder = tmp_path / "deepfixcx-demo"
    for name in ("contact-sheet.png", "show.png"):
        with Image.open(folder / name) as figure:
            assert figure.width > 1000
    shared = folder / "shared"
    assert len(list((shared / "images").rglob("*.png"))) == figures["images"]
    assert sum(len(Code.load(path)) for path in (shared / "codes").iterdir()) == figures["images"]

    made = {path.name: path.read_bytes() for path in folder.glob("*.png")}
    (folder / "note.txt").write_text("mine")
    second = call(tmp_path)
    assert second.returncode == 0, second.stderr
    assert {path.name: path.read_bytes() for path in folder.glob("*.png")} == made
    assert (folder / "note.txt").read_text() == "mine"


def test_a_folder_of_someone_else_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "originals").mkdir()
    (tmp_path / "originals" / "scan.png").write_text("mine")
    result = run("demo", "--folder", tmp_path)
    assert result.exit_code == 2
    assert "--folder" in result.output
    assert (tmp_path / "originals" / "scan.png").read_text() == "mine"


@pytest.mark.parametrize("made", ["model.json", "sources.csv", "results/originals/1.png"])
def test_a_folder_of_other_results_is_left_alone(run: Run, tmp_path: Path, made: str) -> None:
    (tmp_path / made).parent.mkdir(parents=True, exist_ok=True)
    write_own(tmp_path, made, "a result")
    result = run("demo", "--folder", tmp_path)
    assert result.exit_code == 2
    assert "was not made by the demo" in result.output
    assert (tmp_path / made).read_text() == "a result"


def test_a_release_is_not_the_folder_of_a_demo(run: Run, tmp_path: Path) -> None:
    with OwnFolder(tmp_path):  # the ledger of its files lies in its private folder
        pass
    (tmp_path / "manifest.csv").write_text("of a release")
    assert run("demo", "--folder", tmp_path).exit_code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [MARKER, "manifest.csv"]


def test_a_file_in_the_place_of_the_folder_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("mine")
    assert run("demo", "--folder", tmp_path / "demo").exit_code == 2
    assert run("demo", "--folder", tmp_path / "demo" / "below").exit_code == 2
    assert (tmp_path / "demo").read_text() == "mine"


def test_a_pydicom_without_its_test_files_leaves_the_phantoms(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "DICOM_FILES", ())
    monkeypatch.setattr(demo, "PHANTOMS", 1)
    monkeypatch.setattr(demo, "PHANTOM_SIDE", 256)
    result = run("demo", "--folder", tmp_path / "demo", "--json", tmp_path / "demo.json")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "demo.json").read_text())["files"] == 1
    assert (tmp_path / "demo" / "contact-sheet.png").is_file()


def test_the_chosen_dicom_files_are_shipped_and_look_like_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deepfixcx.images import read_image

    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("the demo asked for the network")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(socket, "create_connection", no_network)
    folder = tmp_path / "originals" / "dicom"
    folder.mkdir(parents=True)
    demo._copy_dicom_files(tmp_path)
    for name in demo.DICOM_FILES:
        pixels = read_image(folder / name).pixels
        assert np.unique(pixels[0]).size > 50, name
