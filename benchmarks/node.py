"""A node against a direct connection: C-STORE → node → C-STORE, and dcmsend → storescp.

    python -m benchmarks.node [--files 200] [--rounds 3] [--flat 2000] [--size 512]
    python -m benchmarks.node --rounds 0 --survive 10000 [--kills 20] [--longest 20] [--seed 0]

Both send the same CT images with dcmsend, alternately, so that other load of the machine meets
both. The time of the node ends when the last de-identified object lies in the folder of storescp.
``--flat`` sends so many small objects and prints the memory of all processes of the node meanwhile.
``--survive`` sends so many small objects in five transfer syntaxes while the node is killed with
SIGKILL at random moments and started again, and the source repeats what failed; it prints how many
arrived, how often, and whether each has the bytes and pseudonyms of a run of ``deidentify`` on one
folder. Needs Debian's dcmtk and ``deepfixcx[node]``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread, examples, uid
from pydicom.uid import generate_uid

from deepfixcx.release import DeidentifyOptions, privatize_dataset

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


def family(parent: int) -> list[int]:
    """Return a process and its children."""
    # A thread of the node starts the workers, and each thread lists its own children.
    listed = Path(f"/proc/{parent}/task").glob("*/children")
    return [parent, *(int(each) for path in listed for each in path.read_text().split())]


def processor_s(parent: int) -> float:
    """Return the seconds of a core that a process and its children have used."""
    ticks = 0
    for process in family(parent):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mb(parent: int) -> float:
    """Return the resident memory of a process and its children, each its own share."""
    total = 0
    for process in family(parent):
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
        with bench.started() as process:
            warm = make_files(bench.folder / f"warm{number}", 4, 64)  # workers have started then
            send(bench.node, "NODE", warm[0].parent, bench.out, 4)
            emptied(bench.out)
            direct = send(bench.archive, "ARCHIVE", files, bench.out, count)
            emptied(bench.out)
            before = processor_s(process.pid)
            through = send(bench.node, "NODE", files, bench.out, count)
            used = (processor_s(process.pid) - before) / count
        ratios.append(direct / through)
        print(
            f"direct {count / direct:.1f} objects/s, through the node {count / through:.1f}, "
            f"ratio {direct / through:.2f}; {1000 * used:.1f} ms of a core an object"
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
            print(f"{done + 500} objects: {memory_mb(process.pid):.0f} MB", flush=True)


SYNTAXES = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.RLELossless,
    uid.JPEGLSLossless,
    uid.JPEG2000Lossless,
)


def make_mixed(folder: Path, count: int) -> None:
    """Write objects of 20 patients in five transfer syntaxes, 50 in a folder."""
    drawn = np.random.default_rng(0)
    for number in range(count):
        image = deepcopy(examples.ct)
        image.Rows = image.Columns = 32
        image.PixelData = drawn.integers(0, 2000, (32, 32)).astype("<u2").tobytes()
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        patient = number // 7 % 20
        image.PatientID, image.StudyInstanceUID = f"QX{patient}", f"1.2.3.{patient}"
        syntax = SYNTAXES[number % len(SYNTAXES)]
        if syntax.is_compressed:
            image.compress(syntax, generate_instance_uid=False)
        path = folder / f"{number // 50:04d}" / f"{number}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.file_meta.TransferSyntaxUID = syntax
        implicit = syntax.is_implicit_VR
        image.save_as(path, implicit_vr=implicit, little_endian=True, enforce_file_format=True)


class Mortal:
    """A node that is killed at random moments and started again, until `last`."""

    def __init__(self, folder: Path, kills: int, seed: int, longest_s: float) -> None:
        self._folder, self._kills, self._drawn = folder, kills, random.Random(seed)
        self._longest_s = longest_s
        self.killed, self.most_mb = 0, 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live)

    def __enter__(self) -> Mortal:
        """Start it."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self._ended.set()
        self._thread.join()

    def _live(self) -> None:
        words = (sys.executable, "-m", "deepfixcx", "node", "node.toml")
        while not self._ended.is_set():
            with running(*words, folder=self._folder, name="node") as process:
                until = None  # counted from when it listens, so that each has work in hand
                while not self._ended.wait(0.2):
                    log = (self._folder / "node.log").read_bytes()
                    if until is None and b'"started"' in log:
                        until = time.monotonic() + self._drawn.uniform(0.5, self._longest_s)
                    with contextlib.suppress(OSError, StopIteration):
                        self.most_mb = max(self.most_mb, memory_mb(process.pid))
                    if until and time.monotonic() > until and self.killed < self._kills:
                        process.kill()
                        self.killed += 1
                        break


def survive(bench: Bench, folder: Path, given: argparse.Namespace) -> None:
    """Send objects to a node that is killed again and again; print what arrived."""
    count, mixed = given.survive, given.mixed or folder / "mixed"
    if not mixed.exists():
        make_mixed(mixed, count)
    scp = (dcmtk("storescp"), "+xa", "+uf", "-od", str(bench.out), str(bench.archive))
    began, repeated = time.perf_counter(), 0
    dcmsend = [dcmtk("dcmsend"), "-v", "-dn", "-aec", "NODE", "127.0.0.1", str(bench.node), "+sd"]
    mortal = Mortal(bench.folder, given.kills, given.seed, given.longest)
    with running(*scp, folder=bench.folder, name="storescp"), mortal:
        for part in sorted(mixed.iterdir()):
            wanted = f"with status SUCCESS  : {len(list(part.iterdir()))}"
            while wanted not in subprocess.run(
                [*dcmsend, str(part)], capture_output=True, text=True, check=False
            ).stderr.replace("W: ", "I: "):
                repeated += 1
                time.sleep(1)
        wait_for(lambda: count_in(bench.out) >= count)
        settled = -1  # some may have come twice: the last has come when no more comes
        while settled != (settled := count_in(bench.out)):
            time.sleep(15)
    print(
        f"{count} objects, {mortal.killed} kills, {repeated} repeated sendings, "
        f"{time.perf_counter() - began:.0f} s; at most {mortal.most_mb:.0f} MB"
    )
    key = bench.folder / "hospital.key"
    out = folder / "release"
    options = DeidentifyOptions()
    privatize_dataset(mixed, out, options, key=key, workers=2)
    expected = {each.SOPInstanceUID: each for each in map(dcmread, out.rglob("*.dcm"))}
    arrived: dict[str, list[Dataset]] = {}
    for path in bench.out.iterdir():
        image = dcmread(path)
        arrived.setdefault(image.SOPInstanceUID, []).append(image)
    other = sum(
        any(each != expected.get(name) for each in images) for name, images in arrived.items()
    )
    print(
        f"{len(expected.keys() - arrived.keys())} missing, "
        f"{sum(len(images) > 1 for images in arrived.values())} more than once, {other} other than "
        "in a folder run"
    )


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--flat", type=int, default=0)
    parser.add_argument("--survive", type=int, default=0)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--longest", type=float, default=20.0, help="seconds until a kill")
    parser.add_argument("--mixed", type=Path, help="folder of these objects, made if missing")
    parser.add_argument("--seed", type=int, default=0)
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
        if given.survive:
            survive(bench, folder, given)


if __name__ == "__main__":
    main()
