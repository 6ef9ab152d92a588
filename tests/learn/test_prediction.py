"""Scores of new images and of codes, and their table."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from deepfixcx import Code
from deepfixcx.datasets import Dataset
from deepfixcx.errors import ModelError
from deepfixcx.io.tables import Table
from deepfixcx.learn.classifier import Classifier
from deepfixcx.learn.options import TrainingOptions
from deepfixcx.learn.prediction import (
    Predictions,
    predict_code,
    predict_files,
    with_failures,
    write_scores,
)
from deepfixcx.learn.training import train_model
from tests.learn.making import SPEC, make_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("images"), 60, labels="sick,odd")


@pytest.fixture(scope="module")
def classifier(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    options = TrainingOptions("logistic", spec=SPEC)
    return train_model(dataset, tmp_path_factory.mktemp("model"), options).classifier


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_scores_of_files(
    dataset: Dataset, classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [record.path for record in dataset.records[:7]]
    (tmp_path / "text.png").write_text("not an image")
    paths[2:2] = [tmp_path / "gone.png", tmp_path / "text.png"]
    names = [path.name for path in paths]
    expected = classifier.scores(classifier.load(dataset.records[:7]).array)
    reported: list[tuple[int, int]] = []

    def report(done: int, files: int) -> None:
        reported.append((done, files))

    for at_once in (4096, 2):
        monkeypatch.setattr("deepfixcx.learn.prediction.FILES_AT_ONCE", at_once)
        reported.clear()
        found = predict_files(classifier, paths, names, report=report)
        assert reported == [(count, 9) for count in range(1, 10)]
        assert found.names == tuple(names)
        assert {place: error for place, (error, _) in found.failures.items()} == {
            2: "UnreadableFileError",
            3: "NotAnImageError",
        }
        np.testing.assert_allclose(np.delete(found.scores, [2, 3], axis=0), expected, atol=1e-6)
        assert np.isnan(found.scores[2:4]).all()
        assert not found.yes()[2:4].any()


def test_scores_of_a_code(dataset: Dataset, classifier: Classifier) -> None:
    loaded = classifier.load(dataset.records[:4])
    code = Code(loaded.array, SPEC, np.full((4, 2), 32))
    found = predict_code(classifier, code, list("abcd"))
    assert np.array_equal(found.scores, classifier.scores(loaded.array))
    assert found.failures == {}
    with pytest.raises(ModelError, match="the code has 4 images, and there are 1 names"):
        predict_code(classifier, code, ["a"])


def test_table(tmp_path: Path) -> None:
    scores = np.array([[0.25, 0.9], [0.75, 0.1]], np.float32)
    found = Predictions(("sick", "odd"), (0.5, 0.1), ("a, b.png", "c.png"), scores, {})
    found = with_failures(found, ["d.png", "e.png"], "DecodeError", "it is damaged, so mend it")
    write_scores(found, tmp_path / "scores.csv")
    table = rows(tmp_path / "scores.csv")
    assert list(table[0]) == ["file", "sick", "sick_yes", "odd", "odd_yes", "error", "reason"]
    assert [tuple(row.values()) for row in table] == [
        ("a, b.png", "0.250000", "0", "0.900000", "1", "", ""),
        ("c.png", "0.750000", "1", "0.100000", "1", "", ""),
        ("d.png", "", "", "", "", "DecodeError", "it is damaged, so mend it"),
        ("e.png", "", "", "", "", "DecodeError", "it is damaged, so mend it"),
    ]


def test_labels_called_like_other_columns_have_columns_of_their_own(tmp_path: Path) -> None:
    labels = ("file", "patient", "file_score", "error", "reason", "reason_score_yes")
    scores = np.full((1, len(labels)), 0.5, np.float32)
    found = Predictions(labels, (0.5,) * len(labels), ("a.png",), scores, {})
    for patients in (None, ["p1"]):
        write_scores(found, tmp_path / "scores.csv", patients)  # the second replaces the first
        header = (tmp_path / "scores.csv").read_text().splitlines()[0].split(",")
        assert len({*header}) == len(header) == 2 * len(labels) + (3 if patients is None else 4)
    assert header[2:6] == ["file_score_score", "file_score_score_yes", "patient_score",
                           "patient_score_yes"]  # fmt: skip
    assert Table(tmp_path / "scores.csv").columns == tuple(header)


def test_a_score_at_the_threshold_is_a_yes() -> None:
    threshold = float(np.float32(0.1))
    scores = np.array([[threshold], [np.nextafter(np.float32(0.1), np.float32(0))]], np.float32)
    assert Predictions(("a",), (threshold,), ("x", "y"), scores, {}).yes().tolist() == [
        [True],
        [False],
    ]


def test_no_files_no_rows(classifier: Classifier, tmp_path: Path) -> None:
    write_scores(predict_files(classifier, [], []), tmp_path / "scores.csv")
    assert rows(tmp_path / "scores.csv") == []
