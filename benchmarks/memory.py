"""Peak memory of a release, over all its processes, as the number of files grows."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.command import arguments, finish, new_parser
from benchmarks.table import Table, number
from deepfixcx.bench.machine import describe_machine, write_samples

__all__ = ["Peak", "main", "memory_table", "peak_of"]

COUNTS, MANY, TINY = (1_000, 10_000), 100_000, (40, 80)
SIDE, TINY_SIDE = 320, 32
LINKS_A_FILE = 10_000
PAUSE = 0.05


@dataclass(frozen=True, slots=True)
class Peak:
    """The largest memory that a release held at one time.

    Attributes
    ----------
    files : int
        Of the release.
    parent, tree : int
        Resident bytes of the process that leads, and of all processes together. Memory that
        processes share counts once for each.
    seconds : float
        Wall time, start-up included.
    """

    files: int
    parent: int
    tree: int
    seconds: float


def link_samples(folder: Path, side: int, count: int) -> None:
    """Make many files of few: each is a hard link to one of a handful."""
    sources = write_samples(folder, "PNG", side, -(-count // LINKS_A_FILE))
    for number_of in range(len(sources), count):
        os.link(sources[number_of % len(sources)], folder / f"{number_of:06d}.png")


def peak_of(command: Sequence[str], files: int, pause: float = PAUSE) -> Peak:
    """Run a command and watch the memory of its processes.

    Raises
    ------
    RuntimeError
        The command failed.
    """
    import psutil

    parent = tree = 0
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        watched = psutil.Process(run.pid)
        while run.poll() is None:
            try:
                own = watched.memory_info().rss
                children = watched.children(recursive=True)
            except psutil.NoSuchProcess:
                break
            total = own
            for child in children:
                try:
                    total += child.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            parent, tree = max(parent, own), max(tree, total)
            time.sleep(pause)
    if run.returncode:
        raise RuntimeError(f"the release of {files} files ended with code {run.returncode}")
    return Peak(files, parent, tree, time.perf_counter() - began)


def memory_table(peaks: Sequence[Peak]) -> Table:
    """Lay the peaks out."""
    table = Table(["files", "all processes, MB", "of that the first, MB", "s"], words=0)
    for peak in peaks:
        table.add(
            f"{peak.files:,}", f"{peak.tree / 1e6:.0f}", f"{peak.parent / 1e6:.0f}",
            number(peak.seconds),
        )  # fmt: skip
    return table


def main(words: Sequence[str] | None = None) -> None:
    """Run releases of more and more files."""
    parser = new_parser(__doc__)
    parser.add_argument("--many", action="store_true", help=f"also {MANY:,} files")
    options = arguments(parser, words)
    options.rounds = 1
    machine = describe_machine()
    side, patches = (TINY_SIDE, 2) if options.tiny else (SIDE, 5)
    counts = TINY if options.tiny else (*COUNTS, *((MANY,) if options.many else ()))
    peaks = []
    for count in counts:
        with TemporaryDirectory(prefix="deepfixcx-bench-") as place:
            folder = Path(place) / "images"
            link_samples(folder, side, count)
            command = [
                sys.executable, "-m", "deepfixcx", "privatize", str(folder), f"{place}/release",
                "-J", "3", "-P", str(patches), "--output", "codes",
                "--workers", str(options.threads),
            ]  # fmt: skip
            peaks.append(peak_of(command, count))
        print(peaks[-1], flush=True)
    notes = [
        f"PNG of {side}×{side}, `privatize --output codes --workers {options.threads}`; resident "
        f"memory, in which what processes share counts once for each. The files are "
        f"hard links to one in {LINKS_A_FILE:,}."
    ]
    figures = [asdict(peak) for peak in peaks]
    flags = " --many" if options.many else ""
    finish(options, "memory", machine, [("", memory_table(peaks))], notes, figures, flags=flags)


if __name__ == "__main__":
    main()
