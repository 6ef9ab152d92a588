"""An environment with the package and what it needs, and nothing else, made in seconds.

The packages are those of the environment that runs the tests: a folder of links to the ones that a
requirement of the package leads to. So a dependency that is used and not declared is found, without
a download.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = ["closure", "empty_environment"]


def closure(requirements: list[str], *extras: str) -> dict[str, Distribution]:
    """Return every distribution that these lines of a wheel's metadata lead to."""
    found: dict[str, Distribution] = {}
    done: set[tuple[str, str]] = set()
    waiting = [(Requirement(line), extra) for line in requirements for extra in ("", *extras)]
    while waiting:
        wanted, extra = waiting.pop()
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(wanted.name)
        if name == "deepfixcx":
            raise ValueError("name the extras that this one holds")
        found.setdefault(name, distribution(name))
        for each in ("", *wanted.extras):
            if (name, each) not in done:
                done.add((name, each))
                waiting += [(Requirement(line), each) for line in found[name].requires or []]
    return found


def empty_environment(folder: Path, wheel: Path, *extras: str) -> Path:
    """Install a wheel into an environment of its own, and return its folder of programs."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--quiet",
         "--disable-pip-version-check", str(wheel)],
        check=True, capture_output=True,
    timeout=240,
    )  # fmt: skip
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    (package,) = site.glob("deepfixcx-*.dist-info")
    requirements = Distribution.at(package).requires or []
    for found in closure(requirements, *extras).values():
        for entry in {path.parts[0] for path in found.files or [] if path.parts[0] != ".."}:
            if entry != "__pycache__" and not (site / entry).exists():
                (site / entry).symlink_to(Path(str(found.locate_file(entry))).resolve())
    return folder / "bin"
