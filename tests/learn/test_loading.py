"""Images of a dataset as arrays: channels, bad files, processes, and the cache of codes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from deepfixcx import Codec, CodecSpec
from deepfixcx.datasets import ImageRecord
from deepfixcx.errors import ModelError, PixelsShapeError, TrainingStoppedError
from deepfixcx.learn.loading import CodeCache, encode_records, load_pixels
from deepfixcx.learn.mapping import Done, Failure, Image, WorkerPool, map_images

SPEC = CodecSpec(level=2, patches=3)


@pytest.fixture
def gray(tmp_path: Path) -> list[ImageRecord]:
    """Seven gray images of several sizes."""
    generator = np.random.default_rng(0)
    for number in range(7):
        pixels = generator.integers(0, 256, (40 + number, 33), np.uint8)
        Pillow.fromarray(pixels).save(tmp_path / f"{number}.png")
    return [ImageRecord(tmp_path / f"{number}.png") for number in range(7)]


@pytest.fixture
def mixed(gray: list[ImageRecord], tmp_path: Path) -> list[ImageRecord]:
    """Gray, colour, gray stored as colour, and two files that are no images."""
    pixels = np.random.default_rng(1).integers(0, 256, (40, 33, 3), np.uint8)
    Pillow.fromarray(pixels).save(tmp_path / "colour.png")
    Pillow.fromarray(np.repeat(pixels[..., :1], 3, axis=2)).save(tmp_path / "equal.png")
    (tmp_path / "Doe_Jane.png").write_text("Jane Doe")
    names = ("Doe_Jane", "colour", "equal", "gone")
    return [gray[0], *(ImageRecord(tmp_path / f"{name}.png") for name in names)]


def read(record: ImageRecord) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Pillow.open(record.path))


def test_pixels_are_squares_in_range(gray: list[ImageRecord]) -> None:
    loaded = load_pixels(gray, side=16)
    assert loaded.array.shape == (7, 1, 16, 16)
    assert loaded.array.dtype == np.float32
    assert loaded.places.tolist() == list(range(7))
    assert not loaded.failures
    assert 0 <= loaded.array.min() < loaded.array.max() <= 1
    means = [read(record).mean() / 255 for record in gray]
    assert np.allclose(loaded.array.mean(axis=(1, 2, 3)), means, atol=0.03)
    with pytest.raises(PixelsShapeError):
        load_pixels(gray, side=0)


def test_an_image_of_the_right_size_is_not_changed(tmp_path: Path) -> None:
    pixels = np.random.default_rng(2).integers(0, 2**16, (9, 9), np.uint16)
    Pillow.fromarray(pixels).save(tmp_path / "deep.png")
    loaded = load_pixels([ImageRecord(tmp_path / "deep.png")], side=9)
    assert np.allclose(loaded.array[0, 0], pixels / 65535, atol=1e-7)


def test_codes_are_those_of_the_codec(gray: list[ImageRecord]) -> None:
    loaded = encode_records(gray, SPEC)
    expected = Codec(SPEC).encode([read(record) for record in gray]).array
    assert np.array_equal(loaded.array, expected)


def test_bad_files_are_recorded_and_name_no_patient(mixed: list[ImageRecord]) -> None:
    for loaded in (load_pixels(mixed, 8), encode_records(mixed, SPEC)):
        assert loaded.places.tolist() == [0, 2, 3]
        assert [(each.place, each.error) for each in loaded.failures] == [
            (1, "NotAnImageError"),
            (4, "UnreadableFileError"),
        ]
        assert "Jane" not in repr(loaded.failures)
        assert "Doe" not in repr(loaded.failures)


def test_an_image_too_small_for_the_spec_is_a_failure(gray: list[ImageRecord]) -> None:
    loaded = encode_records(gray, CodecSpec(level=3, patches=(6, 5)))
    assert [each.error for each in loaded.failures] == ["ImageTooSmallError"]  # 40 rows: 5 of 8
    assert loaded.places.tolist() == [1, 2, 3, 4, 5, 6]


def test_gray_is_repeated_beside_colour(mixed: list[ImageRecord]) -> None:
    loaded = encode_records(mixed, SPEC)
    assert loaded.array.shape[1] == 3
    assert np.array_equal(loaded.array[0, 0], loaded.array[0, 2])
    colour = Codec(SPEC).encode(np.moveaxis(read(mixed[2]), -1, 0)).array[0]
    assert np.array_equal(loaded.array[1], colour)
    assert encode_records(mixed[3:], SPEC).array.shape[1] == 1  # equal channels count as gray
    assert load_pixels(mixed[3:], 8, channels=3).array.shape[1] == 3
    assert load_pixels(mixed, 8).array.shape[1] == 3


def test_colour_becomes_gray_before_it_is_encoded(mixed: list[ImageRecord]) -> None:
    light = np.asarray(read(mixed[2]) / 255 @ [0.299, 0.587, 0.114], np.float32)
    loaded = encode_records(mixed, SPEC, channels=1)
    assert loaded.array.shape[1] == 1
    assert np.allclose(loaded.array[1], Codec(SPEC).encode(light).array[0], atol=1e-6)
    pixels = load_pixels(mixed[2:3], 12, channels=1)
    assert pixels.array.mean() == pytest.approx(light.mean(), abs=0.02)


def test_nothing_to_read_is_an_empty_array() -> None:
    assert encode_records([], SPEC).array.shape == (0, 1, 16, 3, 3)
    assert load_pixels([], 4, channels=3).array.shape == (0, 3, 4, 4)


# -- processes --------------------------------------------------------------------------------


def die_of_large_images(image: Image) -> int:
    if image.pixels.shape[1] == 43:
        os._exit(9)
    return int(image.pixels.shape[1])


def test_a_crash_costs_one_image_and_the_pool_continues(gray: list[ImageRecord]) -> None:
    reported: list[tuple[int, int]] = []
    with WorkerPool(2) as pool:
        outcomes = list(
            map_images(
                gray, die_of_large_images, workers=pool, report=lambda *n: reported.append(n)
            )
        )
        assert np.array_equal(
            encode_records(gray, SPEC, workers=pool).array, encode_records(gray, SPEC).array
        )
    assert isinstance(outcomes[3], Failure)
    assert outcomes[3].error == "WorkerDiedError"
    others = [outcome.result for outcome in outcomes if isinstance(outcome, Done)]
    assert others == [40, 41, 42, 44, 45, 46]
    assert reported == [(count, 7) for count in range(1, 8)]


def test_a_file_is_hashed_and_measured(gray: list[ImageRecord]) -> None:
    (outcome,) = map_images(gray[:1], lambda image: (image.file_bytes, image.digest))
    assert isinstance(outcome, Done)
    size, digest = outcome.result
    assert size == gray[0].path.stat().st_size
    assert len(digest) == 64


# -- cache ------------------------------------------------------------------------------------


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the images that are really encoded."""
    count: list[int] = []
    real = Codec.encode

    def encode(codec: Codec, pixels: object) -> object:
        count.append(1)
        return real(codec, pixels)  # type: ignore[arg-type]

    monkeypatch.setattr(Codec, "encode", encode)
    return count


