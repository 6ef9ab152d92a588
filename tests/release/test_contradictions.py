"""Edited releases: what can be computed again is, and the rest is in the checksum alone."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepfixcx import CodecSpec
from deepfixcx.errors import ReleaseError
from deepfixcx.release import (
    ReleaseOptions,
    privatize_dataset,
    release_checksum,
    verify_release,
)

OLD = Path(__file__).parent / "fixtures" / "releases-0.1.0.zip"


@pytest.fixture
def received(tmp_path: Path) -> Path:
    """A release with images, codes and a failure."""
    with zipfile.ZipFile(OLD) as archive:
        archive.extractall(tmp_path)
    return tmp_path / "both"


def edit(release: Path, change: Callable[[dict[str, Any]], object]) -> None:
    about = json.loads((release / "dataset.json").read_text())
    change(about)
    (release / "dataset.json").write_text(json.dumps(about))


def forge(release: Path, change: Callable[[list[dict[str, str]]], object]) -> None:
    """Change the manifest, and put its new checksum into dataset.json."""
    path = release / "manifest.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = list(rows[0])
    change(rows)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    edit(release, lambda about: about["papers"].update({"manifest.csv": content}))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_releases_of_version_0_1_are_sound(tmp_path: Path) -> None:
    with zipfile.ZipFile(OLD) as archive:
        archive.extractall(tmp_path)
    releases = sorted(tmp_path.iterdir())
    assert len(releases) == 6
    for release in releases:
        found = verify_release(release)
        assert found.sound, (release.name, found)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda about: about["options"]["spec"].update(level=1), "another codec"),
        (lambda about: about["options"]["spec"].update(patches=4), "another codec"),
        (lambda about: about["options"].update(output="codes"), "lacks a file of the output"),
        (lambda about: about["options"].update(size="original"), "another size"),
        (lambda about: about["options"].update(dtype="uint8"), "dtype of codes"),
        (lambda about: about["options"].update(noise="noise ε=0.1 m=16"), "mechanisms"),
        (lambda about: about["totals"].update(kept_values=7), "kept_values"),
        (lambda about: about["totals"].update(source_values=7), "source_values"),
        (lambda about: about["totals"].update(patients=500), "total of its own"),
        (lambda about: about.update(limits="This release is anonymous."), "other limits"),
        (lambda about: about["papers"].pop("manifest.csv"), "checksum of manifest.csv"),
        (lambda about: about["options"].pop("spec"), "no release has"),
    ],
)
def test_edited_statements_contradict_the_files(
    received: Path, change: Callable[[dict[str, Any]], object], sentence: str
) -> None:
    before = release_checksum(received)
    edit(received, change)
    found = verify_release(received)
    assert not found.sound
    assert any(sentence in each for each in found.contradictions), found.contradictions
    assert release_checksum(received) == found.seal != before


def swap(rows: list[dict[str, str]], *names: str) -> None:
    done = [row for row in rows if row["status"] == "done" and row["channels"] == "1"]
    for name in names:
        done[0][name], done[1][name] = done[1][name], done[0][name]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rows: swap(rows, "image_file", "image_sha256"), "not named as its source"),
        (lambda rows: swap(rows, "code_row"), "not the one of its code"),
        (lambda rows: rows.append(dict(rows[0])), "row twice"),
        (lambda rows: swap(rows, "source_id"), "not named as its source"),
        (lambda rows: rows[0].update(frame="3"), "not numbered from 0"),
        (lambda rows: [row.update(bits="16") for row in rows], "another size or depth"),
        (lambda rows: [row.update(spec="J=9 P=1 haar l1") for row in rows], "another codec"),
        (lambda rows: [row.update(error="") for row in rows], "failed row"),
        (lambda rows: [row.update(reason="x") for row in rows], "failures.csv does not list"),
        (lambda rows: [row.update(height="640") for row in rows], "other rows, sizes or numbers"),
    ],
)
def test_a_forged_manifest_contradicts_the_files(
    received: Path, change: Callable[[list[dict[str, str]]], object], sentence: str
) -> None:
    forge(received, change)
    found = verify_release(received)
    assert not found.changed
    assert any(sentence in each for each in found.contradictions), found.contradictions


def test_shards_cannot_be_swapped(received: Path) -> None:
    first, second = sorted((received / "codes").iterdir())
    assert second.read_bytes() != first.read_bytes()
    shutil.move(first, received / "waiting")
    shutil.move(second, first)
    shutil.move(received / "waiting", second)
    assert len(verify_release(received).changed) == 2

    def rehash(rows: list[dict[str, str]]) -> None:
        for row in rows:
            if row["code_file"]:
                row["code_sha256"] = sha256(received / row["code_file"])

    forge(received, rehash)
    found = verify_release(received)
    assert not found.changed
    assert found.contradictions


def test_planted_files_links_and_empty_folders_are_named(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    privatize_dataset(images, out, ReleaseOptions(CodecSpec(level=2, patches=3)))
    assert verify_release(out).sound
    (out / "failures.csv").write_text("source_id,error,reason\n000001,Doe Jane,x\n")
    (out / "images" / "DOE^JANE").mkdir()
    (out / "codes" / "link").symlink_to(images)
    (out / "file-link.png").symlink_to(images)
    os.mkfifo(out / "pipe")
    found = verify_release(out)
    assert "failures.csv" in found.unlisted
    assert found.links == ["codes/link", "file-link.png", "pipe"]
    assert found.empty == ["images/DOE^JANE"]
    assert not found.sound


def test_a_listed_file_that_is_a_pipe_is_missing(received: Path) -> None:
    image = next((received / "images").rglob("*.png"))
    image.unlink()
    os.mkfifo(image)
    assert verify_release(received).missing == [image.relative_to(received).as_posix()]


def test_a_checksum_needs_a_finished_release(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="not finished"):
        release_checksum(tmp_path)
