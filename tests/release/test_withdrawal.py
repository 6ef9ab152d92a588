"""A patient is withdrawn from a release, at the steward and at recipients."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
import pytest

from deepfixcx import CodecSpec
from deepfixcx.deidentify import load_key
from deepfixcx.errors import ReleaseError
from deepfixcx.release import (
    DeidentifyOptions,
    ReleaseOptions,
    apply_withdrawal,
    load_codes,
    privatize_dataset,
    read_status,
    verify_release,
    withdraw,
)
from tests.release.conftest import contents, rows, write_gray

SPEC = CodecSpec(1, 2)
GONE = ("b/1.png", "d/0.png")


def table_of(folder: Path, patients: dict[str, str]) -> Path:
    table = folder / "patients.csv"
    lines = "".join(f"{name},{patient}\n" for name, patient in patients.items())
    table.write_text(f"file,patient\n{lines}")
    return table


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with 40 inputs, one of them damaged, and a release of images and codes."""
    folder = tmp_path_factory.mktemp("withdrawal")
    for number in range(40):
        write_gray(folder / "in" / "abcd"[number % 4] / f"{number // 4}.png", 12, 10, number)
    (folder / "in" / "d" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    patients = {str(each.relative_to(folder / "in")): each.stem for each in folder.rglob("*.png")}
    table_of(folder, patients | dict.fromkeys(GONE, "MRN-77"))
    privatize_dataset(folder / "in", folder / "out", ReleaseOptions(SPEC, output="both"))
    return folder


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """Return a copy of that folder."""
    return Path(shutil.copytree(made, tmp_path / "home"))


def ids_of(home: Path, names: tuple[str, ...] = GONE) -> list[str]:
    sources = {row["source"]: row["source_id"] for row in rows(home / "out.private/sources.csv")}
    return sorted(sources[name] for name in names)


def withdrawn(home: Path) -> Path:
    """Withdraw the patient and return the notice."""
    done = withdraw(home / "out", patient="MRN-77", table=home / "patients.csv")
    assert done.notice_path is not None
    return done.notice_path


def test_every_other_image_keeps_its_id_and_its_values(home: Path) -> None:
    before, ids = load_codes(home / "out")
    kept = dict(zip(ids, before.array, strict=True))
    files_before, gone = contents(home / "out"), ids_of(home)
    withdrawn(home)
    after, ids_after = load_codes(home / "out")
    assert set(ids) - set(ids_after) == set(gone) & set(ids)
    assert all(
        np.array_equal(kept[name], row) for name, row in zip(ids_after, after.array, strict=False)
    )
    images = {name: sha for name, sha in contents(home / "out").items() if "images/" in name}
    assert images.items() <= files_before.items()
    assert verify_release(home / "out").sound
    assert read_status(home / "out").state == "finished"


def test_no_trace_of_the_patient_stays_in_release_and_private_folder(home: Path) -> None:
    sources = {row["source"]: row for row in rows(home / "out.private/sources.csv")}
    gone = ids_of(home)
    codes, ids = load_codes(home / "out")
    traces = [codes.array[place].tobytes() for place, name in enumerate(ids) if name in gone]
    traces += [b"b/1.png", b"d/0.png", b"MRN-77"]
    traces += [name.encode() for name in gone]
    assert len(traces) == 6
    assert set(GONE) <= set(sources)
    before = {each: each.read_bytes() for each in everything(home)}
    for trace in traces[:-2]:
        assert trace == b"MRN-77" or any(trace in content for content in before.values())
    withdrawn(home)
    for path in everything(home):
        assert not [trace for trace in traces if trace in path.read_bytes()], path.name
        assert not any(name in str(path) for name in gone)


def everything(home: Path) -> list[Path]:
    folders = (home / "out", home / "out.private")
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def test_a_recipient_has_the_bytes_of_the_steward(home: Path) -> None:
    shutil.copytree(home / "out", home / "copy")
    notice = withdrawn(home)
    assert b"MRN" not in notice.read_bytes()
    assert b"png" not in notice.read_bytes()
    done = apply_withdrawal(notice, home / "copy")
    assert contents(home / "copy") == contents(home / "out")
    assert done.notice.after == verify_release(home / "copy").checksum
    assert apply_withdrawal(notice, home / "copy").images == 0


def test_dataset_json_lists_the_earlier_checksums(home: Path) -> None:
    checksums = [verify_release(home / "out").checksum]
    withdraw(home / "out", images=["a/2.png"])
    checksums.append(verify_release(home / "out").checksum)
    withdraw(home / "out", images=[ids_of(home)[0]])
    history = json.loads((home / "out/dataset.json").read_text())["history"]
    assert history == [{"change": "withdrawal", "checksum": each} for each in checksums]


def test_a_copy_in_another_state_is_left_as_it_is(home: Path) -> None:
    shutil.copytree(home / "out", home / "copy")
    withdraw(home / "out", images=["a/2.png"], notice=home / "first.json")
    withdraw(home / "out", images=["a/3.png"], notice=home / "second.json")
    before = contents(home / "copy")
    with pytest.raises(ReleaseError, match="apply earlier notices first"):
        apply_withdrawal(home / "second.json", home / "copy")
    assert contents(home / "copy") == before
    apply_withdrawal(home / "first.json", home / "copy")
    apply_withdrawal(home / "second.json", home / "copy")
    assert contents(home / "copy") == contents(home / "out")


def test_a_copy_that_would_differ_from_the_sender_is_left_as_it_is(home: Path) -> None:
    shutil.copytree(home / "out", home / "copy")
    notice = withdrawn(home)
    forged = json.loads(notice.read_text()) | {"source_ids": ids_of_copy(home)}
    notice.write_text(json.dumps(forged))
    before = contents(home / "copy")
    with pytest.raises(ReleaseError, match="would differ"):
        apply_withdrawal(notice, home / "copy")
    assert contents(home / "copy") == before


def ids_of_copy(home: Path) -> list[str]:
    return [rows(home / "copy/manifest.csv")[0]["source_id"]]


def test_a_changed_release_is_refused(home: Path) -> None:
    name = rows(home / "out/manifest.csv")[0]["code_file"]
    path = home / "out" / name
    path.write_bytes(path.read_bytes() + b" ")
    image = rows(home / "out/manifest.csv")[0]["source_id"]
    with pytest.raises(ReleaseError, match="changed after"):
        withdraw(home / "out", images=[image])
    assert not (home / "out.private/withdrawal.json").exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "nothing to withdraw"),
        ({"patient": "nobody"}, "no image of this patient"),
        ({"images": ["no/such.png"]}, "has no image"),
    ],
)
def test_what_is_not_there_is_refused(home: Path, options: dict[str, object], reason: str) -> None:
    with pytest.raises(ReleaseError, match=reason):
        withdraw(home / "out", **options)  # type: ignore[arg-type]


