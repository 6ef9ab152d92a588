"""Class folders, and which files count as images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deepfixcx.datasets import read_folder
from deepfixcx.errors import LayoutError


@pytest.fixture
def classes(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    root = tmp_path / "root"
    for seed, name in enumerate(("normal/1.png", "normal/deep/2.JPG", "virus/1.png", "bact/1.png")):
        picture(root / name.replace(".JPG", ".jpg"), seed)
    (root / "normal" / "deep" / "2.jpg").rename(root / "normal" / "deep" / "2.JPG")
    (root / "normal" / "notes.txt").write_text("no image")
    (root / "normal" / ".hidden.png").write_text("no image")
    return root


def test_folders_are_labels(classes: Path) -> None:
    dataset = read_folder(classes)
    assert dataset.counts() == {"bact": (1, 3, 0), "normal": (2, 2, 0), "virus": (1, 3, 0)}
    assert "no patient ids" in dataset.notes[0]
    assert {record.split for record in dataset.records} == {None}


def test_classes_together(classes: Path) -> None:
    assert read_folder(classes, {"sick": "class=virus|bact"}).counts() == {"sick": (2, 2, 0)}


def test_split_above_the_classes(classes: Path, picture: Callable[..., Path]) -> None:
    above = classes.parent / "chest"
    for part, seed in (("train", 1), ("VAL", 2), ("test", 3)):
        picture(above / part / "NORMAL" / f"{seed}.png", seed)
        picture(above / part / "PNEUMONIA" / f"{seed}.png", 10 + seed)
    dataset = read_folder(above)
    assert dataset.label_names == ("NORMAL", "PNEUMONIA")
    assert sorted({str(r.split) for r in dataset.records}) == ["test", "train", "validation"]
    # one folder that is no part, and the parts are classes
    picture(above / "other" / "x.png", 9)
    assert "train" in read_folder(above).label_names


def test_loose_and_bad_files_are_reported(classes: Path) -> None:
    (classes / "loose.png").write_bytes(b"x")
    (classes / "virus" / "empty.png").touch()
    dataset = read_folder(classes)
    assert any("1 image lies outside" in note for note in dataset.notes)
    assert [problem.error for problem in dataset.problems] == ["EmptyFileError"]


def test_links_to_folders_are_followed_once(classes: Path) -> None:
    (classes / "virus" / "loop").symlink_to(classes, target_is_directory=True)
    other = classes.parent / "elsewhere"
    (classes / "bact").rename(other)
    (classes / "bact").symlink_to(other, target_is_directory=True)
    dataset = read_folder(classes)
    assert len({record.path.resolve() for record in dataset.records}) == len(dataset)
    assert any(record.attributes["class"] == "bact" for record in dataset.records)


def test_dicom_without_a_suffix_counts(classes: Path) -> None:
    (classes / "virus" / "IM0001").write_bytes(bytes(128) + b"DICM and more")
    (classes / "virus" / "README").write_bytes(b"words")
    assert read_folder(classes).counts()["virus"] == (2, 3, 0)


def test_folders_that_are_no_classes(tmp_path: Path) -> None:
    for number in range(65):
        (tmp_path / f"patient{number}").mkdir()
        (tmp_path / f"patient{number}" / "1.png").write_bytes(b"x")
    with pytest.raises(LayoutError, match="has 65 folders"):
        read_folder(tmp_path)
    with pytest.raises(LayoutError, match="has 0 folders"):
        read_folder(tmp_path / "patient0")
    with pytest.raises(LayoutError, match="has 0 folders"):
        read_folder(tmp_path / "nowhere")
