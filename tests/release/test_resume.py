"""What still stands when a release goes on: results, sources, and the files that killed workers."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from deepfixcx import CodecSpec
from deepfixcx.errors import ReleaseError, ReleaseStoppedError
from deepfixcx.io.files import remove_listed
from deepfixcx.release import (
    ReleaseOptions,
    RunOptions,
    Summary,
    private_folder,
    privatize_dataset,
    run,
    verify_release,
    withdraw,
)
from deepfixcx.release.claim import claimed
from deepfixcx.release.ledger import Ledger
from deepfixcx.release.places import LocalPlace, Place
from deepfixcx.release.storage import content_of, open_hashed, stamp_of
from deepfixcx.release.workers import Event, JobEvent
from tests.release.conftest import Lethal, contents, rows, write_gray

OPTIONS = ReleaseOptions(CodecSpec(level=2, patches=3), names="keep")
NEUTRAL = ReleaseOptions(CodecSpec(level=2, patches=3))


def release(images: Path, out: Path, *, resume: bool = False) -> Summary:
    return privatize_dataset(images, out, OPTIONS, resume=resume)


def ask(out: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(private_folder(out) / "ledger.sqlite")) as ledger:
        return ledger.execute(query).fetchall()


def note(out: Path, command: str, *values: str) -> None:
    with closing(sqlite3.connect(private_folder(out) / "ledger.sqlite")) as ledger, ledger:
        ledger.execute(command, values)


def replace_bytes(image: Path) -> None:
    """Give an image other pixels and the same size in bytes, as an edited DICOM file has."""
    size = image.stat().st_size
    write_gray(image, 36, 37, 99)
    assert image.stat().st_size < size
    image.write_bytes(image.read_bytes().ljust(size, b"\0"))


def test_source_with_other_bytes_is_worked_again_and_the_others_are_not(
    images: Path, tmp_path: Path
) -> None:
    release(images, tmp_path / "out")
    replace_bytes(images / "ward-1" / "image19.png")
    again = release(images, tmp_path / "out", resume=True)
    order = [row["source_id"] for row in rows(tmp_path / "out" / "manifest.csv")]
    in_first_shard = order.index("ward-1/image19.png") < 16
    assert again.progress.files_done == (16 if in_first_shard else 24 - 16)
    release(images, tmp_path / "fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")
    assert release(images, tmp_path / "out", resume=True).progress.files_done == 0


@pytest.mark.usefixtures("in_this_process")
def test_source_that_was_repaired_to_another_size_keeps_its_place_and_is_named(
    images: Path, tmp_path: Path
) -> None:
    broken = images / "ward-1" / "image19.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    first = privatize_dataset(images, tmp_path / "out", NEUTRAL)
    assert (first.totals["files_failed"], first.changed) == (1, ())
    (failed,) = rows(tmp_path / "out" / "failures.csv")
    before = contents(tmp_path / "out")
    broken.write_bytes(whole)
    again = privatize_dataset(images, tmp_path / "out", NEUTRAL, resume=True)
    assert again.changed == (failed["source_id"],)
    assert again.progress.files_done == (16 if int(failed["source_id"]) <= 16 else 24 - 16)
    assert (again.totals["files_failed"], verify_release(tmp_path / "out").sound) == (0, True)
    after = contents(tmp_path / "out")
    image = next(name for name in set(after) - set(before) if name.startswith("images/"))
    assert failed["source_id"] in image
    same = {name for name in before if name.startswith("images/")}
    assert all(after[name] == before[name] for name in same)
    assert not (tmp_path / "out" / "failures.csv").exists()
    assert privatize_dataset(images, tmp_path / "out", NEUTRAL, resume=True).changed == ()


def sources(out: Path) -> dict[str, str]:
    """Return the source of each ID."""
    private = rows(private_folder(out) / "sources.csv")
    return {row["source_id"]: row["source"] for row in private if row["source_id"]}


@pytest.mark.usefixtures("in_this_process")
def test_gone_inputs_keep_their_results_and_new_ones_are_left_out(
    images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = privatize_dataset(images, out, NEUTRAL)
    before, names = contents(out), sources(out)
    (images / names["000001"]).unlink()
    replace_bytes(images / names["000024"])  # in the other shard
    write_gray(images / "ward-0" / "later.png", 20, 20, 7)
    again = privatize_dataset(images, out, NEUTRAL, resume=True)
    assert (again.gone, again.changed, again.new) == (("000001",), ("000024",), 1)
    assert again.progress.files_done == 24 - 16
    after = contents(out)
    other = {n for n in before if n.startswith("images/") and "000024" not in n}
    assert {name: before[name] for name in other} == {name: after.get(name) for name in other}
    assert sources(out) == names
    assert again.totals["source_file_bytes"] == first.totals["source_file_bytes"]
    told = {row["source"]: row for row in rows(private_folder(out) / "sources.csv")}
    assert "gone" in told[names["000001"]]["reason"]
    assert "--add" in told["ward-0/later.png"]["reason"]
    assert verify_release(out).sound
    added = privatize_dataset(images, out, NEUTRAL, add=True)
    assert (added.progress.files_done, added.new) == (1, 0)
    assert sources(out) == names | {"000025": "ward-0/later.png"}


@pytest.mark.usefixtures("in_this_process")
def test_a_shard_is_not_processed_again_where_a_gone_source_would_lose_its_result(
    images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    privatize_dataset(images, out, NEUTRAL)
    before, names = contents(out), sources(out)
    (images / names["000001"]).unlink()
    replace_bytes(images / names["000002"])
    with pytest.raises(ReleaseError, match=r"source of 000001 cannot be read any more.*withdraw"):
        privatize_dataset(images, out, NEUTRAL, resume=True)
    assert contents(out) == before
    withdraw(out, images=["000001"])
    again = privatize_dataset(images, out, NEUTRAL, resume=True)
    assert (again.gone, again.changed, again.progress.files_done) == ((), ("000002",), 15)
    assert sources(out) == {n: source for n, source in names.items() if n != "000001"}
    assert names["000001"].encode() not in (private_folder(out) / "ledger.sqlite").read_bytes()


@pytest.mark.usefixtures("in_this_process")
def test_an_input_that_goes_before_it_is_processed_fails_until_it_is_restored(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    privatize_dataset(images, tmp_path / "whole", NEUTRAL)
    out = tmp_path / "out"

    def one_shard(*jobs: Any) -> Iterator[Event]:
        for event in run._run_here(*jobs):
            yield event
            if isinstance(event, JobEvent):
                raise ReleaseStoppedError("the power failed")

    with monkeypatch.context() as patch:
        patch.setattr(run, "choose_run", lambda *_, **__: one_shard)
        with pytest.raises(ReleaseStoppedError, match="power"):
            privatize_dataset(images, out, NEUTRAL)
    ((name, source_id),) = ask(out, "SELECT name, source_id FROM planned WHERE place = 20")
    content = (images / name).read_bytes()
    (images / name).unlink()
    again = privatize_dataset(images, out, NEUTRAL, resume=True)
    (failed,) = rows(out / "failures.csv")
    assert (failed["source_id"], again.gone) == (source_id, ())
    assert "gone" in failed["reason"]
    assert name not in (out / "failures.csv").read_text()
    (images / name).write_bytes(content)
    assert privatize_dataset(images, out, NEUTRAL, resume=True).changed == (source_id,)
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.usefixtures("in_this_process")
def test_ledger_of_a_version_that_knew_no_order_goes_on_with_the_same_sizes(
    images: Path, tmp_path: Path
) -> None:
    """Its inputs are the hash of names and sizes."""
    private = release(images, tmp_path / "out").private
    with closing(sqlite3.connect(private / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("DELETE FROM identity WHERE name = 'inputs'")
        ledger.execute("UPDATE identity SET name = 'inputs' WHERE name = 'order'")
    assert release(images, tmp_path / "out", resume=True).progress.files_done == 0
    with (images / "ward-1" / "image19.png").open("ab") as file:
        file.write(b"more")
    with pytest.raises(ReleaseError, match="other inputs"):
        release(images, tmp_path / "out", resume=True)


def test_source_that_was_only_touched_is_hashed_once_and_not_worked(
    images: Path, tmp_path: Path
) -> None:
    release(images, tmp_path / "out")
    before = ask(tmp_path / "out", "SELECT stamp FROM sources ORDER BY source_id")
    os.utime(images / "ward-0" / "image0.png")
    assert release(images, tmp_path / "out", resume=True).progress.files_done == 0
    after = ask(tmp_path / "out", "SELECT stamp FROM sources ORDER BY source_id")
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 1


def test_key_of_the_work_is_the_hash_of_the_bytes_and_stays_private(
    images: Path, tmp_path: Path
) -> None:
    release(images, tmp_path / "out")
    known = dict(ask(tmp_path / "out", "SELECT source_id, content FROM sources"))
    assert known == {
        str(path.relative_to(images)): content_of(path)
        for path in images.rglob("*")
        if path.is_file()
    }
    shared = b"".join(p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert not any(str(content).encode() in shared for content in known.values())


def test_results_of_a_try_that_was_never_recorded_do_not_stay(images: Path, tmp_path: Path) -> None:
    """They are listed in a journal; what no journal lists is a user's."""
    release(images, tmp_path / "out")
    whole = contents(tmp_path / "out")
    place = claimed_place(tmp_path / "out")
    with place.outbox(shard=0) as outbox:
        outbox.put("images/stray.png", b"whole, but of no record")
        outbox.put("codes/shard-00000-09.safetensors", b"of a longer try")
    theirs = ["codes/notes.txt", "images/.x.part", "images/mine.png"]
    for name in theirs:
        (tmp_path / "out" / name).write_text("of a user")
    again = release(images, tmp_path / "out", resume=True)
    assert list(again.kept_files) == sorted(theirs)
    for name in theirs:
        assert (tmp_path / "out" / name).read_text() == "of a user"
        (tmp_path / "out" / name).unlink()
    assert contents(tmp_path / "out") == whole


