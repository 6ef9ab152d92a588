"""What lies in a folder, hidden, linked and empty things too, in an order of its own."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from deepfixcx.errors import DeidentifyError
from deepfixcx.io.paths import within

__all__ = ["Entry", "check_apart", "list_files", "list_sources"]

LINK = "it is a link, and whether what it points to is shared depends on how the folder is copied"
SPECIAL = "it is no regular file, so it was not opened"


class Entry(NamedTuple):
    """One thing in a folder.

    Attributes
    ----------
    path : Path
        Where it is.
    target : str
        What a link points to, as it is written there.
    has_content : bool
        Whether it is a regular file, or a link to one.
    problem : str
        Why it cannot be searched whole, or empty.
    """

    path: Path
    target: str = ""
    has_content: bool = True
    problem: str = ""


def list_files(where: Path) -> list[Entry]:
    """Return everything below a folder that is to be shared, or a file itself.

    Links to folders are not followed; they are entries without content, and so are empty folders.

    Raises
    ------
    DeidentifyError
        There is nothing there, or in it, or a folder cannot be opened.
    """
    if not where.is_dir():
        if not where.exists():
            raise DeidentifyError(f"there is no file or folder {str(where)!r}; check the path")
        return [_entry(where, Path(where).resolve())]
    found = []
    for folder, folders, names in os.walk(where, onerror=_refusal(where)):
        found += [_entry(Path(folder, name), None) for name in names]
        found += [_entry(Path(folder, each), None) for each in folders if _is_link(folder, each)]
        if not folders and not names and Path(folder) != where:
            found.append(Entry(Path(folder), has_content=False))
    if not any(each.has_content or each.target for each in found):
        raise DeidentifyError(f"{str(where)!r} holds no file; check the path")
    return sorted(found)


def list_sources(where: Path, *, without: Path) -> list[Path]:
    """Return the files of the sources, those behind links to folders too, each folder once.

    Raises
    ------
    DeidentifyError
        There is nothing there, or in it, or a folder cannot be opened.
    """
    if where.is_file():
        return [where]
    if not where.is_dir():
        raise DeidentifyError(f"there is no file or folder {str(where)!r}; check the path")
    left_out, seen = without.resolve(), set()
    found = []
    for folder, folders, names in os.walk(where, onerror=_refusal(where), followlinks=True):
        real = Path(folder).resolve()
        if real in seen or real.is_relative_to(left_out):
            folders.clear()
            continue
        seen.add(real)
        found += [Path(folder, name) for name in names]
    if not found:
        raise DeidentifyError(f"{str(where)!r} holds no file; check the path")
    return sorted(found)


def check_apart(folder: Path, against: Path) -> None:
    """Refuse sources that lie in what is going to be shared.

    Raises
    ------
    DeidentifyError
        They do, or both are one.
    """
    if within(against, folder):
        raise DeidentifyError(
            f"the sources {str(against)!r} lie in {str(folder)!r}, which is to be shared; "
            f"move one of them"
        )


def _entry(path: Path, resolved: Path | None) -> Entry:
    target = os.readlink(path) if path.is_symlink() and resolved is None else ""
    try:
        mode = path.stat().st_mode
    except OSError:
        return Entry(path, target, has_content=False, problem=LINK if target else SPECIAL)
    regular = stat.S_ISREG(mode)
    if target:
        return Entry(path, target, has_content=regular, problem=LINK)
    return Entry(path, has_content=regular, problem="" if regular else SPECIAL)


def _is_link(folder: str, name: str) -> bool:
    return Path(folder, name).is_symlink()


def _refusal(where: Path) -> Callable[[OSError], None]:
    def refuse(error: OSError) -> None:
        raise DeidentifyError(f"a folder below {where.name!r} cannot be opened: {error.strerror}")

    return refuse