def test_a_code_is_made_once(
    mixed: list[ImageRecord], gray: list[ImageRecord], tmp_path: Path, encoded: list[int]
) -> None:
    cache, records = tmp_path / "cache", [*mixed, *gray]
    plain = encode_records(records, SPEC)
    encoded.clear()
    first = encode_records(records, SPEC, cache=cache)
    assert len(encoded) == 10
    again = encode_records(records[::-1], SPEC, cache=cache)
    assert len(encoded) == 10  # by content, whatever the order
    assert np.array_equal(first.array, plain.array)
    assert np.array_equal(again.array, plain.array[::-1])
    assert first.failures == plain.failures
    encode_records(gray, CodecSpec(level=1, patches=3), cache=cache)
    assert len(encoded) == 17  # another spec
    encode_records(mixed[2:3], SPEC, cache=cache, channels=1)
    assert len(encoded) == 18  # colour made gray
    squares = encode_records(gray, replace(SPEC, pooling="l2"), cache=cache)
    assert len(encoded) == 25  # another spec of the same shape
    assert not np.array_equal(squares.array, encode_records(gray, SPEC, cache=cache).array)
    assert not list(cache.rglob(".*"))


def test_another_content_is_another_code(
    gray: list[ImageRecord], tmp_path: Path, encoded: list[int]
) -> None:
    cache = tmp_path / "cache"
    encode_records(gray, SPEC, cache=cache)
    Pillow.fromarray(np.full((40, 33), 200, np.uint8)).save(gray[2].path)
    gray[5].path.rename(gray[5].path.with_name("renamed.png"))
    moved = [*gray[:5], ImageRecord(gray[5].path.with_name("renamed.png")), gray[6]]
    loaded = encode_records(moved, SPEC, cache=cache)
    assert len(encoded) == 8
    assert np.array_equal(loaded.array, encode_records(moved, SPEC).array)


def test_codes_are_added_to_those_that_are_there(tmp_path: Path) -> None:
    cache = CodeCache(tmp_path, SPEC, gray=False)
    codes = np.random.default_rng(0).random((3, 1, 16, 3, 3), np.float32)
    cache.add({"ab1": codes[0]})
    cache.add({"ab2": codes[1], "cd1": codes[2]})
    found = cache.find(["ab1", "ab2", "cd1", "cd2", "ef1"])
    assert sorted(found) == ["ab1", "ab2", "cd1"]
    assert np.array_equal(found["ab1"], codes[0])


def test_a_damaged_cache_is_made_again(
    gray: list[ImageRecord], tmp_path: Path, encoded: list[int]
) -> None:
    cache = tmp_path / "cache"
    plain = encode_records(gray, SPEC, cache=cache)
    files = sorted(cache.rglob("*.safetensors"))
    files[0].write_bytes(files[0].read_bytes()[:-7])
    files[1].write_bytes(b"no tensors")
    encoded.clear()
    assert np.array_equal(encode_records(gray, SPEC, cache=cache).array, plain.array)
    assert len(encoded) == 2


def test_a_cache_that_cannot_be_used_is_named(gray: list[ImageRecord], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ModelError, match="cannot be made"):
        encode_records(gray, SPEC, cache=tmp_path / "file")


def test_a_full_disk_is_named(
    gray: list[ImageRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(TrainingStoppedError, match="No space left"):
        encode_records(gray, SPEC, cache=tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
