"""Which files are the inputs of a release: a folder, a table with paths, or one image."""

from __future__ import annotations

import csv
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deepfixcx.errors import FolderLoopError, ImageFileError, ReleaseError, UnreadableFileError
from deepfixcx.images.sniffing import SNIFFED_BYTES, sniff

__all__ = ["Source", "Sources", "find_sources"]

PATH_COLUMNS = ("path", "file", "filename", "file_name", "image")
"""Names of the column that holds the paths of a table, in order of preference, in any case."""

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".dib"}
    | {".dcm", ".dicom", ".ima", ".dc3"}
)
"""A file with such a name is an input whatever it holds: if it is no image, that is a failure."""


@dataclass(frozen=True, slots=True)
class Source:
    """One input file.

    Attributes
    ----------
    path : Path
        Where it is.
    name : str
        Its path below the input folder, with forward slashes; or as a table lists it.
    size : int
        Its bytes, 0 where it cannot be asked.
    problem : ImageFileError or None
        Why it cannot even be tried: a folder that may not be listed, or a loop of links.
    """

    path: Path
    name: str
    size: int = 0
    problem: ImageFileError | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """Every input, sorted by name, and the names of the files that are no images."""

    found: tuple[Source, ...]
    skipped: tuple[str, ...] = ()


def find_sources(where: Path) -> Sources:
    """List the inputs below a folder, in a table, or one image.

    A file counts as an input if its name or its first bytes are those of an image, or if its name
    has no suffix (DICOM files often have none). Hidden files and other files are skipped. Links
    to folders are followed unless they lead back above themselves.

    Parameters
    ----------
    where : Path
        A folder; a ``.csv`` file with a column ``path`` or ``file``, relative to the table's own
        folder; or an image.

    Returns
    -------
    Sources
        Sorted by name, so that a plan does not depend on the file system.

    Raises
    ------
    ReleaseError
        There is nothing there, nothing to read in it, or the table has no column of paths.
    """
    if not where.exists():
        raise ReleaseError(f"there is no file or folder {str(where)!r}; check the path")
    if where.is_dir():
        sources = _in_folder(where)
    elif where.suffix.lower() == ".csv":
        sources = Sources(tuple(_in_table(where)))
    else:
        sources = Sources((_source(where, where.name),))
    if not sources.found:
        raise ReleaseError(
            f"{str(where)!r} holds no image: {len(sources.skipped)} other files were looked at; "
            f"PNG, JPEG, TIFF, BMP and DICOM are read"
        )
    return Sources(tuple(sorted(sources.found, key=lambda source: source.name)), sources.skipped)


def _in_folder(root: Path) -> Sources:
    found: list[Source] = []
    skipped: list[str] = []
    for source in _walk(root, "", (_identity(root),)):
        if source.problem is not None or _is_input(source.path):
            found.append(source)
        else:
            skipped.append(source.name)
    return Sources(tuple(found), tuple(sorted(skipped)))


def _walk(folder: Path, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[Source]:
    """Yield every file below `folder`; `above` identifies the folders on the way here."""
    try:
        with os.scandir(folder) as entries:
            here = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        yield Source(folder, prefix.rstrip("/") or ".", problem=_cannot_open(error))
        return
    for entry in here:
        name = prefix + entry.name
        if entry.name.startswith("."):
            continue
        if not _is_folder(entry):
            yield _source(Path(entry.path), name)
            continue
        identity = _identity(Path(entry.path))
        if identity in above:
            loop = FolderLoopError(
                "a symbolic link leads back to a folder above it; remove the link"
            )
            yield Source(Path(entry.path), name, problem=loop)
        else:
            yield from _walk(Path(entry.path), name + "/", (*above, identity))


def _in_table(table: Path) -> Iterator[Source]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = {column.strip().lower(): column for column in reader.fieldnames or ()}
            column = next((columns[name] for name in PATH_COLUMNS if name in columns), None)
            if column is None:
                raise ReleaseError(
                    f"{table.name} has no column of paths; name one of its columns "
                    f"{' or '.join(PATH_COLUMNS[:2])}"
                )
            paths = [row[column].strip() for row in reader if (row[column] or "").strip()]
    except (OSError, UnicodeDecodeError, csv.Error):
        raise ReleaseError(f"{table.name} is not a readable table of UTF-8 text") from None
    for path in dict.fromkeys(paths):  # a file listed twice is one input
        yield _source(table.parent / path, path)


def _source(path: Path, name: str) -> Source:
    try:
        return Source(path, _printable(name), path.stat().st_size)
    except OSError as error:
        return Source(path, _printable(name), problem=_cannot_open(error))


def _printable(name: str) -> str:
    """Spell out bytes that are not UTF-8, so that the name can stand in a table."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _cannot_open(error: OSError) -> UnreadableFileError:
    return UnreadableFileError(f"cannot be opened: {error.strerror}; check that it may be read")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_input(path: Path) -> bool:
    suffix = path.suffix.lower()
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
    except OSError:
        return True  # counted, so that its failure is recorded
    if suffix in IMAGE_SUFFIXES or suffix.removeprefix(".").isdigit() or not suffix:
        return True
    try:
        with path.open("rb") as file:
            return bool(sniff(file.read(SNIFFED_BYTES)))
    except OSError:
        return False
