"""Folders that deepfixcx may remove files from: a marker, a ledger of what was made, and a lock."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from deepfixcx.errors import InUseError, OverwriteError
from deepfixcx.io.files import (
    check_free,
    holds,
    inside,
    make_folder,
    name_file,
    remove_folder,
    remove_listed,
    sha256_of,
    sync_file,
    temporary_for,
    write_file,
)

__all__ = [
    "MARKER",
    "FileLedger",
    "OwnFolder",
    "exclusive",
    "id_of",
    "in_use",
    "locked",
    "marker_line",
    "noted",
    "own_ledger",
    "states_format",
    "write_own",
]

MARKER = ".deepfixcx.jsonl"
"""In each folder that deepfixcx may remove files from: one line about it, then one line a file."""

FORMAT_NAME, FORMAT_VERSION = "deepfixcx.folder", 1
PATIENCE_S = 1.0
"""A process that only looks holds a lock for an instant; one that wants to write waits so long."""


@contextmanager
def locked(path: Path, *, wait_s: float = PATIENCE_S) -> Iterator[int | None]:
    """Hold a lock file that is there, or yield None if another process holds it."""
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        until = time.monotonic() + wait_s
        while not (held := _try_lock(handle)) and time.monotonic() < until:
            time.sleep(0.05)
        yield handle if held else None
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def exclusive(path: Path, wait_s: float = 60.0) -> Iterator[None]:
    """Hold a file that is there and that others replace while they hold it."""
    while True:
        with locked(path, wait_s=wait_s) as handle:
            if handle is None:
                raise InUseError(
                    f"another process is writing to {path.name!r}; wait for it or stop it"
                )
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                yield
                return


def in_use(path: Path) -> bool:
    """Return whether another process holds a lock file right now; change nothing."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


class FileLedger:
    """An append-only ledger of files: JSON lines with the name, size and SHA-256 of each."""

    def __init__(self, path: Path, *, mode: int = 0o666, durable: bool = True) -> None:
        self.path, self._mode, self._durable = path, mode, durable
        self.listed: dict[str, set[str]] = {}
        self._read()

    def _read(self) -> None:
        for entry in _lines(self.path):
            if {"name", "sha256"} <= entry.keys():
                self.listed.setdefault(str(entry["name"]), set()).add(str(entry["sha256"]))

    def add(self, name: str, size: int, digest: str) -> None:
        """List a file that is about to be written."""
        if digest in self.listed.get(name, ()):
            return
        self._append({"name": name, "size": size, "sha256": digest})
        self.listed.setdefault(name, set()).add(digest)

    def adopt(self, folder: Path, names: Iterable[str]) -> None:
        """List files of an earlier version, which the caller has recognized."""
        for name in names:
            path = inside(folder, name)
            if path is not None and path.is_file() and not path.is_symlink():
                self.add(name, path.stat().st_size, sha256_of(path))

    def is_own(self, folder: Path, name: str) -> bool:
        """Return whether a file of a folder holds what is listed, now if not before."""
        path = inside(folder, name)
        return path is not None and self._holds(path, name)

    def _holds(self, path: Path, name: str) -> bool:
        if not path.exists():
            return False
        if holds(path, self.listed.get(name, ())):
            return True
        self._read()
        return holds(path, self.listed.get(name, ()))

    def write(self, folder: Path, name: str, content: bytes | str, *, mode: int = 0o666) -> str:
        """Write a file of a folder, or replace one that is listed; return its hash."""
        data = content.encode() if isinstance(content, str) else content
        digest = hashlib.sha256(data).hexdigest()
        with self.writing(folder, name, mode=mode, digest=digest) as file:
            file.write(data)
        return digest

    @contextmanager
    def writing(
        self, folder: Path, name: str, *, mode: int = 0o666, digest: str = ""
    ) -> Iterator[BinaryIO]:
        """Open a file of a folder that is listed, then appears, when it is complete.

        Without the SHA-256 of what will be written, the file is read again for it.
        """
        path = inside(folder, name)
        if path is None:
            raise OverwriteError(f"{name!r} lies behind a link, and links are not followed")
        own = self._holds(path, name)
        check_free(path, replace=own)

        with temporary_for(path, mode) as (file, temporary):
            yield file
            sync_file(file, durable=self._durable)
            self.add(name, temporary.stat().st_size, digest or sha256_of(temporary))
            name_file(temporary, path, replace=own or self.is_own(folder, name))

    def recognize(self, known: str, names: Iterable[str]) -> None:
        """List results of version 0.1, if a JSON file with a format of deepfixcx is among them."""
        folder = self.path.parent
        if not self.listed and states_format(folder / known):
            self.adopt(folder, names)

    def remove(self, folder: Path, names: Iterable[str] | None = None) -> list[str]:
        """Remove files that are listed, all of them by default; see `remove_listed`."""
        chosen = list(self.listed) if names is None else [*names]
        return remove_listed(folder, {name: self.listed.get(name, ()) for name in chosen})

    def discard(self) -> None:
        """Remove the ledger itself, when what it lists is gone or listed elsewhere."""
        self.path.unlink(missing_ok=True)
        self.listed.clear()

    def _append(self, entry: Mapping[str, object]) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(self.path, flags, self._mode)
        try:
            size = os.fstat(handle).st_size
            cut_off = size and os.pread(handle, 1, size - 1) != b"\n"
            line = json.dumps(entry, sort_keys=True) + "\n"
            os.write(handle, (b"\n" if cut_off else b"") + line.encode())
            if self._durable:
                os.fsync(handle)
        finally:
            os.close(handle)


