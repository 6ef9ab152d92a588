"""What `deepfixcx bench` measures, in less than a minute."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from deepfixcx.bench.bandwidth import read_bandwidth
from deepfixcx.bench.codecs import Speed, measure_decode, measure_encode
from deepfixcx.bench.disk import DiskSpeed, measure_disk
from deepfixcx.bench.loop import LoopTask
from deepfixcx.bench.machine import Machine, describe_machine
from deepfixcx.bench.samples import write_samples
from deepfixcx.release import ReleaseOptions
from deepfixcx.spec import CodecSpec

__all__ = ["DiskRow", "Results", "measure"]

SIDE = 320
ENCODE = ((1, 160), (2, 19), (3, 5), (5, 5), (6, 5), (8, 1))
QUICK_ENCODE = ((1, 160), (3, 5), (5, 5))
LARGE = (1024, 1024), (2320, 2828)
FROM_DISK = CodecSpec(level=3, patches=5)
WAVELET = "db2"


@dataclass(frozen=True, slots=True)
class DiskRow:
    """A release from disk: the kind and side of its files, what it writes, and its speed."""

    kind: str
    side: int
    output: str
    speed: DiskSpeed

    def to_dict(self) -> dict[str, object]:
        """Return plain JSON values."""
        speed = self.speed
        return {
            "kind": self.kind,
            "side": self.side,
            "output": self.output,
            "files": speed.files,
            "workers": speed.workers,
            "files_per_second": round(speed.privatize, 1),
            "files_per_second_with_start": round(speed.privatize_with_start, 1),
            "decode_files_per_second": round(speed.loop, 1),
            "decode_files_per_second_with_start": round(speed.loop_with_start, 1),
            "decode_share": round(speed.share, 3),
        }


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that was measured.

    Attributes
    ----------
    machine : Machine
        Where.
    quick : bool
        Whether less was measured, and fewer times.
    read_bytes_per_second : float
        The bandwidth of memory, with as many threads as the codec uses.
    memory : tuple of Speed
        Encode and decode.
    disk : tuple of DiskRow
        From disk.
    seconds : float
        How long it took.

    Examples
    --------
    >>> [round(speed.images_per_second) for speed in measure(quick=True).memory]  # doctest: +SKIP
    """

    machine: Machine
    quick: bool
    read_bytes_per_second: float
    memory: tuple[Speed, ...]
    disk: tuple[DiskRow, ...]
    seconds: float


def measure(
    *, quick: bool = False, workers: int = 1, say: Callable[[str], object] | None = None
) -> Results:
    """Measure encode, decode and a release from disk on this machine.

    Parameters
    ----------
    quick : bool
        Fewer settings and fewer rounds.
    workers : int
        Processes of the release from disk.
    say : callable, optional
        Told what is measured next.

    Returns
    -------
    Results

    Raises
    ------
    ReleaseError
        A release in the folder for temporary files cannot be made.

    Examples
    --------
    >>> results = measure(quick=True)  # doctest: +SKIP
    """
    began = time.perf_counter()
    tell = say or (lambda _: None)
    machine = describe_machine()
    rounds = 3 if quick else 7
    tell("memory bandwidth")
    bandwidth = read_bandwidth(rounds)
    tell("encode and decode")
    memory = tuple(_in_memory(quick, rounds))
    tell("a release from disk")
    disk = tuple(_from_disk(quick, workers))
    return Results(machine, quick, bandwidth, memory, disk, time.perf_counter() - began)


def _in_memory(quick: bool, rounds: int) -> Iterator[Speed]:
    seconds = 0.05 if quick else 0.1
    for level, patches in QUICK_ENCODE if quick else ENCODE:
        for dtype in ("float32", "uint8"):
            spec = CodecSpec(level, patches)
            yield measure_encode(spec, SIDE, SIDE, dtype, rounds=rounds, seconds=seconds)
    if not quick:
        for height, width in LARGE:
            yield measure_encode(FROM_DISK, height, width, "uint8", rounds=rounds, seconds=seconds)
        spec = CodecSpec(FROM_DISK.level, FROM_DISK.patches, WAVELET)
        yield measure_encode(spec, SIDE, SIDE, rounds=rounds, seconds=seconds)
    for size in ("compact", "original"):
        yield measure_decode(FROM_DISK, SIDE, SIDE, size, rounds=rounds, seconds=seconds)


def _from_disk(quick: bool, workers: int) -> Iterator[DiskRow]:
    kinds = {"PNG": 600} if quick else {"PNG": 1500, "JPEG": 1500, "DICOM": 1500}
    for kind, count in kinds.items():
        with TemporaryDirectory(prefix="deepfixcx-bench-") as place:
            folder = Path(place) / "images"
            paths = write_samples(folder, kind, SIDE, count)
            runs: dict[str, tuple[ReleaseOptions, LoopTask]] = {
                "codes": (ReleaseOptions(FROM_DISK, output="codes"), "decode")
            }
            speed = measure_disk(folder, paths, runs, workers, rounds=1 if quick else 2)
            yield DiskRow(kind, SIDE, "codes", speed["codes"])
