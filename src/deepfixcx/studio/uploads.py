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
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
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

__all__ = ["MOST_BYTES", "Picture", "decode_apart", "gather", "picture_from", "picture_of"]

MOST_BYTES = 256 << 20
"""Size of the largest file that is accepted."""

MOST_PIXELS = 1 << 26
"""Height x width x frames above which a file is refused: 64 million."""

MOST_MEMORY = 6 << 30
"""Bytes of address space of the decoder: a decompression bomb ends the decoder, not the machine."""

DECODE_SECONDS = 60.0
"""Time limit of the decoder."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One image: frames (F, C, H, W), bytes of its file (0 without one), description and depth."""

    frames: NDArray[Any]
    file_bytes: int
    words: str
    bits: int = 8

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
    return picture_of(await decode_apart(content), len(content))


async def gather(stream: AsyncIterator[bytes], announced: int | None, most: int) -> bytes:
    """Collect a body in memory; never more than `most` bytes, whatever length it announces."""
    refusal = OversizedImageError(
        f"the file is larger than {most >> 20:,} MiB, the limit of the studio; "
        "use deepfixcx show instead"
    )
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


async def decode_apart(content: bytes) -> ImageFrames:
    """Decode the bytes of an image file in a process of its own, with limits of time and memory."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "deepfixcx.studio.uploads",
        str(MOST_PIXELS),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # messages of decoders may quote a header
    )
    try:
        answer, _ = await asyncio.wait_for(process.communicate(content), DECODE_SECONDS)
    except TimeoutError:
        raise DecodeError(
            f"decoding took longer than {DECODE_SECONDS:.0f} seconds and was stopped"
        ) from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    head, _, body = answer.partition(b"\n")
    try:
        about = json.loads(head)
        if "reason" in about:
            raise ImageFileError(str(about["reason"]))
        pixels = np.load(io.BytesIO(body), allow_pickle=False)
        return ImageFrames(pixels, int(about["bits"]), str(about["format"]))
    except (ValueError, KeyError, TypeError, EOFError):
        raise DecodeError(
            "the decoder stopped its process on this file, which may be damaged"
        ) from None


def main(most_pixels: int) -> None:
    """Decode standard input; write a line of JSON, and the pixels as a NumPy array behind it."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the image
    whole = io.BytesIO()  # NumPy seeks in its file, and a pipe cannot
    try:
        frames = read_image(io.BytesIO(sys.stdin.buffer.read()), max_pixels=most_pixels)
        about: dict[str, object] = {"bits": frames.bits, "format": frames.format}
        np.save(whole, frames.pixels, allow_pickle=False)
    except DeepfixcxError as error:
        about = {"reason": str(error)}
    sys.stdout.buffer.write(json.dumps(about).encode() + b"\n")
    sys.stdout.buffer.write(whole.getbuffer())


if __name__ == "__main__":
    main(int(sys.argv[1]))
