"""Where inputs and releases lie: paths of this machine, URLs, and stores asked through fsspec.

A URL travels to workers, into the command line of ``status`` and into messages, so it must not
hold a secret: credentials come from where fsspec and its packages look for them on each machine.
What goes wrong in a store becomes an error of this package without the text of the original, which
may quote names of files or an account.

The SHA-256 of an input is the key of the work done on it. Its stamp (size, times of change) is kept
beside it, and only a file with another stamp is hashed again.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar

from deepfixcx._optional import require
from deepfixcx.errors import (
    DeepfixcxError,
    EmptyFileError,
    ImageFileError,
    MissingExtraError,
    ReleaseError,
    ReleaseStoppedError,
    UnreadableFileError,
)
from deepfixcx.images.frames import SNIFFED_BYTES, sniff
from deepfixcx.images.reading import QUIET, open_image

__all__ = [
    "Input",
    "Location",
    "RemoteFile",
    "Series",
    "State",
    "asking",
    "at_once",
    "content_of",
    "content_of_files",
    "in_memory",
    "instance_of",
    "is_url",
    "journal_name",
    "locate",
    "name_below",
    "open_hashed",
    "open_store",
    "stamp_in",
    "stamp_of",
]

Location = Path | str
"""An absolute path of this machine, or a URL; `locate` makes one."""

State = Literal["free", "file", "taken"]
"""State of the place of a release: empty, or with a marker alone; a file; a folder in use."""

_SCHEME = r"[A-Za-z][\w+.-]*"
_URL = re.compile(rf"{_SCHEME}(::{_SCHEME})*://")
_BEFORE_AT = re.compile(rf"({_SCHEME})://([^/@]*)@")
_NAMES_BEFORE_AT = frozenset(
    {"abfs", "abfss", "az", "wasb", "wasbs"}  # the container
    | {"ssh", "sftp", "smb", "hdfs", "webhdfs"}  # the name of an account
    | {"memory", "zip", "tar"}  # part of a path
)
"""Stores in which a text before @ is no secret, unless it has a colon."""
_OF_THIS_MACHINE = ("file://", "local://")


def is_url(text: str) -> bool:
    """Return whether a text is a URL rather than a path."""
    return _URL.match(text) is not None


def locate(where: str | Path) -> Location:
    """Distinguish paths from URLs; ``file://`` is a path."""
    if isinstance(where, Path) or not is_url(where):
        return Path(where).absolute()
    for scheme in _OF_THIS_MACHINE:
        if where.startswith(scheme):
            return Path(where.removeprefix(scheme)).absolute()
    if "?" in where or any(map(_is_secret, _BEFORE_AT.finditer(where))):
        raise ReleaseError(
            "a URL with a password, a token or a query (?…) would store its secret; remove it, "
            "and give credentials through fsspec's configuration or the environment variables of "
            "its package"
        )
    return where


def _is_secret(found: re.Match[str]) -> bool:
    return ":" in found[2] or found[1].lower() not in _NAMES_BEFORE_AT


def journal_name(tag: str, shard: int) -> str:
    """Return what the journal of a shard is called: the files that were made and not recorded."""
    return f".deepfixcx-{tag}-{shard:05d}.jsonl"


def in_memory(location: Location) -> bool:
    """Return whether a place is memory of this very process, which no other one can see."""
    return isinstance(location, str) and "memory://" in location


REQUESTS = 16
"""So many questions are put to a store at a time."""

BLOCK_BYTES = 1 << 22

NO_ROOM = (
    "the folder for temporary files is full; free disk space, or name another folder in TMPDIR"
)

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
            f"access to {url!r} is denied ({name}); check that this machine has credentials with "
            "permission to list, read, write and delete"
        )
    return (
        f"{url!r} cannot be reached or used ({name}); check its address, the network, and the "
        "settings of fsspec on this machine"
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
                reason = "opened: the file does not exist; check the path"
                break
            except PermissionError:
                reason = "opened: you have no permission to read it; change its permissions"
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


@dataclass(frozen=True, slots=True)
class Series:
    """The files of one DICOM series, which are one input; its name is that of the first file."""

    files: tuple[Path | RemoteFile, ...] = field(repr=False)

    @property
    def stamp(self) -> str:
        """Stamp of all files, empty where a file has none; it begins with the sum of sizes."""
        stamps = [stamp_of(file) for file in self.files]
        if not all(stamps):
            return ""
        size = sum(int(stamp.partition(":")[0]) for stamp in stamps)
        return f"{size}:{hashlib.sha256(chr(10).join(stamps).encode()).hexdigest()}"

    def slices(self, digests: list[str]) -> Generator[BinaryIO]:
        """Open one file after the other, and note the hash of each."""
        for file in self.files:
            stream, digest = open_hashed(file)
            digests.append(digest)
            with stream:
                yield stream

    def open_hashed(self) -> tuple[BinaryIO, str]:
        """Open the first file, and hash all."""
        digests: list[str] = []
        for _ in self.slices(digests):
            pass
        return open_hashed(self.files[0])[0], content_of_files(digests)


def content_of_files(digests: Iterable[str]) -> str:
    """Return the hash of several files, whatever their order and names."""
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


Input = Path | RemoteFile | Series
"""Where an input lies."""

HELD_BYTES = 1 << 26
"""A file up to this size is read once and decoded from memory; a larger one is read twice."""


def stamp_of(where: Input) -> str:
    """Return what the file system says of a file, empty where it says nothing."""
    if isinstance(where, RemoteFile | Series):
        return where.stamp
    try:
        status = os.stat(where)
    except (OSError, ValueError):
        return ""
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"


def open_hashed(where: Input) -> tuple[BinaryIO, str]:
    """Open an input and hash its bytes; of a series, open its first file."""
    if isinstance(where, Series):
        return where.open_hashed()
    if isinstance(where, RemoteFile):
        return where.open_hashed(HELD_BYTES)
    stream = open_image(where)
    try:
        if os.fstat(stream.fileno()).st_size <= HELD_BYTES:
            held = stream.read()
            stream.close()
            return io.BytesIO(held), hashlib.sha256(held).hexdigest()
        content = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
    except OSError:
        stream.close()
        raise UnreadableFileError("the file cannot be read: input/output error") from None
    return stream, content


def content_of(where: Input) -> str:
    """Return the hash of an input as it is now, empty where it cannot be read."""
    try:
        stream, content = open_hashed(where)
    except ImageFileError:
        return ""
    stream.close()
    return content


def instance_of(stream: BinaryIO) -> str:
    """Return the SOP Instance UID of a DICOM file; empty for other files."""
    stream.seek(0)
    if sniff(stream.read(SNIFFED_BYTES)) != "DICOM":
        return ""
    from deepfixcx.images.dicom.reading import read_instance

    with QUIET:
        return read_instance(stream)
