"""Files of a model: a reader never sees half of one."""

from __future__ import annotations

from pathlib import Path

from deepfixcx.errors import TrainingStoppedError
from deepfixcx.io.files import write_file

__all__ = ["write_whole"]


def write_whole(path: Path, data: bytes) -> None:
    """Write or replace a file: under a temporary name first, to the disk itself, then renamed.

    Raises
    ------
    TrainingStoppedError
        The file cannot be written, or the disk is full.
    """
    try:
        write_file(path, data, replace=True)
    except OSError as error:
        raise TrainingStoppedError(
            f"{path.name!r} cannot be written: {error.strerror}; make room or choose another folder"
        ) from None
