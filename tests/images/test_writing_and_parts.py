"""What is written reads back; the small parts do what their names say."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import deepfixcx.images
from deepfixcx.errors import NonFiniteError, OverwriteError, PixelsError, PixelsShapeError
from deepfixcx.images import phantom, read_image, write_png
from deepfixcx.images.codestream import codestream_size
from deepfixcx.images.frames import full_range, sniff

RNG = np.random.default_rng(0)


def test_public_names() -> None:
    assert deepfixcx.images.__all__ == [
        "DEFAULT_MAX_PIXELS",
        "ImageFacts",
        "ImageFrames",
        "inspect_image",
        "phantom",
        "read_image",
        "write_png",
    ]


def test_importing_loads_no_reader() -> None:
    heavy = ("PIL", "pydicom", "imagecodecs")
    code = f"import sys, deepfixcx.images; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [8, 16])
def test_png_reads_back(tmp_path: Path, channels: int, bits: int) -> None:
    pixels = RNG.uniform(-0.2, 1.2, (channels, 5, 9))
    write_png(tmp_path / "image.png", pixels, bits=bits)
    frames = read_image(tmp_path / "image.png")
    assert frames.bits == bits
    expected = np.rint(np.clip(pixels, 0, 1) * (2**bits - 1))
    np.testing.assert_array_equal(frames.pixels[0], expected)


def test_png_is_deterministic_and_leaves_nothing_else(tmp_path: Path) -> None:
    pixels = RNG.random((1, 30, 40), dtype=np.float32)
    write_png(tmp_path / "one.png", pixels, bits=16)
    write_png(tmp_path / "two.png", pixels[:, ::2], bits=16)
    write_png(tmp_path / "two.png", pixels, bits=16)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OverwriteError, match="folder"):
        write_png(tmp_path / "folder.png", pixels, bits=16)
    assert {path.name for path in tmp_path.iterdir()} == {"one.png", "two.png", "folder.png"}


@pytest.mark.parametrize("shape", [(4, 4), (2, 4, 4), (1, 0, 4), (1, 1, 4, 4)])
def test_png_needs_channels_first(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(PixelsShapeError, match="C, H, W"):
        write_png(tmp_path / "image.png", np.zeros(shape), bits=8)


def test_png_refuses_nan_and_other_depths(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteError):
        write_png(tmp_path / "image.png", np.full((1, 2, 2), np.nan), bits=8)
    with pytest.raises(PixelsError, match="8 or 16"):
        write_png(tmp_path / "image.png", np.zeros((1, 2, 2)), bits=12)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [16, 64, 129])
def test_phantoms_vary_with_the_seed_only(size: int) -> None:
    one = phantom(np.random.default_rng(1), size=size)
    assert (one.shape, one.dtype) == ((size, size), np.dtype(np.float32))
    assert 0 <= one.min() < 0.2 < 0.7 < one.max() <= 1
    np.testing.assert_array_equal(one, phantom(np.random.default_rng(1), size=size))
    assert np.abs(one - phantom(np.random.default_rng(2), size=size)).mean() > 0.01


def test_a_phantom_has_dark_lungs_beside_a_bright_spine() -> None:
    for seed in range(5):
        image = phantom(np.random.default_rng(seed), size=128)
        row = image[50:60].mean(axis=0)
        assert row[58:70].mean() > row[30:45].mean() + 0.2
        assert row[58:70].mean() > row[85:98].mean() + 0.2


@given(values=hnp.arrays(np.float64, 6, elements=st.floats(allow_nan=False, allow_infinity=False)))
def test_full_range_spans_0_to_1(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    scaled = full_range(values)
    if values.min() == values.max():
        assert not scaled.any()
    else:
        assert 0 <= scaled.min() <= scaled.max() <= 1


def test_a_mask_that_a_png_cannot_hold_is_refused(tmp_path: Path) -> None:
    pixels = np.ma.masked_array(np.zeros((1, 4, 4)), mask=np.eye(4)[None] > 0)
    with pytest.raises(PixelsError, match="masked"):
        write_png(tmp_path / "masked.png", pixels, bits=8)
    write_png(tmp_path / "filled.png", pixels.filled(1), bits=8)
    write_png(tmp_path / "none.png", np.ma.masked_array(np.zeros((1, 4, 4))), bits=8)
    assert not (tmp_path / "masked.png").exists()


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"II*\x00", "TIFF"),
        (b"MM\x00+", "TIFF"),
        (b"BM" + bytes(12) + b"\x28\x00\x00\x00", "BMP"),
        (b"BM, a text", ""),
        (b"II*\x00" + bytes(124) + b"DICM", "DICOM"),
        (b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100", "DICOM"),
        (b"\x00\x08\x00\x05CS\x00\x0aISO_IR 100", "DICOM"),
        (b"\x08\x00\x05\x00\x0a\x00\x00\x00ISO_IR 100", "DICOM"),
        (b"\x08\x00\x05\x00\xff\xff\xff\xffISO_IR 100", ""),
        (b"", ""),
        (b"GIF89a", "GIF"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "WebP"),
        (b"\xff\x0a\x00\x00", "JPEG XL"),
        (b"\x00\x00\x00\x1cftypheic\x00\x00\x00\x00mif1heic", "HEIC"),
        (b"P5\n64 48\n255\n", "PNM"),
        (b"P5 is a page", ""),
        (b"%PDF-1.7", ""),
        (b"\x5c\x01\x00\x00" + bytes(340) + b"ni1\x00", "NIfTI pair (.hdr and .img)"),
        (gzip.compress(b"\x5c\x01\x00\x00" + bytes(600), mtime=0), "Analyze 7.5"),
        (bytes(132), ""),
    ],
)
def test_sniffing(head: bytes, name: str) -> None:
    assert sniff(head) == name


@given(frame=st.binary(max_size=60), start=st.sampled_from([b"", b"\xff\xd8", b"\xff\x4f\xff\x51"]))
def test_codestream_size_never_fails(frame: bytes, start: bytes) -> None:
    assert codestream_size(start + frame) is None or len(start + frame) > 8
