"""Programs beside Python that some tests ask: a test without its program skips, except in CI."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

import pytest

__all__ = ["plugin", "program"]


def program(package: str, *names: str) -> str:
    """Return the path of the first of these programs that is there."""
    # The scripts of Python packages are other programs: pynetdicom has a storescu of its own.
    own = Path(sys.executable).parent
    folders = [each for each in os.environ.get("PATH", "").split(os.pathsep) if Path(each) != own]
    searched = os.pathsep.join([*folders, "/usr/sbin", "/usr/local/sbin"])
    for name in names:
        found = shutil.which(name, path=searched)
        if found is not None:
            return found
    _without(f"{' or '.join(names)}: apt-get install {package}")


def plugin(package: str, path: str) -> str:
    """Return the path of a file that a package brings."""
    if Path(path).exists():
        return path
    _without(f"{path}: apt-get install {package}")


def _without(what: str) -> NoReturn:
    message = f"this test asks {what}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
