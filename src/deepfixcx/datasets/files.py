"""Which files of a folder are images by their names, and whether a file can hold one at all."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from deepfixcx.errors import (
    DamagedImageError,
    EmptyFileError,
    ImageFileError,
    LayoutError,
    UnreadableFileError,
)

__all__ = ["check_file", "check_jpeg_end", "list_images", "local_path"]

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".dib"}
    | {".dcm", ".dicom", ".ima", ".dc3"}
)

_URL = re.compile(r"([a-z][\w+.-]+)(::[a-z][\w+.-]+)*:/", re.IGNORECASE)
"""Begin of a URL; ``Path`` makes one slash of two."""

_CHUNK = 1 << 16
_END = b"\xff\xd9"


def local_path(where: str | os.PathLike[str], what: str) -> Path:
    """Return a path of this machine's disk: ``file://`` is stripped, and no other URL is one.

    `what` is what the message says cannot be read from there.

    Raises
    ------
    LayoutError
        The path is a URL. The message does not repeat it, for it may hold a password.

    Examples
    --------
    >>> local_path("file:///data/xrays", "a dataset"), local_path("xrays", "a dataset")
    (PosixPath('/data/xrays'), PosixPath('xrays'))
    """
    text = os.fspath(where)
    url = _URL.match(text)
    if url is None or os.path.lexists(text):
        return Path(text)
    if url[1].lower() in ("file", "local"):
        return Path("/", text[url.end() :].lstrip("/"))
    raise LayoutError(
        f"{what} is read from this machine's disk, not from a URL; copy it here first"
    )


def list_images(folder: Path) -> tuple[list[Path], list[tuple[Path, ImageFileError]]]:
    """List the images below a folder, sorted, and the folders that may not be listed.

    A file counts by the suffix of its name; one without a suffix counts if it is DICOM. Hidden
    files, and the folder ``__MACOSX`` that some archives hold, are left out. A link to a folder is
    followed, but no folder is walked twice.
    """
    found: list[Path] = []
    closed: list[tuple[Path, ImageFileError]] = []
    seen: set[tuple[int, int]] = set()

    def refuse(error: OSError) -> None:
        reason = UnreadableFileError("a folder cannot be listed; check its permissions")
        closed.append((Path(error.filename), reason))

    for here, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        folders[:] = [name for name in folders if _is_new(Path(here, name), seen)]
        paths = (Path(here, name) for name in names if not _is_hidden(name))
        found += [path for path in paths if _is_image(path)]
    return sorted(found), sorted(closed, key=lambda pair: pair[0])


def check_file(path: Path) -> ImageFileError | None:
    """Say what is wrong with a file before anyone reads it: missing, no file, or empty.

    Examples
    --------
    >>> check_file(Path("no such file"))
    UnreadableFileError('there is no such file')
    """
    try:
        status = path.stat()
    except PermissionError:
        return UnreadableFileError("you may not read the file; change its permissions")
    except (OSError, ValueError):
        return UnreadableFileError("there is no such file")
    if not stat.S_ISREG(status.st_mode):
        return UnreadableFileError("it is a folder or a special file; correct the path")
    if status.st_size == 0:
        return EmptyFileError("the file has no bytes; copy it again from its source")
    return None


def check_jpeg_end(path: Path) -> ImageFileError | None:
    """Say whether a JPEG file was cut off: its pixels begin and the marker of their end is missing.

    Only the last bytes are read where the marker is there, as it is in every whole file but a few
    with a long trailer. A file that is no JPEG is no problem here.
    """
    try:
        with path.open("rb") as file:
            if file.read(2) != b"\xff\xd8":
                return None
            start = _start_of_pixels(file)
            if start is not None and _ends(file, start):
                return None
    except OSError:
        return UnreadableFileError("the file cannot be read: input/output error; check the disk")
    return DamagedImageError(
        "the JPEG was cut off: the end of its pixels is missing; copy it again"
    )


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _is_new(folder: Path, seen: set[tuple[int, int]]) -> bool:
    try:
        status = folder.stat()
    except OSError:
        return True  # walking it tells why not
    identity = (status.st_dev, status.st_ino)
    if identity in seen:
        return False
    seen.add(identity)
    return True


def _is_image(path: Path) -> bool:
    if path.suffix:
        return path.suffix.lower() in IMAGE_SUFFIXES
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _start_of_pixels(file: BinaryIO) -> int | None:
    """Walk the segments of a JPEG header; return where the compressed pixels begin."""
    while True:
        marker = file.read(2)
        while marker == b"\xff\xff":  # fill bytes
            marker = b"\xff" + file.read(1)
        length = file.read(2)
        if len(marker) < 2 or marker[0] != 0xFF or len(length) < 2:
            return None
        file.seek(int.from_bytes(length, "big") - 2, os.SEEK_CUR)
        if marker[1] == 0xDA:
            return file.tell()


def _ends(file: BinaryIO, start: int) -> bool:
    """Whether the marker of the end stands behind `start`: near the end of the file, or at all."""
    size = file.seek(0, os.SEEK_END)
    for begin in (max(start, size - _CHUNK), start):
        file.seek(begin)
        if any(_END in chunk for chunk in _overlapping(file)):
            return True
    return False


def _overlapping(file: BinaryIO) -> Iterator[bytes]:
    """Yield the rest of a file in chunks, each with the last byte of the one before."""
    last = b""
    while chunk := file.read(_CHUNK):
        yield last + chunk
        last = chunk[-1:]
