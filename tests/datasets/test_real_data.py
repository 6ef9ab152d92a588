"""The manifests of real images: counts as their README states, and splits of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deepfixcx.datasets import (
    find_duplicates,
    folds_by_patient,
    load_dataset,
    official_split,
    split_by_patient,
)


@pytest.mark.parametrize(
    ("folder", "images", "patients", "labels", "counts"),
    [
        ("cxr_nih", 601, 410, "pneumonia,no_finding", [(303, 298, 0), (298, 303, 0)]),
        ("cxr_kermany", 957, 782, "pneumonia,kind=normal", [(637, 320, 0), (320, 637, 0)]),
        ("fundus_dr", 300, 150, "any_dr,dr_class=1", [(160, 138, 2), (138, 162, 0)]),
    ],
)
def test_counts(
    data_folder: Path,
    folder: str,
    images: int,
    patients: int,
    labels: str,
    counts: list[tuple[int, int, int]],
) -> None:
    dataset = load_dataset(data_folder / folder, labels=labels)
    assert (len(dataset), dataset.patient_count) == (images, patients)
    assert list(dataset.counts().values()) == counts
    assert dataset.has_patients
    assert dataset.problems == ()


def test_labels_and_attributes_of_the_x_rays(data_folder: Path) -> None:
    dataset = load_dataset(data_folder / "cxr_nih")
    assert len(dataset.label_names) == 15
    assert {record.view for record in dataset.records} == {"AP", "PA"}
    assert {record.attributes["sex"] for record in dataset.records} == {"F", "M"}
    again = dataset.with_labels({"effusion again": "findings=Effusion"})
    effusion = dataset.labels[:, dataset.label_names.index("effusion")]
    assert np.array_equal(again.labels[:, 0], effusion)


@pytest.mark.parametrize("folder", ["cxr_nih", "cxr_kermany", "fundus_dr"])
def test_splits(data_folder: Path, folder: str) -> None:
    dataset = load_dataset(data_folder / folder)
    dataset = dataset.with_labels(dataset.label_names[:1])
    share = np.nanmean(dataset.labels)
    for split in (split_by_patient(dataset), *folds_by_patient(dataset)):
        train, test = set(dataset.patients[split.train]), set(dataset.patients[split.test])
        assert not train & test
        assert len(split.test) == pytest.approx(len(dataset) / 5, abs=2)
        assert np.nanmean(dataset.labels[split.test]) == pytest.approx(share, abs=0.02)


def test_split_that_comes_with_a_set_may_share_patients(data_folder: Path) -> None:
    dataset = load_dataset(data_folder / "cxr_kermany", labels="pneumonia")
    split = official_split(dataset)
    assert not set(dataset.patients[split.development]) & set(dataset.patients[split.test])
    assert any("left out" in note for note in split.notes)


def test_no_file_is_there_twice(data_folder: Path) -> None:
    assert find_duplicates(load_dataset(data_folder / "cxr_nih")) == ()
