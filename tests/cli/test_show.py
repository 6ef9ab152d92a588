"""``deepfixcx show``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import Result

Run = Callable[..., Result]


@pytest.fixture
def image(images: Path) -> Path:
    """One image of 48 x 40 pixels, under the name of a patient."""
    return (images / "0.png").rename(images / "Doe_Jane.png")


def test_writes_a_figure_and_says_what_is_kept(run: Run, image: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "out.png", tmp_path / "report.json"
    result = run("show", image, "-o", out, "-J", 2, "-P", "4x5", "--json", report)
    assert result.exit_code == 0, result.output
    assert "320 of 1,920 values (17 %, 1 : 6)" in result.output
    assert "deepfixcx privatize FOLDER OUT --level 2 --patches 4x5" in result.output
    assert "Doe_Jane" not in result.output
    with Image.open(out) as figure:
        assert figure.width > 1200
    figures = json.loads(report.read_text())
    assert figures["kind"] == "show"
    assert (figures["numbers_kept"], figures["numbers_source"]) == (320, 1920)
    assert figures["ratio_numbers"] == 6.0
    assert (figures["frames"], figures["channels"]) == (1, 1)
    assert (figures["height"], figures["width"]) == (48, 40)
    assert figures["spec"]["patches"] == [4, 5]


def test_settings_reach_the_codec_and_the_next_command(
    run: Run, image: Path, tmp_path: Path
) -> None:
    words = ["--wavelet", "db2", "--pooling", "l2", "--boundary", "periodic", "--grid", "padded"]
    result = run("show", image, "-o", tmp_path / "out.png", *words, "--size", "original")
    assert result.exit_code == 0, result.output
    assert "J=3 P=4 db2 l2 periodic padded" in result.output
    line = "--level 3 --patches 4 --wavelet db2 --pooling l2 --boundary periodic --grid padded"
    assert line in result.output


def test_contact_sheet(run: Run, image: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "out.png", tmp_path / "report.json"
    result = run("show", image, "--out", out, "--sheet", "--json", report)
    assert result.exit_code == 0, result.output
    assert out.is_file()
    assert json.loads(report.read_text())["kind"] == "contact_sheet"


@pytest.mark.parametrize("words", [["-J", "3"], ["-P", "4"], ["--size", "compact"]])
def test_contact_sheet_takes_no_single_setting(
    run: Run, image: Path, tmp_path: Path, words: list[str]
) -> None:
    result = run("show", image, "-o", tmp_path / "out.png", "--sheet", *words)
    assert result.exit_code == 2
    assert "omit" in result.output


def test_an_existing_figure_is_kept(run: Run, image: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    out.write_text("mine")
    for words in ((), ("--overwrite",)):
        result = run("show", image, "-o", out, *words)
        assert result.exit_code == 2
        assert "was not made by deepfixcx" in result.output
        assert out.read_text() == "mine"
    out.unlink()
    assert run("show", image, "-o", out).exit_code == 0
    result = run("show", image, "-o", out)
    assert result.exit_code == 2
    assert "--overwrite" in result.output
    assert run("show", image, "-o", out, "--overwrite").exit_code == 0
    assert out.read_bytes()[1:4] == b"PNG"


def test_the_image_itself_is_never_replaced(run: Run, image: Path) -> None:
    before = image.read_bytes()
    result = run("show", image, "-o", image, "--overwrite")
    assert result.exit_code == 2
    assert image.read_bytes() == before


def test_bad_places_are_refused_before_any_work(run: Run, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    for out in ("out.jpg", "out", "no/out.png", "folder.png"):
        result = run("show", tmp_path / "no image.png", "-o", tmp_path / out, "--overwrite")
        assert result.exit_code == 2
        assert "does not exist" not in result.output


def test_bad_images_and_settings_are_named(run: Run, image: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    text = tmp_path / "text.png"
    text.write_text("Jane Doe, born 1970")
    for words, reason in (
        ([tmp_path / "none.png"], "does not exist"),
        ([text], "not PNG"),
        ([image, "-J", 4, "-P", 9], "smaller level or patches"),
        ([image, "-P", "many"], "--patches is a number"),
        ([image, "--wavelet", "gaus1"], "unknown wavelet"),
        ([image, "--max-pixels", 100], "more than 100 pixels"),
    ):
        result = run("show", *words, "-o", out)
        assert result.exit_code == 2, words
        assert reason in result.output
        assert "Jane" not in result.output
    assert not out.exists()


def test_out_is_required(run: Run, image: Path) -> None:
    assert run("show", image).exit_code == 2


def test_a_folder_and_a_url_are_no_image(run: Run, image: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    for where, reason in (
        (image.parent, "show takes one image; for a folder use inspect or privatize"),
        (
            "s3://bucket/xray.png",
            "an image cannot be read from a URL; copy it",
        ),
    ):
        result = run("show", where, "-o", out)
        assert result.exit_code == 2
        assert reason in result.output
    assert run("show", f"file://{image}", "-o", out).exit_code == 0
