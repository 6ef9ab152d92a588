"""Files of a model: a reader never sees half of one."""

from __future__ import annotations

from pathlib import Path

from deepfixcx.errors import TrainingStoppedError
from deepfixcx.io.folders import write_own

__all__ = ["write_whole"]


def write_whole(path: Path, data: bytes, root: Path | None = None) -> None:
    """Write a file of a folder of results, by default the one it lies in, or replace its own.

    Raises
    ------
    OverwriteError
        A file is in the way that deepfixcx did not write.
    TrainingStoppedError
        The file cannot be written, or the disk is full.
    """
    try:
        folder = path.parent if root is None else root
        write_own(folder, path.relative_to(folder).as_posix(), data)
    except OSError as error:
        raise TrainingStoppedError(
            f"{path.name!r} cannot be written: {error.strerror}; make room or choose another folder"
        ) from None
