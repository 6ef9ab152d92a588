"""The only place that creates, replaces or removes files; a test holds every other module to it.

Three rules. A file appears under its name whole or not at all. A file that is there is replaced
only where the caller says that it is deepfixcx's own, and a link is never followed. A file is
removed only if a ledger lists it and its content still has the SHA-256 that the ledger lists.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
import secrets
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path, PurePosixPath
from typing import BinaryIO, TextIO

from deepfixcx.errors import OverwriteError

__all__ = [
    "check_free",
    "holds",
    "inside",
    "make_folder",
    "remove_folder",
    "remove_listed",
    "remove_temporaries",
    "set_aside",
    "sha256_of",
    "sync",
    "sync_folder",
    "tagged",
    "write_file",
    "writing",
    "writing_as",
    "writing_text",
]

NO_LINKS = frozenset({errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
"""What file systems without hard links answer."""

_tag: ContextVar[str] = ContextVar("tag", default="")


# -- writing ----------------------------------------------------------------------------------


@contextmanager
def tagged(tag: str) -> Iterator[None]:
    """Put a tag into the names of temporary files, by which `remove_temporaries` knows them."""
    before = _tag.set(tag)
    try:
        yield
    finally:
        _tag.reset(before)


@contextmanager
def writing(
    path: Path, *, mode: int = 0o666, replace: bool = False, durable: bool = True
) -> Iterator[BinaryIO]:
    """Open a file that appears under its name only when it is complete."""
    check_free(path, replace=replace)
    with writing_as(path, mode, lambda _: replace, durable=durable) as file:
        yield file


@contextmanager
def writing_as(
    path: Path, mode: int, may_replace: Callable[[Path], bool], *, durable: bool
) -> Iterator[BinaryIO]:
    """Write as `writing` does; `may_replace` is asked when the temporary file is complete."""
    temporary = path.parent / f".deepfixcx-{_tag.get()}-{secrets.token_hex(8)}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    handle = os.open(temporary, flags, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        if may_replace(temporary):
            os.replace(temporary, path)
        else:
            _name_new(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def writing_text(path: Path, *, mode: int = 0o666, replace: bool = False) -> Iterator[TextIO]:
    """Open a UTF-8 text as `writing` does; line ends are written as they are."""
    with writing(path, mode=mode, replace=replace) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        yield text
        text.detach()


def write_file(
    path: str | os.PathLike[str],
    content: bytes | str,
    *,
    mode: int = 0o666,
    replace: bool = False,
    durable: bool = True,
) -> None:
    """Write a whole file, as `writing` does."""
    data = content.encode() if isinstance(content, str) else content
    with writing(Path(path), mode=mode, replace=replace, durable=durable) as file:
        file.write(data)


def check_free(path: Path, *, replace: bool = False) -> None:
    """Refuse a link, and whatever is there unless it is a regular file that may be replaced."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISLNK(status.st_mode):
        raise OverwriteError(
            f"{path.name!r} is a link; remove it or choose another name, because links are "
            "not followed"
        )
    if not stat.S_ISREG(status.st_mode):
        raise OverwriteError(f"{path.name!r} is not a regular file; choose another name")
    if not replace:
        raise OverwriteError(
            f"{path.name!r} exists and was not made by deepfixcx, or was changed since; move it "
            "or choose another name"
        )


def _name_new(temporary: Path, path: Path) -> None:
    """Give a file its name, atomically, unless the name is taken."""
    try:
        try:
            os.link(temporary, path, follow_symlinks=False)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            os.replace(temporary, path)
    except FileExistsError:
        check_free(path)


def make_folder(folder: Path, *, mode: int = 0o777, durable: bool = True) -> bool:
    """Make a folder and those above it; return whether it is new."""
    try:
        folder.mkdir(mode=mode)
    except FileExistsError:
        if not folder.is_dir():
            raise
        return False
    except FileNotFoundError:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=mode)
    if durable:
        sync_folder(folder.parent)
    return True


def sync(folder: Path, names: Iterable[str]) -> None:
    """Wait until files below a folder, and the folders that name them, are on the disk itself."""
    folders = {folder}
    for name in dict.fromkeys(names):
        handle = os.open(folder / name, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        folders |= {folder / parent for parent in Path(name).parents}
    # The deepest first: a folder is named before what names it.
    for each in sorted(folders, key=lambda path: -len(path.parts)):
        sync_folder(each)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk; some file systems cannot be asked."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sha256_of(path: Path) -> str:
    """Return the hash of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- removing ---------------------------------------------------------------------------------


def remove_listed(folder: Path, listed: Mapping[str, Collection[str]]) -> list[str]:
    """Remove the files of a folder whose content is what a ledger lists, and nothing else."""
    left, emptied = [], set()
    for name, digests in listed.items():
        path = inside(folder, name)
        if path is None:
            left.append(name)
        elif holds(path, digests):
            path.unlink()
            emptied |= set(path.relative_to(folder).parents)
        elif os.path.lexists(path):
            left.append(name)
    for each in sorted(emptied - {Path()}, key=lambda path: -len(path.parts)):
        remove_folder(folder / each)
    return left


def remove_folder(folder: Path) -> None:
    """Remove a folder that is empty; one that is not stays."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def set_aside(path: Path) -> Path:
    """Give a file that cannot be used another name, so that nothing is lost; return it."""
    aside = path.with_name(f"{path.name}.damaged-{secrets.token_hex(4)}")
    _name_new(path, aside)
    if aside.exists() and os.path.lexists(path):
        path.unlink()
    return aside


def remove_temporaries(folder: Path, tag: str) -> None:
    """Remove what processes that died were writing under a secret tag."""
    pattern = re.compile(rf"\.deepfixcx-{re.escape(tag)}-[0-9a-f]{{16}}\.part")
    for where, _, files in os.walk(folder) if tag else ():
        for name in filter(pattern.fullmatch, files):
            Path(where, name).unlink(missing_ok=True)


def holds(path: Path, digests: Collection[str]) -> bool:
    """Return whether a path is a regular file, no link, with one of these contents."""
    try:
        return bool(digests) and stat.S_ISREG(path.lstat().st_mode) and sha256_of(path) in digests
    except OSError:
        return False


def inside(folder: Path, name: str) -> Path | None:
    """Return the path of a name below a folder, or None if it leads out or through a link."""
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts:
        return None
    above = [folder / parent for parent in parts.parents if parent.parts]
    return None if any(each.is_symlink() for each in above) else folder / parts
