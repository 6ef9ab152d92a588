"""Which files are the inputs of a release: a folder, a table with paths, or one image."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from deepfixcx.errors import FolderLoopError, ReleaseError
from deepfixcx.images.sniffing import SNIFFED_BYTES, sniff
from deepfixcx.release.listing import Listing
from deepfixcx.release.remote_inputs import find_in_store, sources_at
from deepfixcx.release.sources import (
    Source,
    Sources,
    cannot_open,
    counts_by_name,
    paths_in_table,
    printable,
    source_on_disk,
)
from deepfixcx.release.urls import is_url, locate

__all__ = ["Source", "Sources", "find_sources"]


def find_sources(where: str | Path) -> Sources:
    """List the inputs below a folder, in a table, or one image.

    A file counts as an input if its name or its first bytes are those of an image, or if its name
    has no suffix (DICOM files often have none). Hidden files and folders, and other files, are
    skipped and listed. Links to folders are followed unless they lead back above themselves.

    Parameters
    ----------
    where : str or Path
        A folder; a ``.csv`` file with a column ``path`` or ``file``, relative to the table's own
        folder; or an image. A URL (as a str) names one of these in a store that fsspec reads; a
        table may list URLs, too.

    Returns
    -------
    Sources
        Sorted by name, so that a plan does not depend on the file system. A folder has the same
        names on a disk and in a store.

    Raises
    ------
    ReleaseError
        There is nothing there, nothing to read in it, or the table has no column of paths; or a
        store cannot be reached.
    MissingExtraError
        fsspec, or its package for such URLs, is not installed.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("2.png", "1.dcm", "notes.txt"):
    ...     _ = (folder / name).write_bytes(b"")
    >>> [source.name for source in find_sources(folder).found]
    ['1.dcm', '2.png']
    """
    location = locate(where)
    sources = find_in_store(location) if isinstance(location, str) else _find(location)
    if not sources.found:
        raise ReleaseError(
            f"{str(location)!r} holds no image: {len(sources.skipped)} other files were looked at; "
            f"PNG, JPEG, TIFF, BMP, DICOM and NIfTI are read"
        )
    listing = Listing(sources.found)
    return Sources(listing.select(listing.by_name()), sources.skipped)


def _find(where: Path) -> Sources:
    if not where.exists():
        raise ReleaseError(f"there is no file or folder {str(where)!r}; check the path")
    if where.is_dir():
        return _in_folder(where)
    if where.suffix.lower() == ".csv":
        return Sources(tuple(_in_table(where)))
    return Sources((source_on_disk(where, where.name),))


def _in_folder(root: Path) -> Sources:
    skipped: list[str] = []

    def inputs() -> Iterator[Source]:
        for each in _walk(root, "", (_identity(root),)):
            if isinstance(each, Source):
                yield each
            else:
                skipped.append(each)

    found = Listing(inputs())
    return Sources(found, tuple(sorted(skipped)))


def _walk(folder: Path, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[Source | str]:
    """Yield every input below `folder`, and of other files the name."""
    try:
        with os.scandir(folder) as entries:
            here = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        yield Source(folder, prefix.rstrip("/") or ".", problem=cannot_open(error.strerror))
        return
    for entry in here:
        name, path = prefix + entry.name, Path(entry.path)
        if entry.name.startswith("."):
            yield printable(name) + "/" * _is_folder(entry)
            continue
        if not _is_folder(entry):
            yield source_on_disk(path, name) if _is_input(path) else printable(name)
            continue
        identity = _identity(path)
        if identity in above:
            loop = FolderLoopError(
                "a symbolic link leads back to a folder above it; remove the link"
            )
            yield Source(path, name, problem=loop)
        else:
            yield from _walk(path, name + "/", (*above, identity))


def _in_table(table: Path) -> Iterator[Source]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            paths = paths_in_table(file, table.name)
    except OSError:
        raise ReleaseError(f"{table.name} is not a readable table of UTF-8 text") from None
    places = [(locate(path) if is_url(path) else table.parent / path, path) for path in paths]
    yield from sources_at(places)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_input(path: Path) -> bool:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
    except OSError:
        return True  # counted, so that its failure is recorded
    if counts_by_name(path.name):
        return True
    try:
        with path.open("rb") as file:
            return bool(sniff(file.read(SNIFFED_BYTES)))
    except OSError:
        return False
