"""Matrices of features with patients: each kind of file, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray

from deepfixcx.datasets import FeatureMatrix, read_features
from deepfixcx.errors import LabelError, LayoutError

FEATURES: NDArray[np.float32] = (np.arange(12).reshape(4, 3) / 7).astype(np.float32)
PATIENTS = ["p1", "p1", "p2", "p3"]
SICK = [1, 0, float("nan"), 1]


def write(folder: Path, kind: str) -> Path:
    path = folder / f"features{kind}"
    if kind == ".npz":
        np.savez(path, x=FEATURES, patient_id=PATIENTS, sick=SICK, view=["AP", "PA", "AP", ""])
    elif kind == ".safetensors":
        metadata = {"patient_id": json.dumps(PATIENTS), "view": json.dumps(["AP", "PA", "AP", ""])}
        arrays: dict[str, NDArray[np.float32]] = {"x": FEATURES, "sick": np.array(SICK, np.float32)}
        safetensors.numpy.save_file(arrays, path, metadata)
    else:
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        columns = {"patient_id": PATIENTS, "sick": SICK, "view": ["AP", "PA", "AP", None]}
        columns |= {f"x{number}": FEATURES[:, number] for number in range(3)}
        parquet.write_table(pyarrow.table(columns), path)
    return path


@pytest.mark.parametrize("kind", [".npz", ".safetensors", ".parquet"])
def test_every_kind_of_file_holds_the_same(tmp_path: Path, kind: str) -> None:
    matrix = read_features(write(tmp_path, kind))
    assert np.array_equal(matrix.array, FEATURES)
    dataset = matrix.dataset
    assert dataset.patients.tolist() == PATIENTS
    assert dataset.label_names == ("sick",)
    assert np.array_equal(dataset.labels[:, 0], np.array(SICK, np.float32), equal_nan=True)
    assert [record.view for record in dataset.records] == ["AP", "PA", "AP", None]
    frontal = read_features(tmp_path / f"features{kind}", "view=AP").dataset.labels[:, 0]
    assert frontal[:3].tolist() == [1, 0, 1]


def test_a_column_of_lists_in_parquet_is_the_features(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"subject": [7, 7, 8, 9], "e": FEATURES.tolist(), "age": [1.5, 2, 3, 4]})
    parquet.write_table(table, tmp_path / "a.parquet")
    matrix = read_features(tmp_path / "a.parquet")
    assert np.array_equal(matrix.array, FEATURES)
    assert matrix.dataset.patients.tolist() == ["7", "7", "8", "9"]
    assert matrix.dataset.records[0].attributes == {"age": "1.5"}


def test_whole_numbers_name_patients_without_a_decimal_point(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=FEATURES, who=np.array([1.0, 1.0, 2.0, 3.0]))
    matrix = read_features(tmp_path / "a.npz", patient="who")
    assert matrix.dataset.patients.tolist() == ["1", "1", "2", "3"]


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"x": FEATURES}, "no column of patient IDs"),
        ({"x": FEATURES, "patient": PATIENTS[:3]}, "3 values of 'patient'"),
        ({"x": FEATURES, "y": FEATURES, "patient": PATIENTS}, "holds 2 matrices"),
        ({"patient": PATIENTS}, "holds 0 matrices"),
        ({"x": FEATURES * np.nan, "patient": PATIENTS}, "NaN or infinity"),
        ({"x": FEATURES, "patient": np.array(PATIENTS, object)}, "Python objects"),
    ],
)
def test_what_is_no_matrix_of_features_is_named(
    tmp_path: Path, arrays: dict[str, object], reason: str
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(LayoutError, match=reason):
        read_features(tmp_path / "a.npz")


@pytest.mark.parametrize("kind", [".npz", ".safetensors", ".parquet", ".csv"])
def test_damaged_files_and_other_kinds_are_refused(tmp_path: Path, kind: str) -> None:
    if kind == ".parquet":
        pytest.importorskip("pyarrow")
    (tmp_path / f"a{kind}").write_bytes(b"PK\x03\x04 not what the name says")
    with pytest.raises(LayoutError, match=r"damaged|not a file of features"):
        read_features(tmp_path / f"a{kind}")


def test_labels_that_are_not_there_are_named() -> None:
    with pytest.raises(LabelError, match="no label 'ill'"):
        FeatureMatrix.of(FEATURES, PATIENTS, {"sick": SICK}, labels="ill")
