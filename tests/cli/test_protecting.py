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
    write_dataset(root / "in", images=208)
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
        ("mixing-3", [1, 16, 2, 2], 208),
        ("suppression", [1, 16, 2, 2], 208),
        ("projection", [2], 208),
        ("projection,resampling", [2], 832),
        ("noise-4-2,projection,mixing-4", [2], 208),
    ],
)
def test_each_mechanism_by_its_name(
    run: Run, datasets: Path, mechanism: str, shape: list[int], count: int, tmp_path: Path
) -> None:
    public = () if mechanism == "mixing-3" else ("--public", datasets / "public")
    out, reported = tmp_path / "out", tmp_path / "reported.json"
    result = run(*words(datasets, out, mechanism, "--labels", LABELS, *public, "--json", reported))
    assert result.exit_code == 0, result.output
    assert CANARY not in result.output
    figures = json.loads(reported.read_text())
    assert (figures["shape"], figures["records"]) == (shape, count)
    assert figures["images_released"] + figures["images_withheld"] == 208
    assert figures["images_public"] == (60 if public else 0)
    assert figures["guarantee"][:40] in result.output
    assert len(load_records(out)) == count
    assert verify_release(out).sound
    assert run("verify", out).exit_code == 0
    status = run("status", out).output
    assert "finished" in status
    assert ("268 of 268 files (208 of IN, 60 public)" in status) == bool(public)
    assert "audit OUT --against IN" in " ".join(result.output.replace("│", "").split())


def test_a_finished_release_is_resumed_without_a_change(
    run: Run, datasets: Path, tmp_path: Path
) -> None:
    public = ("--public", datasets / "public")
    command = words(datasets, tmp_path / "out", "projection", "--labels", LABELS, *public)
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
        ("mixing", (), "name labels of IN with --labels"),
        ("projection", ("--labels", LABELS), "--public"),
        ("mixng", ("--labels", LABELS), "did you mean 'mixing'"),
        ("mixing", ("--labels", "fracture"), "fracture"),
        ("mixing", ("--labels", LABELS, "--output", "images"), "--output"),
        ("mixing", ("--labels", LABELS, "--names", "keep"), "--names"),
        ("mixing", ("--labels", LABELS, "--key", "key"), "dicom"),
        ("bands", ("--labels", LABELS), "--labels"),
        ("noise-2-16", ("--public", "public"), "--public"),
        ("noise-2-16", ("--wavelet", "db2"), "Haar"),
        ("noise-2", (), "noise-EPSILON-PIXELS"),
        ("noise-2x", (), "noise-EPSILON-PIXELS"),
        ("resampling,projection", ("--labels", LABELS), "omit it"),
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


def test_a_label_of_few_patients_is_dropped_by_name(run: Run, tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "in", images=60)
    table = (root / "manifest.csv").read_text().splitlines()
    rare = [f"{line},{int(number < 8)}" for number, line in enumerate(table[1:])]
    (root / "manifest.csv").write_text("\n".join([f"{table[0]},hernia", *rare]))
    out, reported = tmp_path / "out", tmp_path / "reported.json"
    asked = ("--labels", "pneumonia,hernia", "--json", reported)
    result = run(*words(tmp_path, out, "mixing-3", *asked))
    assert result.exit_code == 0, result.output
    text = " ".join(result.output.replace("│", "").split())
    assert "hernia not released: too few patients are positive or negative" in text
    assert "shared by 11 patients or more" in text
    figures = json.loads(reported.read_text())
    assert figures["labels_dropped"] == ["hernia"]
    about = json.loads((out / "dataset.json").read_text())
    assert about["records"]["labels_dropped"] == ["hernia"]
    assert load_records(out).label_names == ("pneumonia",)
    assert (out / "labels.csv").read_text().splitlines()[0] == "source_id,pneumonia"
    nothing = run(*words(tmp_path, tmp_path / "two", "mixing-3", "--labels", "hernia"))
    assert nothing.exit_code == 2
    assert "each needs at least 11 positive and as many negative patients" in " ".join(
        nothing.output.split()
    )
    age = run(*words(tmp_path, tmp_path / "three", "mixing-3", "--labels", "file"))
    assert age.exit_code == 2


