"""Importing is light: proved in a fresh interpreter, by what is loaded and by the clock."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

import pytest

HEAVY = ["PIL", "imagecodecs", "matplotlib", "pydicom", "rich", "sklearn", "torch", "typer"]
RUNS = 5
HELP = "from deepfixcx.cli import main; main()", "--help"
HELP_SECONDS = 0.5


def run_python(code: str, *arguments: str) -> str:
    """Run code in a fresh interpreter, unmeasured by coverage, and return what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def median_seconds(*commands: Sequence[str]) -> list[float]:
    """Time commands by turns, so that what else the machine does slows all of them alike."""
    seconds: list[list[float]] = [[] for _ in commands]
    for turn in range(RUNS + 1):
        for command, times in zip(commands, seconds, strict=True):
            start = time.perf_counter()
            run_python(*command)
            if turn:  # the first turn fills the caches of the disk
                times.append(time.perf_counter() - start)
    return [statistics.median(times) for times in seconds]


@pytest.mark.parametrize(
    "statement",
    [
        "import deepfixcx",
        "from deepfixcx import Code, Codec, CodecSpec, DeepfixcxError",
        "import deepfixcx.images",
        "import deepfixcx.release",
    ],
)
def test_import_loads_nothing_heavy(statement: str) -> None:
    loaded = run_python(f"{statement}; import sys; print(*sorted(sys.modules))").split()
    assert not set(HEAVY) & set(loaded)


def test_help_loads_no_codec() -> None:
    code = (
        "import sys\nfrom deepfixcx.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(*sorted(sys.modules))"
    )
    loaded = run_python(code, "--help").split()
    assert not {"numba", "numpy", "pywt", "matplotlib", "pydicom"} & set(loaded)


def test_a_release_is_led_without_kernels() -> None:
    """Workers encode; numba takes as long to load as all else that their parent needs."""
    modules = "deepfixcx.release.run, deepfixcx.release.private, deepfixcx.code"
    loaded = run_python(f"import sys, {modules}; print(*sys.modules)").split()
    assert "numba" not in loaded


def test_a_worker_that_meets_no_dicom_loads_no_pydicom() -> None:
    loaded = run_python("import sys, deepfixcx.release.shard; print(*sys.modules)").split()
    assert not set(HEAVY) & set(loaded)


@pytest.mark.slow
def test_import_is_quicker_than_numba() -> None:
    """At most 0.6 s wherever `import numba` takes as much or less, and never more than numba."""
    numba, deepfixcx = median_seconds(["import numba"], ["import deepfixcx"])
    assert deepfixcx <= numba, f"import deepfixcx: {deepfixcx:.2f} s, import numba: {numba:.2f} s"


@pytest.mark.slow
def test_help_is_quick() -> None:
    """At most 0.5 s; on a machine too busy for that, at most twice as long as `import numba`."""
    numba, shown = median_seconds(["import numba"], HELP)
    assert shown <= max(HELP_SECONDS, 2 * numba), f"--help: {shown:.2f} s, numba: {numba:.2f} s"
