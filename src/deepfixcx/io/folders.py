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
    remove_listed,
    sha256_of,
    write_file,
    writing_as,
)

__all__ = ["MARKER", "FileLedger", "OwnFolder", "id_of", "in_use", "locked"]

MARKER = ".deepfixcx.jsonl"
"""In each folder that deepfixcx may remove files from: one line about it, then one line a file."""

FORMAT_NAME, FORMAT_VERSION = "deepfixcx.folder", 1
PATIENCE_S = 1.0
"""A process that only looks holds a lock for an instant; one that wants to write waits so long."""


@contextmanager
def locked(path: Path, *, wait_s: float = PATIENCE_S) -> Iterator[int | None]:
    """Hold a lock file that is there, or yield None if another process holds it.

    The operating system releases the lock of a process that dies.
    """
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
    """An append-only ledger of files: JSON lines with the name, size and SHA-256 of each.

    A file is listed before it gets its name, so a crash leaves no file that is not listed. What
    was listed once stays listed: a crash may leave the file as it was before.

    Parameters
    ----------
    path : Path
        The ledger; made by the first entry.
    mode : int
        Its permissions, before the umask.
    """

    def __init__(self, path: Path, *, mode: int = 0o666) -> None:
        self.path, self._mode = path, mode
        self.listed: dict[str, set[str]] = {}
        for entry in _lines(path):
            if {"name", "sha256"} <= entry.keys():
                self.listed.setdefault(entry["name"], set()).add(entry["sha256"])

    def add(self, name: str, size: int, digest: str) -> None:
        """List a file that is about to be written."""
        if digest in self.listed.get(name, ()):
            return
        self._append({"name": name, "size": size, "sha256": digest})
        self.listed.setdefault(name, set()).add(digest)

    def is_own(self, folder: Path, name: str) -> bool:
        """Return whether a file of a folder holds what is listed."""
        path = inside(folder, name)
        return path is not None and holds(path, self.listed.get(name, ()))

    def write(self, folder: Path, name: str, content: bytes | str, *, mode: int = 0o666) -> str:
        """Write a file of a folder, or replace one that is listed; return its hash.

        Raises
        ------
        OverwriteError
            Something is in the way that is not listed, or was changed since.
        OSError
            It cannot be written.
        """
        data = content.encode() if isinstance(content, str) else content
        with self.writing(folder, name, mode=mode) as file:
            file.write(data)
        return hashlib.sha256(data).hexdigest()

    @contextmanager
    def writing(self, folder: Path, name: str, *, mode: int = 0o666) -> Iterator[BinaryIO]:
        """Open a file of a folder that is listed, then appears, when it is complete."""
        path = inside(folder, name)
        if path is None:
            raise OverwriteError(f"{name!r} lies behind a link, and links are not followed")
        check_free(path, replace=self.is_own(folder, name))

        def named(temporary: Path) -> bool:
            self.add(name, temporary.stat().st_size, sha256_of(temporary))
            return self.is_own(folder, name)  # by other bytes, or by the same ones

        with writing_as(path, mode, named, durable=True) as file:
            yield file

    def remove(self, folder: Path, names: Iterable[str] | None = None) -> list[str]:
        """Remove files that are listed, all of them by default; see `remove_listed`."""
        chosen = list(self.listed) if names is None else [*names]
        return remove_listed(folder, {name: self.listed.get(name, ()) for name in chosen})

    def _append(self, entry: Mapping[str, object]) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(self.path, flags, self._mode)
        try:
            size = os.fstat(handle).st_size
            cut_off = size and os.pread(handle, 1, size - 1) != b"\n"
            line = json.dumps(entry, sort_keys=True) + "\n"
            os.write(handle, (b"\n" if cut_off else b"") + line.encode())
            os.fsync(handle)
        finally:
            os.close(handle)


class OwnFolder(FileLedger):
    """A folder with deepfixcx's marker, which holds its ledger, locked against other processes.

    Parameters
    ----------
    folder : Path
        Made where it is not there.
    private : bool
        Whether only its owner may read it.
    name : str
        Of a new folder; by default random.

    Raises
    ------
    InUseError
        Another process writes it.
    OverwriteError
        Its marker is a file of other content.
    OSError
        It cannot be written.
    """

    def __init__(self, folder: Path, *, private: bool = False, name: str = "") -> None:
        self.folder = folder
        self.is_new = make_folder(folder, mode=0o700 if private else 0o777)
        path, mode = folder / MARKER, 0o600 if private else 0o666
        about = {"format": FORMAT_NAME, "version": FORMAT_VERSION}
        about["id"] = name or secrets.token_hex(16)
        with contextlib.suppress(OverwriteError):  # it is there
            write_file(path, json.dumps(about, sort_keys=True) + "\n", mode=mode)
        self._stack = contextlib.ExitStack()
        if self._stack.enter_context(locked(path)) is None:
            self._stack.close()
            raise InUseError(
                f"another process is writing {str(folder)!r} right now; wait for it or stop it"
            )
        try:
            super().__init__(path, mode=mode)
            self.id = id_of(folder)
            if not self.id:
                raise OverwriteError(f"{MARKER} in {folder.name!r} is not that of deepfixcx")
        except BaseException:
            self._stack.close()
            raise

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


def id_of(folder: Path) -> str:
    """Return the random name in the marker of a folder; empty if it has none."""
    about = next(_lines(folder / MARKER), {})
    return str(about.get("id", "")) if about.get("format") == FORMAT_NAME else ""


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the entries of a file of JSON lines; a line that a crash cut off is left out."""
    with contextlib.suppress(OSError), path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            with contextlib.suppress(ValueError):
                if isinstance(entry := json.loads(line), dict):
                    yield entry
