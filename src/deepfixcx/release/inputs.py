"""Find the inputs of a release in a folder or a table, and list them in little memory.

A release of ten million files is planned in one process. As objects with paths they would fill ten
gigabytes there; as the bytes of their names, one after the other, they need one.
"""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import overload

from deepfixcx.choices import IMAGE_SUFFIXES
from deepfixcx.errors import (
    FolderLoopError,
    ImageFileError,
    LayoutError,
    ReleaseError,
    RowError,
    UnreadableFileError,
)
from deepfixcx.images.frames import SNIFFED_BYTES, sniff
from deepfixcx.io.tables import Table, has_table_name
from deepfixcx.release.storage import Input, RemoteFile, Series, is_url, locate

__all__ = [
    "Listing",
    "Source",
    "Sources",
    "cannot_open",
    "counts_by_name",
    "find_sources",
    "hidden_part",
    "in_table",
    "printable",
    "source_on_disk",
]

INPUT_SUFFIXES = IMAGE_SUFFIXES | {".nii"}
"""A file with such a name is an input whatever it holds: if it is no image, that is a failure."""


def counts_by_name(name: str) -> bool:
    """Return whether a file is an input whatever it holds."""
    suffix = PurePosixPath(name).suffix.lower()
    if name.lower().endswith(".nii.gz"):
        return True
    return not suffix or suffix in INPUT_SUFFIXES or suffix.removeprefix(".").isdigit()


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


def find_sources(where: str | Path, *, volumes: bool = False) -> Sources:
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
    volumes : bool
        Make one input of the files of each DICOM series.

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
    from deepfixcx.release.store_inputs import find_in_store

    location = locate(where)
    sources = find_in_store(location) if isinstance(location, str) else _find(location)
    if not sources.found:
        raise ReleaseError(
            f"{str(location)!r} holds no image; {len(sources.skipped)} other files were found, "
            "and PNG, JPEG, TIFF, BMP, DICOM and NIfTI are supported"
        )
    listing = Listing(sources.found)
    if volumes:
        from deepfixcx.release.volumes import join_series

        listing = Listing(join_series(listing))
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
    from deepfixcx.release.store_inputs import sources_at

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


@dataclass(frozen=True)  # without slots, which make pickling slow
class Source:
    """One input file.

    Attributes
    ----------
    path : Path, RemoteFile or Series
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

    path: Input
    name: str
    size: int = 0
    problem: ImageFileError | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """Every input, sorted by name, and the names of the files that are not inputs."""

    found: Sequence[Source]
    skipped: tuple[str, ...] = ()


class Listing(Sequence[Source]):
    """Inputs in an order, kept as bytes; a `Source` is made whenever one is asked for."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._text = bytearray()
        self._ends = array("Q", [0])
        self.sizes = array("Q")
        self._odd: dict[int, Source] = {}
        self._rule: _Rule | None = None
        for source in sources:
            self._append(source)

    def __len__(self) -> int:
        """Return the number of inputs."""
        return len(self.sizes)

    @overload
    def __getitem__(self, place: int) -> Source: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Source, ...]: ...

    def __getitem__(self, place: int | slice) -> Source | tuple[Source, ...]:
        """Make one input, or a few."""
        if isinstance(place, slice):
            return tuple(self.at(range(*place.indices(len(self)))))
        return next(self.at([range(len(self))[place]]))

    def __iter__(self) -> Iterator[Source]:
        """Make one input after the other."""
        return self.at(range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Return whether the same inputs stand in the same order."""
        if not isinstance(other, Listing):
            return NotImplemented
        return len(self) == len(other) and all(map(Source.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]

    def select(self, places: Iterable[int]) -> Listing:
        """Return inputs in another order, or some of them."""
        chosen = Listing(())
        chosen._rule = self._rule
        for place in map(int, places):
            chosen._add(self._short(place), self.sizes[place], self._odd.get(place))
        return chosen

    def names(self) -> Iterator[str]:
        """Yield the name of each input; a `Source` would cost ten times as much."""
        for place in range(len(self)):
            odd = self._odd.get(place)
            yield self._short(place).decode().partition("\0")[0] if odd is None else odd.name

    def by_name(self) -> list[int]:
        """Return the places of all inputs, sorted by name."""
        return sorted(range(len(self)), key=list(self.names()).__getitem__)

    # -- helpers ------------------------------------------------------------------------------

    def _append(self, source: Source) -> None:
        rule = self._rule or _Rule.of(source)
        text = rule.short(source) if rule is not None else None
        if text is not None:
            self._rule = rule
        self._add(text or b"", source.size, source if text is None else None)

    def _add(self, text: bytes, size: int, odd: Source | None) -> None:
        if odd is not None:
            self._odd[len(self)] = odd
        self._text += text
        self._ends.append(len(self._text))
        self.sizes.append(size)

    def _short(self, place: int) -> bytes:
        return bytes(self._text[self._ends[place] : self._ends[place + 1]])

    def at(self, places: Iterable[int]) -> Iterator[Source]:
        """Make the inputs at some places."""
        rule = self._rule
        for place in places:
            if rule is None or place in self._odd:
                yield self._odd[place]
                continue
            name, _, stamp = self._short(place).decode().partition("\0")
            size, path = self.sizes[place], rule.prefix + name
            where = Path(path) if rule.url is None else RemoteFile(rule.url, path, stamp, size)
            yield Source(where, name, size)


@dataclass(frozen=True, slots=True)
class _Rule:
    """What sources that lie in one folder, or below one URL, have before their names."""

    prefix: str
    url: str | None

    @classmethod
    def of(cls, source: Source) -> _Rule | None:
        """Return the rule of the first source, or None where it follows none."""
        if isinstance(source.path, Series):
            return None
        if isinstance(source.path, RemoteFile):
            path, url = source.path.path, source.path.url
        else:
            path, url = os.fspath(source.path), None
        return cls(path.removesuffix(source.name), url) if path.endswith(source.name) else None

    def short(self, source: Source) -> bytes | None:
        """Return a source as bytes, or None if they do not identify it."""
        stamp = source.path.stamp if isinstance(source.path, RemoteFile) else ""
        if source.problem is not None or "\0" in source.name + stamp:
            return None
        path = self.prefix + source.name
        if self.url is not None:
            same = source.path == RemoteFile(self.url, path, stamp, source.size)
        else:
            same = isinstance(source.path, Path) and os.fspath(source.path) == path
        return f"{source.name}\0{stamp}".encode() if same else None
