"""What `deepfixcx bench` measures, in less than a minute: in memory, and a release from disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.bench.disk import DiskSpeed, LoopTask, measure_disk
from deepfixcx.bench.machine import (
    Machine,
    describe_machine,
    median_seconds,
    read_bandwidth,
    sample_pixels,
    write_samples,
)
from deepfixcx.choices import Size
from deepfixcx.codec import Codec
from deepfixcx.release import ReleaseOptions
from deepfixcx.spec import CodecSpec

__all__ = ["DiskRow", "Results", "Speed", "measure", "measure_decode", "measure_encode"]

MOST_BYTES = 1 << 29
MOST_IMAGES = 4096


@dataclass(frozen=True, slots=True)
class Speed:
    """One measured speed.

    Attributes
    ----------
    task : str
        ``"encode"``, ``"decode compact"`` or ``"decode original"``.
    level, patches : int
        J and P.
    wavelet : str
        Its name.
    height, width : int
        Of the images.
    dtype : str
        Of the pixels.
    images : int
        Images a call.
    seconds : float
        Median of a call.
    bytes_moved : int
        Bytes of pixels and codes that one call reads and writes.

    Examples
    --------
    >>> speed = Speed("encode", 3, 4, "haar", 320, 320, "uint8", 64, 0.016, 6_815_744)
    >>> speed.images_per_second, round(speed.bytes_per_second / 1e6)
    (4000.0, 426)
    """

    task: str
    level: int
    patches: int
    wavelet: str
    height: int
    width: int
    dtype: str
    images: int
    seconds: float
    bytes_moved: int

    @property
    def images_per_second(self) -> float:
        """Images a second."""
        return self.images / self.seconds

    @property
    def bytes_per_second(self) -> float:
        """Bytes in plus bytes out, a second."""
        return self.bytes_moved / self.seconds

    def to_dict(self, read_bytes_per_second: float) -> dict[str, object]:
        """Return plain JSON values, with the share of the bandwidth reached."""
        return {
            **asdict(self),
            "seconds": round(self.seconds, 6),
            "images_per_second": round(self.images_per_second, 1),
            "bytes_per_second": round(self.bytes_per_second),
            "bandwidth_share": round(self.bytes_per_second / read_bytes_per_second, 4),
        }


def measure_encode(
    spec: CodecSpec,
    height: int,
    width: int,
    dtype: str = "float32",
    *,
    rounds: int = 7,
    seconds: float = 0.15,
) -> Speed:
    """Measure `Codec.encode`."""
    codec = Codec(spec)
    most = min(MOST_IMAGES, MOST_BYTES // (height * width * np.dtype(dtype).itemsize))
    few = sample_pixels(min(4, max(1, most)), height, width, dtype)
    images = _fitting(lambda: codec.encode(few[:, None]), len(few), seconds, most)
    pixels = np.resize(few, (images, 1, height, width))
    taken = median_seconds({"encode": lambda: codec.encode(pixels)}, rounds)["encode"]
    moved = pixels.nbytes + 4 * images * spec.numbers(1)
    return _speed("encode", spec, pixels, taken, moved)


def measure_decode(
    spec: CodecSpec,
    height: int,
    width: int,
    size: Size = "compact",
    *,
    rounds: int = 7,
    seconds: float = 0.15,
) -> Speed:
    """Measure `Codec.decode`."""
    codec = Codec(spec)
    side = height * width if size == "original" else int(np.prod(spec.compact_shape()))
    most = min(MOST_IMAGES, MOST_BYTES // (4 * max(side, spec.numbers(1))))
    few = sample_pixels(min(4, max(1, most)), height, width)
    code = codec.encode(few[:, None])
    images = _fitting(lambda: codec.decode(code, size), len(few), seconds, most)
    pixels = np.resize(few, (images, 1, height, width))
    codes = codec.encode(pixels)
    taken = median_seconds({"decode": lambda: codec.decode(codes, size)}, rounds)["decode"]
    moved = 4 * images * (spec.numbers(1) + side)
    return _speed(f"decode {size}", spec, pixels, taken, moved)


def _fitting(call: Any, images: int, seconds: float, most: int) -> int:
    """Return how many images take about so many seconds, from a call on a few."""
    call()
    began = time.perf_counter()
    call()
    taken = max(time.perf_counter() - began, 1e-6)
    return max(1, min(most, max(images, round(images * seconds / taken))))


def _speed(task: str, spec: CodecSpec, pixels: NDArray[Any], taken: float, moved: int) -> Speed:
    images, _, height, width = pixels.shape
    return Speed(
        task=task,
        level=spec.level,
        patches=spec.grid_shape[0],
        wavelet=spec.wavelet,
        height=height,
        width=width,
        dtype=pixels.dtype.name,
        images=images,
        seconds=taken,
        bytes_moved=moved,
    )


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
        Receives what is measured next.

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
    say = say or (lambda _: None)
    machine = describe_machine()
    rounds = 3 if quick else 7
    say("memory bandwidth")
    bandwidth = read_bandwidth(rounds)
    say("encode and decode")
    memory = tuple(_in_memory(quick, rounds))
    say("a release from disk")
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
