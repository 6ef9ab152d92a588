"""Files and folders that outlast a crash, and half files that earlier runs left behind."""

from __future__ import annotations

from pathlib import Path

__all__ = ["remove_unfinished"]

UNFINISHED = (".deepfixcx-*.part",)
"""How files are called until they are complete."""


def remove_unfinished(folder: Path) -> None:
    """Remove files that a process which died was writing."""
    for pattern in UNFINISHED:
        for leftover in folder.rglob(pattern):
            leftover.unlink(missing_ok=True)
