"""A second delivery goes into a release, and no earlier image changes its number."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from deepfixcx import CodecSpec
from deepfixcx.errors import ReleaseError, ReleaseStoppedError
from deepfixcx.release import (
    ReleaseOptions,
    Summary,
    privatize_dataset,
    read_status,
    run,
    verify_release,
    withdraw,
)
from tests.release.conftest import contents, rows, write_gray

OPTIONS = ReleaseOptions(CodecSpec(1, 2))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a release of 20 images and a second delivery."""
    folder = tmp_path_factory.mktemp("additions")
    for number in range(20):
        write_gray(folder / "in" / "ab"[number % 2] / f"{number}.png", 12, 10, number)
        write_gray(folder / "next" / "c" / f"{number}.png", 12, 10, 18 + number)  # two are known
    privatize_dataset(folder / "in", folder / "out", OPTIONS)
    return folder


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """Return a copy of that folder, and work in this process."""
    return Path(shutil.copytree(made, tmp_path / "home"))


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in this process, which spares the start of another one."""
    monkeypatch.setattr(run, "choose_run", lambda *_, **__: run._run_here)


def add(home: Path, where: str = "next", **options: bool) -> Summary:
    return privatize_dataset(
        home / where,
        home / "out",
        OPTIONS,
        **({"add": True} | options),  # type: ignore[arg-type]
    )


def test_new_images_follow_and_every_earlier_file_stays(home: Path) -> None:
    before, seal = contents(home / "out"), verify_release(home / "out").checksum
    summary = add(home)
    after = contents(home / "out")
    results = {name: sha for name, sha in before.items() if name.startswith(("images/", "codes/"))}
    assert len(results) == 20 + 2
    assert results.items() <= after.items()
    assert summary.totals["images"] == 38
    assert [row["source_id"] for row in rows(home / "out/manifest.csv")] == [
        f"{number:06d}" for number in range(1, 39)
    ]
    assert verify_release(home / "out").sound
    about = json.loads((home / "out/dataset.json").read_text())
    assert about["history"] == [{"change": "addition", "checksum": seal}]
    sizes = [each.stat().st_size for each in (home / "in").rglob("*.png")]
    sizes += [each.stat().st_size for each in (home / "next").rglob("*.png")]
    known = sum((home / "next/c" / f"{number}.png").stat().st_size for number in (0, 1))
    assert about["totals"]["source_file_bytes"] == sum(sizes) - known
    assert read_status(home / "out").state == "finished"


def test_the_private_table_names_the_sources_of_both_deliveries(home: Path) -> None:
    add(home)
    table = rows(home / "out.private/sources.csv")
    assert sum(bool(row["source_id"]) for row in table) == 38
    left_out = [row for row in table if not row["source_id"]]
    assert {row["source"] for row in left_out} == {"c/0.png", "c/1.png"}
    assert all("same bytes" in row["reason"] for row in left_out)


def test_adding_again_changes_nothing(home: Path) -> None:
    add(home)
    before = contents(home / "out")
    assert add(home).progress.images == 0
    assert add(home, "in").progress.images == 0
    assert contents(home / "out") == before


def test_folders_of_a_second_delivery_have_numbers_of_their_own(home: Path) -> None:
    add(home)
    folders = {each.name for each in (home / "out/images").iterdir()}
    assert folders == {"folder-0001", "folder-0002", "folder-0003"}


def test_an_interrupted_addition_goes_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Path(shutil.copytree(home, home.with_name("whole")))
    add(whole)

    def stop(*_: object) -> None:
        raise ReleaseStoppedError("the power failed")

    with monkeypatch.context() as patch:
        patch.setattr(run, "write_manifest", stop)
        with pytest.raises(ReleaseStoppedError, match="power"):
            add(home)
    assert read_status(home / "out").state == "stopped"
    with pytest.raises(ReleaseError, match="other inputs"):
        add(home, "in")
    add(home, resume=True)
    same = contents(whole / "out")
    assert contents(home / "out") == same


def test_an_addition_goes_on_where_inputs_are_gone(home: Path) -> None:
    add(home)
    before = contents(home / "out")
    (home / "next" / "c" / "9.png").unlink()
    with pytest.raises(ReleaseError, match="other inputs"):
        add(home, "in", resume=True)
    again = add(home, resume=True)
    assert (len(again.gone), again.new, again.progress.files_done) == (1, 0, 0)
    assert contents(home / "out") == before


def test_each_delivery_can_be_repaired(home: Path) -> None:
    add(home)
    before = contents(home / "out")
    for folder, where, options in (("0001", "in", {"add": False}), ("0003", "next", {})):
        next((home / f"out/images/folder-{folder}").glob("*.png")).unlink()
        add(home, where, resume=True, **options)
        assert contents(home / "out") == before


def test_a_withdrawn_image_is_not_added_again_and_its_number_stays_free(home: Path) -> None:
    withdraw(home / "out", images=["000020", "a/2.png"])
    add(home, "in")
    assert len(rows(home / "out/manifest.csv")) == 18
    add(home)
    ids = [row["source_id"] for row in rows(home / "out/manifest.csv")]
    assert "000020" not in ids
    assert ids[-1] == "000038"
    assert verify_release(home / "out").sound


def test_an_addition_needs_a_release(tmp_path: Path) -> None:
    write_gray(tmp_path / "in" / "0.png", 12, 10, 0)
    with pytest.raises(ReleaseError, match="--add requires"):
        privatize_dataset(tmp_path / "in", tmp_path / "out", OPTIONS, add=True)


def test_an_addition_has_the_options_of_the_release(home: Path) -> None:
    other = ReleaseOptions(CodecSpec(1, 3))
    with pytest.raises(ReleaseError, match="other spec"):
        privatize_dataset(home / "next", home / "out", other, add=True)
