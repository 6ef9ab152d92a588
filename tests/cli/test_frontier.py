"""``deepfixcx frontier``, as a user types it."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import Result

from tests.learn.making import make_dataset

Run = Callable[..., Result]

SETTINGS = [
    *("--labels", "sick", "-J", "2", "-P", "2", "--mechanisms", "plain,resampling"),
    *("--seeds", "1", "--workers", "1", "--attackers", "whitening"),
]


@pytest.fixture(scope="module")
def xrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frontier") / "xrays"
    make_dataset(folder, 340)
    return folder


@pytest.mark.slow
def test_a_frontier_ends_with_a_recommendation(run: Run, xrays: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "out", tmp_path / "report.json"
    words = ("frontier", xrays, *SETTINGS, "-o", out, "--json", report)
    done = run(*words, "--max-linkage", "0.99")
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.replace("│", " ").split())
    assert "340 of 170 patients" in text
    assert re.search(r"Take (plain|resampling) with J=2, P=2", text)
    assert "attackers that were not tried may link more patients" in text
    figures = json.loads(report.read_text())
    assert figures["recommended"] in ("J2_P2_plain", "J2_P2_resampling")
    rows = list(csv.DictReader((out / "frontier.csv").read_text().splitlines()))
    assert [row["mechanism"] for row in rows] == ["plain", "resampling"]
    assert float(rows[0]["auc"]) == pytest.approx(figures["rows"][0]["auc"], rel=1e-5)
    with Image.open(out / "frontier.png") as figure:
        assert figure.width > 900
    # another threshold needs no new attacks
    assert run(*words).exit_code == 2
    asked = run(*words, "--resume", "--max-linkage", "0.5001")
    assert asked.exit_code == 0, asked.output
    assert "Lowest linkage:" in " ".join(asked.output.split())


def test_bad_files_are_listed_and_the_exit_code_says_so(run: Run, tmp_path: Path) -> None:
    make_dataset(tmp_path / "xrays", 120)
    (tmp_path / "xrays" / "7.png").write_text("Jane Doe")
    done = run("frontier", tmp_path / "xrays", *SETTINGS, "-o", tmp_path / "out")
    assert done.exit_code == 3, done.output
    assert "Jane" not in done.output
    assert '"8","NotAnImageError"' in (tmp_path / "out" / "failures.csv").read_text()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--mechanisms", "mixin-3"], "did you mean 'mixing-3'"),
        (["--attackers", "oracle"], "unknown attacker"),
        (["--max-linkage", "0.2"], "0.5 (chance)"),
        (["--public", "0"], "share of the patients"),
        (["-J", "many"], "like 1-6"),
        (["--labels", "fever"], "fever"),
        (["--seeds", "0"], "one seed"),
    ],
)
def test_bad_arguments_are_named(
    run: Run, xrays: Path, tmp_path: Path, words: list[str], reason: str
) -> None:
    done = run("frontier", xrays, *SETTINGS, *words, "-o", tmp_path / "out")
    assert done.exit_code == 2, done.output
    assert reason in " ".join(done.output.split())
    assert not (tmp_path / "out").exists()
