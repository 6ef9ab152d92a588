"""The measuring code of the package: clocks, samples, speeds. No absolute time is tested."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deepfixcx import CodecSpec
from deepfixcx.bench import Speed
from deepfixcx.bench.machine import (
    FILE_KINDS,
    MemoryReader,
    by_turns,
    describe_machine,
    median_seconds,
    read_bandwidth,
    sample_pixels,
    write_samples,
)
from deepfixcx.bench.suite import measure_decode, measure_encode
from deepfixcx.errors import SpecError
from deepfixcx.images import read_image


def test_calls_are_made_by_turns_after_one_to_warm_up() -> None:
    made: list[str] = []
    calls = {name: lambda name=name: made.append(name) for name in "ab"}
    seconds = by_turns(calls, rounds=3)
    assert "".join(made) == "ab" + 3 * "ab"
    assert [len(times) for times in seconds.values()] == [3, 3]


def test_the_median_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0, 5, 10, 11, 20, 22])  # calls of 5, 1 and 2 seconds
    monkeypatch.setattr("deepfixcx.bench.machine.time.perf_counter", lambda: next(ticks))
    assert median_seconds({"call": list}, rounds=3, warm=False) == {"call": 2}


def test_speed_is_computed_from_what_was_measured() -> None:
    speed = Speed("encode", 3, 5, "haar", 320, 320, "uint8", 100, 0.5, 1_000_000)
    assert speed.images_per_second == 200
    assert speed.bytes_per_second == 2_000_000
    figures = speed.to_dict(read_bytes_per_second=8_000_000)
    assert figures["bandwidth_share"] == 0.25
    assert figures["images_per_second"] == 200


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_bytes_moved_are_those_of_pixels_and_codes(dtype: str) -> None:
    spec = CodecSpec(2, 3)
    speed = measure_encode(spec, 20, 24, dtype, rounds=1, seconds=0.0005)
    each = 20 * 24 * np.dtype(dtype).itemsize + 4 * 16 * 9
    assert speed.bytes_moved == speed.images * each
    assert (speed.height, speed.width, speed.dtype) == (20, 24, dtype)


def test_bytes_moved_by_decode() -> None:
    spec = CodecSpec(2, 3)
    compact = measure_decode(spec, 20, 24, rounds=1, seconds=0.0005)
    original = measure_decode(spec, 20, 24, "original", rounds=1, seconds=0.0005)
    assert compact.bytes_moved == compact.images * 4 * (16 * 9 + 12 * 12)
    assert original.bytes_moved == original.images * 4 * (16 * 9 + 20 * 24)


def test_the_whole_array_is_read() -> None:
    reader = MemoryReader(threads=3, nbytes=4 * 1001)
    assert reader.nbytes == 4 * 1001
    assert reader.read() == 1001
    assert read_bandwidth(1, threads=1, nbytes=1 << 16) > 0


def test_the_machine_is_described() -> None:
    machine = describe_machine()
    assert machine.cores >= 1
    assert machine.processor in str(machine)
    assert f"load average {machine.load_average:.2f}" in str(machine)


@pytest.mark.parametrize("kind", FILE_KINDS)
def test_files_differ_and_can_be_read(kind: str, tmp_path: Path) -> None:
    paths = write_samples(tmp_path / "made", kind, side=48, count=19)
    assert len({path.read_bytes() for path in paths}) == 19
    for path in (paths[0], paths[-1]):
        frames = read_image(path)
        assert frames.pixels.shape == (1, 1, 48, 48)
        assert frames.format == kind.split()[0]


def test_an_unknown_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="PNG, JPEG, DICOM"):
        write_samples(tmp_path, "GIF", side=8, count=1)


@pytest.mark.parametrize("dtype", ["float32", "uint8", "uint16"])
def test_samples_differ_and_stay_in_range(dtype: str) -> None:
    pixels = sample_pixels(2, 30, 20, dtype)
    assert pixels.shape == (2, 30, 20)
    assert pixels.dtype == dtype
    assert not np.array_equal(pixels[0], pixels[1])
    if dtype == "float32":
        assert pixels.min() >= 0
        assert pixels.max() <= 1
