"""Where paths lead: links, other mounts and other cases of one name are one place."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from deepfixcx.errors import ReleaseError

__all__ = ["check_apart", "find_link", "one_place", "within"]


def within(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> bool:
    """Return whether a path is a folder or lies in it, by whatever names the two are called."""
    root, wanted = _parts(Path(folder))
    there, below = _parts(Path(path))
    above = [(there, below)]
    while there.parent != there:
        below = (_plain(there.name), *below)
        there = there.parent
        above.append((there, below))
    return any(_same(place, root) and rest[: len(wanted)] == wanted for place, rest in above)


def check_apart(written: Mapping[str, Path], read: Mapping[str, Path]) -> None:
    """Refuse a place to write that lies in another place that a command names, or holds one."""
    for what, path in written.items():
        others = {name: place for name, place in written.items() if name != what}
        for other, place in {**read, **others}.items():
            if one_place(path, place):
                raise ReleaseError(
                    f"{what} {str(path)!r} would replace {other}; choose another place for it"
                )
            if within(path, place):
                raise ReleaseError(
                    f"{what} {str(path)!r} lies in {other} {str(place)!r}; choose another place"
                )
            if place.is_dir() and within(place, path):
                raise ReleaseError(
                    f"{other} {str(place)!r} lies in {what} {str(path)!r}; choose another place"
                )


def one_place(path: Path, other: Path) -> bool:
    """Return whether two paths lead to one place; neither must exist."""
    return within(path, other) and within(other, path)


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
