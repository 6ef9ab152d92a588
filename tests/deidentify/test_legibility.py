"""Reading what is burned into images, with tesseract where there is one."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from typer.testing import CliRunner

from deepfixcx.cli.app import app
from deepfixcx.deidentify.scan import read_words
from deepfixcx.deidentify.scan.run import read_all
from deepfixcx.errors import DeidentifyError
from tests.deidentify.making import make_header, save

TABLE = "level\\tconf\\ttext\\n5\\t96.1\\tWinterbottom\\n5\\t12\\tnoise\\n4\\t-1\\t\\n5\\t91\\t|\\n"


def fake(folder: Path, monkeypatch: pytest.MonkeyPatch, *, status: int = 0) -> None:
    """Put a program called tesseract on the path that always reads the same."""
    program = folder / "bin" / "tesseract"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat > /dev/null\nprintf '{TABLE}'\nexit {status}\n", "ascii")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def written(text: str, size: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    picture = Image.new("L", (400, 120), 30)
    ImageDraw.Draw(picture).text((10, 30), text, 220, ImageFont.load_default(size))
    return np.asarray(picture) / 255


def test_words_are_those_the_program_is_sure_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path, monkeypatch)
    assert read_words(np.zeros((20, 30))) == ["Winterbottom"]


def test_missing_or_broken_program_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeidentifyError, match="apt-get install tesseract-ocr"):
        read_words(np.zeros((20, 30)))
    fake(tmp_path, monkeypatch, status=1)
    with pytest.raises(DeidentifyError, match="cannot read images"):
        read_words(np.zeros((20, 30)))


def test_command_reads_before_and_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch)
    sources, out = tmp_path / "in", tmp_path / "out"
    sources.mkdir()
    out.mkdir()
    save(make_header(), sources / "a.dcm")
    Image.new("L", (40, 20)).save(sources / "b.png")
    Image.new("L", (40, 20)).save(out / "0.png")
    (out / "notes.txt").write_text("no image", "utf-8")
    words = ["scan", str(out), "--against", str(sources), "--ocr"]
    done = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert done.exit_code == 3
    assert "1 words before, 1 after" in done.output
    assert "burned in" in (tmp_path / "out.evidence" / "evidence.csv").read_text("utf-8")
    assert "Winterbottom" not in done.output


@pytest.mark.parametrize("workers", [1, 3])
def test_any_number_of_workers_gives_the_same(tmp_path: Path, workers: int) -> None:
    """Later files end sooner here, so that the order of ending is not that of the files."""
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    reported: list[tuple[int, int]] = []

    def read(path: Path) -> list[str] | None:
        time.sleep(0.03 * (6 - int(path.stem)))
        return None if path.stem == "2" else [path.stem]

    words = read_all(read, paths, workers, lambda done, of: reported.append((done, of)))
    assert words == [["0"], ["1"], None, ["3"], ["4"], ["5"]]
    assert reported == [(done, 6) for done in range(1, 7)]


def test_a_broken_program_ends_the_reading(tmp_path: Path) -> None:
    read: list[Path] = []

    def fail(path: Path) -> list[str]:
        read.append(path)
        raise DeidentifyError("broken")

    with pytest.raises(DeidentifyError, match="broken"):
        read_all(fail, [tmp_path / str(n) for n in range(100)], 2, lambda *_: None)
    assert len(read) < 100


@pytest.mark.skipif(
    shutil.which("tesseract") is None,
    reason="the program tesseract is not installed (Debian: tesseract-ocr)",
)
@pytest.mark.parametrize("size", [14, 28])
def test_burned_in_name_is_read(size: int) -> None:
    assert "Winterbottom" in read_words(written("Winterbottom", size))
