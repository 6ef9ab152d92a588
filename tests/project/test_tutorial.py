"""The tutorial runs as it stands, prints what it shows, and works on real X-rays, too."""

from __future__ import annotations

import csv
import re
import shutil
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.tutorial import PAGE, PICTURES, Block, blocks_of, run_blocks
from tests.conftest import ROOT

BLOCKS = blocks_of(PAGE.read_text("utf-8"))
DRAWING = next(place for place, block in enumerate(BLOCKS) if block.language == "python")
PATIENTS = 48


def words_of(output: str) -> str:
    """Return an output without frames, line breaks and numbers, which differ between machines."""
    words = re.sub(r"[│╭╮╰╯─]", " ", output)
    words = re.sub(r"\b[0-9a-f]{64}\b", "HASH", words)
    words = re.sub(r"(?<=checksum)\s+(?:[0-9a-f]\s*){64}", "HASH", words)  # panels break it
    words = re.sub(r"\b[0-9a-f]{16}…", "HASH", words)  # as the report shortens it
    words = re.sub(r"\d[\d.,]*(e-?\d+)?", "0", words)
    return "".join(words.split()).replace("kB", "MB")


@pytest.mark.slow
def test_the_page_prints_what_it_shows() -> None:
    """If this fails because an output changed: python -m benchmarks.tutorial."""
    with tempfile.TemporaryDirectory() as name:  # shorter than tmp_path: panels break long paths
        folder = Path(name).resolve()
        for block, printed in run_blocks(BLOCKS, folder):
            assert words_of(block.text) == words_of(printed)
        assert all((folder / made).is_file() for made in PICTURES)


def test_every_step_shows_its_output_and_its_pictures() -> None:
    languages = [block.language for block in BLOCKS]
    after = {second for first, second in pairwise(languages) if first == "console"}
    assert after == {"text"}
    assert all(block.text.strip() for block in BLOCKS)
    for name in PICTURES.values():
        assert f"images/tutorial/{name})" in PAGE.read_text("utf-8")
        assert (ROOT / "docs" / "images" / "tutorial" / name).is_file()


def real_xrays(data: Path, folder: Path) -> None:
    """Copy the X-rays of some patients of two images or more, with the columns of the tutorial."""
    source = data / "cxr_nih"
    with (source / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    of_patient: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        of_patient.setdefault(row["patient_id"], []).append(row)
    several = [images[:2] for images in of_patient.values() if len(images) > 1][:PATIENTS]
    folder.mkdir()
    columns = ["file", "patient_id", "sex", "view", "pneumonia"]
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        for number, row in enumerate(row for images in several for row in images):
            name = f"{number}.png"
            shutil.copy(source / row["file"], folder / name)
            writer.writerow({**row, "file": name})


@pytest.mark.slow
def test_the_commands_work_on_real_xrays(data_folder: Path, tmp_path: Path) -> None:
    real_xrays(data_folder, tmp_path / "xrays")
    commands = [block for block in BLOCKS if block.language == "console"]
    last = Block("text", "", 0, 0)
    outputs = [printed for block in commands for _, printed in run_blocks([block, last], tmp_path)]
    assert len(outputs) == len(commands)
    assert f"{2 * PATIENTS} images" in " ".join(outputs)
    assert (tmp_path / "report.html").stat().st_size > 50_000
    assert "Can records of one person be linked? Yes" in (
        (tmp_path / "shared.audit" / "verdict.md").read_text("utf-8")
    )
