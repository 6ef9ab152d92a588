"""The benchmarks of learning: a tiny run of each, and what they compute from given numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed; it comes with deepfixcx[learn]")
pytest.importorskip("monai", reason="monai is not installed; it comes with deepfixcx[learn]")

import torch
from torch import nn

from benchmarks import nimbleness, utility
from benchmarks.nimbleness import Nimbleness, bytes_of_a_step, largest_batch, table_of
from benchmarks.utility import tiny_task

CPU = torch.device("cpu")


def test_a_tiny_run_of_utility(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, figures = tmp_path / "page.md", tmp_path / "figures.json"
    page.write_text("<!-- utility -->\n<!-- end of utility -->\n")
    words = ["--tiny", "--folds", "3", "--seeds", "2", "--epochs", "1"]
    utility.main([*words, "--markdown", str(page), "--json", str(figures)])
    text = page.read_text()
    assert text.count("\n| ") == 2 + 1 + 2 * 6
    assert "python -m benchmarks.utility --tiny --folds 3 --seeds 2 --epochs 1`" in text
    assert "30 positives and 30 negatives of 30 patients tested" in capsys.readouterr().out
    lines = json.loads(figures.read_text())
    by_name = {(line["seen"], line["model"]): line for line in lines}
    codes, blur = by_name["codes J=1, P=2", "logistic"], by_name["blur as J=1, P=2", "logistic"]
    assert codes["numbers"] == blur["numbers"] == 16
    assert codes["auc"]["value"] > 0.95 > 0.75 > blur["auc"]["value"]
    assert codes["within"]["value"] > 0.95
    assert codes["share"] == pytest.approx(16 / 1024)


def test_the_folds_of_the_tiny_task_share_no_patient() -> None:
    task = tiny_task(4)
    tested = np.concatenate([fold.test for fold in task.folds])
    assert sorted(tested) == list(range(60))
    for fold in task.folds:
        parts = [set(task.patients[part]) for part in (fold.train, fold.validation, fold.test)]
        assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]


def test_a_tiny_run_of_nimbleness(tmp_path: Path) -> None:
    page, figures = tmp_path / "page.md", tmp_path / "figures.json"
    page.write_text("<!-- nimbleness -->\n<!-- end of nimbleness -->\n")
    threads = torch.get_num_threads()
    try:
        nimbleness.main(
            ["--tiny", "--threads", "1", "--markdown", str(page), "--json", str(figures)]
        )
    finally:
        torch.set_num_threads(threads)
    mlp, network = json.loads(figures.read_text())
    assert (mlp["model"], network["model"]) == ("mlp", "resnet18")
    assert mlp["image_bytes"] < 0.01 * network["image_bytes"]
    assert mlp["batch"] > 100 * network["batch"]
    assert "benchmarks.nimbleness --tiny" in page.read_text()


def test_memory_of_a_step_by_hand() -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(10, 7, bias=False), nn.Tanh())

    # inputs (also kept), what tanh keeps, and four times the weights
    for batch in (4, 8):
        expected = 4 * (batch * 10 + batch * 7) + 4 * 4 * 70
        assert bytes_of_a_step(build, torch.zeros(batch, 10), CPU) == expected


def test_the_largest_batch_fits() -> None:
    assert largest_batch(100, 1000, 2050) == 10
    assert largest_batch(100, 1000, 900) == 0


def test_models_are_compared_with_the_first() -> None:
    table = table_of(
        [
            Nimbleness("mlp", 1.0, 0.01, 1.5, 1e4, 1e6, 5000),
            Nimbleness("net", 0.5, 3.0, 150.5, 1e7, 1e8, 50),
        ]
    )
    assert table.rows[1] == (
        *("net", "0.5", "3", "300", "3.47", "150", "100", "10", "50", "100"),
    )  # fmt: skip
