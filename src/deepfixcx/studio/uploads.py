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
from collections.abc import AsyncIterator
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
from deepfixcx.studio.units import Units

__all__ = ["MOST_BYTES", "Picture", "Reader", "gather", "picture_from", "picture_of"]
__all__ += ["values_of"]

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

LENGTH = struct.Struct("<Q")
"""What stands before each file, and before each answer."""


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


def picture_of(found: ImageFrames, file_bytes: int) -> Picture:
    """Describe frames by their size, depth, colour, number and format."""
    count, channels, height, width = found.pixels.shape
    words = [f"{height:,} × {width:,} pixels", f"{found.bits} bit"]
    words += ["colour"] if channels == 3 else []
    words += [f"{count} frames"] if count > 1 else []
    return Picture(found.pixels, file_bytes, ", ".join([*words, found.format]), found.bits)


async def picture_from(content: bytes) -> Picture:
    """Decode an image in a process of its own, and describe it."""
    process = await asyncio.create_subprocess_exec(
        *_decoder(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # messages of decoders may quote a header
    )
    try:
        answer, _ = await asyncio.wait_for(
            process.communicate(LENGTH.pack(len(content)) + content), DECODE_SECONDS
        )
    except TimeoutError:
        raise DecodeError(SLOW) from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return _answered(answer[LENGTH.size :], len(content))


def _decoder() -> list[str]:
    return [sys.executable, "-m", "deepfixcx.studio.uploads", str(MOST_PIXELS)]


class Reader:
    """A decoder that stays, for the images of the user's own folder: one starts in a second."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: Popen[bytes] | None = None

    def read(self, path: Path) -> Picture:
        """Decode a file; `DeepfixcxError` where that fails."""
        with open_image(path) as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise OversizedImageError(TOO_LARGE)
        with self._lock:
            return _answered(self._asked(content), len(content))

    def close(self) -> None:
        """Stop the decoder; it also stops when this process ends, and the next file starts one."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate(timeout=60)

    def _asked(self, content: bytes) -> bytes:
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
            process.stdin.write(LENGTH.pack(len(content)) + content)
            process.stdin.flush()
            head = process.stdout.read(LENGTH.size)
            return process.stdout.read(LENGTH.unpack(head)[0]) if head else b""
        except (OSError, struct.error):
            return b""  # it stopped, and the next file gets another one
        finally:
            timer.cancel()


def _answered(answer: bytes, file_bytes: int) -> Picture:
    """Read what a decoder wrote: a line of JSON, the pixels, and where there are any the values."""
    head, _, body = answer.partition(b"\n")
    rest = io.BytesIO(body)
    try:
        about = json.loads(head)
        if "reason" in about:
            raise ImageFileError(str(about["reason"]))
        pixels = np.load(rest, allow_pickle=False)
        found = picture_of(
            ImageFrames(pixels, int(about["bits"]), str(about["format"])), file_bytes
        )
        if "unit" in about:
            values = np.load(rest, allow_pickle=False)
            return replace(found, units=Units(values, about["unit"], about["windows"]))
    except (ValueError, KeyError, TypeError, EOFError):
        raise DecodeError(
            "the decoder stopped its process on this file, which may be damaged"
        ) from None
    return found


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
    """Decode what standard input brings, file after file, each behind its length in bytes."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the image
    while head := sys.stdin.buffer.read(LENGTH.size):
        answer = _decoded(io.BytesIO(sys.stdin.buffer.read(LENGTH.unpack(head)[0])), most_pixels)
        sys.stdout.buffer.write(LENGTH.pack(len(answer)))
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()


def _decoded(file: io.BytesIO, most_pixels: int) -> memoryview:
    """Return a line of JSON, and behind it the pixels and the values as NumPy arrays."""
    whole = io.BytesIO()
    try:
        frames = read_image(file, max_pixels=most_pixels)
        about: dict[str, object] = {"bits": frames.bits, "format": frames.format}
        found = values_of(file, frames)
        if found is not None:
            about |= {"unit": found.unit, "windows": found.windows}
        whole.write(json.dumps(about).encode() + b"\n")
        np.save(whole, frames.pixels, allow_pickle=False)
        if found is not None:
            np.save(whole, found.values, allow_pickle=False)
    except DeepfixcxError as error:
        whole = io.BytesIO(json.dumps({"reason": str(error)}).encode() + b"\n")
    return whole.getbuffer()


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
