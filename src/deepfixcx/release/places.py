"""Where a release is made: a folder of this machine or, of the same shape, a folder of a store.

Everything that a release does with its folder goes through a `Place`. Results are always made in
a folder of this machine, the `Outbox`: for a local release that is the release itself, for a
store a temporary one from which files are sent.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from deepfixcx.errors import ReleaseError
from deepfixcx.io.files import (
    find_link,
    holds,
    is_temporary,
    make_folder,
    remove_folder,
    remove_listed,
    remove_temporaries,
    sync,
    tagged,
)
from deepfixcx.io.folders import MARKER, FileLedger, OwnFolder, id_of
from deepfixcx.io.release_files import ABOUT, FORMAT
from deepfixcx.release.storage import Location, State, journal_name

__all__ = [
    "OTHER_PRIVATE",
    "LocalPlace",
    "Outbox",
    "Place",
    "id_in",
    "place_of",
]

OTHER_PRIVATE = (
    "{!r} holds a release that was started with another private folder; name that folder with "
    "--private, or choose another folder"
)


class Outbox(Protocol):
    """A folder of this machine from which results go to their place."""

    @property
    def folder(self) -> Path:
        """Where results are made, under the names that they have in the release."""

    def put(self, name: str, content: bytes) -> str:
        """Write a result, which may leave the folder from now on, and return its SHA-256."""

    def writing(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Open a file that is written bit by bit, as `put` does."""

    def send(self) -> None:
        """Return when everything that was put outlasts a crash of any machine."""


class Place(Protocol):
    """A folder in which a release is made or lies. Names are relative to it, with slashes."""

    @property
    def made_in(self) -> str:
        """What is full when no result can be made, in words."""

    @property
    def tag(self) -> str:
        """A secret of the run, in the names of temporary files; empty before it is claimed."""

    @property
    def lock_note(self) -> str:
        """A note on the lock for the user; empty if the lock holds."""

    def state(self) -> State:
        """Return what is there now."""

    def owner(self) -> str | None:
        """Return the id in the marker of an unfinished release, None where there is no marker."""

    def held(self, owner: str, check: Callable[[], None]) -> AbstractContextManager[None]:
        """Hold the lock of the folder, which has a marker until the release is finished."""

    def tagged(self, tag: str) -> Place:
        """Return this place with a secret of the run in the names of temporary files."""

    def guarding(self, names: frozenset[str]) -> Place:
        """Return this place with names of files that are not to be replaced."""

    def has(self, name: str) -> bool:
        """Return whether there is such a file now."""

    def holds(self, name: str, digests: Collection[str]) -> bool:
        """Return whether a file is there with one of these hashes."""

    def names(self, room: str = "") -> Iterator[str]:
        """Yield every file below a folder of the release, or below the release itself."""

    def sizes(self) -> Callable[[str], int | None]:
        """Return a function that gives the size of a file, None if it is missing."""

    def remove(self, listed: Mapping[str, Collection[str]]) -> list[str]:
        """Remove files that hold what is listed; return the names of those that do not."""

    def remove_unfinished(self) -> None:
        """Remove what processes of this run that died were writing."""

    def journals(self) -> Iterator[tuple[str, dict[str, set[str]]]]:
        """Yield the name of each journal of a shard, and the files that it lists."""

    def settle(self, journal: str) -> None:
        """Remove a journal, when what it lists is in the ledger of the release, or gone."""

    def outbox(
        self, ledger: FileLedger | None = None, shard: int = 0
    ) -> AbstractContextManager[Outbox]:
        """Open an outbox for files that a ledger lists, by default the journal of a shard."""

    def fetched(self, name: str) -> AbstractContextManager[Path]:
        """Make a file of the release readable on this machine."""


def place_of(location: Location) -> Place:
    """Return the place at a path or URL."""
    if isinstance(location, Path):
        return LocalPlace(location)
    from deepfixcx.release.remote import RemotePlace

    return RemotePlace(location)


def id_in(place: Place) -> str | None:
    """Return the id in dataset.json: empty in one of version 0.1, None where there is none."""
    with suppress(OSError, ValueError, ReleaseError), place.fetched(ABOUT) as path:
        about = json.loads(path.read_bytes())
        if isinstance(about, dict) and about.get("format") == FORMAT:
            return str(about.get("id", ""))
    return None


