"""Which JPEG files were cut off."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepfixcx.datasets.files import check_jpeg_end


def jpeg(side: int = 64, **options: object) -> bytes:
    pixels = np.random.default_rng(side).integers(0, 256, (side, side), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("trailer", [0, 10, 200_000])
def test_whole_jpeg_passes(tmp_path: Path, progressive: bool, trailer: int) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(progressive=progressive) + bytes(trailer))
    assert check_jpeg_end(path) is None


def test_end_marker_between_two_chunks_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    whole = jpeg()
    for trailer in range((1 << 16) - 3, (1 << 16) + 3):
        path.write_bytes(whole + bytes(trailer))
        assert check_jpeg_end(path) is None


def test_end_marker_between_two_chunks_of_a_long_file(tmp_path: Path) -> None:
    """The pixels begin behind a bare header; the trailer is longer than what is read first."""
    header = b"\xff\xd8\xff\xda\x00\x02"
    path = tmp_path / "a.jpg"
    for pixels in range((1 << 16) - 3, (1 << 16) + 3):
        path.write_bytes(header + bytes(pixels) + b"\xff\xd9" + bytes(200_000))
        assert check_jpeg_end(path) is None
        path.write_bytes(header + bytes(pixels) + b"\xff\x00" + bytes(200_000))
        assert check_jpeg_end(path) is not None


@pytest.mark.parametrize("kept", [3, 10, 100, 0.5, 0.99, -2, -1])
def test_cut_jpeg_is_found(tmp_path: Path, kept: float) -> None:
    whole = jpeg(256)
    path = tmp_path / "a.jpg"
    path.write_bytes(whole[: int(kept if abs(kept) >= 1 else kept * len(whole))])
    assert type(check_jpeg_end(path)).__name__ == "DamagedImageError"


def test_end_of_a_thumbnail_is_not_the_end(tmp_path: Path) -> None:
    """The header may hold a whole small JPEG with an end marker of its own."""
    thumbnail = jpeg(16)
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    whole = jpeg(64)
    path = tmp_path / "a.jpg"
    path.write_bytes(whole[:2] + segment + whole[2:])
    assert check_jpeg_end(path) is None
    path.write_bytes(whole[:2] + segment + whole[2:-2])
    assert check_jpeg_end(path) is not None


def test_other_formats_and_missing_files(tmp_path: Path, picture: Callable[..., Path]) -> None:
    assert check_jpeg_end(picture(tmp_path / "a.png")) is None
    assert type(check_jpeg_end(tmp_path / "gone.jpg")).__name__ == "UnreadableFileError"
