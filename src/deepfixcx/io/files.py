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
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path, PurePosixPath
from typing import BinaryIO, TextIO

from deepfixcx.errors import OverwriteError, ReleaseError

__all__ = [
    "appending",
    "check_apart",
    "check_free",
    "empty",
    "find_link",
    "holds",
    "inside",
    "is_temporary",
    "make_folder",
    "name_file",
    "one_place",
    "remove_folder",
    "remove_listed",
    "remove_own",
    "remove_temporaries",
    "set_aside",
    "sha256_of",
    "sync",
    "sync_file",
    "sync_folder",
    "tagged",
    "temporary_for",
    "within",
    "write_file",
    "writing",
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
    with temporary_for(path, mode) as (file, temporary):
        yield file
        sync_file(file, durable=durable)
        name_file(temporary, path, replace=replace)


@contextmanager
def appending(path: Path, start: bytes) -> Iterator[BinaryIO]:
    """Open a file of its owner alone to add lines, if it is new or begins with these bytes."""
    check_free(path, replace=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "ab+", buffering=0) as file:
        file.seek(0)
        if (found := file.read(len(start))) and found != start:
            raise OverwriteError(f"{path.name!r} is no log of deepfixcx; choose another name")
        yield file


def empty(file: BinaryIO) -> None:
    """Remove all lines of a file that `appending` has opened."""
    os.ftruncate(file.fileno(), 0)


@contextmanager
def temporary_for(path: Path, mode: int) -> Iterator[tuple[BinaryIO, Path]]:
    """Open a temporary file beside a path; `name_file` gives it the name of the path."""
    temporary = path.parent / f".deepfixcx-{_tag.get()}-{secrets.token_hex(8)}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    handle = os.open(temporary, flags, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file, temporary
    finally:
        temporary.unlink(missing_ok=True)


def sync_file(file: BinaryIO, *, durable: bool) -> None:
    """Hand a file to the system, and wait until it is on the disk itself where that is asked."""
    file.flush()
    if durable:
        os.fsync(file.fileno())


def name_file(temporary: Path, path: Path, *, replace: bool) -> None:
    """Give a complete file its name, atomically."""
    if replace:
        os.replace(temporary, path)
    else:
        _name_new(temporary, path)


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


def remove_own(path: Path) -> None:
    """Remove a file in a folder that is used by one program alone, whose names no other gives."""
    with contextlib.suppress(OSError):
        path.unlink()


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


def is_temporary(name: str) -> bool:
    """Return whether a name is that of a file that a process writes, or wrote when it died."""
    return re.fullmatch(r"\.deepfixcx-\w*-[0-9a-f]{16}\.part", name) is not None


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
    for parent in parts.parents:
        if parent.parts and (folder / parent).is_symlink():
            return None
    return folder / parts


# -- where paths lead: links, other mounts and other cases of one name are one place ------------


def within(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> bool:
    """Return whether a path is a folder or lies in it, by whatever names the two are called."""
    root, wanted = _parts(Path(folder))
    there, below = _parts(Path(path))
    above = [(there, below)]
    while there.parent != there:
        below = (_plain(there.name), *below)
        there = there.parent
        above.append((there, below))
    return any(_same(place, root) and rest[: len(wanted)] == wanted for place, rest in above)


def check_apart(written: Mapping[str, Path], read: Mapping[str, Path]) -> None:
    """Refuse a place to write that lies in another place that a command names, or holds one."""
    for what, path in written.items():
        others = {name: place for name, place in written.items() if name != what}
        for other, place in {**read, **others}.items():
            if one_place(path, place):
                raise ReleaseError(
                    f"{what} {str(path)!r} would replace {other}; choose another path"
                )
            if within(path, place):
                raise ReleaseError(
                    f"{what} {str(path)!r} lies in {other} {str(place)!r}; choose another path"
                )
            if place.is_dir() and within(place, path):
                raise ReleaseError(
                    f"{other} {str(place)!r} lies in {what} {str(path)!r}; choose another path"
                )


def one_place(path: Path, other: Path) -> bool:
    """Return whether two paths lead to one place; neither must exist."""
    return within(path, other) and within(other, path)


def find_link(folder: Path) -> str:
    """Return the name of a link below a folder; empty where there is none."""
    for where, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(where, name)
            if os.path.islink(path):
                return os.path.relpath(path, folder)
    return ""


def _parts(path: Path) -> tuple[Path, tuple[str, ...]]:
    """Return the deepest part of a path that exists, and the names below it."""
    place, below = Path(os.path.realpath(path)), tuple[str, ...]()
    while not os.path.exists(place) and place.parent != place:
        below = (_plain(place.name), *below)
        place = place.parent
    return place, below


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samestat(os.stat(one), os.stat(other))
    except OSError:
        return False
