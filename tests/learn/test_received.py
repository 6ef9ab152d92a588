"""A received release and a table of labels train, evaluate and compare models without originals."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from deepfixcx.cli.app import app
from deepfixcx.errors import LabelError
from deepfixcx.learn.received import LabelTable, named_table
from deepfixcx.learn.scores import Scored, compare_scores, paper_table, read_scored
from deepfixcx.measures import Interval, roc_auc
from deepfixcx.release import ReleaseOptions, privatize_dataset
from deepfixcx.spec import CodecSpec
from tests.release.phantoms import write_dataset


@pytest.fixture(scope="module")
def received(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a release and a table of labels; originals are gone."""
    home = tmp_path_factory.mktemp("received")
    root = write_dataset(home / "in", images=80)
    privatize_dataset(root, home / "shared", ReleaseOptions(CodecSpec(2, 4)))
    with (home / "shared.private" / "sources.csv").open() as file:
        ids = {row["source"]: row["source_id"] for row in csv.DictReader(file)}
    with (root / "manifest.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["file"] in ids]
    with (home / "labels.csv").open("w") as file:
        table = csv.writer(file)
        table.writerow(["source_id", "patient", "pneumonia", "effusion", "ward"])
        for row in rows:
            table.writerow([ids[row["file"]], row["patient_id"], row["pneumonia"],
                            row["effusion"], "7b"])  # fmt: skip
    for path in [*root.iterdir()]:
        path.unlink()
    return home


def run(home: Path, *words: str, code: int = 0) -> str:
    made = CliRunner().invoke(app, [word.replace("~", str(home)) for word in words])
    assert made.exit_code == code, made.output
    return made.output


@pytest.fixture(scope="module")
def evaluated(received: Path) -> Path:
    run(received, "train", "~/shared", "--labels", "~/labels.csv", "-o", "~/model",
        "--model", "logistic")  # fmt: skip
    run(received, "evaluate", "~/model", "~/shared", "--labels", "~/labels.csv", "--scores",
        "~/one.csv", "--json", "~/one.json", "--table", "~/one.tex")  # fmt: skip
    return received


def test_a_model_learns_from_the_codes_of_a_release(evaluated: Path) -> None:
    figures = json.loads((evaluated / "one.json").read_text())
    assert [label["label"] for label in figures["labels"]] == ["pneumonia", "effusion"]
    assert figures["labels"][0]["auc"]["value"] > 0.8
    assert figures["part"] == "test"
    about = (evaluated / "shared" / "dataset.json").read_bytes()
    assert figures["release_checksum"] == hashlib.sha256(about).hexdigest()


def test_exported_scores_give_the_reported_area(evaluated: Path) -> None:
    scored = read_scored(evaluated / "one.csv")
    figures = json.loads((evaluated / "one.json").read_text())
    area = roc_auc(scored.labels[:, 0], scored.scores[:, 0])
    assert area == pytest.approx(figures["labels"][0]["auc"]["value"], abs=1e-4)
    assert len(scored.images) == figures["images"]
    assert all(len(name) == 6 for name in scored.images)
    text = (evaluated / "one.tex").read_text()
    assert f"pneumonia & ROC AUC & {area:.3f}" in text


def test_predict_scores_the_release_as_evaluate_does(evaluated: Path) -> None:
    run(evaluated, "predict", "~/model", "~/shared", "-o", "~/all.csv")
    with (evaluated / "all.csv").open() as file:
        of_all = {row["file"]: float(row["pneumonia"]) for row in csv.DictReader(file)}
    scored = read_scored(evaluated / "one.csv")
    for name, score in zip(scored.images, scored.scores[:, 0], strict=True):
        assert of_all[name] == pytest.approx(score, abs=2e-6)


def test_a_model_compared_with_itself_differs_by_nothing(evaluated: Path) -> None:
    run(evaluated, "evaluate", "~/model", "~/shared", "--labels", "~/labels.csv", "--compare",
        "~/one.csv", "--json", "~/same.json")  # fmt: skip
    found = json.loads((evaluated / "same.json").read_text())["auc_difference"]
    assert found["pneumonia"] == {"value": 0, "low": 0, "high": 0}


def test_other_labels_of_the_same_release_are_known_as_such(evaluated: Path) -> None:
    text = (evaluated / "labels.csv").read_text().splitlines()
    (evaluated / "fewer.csv").write_text("\n".join(text[:41]) + "\n")
    said = run(evaluated, "evaluate", "~/model", "~/shared", "--labels", "~/fewer.csv", code=2)
    assert "differ from those of the training" in " ".join(said.split())


@pytest.mark.slow
def test_a_sweep_runs_on_the_images_of_a_release(received: Path) -> None:
    run(received, "sweep", "~/shared", "--labels", "~/labels.csv:pneumonia", "-o", "~/sweep",
        "--levels", "1", "--patches", "2", "--folds", "3")  # fmt: skip
    table = (received / "sweep" / "sweep.csv").read_text("utf-8")
    original, row = csv.DictReader(table.splitlines())
    assert (original["what"], row["level"], row["patches"]) == ("original", "1", "2")
    assert 0 <= float(row["auc_low"]) <= float(row["auc"]) <= float(row["auc_high"]) <= 1


def test_ids_without_their_zeros_are_refused_with_the_reason(received: Path) -> None:
    text = (received / "labels.csv").read_text()
    (received / "bare.csv").write_text("\n".join(row.lstrip("0") for row in text.split("\n")))
    said = run(received, "train", "~/shared", "--labels", "~/bare.csv", "-o", "~/m", code=2)
    assert "leading zeros" in " ".join(said.split())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,sick\n1,1\n", "has no column 'source_id'"),
        ("source_id,age\n1,70\n", "no column of labels"),
        ("source_id,sick\n1,1\n1,0\n", "two rows of '1'"),
    ],
)
def test_tables_that_cannot_be_joined_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(LabelError, match=message):
        LabelTable.read(tmp_path / "labels.csv")


