"""CheXpert: four-state labels, the first component of its paths, views, and the four archives."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from deepfixcx.datasets import PUBLISHED, Dataset, read_published
from deepfixcx.datasets.labels import Uncertain
from deepfixcx.errors import LabelError, LayoutError

read_chexpert = partial(read_published, PUBLISHED["chexpert"])


def column(dataset: Dataset, name: str) -> list[str]:
    place = dataset.label_names.index(name)
    return ["unknown" if np.isnan(x) else f"{x:.0f}" for x in dataset.labels[:, place]]


def test_reads_records(chexpert: Path) -> None:
    dataset = read_chexpert(chexpert)
    assert len(dataset.label_names) == 14
    assert [record.path.relative_to(chexpert).as_posix() for record in dataset.records][-1] == (
        "valid/patient64541/study1/view1_frontal.jpg"
    )
    assert dataset.patients.tolist() == [*["patient00001"] * 3, "patient00002", "patient64541"]
    assert [record.study for record in dataset.records[:3]] == ["study1", "study2", "study2"]
    assert [record.view for record in dataset.records] == ["AP", "PA", "LATERAL", "LL", "AP"]
    assert [record.split for record in dataset.records] == [*["train"] * 4, "validation"]
    assert dataset.records[0].attributes == {"sex": "F", "age": "68"}
    assert "sex" not in dataset.records[3].attributes  # Unknown
    assert dataset.has_patients
    assert not any("patient" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("uncertain", "expected"), [("ignore", "unknown"), ("positive", "1"), ("negative", "0")]
)
def test_uncertain_counts_as_asked(chexpert: Path, uncertain: Uncertain, expected: str) -> None:
    dataset = read_chexpert(chexpert, uncertain=uncertain)
    assert column(dataset, "Edema") == ["unknown", expected, expected, "1", "0"]
    assert np.array_equal(dataset.known, ~np.isnan(dataset.labels))


def test_blank_is_unknown_or_no(chexpert: Path) -> None:
    assert column(read_chexpert(chexpert), "Fracture") == ["unknown"] * 3 + ["0", "unknown"]
    assert column(read_chexpert(chexpert, blank="negative"), "Fracture") == ["0"] * 5


def test_no_finding_is_never_left_open(chexpert: Path) -> None:
    assert column(read_chexpert(chexpert), "No Finding") == ["1", "0", "0", "0", "0"]


def test_problems_are_kept_and_name_no_patient(chexpert: Path) -> None:
    problems = read_chexpert(chexpert).problems
    assert [(p.source, p.row, p.error) for p in problems] == [
        ("train.csv", 6, "UnreadableFileError"),
        ("train.csv", 7, "RowError"),
    ]
    assert not any("patient00003" in str(problem) + repr(problem) for problem in problems)


@pytest.mark.parametrize("name", ["CheXpert-v1.0-small", "CheXpert-v1.0", "somewhere else"])
def test_folder_may_be_called_anything(chexpert: Path, tmp_path: Path, name: str) -> None:
    """The paths of the table say CheXpert-v1.0-small, whatever the folder is called."""
    moved = chexpert.rename(tmp_path / name)
    assert len(read_chexpert(moved)) == 5


def test_folder_above_will_do(chexpert: Path) -> None:
    assert len(read_chexpert(chexpert.parent)) == 5


@pytest.mark.parametrize("inside", [True, False])
def test_four_archives_of_the_full_size(chexpert: Path, tmp_path: Path, inside: bool) -> None:
    root = tmp_path / "full"
    first = root / "CheXpert-v1.0 batch 1 (validate & csv)"
    shutil.copytree(chexpert / "valid", first / "valid")
    for name in ("train.csv", "valid.csv"):
        text = (chexpert / name).read_text().replace("CheXpert-v1.0-small/", "CheXpert-v1.0/")
        (first / name).write_text(text)
    for number, patient in ((2, "patient00001"), (3, "patient00002")):
        batch = root / f"CheXpert-v1.0 batch {number} (train {number - 1})"
        shutil.copytree(chexpert / "train" / patient, batch / patient)
    assert len(read_chexpert(first if inside else root)) == 5


def test_test_table_without_sex_and_age(
    chexpert: Path, picture: Callable[..., Path], write_csv: Callable[..., Path]
) -> None:
    names = read_chexpert(chexpert).label_names
    name = "test/patient64741/study1/view1_lateral.jpg"
    write_csv(chexpert / "test.csv", ["Path", *names], [name, *["0"] * 14])
    picture(chexpert / name, 9)
    record = read_chexpert(chexpert).records[-1]
    assert (record.split, record.view, record.attributes) == ("test", "LATERAL", {})
    assert record.labels == (0.0,) * 14


def test_another_train_csv_is_not_chexpert(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("Path,Pneumonia\na.png,1\n")
    with pytest.raises(LayoutError, match="CheXpert"):
        read_chexpert(tmp_path)


def test_unknown_policy_is_refused(chexpert: Path) -> None:
    with pytest.raises(LabelError, match="ignore, positive, negative"):
        read_chexpert(chexpert, uncertain=cast(Any, "ones"))
