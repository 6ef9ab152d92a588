"""Releases and loops are timed over the same files."""

from __future__ import annotations

from pathlib import Path
from tempfile import gettempdir

import pytest

from deepfixcx import CodecSpec
from deepfixcx.bench import DiskSpeed
from deepfixcx.bench.disk import LoopTask, Times, loop_times, measure_disk, privatize_times
from deepfixcx.bench.machine import write_samples
from deepfixcx.errors import ReleaseStoppedError
from deepfixcx.release import ReleaseOptions

SPEC = CodecSpec(1, 2)


def test_rates_are_computed_from_times() -> None:
    times = Times(files=100, seconds=5, warm_files=80, warm_seconds=2)
    assert (times.with_start, times.without_start) == (20, 40)
    speed = DiskSpeed(100, 2, 40, 20, 50, 80)
    assert (speed.share, speed.share_with_start) == (0.8, 0.25)


@pytest.mark.slow
def test_a_release_and_its_loops(tmp_path: Path) -> None:
    before = set(Path(gettempdir()).glob("deepfixcx-bench-*"))
    paths = write_samples(tmp_path / "images", "PNG", side=16, count=40)
    codes = ReleaseOptions(SPEC, output="codes")
    images = ReleaseOptions(SPEC, output="images")
    runs: dict[str, tuple[ReleaseOptions, LoopTask]] = {
        "codes": (codes, "decode"),
        "plain": (codes, "decode plainly"),
        "images": (images, "decode and write"),
    }
    speeds = measure_disk(tmp_path / "images", paths, runs, workers=2, rounds=1)
    assert set(speeds) == set(runs)
    assert speeds["codes"].privatize == speeds["plain"].privatize  # one release, two loops
    for speed in speeds.values():
        assert speed.files == 40
        assert min(speed.privatize, speed.loop) > 0
        assert speed.privatize_with_start < speed.privatize
        assert speed.loop_with_start < speed.loop
    assert set(Path(gettempdir()).glob("deepfixcx-bench-*")) == before


@pytest.mark.slow
def test_failed_files_are_no_measurement(tmp_path: Path) -> None:
    paths = write_samples(tmp_path / "images", "PNG", side=16, count=40)
    paths[3].write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ReleaseStoppedError, match="failed files"):
        privatize_times(tmp_path / "images", ReleaseOptions(SPEC, output="codes"), 1)
    with pytest.raises(ReleaseStoppedError, match="before its end"):
        loop_times(paths, 1, "decode", ReleaseOptions(SPEC))
