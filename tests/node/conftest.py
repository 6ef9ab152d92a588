"""A node as its operator runs it: a process of its own; and the programs around it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread, examples
from pydicom.uid import generate_uid

from deepfixcx.node import NodeStatus, node_status, read_config
from tests.programs import program

PATIENCE_S = 60
CANARY = "Zebulon^Quxfoobar"
"""A name that nothing else holds; it must appear nowhere behind the node."""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(what: Callable[[], Any], patience_s: float = PATIENCE_S) -> None:
    until = time.monotonic() + patience_s
    while not what():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.1)


@contextmanager
def process(*words: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends, whatever happens in it."""
    with (folder / f"{Path(words[0]).name}.log").open("ab") as log:
        running = subprocess.Popen(words, stdout=log, stderr=log, cwd=folder)
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.wait(timeout=PATIENCE_S)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait(timeout=PATIENCE_S)


class Site:
    """A node, its configuration and the folder of its destination."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.archive_port = folder, free_port(), free_port()
        self.out, self.log = folder / "archive", folder / "node.log"
        self.out.mkdir()
        self.path = folder / "node.toml"
        self.running: subprocess.Popen[bytes] | None = None

    def configure(self, destination: str = "", more: str = "") -> None:
        """Write the configuration; without `destination` results go into a folder."""
        place = destination or 'kind = "folder"\npath = "archive"'
        self.path.write_text(f"""
[node]
title = "NODE"
folder = "spool"
port = {self.port}
workers = 1
[limits]
free_mb = 1
idle_s = 10
[[sources]]
title = "MODALITY"
[profiles.research]
kind = "deidentify"
key = "hospital.key"
[destinations.archive]
{place}
[[routes]]
name = "all"
profile = "research"
to = ["archive"]
{more}
""")

    def start(self) -> None:
        """Run the node and wait until it listens."""
        words = [sys.executable, "-m", "deepfixcx", "node", str(self.path)]
        before = self.log.read_bytes().count(b'"started"') if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(words, stdout=log, stderr=log, env=dict(os.environ))
        running = self.running
        wait_for(
            lambda: self.log.read_bytes().count(b'"started"') > before or running.poll() is not None
        )
        assert running.poll() is None, self.log.read_text()

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal to the node, and wait until it has ended."""
        if self.running is not None:
            with suppress(ProcessLookupError):
                self.running.send_signal(number)
            try:
                self.running.wait(timeout=PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.running.kill()
                self.running.wait(timeout=PATIENCE_S)
            self.running = None

    def send(self, *paths: Path, title: str = "MODALITY", check: bool = True) -> int:
        """Send files with dcmsend; return its exit code."""
        words = [
            program("dcmtk", "dcmsend"),
            "-v",
            "-dn",
            "-aet",
            title,
            "-aec",
            "NODE",
            "127.0.0.1",
        ]
        done = subprocess.run(
            [*words, str(self.port), *map(str, paths)],
            capture_output=True,
            timeout=PATIENCE_S,
            check=check,
        )
        if check:  # it ends with 0 also where an object was refused
            assert f"with status SUCCESS  : {len(paths)}" in (done.stdout + done.stderr).decode()
        return done.returncode

    def status(self) -> NodeStatus:
        """Return how far the node is."""
        return node_status(read_config(self.path))

    def settled(self) -> bool:
        """Return whether nothing waits."""
        status = self.status()
        waiting = sum(each["waiting"] for each in status.deliveries.values())
        return not status.objects["received"] and not waiting

    def results(self) -> list[Path]:
        """Return the files that have arrived."""
        return sorted(path for path in self.out.rglob("*") if path.is_file())

    def events(self) -> list[dict[str, Any]]:
        """Return the log."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def scan(number: int = 0, **values: object) -> Dataset:
    """Make an object of the patient whose name is searched for."""
    made: Dataset = deepcopy(examples.ct)
    made.PatientName, made.PatientID, made.InstanceNumber = CANARY, "QX-774411", number
    for name, value in values.items():
        setattr(made, name, value)
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    return made


def scans(folder: Path, count: int) -> list[Path]:
    """Write objects of one series."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.dcm" for number in range(count)]
    for number, path in enumerate(paths):
        scan(number).save_as(path)
    return paths


def instances(paths: list[Path]) -> list[str]:
    return sorted(str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in paths)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    try:
        yield made
    finally:
        made.stop()
