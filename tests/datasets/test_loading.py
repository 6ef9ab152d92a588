"""Any layout is recognised, and the dataset says which."""

from __future__ import annotations

from collections.abc import Callable
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
    with pytest.raises(LayoutError, match="no known layout"):
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


def test_release_holds_no_labels(kimeye: Path) -> None:
    """Its manifest has a column of files and one of answers, yet it is no table of labels."""
    (kimeye / "manifest.csv").write_text("image_file,kept\nnormal_control/1.png,1\n")
    for about in ("[]", "not json", '{"format": "another"}'):
        (kimeye / "dataset.json").write_text(about)
        assert load_dataset(kimeye).name != "folder"
    (kimeye / "dataset.json").write_text('{"format": "deepfixcx.release"}')
    for where in (kimeye, kimeye / "manifest.csv"):
        for layout in (None, "table"):
            with pytest.raises(LayoutError, match="is a release without labels"):
                load_dataset(where, cast(Any, layout))
    (kimeye / "labels.csv").write_text("file,sick\nnormal_control/1.png,0\n")
    with pytest.raises(LayoutError, match="of records, not of images"):
        load_dataset(kimeye)
    assert load_dataset(kimeye / "labels.csv").label_names == ("sick",)


@pytest.mark.parametrize("sign", ["manifest.csv", "dataset.json"])
def test_folder_of_datasets_is_no_folder_of_classes(
    sign: str, tmp_path: Path, picture: Callable[..., Path]
) -> None:
    for number, name in enumerate(("one", "two")):
        picture(tmp_path / name / "0.png", number)
    assert load_dataset(tmp_path).label_names == ("one", "two")
    (tmp_path / "two" / sign).write_text("{}")
    with pytest.raises(LayoutError, match="holds several datasets"):
        load_dataset(tmp_path)
    assert load_dataset(tmp_path, "folder").label_names == ("one", "two")
    (tmp_path / "list.csv").write_text("file,sick\none/0.png,1\n")
    assert load_dataset(tmp_path).name == "table"


def test_urls(kimeye: Path) -> None:
    for url in ("s3://me:secret@bucket/x", "simplecache::s3://secret/x", "https://secret/x"):
        for where in (url, Path(url)):
            with pytest.raises(LayoutError, match="cannot be read from a URL") as reported:
                load_dataset(where)
            assert "secret" not in str(reported.value)
    for where in (f"file://{kimeye}", Path(f"file://{kimeye}"), f"FILE://{kimeye}"):
        assert load_dataset(where).root == kimeye


def test_folder_that_is_called_like_a_url(
    tmp_path: Path, picture: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "s3:" / "scans" / "sick" / "0.png")
    assert load_dataset("s3:/scans").label_names == ("sick",)
