"""What there is to look at in a folder: releases, models, audits, sweeps, frontiers and images."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Found", "Library"]

DEPTH = 3
MOST_ENTRIES = 20_000
"""So many files and folders are looked at, and no more: a dataset may lie there, too."""
MOST_IMAGES = 200
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".dcm", ".dicom"})
PRIVATE = ".private"
"""Private folders hold plain codes behind mechanisms, which nobody is to take for a release."""
OWN_ROOMS = frozenset({"images", "codes", "rows"})
"""Folders within what deepfixcx makes, which hold nothing to choose."""


@dataclass(frozen=True, slots=True)
class Found:
    """One thing to look at.

    Attributes
    ----------
    kind : str
        ``"release"``, ``"model"``, ``"audit"``, ``"frontier"`` or ``"sweep"``.
    name : str
        Its place in the folder.
    path : Path
        The folder, or the file of an audit.
    """

    kind: str
    name: str
    path: Path


class Library:
    """What lies in a folder.

    Parameters
    ----------
    folder : Path or None
        Where to look; nowhere, for None.
    originals : Path, optional
        What releases in it were made of; only where the user says so.
    """

    def __init__(self, folder: Path | None, originals: Path | None = None) -> None:
        self.folder = folder
        self.originals = originals

    def pictures(self) -> dict[str, Path]:
        """Return the images that lie in the folder, by their place in it; some hundred at most."""
        if self.folder is None:
            return {}
        found: dict[str, Path] = {}
        for path, files in self._folders():
            if "manifest.csv" in files and "dataset.json" in files:
                continue
            for name in sorted(files):
                if Path(name).suffix.lower() in IMAGE_SUFFIXES and len(found) < MOST_IMAGES:
                    found[self._name(path / name)] = path / name
        return found

    def find(self, *kinds: str) -> list[Found]:
        """Return what there is of some kinds, sorted by name; asked anew each time."""
        found = [each for path, files in self._folders() for each in self._kinds(path, files)]
        return sorted((each for each in found if each.kind in kinds), key=lambda each: each.name)

    def _kinds(self, path: Path, files: set[str]) -> Iterator[Found]:
        name = self._name(path)
        if _format(path / "dataset.json", files) == "deepfixcx.release" or _running(path):
            yield Found("release", name, path)
        if _format(path / "model.json", files) == "deepfixcx.model":
            yield Found("model", name, path)
        if "sweep.csv" in files:
            yield Found("sweep", name, path)
        if "frontier.csv" in files or "frontier.json" in files:
            yield Found("frontier", name, path)
        for file in sorted(files):
            if file.endswith(".json") and _format(path / file, files) == "deepfixcx.audit":
                yield Found("audit", self._name(path / file), path / file)

    def _name(self, path: Path) -> str:
        if self.folder is None or path == self.folder:
            return path.name
        return path.relative_to(self.folder).as_posix()

    def _folders(self) -> Iterator[tuple[Path, set[str]]]:
        """Yield folders with the names of their files, from above, not following links."""
        if self.folder is None:
            return
        looked = 0
        for where, folders, files in os.walk(self.folder):
            path = Path(where)
            yield path, set(files)
            looked += len(files) + len(folders)
            deep = len(path.relative_to(self.folder).parts) >= DEPTH
            if looked > MOST_ENTRIES or deep:
                folders.clear()
            own = "dataset.json" in files or _running(path)
            folders[:] = sorted(
                name
                for name in folders
                if not name.startswith(".")
                and not name.endswith(PRIVATE)
                and not (own and name in OWN_ROOMS)
            )


def _running(path: Path) -> bool:
    """Return whether a folder is a release that is not finished: it has a ledger beside it."""
    return (path.with_name(path.name + PRIVATE) / "ledger.sqlite").is_file()


def _format(path: Path, files: set[str]) -> str:
    """Return the format that a file of JSON says it has."""
    if path.name not in files:
        return ""
    try:
        about = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return ""
    return str(about.get("format", "")) if isinstance(about, dict) else ""
