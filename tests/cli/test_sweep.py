"""``deepfixcx sweep``, as a user types it."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import Result

from deepfixcx.cli.sweep import parse_numbers
from deepfixcx.errors import SpecError
from tests.conftest import ROOT
from tests.learn.making import make_dataset

Run = Callable[..., Result]

SETTINGS = ("--labels", "sick", "-J", "1-2,6", "-P", "2,4", "--folds", "3", "--workers", "1")


@pytest.fixture(scope="module")
def xrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweeping") / "xrays"
    make_dataset(folder, 48)
    return folder


def described(title: str) -> set[str]:
    """Return the names in the first column of a table of docs/command-line.md."""
    page = (ROOT / "docs" / "command-line.md").read_text("utf-8")
    (text,) = re.findall(rf"^### {title}\n(.*?)(?=^##|\Z)", page, re.DOTALL | re.MULTILINE)
    cells = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_a_sweep_ends_with_a_recommendation(run: Run, xrays: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "out", tmp_path / "report.json"
    done = run("sweep", xrays, *SETTINGS, "-o", out, "--json", report)
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.replace("│", " ").split())
    assert "4 tried, 2 do not fit" in text
    assert "bands of 1x1" in text
    assert "the attribute view is known; consider --within view" in text
    found = re.search(r"Take J=(\d), P=(\d)", text)
    assert found is not None
    assert f"train {xrays} --labels sick -J {found[1]} -P {found[2]} -o model" in text
    figures = json.loads(report.read_text())
    assert set(figures) - {"file_checksum"} == described("Names of sweep")
    assert (figures["recommended_level"], figures["recommended_patches"]) == (
        int(found[1]),
        int(found[2]),
    )
    rows = list(csv.DictReader((out / "sweep.csv").read_text().splitlines()))
    assert len(rows) == len(figures["rows"]) == 5
    assert float(rows[1]["auc"]) == pytest.approx(figures["rows"][1]["auc"], rel=1e-5)
    assert figures["figures"] == ["heatmaps.png", "baselines.png"]
    for name in figures["figures"]:
        with Image.open(out / name) as figure:
            assert figure.width > 900


@pytest.mark.slow
def test_options_reach_the_sweep(run: Run, xrays: Path, tmp_path: Path) -> None:
    one = ("--labels", "sick", "-J", "1", "-P", "2", "--folds", "3", "--workers", "1")
    found = set()
    for number, words in enumerate(
        (
            [],
            ["--wavelet", "db2"],
            ["--wavelet", "db2", "--boundary", "periodic"],
            ["--pooling", "l1,max"],
            ["--grid", "padded", "-P", "5"],
            ["-P", "5"],
            ["--seed", "1"],
            ["--within", "view"],
            ["--folds", "4"],
        )
    ):
        out, report = tmp_path / str(number), tmp_path / "report.json"
        done = run("sweep", xrays, *one, *words, "-o", out, "--json", report)
        assert done.exit_code == 0, done.output
        row = json.loads(report.read_text())["rows"][1]
        found.add((row["numbers"], row["psnr"], row["blur_auc"]))
    assert len(found) == 9


def test_a_sweep_within_views_does_not_ask_for_it(run: Run, xrays: Path, tmp_path: Path) -> None:
    words = ("sweep", xrays, "--labels", "sick", "-J", 1, "-P", 2, "--folds", 3, "--workers", 1)
    done = run(*words, "--within", "view", "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "consider --within" not in done.output


def test_bad_files_are_listed_and_the_exit_code_says_so(run: Run, tmp_path: Path) -> None:
    make_dataset(tmp_path / "xrays", 40)
    (tmp_path / "xrays" / "7.png").write_text("Jane Doe")
    done = run("sweep", tmp_path / "xrays", *SETTINGS, "-o", tmp_path / "out")
    assert done.exit_code == 3
    assert "1 image, listed in" in done.output
    assert "Jane" not in done.output
    assert '"8","NotAnImageError"' in (tmp_path / "out" / "failures.csv").read_text()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["-J", "3-1"], "the smaller first"),
        (["-J", "many"], "like 1-6"),
        (["-J", "13"], "from 1 to 12"),
        (["--folds", "2"], "3 folds"),
        (["--cnn", "resnet"], "no network"),
        (["--epochs", "3"], "no epochs"),
        (["--side", "64"], "of a network"),
        (["--within", "colour"], "no image has 'colour'"),
        (["--labels", "fever"], "fever"),
        (["--layout", "cube"], "is not one of"),
        (["--device", "abacus", "--model", "mlp"], "no device"),
    ],
)
def test_bad_arguments_are_named(
    run: Run, xrays: Path, tmp_path: Path, words: list[str], reason: str
) -> None:
    done = run("sweep", xrays, *SETTINGS, *words, "-o", tmp_path / "out")
    assert done.exit_code == 2, done.output
    assert reason in " ".join(done.output.split())
    assert not (tmp_path / "out").exists()


def test_an_earlier_sweep_is_kept(run: Run, xrays: Path, tmp_path: Path) -> None:
    words = ("sweep", xrays, "--labels", "sick", "-J", 1, "-P", 2, "--folds", 3, "--workers", 1)
    assert run(*words, "-o", tmp_path / "out").exit_code == 0
    done = run(*words, "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert "--resume" in done.output
    assert run(*words, "-o", tmp_path / "out", "--resume").exit_code == 0
    assert run(*words, "-o", tmp_path / "out", "--overwrite", "--seed", 1).exit_code == 0


@pytest.mark.slow
def test_a_killed_sweep_goes_on_to_the_same_bytes(run: Run, xrays: Path, tmp_path: Path) -> None:
    words = ["sweep", str(xrays), "--labels", "sick", "-J", "1-2", "-P", "1-4", "--folds", "3"]
    out = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "-m", "deepfixcx", *words, "-o", str(out), "--workers", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        while len(list((out / "rows").glob("J*.json"))) < 2:
            assert process.poll() is None
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
    assert not (out / "sweep.csv").exists()
    before = {path.name: path.stat().st_mtime_ns for path in (out / "rows").glob("J*.json")}
    done = run(*words, "-o", out, "--workers", 1, "--resume")
    assert done.exit_code == 0, done.output
    for name, changed in before.items():
        assert (out / "rows" / name).stat().st_mtime_ns == changed
    assert run(*words, "-o", tmp_path / "other", "--workers", 1).exit_code == 0
    for name in ("sweep.csv", "heatmaps.png", "baselines.png"):
        assert (out / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_numbers_are_read() -> None:
    assert parse_numbers("-J", "1-3") == (1, 2, 3)
    assert parse_numbers("-J", "2, 8,4-5,4") == (2, 8, 4, 5)
    for text in ("", "1-", "-2", "a", "1-2-3", "0", "1-9999999"):
        with pytest.raises(SpecError):
            parse_numbers("-J", text)
