"""An upload becomes pixels in memory, and no file is ever made of it.

The body of the request is gathered in memory, up to a limit, and decoded by a process of its own:
a file that crashes or stalls a decoder takes that process with it, not the page. The name of the
file is never sent.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator
from contextlib import suppress

import numpy as np

from deepfixcx.errors import DecodeError, EmptyFileError, ImageFileError, OversizedImageError
from deepfixcx.images import ImageFrames
from deepfixcx.studio.examples import picture_of
from deepfixcx.studio.exploring import Picture

__all__ = ["DECODE_SECONDS", "MOST_BYTES", "MOST_PIXELS", "decode_apart", "gather", "picture_from"]

MOST_BYTES = 256 << 20
"""Largest file that is taken."""

MOST_PIXELS = 1 << 26
"""Height x width x frames above which a file is refused: 64 million."""

DECODE_SECONDS = 60.0
"""Longest that a decoder may take."""


async def gather(stream: AsyncIterator[bytes], announced: int | None, most: int) -> bytes:
    """Gather a body in memory.

    Parameters
    ----------
    stream : async iterator of bytes
        The body, piece by piece.
    announced : int or None
        What its sender says that it holds.
    most : int
        Largest body that is taken; no more than that is ever held.

    Raises
    ------
    OversizedImageError
        It is larger, or says so.
    EmptyFileError
        It has no bytes.
    """
    refusal = OversizedImageError(
        f"the file is larger than {most >> 20:,} MiB, the most that the studio takes; "
        "look at it with: deepfixcx show"
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


async def decode_apart(content: bytes, *, seconds: float = DECODE_SECONDS) -> ImageFrames:
    """Decode an image in a process of its own.

    Parameters
    ----------
    content : bytes
        The whole file.
    seconds : float
        When to give up.

    Returns
    -------
    ImageFrames
        As of `read_image`.

    Raises
    ------
    ImageFileError
        No image, or a damaged one; or the decoder crashed or took too long.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "deepfixcx.studio.decoding",
        str(MOST_PIXELS),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # decoders of other people may quote a header
    )
    try:
        answer, _ = await asyncio.wait_for(process.communicate(content), seconds)
    except TimeoutError:
        raise DecodeError(f"decoding took longer than {seconds:.0f} seconds; given up") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return _frames(answer)


def _frames(answer: bytes) -> ImageFrames:
    head, _, body = answer.partition(b"\n")
    try:
        about = json.loads(head)
        if "reason" in about:
            raise ImageFileError(str(about["reason"]))
        pixels = np.load(io.BytesIO(body), allow_pickle=False)
        return ImageFrames(pixels, int(about["bits"]), str(about["format"]))
    except (ValueError, KeyError, TypeError, EOFError):
        raise DecodeError(
            "decoding this file ended the process that tried; it is damaged"
        ) from None


async def picture_from(content: bytes) -> Picture:
    """Decode an image in a process of its own, and say what may be said of it.

    Raises
    ------
    ImageFileError
        As of `decode_apart`.
    """
    return picture_of(await decode_apart(content), len(content))
