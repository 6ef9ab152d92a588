"""``deepfixcx inspect`` as a user types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import Result

from deepfixcx import CodecSpec
from deepfixcx.release import ReleaseOptions
from deepfixcx.release.surveying import estimate_release

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


# -- an estimate of a release ------------------------------------------------------------------


def everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_dry_run_estimates_the_release_and_writes_nothing(
    run: Run, images: Path, tmp_path: Path
) -> None:
    (images / "bad.png").write_bytes(b"no image")
    (images / "notes.txt").touch()
    before, setting = everything(tmp_path), ("-J", 2, "-P", 4, "--workers", 1, "--no-tables")
    done = run("privatize", images, tmp_path / "out", *setting, "--dry-run")
    assert done.exit_code == 3
    assert everything(tmp_path) == before
    assert "1 of 7 sampled files" in done.output
    (images / "bad.png").unlink()
    told = tmp_path / "estimate.json"
    done = run("privatize", images, tmp_path / "out", *setting, "--dry-run", "--json", told)
    assert done.exit_code == 0
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.private").exists()
    estimate = json.loads(told.read_text())
    assert (estimate["files"], estimate["sampled"], estimate["skipped"]) == (6, 6, 1)
    assert run("privatize", images, tmp_path / "out", *setting).exit_code == 0
    made = sum(path.stat().st_size for path in (tmp_path / "out/images").rglob("*.png"))
    assert made < estimate["release_bytes"][0]
    assert made + 6 * 16 * 16 * 4 == estimate["release_bytes"][0]


def test_a_dry_run_projects_a_sample_with_its_interval_and_keeps_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepfixcx.release.surveying.LEAST_SAMPLE", 4)
    monkeypatch.setattr("deepfixcx.release.surveying.SAMPLE_OF_WORKER", 1)
    for number in range(40):
        pixels = np.zeros((8 + number, 8), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    before = everything(tmp_path)
    options = ReleaseOptions(CodecSpec(1, 4), output="dicom", size="original")
    found = estimate_release(tmp_path, tmp_path.parent / "out", options)
    assert everything(tmp_path) == before
    assert not [*tmp_path.parent.glob("out*")]
    assert (found.files, found.sampled, found.failed) == (40, 4, 0)
    value, low, high = found.release_bytes
    assert 0 < low < value < high
    assert found.seconds[1] <= found.seconds[0] <= found.seconds[2]
    assert found.failed_share[2] == pytest.approx(0.49, abs=0.01)  # Wilson, none of four


def test_a_dry_run_refuses_what_the_run_would_refuse(
    run: Run, images: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    setting = ("-J", 2, "-P", 4, "--workers", 1, "--dry-run")
    taken = run("privatize", images, tmp_path / "out", *setting)
    assert (taken.exit_code, "is not empty" in taken.output) == (2, True)
    inside = run("privatize", images, images / "out", *setting)
    assert (inside.exit_code, "overlap" in inside.output) == (2, True)
    going_on = run("privatize", images, tmp_path / "new", *setting, "--add")
    assert (going_on.exit_code, "estimates a new release" in going_on.output) == (2, True)
    learned = ("--mechanism", "projection", "--labels", "sick")
    fitted = run("privatize", images, tmp_path / "new", *setting, *learned)
    assert (fitted.exit_code, "--dry-run is for" in fitted.output) == (2, True)
