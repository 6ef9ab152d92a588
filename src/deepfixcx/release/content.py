"""Which bytes an input holds: its hash, and the stamp that says when to hash it again.

The hash of the bytes is the key of the work done on a file. Hashing millions of files only to
learn that nothing changed would be slow, so the stamp (size, times of change) is kept beside it,
and only a file with another stamp is hashed again.
"""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import BinaryIO

from deepfixcx.errors import ImageFileError, UnreadableFileError
from deepfixcx.images.reading import open_image
from deepfixcx.release.store import RemoteFile

__all__ = ["content_of", "open_hashed", "stamp_of"]

HELD_BYTES = 1 << 26
"""A file up to this size is read once and decoded from memory; a larger one is read twice."""


def stamp_of(where: Path | RemoteFile) -> str:
    """Return what the file system says of a file, empty where it says nothing."""
    if isinstance(where, RemoteFile):
        return where.stamp
    try:
        status = os.stat(where)
    except (OSError, ValueError):
        return ""
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"


def open_hashed(where: Path | RemoteFile) -> tuple[BinaryIO, str]:
    """Open an input and hash its bytes."""
    if isinstance(where, RemoteFile):
        return where.open_hashed(HELD_BYTES)
    stream = open_image(where)
    try:
        if os.fstat(stream.fileno()).st_size <= HELD_BYTES:
            held = stream.read()
            stream.close()
            return io.BytesIO(held), hashlib.sha256(held).hexdigest()
        content = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
    except OSError:
        stream.close()
        raise UnreadableFileError("the file cannot be read: input/output error") from None
    return stream, content


def content_of(where: Path | RemoteFile) -> str:
    """Return the hash of an input as it is now, empty where it cannot be read."""
    try:
        stream, content = open_hashed(where)
    except ImageFileError:
        return ""
    stream.close()
    return content
