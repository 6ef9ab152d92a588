"""A small folder of generated images with every kind of bad input beside them."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def write_gray(path: Path, height: int, width: int, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write_bomb(path: Path) -> None:
    """Write a PNG of a few bytes that declares 50,000 x 50,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Twenty-four good images in a small tree, gray and colour, of several sizes."""
    root = tmp_path / "in"
    for number in range(20):
        write_gray(root / f"ward-{number % 3}" / f"image{number}.png", 40 + number, 37, number)
    rgb = np.random.default_rng(9).integers(0, 256, (33, 48, 3), dtype=np.uint8)
    (root / "colour").mkdir()
    for number in range(4):
        Image.fromarray(rgb + np.uint8(number)).save(root / "colour" / f"c{number}.bmp")
    return root


@pytest.fixture
def bad_images(images: Path) -> Path:
    """The good images and, in a folder of their own, bad inputs of every kind."""
    bad = images / "bad"
    bad.mkdir()
    (bad / "empty.png").touch()
    whole = (images / "ward-0" / "image0.png").read_bytes()
    (bad / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (bad / "text.png").write_text("this is not a picture")
    write_bomb(bad / "bomb.png")
    write_gray(bad / "small.png", 8, 8, 1)
    nan = np.full((40, 40), np.nan, np.float32)
    Image.fromarray(nan).save(bad / "nan.tif")
    (bad / "gone.png").symlink_to(bad / "nowhere.png")
    (bad / "loop").symlink_to(images, target_is_directory=True)
    (bad / "notes.txt").write_text("a text that nobody asked to privatize")
    (bad / ".hidden.png").write_text("skipped without a word")
    os.mkfifo(bad / "pipe.dat")
    return images


BAD = {
    "bad/empty.png": "EmptyFileError",
    "bad/truncated.png": "DecodeError",
    "bad/text.png": "NotAnImageError",
    "bad/bomb.png": "OversizedImageError",
    "bad/small.png": "ImageTooSmallError",
    "bad/nan.tif": "NonFiniteError",
    "bad/gone.png": "UnreadableFileError",
    "bad/loop": "FolderLoopError",
}


@pytest.fixture
def expected_failures() -> dict[str, str]:
    """Source name to error name, for `bad_images`."""
    return BAD
