"""Plain files read in one call are what pillow reads, and damaged ones fail as with pillow."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from deepfixcx.errors import DecodeError, DeepfixcxError
from deepfixcx.images import pictures, read_image
from deepfixcx.images.plain import decode_plain, plain_jpeg_shape

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (40, 56, 3), dtype=np.uint8)
SMOOTH = np.asarray(Image.fromarray(NOISE[:6, :8]).resize((56, 40)))


def encoded(image: Image.Image, extension: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, extension, **options)
    return stream.getvalue()


def outcome(content: bytes) -> tuple[str, object]:
    """Return what comes of a file: its pixels, or the name of the error and its message."""
    try:
        frames = read_image(io.BytesIO(content))
    except DeepfixcxError as error:
        return type(error).__name__, str(error)
    assert frames.pixels.flags.writeable
    assert frames.pixels.flags.c_contiguous
    return frames.format, (frames.bits, frames.pixels.shape, frames.pixels.tobytes())


def outcome_by_pillow(content: bytes) -> tuple[str, object]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "plain_jpeg_shape", lambda _: None)
        patch.setattr(pictures, "decode_plain", lambda *_: None)
        return outcome(content)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("source", [NOISE, SMOOTH])
def test_plain_jpegs_are_decoded_at_once_to_the_pixels_of_pillow(
    mode: str, subsampling: int, source: np.ndarray[Any, Any]
) -> None:
    for height, width in ((40, 56), (39, 55), (17, 8), (8, 1), (1, 1)):
        image = Image.fromarray(source[:height, :width]).convert(mode)
        content = encoded(image, "JPEG", quality=91, subsampling=subsampling)
        expected = np.asarray(Image.open(io.BytesIO(content)))
        shape = plain_jpeg_shape(content)
        assert shape == expected.shape
        pixels = decode_plain(io.BytesIO(content), "JPEG", expected.shape, np.uint8)
        assert pixels is not None
        np.testing.assert_array_equal(pixels, expected)
        assert outcome(content) == outcome_by_pillow(content)


@pytest.mark.parametrize("kind", ["L", "RGB", "I;16"])
def test_plain_pngs_are_decoded_at_once(kind: str) -> None:
    deep = RNG.integers(0, 65536, (9, 5), dtype=np.uint16)
    image = Image.fromarray(deep) if kind == "I;16" else Image.fromarray(NOISE).convert(kind)
    content = encoded(image, "PNG", optimize=True)
    expected = np.asarray(image)
    pixels = decode_plain(io.BytesIO(content), "PNG", expected.shape, expected.dtype.type)
    assert pixels is not None
    np.testing.assert_array_equal(pixels, expected)
    assert outcome(content) == outcome_by_pillow(content)


def test_a_plain_jpeg_needs_no_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(Image.fromarray(NOISE), "JPEG")
    monkeypatch.setattr(pictures, "_header", None)
    assert outcome(content)[0] == "JPEG"


def orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


@pytest.mark.parametrize(
    "options",
    [
        {"progressive": True},
        {"exif": orientation(6)},
        {"exif": orientation(1)},
        {"icc_profile": b"x" * 300},
    ],
)
def test_other_jpegs_are_left_to_pillow(options: dict[str, Any]) -> None:
    content = encoded(Image.fromarray(NOISE), "JPEG", **options)
    assert plain_jpeg_shape(content) is None
    turned = options.get("exif") == orientation(6)
    assert read_image(io.BytesIO(content)).pixels.shape[2:] == ((56, 40) if turned else (40, 56))


@pytest.mark.parametrize("side", [40, 400])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("between", [b"", b"\0"])
def test_a_second_jpeg_behind_the_first_is_not_left_out(
    side: int, progressive: bool, between: bytes
) -> None:
    noise = Image.fromarray(RNG.integers(0, 256, (side, side), dtype=np.uint8))
    content = encoded(noise, "JPEG", progressive=progressive)
    assert outcome(content)[0] == "JPEG"
    assert outcome(content + between + content)[0] == "UnsupportedImageError"


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
@pytest.mark.parametrize("between", [b"", b"\0"])
def test_a_second_png_behind_the_first_is_not_left_out(mode: str, between: bytes) -> None:
    content = encoded(Image.fromarray(NOISE).convert(mode), "PNG")
    deep = bytes(imagecodecs.png_encode(RNG.integers(0, 1 << 16, (8, 9, 3), dtype=np.uint16)))
    for each in (content, deep):
        assert outcome(each + b"notes")[0] == "PNG"
        assert outcome(each + between + content)[0] == "UnsupportedImageError"


def test_thumbnails_of_a_multi_picture_file_are_no_images() -> None:
    stream = io.BytesIO()
    picture = Image.fromarray(NOISE)
    picture.save(stream, "MPO", save_all=True, append_images=[picture.resize((8, 8))])
    content = stream.getvalue()
    assert outcome(content)[0] == "UnsupportedImageError"
    index = content.index(b"MPF\0")
    second = content.index(struct.pack("<I", 0x030000), index + 50) + 16  # entries of 16 bytes
    thumbnail = content[:second] + struct.pack("<I", 0x010001) + content[second + 4 :]
    assert outcome(thumbnail)[0] == "JPEG"


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_cut_off_anywhere_fails_as_with_pillow(mode: str) -> None:
    """Also where what is left ends like a whole file."""
    content = encoded(Image.fromarray(NOISE[:8, :8]).convert(mode), "JPEG", quality=50)
    for length in range(4, len(content)):
        for end in (b"", b"\xff\xd9", b"\x00\x00"):
            damaged = content[:length] + end
            assert outcome(damaged) == outcome_by_pillow(damaged), (length, end)


def test_a_truncated_jpeg_is_not_filled_up() -> None:
    content = encoded(Image.fromarray(NOISE), "JPEG")
    with pytest.raises(DecodeError):
        read_image(io.BytesIO(content[:-40]))


def test_a_jpeg_of_a_size_that_pillow_refuses_is_refused() -> None:
    content = bytearray(encoded(Image.fromarray(NOISE[:8, :8, 0]), "JPEG"))
    at = content.index(b"\xff\xc0") + 5
    for height in (65_500, 65_501):
        content[at : at + 2] = height.to_bytes(2, "big")
        assert outcome(bytes(content)) == outcome_by_pillow(bytes(content))
    assert outcome(bytes(content))[0] == "DamagedImageError"


@settings(max_examples=60, deadline=None)
@given(
    places=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=5),
    kind=st.sampled_from(["JPEG", "PNG"]),
    mode=st.sampled_from(["L", "RGB"]),
    header=st.booleans(),
)
def test_damage_has_the_same_outcome_as_with_pillow(
    places: list[tuple[float, int]], kind: str, mode: str, header: bool
) -> None:
    content = bytearray(encoded(Image.fromarray(SMOOTH).convert(mode), kind))
    reach = min(len(content), 640) if header else len(content)
    for at, value in places:
        content[int(at * (reach - 1))] = value
    assert outcome(bytes(content)) == outcome_by_pillow(bytes(content))


def with_chunk(content: bytes, kind: bytes, data: bytes) -> bytes:
    """Put a chunk between the pixels and the end of a PNG file."""
    check = struct.pack(">I", zlib.crc32(kind + data))
    return content[:-12] + struct.pack(">I", len(data)) + kind + data + check + content[-12:]


def test_what_stands_behind_the_pixels_of_a_png_still_counts() -> None:
    content = encoded(Image.fromarray(NOISE), "PNG")
    turned = with_chunk(content, b"eXIf", orientation(6).tobytes().removeprefix(b"Exif\0\0"))
    assert read_image(io.BytesIO(content)).pixels.shape == (1, 3, 40, 56)
    assert read_image(io.BytesIO(turned)).pixels.shape == (1, 3, 56, 40)


def test_orientations_that_are_text_in_a_png_still_count() -> None:
    for name, text in (
        ("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>'),
        ("Raw profile type exif", f"\nexif\n   1\n{orientation(6).tobytes().hex()}\n"),
    ):
        about = PngInfo()
        about.add_itxt(name, text)
        content = encoded(Image.fromarray(NOISE), "PNG", pnginfo=about)
        assert read_image(io.BytesIO(content)).pixels.shape == (1, 3, 56, 40), name


def test_transparency_of_a_png_is_dropped() -> None:
    for mode, transparency in (("L", 7), ("RGB", (1, 2, 3))):
        image = Image.fromarray(NOISE).convert(mode)
        content = encoded(image, "PNG", transparency=transparency)
        channels = 1 if mode == "L" else 3
        assert read_image(io.BytesIO(content)).pixels.shape == (1, channels, 40, 56)
        assert outcome(content) == outcome_by_pillow(content)


def test_a_file_of_another_shape_than_its_header_says_is_refused() -> None:
    content = encoded(Image.fromarray(NOISE), "PNG")
    assert decode_plain(io.BytesIO(content), "PNG", (40, 55, 3), np.uint8) is None
    assert decode_plain(io.BytesIO(content), "PNG", (40, 56, 3), np.uint16) is None
