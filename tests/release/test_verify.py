"""A recipient's look at a release, and its maker's look at one that runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from deepfixcx import CodecSpec
from deepfixcx.errors import ReleaseError
from deepfixcx.io.release_files import is_leaf
from deepfixcx.release import (
    ReleaseOptions,
    private_folder,
    privatize_dataset,
    read_status,
    verify_release,
)
from deepfixcx.release.claim import claimed
from deepfixcx.release.ledger import Ledger
from deepfixcx.release.places import LocalPlace
from tests.release.conftest import contents

OPTIONS = ReleaseOptions(CodecSpec(level=2, patches=3))


@pytest.fixture
def received(bad_images: Path, tmp_path: Path) -> Path:
    """A release without its private folder."""
    privatize_dataset(bad_images, tmp_path / "out", OPTIONS)
    shutil.rmtree(private_folder(tmp_path / "out"))
    return tmp_path / "out"


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_whole_release_is_sound(received: Path) -> None:
    calls: list[tuple[int, int]] = []
    found = verify_release(received, workers=3, report=lambda *call: calls.append(call))
    assert found.sound
    # 24 images, gray and colour codes of two shards and a table of each, both manifests,
    # failures.csv, README.md, croissant.json and dcat.jsonld
    assert found.files == found.files_sound == calls[-1][0] == calls[-1][1] == 24 + 2 * 4 + 6
    named = [path for path in received.rglob("*.*") if path.name != "dataset.json"]
    assert found.bytes_read == sum(path.stat().st_size for path in named)


def test_every_damage_is_named(received: Path) -> None:
    images = sorted((received / "images").rglob("*.png"))
    codes = next((received / "codes").iterdir())
    images[0].unlink()
    flip(images[1])
    flip(codes)
    codes.with_name("more.safetensors").write_bytes(b"x")
    (received / ".hidden").write_bytes(b"x")
    found = verify_release(received)
    assert not found.sound
    assert found.missing == [images[0].relative_to(received).as_posix()]
    assert set(found.changed) == {
        images[1].relative_to(received).as_posix(),
        codes.relative_to(received).as_posix(),
    }
    assert found.unlisted == [".hidden", "codes/more.safetensors"]
    assert set(found.counts) == {"image_file_bytes"}
    assert found.files_sound == found.files - 3


@pytest.mark.parametrize("paper", ["manifest.csv", "failures.csv"])
def test_changed_metadata_is_detected(received: Path, paper: str) -> None:
    lines = (received / paper).read_text().splitlines(keepends=True)
    (received / paper).write_text("".join(lines[:-1]))
    assert paper in verify_release(received).changed


def test_lost_rows_of_the_manifest_are_counted(received: Path) -> None:
    lines = (received / "manifest.csv").read_text().splitlines(keepends=True)
    done = next(line for line in lines[1:] if ",done," in line)
    (received / "manifest.csv").write_text("".join(line for line in lines if line != done))
    counts = verify_release(received).counts
    assert (counts["files"], counts["images"]) == ((32, 31), (24, 23))


def test_manifest_cannot_lead_out_of_the_release(received: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"x")
    text = (received / "manifest.csv").read_text()
    first = next(line for line in text.splitlines() if ",done," in line).split(",")[3]
    (received / "manifest.csv").write_text(text.replace(first, "../secret.png", 1))
    assert verify_release(received).missing == ["../secret.png"]


def test_checksum_is_the_same_for_the_same_release(bad_images: Path, received: Path) -> None:
    """Two releases of the same images differ in their random ids, and so in their seals."""
    other = received.with_name("other")
    privatize_dataset(bad_images, other, OPTIONS, workers=2)
    checksum = verify_release(other).checksum
    assert checksum != verify_release(received).checksum
    assert contents(other) == contents(received)
    (other / "dataset.json").unlink()
    privatize_dataset(bad_images, other, OPTIONS, resume=True)
    assert verify_release(other).checksum == checksum
    flip(bad_images / "ward-1" / "image1.png")
    privatize_dataset(bad_images, other, OPTIONS, overwrite=True)
    assert verify_release(other).checksum != checksum


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda out: (out / "dataset.json").unlink(), "not finished"),
        (lambda out: (out / "dataset.json").write_text("{}"), "damaged"),
        (lambda out: (out / "manifest.csv").write_text("a,b\n1,2\n"), "damaged"),
        (lambda out: (out / "manifest.csv").unlink(), "missing"),
    ],
)
def test_unreadable_metadata_is_an_error(
    received: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(received)
    with pytest.raises(ReleaseError, match=message):
        verify_release(received)


def test_status_follows_the_ledger(bad_images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ReleaseError, match="not a release"):
        read_status(out)
    privatize_dataset(bad_images, out, OPTIONS, again="deepfixcx privatize --resume")
    status = read_status(out)
    assert (status.state, status.again) == ("finished", "deepfixcx privatize --resume")
    assert (status.files, status.files_done, status.files_failed) == (32, 24, 8)
    assert (status.shards, status.shards_done, status.attempts) == (2, 2, 2)
    with Ledger(private_folder(out) / "ledger.sqlite") as ledger:
        ledger.reopen(1)
        ledger.died("000017", "", 2)
        ledger.died("000018", "", 1)
    status = read_status(out)
    assert (status.state, status.shards_done) == ("stopped", 1)
    assert status.files_done + status.files_failed == 16
    assert (status.quarantined, status.quarantined_ids) == (1, ("000017",))
    with claimed(LocalPlace(out), private_folder(out), resume=True, overwrite=False):
        assert read_status(out).state == "running"


def test_status_names_no_file_that_is_called_as_its_source(images: Path, tmp_path: Path) -> None:
    options = ReleaseOptions(OPTIONS.spec, names="keep")
    privatize_dataset(images, tmp_path / "out", options)
    with Ledger(private_folder(tmp_path / "out") / "ledger.sqlite") as ledger:
        ledger.died("ward-1/image1.png", "", 2)
    status = read_status(tmp_path / "out")
    assert (status.quarantined, status.quarantined_ids) == (1, ())


def test_status_of_a_damaged_ledger_says_so(images: Path, tmp_path: Path) -> None:
    private = privatize_dataset(images, tmp_path / "out", OPTIONS).private
    (private / "ledger.sqlite").write_bytes(b"no database" * 500)
    with pytest.raises(ReleaseError, match="damaged"):
        read_status(tmp_path / "out")


def test_dataset_names_the_hash_of_each_paper(received: Path) -> None:
    papers = json.loads((received / "dataset.json").read_text())["papers"]
    assert {name for name in papers if not is_leaf(name)} == {"manifest.csv", "failures.csv"}
