"""Any layout is recognised, and the dataset says which."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast, get_args

import pytest

from deepfixcx.datasets import LAYOUTS, load_dataset
from deepfixcx.datasets.loading import Layout
from deepfixcx.errors import DatasetError, LayoutError

FIXTURES = {
    "chexpert": "chexpert",
    "nih": "nih",
    "mimic": "mimic-cxr-jpg",
    "kimeye": "kimeye",
    "mobileodt": "mobileodt",
}


@pytest.mark.parametrize("fixture", FIXTURES)
def test_layout_is_recognised(fixture: str, request: pytest.FixtureRequest) -> None:
    root = request.getfixturevalue(fixture)
    dataset = load_dataset(root)
    assert dataset.name == FIXTURES[fixture]
    assert f"recognised as {dataset.name}" in dataset.notes[0]


@pytest.mark.parametrize("fixture", FIXTURES)
@pytest.mark.parametrize("name", LAYOUTS)
def test_layout_that_is_asked_for_is_tried(
    fixture: str, name: Layout, request: pytest.FixtureRequest
) -> None:
    """It reads the dataset or says that there is no such layout; a folder can be read as one."""
    root = request.getfixturevalue(fixture)
    try:
        dataset = load_dataset(root, name)
    except LayoutError:
        assert name != FIXTURES[fixture]
    else:
        assert dataset.name == name
        assert name in (FIXTURES[fixture], "folder")
        assert not any("recognised" in note for note in dataset.notes)


def test_every_layout_has_a_test() -> None:
    assert set(FIXTURES.values()) | {"table", "folder"} == set(get_args(Layout))


def test_table_and_folder_are_recognised(kimeye: Path) -> None:
    (kimeye / "normal_control").rename(kimeye / "healthy")
    assert load_dataset(kimeye).name == "folder"
    (kimeye / "about.csv").write_text("key,value\nyear,2018\n")
    assert load_dataset(kimeye).name == "folder"
    (kimeye / "list.csv").write_text("file,sick\nhealthy/1.png,0\nearly_glaucoma/1.png,1\n")
    assert load_dataset(kimeye).name == "table"
    assert load_dataset(kimeye / "list.csv").name == "table"
    (kimeye / "other.csv").write_text("file,sick\nhealthy/1.png,0\n")
    with pytest.raises(LayoutError, match="2 tables"):
        load_dataset(kimeye)
    (kimeye / "manifest.csv").write_text("file,sick\nhealthy/2.png,0\n")
    assert [record.path.name for record in load_dataset(kimeye).records] == ["2.png"]


def test_nothing_to_recognise(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="no file or folder"):
        load_dataset(tmp_path / "nowhere")
    with pytest.raises(LayoutError, match="no layout that is known"):
        load_dataset(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(LayoutError, match="0 folders with images"):
        load_dataset(tmp_path)
    with pytest.raises(LayoutError, match="one of chexpert"):
        load_dataset(tmp_path, cast(Any, "imagenet"))


def test_labels_and_policies_are_passed_on(chexpert: Path) -> None:
    dataset = load_dataset(chexpert, labels="edema", uncertain="positive", blank="negative")
    assert dataset.counts() == {"edema": (3, 2, 0)}


@pytest.mark.parametrize("policy", [{"uncertain": "ignore"}, {"blank": "negative"}])
def test_policy_without_a_meaning_is_refused(kimeye: Path, policy: dict[str, str]) -> None:
    with pytest.raises(DatasetError, match="never uncertain or blank"):
        load_dataset(kimeye, **cast(Any, policy))
