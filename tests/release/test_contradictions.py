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
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors import safe_open
from safetensors.numpy import save_file

from deepfixcx import CodecSpec
from deepfixcx.errors import ReleaseError
from deepfixcx.mechanisms.independent import INDEPENDENT
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
    return extracted(tmp_path, "both")


def edit(release: Path, change: Callable[[dict[str, Any]], object]) -> None:
    about = json.loads((release / "dataset.json").read_text())
    change(about)
    (release / "dataset.json").write_text(json.dumps(about))


def forge(release: Path, change: Callable[[list[dict[str, str]]], object]) -> None:
    """Change the manifest, and put its new checksum into dataset.json."""
    path = release / "manifest.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    change(rows)
    columns = list(rows[0])
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
        (lambda about: about["options"]["spec"].update(level=1), "codec"),
        (lambda about: about["options"]["spec"].update(patches=4), "codec"),
        (lambda about: about["options"].update(output="codes"), "do not match the output"),
        (lambda about: about["options"].update(size="original"), "size"),
        (lambda about: about["options"].update(dtype="uint8"), "dtype of codes"),
        (lambda about: about["options"].update(noise="noise ε=0.1 m=16"), "the noise that"),
        (lambda about: about["totals"].update(kept_values=7), "kept_values"),
        (lambda about: about["totals"].update(source_values=7), "source_values"),
        (
            lambda about: about["totals"].update(patients=500),
            "unknown entry in totals: patients",
        ),
        (
            lambda about: about.update(limits="This release is anonymous."),
            "the limits in dataset.json differ",
        ),
        (lambda about: about["papers"].pop("manifest.csv"), "checksum of manifest.csv"),
        (lambda about: about["options"].pop("spec"), "invalid values"),
        (
            lambda about: about["options"].update(retain=["dates"]),
            "states retained header elements",
        ),
        (lambda about: about["options"].update(patient="Doe"), "unknown entry in options"),
        (lambda about: about.update(patients=["Doe Jane"]), "unknown entry: patients"),
        (lambda about: about.update(records=["Doe Jane"]), "not a valid description"),
        (lambda about: about["software"].update(numpy="Doe Jane"), "invalid versions"),
        (lambda about: about["papers"].update({"a.txt": "0"}), "unknown entry in papers: a.txt"),
        (
            lambda about: about["mechanisms"].append({"mechanism": "mixing", "guarantee": "x"}),
            "the mechanisms that dataset.json describes",
        ),
        (
            lambda about: (
                about["options"].update(mechanisms=["quantization"]),
                about.update(mechanisms=[INDEPENDENT["quantization"].to_manifest()]),
            ),
            "codes were not changed by the mechanism quantization",
        ),
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
    assert release_checksum(received) == found.checksum != before


def swap(rows: list[dict[str, str]], *names: str) -> None:
    done = [row for row in rows if row["status"] == "done" and row["channels"] == "1"]
    for name in names:
        done[0][name], done[1][name] = done[1][name], done[0][name]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rows: swap(rows, "image_file", "image_sha256"), "differs from its source"),
        (lambda rows: swap(rows, "code_row"), "does not match its code"),
        (lambda rows: rows.append(dict(rows[0])), "duplicate row"),
        (lambda rows: swap(rows, "source_id"), "differs from its source"),
        (lambda rows: rows[0].update(frame="3"), "not numbered from 0"),
        (lambda rows: [row.update(bits="16") for row in rows], "size or depth of an image differs"),
        (lambda rows: [row.update(spec="J=9 P=1 haar l1") for row in rows], "codec"),
        (lambda rows: [row.update(error="") for row in rows], "failed row"),
        (lambda rows: [row.update(reason="x") for row in rows], "failures.csv does not list"),
        (lambda rows: [row.update(height="640") for row in rows], "a file of codes differ"),
        (lambda rows: [row.update(patient="Doe") for row in rows], "other words than pseudonyms"),
        (lambda rows: [row.update(doe="1") for row in rows], "unknown column: doe"),
        (lambda rows: rows[0].update(masked="3"), "counts painted regions"),
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


