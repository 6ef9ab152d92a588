"""A release from end to end: what is written, what fails, what resumes."""

from __future__ import annotations

import csv
import hashlib
import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deepfixcx import Code, Codec, CodecSpec
from deepfixcx.errors import ReleaseError, ReleaseStoppedError, SpecError
from deepfixcx.io.folders import OwnFolder
from deepfixcx.mechanisms.independent import INDEPENDENT
from deepfixcx.release import (
    ReleaseOptions,
    Summary,
    load_codes,
    privatize_dataset,
    survey,
    surveying,
)
from deepfixcx.release import shard as shard_module
from deepfixcx.release.inputs import find_sources
from deepfixcx.release.places import LocalPlace
from deepfixcx.release.plan import ShardJob, make_plan
from tests.release.conftest import contents, rows, write_gray

SPEC = CodecSpec(level=2, patches=3)


def ignore(*_: object) -> None:
    """Record the result of a worker."""


def release(images: Path, out: Path, workers: int = 1, **options: object) -> Summary:
    running = {name: options.pop(name) for name in ("resume", "overwrite") if name in options}
    return privatize_dataset(
        images,
        out,
        ReleaseOptions(SPEC, **options),  # type: ignore[arg-type]
        workers=workers,
        **running,  # type: ignore[arg-type]
    )


def test_manifest_leads_to_images_and_codes_that_the_codec_makes(
    images: Path, tmp_path: Path
) -> None:
    summary = release(images, tmp_path / "out", output="both", names="keep")
    codec = Codec(SPEC)
    listed = rows(tmp_path / "out" / "manifest.csv")
    assert len(listed) == 24 == summary.totals["images"]
    for row in listed:
        with Image.open(images / row["source_id"]) as image:
            pixels = np.asarray(image)
        pixels = np.moveaxis(pixels, -1, 0) if pixels.ndim == 3 else pixels
        code = Code.load(tmp_path / "out" / row["code_file"])[int(row["code_row"])]
        assert code == codec.encode(pixels)
        with Image.open(tmp_path / "out" / row["image_file"]) as image:
            kept = np.asarray(image)
        wanted = np.rint(np.clip(codec.privatize(pixels), 0, 1) * 255)
        wanted = np.moveaxis(wanted, 0, -1) if wanted.ndim == 3 else wanted
        assert np.abs(kept.astype(float) - wanted).max() <= 1
        assert (row["height"], row["width"]) == tuple(map(str, pixels.shape[-2:]))
        for kind in ("image", "code"):
            data = (tmp_path / "out" / row[f"{kind}_file"]).read_bytes()
            assert row[f"{kind}_sha256"] == hashlib.sha256(data).hexdigest()
    assert {row["image_file"] for row in listed} >= {"images/ward-0/image0.png"}


@pytest.mark.parametrize("output", ["images", "codes", "both"])
def test_bytes_do_not_depend_on_the_number_of_workers(
    bad_images: Path, tmp_path: Path, output: str
) -> None:
    for workers in (1, 3):
        release(bad_images, tmp_path / f"out{workers}", workers, output=output, dtype="uint8")
    one = contents(tmp_path / "out1")
    assert one == contents(tmp_path / "out3")
    kinds = {name.partition("/")[0] for name in one}
    assert ("images" in kinds, "codes" in kinds) == (output != "codes", output != "images")


def test_every_bad_input_has_its_own_error_and_nothing_else_is_lost(
    bad_images: Path, tmp_path: Path, expected_failures: dict[str, str]
) -> None:
    summary = release(bad_images, tmp_path / "out")
    assert (summary.totals["files_done"], summary.totals["files_failed"]) == (24, 8)
    sources = rows(summary.private / "sources.csv")
    failed = {row["source"]: row["error"] for row in sources if row["status"] == "failed"}
    assert failed == expected_failures
    listed = {row["source_id"]: row for row in rows(tmp_path / "out" / "failures.csv")}
    for row in sources:
        if row["status"] == "failed":
            assert listed[row["source_id"]]["error"] == row["error"]
            assert len(listed[row["source_id"]]["reason"]) > 20
    assert {row["source"] for row in sources if row["status"] == "skipped"} == {
        "bad/.hidden.png",
        "bad/notes.txt",
        "bad/pipe.dat",
    }


