"""``deepfixcx privatize`` with DICOM results, masks and writing that stays legible."""

from __future__ import annotations

import csv
import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread, examples
from typer.testing import Result

from deepfixcx.release import engines
from deepfixcx.release import run as run_module

Run = Callable[..., Result]
SETTING = ("-J", 2, "-P", 4, "--workers", 1)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in this process, which spares the start of another one."""
    monkeypatch.setattr(run_module, "choose_run", lambda *_, **__: engines._run_here)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    (tmp_path / "scans").mkdir()
    shutil.copy(str(examples.get_path("ct")), tmp_path / "scans" / "ct.dcm")
    return tmp_path / "scans"


def test_dicom_files_with_what_is_retained(run: Run, scans: Path, tmp_path: Path) -> None:
    key, figures = tmp_path / "hospital.key", tmp_path / "figures.json"
    result = run(
        "privatize", scans, tmp_path / "out", *SETTING, "--output", "dicom",
        "--retain", "dates, device", "--key", key, "--json", figures,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "1 images in 1 DICOM files" in result.output
    assert "scan OUT --against IN" in result.output
    (path,) = (tmp_path / "out" / "dicom").iterdir()
    image = dcmread(path)
    codes = {item.CodeValue for item in image.DeidentificationMethodCodeSequence}
    assert codes == {"113100", "113107", "113109"}
    told = json.loads(figures.read_text())
    assert told["dicom_files"] == 1
    assert told["dicom_file_bytes"] == told["release_file_bytes"] == path.stat().st_size
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert run("verify", tmp_path / "out", "--workers", 1).exit_code == 0
    assert "finished" in run("status", tmp_path / "out").output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--retain", "dates"), "retain is for"),
        (("--output", "dicom", "--retain", "names"), "retain is any of"),
        (("--key", "hospital.key"), "key is for"),
        (("--mask", "no such file"), "cannot be read"),
    ],
)
def test_bad_arguments_write_nothing(
    run: Run, scans: Path, tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    result = run("privatize", scans, tmp_path / "out", *SETTING, *words)
    assert result.exit_code == 2
    assert says in result.output
    assert not (tmp_path / "out").exists()


def test_a_mask_without_tesseract_is_refused_at_once(
    run: Run, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    result = run("privatize", scans, tmp_path / "out", *SETTING, "--mask", "ocr")
    assert result.exit_code == 2
    assert "tesseract-ocr" in result.output


def test_a_mask_leaves_what_no_rule_knows_out(run: Run, scans: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rules]]\nmanufacturer = "ACME"\nregions = [[0, 0, 9, 9]]')
    result = run("privatize", scans, tmp_path / "out", *SETTING, "--mask", rules)
    assert result.exit_code == 3
    assert "no rule of the mask" in result.output
    rules.write_text('[[rules]]\nmodel = "RHAPSODE"\nregions = [[0, 0, 9, 9], [9, 9, 9, 9]]')
    result = run("privatize", scans, tmp_path / "new", *SETTING, "--mask", rules)
    assert result.exit_code == 0, result.output
    with (tmp_path / "new" / "manifest.csv").open(newline="") as file:
        assert [row["masked"] for row in csv.DictReader(file)] == ["2"]


def test_warns_where_writing_stays_legible(run: Run, scans: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((400, 400), np.uint8)).save(scans / "large.png")
    many = run("privatize", scans / "large.png", tmp_path / "many", "-J", 1, "-P", 80)
    assert "legible in 1 of 1, from letters of 20 pixels on" in many.output
    few = run("privatize", scans, tmp_path / "few", *SETTING)
    assert "legible" not in few.output
