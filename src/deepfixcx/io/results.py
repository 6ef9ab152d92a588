"""Results of commands, in single files and in folders: one rule for what may be replaced.

What deepfixcx did not write, or what was changed since, is refused by name. An unchanged result is
replaced if the user asks for it with --overwrite. Files of a folder are known by its ledger, single
files by a checksum at their end, and tables, which have no room for one, by their columns.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deepfixcx.errors import DeepfixcxError, InUseError, OverwriteError, ReleaseError
from deepfixcx.io.files import check_free, inside, name_file, sync_file, temporary_for
from deepfixcx.io.folders import MARKER, FileLedger, OwnFolder, id_of, states_format

__all__ = [
    "check_earlier",
    "check_result",
    "check_unchanged",
    "claimed_folder",
    "is_signed",
    "signed",
    "write_result",
]

LARGEST = 2**28
"""Bytes; no result has more."""

CHECKSUM = b'"file_checksum": "'
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
ENDS = {".json": b"\n}\n", ".png": PNG_END, ".html": b"", ".pdf": b"", ".tex": b""}
"""How files of a kind end; their checksum stands before it."""

Recognize = Callable[[bytes], bool]


# -- single files -----------------------------------------------------------------------------


def signed(content: bytes, kind: str) -> bytes:
    r"""Return a file with a checksum of its content at the end."""
    end = ENDS.get(kind)
    if end is None:
        return content
    return content.removesuffix(end) + _line(kind, content) + end


def is_signed(content: bytes, kind: str) -> bool:
    """Return whether a file has the checksum of `signed`, and is what it was."""
    end = ENDS.get(kind)
    if end is None or not content.endswith(end):
        return False
    body, size = content.removesuffix(end), len(_line(kind, b""))
    return body[-size:] == _line(kind, body[:-size] + end)


def _line(kind: str, content: bytes) -> bytes:
    digest = hashlib.sha256(content).hexdigest().encode()
    if kind == ".json":
        return b",\n  " + CHECKSUM + digest + b'"'
    if kind == ".png":
        chunk = b"tEXtdeepfixcx\0" + digest
        return struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return b"\n<!-- deepfixcx " + digest + b" -->\n" if kind == ".html" else b"%" + digest + b"\n"


def check_result(
    path: Path, option: str, kind: str, *, overwrite: bool, recognize: Recognize | None = None
) -> None:
    """Refuse, before any work, a place where a result cannot or should not be written."""
    if not path.parent.is_dir():
        raise ReleaseError(f"there is no folder {str(path.parent)!r} for {option}; make it first")
    check_free(path, replace=True)
    if not path.exists():
        return
    if not _is_result(path, kind, recognize):
        raise OverwriteError(
            f"{str(path)!r} exists and was not made by deepfixcx, or was changed since; move it "
            f"or choose another {option}"
        )
    if not overwrite:
        raise OverwriteError(
            f"{str(path)!r} exists; replace it with --overwrite, or choose another {option}"
        )


def check_unchanged(path: Path) -> None:
    """Refuse a result that was changed since deepfixcx wrote it, if a checksum shows that."""
    ledger = FileLedger(path.parent / MARKER)
    changed = path.name in ledger.listed and not ledger.is_own(path.parent, path.name)
    if not changed and path.suffix == ".json" and path.stat().st_size <= LARGEST:
        content = path.read_bytes()
        changed = CHECKSUM in content and not is_signed(content, ".json")
    if changed:
        raise ReleaseError(
            f"{path.name!r} was changed after deepfixcx wrote it; run the command that made it "
            f"again"
        )


def write_result(
    path: Path, content: bytes, kind: str, *, recognize: Recognize | None = None
) -> None:
    """Write a single file, whole or not at all, with a checksum where its kind has room for one."""
    check_free(path, replace=_is_result(path, kind, recognize))

    try:
        with temporary_for(path, 0o666) as (file, temporary):
            file.write(signed(content, kind))
            sync_file(file, durable=True)
            name_file(temporary, path, replace=_is_result(path, kind, recognize))
    except OSError as error:
        raise ReleaseError(
            f"{str(path)!r} cannot be written: {error.strerror}; choose another path"
        ) from None


def _is_result(path: Path, kind: str, recognize: Recognize | None) -> bool:
    with suppress(OSError):
        if path.is_file() and path.stat().st_size <= LARGEST:
            content = path.read_bytes()
            return is_signed(content, kind) or bool(recognize and recognize(content))
    return False


# -- folders ----------------------------------------------------------------------------------


@contextmanager
def claimed_folder(folder: Path, refusal: type[DeepfixcxError]) -> Iterator[OwnFolder]:
    """Make and lock a folder of results; it does not stay if nothing is written into it."""
    try:
        if os.path.lexists(folder) and not folder.is_dir():
            raise refusal(f"{str(folder)!r} is a file; choose another folder")
        own = OwnFolder(folder)
    except (InUseError, OverwriteError) as error:
        raise refusal(str(error)) from None
    except OSError as error:
        raise refusal(
            f"the folder {str(folder)!r} cannot be used: {error.strerror}; choose another"
        ) from None
    with own:
        try:
            yield own
        finally:
            own.withdraw()


def check_earlier(
    folder: Path, names: Iterable[str], what: str, *, overwrite: bool, known: str = ""
) -> None:
    """Refuse, before any work, a folder with an earlier result or with files of its names."""
    if os.path.lexists(folder) and not folder.is_dir():
        raise OverwriteError(f"{str(folder)!r} is a file; -o names a folder")
    if os.path.lexists(folder / MARKER) and not id_of(folder):
        raise OverwriteError(f"{MARKER} in {folder.name!r} is not that of deepfixcx")
    ledger = FileLedger(folder / MARKER)
    unlisted = not ledger.listed and bool(known) and states_format(folder / known)  # version 0.1
    there = [name for name in names if os.path.lexists(folder / name)]
    for name in there:
        path = inside(folder, name)
        if path is None or path.is_symlink() or not (unlisted or ledger.is_own(folder, name)):
            raise OverwriteError(
                f"{name!r} in {str(folder)!r} exists and was not made by deepfixcx, or was "
                "changed since; move it or choose another folder"
            )
    if there and not overwrite:
        raise OverwriteError(
            f"{str(folder)!r} holds {what}; replace it with --overwrite, or choose another -o"
        )
