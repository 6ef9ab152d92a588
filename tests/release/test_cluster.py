"""A real dask cluster of several processes on this machine: lost workers, new ones, a lost head."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from socket import AF_UNIX
from typing import Any

import psutil
import pytest

import deepfixcx
from deepfixcx import CodecSpec
from deepfixcx.choices import Engine
from deepfixcx.errors import ReleaseError, ReleaseStoppedError
from deepfixcx.release import ReleaseOptions, privatize_dataset, read_status, verify_release
from deepfixcx.release import cluster as cluster_module
from tests.release.conftest import Lethal, contents, rows, write_gray

distributed = pytest.importorskip("distributed", reason="the extra [dask] is not installed")

FILES, SHARDS = 96, 6
OPTIONS = ReleaseOptions(CodecSpec(level=2, patches=3), output="both")

pytestmark = pytest.mark.slow


class Cluster:
    """A scheduler and workers, each a process of its own that can be killed."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder, self.words = folder, words
        self.processes: list[subprocess.Popen[bytes]] = []
        self.head = self._start("scheduler", "--port", "0", "--no-dashboard",
                                "--scheduler-file", str(folder / "scheduler.json"))  # fmt: skip
        until = time.monotonic() + 300
        self.address = ""
        while not self.address:
            assert time.monotonic() < until, "no scheduler"
            time.sleep(0.05)
            with contextlib.suppress(OSError, ValueError):  # not there, or not whole
                self.address = json.loads((folder / "scheduler.json").read_text())["address"]

    def add_worker(self, site: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a worker, with the packages of another folder if one is named."""
        paths = [*([str(site)] if site else []), os.environ.get("PYTHONPATH", "")]
        return self._start("worker", self.address, "--no-nanny", "--nthreads", "1",
                           "--no-dashboard", "--local-directory", str(self.folder),
                           PYTHONPATH=os.pathsep.join(paths))  # fmt: skip

    @contextlib.contextmanager
    def replaced_when_it_dies(self, site: Path) -> Iterator[None]:
        """Start a worker, and another one whenever it died, as a cluster's manager does.

        A nanny ends where its worker dies while it starts, so that none comes any more.
        """
        over = threading.Event()

        def keep() -> None:
            worker = self.add_worker(site)
            while not over.wait(0.05):
                if worker.poll() is not None:
                    worker = self.add_worker(site)
            worker.kill()

        thread = threading.Thread(target=keep)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(60)

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait(60)

    def _start(self, *words: str, **variables: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *words, *self.words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            env={**os.environ, **variables},
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


def start(images: Path, out: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "deepfixcx", "privatize", str(images), str(out)]
    return subprocess.Popen(
        [*command, "-J", "2", "-P", "3", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def start_on(address: str, images: Path, out: Path) -> subprocess.Popen[str]:
    flags = ["--insecure-scheduler"] * (not address.startswith("tls:"))
    return start(images, out, "--engine", "dask", "--scheduler", address, *flags)


def wait_for_shards(process: subprocess.Popen[str], out: Path, shards: int) -> None:
    until = time.monotonic() + 300
    while True:
        ended = process.poll() is not None  # before the status, which a run writes until its end
        try:
            if read_status(out).shards_done >= shards:
                return
        except ReleaseError:  # not there yet
            pass
        assert not ended, process.communicate(timeout=60)
        assert time.monotonic() < until, "the release did not get so far"
        time.sleep(0.02)


def test_worker_killed_and_worker_added(
    many: Path, tmp_path: Path, whole: dict[str, str], cluster: Cluster, lethal: Lethal
) -> None:
    assert lethal.deaths() == 0
    first, _ = cluster.add_worker(), cluster.add_worker()
    process = start_on(cluster.address, many, tmp_path / "out")
    wait_for_shards(process, tmp_path / "out", 2)
    cluster.add_worker()
    first.send_signal(signal.SIGKILL)
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, printed + errors
    assert contents(tmp_path / "out") == whole
    assert verify_release(tmp_path / "out").sound


def test_lost_scheduler_then_the_command_again(
    many: Path,
    tmp_path: Path,
    whole: dict[str, str],
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECONDS_A_FILE", "0.1")  # so that it cannot finish before its scheduler
    cluster.add_worker()
    monkeypatch.delenv("SECONDS_A_FILE")
    process = start_on(cluster.address, many, tmp_path / "out")
    wait_for_shards(process, tmp_path / "out", 1)
    cluster.head.kill()
    printed, errors = process.communicate(timeout=300)
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
    privatize_dataset(many, tmp_path / "out", OPTIONS)
    shutil.rmtree(tmp_path / "out" / "codes")
    (tmp_path / "out" / "codes").write_text("no folder")
    with pytest.raises(ReleaseStoppedError, match="cannot be written"):
        privatize_dataset(many, tmp_path / "out", OPTIONS, engine="dask", resume=True)


def test_scheduler_is_for_dask(many: Path, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="--engine dask"):
        privatize_dataset(many, tmp_path / "out", OPTIONS, scheduler="tcp://nowhere:1")


def listening(pid: int) -> dict[int, list[str]]:
    """Return what the processes of a tree listen on: ports, and named sockets of this machine."""
    found = {}
    for each in [psutil.Process(pid), *children(pid)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            found[each.pid] = [
                str(socket.laddr)
                for socket in each.net_connections("all")
                if socket.status == psutil.CONN_LISTEN
                or (socket.family == AF_UNIX and socket.laddr)
            ]
    return found


@pytest.mark.parametrize("engine", ["local", "dask"])
def test_local_run_listens_on_no_socket(
    engine: str, many: Path, tmp_path: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stand_in.is_dir()
    gate = tmp_path / "gate"
    monkeypatch.setenv("GATE", str(gate))
    process = start(many, tmp_path / "out", "--engine", engine, "--workers", "2")
    until = time.monotonic() + 300
    while len(list(tmp_path.glob("gate.*"))) < 2:  # one of each worker, at its first image
        assert process.poll() is None, process.communicate(timeout=60)
        assert time.monotonic() < until, "no workers"
        time.sleep(0.05)
    seen = listening(process.pid)
    gate.touch()
    assert len(seen) >= 3, "the workers are not among them"
    assert not any(seen.values()), seen
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, printed + errors


def test_listening_sockets_are_found(cluster: Cluster) -> None:
    (found,) = listening(cluster.head.pid).values()
    assert any(cluster.address.rpartition(":")[2] in each for each in found)


def test_interrupt_ends_the_workers_of_a_local_cluster(
    many: Path, tmp_path: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stand_in.is_dir()
    monkeypatch.setenv("SECONDS_A_FILE", "4")
    process = start(many, tmp_path / "out", "--engine", "dask", "--workers", "2")
    until = time.monotonic() + 300
    while sum("spawn_main" in " ".join(each.cmdline()) for each in children(process.pid)) < 2:
        assert time.monotonic() < until, "no workers"
        time.sleep(0.05)
    workers = children(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=150)  # the six shards would take 384 s
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    _, alive = psutil.wait_procs(workers, timeout=150)
    assert not alive


def test_a_task_of_a_run_that_ended_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "ENDED", {"run"})
    job: Any = None  # would fail if the task began
    assert "was stopped" in str(cluster_module.work_job(job, {}, {}, "run"))


def children(pid: int) -> list[psutil.Process]:
    return list(psutil.Process(pid).children(recursive=True))


@pytest.fixture
def secured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A scheduler with TLS and one worker; dask's configuration names the certificates."""
    security = distributed.security.Security.temporary()
    files = {"ca-file": security.tls_ca_file, "cert": security.tls_client_cert}
    files["key"] = security.tls_client_key
    words = []
    for name, text in files.items():
        (tmp_path / f"{name}.pem").write_text(text)
        words += [f"--tls-{name}", str(tmp_path / f"{name}.pem")]
    prefix = "DASK_DISTRIBUTED__COMM__TLS__"
    monkeypatch.setenv(f"{prefix}CA_FILE", str(tmp_path / "ca-file.pem"))
    monkeypatch.setenv(f"{prefix}CLIENT__CERT", str(tmp_path / "cert.pem"))
    monkeypatch.setenv(f"{prefix}CLIENT__KEY", str(tmp_path / "key.pem"))
    running = Cluster(tmp_path, "--protocol", "tls", *words)
    running.add_worker()
    yield running
    running.close()


def test_scheduler_with_tls_needs_no_flag_and_refuses_others(
    many: Path, tmp_path: Path, whole: dict[str, str], secured: Cluster
) -> None:
    assert secured.address.startswith("tls://")
    process = start_on(secured.address, many, tmp_path / "out")
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, printed + errors
    assert errors == ""
    assert contents(tmp_path / "out") == whole

    async def plain() -> None:
        address = secured.address.replace("tls://", "tcp://")
        await asyncio.wait_for(distributed.rpc(address).identity(), 20)

    with pytest.raises(OSError, match="before comm was established"):
        asyncio.run(plain())


def test_scheduler_without_tls_needs_a_flag_and_warns(
    many: Path, tmp_path: Path, cluster: Cluster
) -> None:
    with pytest.raises(ReleaseError, match="--insecure-scheduler"):
        privatize_dataset(many, tmp_path / "out", OPTIONS, engine="dask", scheduler=cluster.address)
    assert not (tmp_path / "out").exists()
    cluster.add_worker()
    process = start_on(cluster.address, many, tmp_path / "out")
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, printed + errors
    assert errors.startswith("warning the scheduler has no TLS")


def another_deepfixcx(site: Path, **changes: tuple[str, str]) -> Path:
    """Copy the package, with changes in modules of it."""
    shutil.copytree(
        Path(deepfixcx.__file__).parent,
        site / "deepfixcx",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for module, (old, new) in changes.items():
        path = next((site / "deepfixcx").rglob(f"{module}.py"))
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
    return site


@pytest.mark.parametrize(
    ("module", "old", "new", "message"),
    [
        ("__init__", f'__version__ = "{deepfixcx.__version__}"', '__version__ = "0.0.1"',
         f"deepfixcx 0.0.1 instead of {deepfixcx.__version__}"),
        ("cluster", "def work_job", "def another_name", "AttributeError.*same version"),
        ("workers", "waiting = Waiting(jobs)", "raise MemoryError", "MemoryError.*enough memory"),
    ],
)  # fmt: skip
def test_worker_that_cannot_work_is_named_and_is_no_lost_cluster(
    module: str, old: str, new: str, message: str, many: Path, tmp_path: Path, cluster: Cluster
) -> None:
    site = another_deepfixcx(tmp_path / "site of a worker", **{module: (old, new)})
    cluster.add_worker(site)
    with pytest.raises(ReleaseStoppedError, match=message) as caught:
        privatize_dataset(
            many, tmp_path / "out", OPTIONS, engine="dask", scheduler=cluster.address,
            insecure_scheduler=True,
        )  # fmt: skip
    assert "lost" not in str(caught.value)
    assert read_status(tmp_path / "out").shards_done == 0


@pytest.fixture
def dying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose workers end at their first task, as where the memory is too small."""
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
    end = "import os; os.kill(os.getpid(), 9)\n    own = software()"
    return another_deepfixcx(tmp_path / "dying", cluster=("own = software()", end))


def on_cluster(images: Path, out: Path, cluster: Cluster, *, resume: bool = False) -> None:
    privatize_dataset(
        images, out, OPTIONS, engine="dask", scheduler=cluster.address, insecure_scheduler=True,
        resume=resume,
    )  # fmt: skip


def test_worker_that_dies_again_and_again_is_named_and_is_no_lost_cluster(
    many: Path, tmp_path: Path, whole: dict[str, str], dying: Path, cluster: Cluster
) -> None:
    with (
        cluster.replaced_when_it_dies(dying),
        pytest.raises(ReleaseStoppedError, match="stopped repeatedly on one shard") as reported,
    ):
        on_cluster(many, tmp_path / "out", cluster)
    assert "connection" not in str(reported.value)
    status = read_status(tmp_path / "out")
    assert (status.state, status.shards_done) == ("stopped", 0)
    cluster.add_worker()
    on_cluster(many, tmp_path / "out", cluster, resume=True)
    assert contents(tmp_path / "out") == whole


def test_cluster_that_lost_its_last_worker_stops_the_run(
    many: Path, tmp_path: Path, dying: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "SECONDS_WITHOUT_WORKERS", 1)
    cluster.add_worker(dying)
    with pytest.raises(ReleaseStoppedError, match=r"had no worker for \d+ s.*--resume"):
        on_cluster(many, tmp_path / "out", cluster)
    assert read_status(tmp_path / "out").state == "stopped"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("localhost", "is not an address"),
        ("tls://localhost", "is not an address"),
        ("tls://localhost:port", "is not an address"),
        ("tls://:8786", "is not an address"),
        ("inproc://127.0.0.1:8786", "is not an address"),
        ("tls://127.0.0.1:9", "refused"),
        ("tls://host.invalid:8786", "can be reached"),
    ],
)
def test_address_without_a_scheduler_is_refused_at_once(
    address: str, message: str, many: Path, tmp_path: Path
) -> None:
    with pytest.raises(ReleaseError, match=message):
        privatize_dataset(many, tmp_path / "out", OPTIONS, engine="dask", scheduler=address)
    assert not (tmp_path / "out").exists()


def test_worker_is_not_taken_for_a_scheduler(many: Path, tmp_path: Path) -> None:
    async def refused() -> None:
        async with (
            distributed.Scheduler(
                protocol="tcp://", host="127.0.0.1", port=0, dashboard_address=":0"
            ) as scheduler,
            distributed.Worker(scheduler.address, nthreads=1, dashboard_address=":0") as worker,
        ):
            await asyncio.to_thread(
                privatize_dataset, many, tmp_path / "out", OPTIONS, engine="dask",
                scheduler=worker.address, insecure_scheduler=True,
            )  # fmt: skip

    with pytest.raises(ReleaseError, match="not the address of a dask scheduler"):
        asyncio.run(refused())
