"""A release in a store of another machine.

In an object store a file appears under its name whole or not at all, and there is no renaming: a
result is made in a temporary folder of this machine, sent, and compared with its size. A file that
was sent and never recorded is listed in a journal, which is sent first.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from deepfixcx.errors import InUseError, OverwriteError, ReleaseError, ReleaseStoppedError
from deepfixcx.io.files import holds, make_folder, remove_listed, sha256_of, writing
from deepfixcx.io.folders import MARKER, FileLedger, id_of, marker_line
from deepfixcx.io.release_files import ABOUT
from deepfixcx.release.storage import (
    State,
    asking,
    at_once,
    journal_name,
    name_below,
    open_store,
)

__all__ = ["RemotePlace"]

SEND_BYTES = 1 << 26
"""So many bytes at most wait in the temporary folder, beside the file being made."""

ATOMIC = frozenset(
    {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "memory", "file", "local"}
)
"""Stores in which one of two processes that make a file at once is refused."""

REMOVED_AT_ONCE = 1000
MAGIC = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class RemotePlace:
    """A release below a URL."""

    url: str
    tag: str = ""
    guarded: frozenset[str] = frozenset()

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
        own = {root.strip("/"), _join(root, MARKER).strip("/")}
        return "taken" if any(name.strip("/") not in own for name in there) else "free"

    @property
    def lock_note(self) -> str:
        """A note on the lock for the user; empty if the lock holds."""
        scheme = self.url.partition("://")[0].rpartition("::")[2]
        if scheme in ATOMIC:
            return ""
        return (
            f"{scheme}:// cannot lock a folder; make sure that only one process writes to "
            f"{self.url!r} at a time"
        )

    def owner(self) -> str | None:
        """Return the id in the marker, None where there is none."""
        try:
            with self.fetched(MARKER) as path:
                return id_of(path.parent) or None
        except FileNotFoundError:
            return None

    @contextmanager
    def held(self, owner: str, check: Callable[[], None]) -> Iterator[None]:
        """Make the marker, or find that of an earlier run of the same private folder."""
        is_marked = False
        try:
            with asking(self.url), suppress(FileExistsError), _taken():
                system, root = self._open()
                system.pipe_file(_join(root, MARKER), marker_line(owner).encode(), mode="create")
                is_marked = True
        except FileNotFoundError:
            raise self._no_bucket() from None
        if (found := self.owner()) != owner:
            if found is None:
                raise ReleaseError(f"{MARKER} at {self.url!r} is not that of deepfixcx")
            raise InUseError(
                f"another process is writing to {self.url!r}, or a release was started there "
                "with another private folder; wait, name that folder with --private, or choose "
                "another OUT"
            )
        try:
            check()
        except BaseException:
            if is_marked:
                self._remove([MARKER])
            raise
        try:
            yield
        finally:
            with suppress(ReleaseError):
                if self.has(ABOUT) or self.state() == "free":
                    self._remove([MARKER])

    def tagged(self, tag: str) -> RemotePlace:
        """Return this place with a secret of the run."""
        return replace(self, tag=tag)

    def guarding(self, names: frozenset[str]) -> RemotePlace:
        """Return this place with names of files that are not to be replaced."""
        return replace(self, guarded=names)

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
        """List the release once, and return a function that gives sizes from that list."""
        return self._listing().get

    def holds(self, name: str, digests: Collection[str]) -> bool:
        """Return whether a file is there with one of these hashes."""
        try:
            with self.fetched(name) as path:
                return holds(path, digests)
        except FileNotFoundError:
            return False

    def remove(self, listed: Mapping[str, Collection[str]]) -> list[str]:
        """Remove files that hold what is listed, which are fetched for that; return the others."""
        there = [name for name in self.names() if name in listed]
        own = at_once(lambda name: self.holds(name, listed[name]), there)
        self._remove(name for name, holds in zip(there, own, strict=True) if holds)
        return [name for name, holds in zip(there, own, strict=True) if not holds]

    def remove_unfinished(self) -> None:
        """Do nothing: a file appears whole or not at all."""

    def journals(self) -> Iterator[tuple[str, dict[str, set[str]]]]:
        """Yield the name of each journal of a shard, and the files that it lists."""
        pattern = re.compile(re.escape(journal_name(self.tag, 0)).replace("00000", r"\d{5,}"))
        for name in [name for name in self.names() if self.tag and pattern.fullmatch(name)]:
            with self.fetched(name) as path:
                yield name, FileLedger(path).listed

    def settle(self, journal: str) -> None:
        """Remove a journal."""
        self._remove([journal])

    def _remove(self, names: Iterable[str]) -> None:
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

    @contextmanager
    def outbox(self, ledger: FileLedger | None = None, shard: int = 0) -> Iterator[RemoteOutbox]:
        """Open an outbox in a temporary folder."""
        with tempfile.TemporaryDirectory(prefix="deepfixcx-") as folder:
            yield RemoteOutbox(self, Path(folder), ledger, journal_name(self.tag, shard))

    @contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        """Copy a file into a temporary folder."""
        with tempfile.TemporaryDirectory(prefix="deepfixcx-") as folder:
            near = Path(folder) / PurePosixPath(name).name
            with asking(self.url):
                system, root = self._open()
                system.get_file(_join(root, name), str(near))
            yield near

    def put(self, files: Mapping[str, Path]) -> None:
        """Send files, and see that they arrived whole."""
        names = list(files)
        try:
            with asking(self.url, begun=True):
                system, root = self._open()
                far = [_join(root, name) for name in names]
                system.put([str(files[name]) for name in names], far)
                system.invalidate_cache()
                arrived = [about["size"] for about in at_once(system.info, far)]
        except FileNotFoundError:
            raise self._no_bucket() from None
        if arrived != [files[name].stat().st_size for name in names]:
            raise ReleaseStoppedError(
                f"the transfer to {self.url!r} was incomplete; run the same command with --resume"
            )

    def _no_bucket(self) -> ReleaseStoppedError:
        return ReleaseStoppedError(
            f"{self.url!r} cannot be written: the bucket or folder does not exist, or sent files "
            "were deleted; create it, then run the same command with --resume"
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

    def __init__(
        self, place: RemotePlace, folder: Path, ledger: FileLedger | None, journal: str
    ) -> None:
        self.folder = folder
        self._place = place
        self._journal = "" if ledger else journal
        self._ledger = ledger or FileLedger(folder / journal, durable=False)
        self._added: dict[str, str] = {}
        self._bytes = 0

    def put(self, name: str, content: bytes) -> str:
        """Write a result."""
        with self.writing(name) as file:
            file.write(content)
        return hashlib.sha256(content).hexdigest()

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """Open a file that is written bit by bit."""
        if name in self._place.guarded:
            raise OverwriteError(
                f"{name!r} exists and was not made by this release, or was changed since; move it"
            )
        path = self.folder / name
        make_folder(path.parent, durable=False)
        with writing(path, replace=True, durable=False) as file:
            yield file
        size, digest = path.stat().st_size, sha256_of(path)
        self._ledger.add(name, size, digest)
        self._added[name] = digest
        self._bytes += size
        if self._bytes >= SEND_BYTES:
            self.send()

    def send(self) -> None:
        """Send everything that was put."""
        if self._added and self._journal:
            self._place.put({self._journal: self.folder / self._journal})
        if self._added:
            self._place.put({name: self.folder / name for name in self._added})
        remove_listed(self.folder, {name: {digest} for name, digest in self._added.items()})
        self._added.clear()
        self._bytes = 0


@contextmanager
def _taken() -> Iterator[None]:
    """Turn the answer of a store that has a file of this name into `FileExistsError`."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:  # S3 answers 412, which s3fs turns into one without a class
        if "PreconditionFailed" in repr(error) or "412" in str(error):
            raise FileExistsError from None
        raise


def _join(root: str, name: str) -> str:
    return f"{root.rstrip('/')}/{name}"