def test_a_table_is_told_from_names_of_labels() -> None:
    assert named_table("labels.csv") == (Path("labels.csv"), ())
    assert named_table("a/labels.tsv:sick, wet") == (Path("a/labels.tsv"), ("sick", "wet"))
    assert named_table("pneumonia,effusion") is None


def scored_of(scores: list[float]) -> Scored:
    labels = np.tile([1, 0], len(scores) // 2).astype(np.float32)[:, None]
    names = tuple(map(str, range(len(scores))))
    return Scored(names, names, ("sick",), labels, np.array(scores, np.float32)[:, None])


def test_a_paired_interval_is_narrower_than_that_of_independent_models() -> None:
    generator = np.random.default_rng(0)
    truth = np.tile([1.0, 0.0], 100)
    shared = truth + generator.normal(0, 1, 200)
    one = scored_of((shared + generator.normal(0, 0.1, 200)).tolist())
    other = scored_of((shared + generator.normal(0, 0.1, 200)).tolist())
    apart = scored_of((truth + generator.normal(0, 1, 200)).tolist())
    paired = compare_scores(one, other, samples=300)["sick"]
    unpaired = compare_scores(one, apart, samples=300)["sick"]
    assert paired.low < 0 < paired.high
    assert paired.high - paired.low < 0.5 * (unpaired.high - unpaired.low)


def test_scores_of_other_images_are_not_compared() -> None:
    one = scored_of([0.1, 0.2, 0.3, 0.4])
    with pytest.raises(LabelError, match="other images or labels"):
        compare_scores(one, scored_of([0.1, 0.2]))


def test_a_table_in_latex_escapes_names_and_one_in_csv_keeps_digits() -> None:
    rows = [("left_lung & heart", "ROC AUC", Interval(0.91234567, 0.8, float("nan")))]
    assert r"left\_lung \& heart & ROC AUC & 0.912" in paper_table(rows, ".tex").decode()
    assert "0.912346,0.800000," in paper_table(rows, ".csv").decode()
