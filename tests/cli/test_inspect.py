"""``deepfixcx inspect`` as a user types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from typer.testing import Result

Run = Callable[..., Result]

JSON_NAMES = {
    "command",
    "file_checksum",
    "files",
    "files_readable",
    "files_hidden",
    "files_skipped",
    "files_unreadable",
    "files_with_notes",
    "formats",
    "images",
    "notes",
    "problems",
    "smallest_height",
    "smallest_width",
}
"""Promised in docs/command-line.md: a name may be added, none may change."""


def test_lists_what_is_there_and_writes_nothing(run: Run, images: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    result = run("inspect", images)
    assert result.exit_code == 0
    assert "6 of 6 files" in result.output
    assert "40–45" in result.output
    assert sorted(tmp_path.rglob("*")) == before


def test_unreadable_files_are_counted_by_reason(run: Run, images: Path, tmp_path: Path) -> None:
    (images / "bad.png").write_text("no picture")
    (images / "empty.png").touch()
    (images / "notes.txt").write_text("not counted")
    figures = tmp_path / "figures.json"
    result = run("inspect", images, "--json", figures)
    assert result.exit_code == 3
    reported = json.loads(figures.read_text())
    assert set(reported) == JSON_NAMES
    assert reported["problems"] == {"NotAnImageError": 1, "EmptyFileError": 1}
    assert (reported["files"], reported["files_readable"], reported["files_skipped"]) == (8, 6, 1)
    assert (reported["smallest_height"], reported["smallest_width"]) == (48, 40)
    assert "bad.png" not in result.output


def test_hidden_files_and_notes_are_counted(run: Run, images: Path, tmp_path: Path) -> None:
    Image.new("L", (50, 40)).save(images / ".hidden.png")
    (images / "notes.txt").write_text("counted apart")
    pages = [np.zeros((40, 50), np.uint8), np.zeros((20, 25), np.uint8)]
    with tifffile.TiffWriter(images / "copy.tif") as writer:
        writer.write(pages[0])
        writer.write(pages[1], subfiletype=1)
    result = run("inspect", images, "--json", tmp_path / "figures.json")
    reported = json.loads((tmp_path / "figures.json").read_text())
    assert (reported["files_skipped"], reported["files_hidden"], reported["files_with_notes"]) == (
        2,
        1,
        1,
    )
    assert "1 of other kinds, 1 hidden" in result.output
    assert "reduced copies" in result.output
    assert "copy.tif" not in result.output
    assert "copy.tif: thumbnails" in run("inspect", images, "--show-names").output


def test_names_are_printed_only_when_asked_for(run: Run, images: Path) -> None:
    (images / "bad.png").write_text("no picture")
    (images / "worse.png").write_text("no picture")
    said = run("inspect", images, "--show-names").output
    assert "bad.png: NotAnImageError" in said
    assert "\nworse.png: NotAnImageError" in said.partition("bad.png: ")[2]
    assert "\n\n" not in said.partition("bad.png: ")[2]


def test_limit_of_pixels_counts(run: Run, images: Path) -> None:
    assert "OversizedImageError" in run("inspect", images, "--max-pixels", 100).output


def test_images_too_small_for_the_suggestion_are_counted(run: Run, images: Path) -> None:
    Image.fromarray(np.zeros((10, 10), np.uint8)).save(images / "tiny.png")
    assert "1 file for --level 3 --patches 4" in run("inspect", images).output
