"""An upload becomes pixels in memory; it is never written to a file.

The body of the request is collected in memory, up to a limit, and decoded by a process of its own,
which is this module run as a program: a file that crashes or stalls a decoder ends that process and
not the page. The name of the file is never sent.
"""

from __future__ import annotations

import asyncio
import io
import json
import resource
import struct
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from threading import Lock, Timer
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import (
    DecodeError,
    DeepfixcxError,
    EmptyFileError,
    ImageFileError,
    OversizedImageError,
)
from deepfixcx.images import ImageFrames, read_image
from deepfixcx.images.dicom.reading import DicomValues, read_dicom_values
from deepfixcx.images.reading import QUIET, open_image
from deepfixcx.images.volumes import Volume, read_with_values
from deepfixcx.studio.units import Units

__all__ = ["MOST_BYTES", "Picture", "Reader", "Solid", "gather", "picture_from", "picture_of"]
__all__ += ["solid_from", "values_of"]

MOST_BYTES = 256 << 20
"""Size of the largest file that is accepted."""

MOST_PIXELS = 1 << 26
"""Height x width x frames above which a file is refused: 64 million."""

MOST_MEMORY = 6 << 30
"""Bytes of address space of the decoder: a decompression bomb ends the decoder, not the machine."""

DECODE_SECONDS = 60.0
"""Time limit of the decoder."""

SLOW = f"decoding took longer than {DECODE_SECONDS:.0f} seconds and was stopped"

TOO_LARGE = (
    f"the file is larger than {MOST_BYTES >> 20:,} MiB, the limit of the studio; "
    "use deepfixcx show instead"
)

INCOMPLETE = "the upload is incomplete; send the files again"

LENGTH = struct.Struct("<Q")
"""What stands before each file, and before each answer."""

ASKED = struct.Struct("<?I")
"""What stands before the files of a request: whether they are a volume, and how many they are."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One image: frames (F, C, H, W), bytes of its file (0 without one), description and depth."""

    frames: NDArray[Any]
    file_bytes: int
    words: str
    bits: int = 8
    units: Units = field(default_factory=Units)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a frame."""
        _, channels, height, width = self.frames.shape
        return channels, height, width


@dataclass(frozen=True, eq=False, slots=True)
class Solid:
    """One volume: voxels (T, 1, D, H, W), its place in space, and what `Picture` has besides."""

    frames: NDArray[Any]
    affine: NDArray[np.float64]
    file_bytes: int
    words: str
    bits: int
    units: Units

    @property
    def size(self) -> tuple[int, int, int]:
        """Slices, rows and columns."""
        depth, height, width = self.frames.shape[2:]
        return depth, height, width


def picture_of(found: ImageFrames, file_bytes: int) -> Picture:
    """Describe frames by their size, depth, colour, number and format."""
    count, channels, height, width = found.pixels.shape
    words = [f"{height:,} × {width:,} pixels", f"{found.bits} bit"]
    words += ["colour"] if channels == 3 else []
    words += [f"{count} frames"] if count > 1 else []
    return Picture(found.pixels, file_bytes, ", ".join([*words, found.format]), found.bits)


async def picture_from(content: bytes) -> Picture:
    """Decode an image in a process of its own, and describe it."""
    return _answered(await _asked_once(_request([content])), len(content))


async def solid_from(body: bytes) -> Solid:
    """Decode the files of a volume, each behind its length, in a process of its own."""
    contents, place = [], 0
    while place < len(body):
        start = place + LENGTH.size
        if start > len(body):
            raise DecodeError(INCOMPLETE)
        place = start + LENGTH.unpack_from(body, place)[0]
        contents.append(body[start:place])
    if place != len(body):
        raise DecodeError(INCOMPLETE)
    answer = await _asked_once(_request(contents, solid=True))
    return _answered_solid(answer, sum(map(len, contents)))


async def _asked_once(request: bytes) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *_decoder(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # messages of decoders may quote a header
    )
    try:
        answer, _ = await asyncio.wait_for(process.communicate(request), DECODE_SECONDS)
    except TimeoutError:
        raise DecodeError(SLOW) from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return answer[LENGTH.size :]


def _request(contents: Sequence[bytes], *, solid: bool = False) -> bytes:
    parts = [ASKED.pack(solid, len(contents))]
    for content in contents:
        parts += [LENGTH.pack(len(content)), content]
    return b"".join(parts)


def _decoder() -> list[str]:
    return [sys.executable, "-m", "deepfixcx.studio.uploads", str(MOST_PIXELS)]


class Reader:
    """A decoder that stays, for the images of the user's own folder: one starts in a second."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: Popen[bytes] | None = None

    def read(self, path: Path) -> Picture:
        """Decode a file; `DeepfixcxError` where that fails."""
        content = _contents([path])
        with self._lock:
            return _answered(self._asked(_request(content)), len(content[0]))

    def read_solid(self, paths: Sequence[Path]) -> Solid:
        """Decode the file, or the files of a series, of a volume."""
        contents = _contents(paths)
        with self._lock:
            answer = self._asked(_request(contents, solid=True))
        return _answered_solid(answer, sum(map(len, contents)))

    def close(self) -> None:
        """Stop the decoder; it also stops when this process ends, and the next file starts one."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate(timeout=60)

    def _asked(self, request: bytes) -> bytes:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = Popen(_decoder(), stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
        process = self._process
        timer = Timer(DECODE_SECONDS, process.kill)
        timer.daemon = True
        timer.start()
        try:
            if process.stdin is None or process.stdout is None:
                return b""
            process.stdin.write(request)
            process.stdin.flush()
            head = process.stdout.read(LENGTH.size)
            return process.stdout.read(LENGTH.unpack(head)[0]) if head else b""
        except (OSError, struct.error):
            return b""  # it stopped, and the next file gets another one
        finally:
            timer.cancel()


def _contents(paths: Sequence[Path]) -> list[bytes]:
    found: list[bytes] = []
    for path in paths:
        with open_image(path) as file:
            found.append(file.read(MOST_BYTES + 1))
        if sum(map(len, found)) > MOST_BYTES:
            raise OversizedImageError(TOO_LARGE)
    return found


def _answered(answer: bytes, file_bytes: int) -> Picture:
    """Read what a decoder wrote of an image."""
    about, pixels, units = _parts(answer)
    frames = ImageFrames(pixels, int(about["bits"]), str(about["format"]))
    return replace(picture_of(frames, file_bytes), units=units)


def _answered_solid(answer: bytes, file_bytes: int) -> Solid:
    """Read what a decoder wrote of a volume, and describe it."""
    about, voxels, units = _parts(answer)
    times, _, depth, height, width = voxels.shape
    bits, affine = int(about["bits"]), np.array(about["affine"], np.float64)
    words = [f"{depth:,} slices of {height:,} × {width:,} pixels", f"{bits} bit"]
    words += [f"{times:,} times"] if times > 1 else []
    words.append(str(about["format"]))
    return Solid(voxels, affine, file_bytes, ", ".join(words), bits, units)


def _parts(answer: bytes) -> tuple[dict[str, Any], NDArray[Any], Units]:
    """Read a line of JSON, the pixels, and where there are any the values."""
    head, _, body = answer.partition(b"\n")
    rest = io.BytesIO(body)
    try:
        about = json.loads(head)
        if "reason" in about:
            raise ImageFileError(str(about["reason"]))
        pixels = np.load(rest, allow_pickle=False)
        units = Units()
        if "unit" in about:
            values = np.load(rest, allow_pickle=False)
            units = Units(values, about["unit"], about["windows"])
    except (ValueError, KeyError, TypeError, EOFError):
        raise DecodeError(
            "the decoder stopped its process on this file, which may be damaged"
        ) from None
    return about, pixels, units


async def gather(stream: AsyncIterator[bytes], announced: int | None, most: int) -> bytes:
    """Collect a body in memory; never more than `most` bytes, whatever length it announces."""
    refusal = OversizedImageError(TOO_LARGE)
    if announced is not None and announced > most:
        raise refusal
    held = bytearray()
    async for piece in stream:
        held += piece
        if len(held) > most:
            raise refusal
    if not held:
        raise EmptyFileError("the file has no bytes; copy it again from its source")
    return bytes(held)


def main(most_pixels: int) -> None:
    """Decode what standard input brings, request after request, each file behind its length."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the image
    take = sys.stdin.buffer.read
    while head := take(ASKED.size):
        solid, count = ASKED.unpack(head)
        files = [io.BytesIO(take(LENGTH.unpack(take(LENGTH.size))[0])) for _ in range(count)]
        answer = _decoded(files, most_pixels, solid=solid)
        sys.stdout.buffer.write(LENGTH.pack(len(answer)))
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()


