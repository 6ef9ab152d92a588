"""What speeds are measured with: the machine, its clock and bandwidth, and synthetic images."""

from __future__ import annotations

import io
import os
import platform
import statistics
import struct
import time
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numba
import numpy as np
from numpy.typing import NDArray

from deepfixcx import __version__
from deepfixcx._kernels.threads import thread_count
from deepfixcx.errors import SpecError
from deepfixcx.images import phantom
from deepfixcx.io.files import make_folder, write_file

__all__ = [
    "FILE_KINDS",
    "Machine",
    "MemoryReader",
    "by_turns",
    "cache_bytes",
    "describe_machine",
    "median_seconds",
    "read_bandwidth",
    "sample_pixels",
    "write_samples",
]


def by_turns(
    calls: Mapping[str, Callable[[], object]], rounds: int = 7, *, warm: bool = True
) -> dict[str, list[float]]:
    """Call each of `calls` once a round, and return the seconds of every round."""
    if warm:
        for call in calls.values():
            call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def median_seconds(
    calls: Mapping[str, Callable[[], object]], rounds: int = 7, *, warm: bool = True
) -> dict[str, float]:
    """Return the median of the seconds that `by_turns` measures."""
    timed = by_turns(calls, rounds, warm=warm)
    return {name: statistics.median(seconds) for name, seconds in timed.items()}


