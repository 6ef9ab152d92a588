"""Uploads stay in memory, are limited, and cannot take the page down."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepfixcx.errors import DecodeError, EmptyFileError, ImageFileError, OversizedImageError
from deepfixcx.studio import uploads
from deepfixcx.studio.uploads import gather, picture_from


async def pieces(*contents: bytes) -> AsyncIterator[bytes]:
    for content in contents:
        yield content


def png(pixels: np.ndarray) -> bytes:
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    return written.getvalue()


def test_bodies_are_gathered_up_to_the_limit() -> None:
    assert asyncio.run(gather(pieces(b"ab", b"", b"c"), None, 3)) == b"abc"
    with pytest.raises(OversizedImageError):
        asyncio.run(gather(pieces(b"ab", b"cd"), None, 3))
    with pytest.raises(OversizedImageError):
        asyncio.run(gather(pieces(b"a"), 4, 3))
    with pytest.raises(OversizedImageError):  # it says less than it sends
        asyncio.run(gather(pieces(b"abcd"), 1, 3))
    with pytest.raises(EmptyFileError):
        asyncio.run(gather(pieces(b""), 0, 3))


def test_no_more_than_the_limit_is_read() -> None:
    asked = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal asked
        while True:
            asked += 1
            yield bytes(10)

    with pytest.raises(OversizedImageError):
        asyncio.run(gather(endless(), None, 25))
    assert asked == 3


@pytest.mark.slow
def test_an_image_arrives_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)
    content = png(pixels)
    picture = asyncio.run(picture_from(content))
    assert np.array_equal(picture.frames[0], np.moveaxis(pixels, -1, 0))
    assert picture.file_bytes == len(content)
    assert picture.words == "30 × 20 pixels, 8 bit, colour, PNG"


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"no image at all", png(np.zeros((9, 9), np.uint8))[:40]])
def test_what_is_no_image_is_a_named_error(content: bytes) -> None:
    with pytest.raises(ImageFileError, match=r"the (content|file)"):
        asyncio.run(picture_from(content))


@pytest.mark.slow
def test_a_decoder_that_stalls_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "DECODE_SECONDS", 0.01)
    with pytest.raises(DecodeError, match="took longer"):
        asyncio.run(picture_from(png(np.zeros((9, 9), np.uint8))))


@pytest.mark.slow
def test_a_decoder_that_crashes_takes_only_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    crashing = tmp_path / "crash"
    crashing.write_text("#!/bin/sh\nkill -SEGV $$\n", "utf-8")
    crashing.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(crashing))
    with pytest.raises(DecodeError, match="stopped its process"):
        asyncio.run(picture_from(b"lethal"))


@pytest.mark.slow
def test_real_malformed_files_are_named_errors_or_images(data_folder: Path) -> None:
    for path in sorted((data_folder / "dicom" / "malformed").iterdir()):
        with suppress(ImageFileError):  # any other error fails
            assert asyncio.run(picture_from(path.read_bytes())).frames.size