def _decoded(files: Sequence[io.BytesIO], most_pixels: int, *, solid: bool) -> memoryview:
    """Return a line of JSON, and behind it the pixels and the values as NumPy arrays."""
    whole = io.BytesIO()
    about: dict[str, object]
    try:
        if solid:
            volume, found = _volume_of(files, most_pixels)
            about = {"affine": volume.affine.tolist()}
            pixels, bits, kind = volume.voxels, volume.bits, volume.format
        else:
            frames = read_image(files[0], max_pixels=most_pixels)
            about, found = {}, values_of(files[0], frames)
            pixels, bits, kind = frames.pixels, frames.bits, frames.format
        about |= {"bits": bits, "format": kind}
        if found is not None:
            about |= {"unit": found.unit, "windows": found.windows}
        whole.write(json.dumps(about).encode() + b"\n")
        np.save(whole, pixels, allow_pickle=False)
        if found is not None:
            np.save(whole, found.values, allow_pickle=False)
    except DeepfixcxError as error:
        whole = io.BytesIO(json.dumps({"reason": str(error)}).encode() + b"\n")
    return whole.getbuffer()


def _volume_of(files: Sequence[io.BytesIO], most_pixels: int) -> tuple[Volume, DicomValues | None]:
    """Read a volume with its values; a volume is shown without them, too."""
    volume, found = read_with_values(files, max_pixels=most_pixels)
    fits = found.values.shape == (len(volume.voxels), *volume.size)
    return volume, found if fits else None


def values_of(file: io.BytesIO, frames: ImageFrames) -> DicomValues | None:
    """Return the values of a gray DICOM file before its window; an image is shown without, too."""
    if frames.format != "DICOM" or frames.pixels.shape[1] != 1:
        return None
    try:
        file.seek(0)
        with QUIET:
            found = read_dicom_values(file)
    except Exception:  # readers of other people raise what they like, and the image was read
        return None
    return found if found and found.values.shape == frames.pixels[:, 0].shape else None


if __name__ == "__main__":
    main(int(sys.argv[1]))
