"""A node against a direct connection: C-STORE → node → C-STORE, and dcmsend → storescp.

    python -m benchmarks.node [--files 200] [--rounds 3] [--flat 2000] [--size 512]

Both send the same CT images with dcmsend, alternately, so that other load of the machine meets
both. The time of the node ends when the last de-identified object lies in the folder of storescp.
``--flat`` sends so many small objects and prints the memory of all processes of the node meanwhile.
Needs Debian's dcmtk and ``deepfixcx[node]``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

import numpy as np
from pydicom import examples
from pydicom.uid import generate_uid

PATIENCE_S = 600.0
SETTINGS = """
[node]
title = "NODE"
folder = "spool"
port = {node}
workers = {workers}
[limits]
free_mb = 100
[[sources]]
title = "DCMSEND"
[profiles.research]
kind = "deidentify"
key = "hospital.key"
[destinations.archive]
kind = "dicom"
title = "ARCHIVE"
host = "127.0.0.1"
port = {archive}
retry_s = 0.5
[[routes]]
name = "all"
profile = "research"
to = ["archive"]
"""


def dcmtk(name: str) -> str:
    """Return the path of a program of DCMTK; pynetdicom has scripts of the same names."""
    own = Path(sys.executable).parent
    folders = [each for each in os.environ["PATH"].split(os.pathsep) if Path(each) != own]
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        sys.exit(f"{name} is missing: apt-get install dcmtk")
    return found


def free_port() -> int:
    """Return a port that no program uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    until = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > until:
            sys.exit("waited too long")
        time.sleep(0.02)


@contextmanager
def running(*words: str, folder: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=folder)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()


def make_files(folder: Path, count: int, size: int) -> list[Path]:
    """Write CT images of random pixels."""
    folder.mkdir()
    drawn, paths = np.random.default_rng(0), []
    image = deepcopy(examples.ct)
    image.Rows = image.Columns = size
    for number in range(count):
        image.PixelData = drawn.integers(0, 2000, (size, size)).astype("<u2").tobytes()
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        paths.append(folder / f"{number}.dcm")
        image.save_as(paths[-1])
    return paths


def count_in(folder: Path) -> int:
    """Return how many files have arrived."""
    with os.scandir(folder) as entries:
        return sum(not entry.name.startswith(".") for entry in entries)


def send(port: int, title: str, folder: Path, out: Path, count: int) -> float:
    """Send a folder with dcmsend; return the seconds until all has arrived."""
    began = time.perf_counter()
    words = [dcmtk("dcmsend"), "-aec", title, "127.0.0.1", str(port), "+sd", str(folder)]
    subprocess.run(words, check=True, timeout=PATIENCE_S)
    wait_for(lambda: count_in(out) >= count)
    return time.perf_counter() - began


def memory_mb(parent: int) -> float:
    """Return the resident memory of a process and its children, each its own share."""
    total = 0
    # A thread of the node starts the workers, and each thread lists its own children.
    listed = Path(f"/proc/{parent}/task").glob("*/children")
    children = [each for path in listed for each in path.read_text().split()]
    for process in (parent, *map(int, children)):
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
        total += int(next(line for line in text.splitlines() if line.startswith("Pss:")).split()[1])
    return total / 1024


def emptied(folder: Path) -> Path:
    """Empty a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


class Bench:
    """A folder with storescp behind a node, and another one without."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder, self.node, self.archive = folder, free_port(), free_port()
        self.out = emptied(folder / "out")
        text = SETTINGS.format(node=self.node, archive=self.archive, workers=workers)
        (folder / "node.toml").write_text(text)

    @contextmanager
    def started(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run storescp and a new node."""
        emptied(self.out)
        shutil.rmtree(self.folder / "spool", ignore_errors=True)
        storescp = (dcmtk("storescp"), "-od", str(self.out), str(self.archive))
        words = (sys.executable, "-m", "deepfixcx", "node", "node.toml")
        with running(*storescp, folder=self.folder, name="storescp"):
            began = time.perf_counter()
            with running(*words, folder=self.folder, name="node") as process:
                wait_for(lambda: b'"started"' in (self.folder / "node.log").read_bytes())
                print(f"start: {time.perf_counter() - began:.2f} s")
                yield process


def compare(bench: Bench, files: Path, count: int, rounds: int) -> None:
    """Print the throughput of both ways, and their ratio."""
    ratios = []
    for number in range(rounds):
        with bench.started():
            warm = make_files(bench.folder / f"warm{number}", 4, 64)  # workers have started then
            send(bench.node, "NODE", warm[0].parent, bench.out, 4)
            emptied(bench.out)
            direct = send(bench.archive, "ARCHIVE", files, bench.out, count)
            emptied(bench.out)
            through = send(bench.node, "NODE", files, bench.out, count)
        ratios.append(direct / through)
        print(
            f"direct {count / direct:.1f} objects/s, through the node {count / through:.1f}, "
            f"ratio {direct / through:.2f}"
        )
    print(f"median ratio of {rounds} rounds: {statistics.median(ratios):.2f}")


def measure_memory(bench: Bench, folder: Path, count: int) -> None:
    """Print the memory of the node while many objects pass."""
    with bench.started() as process:
        for done in range(0, count, 500):
            files = make_files(folder / f"flat{done}", 500, 32)
            emptied(bench.out)
            send(bench.node, "NODE", files[0].parent, bench.out, 500)
            shutil.rmtree(files[0].parent)
            print(f"{done + 500} objects: {memory_mb(process.pid):.0f} MB")


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--flat", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench = Bench(folder, given.workers)
        if given.rounds:
            make_files(folder / "in", given.files, given.size)
            compare(bench, folder / "in", given.files, given.rounds)
        if given.flat:
            measure_memory(bench, folder, given.flat)


if __name__ == "__main__":
    main()
