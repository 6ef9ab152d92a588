"""A file appears under its name whole, or not at all."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a hidden name beside it, then rename it. An existing file is replaced.

    Parameters
    ----------
    path : Path
        The file to write; its folder exists.
    content : bytes
        All of it.

    Raises
    ------
    OSError
        The folder cannot be written, or is full. Nothing is left behind.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "note"
    >>> write_whole(path, b"whole")
    >>> path.read_bytes()
    b'whole'
    """
    unfinished = path.parent / f".{uuid.uuid4().hex}.part"
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
