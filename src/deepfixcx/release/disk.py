"""Files and folders that outlast a crash, and half files that earlier runs left behind."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["remove_unfinished", "sync", "sync_folder"]

UNFINISHED = (".*.tmp", ".*.part")
"""How files are called until they are complete."""


def sync(folder: Path, names: Iterable[str]) -> None:
    """Wait until files, and the folders that name them, are on the disk itself.

    Parameters
    ----------
    folder : Path
        The release.
    names : iterable of str
        Files below it.

    Raises
    ------
    OSError
        The disk is full or broken.
    """
    folders = {folder}
    for name in dict.fromkeys(names):
        path = folder / name
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        folders |= {folder / parent for parent in Path(name).parents}
    # The deepest first: a folder is named before what names it.
    for each in sorted(folders, key=lambda path: -len(path.parts)):
        sync_folder(each)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk; some file systems cannot be asked."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_unfinished(folder: Path) -> None:
    """Remove files that a process which died was writing."""
    for pattern in UNFINISHED:
        for leftover in folder.rglob(pattern):
            leftover.unlink(missing_ok=True)
