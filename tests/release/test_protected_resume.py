"""Releases by a mechanism that are stopped, resumed, or made again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deepfixcx.errors import MechanismError, ReleaseError, ReleaseStoppedError
from deepfixcx.release import (
    ReleaseOptions,
    load_records,
    manifest,
    privatize_dataset,
    privatize_protected,
    read_status,
    verify_release,
)
from deepfixcx.release.protected import gathering
from deepfixcx.release.protected import run as protected_run
from deepfixcx.spec import CodecSpec
from tests.release.conftest import contents
from tests.release.phantoms import OPTIONS, PRIVATE_TABLES, Maker, read_dataset, write_dataset

pytestmark = pytest.mark.usefixtures("in_this_process")


def stop(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("when", ["gather", "apply_mechanism", "_write", "write_release"])
def test_stopped_anywhere_it_ends_with_the_same_bytes(
    make: Maker, when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("projection,resampling", tmp_path / "whole", seed=3)
    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        where: Any = gathering.PassOne if when == "gather" else protected_run
        patched.setattr(where, when, stop)
        with pytest.raises(KeyboardInterrupt):
            make("projection,resampling", out, seed=3)
    assert read_status(out).state == "stopped"
    make("projection,resampling", out, seed=3, resume=True)
    assert contents(out) == contents(tmp_path / "whole")


def test_a_resume_of_what_is_finished_changes_no_byte(make: Maker, tmp_path: Path) -> None:
    make("projection,resampling", tmp_path / "out")
    before = contents(tmp_path / "out")
    make("projection,resampling", tmp_path / "out", resume=True)
    assert contents(tmp_path / "out") == before
    make("projection,resampling", tmp_path / "out", overwrite=True)
    assert contents(tmp_path / "out") != before


def test_a_full_disk_leaves_no_metadata(
    make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr(manifest, "as_json", full)
        with pytest.raises(ReleaseStoppedError, match="No space left"):
            make("mixing", out)
    assert not (out / "dataset.json").exists()
    assert not (out / "labels.csv").exists()
    make("mixing", out, resume=True)
    assert verify_release(out).sound


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"mechanism": "mixing-4"}, "mechanism"),
        ({"seed": 5}, "seed"),
        ({"options": ReleaseOptions(CodecSpec(level=1, patches=2), output="codes")}, "spec"),
    ],
)
def test_a_resume_with_something_else_is_refused(
    make: Maker, change: dict[str, Any], named: str, tmp_path: Path
) -> None:
    make("mixing-3", tmp_path / "out")
    before = contents(tmp_path)
    mechanism = change.pop("mechanism", "mixing-3")
    with pytest.raises(ReleaseError, match=f"started with other {named}"):
        make(mechanism, tmp_path / "out", resume=True, **change)
    assert contents(tmp_path) == before


def test_draws_are_for_one_set_of_images_only(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "in")
    dataset, out = read_dataset(root), tmp_path / "out"
    path = dataset.records[0].path
    Image.fromarray(np.asarray(Image.open(path))).save(path, compress_level=0)
    privatize_protected(dataset, out, OPTIONS, "mixing-3")
    before = contents(out)
    size = path.stat().st_size
    Image.fromarray(np.asarray(Image.open(path))[::-1]).save(path, compress_level=0)
    assert path.stat().st_size == size
    with pytest.raises(ReleaseError, match="images changed"):
        privatize_protected(dataset, out, OPTIONS, "mixing-3", resume=True)
    assert contents(out) == before


def test_patients_are_mixed_once_for_one_private_folder(tmp_path: Path) -> None:
    """Two releases that differ by one patient give back that patient's code as a difference."""
    root = write_dataset(tmp_path / "in")
    dataset, out = read_dataset(root), tmp_path / "out"
    privatize_protected(dataset, out, OPTIONS, "mixing-3")
    before = contents(tmp_path)
    for fewer in (dataset, dataset.select(range(2, 60)), dataset.select(range(50, 60))):
        with pytest.raises(MechanismError, match="of the same patients or files"):
            privatize_protected(fewer, out, OPTIONS, "mixing-3", overwrite=True)
        with pytest.raises(MechanismError, match="of the same patients or files"):
            privatize_protected(
                fewer, tmp_path / "two", OPTIONS, "bands,mixing-5",
                private=tmp_path / "out.private", overwrite=True,
            )  # fmt: skip
    assert contents(tmp_path) == before  # the earlier release was not removed
    privatize_protected(dataset, out, OPTIONS, "mixing-3", resume=True)
    others = read_dataset(write_dataset(tmp_path / "others", first=500))
    privatize_protected(others, out, OPTIONS, "mixing-3", overwrite=True)
    with pytest.raises(MechanismError, match="of the same patients or files"):
        privatize_protected(dataset, out, OPTIONS, "mixing-3", overwrite=True)
    renamed = read_dataset(write_dataset(tmp_path / "renamed", first=900))
    shutil.copy(dataset.records[3].path, renamed.records[7].path)
    with pytest.raises(MechanismError, match="holds 1 of the same patients or files"):
        privatize_protected(renamed, out, OPTIONS, "mixing-3", overwrite=True)
    (tmp_path / "out.private" / "mixed.json").write_text("{}")
    with pytest.raises(ReleaseError, match="restore it from a backup"):
        privatize_protected(dataset, out, OPTIONS, "mixing-3", overwrite=True)


def test_releases_of_both_kinds_replace_each_other(make: Maker, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ordinary = privatize_dataset(make.root / "in", out, OPTIONS)
    with pytest.raises(ReleaseError, match="other mechanisms"):
        make("mixing", out, resume=True)
    with pytest.raises(ReleaseError, match="is not empty"):
        make("mixing", out)
    make("projection", out, overwrite=True)
    assert not (ordinary.private / "ledger.sqlite").exists()
    with pytest.raises(ReleaseError, match="other mechanisms"):
        privatize_dataset(make.root / "in", out, OPTIONS, resume=True)
    (out / "notes.txt").write_text("of the owner")
    again = privatize_dataset(make.root / "in", out, OPTIONS, overwrite=True)
    described = {"README.md", "croissant.json", "data", "dcat.jsonld", "manifest.parquet"}
    assert {path.name for path in out.iterdir()} == described | {
        "codes", "dataset.json", "manifest.csv", "notes.txt"
    }  # fmt: skip
    assert not PRIVATE_TABLES & {path.name for path in again.private.iterdir()}
    assert read_status(out).state == "finished"


def test_a_release_may_lie_in_a_store(make: Maker, tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    store, private = f"memory://protected{tmp_path}/out", tmp_path / "private"
    for mechanism in ("projection", "mixing"):
        make(mechanism, store, private=private, overwrite=True)
        assert verify_release(store).sound
        assert read_status(store, private).state == "finished"
        assert len(load_records(store)) == len(make.images)
