"""Real processes, killed; real disks, full. The same command again ends with the same bytes."""

from __future__ import annotations

import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from deepfixcx import CodecSpec
from deepfixcx.release import (
    ReleaseOptions,
    private_folder,
    privatize_dataset,
    read_status,
    verify_release,
)
from tests.release.conftest import Lethal, contents, rows, write_gray

FILES, SHARDS = 320, 20
OPTIONS = ReleaseOptions(CodecSpec(level=2, patches=3), output="both")
SETTINGS = ["-J", "2", "-P", "3", "--output", "both", "--workers", "2"]

pytestmark = pytest.mark.slow


@pytest.fixture
def many(tmp_path: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images that take seconds in all, so that a release is caught in the middle."""
    folder = tmp_path / "many"
    for number in range(FILES):
        write_gray(folder / f"{number:04d}.png", 30 + number % 7, 31, number)
    monkeypatch.setenv("SECONDS_A_FILE", "0.01")
    assert stand_in.is_dir()
    return folder


@pytest.fixture
def whole(many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Hashes of the files of a release that nothing happened to."""
    with monkeypatch.context() as quick:
        quick.setenv("SECONDS_A_FILE", "0")
        privatize_dataset(many, tmp_path / "whole", OPTIONS, workers=1)
    return contents(tmp_path / "whole")


def start(
    images: Path, out: Path, *words: str, before: Callable[[], object] | None = None
) -> subprocess.Popen[str]:
    def prepare() -> None:
        # a test that runs in the background would hand down its deafness to Ctrl-C
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if before is not None:
            before()

    return subprocess.Popen(
        [sys.executable, "-m", "deepfixcx", "privatize", str(images), str(out), *SETTINGS, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=prepare,
    )


def shards_done(out: Path) -> int:
    try:
        return read_status(out).shards_done
    except Exception:  # not there yet, or being written
        return 0


def wait_for_shards(process: subprocess.Popen[str], out: Path, shards: int) -> None:
    until = time.monotonic() + 300
    while shards_done(out) < shards:
        assert process.poll() is None or shards_done(out) >= shards, process.communicate(timeout=60)
        assert time.monotonic() < until, "the release did not get so far"
        time.sleep(0.01)


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Return the ids of the worker processes; only Linux says them."""
    listing = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not listing.exists():
        pytest.skip("this system does not say which processes are the workers")
    found = []
    for child in map(int, listing.read_text().split()):
        try:
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
        except OSError:  # it ended meanwhile
            continue
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def recorded_twice(out: Path) -> int:
    query = "SELECT count(*) - count(DISTINCT source_id) FROM records"
    with closing(sqlite3.connect(private_folder(out) / "ledger.sqlite")) as ledger:
        return int(ledger.execute(query).fetchone()[0])


def finish(images: Path, out: Path, whole: dict[str, str]) -> None:
    """Run the same command to its end, and compare everything."""
    process = start(images, out, "--resume")
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, printed + errors
    assert contents(out) == whole
    assert verify_release(out).sound
    assert recorded_twice(out) == 0
    assert read_status(out).state == "finished"


def test_parent_killed_at_random_moments(many: Path, tmp_path: Path, whole: dict[str, str]) -> None:
    out = tmp_path / "out"
    moments = random.Random(7)
    done = 0
    for round_ in range(3):
        process = start(many, out, *(["--resume"] if round_ else []))
        wait_for_shards(process, out, done + 1)
        time.sleep(moments.uniform(0, 0.3))
        workers = workers_of(process)
        process.kill()
        process.communicate(timeout=60)
        until = time.monotonic() + 10
        while any(map(alive, workers)) and time.monotonic() < until:
            time.sleep(0.01)
        assert not any(map(alive, workers)), "workers outlive their parent"
        status = read_status(out)
        assert (status.state, status.shards) == ("stopped", SHARDS)
        assert done < status.shards_done < SHARDS
        done = status.shards_done
        assert "--resume" in status.again
    finish(many, out, whole)
    assert read_status(out).attempts <= SHARDS + 3 * 2, "complete shards were worked again"


def test_workers_killed_at_random_moments(
    many: Path, tmp_path: Path, whole: dict[str, str]
) -> None:
    out = tmp_path / "out"
    moments = random.Random(8)
    process = start(many, out)
    for kill in range(3):
        # far enough apart that no file is unlucky twice
        wait_for_shards(process, out, 1 + 4 * kill)
        time.sleep(moments.uniform(0, 0.05))
        os.kill(moments.choice(workers_of(process)), signal.SIGKILL)
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, printed + errors
    assert contents(out) == whole
    status = read_status(out)
    assert SHARDS < status.attempts <= SHARDS + 3
    assert status.quarantined == 0


def test_ctrl_c_says_how_to_go_on(many: Path, tmp_path: Path, whole: dict[str, str]) -> None:
    process = start(many, tmp_path / "out")
    wait_for_shards(process, tmp_path / "out", 2)
    os.killpg(process.pid, signal.SIGINT)
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in printed
    assert "Traceback" not in errors
    names = [path.name for path in (tmp_path / "out").rglob(".*.part")]
    assert names == []
    finish(many, tmp_path / "out", whole)


def test_decoder_that_crashes_on_one_file(
    many: Path, tmp_path: Path, lethal: Lethal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECONDS_A_FILE", "0")
    lethal.poison(many / "0123.png")
    runs = []
    for workers in ("1", "2"):
        out = tmp_path / f"out{workers}"
        process = start(many, out, "--workers", workers)
        printed, errors = process.communicate(timeout=300)
        assert process.returncode == 3, printed + errors
        assert "stopped on this file twice" in printed
        assert [row["error"] for row in rows(out / "failures.csv")] == ["WorkerDiedError"]
        sources = rows(private_folder(out) / "sources.csv")
        assert [row["source"] for row in sources if row["status"] == "failed"] == ["0123.png"]
        assert read_status(out).quarantined == 1
        runs.append(contents(out))
    assert runs[0] == runs[1]
    assert lethal.deaths() == 4


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 400 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    options = ["-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    try:
        subprocess.run(["mount", *options], check=True, capture_output=True, timeout=240)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a disk of its own can be mounted by root alone")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True, timeout=240)


def test_full_disk_then_room_again(many: Path, small_disk: Path, whole: dict[str, str]) -> None:
    out = small_disk / "out"
    process = start(many, out)
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 1, printed + errors
    assert "free disk space" in errors
    assert "Traceback" not in errors
    assert not (out / "manifest.csv").exists()
    assert not [path for path in out.rglob("*") if path.is_file() and not path.stat().st_size]
    again = start(many, out, "--resume")
    printed, errors = again.communicate(timeout=300)
    assert again.returncode == 1, "there is still no room"
    grown = ["mount", "-o", "remount,size=100m", str(small_disk)]
    subprocess.run(grown, check=True, capture_output=True, timeout=240)
    finish(many, out, whole)


def test_files_that_may_not_grow(many: Path, tmp_path: Path, whole: dict[str, str]) -> None:
    """A quota: no file of more than 8 kB can be written, not even the ledger."""
    limit = (8192, 8192)
    out = tmp_path / "out"
    process = start(many, out, before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 1, printed + errors
    assert "--resume" in errors
    assert not list(out.rglob("*.safetensors"))
    finish(many, out, whole)
