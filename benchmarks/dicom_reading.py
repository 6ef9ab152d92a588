"""Image files, damaged at random: nothing may crash, hang, or take all memory.

Each damaged file is read, its header de-identified and a derived DICOM image made of it, as
``privatize --output dicom`` does, in a process that is watched: a file on which it dies, or is
silent for ten seconds, is counted, and so is every error that is none of deepfixcx's own. Without a
folder of real files, those of benchmarks.formats are made: PNG, JPEG, BMP, TIFF and NIfTI.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

__all__ = ["Outcome", "damaged", "main", "watch"]

SECONDS, START_SECONDS = 10.0, 120.0
MOST_BYTES = 1 << 30
HEADER_BYTES = 2000
SUFFIXES = (".dcm", ".nii", ".gz", ".made")


@dataclass(slots=True)
class Outcome:
    """What became of all files.

    Attributes
    ----------
    files : int
        How many were tried.
    ends : Counter
        How often each error ended one; ``"read"`` where none did.
    foreign, died, hung : list of int
        Numbers of the files with another error, a death, or silence.
    slowest : float
        Seconds of the slowest file.
    peak_bytes : int
        Largest resident memory of the process, with all packages that it loads.
    """

    files: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    foreign: list[int] = field(default_factory=list)
    died: list[int] = field(default_factory=list)
    hung: list[int] = field(default_factory=list)
    slowest: float = 0.0
    peak_bytes: int = 0

    @property
    def sound(self) -> bool:
        """Whether nothing went wrong."""
        return not (self.foreign or self.died or self.hung) and self.peak_bytes < MOST_BYTES


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Change a few bytes, half of the time in the header; perhaps cut, repeat or drop a piece."""
    changed = bytearray(content)
    reach = min(HEADER_BYTES, len(changed)) if rng.random() < 0.5 else len(changed)
    for at in rng.integers(0, reach, rng.integers(1, 17)):
        changed[at] = rng.integers(0, 256)
    if rng.random() < 0.3:
        start, stop = sorted(int(at) for at in rng.integers(0, len(changed), 2))
        stop = min(stop, start + 4096)
        how = rng.integers(0, 3)
        if how == 0:
            del changed[start:]
        elif how == 1:
            del changed[start:stop]
        else:
            changed[start:start] = changed[start:stop]
    return bytes(changed)


def watch(folder: Path, count: int, seed: int) -> Outcome:
    """Damage files of a folder so many times, and watch what reading them does."""
    outcome, first = Outcome(), 0
    while first < count:
        words = [str(folder), "--count", str(count), "--seed", str(seed), "--first", str(first)]
        command = [sys.executable, "-m", "benchmarks.dicom_reading", *words, "--read"]
        # Without a buffer, so that select sees every line.
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        ) as process:
            assert process.stdout is not None
            first = _follow(process.stdout, first, count, outcome)
            process.kill()
    outcome.files = count
    return outcome


def _follow(told: IO[bytes], first: int, count: int, outcome: Outcome) -> int:
    """Take in what the reading process tells; return the number of the file to go on with."""
    patience = START_SECONDS
    while first < count:
        if not select.select([told], [], [], patience)[0]:
            outcome.hung.append(first)
            return first + 1
        line = told.readline()
        if not line:
            outcome.died.append(first)
            return first + 1
        patience = SECONDS
        number, end, seconds, peak = json.loads(line)
        if number < 0:
            continue  # it has loaded everything
        outcome.ends[end] += 1
        if end.startswith("foreign"):
            outcome.foreign.append(number)
        outcome.slowest = max(outcome.slowest, seconds)
        outcome.peak_bytes = max(outcome.peak_bytes, peak)
        first = number + 1
    return first


def _read_all(folder: Path, first: int, count: int, seed: int) -> None:
    """Read the damaged files one after the other, and tell of each."""
    from deepfixcx import CodecSpec
    from deepfixcx.deidentify import Deidentifier, Key, Profile
    from deepfixcx.errors import DeepfixcxError
    from deepfixcx.images import read_image
    from deepfixcx.images.reading import read_header
    from deepfixcx.release import ReleaseOptions
    from deepfixcx.release.dicom_output import DicomOutput, DicomSource

    paths = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES)
    sources = [content for path in paths if (content := path.read_bytes())]
    options = ReleaseOptions(CodecSpec(1, 2), output="dicom")
    output = DicomOutput(Deidentifier(Profile(), Key(bytes(32))), options)
    _tell(-1, "", 0.0)
    for number in range(first, count):
        rng = np.random.default_rng([seed, number])
        content = damaged(sources[number % len(sources)], rng)
        began, end = time.perf_counter(), "read"
        try:
            stream = io.BytesIO(content)
            frames = read_image(stream)
            small = [np.zeros((frames.pixels.shape[1], 4, 4))] * len(frames.pixels)
            output.dataset(DicomSource(read_header(stream), "0" * 64, frames, 0), small)
        except DeepfixcxError as error:
            end = type(error).__name__
        except Exception as error:
            end = f"foreign {type(error).__name__}"
        _tell(number, end, time.perf_counter() - began)


def _tell(number: int, end: str, seconds: float) -> None:
    peak = 1024 * int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0])
    print(json.dumps([number, end, seconds, peak]), flush=True)


def _make_all(folder: Path) -> None:
    """Write a file of every kind of picture and volume."""
    from benchmarks.formats import all_kinds

    modules = ("formats_tiff", "formats_pictures", "formats_nifti")
    for number, kind in enumerate(all_kinds(modules)):
        (folder / f"{number:04}.made").write_bytes(kind.content())


def main(arguments: list[str] | None = None) -> int:
    """Watch, and say what became of the files; the exit code is 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="of .dcm, .nii and .nii.gz files")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--read", action="store_true", help=argparse.SUPPRESS)
    chosen: Any = parser.parse_args(arguments)
    if chosen.read:
        _read_all(chosen.folder, chosen.first, chosen.count, chosen.seed)
        return 0
    if chosen.folder is None:
        with tempfile.TemporaryDirectory(prefix="deepfixcx-damaged-") as made:
            _make_all(Path(made))
            outcome = watch(Path(made), chosen.count, chosen.seed)
    else:
        outcome = watch(chosen.folder, chosen.count, chosen.seed)
    for end, files in outcome.ends.most_common():
        print(f"{files:6d}  {end}")
    print(f"died on {outcome.died}, silent on {outcome.hung}, other errors on {outcome.foreign}")
    print(f"slowest {outcome.slowest:.1f} s, memory at most {outcome.peak_bytes / 2**20:.0f} MiB")
    return 0 if outcome.sound else 1


if __name__ == "__main__":
    sys.exit(main())