@pytest.mark.parametrize("name", ["images/ward-0/image3.png", "codes/shard-00000-00.safetensors"])
def test_file_of_a_user_under_a_name_that_is_needed_stops_the_run(
    images: Path, tmp_path: Path, name: str
) -> None:
    release(images, tmp_path / "out")
    (tmp_path / "out" / name).write_text("a user's")
    with pytest.raises(ReleaseError, match=name):
        privatize_dataset(images, tmp_path / "out", OPTIONS, overwrite=True)
    assert (tmp_path / "out" / name).read_text() == "a user's"
    (tmp_path / "out" / name).unlink()
    privatize_dataset(images, tmp_path / "out", OPTIONS, overwrite=True)
    release(images, tmp_path / "fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def claimed_place(out: Path) -> Place:
    with claimed(LocalPlace(out), private_folder(out), resume=True, overwrite=False) as claim:
        return claim.place


def test_file_that_killed_two_workers_is_not_touched_again_until_it_is_another(
    images: Path, tmp_path: Path, lethal: Lethal
) -> None:
    killer = images / "ward-0" / "image3.png"
    lethal.poison(killer)
    first = release(images, tmp_path / "out")
    assert first.totals["files_failed"] == 1
    failed = rows(tmp_path / "out" / "failures.csv")
    assert [(row["source_id"], row["error"]) for row in failed] == [
        ("ward-0/image3.png", "WorkerDiedError")
    ]
    assert lethal.deaths() == 2
    whole = contents(tmp_path / "out")
    for image in (tmp_path / "out" / "images").rglob("*.png"):
        image.unlink()  # so that its shard is worked again
    release(images, tmp_path / "out", resume=True)
    assert lethal.deaths() == 2
    assert contents(tmp_path / "out") == whole
    lethal.cure(killer)
    assert release(images, tmp_path / "out", resume=True).totals["files_failed"] == 0


@pytest.mark.slow
def test_death_of_an_earlier_run_counts(images: Path, tmp_path: Path, lethal: Lethal) -> None:
    killer = images / "ward-0" / "image3.png"
    release(images, tmp_path / "out")
    for image in (tmp_path / "out" / "images").rglob("*.png"):
        image.unlink()
    lethal.poison(killer)
    privatize_dataset(images, tmp_path / "new", OPTIONS)
    assert lethal.deaths() == 2
    with Ledger(private_folder(tmp_path / "new") / "ledger.sqlite") as ledger:
        ledger.died("ward-0/image3.png", stamp_of(killer), 1)
        for number in (0, 1):
            for listed in ledger.listed(number):
                remove_listed(tmp_path / "new", listed)
            ledger.reopen(number)
    assert release(images, tmp_path / "new", resume=True).totals["files_failed"] == 1
    assert lethal.deaths() == 3
    attempts = ask(tmp_path / "new", "SELECT sum(attempts) FROM shards")
    assert attempts == [(2 + 2 + 2 + 1,)]  # each shard, two deaths; each again, one death


def test_ledger_of_another_version_is_refused(images: Path, tmp_path: Path) -> None:
    private = release(images, tmp_path / "out").private
    with closing(sqlite3.connect(private / "ledger.sqlite")) as ledger:
        ledger.execute("PRAGMA user_version = 1")
    with pytest.raises(ReleaseError, match="another version"):
        release(images, tmp_path / "out", resume=True)


def test_large_input_is_hashed_without_being_held(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = images / "ward-0" / "image0.png"
    small, held = open_hashed(image)
    monkeypatch.setattr("deepfixcx.release.storage.HELD_BYTES", 100)
    large, streamed = open_hashed(image)
    with small, large:
        assert small.read() == large.read() == image.read_bytes()
    assert held == streamed


@pytest.mark.usefixtures("in_this_process")
def test_release_begun_with_other_versions_is_refused_by_their_names(
    images: Path, tmp_path: Path
) -> None:
    release(images, tmp_path / "out")
    before = contents(tmp_path / "out")
    noted = json.loads(
        ask(tmp_path / "out", "SELECT value FROM notes WHERE name = 'software'")[0][0]
    )
    stated = json.loads((tmp_path / "out" / "dataset.json").read_text())["software"]
    assert noted
    assert noted.items() <= stated.items()
    changed = {**noted, "numpy": "1.0", "deepfixcx": "0.0.1"}
    note(
        tmp_path / "out", "UPDATE notes SET value = ? WHERE name = 'software'", json.dumps(changed)
    )
    ways: list[RunOptions] = [{"resume": True}, {"add": True}]
    for how in ways:
        with pytest.raises(ReleaseError, match=r"started with deepfixcx 0\.0\.1 and numpy 1\.0,"):
            privatize_dataset(images, tmp_path / "out", OPTIONS, **how)
    assert contents(tmp_path / "out") == before
    privatize_dataset(images, tmp_path / "out", OPTIONS, overwrite=True)
    assert release(images, tmp_path / "out", resume=True).progress.files_done == 0


@pytest.mark.usefixtures("in_this_process")
def test_release_that_notes_no_versions_as_those_of_0_1_0_goes_on_and_notes_them(
    images: Path, tmp_path: Path
) -> None:
    release(images, tmp_path / "out")
    note(tmp_path / "out", "DELETE FROM notes WHERE name = 'software'")
    assert release(images, tmp_path / "out", resume=True).progress.files_done == 0
    assert ask(tmp_path / "out", "SELECT count(*) FROM notes WHERE name = 'software'") == [(1,)]


DIES = """
import os, signal, sys
from pathlib import Path
from deepfixcx import CodecSpec
from deepfixcx.release import ReleaseOptions, privatize_dataset

link, left = os.link, [int(sys.argv[1])]

def dying(source, target, **options):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    link(source, target, **options)

os.link = dying
privatize_dataset(Path(sys.argv[2]), Path(sys.argv[3]), ReleaseOptions(CodecSpec(2, 3)))
"""


@pytest.mark.parametrize("appearing", range(1, 6))
def test_a_run_that_dies_before_its_first_files_appear_is_resumed(
    tmp_path: Path, appearing: int
) -> None:
    """What it was writing then made its own private folder, or release, that of a stranger."""
    images = tmp_path / "in"
    images.mkdir()
    write_gray(images / "0.png", 30, 31, 0)
    words = [sys.executable, "-c", DIES, str(appearing), str(images), str(tmp_path / "out")]
    done = subprocess.run(words, capture_output=True, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    privatize_dataset(images, tmp_path / "out", NEUTRAL, resume=True)
    found = verify_release(tmp_path / "out")
    assert found.sound, found
    assert len(rows(tmp_path / "out" / "manifest.csv")) == 1
