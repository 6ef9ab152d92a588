"""Releases in S3: a server on the loopback, real processes, killed, cut off and turned away."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from deepfixcx import CodecSpec
from deepfixcx.choices import Engine
from deepfixcx.errors import ReleaseError, ReleaseStoppedError
from deepfixcx.io.folders import id_of
from deepfixcx.release import (
    ReleaseOptions,
    load_codes,
    make_plan,
    privatize_dataset,
    read_status,
    verify_release,
)
from deepfixcx.release.inputs import find_sources
from deepfixcx.release.places import place_of
from deepfixcx.release.plan import ShardJob
from deepfixcx.release.storage import journal_name
from tests.release import stores
from tests.release.conftest import contents, rows, write_gray
from tests.release.stores import S3, bytes_at, contents_at, fill, fsspec

FILES, SHARDS = 80, 6
OPTIONS = ReleaseOptions(CodecSpec(level=2, patches=3))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    running = S3()
    yield running
    running.stop()


@pytest.fixture
def bucket(server: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A new bucket, which processes that start from here on find, too."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    system = fsspec.filesystem("s3", skip_instance_cache=False)
    type(system).clear_instance_cache()  # it knows another server
    name = f"bucket-{uuid.uuid4().hex}"
    fsspec.filesystem("s3").mkdir(name)
    yield f"s3://{name}"
    type(system).clear_instance_cache()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The inputs on a disk: good images, and one that is none."""
    folder = tmp_path_factory.mktemp("disk") / "many"
    for number in range(FILES):
        name = f"CANARY-{number % 5}/{number:04d}.png"
        write_gray(folder / name, 30 + number % 7, 31, number)
    (folder / "bad.png").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def whole(here: Path) -> Path:
    """What comes of them on a disk."""
    privatize_dataset(here, here.with_name("whole"), OPTIONS, workers=2)
    return here.with_name("whole")


@pytest.fixture
def many(here: Path, bucket: str) -> str:
    """The same inputs in the bucket."""
    fill(f"{bucket}/many", here)
    return f"{bucket}/many"


