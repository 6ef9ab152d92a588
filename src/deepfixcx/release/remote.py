"""A release in a store of another machine.

In an object store a file appears under its name whole or not at all, and there is no renaming: a
result is made in a temporary folder of this machine, sent, and held against its size. A file that
was sent and never recorded is sent again or removed later, like a stray on a disk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from deepfixcx.errors import ReleaseStoppedError
from deepfixcx.release.places import State
from deepfixcx.release.store import asking, at_once, name_below, open_store

__all__ = ["RemotePlace"]

SEND_BYTES = 1 << 26
"""So many bytes at most wait in the temporary folder, beside the file being made."""

REMOVED_AT_ONCE = 1000
MAGIC = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class RemotePlace:
    """A release below a URL."""

    url: str

    def __str__(self) -> str:
        """Return the URL."""
        return self.url

    @property
    def made_in(self) -> str:
        """What is full when no result can be made, in words."""
        return "the folder for temporary files (TMPDIR)"

    def state(self) -> State:
        """Return what is there now."""
        with asking(self.url):
            system, root = self._open()
            try:
                there = {str(each["name"]): each["type"] for each in system.ls(root, detail=True)}
            except FileNotFoundError:
                return "free"
        if there.get(root) == "file" and len(there) == 1:
            return "file"
        # A store may list a folder in itself.
        return "taken" if any(name.strip("/") != root.strip("/") for name in there) else "free"

    def prepare(self) -> None:
        """Do nothing: folders come with the files in them."""

    def has(self, name: str) -> bool:
        """Return whether there is such a file now."""
        with asking(self.url):
            system, root = self._open()
            try:
                return bool(system.info(_join(root, name))["type"] == "file")
            except FileNotFoundError:
                return False

    def names(self, room: str = "") -> Iterator[str]:
        """Yield every file below a folder of the release, or below the release itself."""
        yield from self._listing(room)

    def sizes(self) -> Callable[[str], int | None]:
        """List the release once, and return what tells sizes from that list."""
        return self._listing().get

    def remove(self, names: Iterable[str]) -> None:
        """Remove files, many with one request where the store can do that."""
        with asking(self.url, begun=True):
            system, root = self._open()
            paths = [_join(root, name) for name in names]
            for first in range(0, len(paths), REMOVED_AT_ONCE):
                some = paths[first : first + REMOVED_AT_ONCE]
                # A path in a list is searched for patterns, and one that is gone ends it.
                if not any(MAGIC & set(path) for path in some):
                    with suppress(FileNotFoundError):
                        system.rm(some)
                        continue
                for path in some:
                    with suppress(FileNotFoundError):
                        system.rm_file(path)

    def clear(self, room: str) -> None:
        """Remove a folder of the release."""
        self.remove(self.names(room))

    def remove_unfinished(self) -> None:
        """Do nothing: a file appears whole or not at all."""

    @contextmanager
    def outbox(self) -> Iterator[RemoteOutbox]:
        """Open an outbox in a temporary folder."""
        with tempfile.TemporaryDirectory(prefix="deepfixcx-") as folder:
            yield RemoteOutbox(self, Path(folder))

    @contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        """Copy a file into a temporary folder."""
        with tempfile.TemporaryDirectory(prefix="deepfixcx-") as folder:
            near = Path(folder) / PurePosixPath(name).name
            with asking(self.url):
                system, root = self._open()
                system.get_file(_join(root, name), str(near))
            yield near

    def put(self, files: dict[str, Path]) -> None:
        """Send files, and see that they arrived whole.

        Raises
        ------
        ReleaseStoppedError
            They cannot be written.
        """
        names = list(files)
        try:
            with asking(self.url, begun=True):
                system, root = self._open()
                far = [_join(root, name) for name in names]
                system.put([str(files[name]) for name in names], far)
                system.invalidate_cache()
                arrived = [about["size"] for about in at_once(system.info, far)]
        except FileNotFoundError:
            raise ReleaseStoppedError(
                f"{self.url!r} cannot be written: there is no such bucket or folder, or what was "
                f"sent is gone; make it, then run the same command with --resume"
            ) from None
        if arrived != [files[name].stat().st_size for name in names]:
            raise ReleaseStoppedError(
                f"what was sent to {self.url!r} did not arrive whole; run the same command with "
                f"--resume"
            )

    def _open(self) -> tuple[Any, str]:
        """Return the file system, which must not answer from memory, and the path."""
        system, root = open_store(self.url)
        system.invalidate_cache()
        return system, root

    def _listing(self, room: str = "") -> dict[str, int]:
        with asking(self.url):
            system, root = self._open()
            try:
                found = system.find(_join(root, room) if room else root, detail=True)
            except FileNotFoundError:
                return {}
            listing = {
                name_below(root, str(path)): int(about["size"] or 0)
                for path, about in found.items()
                if about["type"] == "file"
            }
            del found
            system.invalidate_cache()  # which keeps a listing of millions otherwise
        return {name: size for name, size in listing.items() if name and not name.endswith("/")}


class RemoteOutbox:
    """A temporary folder whose files are sent, and removed, whenever there are enough of them."""

    def __init__(self, place: RemotePlace, folder: Path) -> None:
        self.folder = folder
        self._place = place
        self._added: dict[str, Path] = {}
        self._bytes = 0

    def add(self, names: Iterable[str]) -> None:
        """Take results that are whole."""
        for name in names:
            path = self.folder / name
            if name not in self._added:
                self._added[name] = path
                self._bytes += path.stat().st_size
        if self._bytes >= SEND_BYTES:
            self.send()

    def send(self) -> None:
        """Send everything that was added."""
        if self._added:
            self._place.put(self._added)
        for path in self._added.values():
            path.unlink()
        self._added.clear()
        self._bytes = 0


def _join(root: str, name: str) -> str:
    return f"{root.rstrip('/')}/{name}"
