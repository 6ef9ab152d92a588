"""Find the inputs of a release: in a folder, a table or a store."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from deepfixcx.errors import (
    FolderLoopError,
    LayoutError,
    ReleaseError,
    RowError,
    UnreadableFileError,
)
from deepfixcx.images.frames import SNIFFED_BYTES, sniff
from deepfixcx.io.tables import Table, has_table_name
from deepfixcx.release.listing import Listing, Source, Sources
from deepfixcx.release.storage import (
    Location,
    RemoteFile,
    asking,
    at_once,
    is_url,
    locate,
    name_below,
    open_store,
    stamp_in,
)

__all__ = [
    "cannot_open",
    "counts_by_name",
    "find_in_store",
    "find_sources",
    "hidden_part",
    "in_table",
    "printable",
    "source_on_disk",
    "sources_at",
]

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".dib"}
    | {".dcm", ".dicom", ".ima", ".dc3", ".nii"}
)
"""A file with such a name is an input whatever it holds: if it is no image, that is a failure."""


def counts_by_name(name: str) -> bool:
    """Return whether a file is an input whatever it holds."""
    suffix = PurePosixPath(name).suffix.lower()
    if name.lower().endswith(".nii.gz"):
        return True
    return not suffix or suffix in IMAGE_SUFFIXES or suffix.removeprefix(".").isdigit()


def hidden_part(name: str) -> str:
    """Return a name up to its first hidden part, or nothing if no part is hidden."""
    parts = name.rstrip("/").split("/")
    for number, part in enumerate(parts, 1):
        if part.startswith("."):
            below = number < len(parts) or name.endswith("/")
            return "/".join(parts[:number]) + "/" * below
    return ""


def in_table(table: Path | bytes, name: str) -> tuple[list[str], list[Source]]:
    """Return the paths that a table lists, each once, and a failed input for each ragged row."""
    from deepfixcx.datasets.table import listed_images

    try:
        listed = list(listed_images(Table(table, name)))
    except LayoutError as error:
        raise ReleaseError(str(error)) from None
    bad = [
        Source(Path(name), f"row {each.number} of {name}", problem=_of_row(each.problem))
        for each in listed
        if each.problem is not None
    ]
    return [each.path for each in listed if each.problem is None], bad


def _of_row(problem: RowError) -> UnreadableFileError:
    return UnreadableFileError(f"{problem}; correct this row of the table")


def printable(name: str) -> str:
    """Spell out bytes that are not UTF-8, so that the name can stand in a table."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def source_on_disk(path: Path, name: str) -> Source:
    """Return the input at a path, with its size or why it cannot be tried."""
    try:
        return Source(path, printable(name), path.stat().st_size)
    except OSError as error:
        return Source(path, printable(name), problem=cannot_open(error.strerror))


def cannot_open(reason: str | None) -> UnreadableFileError:
    """Return the error of a file that cannot even be tried, with the system's word for it."""
    return UnreadableFileError(f"cannot be opened: {reason}; check its permissions")