def test_an_interrupted_release_is_not_resumed_over_a_withdrawal(home: Path) -> None:
    (home / "out.private/withdrawal.json").write_text("{}")
    with pytest.raises(ReleaseError, match="unfinished"):
        privatize_dataset(home / "in", home / "out", ReleaseOptions(SPEC), resume=True)
    assert read_status(home / "out").state == "withdrawing"
    assert not verify_release(home / "out").sound


def test_a_resumed_release_does_not_bring_a_patient_back(home: Path) -> None:
    withdrawn(home)
    before = contents(home / "out")
    (home / "out" / rows(home / "out/manifest.csv")[0]["image_file"]).unlink()
    privatize_dataset(home / "in", home / "out", ReleaseOptions(SPEC), resume=True)
    assert contents(home / "out") == before


# -- killed at any moment ---------------------------------------------------------------------


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Run work in a process that ends without a word at its nth change of a file; say if it did."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    left = [step]

    def counting(change: Callable[..., object]) -> Callable[..., object]:
        def instead(*args: object, **options: object) -> object:
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)
            return change(*args, **options)

        return instead

    try:
        for name in ("replace", "link", "fsync", "write"):
            setattr(os, name, counting(getattr(os, name)))
        Path.unlink = counting(Path.unlink)  # type: ignore[assignment,method-assign]
        work()
        os._exit(0)
    except BaseException:
        os._exit(1)


