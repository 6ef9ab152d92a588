"""``deepfixcx report`` as a user types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from deepfixcx.images import phantom, write_png
from deepfixcx.release import ReleaseOptions, privatize_dataset
from deepfixcx.spec import CodecSpec
from tests.studio.results import write_results

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli-report")
    (folder / "scans").mkdir()
    for number in range(3):
        pixels = phantom(np.random.default_rng(number), 64)
        write_png(folder / "scans" / f"{number}.png", pixels[np.newaxis], bits=8)
    privatize_dataset(folder / "scans", folder / "shared", ReleaseOptions(CodecSpec(2, 4)))
    write_results(folder)
    return folder


def test_report_takes_what_lies_beside_the_release(run: Run, shelf: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    words = ["report", str(shelf / "shared"), "-o", str(tmp_path / "r.html")]
    done = run(*words, "--json", figures)
    assert done.exit_code == 0, done.output
    assert "not anonymous" in done.output.replace("\n", " ")
    told = json.loads(figures.read_text("utf-8"))
    assert told["audit"] is True
    assert told["originals_shown"] is False
    assert told["bytes"] == (tmp_path / "r.html").stat().st_size


def test_everything_can_be_named(run: Run, shelf: Path, tmp_path: Path) -> None:
    given = {"audit": "shared.audit", "evaluation": "evaluation.json", "sweep": "sweep"}
    given |= {"frontier": "frontier", "originals": "scans", "private": "shared.private"}
    options = [word for name, place in given.items() for word in (f"--{name}", str(shelf / place))]
    out = tmp_path / "r.html"
    words = ["report", str(shelf / "shared"), "-o", str(out), *options, "--include-originals"]
    done = run(*words)
    assert done.exit_code == 0, done.output
    assert "share it as you would share them" in done.output
    assert "pneumonia" in out.read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere", "-o", "r.html"], "no release"),
        (["shared", "-o", "r.txt"], "r.html"),
        (["shared", "-o", "r.html", "--format", "pdf"], "r.pdf"),
        (["shared", "-o", "none/r.html"], "no folder"),
        (["shared", "-o", "r.html", "--audit", "sweep/sweep.csv"], "sweep.csv"),
        (["shared", "-o", "r.html", "--evaluation", "sweep/sweep.csv"], "evaluate --json wrote"),
        (["shared", "-o", "r.html", "--originals", "nowhere"], "no folder"),
        (["shared", "-o", "r.html", "--originals", "sweep"], "holds no original of the release"),
        (["shared", "-o", "r.html", "--include-originals"], "none are given"),
    ],
)
def test_mistakes_are_named_before_anything_is_written(
    run: Run, shelf: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(shelf)
    before = set(shelf.rglob("*"))
    done = run("report", *words)
    assert done.exit_code == 2
    assert said in done.output.replace("\n", "")
    assert set(shelf.rglob("*")) == before


def test_a_report_is_not_replaced_unasked(run: Run, shelf: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    out.write_text("mine", "utf-8")
    words = ["report", str(shelf / "shared"), "-o", str(out)]
    assert run(*words).exit_code == 2
    assert out.read_text("utf-8") == "mine"
    assert run(*words, "--overwrite").exit_code == 0
    assert out.read_text("utf-8").startswith("<!doctype html>")
