"""PNG, JPEG, TIFF and BMP: every kind of pixel comes out as what it is."""

from __future__ import annotations

import warnings
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from deepfixcx.errors import DecodeError, NonFiniteError
from deepfixcx.images import ImageFacts, inspect_image, read_image, write_png

RNG = np.random.default_rng(0)
GRAY8 = RNG.integers(0, 256, (5, 7), dtype=np.uint8)
GRAY16 = RNG.integers(0, 65536, (5, 7), dtype=np.uint16)
RGB8 = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
RGB16 = RNG.integers(0, 65536, (5, 7, 3), dtype=np.uint16)


@pytest.mark.parametrize("extension", ["PNG", "TIFF", "BMP"])
def test_gray_8_bit(tmp_path: Path, extension: str) -> None:
    Image.fromarray(GRAY8).save(tmp_path / "image", extension)
    frames = read_image(tmp_path / "image")
    assert (frames.format, frames.bits) == (extension, 8)
    assert frames.pixels.dtype == np.uint8
    np.testing.assert_array_equal(frames.pixels, GRAY8[None, None])


@pytest.mark.parametrize("extension", ["PNG", "TIFF", "BMP"])
@pytest.mark.parametrize("alpha", [False, True])
def test_rgb_8_bit_drops_alpha(tmp_path: Path, extension: str, alpha: bool) -> None:
    image = Image.fromarray(RGB8)
    if alpha:
        image.putalpha(Image.fromarray(GRAY8))
    image.save(tmp_path / "image", extension)
    pixels = read_image(tmp_path / "image").pixels
    np.testing.assert_array_equal(pixels[0], np.moveaxis(RGB8, -1, 0))


@pytest.mark.parametrize("extension", ["PNG", "TIFF"])
def test_gray_16_bit_keeps_its_full_range(tmp_path: Path, extension: str) -> None:
    Image.fromarray(GRAY16).save(tmp_path / "image", extension)
    frames = read_image(tmp_path / "image")
    assert (frames.bits, frames.pixels.dtype) == (16, np.dtype(np.uint16))
    np.testing.assert_array_equal(frames.pixels, GRAY16[None, None])


def test_big_endian_tiff_comes_out_native(tmp_path: Path) -> None:
    Image.fromarray(GRAY16.astype(">u2")).save(tmp_path / "image", "TIFF")
    pixels = read_image(tmp_path / "image").pixels
    assert pixels.dtype.isnative
    np.testing.assert_array_equal(pixels, GRAY16[None, None])


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_png_of_16_bits_with_colour_or_alpha_keeps_precision(tmp_path: Path, channels: int) -> None:
    samples = RNG.integers(0, 65536, (5, 7, channels), dtype=np.uint16)
    (tmp_path / "image").write_bytes(bytes(imagecodecs.png_encode(samples)))
    frames = read_image(tmp_path / "image")
    kept = samples[..., : 3 if channels > 2 else 1]
    assert frames.bits == 16
    np.testing.assert_array_equal(frames.pixels[0], np.moveaxis(kept, -1, 0))
    assert inspect_image(tmp_path / "image").channels == kept.shape[-1]


def test_one_bit_and_gray_alpha(tmp_path: Path) -> None:
    Image.fromarray(GRAY8 > 127).save(tmp_path / "one", "PNG")
    np.testing.assert_array_equal(read_image(tmp_path / "one").pixels[0, 0], (GRAY8 > 127) * 255)
    image = Image.fromarray(GRAY8)
    image.putalpha(7)
    image.save(tmp_path / "alpha", "PNG")
    np.testing.assert_array_equal(read_image(tmp_path / "alpha").pixels[0, 0], GRAY8)


def test_a_palette_is_rgb_unless_it_only_has_grays(tmp_path: Path) -> None:
    image = Image.fromarray(GRAY8 % 4)
    colourful = image.copy()
    colourful.putpalette([0, 0, 0, 250, 0, 0, 0, 250, 0, 0, 0, 250])
    colourful.save(tmp_path / "colourful", "PNG")
    image.putpalette([0, 0, 0, 90, 90, 90, 10, 10, 10, 255, 255, 255])
    image.save(tmp_path / "gray", "PNG")
    assert read_image(tmp_path / "colourful").pixels.shape == (1, 3, 5, 7)
    assert read_image(tmp_path / "colourful").pixels.max() == 250
    expected = np.array([0, 90, 10, 255])[GRAY8 % 4]
    np.testing.assert_array_equal(read_image(tmp_path / "gray").pixels, expected[None, None])
    assert inspect_image(tmp_path / "gray").photometric == "palette"


def test_an_rgb_file_of_grays_stays_rgb(tmp_path: Path) -> None:
    Image.fromarray(GRAY8).convert("RGB").save(tmp_path / "image", "PNG")
    assert read_image(tmp_path / "image").pixels.shape == (1, 3, 5, 7)