@pytest.mark.slow
def test_a_withdrawal_that_is_killed_at_any_moment_is_completed_by_the_same_command(
    home: Path, tmp_path: Path
) -> None:
    shutil.copytree(home, tmp_path / "whole")
    shutil.copytree(home / "out", tmp_path / "whole" / "copy")
    notice = withdrawn(tmp_path / "whole")
    apply_withdrawal(notice, tmp_path / "whole" / "copy")
    wanted, step, killed = contents(tmp_path / "whole" / "out"), 0, True
    while killed:
        place = Path(shutil.copytree(home, tmp_path / f"home{step}"))
        shutil.copytree(home / "out", place / "copy")
        killed = killed_at(step, partial(withdrawn, place))
        assert (
            not killed
            or not (place / "out.private/withdrawal.json").exists()
            or (read_status(place / "out").state == "withdrawing")
        )
        again = withdrawn(place) if not is_done(place) else next(place.glob("out.with*.json"))
        assert contents(place / "out") == wanted
        assert read_status(place / "out").state == "finished"
        assert not [*(place / "out").rglob("*.part"), *(place / "out.private").rglob("*.part")]
        killed_at(step, partial(apply_withdrawal, again, place / "copy"))
        apply_withdrawal(again, place / "copy")
        assert contents(place / "copy") == wanted
        step += 1
        shutil.rmtree(place)
    assert step > 20


def is_done(place: Path) -> bool:
    """Return whether nothing is left to do, as the patient is gone and no journal is there."""
    journal = place / "out.private/withdrawal.json"
    return not journal.exists() and bool(list(place.glob("out.with*.json")))


# -- other outputs ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["dicom", "deidentified"])
def test_a_patient_of_dicom_files_is_found_by_the_key(kind: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(4):
        dataset = pydicom.examples.ct
        dataset.PatientID = f"MRN-{number // 2}"
        dataset.SOPInstanceUID = f"1.2.3.{number}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(tmp_path / "in" / f"{number}.dcm")
    options: ReleaseOptions = DeidentifyOptions()
    if kind == "dicom":
        options = ReleaseOptions(SPEC, output="dicom")
    out, table = tmp_path / "out", tmp_path / "pseudonyms.csv"
    privatize_dataset(tmp_path / "in", out, options, pseudonyms=table)
    shutil.copytree(out, tmp_path / "copy")
    name = load_key(tmp_path / "out.private/deidentify.key").pseudonym(("id", "", "MRN-1"))
    assert name in table.read_text()
    done = withdraw(out, patient="MRN-1", pseudonyms=table)
    assert done.images == 2
    assert verify_release(out).sound
    stays = [path for path in everything_of(tmp_path) if name.encode() in path.read_bytes()]
    assert not stays
    assert "MRN-0" in table.read_text()
    assert "MRN-1" not in table.read_text()
    assert done.notice_path is not None
    apply_withdrawal(done.notice_path, tmp_path / "copy")
    assert contents(tmp_path / "copy") == contents(out)


def everything_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and "in" not in path.parts[-2:]
            and "copy" not in path.parts]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float16", "uint8"])
def test_stored_values_of_rounded_codes_stay(dtype: str, home: Path, tmp_path: Path) -> None:
    options = ReleaseOptions(SPEC, output="codes", dtype=dtype)  # type: ignore[arg-type]
    privatize_dataset(home / "in", tmp_path / "out", options)
    before, ids = load_codes(tmp_path / "out")
    withdraw(tmp_path / "out", images=["b/1.png"])
    after, left = load_codes(tmp_path / "out")
    assert np.array_equal(after.array, before.array[[ids.index(name) for name in left]])
    assert verify_release(tmp_path / "out").sound


def test_a_file_of_codes_without_images_is_removed(tmp_path: Path) -> None:
    for number in range(17):  # the second shard has one
        write_gray(tmp_path / "in" / f"{number}.png", 12, 10, number)
    privatize_dataset(tmp_path / "in", tmp_path / "out", ReleaseOptions(SPEC, output="codes"))
    withdraw(tmp_path / "out", images=["000017"])
    assert len(list((tmp_path / "out/codes").iterdir())) == 1
    assert verify_release(tmp_path / "out").sound
    with pytest.raises(ReleaseError, match="no image would stay"):
        withdraw(tmp_path / "out", images=[f"{number:06d}" for number in range(1, 17)])