def find_sources(where: str | Path) -> Sources:
    """List the inputs below a folder, in a table, or one image.

    A file counts as an input if its name or its first bytes are those of an image, or if its name
    has no suffix (DICOM files often have none). Hidden files and folders, and other files, are
    skipped and listed. Links to folders are followed unless they lead back above themselves.

    Parameters
    ----------
    where : str or Path
        A folder; a table (``.csv``, ``.tsv``, ``.txt``, or gzipped) with a column ``path`` or
        ``file``, relative to the table's own folder; or an image. A URL (as a str) names one of
        these in a store that fsspec reads; a table may list URLs, too.

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
            f"{str(location)!r} holds no image; {len(sources.skipped)} other files were found, "
            "and PNG, JPEG, TIFF, BMP, DICOM and NIfTI are supported"
        )
    listing = Listing(sources.found)
    return Sources(listing.select(listing.by_name()), sources.skipped)


def _find(where: Path) -> Sources:
    if not where.exists():
        raise ReleaseError(f"there is no file or folder {str(where)!r}; check the path")
    if where.is_dir():
        return _in_folder(where)
    if has_table_name(where.name):
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
    paths, bad = in_table(table, table.name)
    yield from bad
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


def find_in_store(url: str) -> Sources:
    """List the inputs below a URL, in a table, or one image."""
    try:
        with asking(url):
            system, root = open_store(url)
            system.invalidate_cache()
            if url.endswith("/") or system.info(root)["type"] == "directory":
                return _in_store_folder(url, system, root)
            if has_table_name(root):
                return Sources(tuple(_in_store_table(url, system, root)))
            return Sources((_asked(url, root, posixpath.basename(root)),))
    except FileNotFoundError:
        raise ReleaseError(f"there is no file or folder {url!r}; check the URL") from None


def sources_at(places: Iterable[tuple[Location, str]]) -> list[Source]:
    """Return the input at each path or URL, under the name beside it."""
    places = list(places)

    def ask(place: tuple[str, str]) -> Source:
        url, name = place
        with asking(url):
            return _asked(url, open_store(url)[1], name)

    remote = at_once(ask, ((where, name) for where, name in places if isinstance(where, str)))
    local = [source_on_disk(where, name) for where, name in places if isinstance(where, Path)]
    return remote + local


def _in_store_folder(url: str, system: Any, root: str) -> Sources:
    listing: dict[str, Mapping[str, Any]] = system.find(root, detail=True)
    unsized = [path for path, about in listing.items() if about["size"] is None]  # in HTTP, all
    listing |= zip(unsized, at_once(system.info, unsized), strict=True)
    files = {
        name: RemoteFile(url, path, stamp_in(about), int(about["size"] or 0))
        for path, about in listing.items()
        if about["type"] == "file" and not (name := name_below(root, path)).endswith("/")
    }
    del listing
    system.invalidate_cache()  # which keeps a listing of millions otherwise
    hidden = {name: part for name in files if (part := hidden_part(name))}
    files = {name: file for name, file in files.items() if name not in hidden}
    unclear = [name for name in files if not counts_by_name(name)]
    images = at_once(lambda name: _is_image(system, files[name]), unclear)
    skipped = {name for name, image in zip(unclear, images, strict=True) if not image}
    found = (
        Source(file, printable(name), file.size)
        for name, file in files.items()
        if name not in skipped
    )
    return Sources(Listing(found), tuple(sorted(map(printable, skipped | {*hidden.values()}))))


def _is_image(system: Any, file: RemoteFile) -> bool:
    if not file.size:
        return False
    try:
        return bool(sniff(system.cat_file(file.path, start=0, end=SNIFFED_BYTES)))
    except (FileNotFoundError, PermissionError):
        return False


def _in_store_table(url: str, system: Any, table: str) -> Iterator[Source]:
    name = posixpath.basename(table)
    paths, bad = in_table(bytes(system.cat_file(table)), name)
    yield from bad
    yield from sources_at((locate(path), path) for path in paths if is_url(path))
    folder = posixpath.dirname(table)

    def ask(path: str) -> Source:
        return _asked(url, posixpath.normpath(posixpath.join(folder, path)), path)

    yield from at_once(ask, (path for path in paths if not is_url(path)))


def _asked(url: str, path: str, name: str) -> Source:
    """Ask a store about one file."""
    system, _ = open_store(url)
    try:
        about = system.info(path)
    except FileNotFoundError:
        reason = errno.ENOENT
    except PermissionError:
        reason = errno.EACCES
    else:
        size = int(about["size"] or 0)
        return Source(RemoteFile(url, path, stamp_in(about), size), printable(name), size)
    problem = cannot_open(os.strerror(reason))
    return Source(RemoteFile(url, path), printable(name), problem=problem)
