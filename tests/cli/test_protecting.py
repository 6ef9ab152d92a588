"""``deepfixcx privatize --mechanism`` with labels and public images, as a user types it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from deepfixcx.release import load_records, verify_release
from tests.release.conftest import contents
from tests.release.phantoms import CANARY, LABELS, write_dataset

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("datasets")
    write_dataset(root / "in", images=60)
    write_dataset(root / "public", first=1000, images=60)
    return root


def words(root: Path, out: Path, mechanism: str, *more: object) -> tuple[object, ...]:
    return (
        "privatize", root / "in", out, "-J", 2, "-P", 2, "--workers", 1,
        "--mechanism", mechanism, *more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("mechanism", "shape", "count"),
    [
        ("mixing-3", [1, 16, 2, 2], 60),
        ("suppression", [1, 16, 2, 2], 60),
        ("projection", [2], 60),
        ("projection,resampling", [2], 240),
        ("noise-4-2,projection,mixing-4", [2], 60),
    ],
)
def test_each_mechanism_by_its_name(
    run: Run, datasets: Path, mechanism: str, shape: list[int], count: int, tmp_path: Path
) -> None:
    public = () if mechanism == "mixing-3" else ("--public", datasets / "public")
    out, told = tmp_path / "out", tmp_path / "told.json"
    result = run(*words(datasets, out, mechanism, "--labels", LABELS, *public, "--json", told))
    assert result.exit_code == 0, result.output
    assert CANARY not in result.output
    figures = json.loads(told.read_text())
    assert (figures["shape"], figures["records"]) == (shape, count)
    assert figures["images_released"] + figures["images_withheld"] == 60
    assert figures["images_public"] == (60 if public else 0)
    assert figures["guarantee"][:40] in result.output
    assert len(load_records(out)) == count
    assert verify_release(out).sound
    assert run("verify", out).exit_code == 0
    assert "finished" in run("status", out).output


def test_a_finished_release_is_resumed_without_a_change(
    run: Run, datasets: Path, tmp_path: Path
) -> None:
    command = words(datasets, tmp_path / "out", "mixing-3", "--labels", LABELS)
    assert run(*command).exit_code == 0
    before = contents(tmp_path / "out")
    assert run(*command).exit_code == 2
    assert run(*command, "--resume").exit_code == 0
    assert contents(tmp_path / "out") == before
    assert run(*command, "--overwrite", "--seed", 1).exit_code == 0
    seeded = contents(tmp_path / "out")
    assert seeded != before
    assert run(*command, "--overwrite", "--seed", 1).exit_code == 0
    assert contents(tmp_path / "out") == seeded


@pytest.mark.parametrize(
    ("mechanism", "more", "reason"),
    [
        ("mixing", (), "name some of IN with --labels"),
        ("projection", ("--labels", LABELS), "--public"),
        ("mixng", ("--labels", LABELS), "did you mean 'mixing'"),
        ("mixing", ("--labels", "fracture"), "fracture"),
        ("mixing", ("--labels", LABELS, "--output", "images"), "--output"),
        ("mixing", ("--labels", LABELS, "--names", "keep"), "--names"),
        ("mixing", ("--labels", LABELS, "--key", "key"), "dicom"),
        ("bands", ("--labels", LABELS), "--labels"),
        ("noise-2", ("--public", "public"), "--public"),
        ("noise-2", ("--wavelet", "db2"), "Haar"),
        ("noise-2x", (), "noise-EPSILON-PIXELS"),
    ],
)
def test_wrong_use_is_two_and_says_what_to_do(
    run: Run,
    datasets: Path,
    mechanism: str,
    more: tuple[object, ...],
    reason: str,
    tmp_path: Path,
) -> None:
    result = run(*words(datasets, tmp_path / "out", mechanism, *more))
    assert result.exit_code == 2
    assert reason in result.output
    assert not (tmp_path / "out").exists()


def test_options_for_mechanisms_are_of_no_use_without(
    run: Run, datasets: Path, tmp_path: Path
) -> None:
    ordinary = ("privatize", datasets / "in", tmp_path / "out", "-J", 2, "-P", 2)
    assert run(*ordinary, "--labels", LABELS).exit_code == 2
    assert run(*ordinary, "--public", datasets / "public").exit_code == 2


def test_unreadable_images_are_three(run: Run, tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "in", images=60)
    (root / f"{CANARY}-5.png").write_bytes(b"no picture")
    result = run(*words(tmp_path, tmp_path / "out", "mixing", "--labels", "pneumonia"))
    assert result.exit_code == 3
    assert "1 image of IN" in result.output
    assert "59 images" in result.output


# -- the receiver -----------------------------------------------------------------------------


def test_a_receiver_trains_on_vectors_and_predicts_images(
    run: Run, datasets: Path, tmp_path: Path
) -> None:
    out, model, scores = tmp_path / "out", tmp_path / "model", tmp_path / "scores.csv"
    public = ("--public", datasets / "public", "--seed", 0)
    made = run(*words(datasets, out, "projection,resampling", "--labels", LABELS, *public))
    assert made.exit_code == 0
    train = ("train", out, "--labels", LABELS, "-o", model)
    refused = run(*train)
    assert refused.exit_code == 2
    assert "--model logistic" in refused.output
    assert not model.exists()
    done = run(*train, "--model", "logistic")
    assert done.exit_code == 0, done.output
    assert run("predict", model, datasets / "public", "-o", scores).exit_code == 0
    with scores.open(newline="") as file:
        found = {row["file"]: float(row["pneumonia"]) for row in csv.DictReader(file)}
    with (datasets / "public" / "manifest.csv").open(newline="") as file:
        truth = {row["file"]: int(row["pneumonia"]) for row in csv.DictReader(file)}
    sick, well = ([found[name] for name in found if truth[name] == kind] for kind in (1, 0))
    assert np.mean(sick) > np.mean(well) + 0.2
    told = tmp_path / "told.json"
    judged = ("evaluate", model, datasets / "public", "--part", "all", "--json", told)
    assert run(*judged, "--samples", 20).exit_code == 0
    figures = json.loads(told.read_text())
    assert figures["images"] == 60
    explained = run("explain", datasets / "public", "--model", model, "-o", tmp_path / "why")
    assert explained.exit_code == 2
    assert "no place and no" in explained.output
    scored = run("predict", model, out, "-o", tmp_path / "3.csv")
    assert scored.exit_code == 2
    assert "records that are no codes" in scored.output
    (model / "mechanism.safetensors").unlink()
    assert run("predict", model, datasets / "public", "-o", tmp_path / "2.csv").exit_code == 2


def test_a_receiver_trains_on_codes(run: Run, datasets: Path, tmp_path: Path) -> None:
    out, model = tmp_path / "out", tmp_path / "model"
    assert run(*words(datasets, out, "mixing-3", "--labels", LABELS)).exit_code == 0
    train = ("train", out, "--labels", "effusion", "--model", "logistic", "-o", model)
    for wrong in (("--labels", "fracture"), ("-J", 3), ("--by-content",), ("--layout", "table")):
        assert run(*train, *wrong).exit_code == 2, wrong
    assert run(*train).exit_code == 0
    assert run(*train, "--resume").exit_code == 0
    assert run("predict", model, datasets / "public", "-o", tmp_path / "1.csv").exit_code == 0
    assert run("predict", model, out, "-o", tmp_path / "2.csv").exit_code == 0
    explained = run("explain", datasets / "public", "--model", model, "-o", tmp_path / "why")
    assert explained.exit_code == 0, explained.output
    assert CANARY.encode() not in b"".join(path.read_bytes() for path in model.iterdir())