@pytest.mark.parametrize(
    ("mode", "channels", "photometric"),
    [("L", 1, "grayscale"), ("RGB", 3, "rgb"), ("CMYK", 3, "cmyk")],
)
def test_jpeg(tmp_path: Path, mode: str, channels: int, photometric: str) -> None:
    smooth = Image.new("RGB", (16, 24), (200, 100, 50)).convert(mode)
    smooth.save(tmp_path / "image", "JPEG", quality=95)
    pixels = read_image(tmp_path / "image").pixels
    assert pixels.shape == (1, channels, 24, 16)
    expected = np.asarray(smooth.convert("RGB" if channels == 3 else "L")).reshape(24, 16, channels)
    difference = np.moveaxis(pixels[0], 0, -1).astype(int) - expected
    assert np.abs(difference).max() <= 4
    assert inspect_image(tmp_path / "image").photometric == photometric


@pytest.mark.parametrize("extension", ["JPEG", "TIFF", "PNG"])
def test_exif_orientation_is_applied(tmp_path: Path, extension: str) -> None:
    upright = Image.new("L", (16, 8), 0)
    upright.paste(255, (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise to show it
    upright.save(tmp_path / "image", extension, exif=exif)
    pixels = read_image(tmp_path / "image").pixels[0, 0]
    assert pixels.shape == (16, 8)
    assert pixels[:7].min() > 200
    assert pixels[9:].max() < 50


def test_tiff_pages_are_frames_and_thumbnails_are_not(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.roll(GRAY16, shift)) for shift in range(3)]
    pages[0].save(tmp_path / "pages", "TIFF", save_all=True, append_images=pages[1:])
    frames = read_image(tmp_path / "pages")
    assert frames.pixels.shape == (3, 1, 5, 7)
    np.testing.assert_array_equal(frames.pixels[2, 0], np.roll(GRAY16, 2))
    assert inspect_image(tmp_path / "pages").frames == 3

    thumbnail = Image.fromarray(GRAY16[::2, ::2].copy())
    thumbnail.encoderinfo = {"tiffinfo": {254: 1}}
    pages[0].save(tmp_path / "thumbnail", "TIFF", save_all=True, append_images=[thumbnail])
    assert read_image(tmp_path / "thumbnail").pixels.shape == (1, 1, 5, 7)

    other = Image.fromarray(GRAY16[:3])
    pages[0].save(tmp_path / "sizes", "TIFF", save_all=True, append_images=[other])
    with pytest.raises(DecodeError, match="different sizes"):
        read_image(tmp_path / "sizes")


def test_float_tiff_within_range_stays_and_beyond_is_scaled(tmp_path: Path) -> None:
    inside = RNG.random((5, 7), dtype=np.float32)
    Image.fromarray(inside).save(tmp_path / "inside", "TIFF")
    frames = read_image(tmp_path / "inside")
    assert (frames.bits, frames.pixels.dtype) == (16, np.dtype(np.float32))
    np.testing.assert_array_equal(frames.pixels[0, 0], inside)
    beyond = inside * 4000 - 1000
    Image.fromarray(beyond).save(tmp_path / "beyond", "TIFF")
    expected = (beyond - beyond.min()) / (beyond.max() - beyond.min())
    np.testing.assert_allclose(read_image(tmp_path / "beyond").pixels[0, 0], expected, atol=1e-6)


def test_32_bit_integers_within_16_bits_stay_and_beyond_are_scaled(tmp_path: Path) -> None:
    Image.fromarray(GRAY16.astype(np.int32)).save(tmp_path / "inside", "TIFF")
    pixels = read_image(tmp_path / "inside").pixels
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels[0, 0], GRAY16)
    Image.fromarray(GRAY16.astype(np.int32) - 1000).save(tmp_path / "beyond", "TIFF")
    pixels = read_image(tmp_path / "beyond").pixels
    assert pixels.dtype == np.float32
    assert (pixels.min(), pixels.max()) == (0, 1)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_nan_in_a_float_tiff(tmp_path: Path, wrong: float) -> None:
    Image.fromarray(np.array([[0.5, wrong]], np.float32)).save(tmp_path / "image", "TIFF")
    with pytest.raises(NonFiniteError):
        read_image(tmp_path / "image")


def test_facts_of_a_png(tmp_path: Path) -> None:
    Image.fromarray(GRAY16).save(tmp_path / "image", "PNG")
    expected = ImageFacts("PNG", 7, 5, channels=1, bits=16, photometric="grayscale", frames=1)
    assert inspect_image(tmp_path / "image") == expected


def test_pillow_keeps_its_own_settings(tmp_path: Path) -> None:
    Image.fromarray(GRAY8).save(tmp_path / "image", "PNG")
    limit, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    read_image(tmp_path / "image")
    assert limit == Image.MAX_IMAGE_PIXELS
    assert filters == list(warnings.filters)


def test_open_file_reads_as_its_path_does_and_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "ramp.png"
    write_png(path, np.linspace(0, 1, 12).reshape(1, 3, 4), bits=16)
    with path.open("rb") as stream:
        assert (read_image(stream).pixels == read_image(path).pixels).all()
        assert not stream.closed