def start(where: str, out: str, private: Path, *words: str) -> subprocess.Popen[str]:
    settings = ["-J", "2", "-P", "3", "--workers", "2", "--private", str(private)]
    return subprocess.Popen(
        [sys.executable, "-m", "deepfixcx", "privatize", where, out, *settings, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_shards(process: subprocess.Popen[str], out: str, private: Path, shards: int) -> None:
    until = time.monotonic() + 300
    while True:
        ended = process.poll() is not None  # before the status, which a run writes until its end
        try:
            if read_status(out, private).shards_done >= shards:
                return
        except ReleaseError:  # not there yet
            pass
        assert not ended, process.communicate(timeout=60)
        assert time.monotonic() < until, "the release did not get so far"
        time.sleep(0.02)


def finish(where: str, out: str, private: Path, whole: Path) -> None:
    process = start(where, out, private, "--resume")
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 3, printed + errors  # one input is no picture
    assert contents_at(out) == contents(whole)
    assert verify_release(out, workers=4).sound
    assert read_status(out, private).state == "finished"


@pytest.mark.parametrize("engine", ["local", "dask"])
def test_bytes_are_those_of_a_disk(
    many: str, bucket: str, tmp_path: Path, whole: Path, engine: Engine
) -> None:
    private = tmp_path / "private"
    summary = privatize_dataset(
        many, f"{bucket}/out", OPTIONS, private=private, workers=2, engine=engine
    )
    assert (summary.folder, summary.private) == (f"{bucket}/out", private)
    assert contents_at(f"{bucket}/out") == contents(whole)
    sources = whole.with_name("whole.private") / "sources.csv"
    assert (private / "sources.csv").read_bytes() == sources.read_bytes()
    assert verify_release(f"{bucket}/out", workers=4).sound
    code, ids = load_codes(f"{bucket}/out")
    other, other_ids = load_codes(whole)
    assert code == other
    assert ids == other_ids
    assert read_status(f"{bucket}/out", private).state == "finished"
    again = privatize_dataset(many, f"{bucket}/out", OPTIONS, private=private, resume=True)
    assert again.progress.files_done == 0


def test_killed_in_the_middle_then_the_command_again(
    many: str,
    bucket: str,
    tmp_path: Path,
    whole: Path,
    stand_in: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert stand_in.is_dir()
    out, private = f"{bucket}/out", tmp_path / "private"
    monkeypatch.setenv("SECONDS_A_FILE", "0.02")
    process = start(many, out, private)
    wait_for_shards(process, out, private, 2)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    status = read_status(out, private)
    assert status.state == "stopped"
    assert 2 <= status.shards_done < SHARDS + 1
    assert "dataset.json" not in contents_at(out)
    # results of a try that nothing recorded, of which one is not made again
    system = fsspec.filesystem("s3")
    name, content = "codes/shard-00000-09.safetensors", b"of a longer try"
    tag = hashlib.sha256(f"deepfixcx temporary files {id_of(private)}".encode()).hexdigest()[:16]
    entry = {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    system.pipe_file(f"{out}/{journal_name(tag, 99999)}", f"{json.dumps(entry)}\n".encode())
    system.pipe_file(f"{out}/{name}", content)
    finish(many, out, private, whole)
    assert read_status(out, private).attempts <= SHARDS + 1 + 2, "complete shards worked again"


@pytest.mark.parametrize("trouble", ["gone", "denying"])
def test_store_that_fails_in_the_middle_stops_the_run(
    server: S3,
    many: str,
    bucket: str,
    tmp_path: Path,
    whole: Path,
    stand_in: Path,
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
) -> None:
    assert stand_in.is_dir()
    out, private = f"{bucket}/out", tmp_path / "private"
    monkeypatch.setenv("SECONDS_A_FILE", "0.02")
    process = start(many, out, private)
    wait_for_shards(process, out, private, 1)
    failing: AbstractContextManager[None] = getattr(server, trouble)()
    with failing:
        printed, errors = process.communicate(timeout=300)
    assert process.returncode == 1, printed + errors
    assert {"gone": "cannot be reached", "denying": "is denied"}[trouble] in errors
    assert "--resume" in errors
    for secret in ("Traceback", "CANARY"):
        assert secret not in printed + errors
    monkeypatch.setenv("SECONDS_A_FILE", "0")
    finish(many, out, private, whole)
    assert [row["error"] for row in rows(private / "sources.csv") if row["error"]] == [
        "NotAnImageError"
    ]


def test_store_that_fails_from_the_beginning_is_an_error_that_says_so(
    server: S3, here: Path, many: str, bucket: str, tmp_path: Path
) -> None:
    with server.denying(), pytest.raises(ReleaseError, match=r"is denied.*credentials"):
        privatize_dataset(many, tmp_path / "out", OPTIONS)
    with server.denying(), pytest.raises(ReleaseError, match=r"is denied.*credentials"):
        privatize_dataset(here, f"{bucket}/out", OPTIONS, private=tmp_path / "private")
    with pytest.raises(ReleaseError, match="no file or folder"):
        find_sources(f"{bucket}/nothing")
    with pytest.raises(ReleaseStoppedError, match=r"bucket or folder does not exist.*--resume"):
        privatize_dataset(here, "s3://no-such-bucket/out", OPTIONS, private=tmp_path / "private")


def test_inputs_that_vanish_or_are_refused_are_failures_of_their_own(
    server: S3, many: str, tmp_path: Path
) -> None:
    plan = make_plan(find_sources(many), OPTIONS)
    job = ShardJob(0, plan.shard(0), plan.options, place_of(tmp_path / "out"))
    good = [item.source.name for item in job.items if item.source.name != "bad.png"]
    fsspec.filesystem("s3").rm_file(f"{many}/{good[3]}")
    with server.denying(good[5]):
        result = job.work(lambda _: None, lambda *_: None, frozenset())
    by_id = {record.source_id: record for record in result.records}
    reasons = {item.source.name: by_id[item.source_id].reason for item in job.items}
    del reasons["bad.png" if "bad.png" in reasons else good[0]]
    assert "the file does not exist" in reasons.pop(good[3])
    assert "you have no permission" in reasons.pop(good[5])
    assert not any(reasons.values())
    assert "CANARY" not in repr(result.records)


def test_refused_input_is_tried_again(
    server: S3, many: str, bucket: str, tmp_path: Path, whole: Path
) -> None:
    private = tmp_path / "private"
    with server.denying("/0042.png"):
        first = privatize_dataset(many, f"{bucket}/out", OPTIONS, private=private)
    assert first.totals["files_failed"] == 2
    again = privatize_dataset(many, f"{bucket}/out", OPTIONS, private=private, resume=True)
    assert 0 < again.progress.files_done <= 16, "one shard"
    assert contents_at(f"{bucket}/out") == contents(whole)


def test_neither_names_nor_keys_reach_any_output(many: str, bucket: str, tmp_path: Path) -> None:
    process = start(many, f"{bucket}/out", tmp_path / "private", "--json", str(tmp_path / "json"))
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 3, printed + errors
    shared = bytes_at(f"{bucket}/out")
    assert len(shared) > 10_000
    assert b"CANARY" not in shared
    assert "CANARY" not in printed + errors + (tmp_path / "json").read_text()
    for path in (tmp_path / "private").iterdir():
        assert stores.KEY_ID.encode() not in path.read_bytes()
        assert stores.SECRET.encode() not in path.read_bytes()
