"""The wheel works with nothing but what it declares to need; the rest is asked for by name."""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from deepfixcx.cli.app import app
from tests.conftest import ROOT
from tests.project.building import built
from tests.project.installing import empty_environment

pytestmark = pytest.mark.slow

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
    "optional-dependencies"
]

MISSING = [
    ("train xrays --labels pneumonia -o model", "learn"),
    ("evaluate model xrays", "learn"),
    ("predict model xrays -o scores.csv", "learn"),
    ("sweep xrays --labels pneumonia -o sweep", "learn"),
    ("frontier xrays --labels pneumonia -o frontier", "learn"),
    ("explain xrays/0.png --model model -o why", "learn"),
    ("audit shared --against xrays --patients xrays/manifest.csv", "audit"),
    ("studio --no-browser", "studio"),
    ("report shared -o report.pdf", "pdf"),
    ("privatize xrays out -J 2 -P 4 --engine dask", "dask"),
    ("deidentify xrays out --mask phi", "ocr"),
    ("privatize xrays out -J 2 -P 4 --mechanism noise-2-16 --output codes", "dp"),
    ("privatize s3://bucket/xrays out -J 2 -P 4", "remote"),
    ("privatize xrays out -J 2 -P 4 --tables", "tables"),
    ("node node.toml", "node"),
    ("inspect s3://bucket/xrays", "remote"),
    ("verify s3://bucket/xrays", "remote"),
]
"""Every command that needs an extra, and which."""

NODE = """
[node]
title = "DEEPFIXCX"
port = 0
folder = "spool"
[[sources]]
title = "CT1"
[profiles.plain]
kind = "deidentify"
key = "node.key"
[destinations.here]
kind = "folder"
path = "received"
[[routes]]
name = "all"
profile = "plain"
to = ["here"]
"""

PRESENT = [
    "node check node.toml",
    "inspect xrays",
    "privatize xrays out -J 2 -P 4 --output both",
    "status shared",
    "verify shared",
    "show xrays/0.png -o show.png -J 2",
    "explain xrays/0.png -o explained -J 2",
    "report shared -o report.html",
]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that has the wheel and what it needs, and no extra."""
    return empty_environment(tmp_path_factory.mktemp("bare"), built("wheel"))


def call(programs: Path, folder: Path, words: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PY"))}
    return subprocess.run(
        [str(programs / "deepfixcx"), *words.split()],
        cwd=folder,
        env=kept | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.fixture(scope="module")
def folder(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """xrays/ with labels, its release shared/, and a model that was trained elsewhere."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "xrays").mkdir()
    rows = ["file,patient_id,pneumonia"]
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 256, (48, 48), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "xrays" / f"{number}.png")
        rows.append(f"{number}.png,p{number},{number % 2}")
    (folder / "node.toml").write_text(NODE, "utf-8")
    (folder / "xrays" / "manifest.csv").write_text("\n".join(rows), "utf-8")
    done = call(programs, folder, "privatize xrays shared -J 2 -P 4")
    assert done.returncode == 0, done.stderr
    words = ["train", str(folder / "xrays"), "--labels", "pneumonia", "-J", "2", "-o"]
    trained = CliRunner().invoke(app, [*words, str(folder / "model"), "--epochs", "1"])
    assert trained.exit_code == 0, trained.output
    return folder


@pytest.mark.parametrize("words", PRESENT)
def test_runs_without_any_extra(programs: Path, folder: Path, words: str) -> None:
    done = call(programs, folder, words)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("words", "extra"), MISSING)
def test_a_missing_extra_is_one_line_with_the_command(
    programs: Path, folder: Path, words: str, extra: str
) -> None:
    done = call(programs, folder, words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert re.fullmatch(
        rf"error this needs '\w+', which is not installed; "
        rf"run: pip install 'deepfixcx\[{extra}\]( @ file:[^']*)?'(, or add --ocr tesseract)?",
        line,
    )


def test_every_extra_that_a_command_needs_is_tried() -> None:
    """The others are asked for in Python or by the makers of the package."""
    assert set(EXTRAS) - {extra for _, extra in MISSING} == {
        "sklearn", "nifti", "features", "torch", "docs", "dev",
    }  # fmt: skip


def test_the_source_archive_holds_what_its_tests_need() -> None:
    """Whoever packages deepfixcx again builds the same wheel and runs the same tests."""
    with tarfile.open(built("sdist")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for path in ("Makefile", "constraints.txt", "CONTRIBUTING.md", ".pre-commit-config.yaml"):
        assert path in names
    for folder in ("src", "tests", "examples", "docs", "benchmarks"):
        mine = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*.py")}
        assert mine <= names