def test_names_of_sources_are_not_called_numbers(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    privatize_dataset(images, out, ReleaseOptions(CodecSpec(level=2, patches=3), names="keep"))
    edit(out, lambda about: about["options"].update(names="neutral"))
    assert any("neutral names" in each for each in verify_release(out).contradictions)


def test_a_guarantee_is_that_of_the_mechanism(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ReleaseOptions(CodecSpec(level=2, patches=3), mechanisms=("quantization",))
    privatize_dataset(images, out, options)
    assert verify_release(out).sound
    edit(out, lambda about: about["mechanisms"][0].update(guarantee="Records are anonymous."))
    assert any("the mechanisms that" in each for each in verify_release(out).contradictions)


@pytest.mark.parametrize("where", ["images", "codes"])
def test_texts_beside_pixels_and_codes_are_named(received: Path, where: str) -> None:
    path = min(each for each in (received / where).rglob("*") if each.is_file())
    before = sha256(path)
    if where == "images":
        with Image.open(path) as image:
            text = PngInfo()
            text.add_text("patient", "Doe Jane")
            image.save(path, pnginfo=text)
    else:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() | {"patient": "Doe Jane"}
            tensors = {name: file.get_tensor(name) for name in ("array", "sizes")}
        save_file(tensors, path, metadata)

    def rehash(rows: list[dict[str, str]]) -> None:
        for row in rows:
            name = f"{where[:-1]}_sha256"
            row[name] = row[name].replace(before, sha256(path))

    forge(received, rehash)
    found = verify_release(received)
    assert not found.changed
    assert any("holds data other than" in each for each in found.contradictions)


def extracted(tmp_path: Path, name: str) -> Path:
    with zipfile.ZipFile(OLD) as archive:
        archive.extractall(tmp_path)
    return tmp_path / name


def test_noise_that_was_not_added_is_not_believed(tmp_path: Path) -> None:
    plain, noisy = extracted(tmp_path, "both"), tmp_path / "noise"
    about = json.loads((noisy / "dataset.json").read_text())

    def claim(other: dict[str, Any]) -> None:
        other["options"]["noise"] = about["options"]["noise"]
        other["mechanisms"] = about["mechanisms"]

    edit(plain, claim)
    assert any("vary less than the noise" in each for each in verify_release(plain).contradictions)
    edit(noisy, lambda other: other["options"].update(noise="noise ε=0.001 m=16"))
    edit(noisy, lambda other: [each.update(epsilon=0.001) for each in other["mechanisms"]])
    assert any("the noise that" in each for each in verify_release(noisy).contradictions)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rows: rows.reverse(), "do not fit together"),
        (lambda rows: rows[0].update(source_id="Doe"), "do not fit together"),
        (lambda rows: rows[0].update({list(rows[0])[1]: "7"}), "values other than"),
        (lambda rows: [row.update({list(row)[1]: "0"}) for row in rows], "fewer patients"),
    ],
)
def test_forged_labels_contradict_the_records(
    tmp_path: Path, change: Callable[[list[dict[str, str]]], object], sentence: str
) -> None:
    release = extracted(tmp_path, "mixing")
    edit(release, lambda about: about["records"].update(min_patients=2, min_patients_positive=2))
    assert verify_release(release).sound
    with (release / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    change(rows)
    with (release / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    content = sha256(release / "labels.csv")
    edit(release, lambda about: about["papers"].update({"labels.csv": content}))
    found = verify_release(release)
    assert any(sentence in each for each in found.contradictions), found.contradictions


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda about: about["options"].update(labels=["ill"]), "other labels"),
        (lambda about: about["options"].update(mechanisms=["resampling"]), "in the options"),
        (lambda about: about["records"].update(min_patients=500), "fewer patients"),
        (lambda about: about["records"].update(images=5000), "number of images"),
        (lambda about: about["records"].update(patients=5), "unknown entry in records"),
        (lambda about: about["mechanisms"][0].update(k=50), "mechanisms that dataset.json"),
    ],
)
def test_edited_statements_on_records_are_contradicted(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], sentence: str
) -> None:
    release = extracted(tmp_path, "mixing")
    edit(release, change)
    found = verify_release(release)
    assert any(sentence in each for each in found.contradictions), found.contradictions
