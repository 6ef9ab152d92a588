"""MIMIC-CXR-JPG: labels of studies, two text miners, gzipped tables."""

from __future__ import annotations

import gzip
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from deepfixcx.datasets import MIMIC_NEGBIO, PUBLISHED, read_published
from deepfixcx.errors import LayoutError

read_mimic = partial(read_published, PUBLISHED["mimic-cxr-jpg"])


def test_reads_records(mimic: Path) -> None:
    dataset = read_mimic(mimic)
    assert dataset.patients.tolist() == [*["10000032"] * 3, "10000764"]
    assert [record.study for record in dataset.records[1:3]] == ["50414267", "53189527"]
    assert [record.view for record in dataset.records] == ["PA", "LATERAL", None, "AP"]
    assert [record.split for record in dataset.records] == [*["train"] * 3, "validation"]
    assert dataset.records[0].path.parent == mimic / "files/p10/p10000032/s50414267"


def test_images_of_a_study_share_its_labels(mimic: Path) -> None:
    dataset = read_mimic(mimic, "edema,pneumonia,no_finding")
    assert np.array_equal(dataset.known[:2], [[False, True, True]] * 2)
    assert np.array_equal(dataset.labels[:2, 1:], [[0, 0]] * 2)
    assert dataset.labels[3, 2] == 1


def test_study_without_labels_is_unknown(mimic: Path) -> None:
    dataset = read_mimic(mimic, blank="ignore")
    assert not dataset.known[2].any()
    assert any("1 image belongs to studies without labels" in note for note in dataset.notes)


def test_other_text_miner(mimic: Path) -> None:
    assert read_mimic(mimic, "edema").known[:2].sum() == 0
    assert read_published(MIMIC_NEGBIO, mimic, "edema").labels[:2].tolist() == [[1], [1]]
    assert read_mimic(mimic, "edema", uncertain="positive").labels[:2].tolist() == [[1], [1]]


def test_path_that_leads_elsewhere_is_refused(mimic: Path) -> None:
    (problem,) = read_mimic(mimic).problems
    assert (problem.row, problem.error) == (6, "RowError")
    assert "dicom_id" in problem.reason
    assert ".." not in problem.reason


def test_plain_tables_without_metadata(mimic: Path) -> None:
    table = mimic / "mimic-cxr-2.0.0-split.csv.gz"
    table.with_suffix("").write_bytes(gzip.decompress(table.read_bytes()))
    table.unlink()
    (mimic / "mimic-cxr-2.0.0-metadata.csv.gz").unlink()
    dataset = read_mimic(mimic)
    assert len(dataset) == 4
    assert {record.view for record in dataset.records} == {None}


def test_without_official_split(mimic: Path) -> None:
    (mimic / "mimic-cxr-2.0.0-split.csv.gz").unlink()
    dataset = read_mimic(mimic)
    assert {record.split for record in dataset.records} == {None}
    assert any("no official split" in note for note in dataset.notes)


def test_damaged_table_says_so(mimic: Path) -> None:
    table = mimic / "mimic-cxr-2.0.0-metadata.csv.gz"
    table.write_bytes(table.read_bytes()[:-20])
    with pytest.raises(LayoutError, match="not a readable table"):
        read_mimic(mimic)


def test_missing_tables_are_named(mimic: Path) -> None:
    (mimic / "mimic-cxr-2.0.0-negbio.csv").unlink()
    with pytest.raises(LayoutError, match="negbio"):
        read_published(MIMIC_NEGBIO, mimic)
