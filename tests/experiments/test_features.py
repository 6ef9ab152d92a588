"""The frontier on features of any encoder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from deepfixcx.cli.app import app
from deepfixcx.datasets import FeatureMatrix
from deepfixcx.errors import MechanismError
from deepfixcx.experiments.frontier import FrontierOptions, run_frontier
from deepfixcx.report.html_results import read_frontier
from tests.audit.making import make_population

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


OPTIONS = FrontierOptions(mechanisms=("plain", "projection"), attackers=("whitening",), seeds=1)


@pytest.fixture(scope="module")
def matrix() -> FeatureMatrix:
    features, owners = make_population(patients=120, noise=0.2)
    features[:, 0] += 3 * (owners % 2)
    return FeatureMatrix.of(features, owners.tolist(), {"sick": (owners % 2).tolist()})


def test_a_projection_of_features_is_as_useful_and_links_less(
    matrix: FeatureMatrix, tmp_path: Path
) -> None:
    frontier = run_frontier(matrix, tmp_path / "out", OPTIONS)
    plain, projected = frontier.rows
    assert (plain.level, plain.name, plain.numbers, projected.numbers) == (None, "plain", 8, 1)
    assert min(plain.figures["auc"], projected.figures["auc"]) > 0.9
    assert plain.figures["linkage"] > 0.98
    assert projected.figures["linkage"] < plain.figures["linkage"]
    assert projected.figures["precision_released"] < plain.figures["precision_released"] / 2
    assert "psnr_gain" not in plain.figures
    assert read_frontier(tmp_path / "out")[1].mechanism == "projection"
    resumed = run_frontier(matrix, tmp_path / "out", OPTIONS, resume=True)
    assert [row.figures for row in resumed.rows] == [row.figures for row in frontier.rows]
    changed = FeatureMatrix(matrix.dataset, matrix.array + np.float32(1))
    with pytest.raises(MechanismError, match="images differ"):
        run_frontier(changed, tmp_path / "out", OPTIONS, resume=True)


def test_baselines_and_noise_need_images(matrix: FeatureMatrix, tmp_path: Path) -> None:
    assert "blur" not in FrontierOptions().for_features().mechanisms
    for name in ("blur", "noise-1-16"):
        with pytest.raises(MechanismError, match=f"'{name}' works on images"):
            run_frontier(matrix, tmp_path / "out", FrontierOptions(mechanisms=(name,)))


def test_the_command_takes_a_file_of_features(
    run: Run, matrix: FeatureMatrix, tmp_path: Path
) -> None:
    path, out = tmp_path / "features.npz", tmp_path / "out"
    sick = matrix.dataset.labels[:, 0]
    np.savez(path, x=matrix.array, patient=matrix.dataset.patients, sick=sick)
    words = ["frontier", path, "--labels", "sick", "-o", out, "--seeds", "1"]
    refused = run(*words, "-J", "3")
    assert "holds features, not images; omit --levels" in refused.output
    said = run(*words, "--mechanisms", "plain", "--json", tmp_path / "summary.json")
    assert said.exit_code == 0, said.output
    (row,) = json.loads((tmp_path / "summary.json").read_text())["rows"]
    assert (row["level"], row["mechanism"]) == (None, "plain")
