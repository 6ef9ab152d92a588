"""How a release is recognised: by its manifest files, which every layer has to keep clear of."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

__all__ = ["ABOUT", "FORMAT", "MANIFEST", "checksum_of", "is_release", "release_around"]

ABOUT, MANIFEST = "dataset.json", "manifest.csv"
FORMAT = "deepfixcx.release"


def checksum_of(folder: Path) -> str:
    """Return the SHA-256 of dataset.json; empty where a folder is no release."""
    try:
        content = (folder / ABOUT).read_bytes() if (folder / ABOUT).is_file() else b""
        about = json.loads(content)  # a pipe, which would wait for its writer, is no file
    except (OSError, ValueError, RecursionError):
        return ""
    is_one = isinstance(about, dict) and about.get("format") == FORMAT
    return hashlib.sha256(content).hexdigest() if is_one else ""


def is_release(folder: Path) -> bool:
    """Return whether a folder is a finished release."""
    return (folder / MANIFEST).is_file() and checksum_of(folder) != ""


def release_around(path: Path) -> Path | None:
    """Return the release that a path is, or lies in, whether or not the path exists."""
    path = path.resolve()
    return next((folder for folder in (path, *path.parents) if is_release(folder)), None)