def test_neutral_release_holds_no_source_name(bad_images: Path, tmp_path: Path) -> None:
    (bad_images / "ward-0").rename(bad_images / "CANARY^NAME")
    release(bad_images, tmp_path / "out", output="both")
    for path in (tmp_path / "out").rglob("*"):
        assert "CANARY" not in str(path)
        assert path.is_dir() or b"CANARY" not in path.read_bytes()


def test_private_folder_is_for_its_owner_alone(images: Path, tmp_path: Path) -> None:
    private = release(images, tmp_path / "out").private
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert stat.S_IMODE((private / "sources.csv").stat().st_mode) == 0o600


def test_dataset_json_says_how_it_was_made_and_nothing_of_when_or_where(
    images: Path, tmp_path: Path
) -> None:
    release(images, tmp_path / "out", dtype="float16", output="codes")
    text = (tmp_path / "out" / "dataset.json").read_text()
    about = json.loads(text)
    assert CodecSpec.from_dict(about["options"]["spec"]) == SPEC
    assert about["totals"]["kept_values"] == 20 * SPEC.numbers(1) + 4 * SPEC.numbers(3)
    assert about["totals"]["kept_bytes"] == 2 * about["totals"]["kept_values"]
    assert (
        about["totals"]["source_bytes"] == sum(37 * (40 + n) for n in range(20)) + 4 * 33 * 48 * 3
    )
    assert str(tmp_path) not in text
    assert "seed" not in text


def test_refuses_to_write_into_its_input_or_over_anything(images: Path, tmp_path: Path) -> None:
    for out in (images, images / "out", images.parent):
        with pytest.raises(ReleaseError, match="overlap"):
            release(images, out)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("precious")
    with pytest.raises(ReleaseError, match="is not empty"):
        release(images, tmp_path / "out")
    with pytest.raises(ReleaseError, match="not made by deepfixcx"):
        release(images, tmp_path / "out", resume=True)
    with pytest.raises(ReleaseError, match="was not made by deepfixcx"):
        release(images, tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "mine.txt").read_text() == "precious"
    with pytest.raises(ReleaseError, match="exclude each other"):
        release(images, tmp_path / "out", resume=True, overwrite=True)
    with pytest.raises(ReleaseError, match="at least 1"):
        release(images, tmp_path / "out2", workers=0)


def test_second_writer_is_turned_away(images: Path, tmp_path: Path) -> None:
    private = release(images, tmp_path / "out").private
    with OwnFolder(private), pytest.raises(ReleaseError, match="another process is writing"):
        release(images, tmp_path / "out", resume=True)
    assert release(images, tmp_path / "out", resume=True).progress.files_done == 0


