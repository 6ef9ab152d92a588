"""Stores of other machines, asked through fsspec: S3 and all that fsspec knows.

A store is opened by its URL wherever it is needed, so no credentials travel between processes.
What goes wrong in a store becomes an error of this package without the text of the original, which
may quote names of files or an account.
"""

from __future__ import annotations

import errno
import hashlib
import io
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeVar

from deepfixcx._optional import require
from deepfixcx.errors import (
    DeepfixcxError,
    EmptyFileError,
    MissingExtraError,
    ReleaseError,
    ReleaseStoppedError,
    UnreadableFileError,
)

__all__ = ["RemoteFile", "asking", "at_once", "name_below", "open_store", "stamp_in"]

REQUESTS = 16
"""So many questions are put to a store at a time."""

BLOCK_BYTES = 1 << 22

NO_ROOM = "the folder for temporary files is full; make room, or name another in TMPDIR"

STAMPS = (
    *("ETag", "etag", "md5Hash", "content_md5", "checksum", "generation", "VersionId"),
    *("LastModified", "last_modified", "Last-Modified", "mtime", "modified", "updated", "created"),
)
"""How file systems of fsspec call what changes with a file."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def open_store(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path in it that the URL names."""
    fsspec = require("fsspec", extra="remote")
    known = require("fsspec.registry", extra="remote").known_implementations
    scheme = url.partition("://")[0].partition("::")[0]
    if scheme not in {*known, *fsspec.available_protocols()}:
        raise ReleaseError(f"fsspec knows no {scheme}:// in {url!r}; check the spelling of the URL")
    try:
        with asking(url):
            system, path = fsspec.url_to_fs(url)
    except ImportError:
        advice = known.get(scheme, {}).get("err", "install its package")
        reason = f"{scheme}:// needs a package that is not installed: {advice}"
        raise MissingExtraError(reason) from None
    return system, str(path)


@contextmanager
def asking(url: str, *, begun: bool = False) -> Iterator[None]:
    """Let out of a store what it says of one file (`FileNotFoundError`), and errors of ours."""
    try:
        yield
    except (DeepfixcxError, FileNotFoundError, ImportError):
        raise
    except Exception as error:
        reason = _refusal(url, error)
        if begun:
            stopped = f"{reason}, then run the same command with --resume"
            raise ReleaseStoppedError(stopped) from None
        raise ReleaseError(f"{reason}, then try again") from None


def _refusal(url: str, error: Exception) -> str:
    name = type(error).__name__
    if _no_room(error):
        return NO_ROOM
    if isinstance(error, PermissionError) or "Credentials" in name:
        return (
            f"access to {url!r} is denied ({name}); see that there are credentials on the machine "
            f"that asks, and that they may list, read, write and delete there"
        )
    return (
        f"{url!r} cannot be reached or used ({name}); check its address, the network, and the "
        f"settings of fsspec on the machine that asks"
    )


def _no_room(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno == errno.ENOSPC


def at_once(ask: Callable[[Item], Answer], items: Iterable[Item]) -> list[Answer]:
    """Put one question to a store for each item, several at a time; the answers are in order."""
    with ThreadPoolExecutor(REQUESTS) as pool:
        return list(pool.map(ask, items))


def name_below(root: str, path: str) -> str:
    """Return the name of a file relative to a folder of its store."""
    return path.lstrip("/").removeprefix(f"{root.strip('/')}/")


def stamp_in(about: Mapping[str, Any]) -> str:
    """Return what a store says of a file that changes with it; empty if that is its size alone."""
    said = [str(about[name]) for name in STAMPS if about.get(name)]
    return ":".join([str(about.get("size")), *said]) if said else ""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One input in a store."""

    url: str
    path: str = field(repr=False)  # a name of a file, which must not be printed
    stamp: str = field(default="", repr=False)
    size: int = 0

    def open_hashed(self, held_bytes: int) -> tuple[BinaryIO, str]:
        """Fetch the file and hash its bytes; a large one into a temporary file without a name."""
        reason = ""
        for last in (False, True):
            try:
                return self._fetch(held_bytes)
            except DeepfixcxError:
                raise
            except FileNotFoundError:
                reason = "opened: there is no such file, or it vanished"
                break
            except PermissionError:
                reason = "opened: you have no permission to read it"
            except Exception as error:
                if _no_room(error):
                    raise ReleaseStoppedError(f"{NO_ROOM}, then --resume") from None
                reason = "read: input/output error"
            if not last:
                self._see_that_it_answers()
        # Raised out here, so that the store's exception is not even the context of this one.
        raise UnreadableFileError(f"the file cannot be {reason}")

    def _fetch(self, held_bytes: int) -> tuple[BinaryIO, str]:
        system, _ = open_store(self.url)
        if self.size <= held_bytes:
            held = system.cat_file(self.path)
            if not held:
                raise EmptyFileError("the file has no bytes; copy it again from its source")
            return io.BytesIO(held), hashlib.sha256(held).hexdigest()
        content = hashlib.sha256()
        with ExitStack() as stack:
            near = stack.enter_context(tempfile.TemporaryFile())
            far = stack.enter_context(system.open(self.path, "rb"))
            while block := far.read(BLOCK_BYTES):
                content.update(block)
                near.write(block)
            near.seek(0)
            far.close()
            stack.pop_all()
        return near, content.hexdigest()

    def _see_that_it_answers(self) -> None:
        """Ask the store about the folder of the file."""
        system, _ = open_store(self.url)
        system.invalidate_cache()
        try:
            with asking(self.url, begun=True):
                try:
                    system.info(self.path.rpartition("/")[0])
                except Exception as error:
                    if not isinstance(getattr(error, "status", None), int):  # HTTP: an answer
                        raise
        except FileNotFoundError:
            pass
