"""The wheel and the source archive, each built once in a run of the tests."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Literal

from tests.conftest import ROOT

__all__ = ["built"]


@cache
def built(kind: Literal["wheel", "sdist"]) -> Path:
    """Return the path of what `build` makes of this folder."""
    folder = Path(tempfile.mkdtemp(prefix="deepfixcx-"))
    done = subprocess.run(
        [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.iterdir()
    return path
