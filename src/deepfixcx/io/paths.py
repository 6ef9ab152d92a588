"""Where paths lead: links, other mounts and other cases of one name are one place."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

__all__ = ["find_link", "within"]


def within(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> bool:
    """Return whether a path is a folder or lies in it, by whatever names the two are called.

    Neither must exist. Folders that exist are compared by device and inode, so links, bind mounts
    and file systems that ignore case make no difference; names that do not exist yet count as one
    if they differ in case or in the Unicode form alone.

    Examples
    --------
    >>> within("scans/ward/../out", "scans"), within("scans2", "scans"), within("scans", "scans")
    (True, False, True)
    """
    root, wanted = _parts(Path(folder))
    there, below = _parts(Path(path))
    above = [(there, below)]
    while there.parent != there:
        below = (_plain(there.name), *below)
        there = there.parent
        above.append((there, below))
    return any(_same(place, root) and rest[: len(wanted)] == wanted for place, rest in above)


def find_link(folder: Path) -> str:
    """Return the name of a link below a folder; empty where there is none."""
    for where, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(where, name)
            if os.path.islink(path):
                return os.path.relpath(path, folder)
    return ""


def _parts(path: Path) -> tuple[Path, tuple[str, ...]]:
    """Return the deepest part of a path that exists, and the names below it."""
    place, below = Path(os.path.realpath(path)), tuple[str, ...]()
    while not os.path.exists(place) and place.parent != place:
        below = (_plain(place.name), *below)
        place = place.parent
    return place, below


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samestat(os.stat(one), os.stat(other))
    except OSError:
        return False
