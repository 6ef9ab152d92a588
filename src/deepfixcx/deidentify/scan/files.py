"""The files of a folder, hidden ones too, in an order that does not depend on the disk."""

from __future__ import annotations

import os
from pathlib import Path

from deepfixcx.errors import DeidentifyError

__all__ = ["check_apart", "list_files"]


def list_files(where: Path, *, without: Path | None = None) -> list[Path]:
    """Return the files below a folder, or a file itself.

    Parameters
    ----------
    where : Path
        Folder or file. Links to folders are not followed.
    without : Path
        Folder whose files are left out.

    Raises
    ------
    DeidentifyError
        There is nothing there, or in it, or a folder cannot be opened.
    """
    if where.is_file():
        return [where]
    if not where.is_dir():
        raise DeidentifyError(f"there is no file or folder {str(where)!r}; check the path")

    def refuse(error: OSError) -> None:
        raise DeidentifyError(f"a folder below {where.name!r} cannot be opened: {error.strerror}")

    left_out = without.resolve() if without is not None else None
    found = []
    for folder, _, names in os.walk(where, onerror=refuse):
        if left_out is None or not Path(folder).resolve().is_relative_to(left_out):
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
    if against.resolve().is_relative_to(folder.resolve()):
        raise DeidentifyError(
            f"the sources {str(against)!r} lie in {str(folder)!r}, which is to be shared; "
            f"move one of them"
        )