def test_file_in_place_of_the_folder_is_refused(images: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("precious")
    with pytest.raises(ReleaseError, match="is a file"):
        release(images, tmp_path / "out", overwrite=True)


def test_overwrite_keeps_files_of_other_people(images: Path, tmp_path: Path) -> None:
    release(images, tmp_path / "out")
    (tmp_path / "out" / "mine.txt").write_text("precious")
    release(images, tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "mine.txt").read_text() == "precious"


def test_codes_of_a_release_are_loaded_in_the_order_of_its_manifest(
    images: Path, tmp_path: Path
) -> None:
    release(images, tmp_path / "out", names="keep")
    code, source_ids = load_codes(tmp_path / "out")
    assert len(code) == len(source_ids) == 20
    for row, name in zip(code, source_ids, strict=True):
        with Image.open(images / name) as image:
            assert row == Codec(SPEC).encode(np.asarray(image))
    assert load_codes(tmp_path / "out", channels=3)[0].channels == 3
    with pytest.raises(ReleaseError, match=r"no codes of 2 channels; but of \[1, 3\]"):
        load_codes(tmp_path / "out", channels=2)
    release(images, tmp_path / "pictures", output="images")
    with pytest.raises(ReleaseError, match="without --output codes"):
        load_codes(tmp_path / "pictures")
    with pytest.raises(ReleaseError, match="not a release"):
        load_codes(images)


@pytest.mark.parametrize(
    ("column", "value"),
    [("code_row", "99"), ("code_row", "-1"), ("code_row", ""), ("channels", "x"),
     ("code_file", "codes/../../other/codes/shard-00000-00.safetensors"),
     ("code_file", "codes/no.safetensors")],
)  # fmt: skip
def test_a_manifest_that_was_edited_leads_to_no_other_code(
    images: Path, tmp_path: Path, column: str, value: str
) -> None:
    release(images, tmp_path / "out", output="codes")
    with (tmp_path / "out" / "manifest.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["code_file"]]
    rows[0][column] = value
    with (tmp_path / "out" / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(ReleaseError, match="names codes that are not there"):
        load_codes(tmp_path / "out")


def test_overwrite_makes_the_release_anew(images: Path, tmp_path: Path) -> None:
    release(images, tmp_path / "out", output="both")
    release(images, tmp_path / "fresh", output="codes")
    release(images, tmp_path / "out", output="codes", overwrite=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_resume_needs_the_same_inputs_and_options(images: Path, tmp_path: Path) -> None:
    release(images, tmp_path / "out")
    with pytest.raises(ReleaseError, match="other seed"):
        release(images, tmp_path / "out", resume=True, seed=5)
    write_gray(tmp_path / "others" / "1.png", 8, 8, 0)
    with pytest.raises(ReleaseError, match="other inputs"):
        release(tmp_path / "others", tmp_path / "out", resume=True)


def test_resume_of_a_finished_release_does_nothing(images: Path, tmp_path: Path) -> None:
    release(images, tmp_path / "out", output="both")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "images").rglob("*")}
    again = release(images, tmp_path / "out", output="both", resume=True)
    assert again.progress.files_done == 0
    assert before == {
        path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "images").rglob("*")
    }


def test_resume_makes_lost_files_again(images: Path, tmp_path: Path) -> None:
    release(images, tmp_path / "out", output="both")
    whole = contents(tmp_path / "out")
    next((tmp_path / "out" / "images").rglob("*.png")).unlink()
    release(images, tmp_path / "out", output="both", resume=True)
    assert contents(tmp_path / "out") == whole


def test_full_disk_stops_with_advice_and_loses_nothing(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is filled by a stand-in for the function that writes images."""

    def no_room(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    plan = make_plan(find_sources(images), ReleaseOptions(SPEC))
    monkeypatch.setattr(shard_module, "png_bytes", no_room)
    job = ShardJob(0, plan.shard(0), plan.options, LocalPlace(tmp_path))
    with pytest.raises(ReleaseStoppedError, match=r"No space left.*--resume"):
        job.work(ignore, ignore, frozenset())


def test_bug_in_a_decoder_is_one_failure_without_its_text(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def surprise(*_: object, **__: object) -> None:
        raise KeyError("CANARY^NAME")

    plan = make_plan(find_sources(images), ReleaseOptions(SPEC))
    monkeypatch.setattr(shard_module, "read_image", surprise)
    job = ShardJob(0, plan.shard(0), plan.options, LocalPlace(tmp_path))
    records = job.work(ignore, ignore, frozenset()).records
    assert {record.error for record in records} == {"KeyError"}
    assert "CANARY" not in repr(records)


class Panic(BaseException):
    """What a compiled library may raise: it is no Exception."""


@pytest.mark.parametrize("error", [KeyError, MemoryError, OSError, RecursionError, Panic])
@pytest.mark.parametrize("step", ["read_image", "png_bytes", "check_storable"])
def test_any_exception_of_one_file_is_its_record_and_the_others_are_made(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type, step: str
) -> None:
    calls, whole = [], getattr(shard_module, step)

    def surprise(*args: Any, **more: Any) -> Any:
        calls.append(step)
        if len(calls) == 3:
            raise error("CANARY^NAME")
        return whole(*args, **more)

    plan = make_plan(find_sources(images), ReleaseOptions(SPEC, output="both"))
    monkeypatch.setattr(shard_module, step, surprise)
    job = ShardJob(0, plan.shard(0), plan.options, LocalPlace(tmp_path / "out"))
    records = job.work(ignore, ignore, frozenset()).records
    assert [record.error for record in records] == ["", "", error.__name__, *[""] * 13]
    assert "CANARY" not in repr(records)
    there = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png")}
    assert there == {record.image_file for record in records} - {""}


@pytest.mark.parametrize("error", [KeyError, Panic])
def test_any_exception_of_one_file_is_its_fact_in_a_survey(
    images: Path, monkeypatch: pytest.MonkeyPatch, error: type
) -> None:
    def surprise(*_: object, **__: object) -> None:
        raise error("CANARY^NAME")

    monkeypatch.setattr(surveying, "inspect_image", surprise)
    sources = tuple(find_sources(images).found)
    facts = surveying._SurveyJob(0, sources, 100).work(ignore, ignore, frozenset())
    assert {fact.problem for fact in facts} == {error.__name__}
    assert "CANARY" not in repr(facts)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_not_the_record_of_a_file(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise error

    plan = make_plan(find_sources(images), ReleaseOptions(SPEC))
    monkeypatch.setattr(shard_module, "read_image", stop)
    job = ShardJob(0, plan.shard(0), plan.options, LocalPlace(tmp_path))
    with pytest.raises(error):
        job.work(ignore, ignore, frozenset())


def test_quarantined_file_is_recorded_and_not_opened(images: Path, tmp_path: Path) -> None:
    plan = make_plan(find_sources(images), ReleaseOptions(SPEC))
    job = ShardJob(0, plan.shard(0), plan.options, LocalPlace(tmp_path))
    records = job.work(ignore, ignore, frozenset({plan.items[3].source_id})).records
    assert [record.error for record in records if record.error] == ["WorkerDiedError"]


def test_files_of_codes_are_of_bounded_size(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = 4 * SPEC.numbers(1)
    monkeypatch.setattr(shard_module, "PART_BYTES", 5 * one)
    plan = make_plan(find_sources(images), ReleaseOptions(SPEC, output="codes"))
    records = []
    for number in range(plan.shards):
        job = ShardJob(number, plan.shard(number), plan.options, LocalPlace(tmp_path))
        records += job.work(ignore, ignore, frozenset()).records
    codes = {name: Code.load(tmp_path / name) for name in {r.code_file for r in records}}
    assert all(code.array.nbytes <= 5 * one for code in codes.values())
    assert sum(len(code) for code in codes.values()) == 24
    for record in records:
        code = codes[record.code_file][record.code_row]
        assert code.channels == record.channels
        assert code.sizes.tolist() == [[record.height, record.width]]


def test_damaged_ledger_says_so(images: Path, tmp_path: Path) -> None:
    private = release(images, tmp_path / "out").private
    (private / "ledger.sqlite").write_bytes(b"no database" * 500)
    with pytest.raises(ReleaseError, match="damaged"):
        release(images, tmp_path / "out", resume=True)


def test_survey_finds_what_a_release_would_find(
    bad_images: Path, expected_failures: dict[str, str]
) -> None:
    found = survey(bad_images, workers=2)
    problems = {source.name: fact.problem for source, fact in found.facts if fact.problem}
    del expected_failures["bad/small.png"]  # it is a good image, only too small for that spec
    assert problems == expected_failures
    assert len(found.facts) == 32
    assert found.skipped == ("bad/.hidden.png", "bad/notes.txt", "bad/pipe.dat")
    with pytest.raises(ReleaseError):
        survey(bad_images, workers=0)


def test_mechanisms_are_applied_in_order_and_written_down(images: Path, tmp_path: Path) -> None:
    spec = CodecSpec(level=2, patches=3)
    plain = ReleaseOptions(spec, output="both")
    privatize_dataset(images, tmp_path / "plain", plain)
    privatize_dataset(
        images, tmp_path / "less", replace(plain, mechanisms=("bands", "quantization"))
    )
    code, ids = load_codes(tmp_path / "plain")
    less, same_ids = load_codes(tmp_path / "less")
    assert ids == same_ids
    kept = INDEPENDENT["bands"].represent(code.array)
    assert np.array_equal(less.array, INDEPENDENT["quantization"].represent(kept))
    assert not less.band("dd").any()
    assert code.band("dd").any()
    about = json.loads((tmp_path / "less" / "dataset.json").read_text())
    assert [each["mechanism"] for each in about["mechanisms"]] == ["bands", "quantization"]
    assert all(each["guarantee"] for each in about["mechanisms"])
    pair = [next((tmp_path / each).rglob("000001*.png")).read_bytes() for each in ("plain", "less")]
    assert pair[0] != pair[1]


@pytest.mark.parametrize("wrong", [("mixing-3",), ("bands", "bands")])
def test_mechanisms_that_a_worker_cannot_do_are_refused(wrong: Any) -> None:
    with pytest.raises(SpecError, match="mechanism"):
        ReleaseOptions(CodecSpec(2, 3), mechanisms=wrong)
