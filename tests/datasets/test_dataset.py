"""The dataset itself: arrays, selections, labels, and what its text form keeps to itself."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike

from deepfixcx.datasets import Dataset, ImageRecord, Problem, find_duplicates
from deepfixcx.datasets.labels import read_state
from deepfixcx.errors import LabelError

NAN = float("nan")


@pytest.fixture
def dataset() -> Dataset:
    rows = [(1.0, NAN), (0.0, 1.0), (NAN, NAN)]
    records = tuple(
        ImageRecord(
            Path(f"/root/secret{number}.png"),
            None if number == 2 else "Jane",
            labels=labels,
            known=(labels[0] == labels[0], labels[1] == labels[1]),
            attributes={"name": "Jane", "stage": "ab"[number % 2]},
        )
        for number, labels in enumerate(rows)
    )
    problem = Problem("t.csv", 2, "RowError", "the row names no file", Path("/root/Jane.png"))
    return Dataset("table", ("A b", "c"), records, Path("/root"), ("note",), (problem,))


def test_arrays(dataset: Dataset) -> None:
    assert dataset.labels.dtype == np.float32
    assert np.array_equal(dataset.labels, [[1.0, NAN], [0.0, 1.0], [NAN, NAN]], equal_nan=True)
    assert np.array_equal(dataset.known, ~np.isnan(dataset.labels))
    assert dataset.patients.tolist() == ["Jane", "Jane", "file:secret2.png"]
    assert dataset.counts() == {"A b": (1, 1, 1), "c": (1, 0, 2)}
    with pytest.raises(ValueError, match="read-only"):
        dataset.labels[0, 0] = 0


def test_text_names_no_patient(dataset: Dataset) -> None:
    texts = [repr(dataset), dataset.summary(), *map(repr, dataset.records)]
    texts += [*map(repr, dataset.problems), *map(str, dataset.problems)]
    assert not any("Jane" in text or "secret" in text for text in texts)
    assert "left out: 1 (RowError)" in dataset.summary()


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ([2, 0], [2, 0]),
        ([True, False, True], [0, 2]),
        (np.array([0, 2]), [0, 2]),
        (np.zeros(3, bool), []),
        ([], []),
        ([-1], [2]),
    ],
)
def test_select(dataset: Dataset, which: ArrayLike, expected: list[int]) -> None:
    chosen = dataset.select(which)
    assert [record.path for record in chosen.records] == [
        dataset.records[place].path for place in expected
    ]
    assert chosen.labels.shape == (len(expected), 2)
    assert chosen.notes == dataset.notes
    assert chosen.problems == dataset.problems


def test_select_outside(dataset: Dataset) -> None:
    with pytest.raises(IndexError):
        dataset.select([3])
    with pytest.raises(IndexError):
        dataset.select([True])


def test_labels_are_found_whatever_their_case(dataset: Dataset) -> None:
    chosen = dataset.with_labels("C, a_b")
    assert chosen.label_names == ("C", "a_b")
    assert np.array_equal(chosen.labels, dataset.labels[:, ::-1], equal_nan=True)


def test_labels_of_attributes(dataset: Dataset) -> None:
    assert dataset.with_labels("stage=A").labels[:, 0].tolist() == [1, 0, 1]
    with pytest.raises(LabelError, match=r"available labels: A b, c, name=\.\.\., stage=\.\.\."):
        dataset.with_labels("d")


def test_error_does_not_list_values(dataset: Dataset) -> None:
    with pytest.raises(LabelError) as caught:
        dataset.with_labels("name=Joan")
    assert "jane" not in str(caught.value).lower()


def test_travels_to_other_processes(dataset: Dataset) -> None:
    again = pickle.loads(pickle.dumps(dataset))
    assert again.summary() == dataset.summary()
    assert again.patients.tolist() == dataset.patients.tolist()


@pytest.mark.parametrize(
    ("state", "cells"),
    [
        ("yes", "1 1.0 yes Yes TRUE t positive"),
        ("no", "0 0.0 -0 no False negative N"),
        ("uncertain", "-1 -1.0 uncertain"),
        ("blank", "ungraded nan NA ?"),
        (None, "2 0.5 -2 inf 1e3"),
    ],
)
def test_cells(state: str | None, cells: str) -> None:
    assert {read_state(f" {cell} ") for cell in cells.split()} == {state}


def test_attribute_that_answers_yes_and_no(dataset: Dataset) -> None:
    """Other words are unknown and reported; categories are refused."""
    smokers = replace(
        dataset,
        records=tuple(
            replace(record, attributes={"Smoker": word})
            for record, word in zip(dataset.records, ("yes", "no", "formerly"), strict=True)
        ),
    ).with_labels("smoker")
    assert smokers.counts() == {"smoker": (1, 1, 1)}
    assert any("'smoker': 1 cells are neither" in note for note in smokers.notes)
    with pytest.raises(LabelError, match="write stage=VALUE"):
        dataset.with_labels("stage")


def test_files_that_vanish_are_no_copies(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text("same")
    records = tuple(ImageRecord(tmp_path / name) for name in "abc")
    dataset = Dataset("table", (), records, tmp_path)
    assert find_duplicates(dataset) == ((0, 1, 2),)
    (tmp_path / "b").unlink()
    assert find_duplicates(dataset) == ((0, 2),)
