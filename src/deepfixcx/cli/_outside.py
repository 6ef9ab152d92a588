"""Releases are shared as they lie there: no command writes anything else into one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from deepfixcx.errors import ReleaseError

__all__ = ["check_outside", "is_release", "release_around"]

WRITTEN = {"out": "-o", "json": "--json", "cache": "--cache"}
"""Parameters of commands that name what is to be written, and how a user spells them."""


def is_release(folder: Path) -> bool:
    r"""Return whether a folder is a finished release of this program.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "manifest.csv").write_text("file\n")
    >>> _ = (folder / "dataset.json").write_text('{"format": "deepfixcx.release"}')
    >>> is_release(folder), is_release(folder / "images")
    (True, False)
    """
    try:
        if not all((folder / name).is_file() for name in ("manifest.csv", "dataset.json")):
            return False  # nor where one is a pipe, which would wait for its writer
        about = json.loads((folder / "dataset.json").read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(about, dict) and about.get("format") == "deepfixcx.release"


def release_around(place: Path) -> Path | None:
    """Return the release that a place is, or lies in, whether or not there is something yet."""
    place = place.resolve()
    return next((folder for folder in (place, *place.parents) if is_release(folder)), None)


def check_outside(options: Mapping[str, object]) -> None:
    """Refuse, before any work, to write into a release.

    Parameters
    ----------
    options : mapping
        What a command was called with, by the names of its parameters.

    Raises
    ------
    ReleaseError
        A path lies in a release, or is one.
    """
    for name, spelled in WRITTEN.items():
        path = options.get(name)
        if isinstance(path, Path) and release_around(path) is not None:
            raise ReleaseError(
                f"{str(path)!r} lies in the release, which is shared; choose another {spelled}"
            )
