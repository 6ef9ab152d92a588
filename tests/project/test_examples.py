"""The examples run as they are, and say that they learned something."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

EXAMPLES = sorted(
    path for path in (ROOT / "examples").glob("*.py") if "__main__" in path.read_text("utf-8")
)


def test_every_example_is_in_the_table() -> None:
    table = (ROOT / "examples" / "README.md").read_text("utf-8")
    assert len(EXAMPLES) == 5
    assert {path.name for path in EXAMPLES} == set(re.findall(r"examples/(\w+\.py)", table))


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_learns(example: os.PathLike[str]) -> None:
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run(
        [sys.executable, str(example)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    areas = re.findall(r"AUC of other patients.*: ([\d.]+)", done.stdout)
    assert float(areas[0]) > 0.9