@dataclass(frozen=True, slots=True)
class LocalPlace:
    """A release in a folder of this machine."""

    folder: Path
    tag: str = ""

    def __str__(self) -> str:
        """Return the path."""
        return str(self.folder)

    @property
    def made_in(self) -> str:
        """What is full when no result can be made, in words."""
        return "the release folder"

    @property
    def lock_note(self) -> str:
        """A note on the lock for the user; empty if the lock holds."""
        return ""

    def state(self) -> State:
        """Return what is there now."""
        if not self.folder.exists():
            return "free"
        if not self.folder.is_dir():
            return "file"
        if link := find_link(self.folder):
            raise ReleaseError(
                f"{link!r} in {str(self.folder)!r} is a link, and a release must not contain "
                "links; remove the link or choose another folder"
            )
        names = [name for name in os.listdir(self.folder) if name != MARKER]
        return "free" if all(map(is_temporary, names)) else "taken"

    def owner(self) -> str | None:
        """Return the id in the marker, None where there is none."""
        return id_of(self.folder) or None

    @contextmanager
    def held(self, owner: str, check: Callable[[], None]) -> Iterator[None]:
        """Hold the lock, which lies in the folder: by whatever name it is called, it is one."""
        with OwnFolder(self.folder, name=owner) as own:
            try:
                if own.id != owner and self.state() == "free":
                    own.set_id(owner)  # of a process that died before it wrote anything
                if own.id != owner:
                    raise ReleaseError(OTHER_PRIVATE.format(str(self)))
                check()
            except BaseException:
                own.withdraw()
                raise
            try:
                yield
            finally:
                if self.has(ABOUT) or os.listdir(self.folder) == [MARKER]:
                    own.discard()
                    if own.is_new:
                        remove_folder(self.folder)

    def tagged(self, tag: str) -> LocalPlace:
        """Return this place with a secret of the run."""
        return replace(self, tag=tag)

    def guarding(self, names: frozenset[str]) -> LocalPlace:
        """Return this place: a disk can be asked when the file is written."""
        del names
        return self

    def has(self, name: str) -> bool:
        """Return whether there is such a file now."""
        return (self.folder / name).is_file()

    def holds(self, name: str, digests: Collection[str]) -> bool:
        """Return whether a file is there with one of these hashes."""
        return holds(self.folder / name, digests)

    def names(self, room: str = "") -> Iterator[str]:
        """Yield every file below a folder of the release, or below the release itself."""
        for where, _, files in os.walk(self.folder / room):
            above = Path(where).relative_to(self.folder)
            for name in files:
                yield (above / name).as_posix()

    def sizes(self) -> Callable[[str], int | None]:
        """Return what asks the disk for the size of one file, None where there is none."""

        def size(name: str) -> int | None:
            try:
                status = os.stat(self.folder / name)
            except OSError:
                return None
            return status.st_size if stat.S_ISREG(status.st_mode) else None

        return size

    def remove(self, listed: Mapping[str, Collection[str]]) -> list[str]:
        """Remove files that hold what is listed; return the names of those that do not."""
        return remove_listed(self.folder, listed)

    def remove_unfinished(self) -> None:
        """Remove what processes of this run that died were writing."""
        remove_temporaries(self.folder, self.tag)

    def journals(self) -> Iterator[tuple[str, dict[str, set[str]]]]:
        """Yield the name of each journal of a shard, and the files that it lists."""
        pattern = re.compile(re.escape(journal_name(self.tag, 0)).replace("00000", r"\d{5,}"))
        for name in sorted(os.listdir(self.folder)):
            if self.tag and pattern.fullmatch(name):
                yield name, FileLedger(self.folder / name).listed

    def settle(self, journal: str) -> None:
        """Remove a journal."""
        FileLedger(self.folder / journal).discard()

    @contextmanager
    def outbox(self, ledger: FileLedger | None = None, shard: int = 0) -> Iterator[LocalOutbox]:
        """Open an outbox that is the release itself: what is made is there already."""
        if ledger is None:
            ledger = FileLedger(self.folder / journal_name(self.tag, shard), durable=False)
        with tagged(self.tag):
            yield LocalOutbox(self.folder, ledger)

    @contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        """Return the path of a file, whether it is there or not."""
        path = self.folder / name
        if path.exists() and not path.is_file():  # a pipe would wait for its writer
            raise FileNotFoundError(errno.ENOENT, "not a regular file", str(path))
        yield path


class LocalOutbox:
    """Results are made where they stay; sending waits until the disk itself has them."""

    def __init__(self, folder: Path, ledger: FileLedger) -> None:
        self.folder = folder
        self._ledger = ledger
        self._added: list[str] = []
        self._made: set[str] = set()

    def put(self, name: str, content: bytes) -> str:
        """Write a result."""
        self._prepare(name)
        return self._ledger.write(self.folder, name, content)

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """Open a file that is written bit by bit."""
        self._prepare(name)
        with self._ledger.writing(self.folder, name) as file:
            yield file

    def send(self) -> None:
        """Wait until everything that was added is on the disk itself."""
        sync(self.folder, self._added)
        self._added.clear()

    def _prepare(self, name: str) -> None:
        above = name.rpartition("/")[0]
        if above not in self._made:
            for each in reversed(PurePosixPath(name).parents[:-1]):
                make_folder(self.folder / each, durable=False)
            self._made.add(above)
        self._added.append(name)
