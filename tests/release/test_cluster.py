"""A real dask cluster of several processes on this machine: lost workers, new ones, a lost head."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepfixcx import CodecSpec
from deepfixcx.choices import Engine
from deepfixcx.errors import ReleaseError, ReleaseStoppedError
from deepfixcx.release import ReleaseOptions, privatize_dataset, read_status, verify_release
from tests.release.conftest import Lethal, contents, rows, write_gray

pytest.importorskip("distributed", reason="the extra [dask] is not installed")

FILES, SHARDS = 96, 6
OPTIONS = ReleaseOptions(CodecSpec(level=2, patches=3), output="both")

pytestmark = pytest.mark.slow


class Cluster:
    """A scheduler and workers, each a process of its own that can be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.head = self._start("scheduler", "--port", "0", "--no-dashboard",
                                "--scheduler-file", str(folder / "scheduler.json"))  # fmt: skip
        until = time.monotonic() + 60
        while not (folder / "scheduler.json").exists():
            assert time.monotonic() < until, "no scheduler"
            time.sleep(0.05)
        time.sleep(0.2)
        self.address = str(json.loads((folder / "scheduler.json").read_text())["address"])

    def add_worker(self) -> subprocess.Popen[bytes]:
        return self._start("worker", self.address, "--no-nanny", "--nthreads", "1",
                           "--no-dashboard", "--local-directory", str(self.folder))  # fmt: skip

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
        )
        self.processes.append(process)
        return process


@pytest.fixture
def cluster(tmp_path: Path, stand_in: Path) -> Iterator[Cluster]:
    """A scheduler without workers; its processes decode with the stand-in."""
    assert stand_in.is_dir()
    running = Cluster(tmp_path)
    yield running
    running.close()


@pytest.fixture
def many(tmp_path: Path) -> Path:
    folder = tmp_path / "many"
    for number in range(FILES):
        write_gray(folder / f"{number:04d}.png", 30 + number % 7, 31, number)
    return folder


@pytest.fixture
def whole(many: Path, tmp_path: Path) -> dict[str, str]:
    """What the local engine makes."""
    privatize_dataset(many, tmp_path / "whole", OPTIONS, workers=2)
    return contents(tmp_path / "whole")


def start(images: Path, out: Path, address: str, *words: str) -> subprocess.Popen[str]:
    settings = ["-J", "2", "-P", "3", "--engine", "dask", "--scheduler", address]
    return subprocess.Popen(
        [sys.executable, "-m", "deepfixcx", "privatize", str(images), str(out), *settings, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_shards(process: subprocess.Popen[str], out: Path, shards: int) -> None:
    until = time.monotonic() + 90
    while True:
        try:
            if read_status(out).shards_done >= shards:
                return
        except ReleaseError:  # not there yet
            pass
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "the release did not get so far"
        time.sleep(0.02)


def test_worker_killed_and_worker_added(
    many: Path, tmp_path: Path, whole: dict[str, str], cluster: Cluster, lethal: Lethal
) -> None:
    assert lethal.deaths() == 0
    first, _ = cluster.add_worker(), cluster.add_worker()
    process = start(many, tmp_path / "out", cluster.address)
    wait_for_shards(process, tmp_path / "out", 2)
    cluster.add_worker()
    first.send_signal(signal.SIGKILL)
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == 0, printed + errors
    assert contents(tmp_path / "out") == whole
    assert verify_release(tmp_path / "out").sound


def test_lost_scheduler_then_the_command_again(
    many: Path, tmp_path: Path, whole: dict[str, str], cluster: Cluster
) -> None:
    cluster.add_worker()
    process = start(many, tmp_path / "out", cluster.address)
    wait_for_shards(process, tmp_path / "out", 1)
    cluster.head.kill()
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == 1, printed + errors
    assert "--resume" in errors
    assert "Traceback" not in errors
    done = read_status(tmp_path / "out").shards_done
    assert 0 < done < SHARDS
    again = privatize_dataset(
        many, tmp_path / "out", OPTIONS, workers=2, engine="dask", resume=True
    )
    assert again.progress.files_before == 16 * done
    assert contents(tmp_path / "out") == whole


def test_file_that_kills_workers_is_quarantined_as_on_one_machine(
    many: Path, tmp_path: Path, lethal: Lethal
) -> None:
    lethal.poison(many / "0042.png")
    engines: tuple[Engine, ...] = ("local", "dask")
    for engine in engines:
        privatize_dataset(many, tmp_path / engine, OPTIONS, workers=2, engine=engine)
        failed = rows(tmp_path / engine / "failures.csv")
        assert [row["error"] for row in failed] == ["WorkerDiedError"]
    assert contents(tmp_path / "dask") == contents(tmp_path / "local")
    assert lethal.deaths() == 4


def test_full_disk_of_a_worker_stops_the_run(many: Path, tmp_path: Path) -> None:
    """A file in place of a folder stands in for a disk that is full."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "codes").write_text("no folder")
    privatize_dataset(many, tmp_path / "other", OPTIONS)
    shutil.copytree(tmp_path / "other.private", tmp_path / "out.private")
    with pytest.raises(ReleaseStoppedError, match="cannot be written"):
        privatize_dataset(many, tmp_path / "out", OPTIONS, engine="dask", resume=True)


def test_scheduler_is_for_dask(many: Path, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="--engine dask"):
        privatize_dataset(many, tmp_path / "out", OPTIONS, scheduler="tcp://nowhere:1")
