"""What an input is, and the rules by which one is found, on a disk as in a store."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from deepfixcx._words import TableReader
from deepfixcx.errors import ImageFileError, ReleaseError, UnreadableFileError
from deepfixcx.release.store import RemoteFile

__all__ = [
    "Source",
    "Sources",
    "cannot_open",
    "counts_by_name",
    "hidden_part",
    "paths_in_table",
    "printable",
    "source_on_disk",
]

PATH_COLUMNS = ("path", "file", "filename", "file_name", "image")
"""Names of the column that holds the paths of a table, in order of preference, in any case."""

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".dib"}
    | {".dcm", ".dicom", ".ima", ".dc3", ".nii"}
)
"""A file with such a name is an input whatever it holds: if it is no image, that is a failure."""


@dataclass(frozen=True)  # without slots, which make pickling slow
class Source:
    """One input file.

    Attributes
    ----------
    path : Path or RemoteFile
        Where it is.
    name : str
        Its path below the input folder, with forward slashes; or as a table lists it.
    size : int
        Its bytes, 0 where it cannot be asked.
    problem : ImageFileError or None
        Why it cannot even be tried: a folder that may not be listed, or a loop of links.

    Examples
    --------
    >>> Source(Path("scans/a/1.dcm"), "a/1.dcm", size=512).name
    'a/1.dcm'
    """

    path: Path | RemoteFile
    name: str
    size: int = 0
    problem: ImageFileError | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """Every input, sorted by name, and the names of the files that are not inputs."""

    found: Sequence[Source]
    skipped: tuple[str, ...] = ()


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


def paths_in_table(text: Iterable[str], name: str) -> list[str]:
    """Return the paths that a table lists, each once."""
    try:
        reader = TableReader(text)
        columns = {column.strip().lower(): column for column in reader.fieldnames or ()}
        column = next((columns[known] for known in PATH_COLUMNS if known in columns), None)
        if column is None:
            raise ReleaseError(
                f"{name} has no column of paths; name one of its columns "
                f"{' or '.join(PATH_COLUMNS[:2])}"
            )
        paths = [row[column].strip() for row in reader if (row[column] or "").strip()]
    except (OSError, UnicodeDecodeError, csv.Error):
        raise ReleaseError(f"{name} is not a readable table of UTF-8 text") from None
    return list(dict.fromkeys(paths))  # a file listed twice is one input


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
    return UnreadableFileError(f"cannot be opened: {reason}; check that it may be read")