class OwnFolder(FileLedger):
    """A folder with deepfixcx's marker, which holds its ledger, locked against other processes."""

    def __init__(self, folder: Path, *, private: bool = False, name: str = "") -> None:
        self.folder, self.id = folder, name or secrets.token_hex(16)
        self.is_new = make_folder(folder, mode=0o700 if private else 0o777)
        path, mode = folder / MARKER, 0o600 if private else 0o666
        self._stack = contextlib.ExitStack()
        while True:
            self.is_marked = False  # by this process
            with contextlib.suppress(OverwriteError):  # it is there
                write_file(path, marker_line(self.id), mode=mode)
                self.is_marked = True
            check_free(path, replace=True)
            with contextlib.suppress(FileNotFoundError):  # another process has just removed it
                handle = self._stack.enter_context(locked(path))
                if handle is None:
                    self._stack.close()
                    raise InUseError(
                        f"another process is writing to {str(folder)!r}; wait for it or stop it"
                    )
                if os.path.samestat(os.fstat(handle), os.stat(path)):
                    self._handle = handle
                    break
            self._stack.close()
        super().__init__(path, mode=mode)
        self.id = id_of(folder)
        if not self.id:
            self._stack.close()
            raise OverwriteError(f"{MARKER} in {folder.name!r} is not that of deepfixcx")

    def set_id(self, name: str) -> None:
        """Give the folder another id; its ledger is empty."""
        os.ftruncate(self._handle, 0)
        os.write(self._handle, marker_line(name).encode())
        self.id = name

    def note(self, **facts: str) -> None:
        """Write down facts about the folder, for `noted`; the last of a name counts."""
        self._append(facts)

    def withdraw(self) -> None:
        """Leave the folder as it was before this process marked it, unless files are listed."""
        self._read()  # what was written through another ledger of the folder
        if self.is_marked and not self.listed:
            self.discard()
            if self.is_new:
                remove_folder(self.folder)

    def __enter__(self) -> OwnFolder:
        """Return the folder."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release the lock."""
        self._stack.close()


def write_own(folder: Path, name: str, content: bytes | str) -> None:
    """Write a file of a folder of results, which is there, and list it in the folder's marker."""
    own_ledger(folder).write(folder, name, content)


def own_ledger(folder: Path, known: str = "", names: Iterable[str] = ()) -> FileLedger:
    """Return the ledger of a folder of results, which gets a marker where it has none."""
    marker, is_new = folder / MARKER, False
    with contextlib.suppress(OverwriteError):
        write_file(marker, marker_line(secrets.token_hex(16)))
        is_new = True
    check_free(marker, replace=True)
    if not id_of(folder):
        raise OverwriteError(f"{MARKER} in {folder.name!r} is not that of deepfixcx")
    ledger = FileLedger(marker)
    if is_new and known:
        ledger.recognize(known, names)
    return ledger


def states_format(path: Path) -> bool:
    """Return whether a JSON file states a format of deepfixcx, as results of version 0.1 do."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        about = json.loads(path.read_bytes())
        return isinstance(about, dict) and str(about.get("format")).startswith("deepfixcx.")
    return False


def marker_line(name: str) -> str:
    """Return the first line of the marker of a folder."""
    about = {"format": FORMAT_NAME, "version": FORMAT_VERSION, "id": name}
    return json.dumps(about, sort_keys=True) + "\n"


def id_of(folder: Path) -> str:
    """Return the random name in the marker of a folder; empty if it has none."""
    about = next(_lines(folder / MARKER), {})
    return str(about.get("id", "")) if about.get("format") == FORMAT_NAME else ""


def noted(folder: Path, name: str) -> str:
    """Return the fact of this name that was written down last about a folder; empty without one."""
    facts = [entry[name] for entry in _lines(folder / MARKER) if name in entry]
    return str(facts[-1]) if facts else ""


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the entries of a file of JSON lines; a line that a crash cut off is left out."""
    with contextlib.suppress(OSError), path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            with contextlib.suppress(ValueError, RecursionError):
                if isinstance(entry := json.loads(line), dict):
                    yield entry
