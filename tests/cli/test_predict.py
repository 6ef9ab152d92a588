"""What `predict` says of paths, failures and scores that nobody got."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from tests.learn.making import make_dataset

Run = Callable[..., Result]


@pytest.fixture
def model(tmp_path: Path, run: Run) -> Path:
    make_dataset(tmp_path / "xrays", 40)
    words = ("--labels", "sick", "--model", "logistic", "-J", 2, "-P", 4, "--workers", 1)
    done = run("train", tmp_path / "xrays", *words, "-o", tmp_path / "model")
    assert done.exit_code == 0, done.output
    return tmp_path / "model"


def test_paths(run: Run, model: Path, tmp_path: Path) -> None:
    xrays, out = tmp_path / "xrays", tmp_path / "scores.csv"
    for words, reason in (
        ((model, tmp_path / "nosuch"), "there is no file or folder"),
        ((model, "s3://bucket/scans"), "the input of predict cannot be read from a URL"),
        (("s3://bucket/model", xrays), "a model cannot be read from a URL"),
    ):
        done = run("predict", *words, "-o", out, "--workers", 1)
        assert done.exit_code == 2
        assert reason in done.output
    assert not out.exists()
    urls = (f"file://{model}", f"file://{xrays / '0.png'}")
    figures = ("--json", tmp_path / "figures.json")
    done = run("predict", *urls, "-o", out, "--workers", 1, *figures)
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "figures.json").read_text())["images_scored"] == 1


def test_reasons_of_failures(run: Run, model: Path, tmp_path: Path) -> None:
    new, good = tmp_path / "new", (tmp_path / "xrays" / "0.png").read_bytes()
    new.mkdir()
    (new / "a.png").touch()
    (new / "b.png").write_text("no picture")
    (new / "c.png").write_bytes(good[:60])
    (new / "d.png").mkdir()
    (new / "d.png" / "e.png").symlink_to(new / "gone.png")
    words = ("predict", model, new, "-o", tmp_path / "scores.csv", "--workers", 1)
    done = run(*words)
    assert done.exit_code == 3
    assert "failed 4, listed" in " ".join(done.output.split())
    assert done.output.count("1 × ") == 3
    assert "and 1 for another reason" in done.output
    assert "no image was scored; fix the cause, then run again with --overwrite" in done.output
    (new / "a.png").write_bytes(good)
    assert run(*words).exit_code == 2
    done = run(*words, "--overwrite")
    assert "1 of 4 images" in done.output
    assert "another reason" not in done.output
    assert "no image was scored" not in done.output


def test_a_table_of_images(run: Run, model: Path, tmp_path: Path) -> None:
    table, scores = tmp_path / "list.csv", tmp_path / "scores.csv"
    words = ("predict", model, table, "-o", scores, "--workers", 1)
    table.write_text("id,file\n1,xrays/0.png\n2,xrays/3.png\n3,gone.png\n", encoding="utf-8-sig")
    done = run(*words)
    assert done.exit_code == 3, done.output
    with scores.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == ["xrays/0.png", "xrays/3.png", "gone.png"]
    assert [bool(row["error"]) for row in rows] == [False, False, True]
    for text, reason in (
        ("name\nxrays/0.png\n", "has no column of paths; name one of its columns 'file' or 'path'"),
        ("file\n", "holds no image to score"),
        ("file\ns3://bucket/0.png\n", "an image cannot be read from a URL"),
    ):
        table.write_text(text)
        refused = run(*words, "--overwrite")
        assert refused.exit_code == 2
        assert reason in refused.output