LEAST_BYTES, MOST_BYTES = 1 << 28, 1 << 30
TIMES_THE_CACHE = 2
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class MemoryReader:
    """An array far beyond the caches, and a call that reads all of it."""

    def __init__(self, threads: int | None = None, nbytes: int | None = None) -> None:
        threads = thread_count() if threads is None else threads
        values = np.ones((_array_bytes() if nbytes is None else nbytes) // 4, np.float32)
        self.nbytes = int(values.nbytes)
        self._parts = np.array_split(values, threads)
        self._pool = ThreadPoolExecutor(threads)

    def read(self) -> float:
        """Sum up the array, each thread its part, and return the sum."""
        return float(sum(self._pool.map(_total, self._parts)))


def read_bandwidth(
    rounds: int = 7, *, threads: int | None = None, nbytes: int | None = None
) -> float:
    """Sum up a large array and return the bytes read a second."""
    reader = MemoryReader(threads, nbytes)
    return reader.nbytes / median_seconds({"read": reader.read}, rounds)["read"]


def cache_bytes() -> int:
    """Return the size of the largest cache of the first core, 0 where the system does not say."""
    sizes = [0]
    for path in CACHES.glob("index*/size"):
        text = path.read_text("ascii").strip()
        if text[:-1].isdecimal() and text[-1] in UNITS:
            sizes.append(int(text[:-1]) * UNITS[text[-1]])
    return max(sizes)


def _array_bytes() -> int:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    wanted = min(max(TIMES_THE_CACHE * cache_bytes(), LEAST_BYTES), MOST_BYTES)
    return min(wanted, memory // 8)


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _total(values):
    total = np.float32(0)
    for place in range(values.size):
        total += values[place]
    return total


PROCESSORS = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine and how busy it was.

    Attributes
    ----------
    processor : str
        Its name, or its architecture where the system names no more.
    cores : int
        Cores that this process may use.
    threads : int
        Threads that the codec uses.
    memory_bytes : int
        Main memory.
    load_average : float
        Processes that wanted to run in the last minute, before anything was measured. More than a
        few tenths mean that the machine was shared.
    python, numpy, numba, deepfixcx : str
        Versions.

    Examples
    --------
    >>> print(Machine("a processor", 2, 2, 4 << 30, 0.25, "3.11.7", "2.4.6", "0.68.1", "0.1.0"))
    a processor, 2 cores, 2 threads; load average 0.25 at the start; deepfixcx 0.1.0, Python
    3.11.7, NumPy 2.4.6, numba 0.68.1
    """

    processor: str
    cores: int
    threads: int
    memory_bytes: int
    load_average: float
    python: str
    numpy: str
    numba: str
    deepfixcx: str

    def __str__(self) -> str:
        """Return one line for below a table."""
        return (
            f"{self.processor}, {self.cores} cores, {self.threads} threads; load average "
            f"{self.load_average:.2f} at the start; deepfixcx {self.deepfixcx}, Python "
            f"{self.python}, NumPy {self.numpy}, numba {self.numba}"
        )


def describe_machine() -> Machine:
    """Ask the system what it is and how busy it is now."""
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        threads=thread_count(),
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        load_average=round(os.getloadavg()[0], 2),
        python=platform.python_version(),
        numpy=version("numpy"),
        numba=version("numba"),
        deepfixcx=__version__,
    )


def _processor() -> str:
    if PROCESSORS.is_file():
        for line in PROCESSORS.read_text("utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


# -- synthetic images: in memory, and as files of every kind

DISTINCT = 8
"""Images drawn a folder; the files made of one differ in a comment or an identifier."""

NOISE = 0.01
DRAWN_SIDE = 512
UID_ROOT: Final = "1.2.826.0.1.3680043.10.543."


def sample_pixels(
    count: int, height: int, width: int, dtype: str = "float32", seed: int = 0
) -> NDArray[Any]:
    """Draw a radiograph and put noise of its own on every copy."""
    rng = np.random.default_rng(seed)
    drawn = phantom(rng, min(max(height, width), DRAWN_SIDE))
    rows, columns = (np.arange(size) * len(drawn) // size for size in (height, width))
    large = drawn[rows[:, None], columns]
    pixels = np.empty((count, height, width), dtype)
    scale = 1 if dtype == "float32" else np.iinfo(dtype).max
    for image in pixels:
        noisy = 0.9 * large + np.float32(0.1) * rng.random(large.shape, np.float32)
        image[:] = noisy * scale
    return pixels


def write_samples(folder: Path, kind: str, side: int, count: int, seed: int = 0) -> list[Path]:
    """Write files of one kind, no two with the same bytes."""
    if kind not in FILE_KINDS:
        raise SpecError(f"unknown kind of file {kind!r}; choose one of: {', '.join(FILE_KINDS)}")
    suffix, write, number_it = FILE_KINDS[kind]
    contents = []
    for rng in np.random.default_rng(seed).spawn(min(DISTINCT, count)):
        noisy = phantom(rng, side) + rng.normal(0, NOISE, (side, side))
        contents.append(write(np.clip(noisy, 0, 1)))
    make_folder(folder)
    paths = [folder / f"{number:06d}{suffix}" for number in range(count)]
    for number, path in enumerate(paths):
        content = number_it(contents[number % len(contents)], number)
        write_file(path, content, replace=True, durable=False)
    return paths


def _picture(pixels: NDArray[Any], name: str, **options: Any) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.rint(255 * pixels).astype(np.uint8)).save(stream, name, **options)
    return stream.getvalue()


def _png(pixels: NDArray[Any]) -> bytes:
    return _picture(pixels, "PNG")


def _jpeg(pixels: NDArray[Any]) -> bytes:
    return _picture(pixels, "JPEG", quality=90)


def _dicom(pixels: NDArray[Any], *, compressed: bool = False) -> bytes:
    """Write twelve bits a pixel, as detectors of radiographs do."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, SecondaryCaptureImageStorage

    data = Dataset()
    data.SOPClassUID = SecondaryCaptureImageStorage
    data.SOPInstanceUID = _uid(0)
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.PixelData = np.rint(4095 * pixels).astype("<u2").tobytes()
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if compressed:
        data.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _dicom_jpeg2000(pixels: NDArray[Any]) -> bytes:
    return _dicom(pixels, compressed=True)


def _uid(number: int) -> str:
    return f"{UID_ROOT}1{number:09d}"


def _numbered_png(content: bytes, number: int) -> bytes:
    """Put a comment behind the header, which ends at byte 33."""
    text = b"tEXtComment\0%d" % number
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    return content[:33] + chunk + content[33:]


def _numbered_jpeg(content: bytes, number: int) -> bytes:
    """Put a comment behind the first marker."""
    text = b"%d" % number
    return content[:2] + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + content[2:]


def _numbered_dicom(content: bytes, number: int) -> bytes:
    return content.replace(_uid(0).encode(), _uid(number).encode())


Writer = Callable[[NDArray[Any]], bytes]
FILE_KINDS: Final[dict[str, tuple[str, Writer, Callable[[bytes, int], bytes]]]] = {
    "PNG": (".png", _png, _numbered_png),
    "JPEG": (".jpg", _jpeg, _numbered_jpeg),
    "DICOM": (".dcm", _dicom, _numbered_dicom),
    "DICOM JPEG 2000": (".dcm", _dicom_jpeg2000, _numbered_dicom),
}
"""Kinds of files, each with its suffix, its writer, and what makes copies differ."""