def test_unreadable_images_are_three(run: Run, tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "in", images=60)
    (root / f"{CANARY}-5.png").write_bytes(b"no picture")
    result = run(*words(tmp_path, tmp_path / "out", "mixing", "--labels", "pneumonia"))
    assert result.exit_code == 3
    assert "1 image of IN" in result.output
    assert "59 images" in result.output


def test_a_dataset_without_one_code_says_which_and_why(
    run: Run, datasets: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    small = words(datasets, out, "mixing", "-J", 9, "--labels", LABELS)
    result = run(*small)
    assert result.exit_code == 2
    for part in (
        "no image of IN could be encoded; 208 of 208 files: ",
        "the image needs more than",
    ):
        assert part in result.output
    failures = tmp_path / "out.private" / "images" / "failures.csv"
    assert str(failures) in result.output
    assert failures.read_text().count("the image needs more than") == 208
    bad = write_dataset(tmp_path / "bad", first=1000, images=4)
    for path in bad.glob("*.png"):
        path.write_bytes(b"no picture")
    learning = words(datasets, tmp_path / "2", "projection", "--labels", LABELS, "--public", bad)
    assert "no image of the public dataset could be encoded" in run(*learning).output
    assert not (tmp_path / "2" / "dataset.json").exists()


def test_a_resume_with_other_labels_names_only_these(
    run: Run, datasets: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run(*words(datasets, out, "mixing", "--labels", LABELS)).exit_code == 0
    other = run(*words(datasets, out, "mixing", "--labels", "effusion", "--resume"))
    assert other.exit_code == 2
    assert "started with other labels;" in other.output


def test_a_release_with_noise_says_what_it_promises(
    run: Run, datasets: Path, tmp_path: Path
) -> None:
    noisy = run(*words(datasets, tmp_path / "out", "noise-2-8", "--output", "codes"))
    assert noisy.exit_code == 0, noisy.output
    reported = " ".join(noisy.output.replace("│", "").split())
    assert "On average: (2, 0)-differentially private" in reported
    assert "in at most 8 pixels" in reported
    assert "guarantee" not in run(*words(datasets, tmp_path / "2", "bands")).output


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
    reported = tmp_path / "reported.json"
    judged = ("evaluate", model, datasets / "public", "--part", "all", "--json", reported)
    assert run(*judged, "--samples", 20).exit_code == 0
    figures = json.loads(reported.read_text())
    assert figures["images"] == 60
    explained = run("explain", datasets / "public", "--model", model, "-o", tmp_path / "why")
    assert explained.exit_code == 2
    assert "without position or scale" in explained.output
    scored = run("predict", model, out, "-o", tmp_path / "3.csv")
    assert scored.exit_code == 2
    assert "release of records, which serve for training" in scored.output
    refusal = run("evaluate", model, out, "--part", "all")
    assert refusal.exit_code == 2
    assert "was made with a mechanism" in refusal.output
    bad = write_dataset(tmp_path / "bad", images=2)
    for path in bad.glob("*.png"):
        path.write_bytes(b"no picture")
    nothing = run("predict", model, bad, "-o", tmp_path / "4.csv")
    assert nothing.exit_code == 3
    assert "no image was scored" in nothing.output
    refusal = run("evaluate", model, bad, "--part", "all")
    assert refusal.exit_code == 2
    assert "no image can be read; the first: " in refusal.output
    (model / "mechanism.safetensors").unlink()
    assert run("predict", model, datasets / "public", "-o", tmp_path / "2.csv").exit_code == 2


@pytest.mark.slow
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
