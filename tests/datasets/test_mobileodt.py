"""Intel & MobileODT: bad files, corrections, and photographs that are there twice."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from deepfixcx.datasets import (
    PUBLISHED,
    ImageRecord,
    official_split,
    read_published,
    split_by_patient,
)
from deepfixcx.errors import LayoutError

read_mobileodt = partial(read_published, PUBLISHED["mobileodt"])


def found(root: Path) -> dict[str, ImageRecord]:
    return {
        record.path.relative_to(root).as_posix(): record for record in read_mobileodt(root).records
    }


def test_reads_parts_and_types(mobileodt: Path) -> None:
    records = found(mobileodt)
    assert {name: record.split for name, record in records.items()} == {
        "train/train/Type_1/0.jpg": "train",
        "train/train/Type_2/1.jpg": "train",
        "train/train/Type_3/2.jpg": "train",
        "additional_Type_1_v2/Type_1/3.jpg": "additional",
        "additional_Type_1_v2/Type_1/9.jpg": "additional",
        "additional_Type_2_v2/Type_2/4.jpg": "additional",
        "test/test/0.jpg": "test",
        "test/test/1.jpg": "test",
        "test/test/2.jpg": "test",
        "test_stg2/0.jpg": "test_stg2",
    }
    assert records["train/train/Type_2/1.jpg"].labels == (0, 1, 0)
    assert records["test/test/0.jpg"].labels == (0, 1, 0)
    assert not any(records["test_stg2/0.jpg"].known)
    assert not any(records["test/test/1.jpg"].known)  # two types in the solution


def test_empty_and_truncated_files_are_problems(mobileodt: Path) -> None:
    problems = {p.path.name: p.error for p in read_mobileodt(mobileodt).problems if p.path}
    assert problems["5893.jpg"] == "EmptyFileError"
    assert problems["3068.jpg"] == "DamagedImageError"
    assert not any("3068" in str(p) + repr(p) for p in read_mobileodt(mobileodt).problems)


def test_corrections_are_of_the_additional_part(mobileodt: Path) -> None:
    records = found(mobileodt)
    assert records["additional_Type_2_v2/Type_2/4.jpg"].labels == (0, 0, 1)
    assert records["train/train/Type_2/1.jpg"].labels == (0, 1, 0)
    assert "additional_Type_2_v2/Type_2/5.jpg" not in records
    withdrawn = [p for p in read_mobileodt(mobileodt).problems if "withdrawn" in p.reason]
    assert len(withdrawn) == 1


def test_copies_are_found_by_content(mobileodt: Path) -> None:
    dataset = read_mobileodt(mobileodt)
    assert any(
        "2 photographs have copies, 2 of them in several parts, 1 under" in note
        for note in dataset.notes
    )
    records = found(mobileodt)
    assert records["test/test/2.jpg"].labels == (1, 0, 0)
    for name in ("train/train/Type_3/2.jpg", "additional_Type_1_v2/Type_1/9.jpg"):
        assert not any(records[name].known)
        assert np.isnan(records[name].labels).all()


def test_says_that_there_are_no_patients(mobileodt: Path) -> None:
    assert any("no patient ids" in note for note in read_mobileodt(mobileodt).notes)


def test_copies_are_kept_together_if_asked(mobileodt: Path) -> None:
    dataset = read_mobileodt(mobileodt)
    names = [record.path.relative_to(mobileodt).as_posix() for record in dataset.records]
    one, two = names.index("train/train/Type_1/0.jpg"), names.index("test/test/2.jpg")
    apart = 0
    for seed in range(10):
        split = split_by_patient(dataset, seed=seed, by_content=True)
        parts = [set(part) for part in (split.train, split.validation, split.test)]
        assert sum({one, two} <= part for part in parts) == 1
        split = split_by_patient(dataset, seed=seed)
        parts = [set(part) for part in (split.train, split.validation, split.test)]
        apart += sum({one, two} <= part for part in parts) == 0
    assert apart


def test_official_split_gives_up_copies_in_training(mobileodt: Path) -> None:
    dataset = read_mobileodt(mobileodt)
    split = official_split(dataset, validation=0, by_content=True)
    names = {dataset.records[place].path.relative_to(mobileodt).as_posix() for place in split.train}
    assert "train/train/Type_1/0.jpg" not in names
    assert "additional_Type_2_v2/Type_2/4.jpg" in names
    assert len(split.test) == 3
    plain = official_split(dataset, validation=0)
    assert len(plain.train) > len(split.train)


def test_flat_folders(mobileodt: Path) -> None:
    for part in ("train", "test"):
        shutil.move(mobileodt / part / part, mobileodt / "flat")
        (mobileodt / part).rmdir()
        (mobileodt / "flat").rename(mobileodt / part)
    shutil.move(mobileodt / "additional_Type_2_v2", mobileodt / "additional")
    records = found(mobileodt)
    assert len(records) == 10
    assert records["test/0.jpg"].labels == (0, 1, 0)
    assert records["additional/Type_2/4.jpg"].split == "additional"


def test_another_folder_is_not_mobileodt(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(LayoutError, match="Type_1"):
        read_mobileodt(tmp_path)
