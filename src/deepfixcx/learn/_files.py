"""Files of a model: a reader never sees half of one."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from deepfixcx.errors import TrainingStoppedError

__all__ = ["write_whole"]


def write_whole(path: Path, data: bytes) -> None:
    """Write or replace a file: under a temporary name first, to the disk itself, then renamed.

    Raises
    ------
    TrainingStoppedError
        The file cannot be written, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise TrainingStoppedError(
            f"{path.name!r} cannot be written: {error.strerror}; make room or choose another folder"
        ) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
