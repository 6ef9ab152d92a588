"""``deepfixcx bench``."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import deepfixcx.bench
from deepfixcx.bench import DiskSpeed, Machine, Results, Speed
from deepfixcx.bench.suite import DiskRow
from deepfixcx.cli.app import app
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "command-line.md").read_text("utf-8")


def results(load: float) -> Results:
    machine = Machine("a processor", 4, 4, 1 << 33, load, "3.11.7", "2.0", "0.61", "0.1.0")
    speeds = (
        Speed("encode", 3, 5, "haar", 320, 320, "uint8", 100, 0.01, 10_000_000),
        Speed("encode", 3, 5, "db2", 320, 320, "float32", 100, 0.1, 40_000_000),
        Speed("decode compact", 3, 5, "haar", 320, 320, "float32", 100, 0.005, 2_000_000),
    )
    disk = (DiskRow("PNG", 320, "codes", DiskSpeed(600, 4, 900.0, 300.0, 1000.0, 400.0)),)
    return Results(machine, True, 4e9, speeds, disk, 12.3)


def documented(title: str) -> set[str]:
    (text,) = re.findall(rf"^### {title}\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE)
    cells = re.findall(r"^\| (.*?) \|", text, re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}
    return named - {"machine", "memory", "from_disk"} if "lists" in title else named


def check_names(figures: dict[str, object]) -> None:
    assert set(figures) - {"file_checksum"} == documented("Names of bench")
    inner: set[str] = set(figures["machine"])  # type: ignore[call-overload]
    for name in ("memory", "from_disk"):
        for row in figures[name]:  # type: ignore[attr-defined]
            inner |= set(row)
    assert inner == documented("Names in the lists of bench")


@pytest.mark.parametrize("load", [0.1, 1.7])
def test_figures_of_given_results(
    load: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deepfixcx.bench, "measure", lambda **_: results(load))
    target = tmp_path / "bench.json"
    done = CliRunner().invoke(app, ["bench", "--quick", "--json", str(target)])
    assert done.exit_code == 0, done.output
    for words in ("10,000", "1.0 GB", "25%", "db2", "600 PNG", "90%", "deepfixcx privatize"):
        assert words in done.output
    assert ("other programs used this machine" in " ".join(done.output.split())) == (load > 1)
    figures = json.loads(target.read_text("utf-8"))
    check_names(figures)
    assert figures["memory"][0]["bandwidth_share"] == 0.25
    assert figures["from_disk"][0]["decode_share"] == 0.9


@pytest.mark.slow
def test_a_quick_run(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deepfixcx", "bench", "--quick", "--json", "bench.json"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "bench.json").read_text("utf-8"))
    check_names(figures)
    assert figures["quick"]
    assert {row["task"] for row in figures["memory"]} == {
        "encode",
        "decode compact",
        "decode original",
    }
    rates = [row["images_per_second"] for row in figures["memory"]]
    rates += [row["files_per_second"] for row in figures["from_disk"]]
    assert min(rates) > 0
    assert not list(tmp_path.glob("*/"))
