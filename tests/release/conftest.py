"""A small folder of generated images with every kind of bad input beside them."""

from __future__ import annotations

import csv
import hashlib
import os
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.release.phantoms import Maker


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


def without_id(content: bytes) -> bytes:
    """Return dataset.json without the random id of the release; other files as they are."""
    return re.sub(rb'"id": "[0-9a-f]{32}"', b'"id": ""', content)


def contents(folder: Path) -> dict[str, str]:
    """Hash every file below a folder; the random ids of releases count as one."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(without_id(path.read_bytes())).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows(path: Path) -> list[dict[str, str]]:
    """Read a table."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


SITECUSTOMIZE = """
import os, signal, time
from deepfixcx.release import shard

read_image = shard.read_image
gate = os.environ.get("GATE")

def instead(stream, **options):
    if gate:
        open(f"{gate}.{os.getpid()}", "a").close()
        while not os.path.exists(gate):
            time.sleep(0.01)
    time.sleep(float(os.environ.get("SECONDS_A_FILE", "0")))
    if stream.read().endswith(b"LETHAL"):
        with open(os.environ["LETHAL_LOG"], "a") as log:
            log.write("x")
        os.kill(os.getpid(), signal.SIGSEGV)
    stream.seek(0)
    return read_image(stream, **options)

shard.read_image = instead
"""
"""Read by each Python process that starts: a decoder that is slow, that waits, or that crashes."""


@dataclass(frozen=True)
class Lethal:
    """Makes images that end the process which decodes them."""

    log: Path

    def poison(self, image: Path) -> None:
        image.write_bytes(image.read_bytes() + b"LETHAL")

    def cure(self, image: Path) -> None:
        """Make it a good image of the same size in bytes."""
        image.write_bytes(image.read_bytes().removesuffix(b"LETHAL") + b"CURED!")

    def deaths(self) -> int:
        return len(self.log.read_bytes()) if self.log.exists() else 0


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let processes that start from here on decode with the stand-in; return its folder."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    return folder


@pytest.fixture
def lethal(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> Lethal:
    """Let processes that start from here on crash on images that were poisoned."""
    log = stand_in / "lethal.log"
    monkeypatch.setenv("LETHAL_LOG", str(log))
    return Lethal(log)


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
    "bad/truncated.png": "DamagedImageError",
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


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """Make releases by mechanisms of one pair of datasets."""
    return Maker(tmp_path_factory.mktemp("datasets"))
