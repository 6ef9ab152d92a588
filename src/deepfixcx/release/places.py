"""Where a release is made: a folder of this machine or, of the same shape, a folder of a store.

Everything that a release does with its folder goes through a `Place`. Results are always made in
a folder of this machine, the `Outbox`: for a local release that is the release itself, for a
store a temporary one from which files are sent.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from deepfixcx.io.files import sync, sync_folder
from deepfixcx.release.disk import remove_unfinished
from deepfixcx.release.urls import Location

__all__ = ["LocalPlace", "Outbox", "Place", "State", "place_of"]

State = Literal["free", "file", "taken"]
"""Nothing is there, or an empty folder; a file; a folder that holds something."""


class Outbox(Protocol):
    """A folder of this machine from which results go to their place."""

    @property
    def folder(self) -> Path:
        """Where results are made, under the names that they have in the release."""

    def add(self, names: Iterable[str]) -> None:
        """Take results that are whole; they may leave the folder at any time from now on."""

    def send(self) -> None:
        """Return when everything that was added outlasts a crash of any machine."""


class Place(Protocol):
    """A folder in which a release is made or lies. Names are relative to it, with slashes.

    Whoever asks gets `FileNotFoundError` where a file is not there. A store that cannot be reached
    or denies access raises `ReleaseError`, while it is written `ReleaseStoppedError`.
    """

    @property
    def made_in(self) -> str:
        """What is full when no result can be made, in words."""

    def state(self) -> State:
        """Return what is there now."""

    def prepare(self) -> None:
        """Make the folder, where folders must be made."""

    def has(self, name: str) -> bool:
        """Return whether there is such a file now."""

    def names(self, room: str = "") -> Iterator[str]:
        """Yield every file below a folder of the release, or below the release itself."""

    def sizes(self) -> Callable[[str], int | None]:
        """Return what tells the size of a file, None where there is none."""

    def remove(self, names: Iterable[str]) -> None:
        """Remove files; those that are not there are none of its business."""

    def clear(self, room: str) -> None:
        """Remove a folder of the release."""

    def remove_unfinished(self) -> None:
        """Remove files that a process which died was writing."""

    def outbox(self) -> AbstractContextManager[Outbox]:
        """Open an outbox for results of this release."""

    def fetched(self, name: str) -> AbstractContextManager[Path]:
        """Make a file of the release readable on this machine."""


def place_of(location: Location) -> Place:
    """Return the place at a path or URL."""
    if isinstance(location, Path):
        return LocalPlace(location)
    from deepfixcx.release.remote import RemotePlace

    return RemotePlace(location)


@dataclass(frozen=True, slots=True)
class LocalPlace:
    """A release in a folder of this machine."""

    folder: Path

    def __str__(self) -> str:
        """Return the path."""
        return str(self.folder)

    @property
    def made_in(self) -> str:
        """What is full when no result can be made, in words."""
        return "the release folder"

    def state(self) -> State:
        """Return what is there now."""
        if not self.folder.exists():
            return "free"
        if not self.folder.is_dir():
            return "file"
        return "taken" if any(self.folder.iterdir()) else "free"

    def prepare(self) -> None:
        """Make the folder, with a name that outlasts a crash."""
        self.folder.mkdir(parents=True, exist_ok=True)
        sync_folder(self.folder.parent)

    def has(self, name: str) -> bool:
        """Return whether there is such a file now."""
        return (self.folder / name).is_file()

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

    def remove(self, names: Iterable[str]) -> None:
        """Remove files."""
        for name in names:
            (self.folder / name).unlink(missing_ok=True)

    def clear(self, room: str) -> None:
        """Remove a folder of the release."""
        shutil.rmtree(self.folder / room, ignore_errors=True)

    def remove_unfinished(self) -> None:
        """Remove files under temporary names."""
        remove_unfinished(self.folder)

    @contextmanager
    def outbox(self) -> Iterator[LocalOutbox]:
        """Open an outbox that is the release itself: what is made is there already."""
        yield LocalOutbox(self.folder)

    @contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        """Return the path of a file, whether it is there or not."""
        path = self.folder / name
        if path.exists() and not path.is_file():  # a pipe would wait for its writer
            raise FileNotFoundError(errno.ENOENT, "no regular file", str(path))
        yield path


class LocalOutbox:
    """Results are made where they stay; sending waits until the disk itself has them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._added: list[str] = []

    def add(self, names: Iterable[str]) -> None:
        """Take results that are whole."""
        self._added += names

    def send(self) -> None:
        """Wait until everything that was added is on the disk itself."""
        sync(self.folder, self._added)
        self._added.clear()
