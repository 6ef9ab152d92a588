"""The two folders of a release: whether they may be used, and by whom right now."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deepfixcx.errors import ReleaseError
from deepfixcx.release.disk import remove_unfinished, sync_folder
from deepfixcx.release.ledger import LEDGER

__all__ = [
    "alone",
    "in_use",
    "keep_apart",
    "make_room",
    "private_folder",
    "refuse",
    "withdraw_papers",
]

OWN_FILES = ("manifest.csv", "failures.csv", "dataset.json")
OWN_FOLDERS = ("images", "codes")
LOCK = "lock"
PATIENCE_S = 1.0
"""`in_use` holds the lock for an instant; a process that wants to write waits so long for it."""


def private_folder(folder: Path) -> Path:
    """Return the folder beside a release that must not be shared.

    Examples
    --------
    >>> private_folder(Path("shared/xrays")).name
    'xrays.private'
    """
    return folder.with_name(folder.name + ".private")


def keep_apart(where: Path, folder: Path) -> None:
    """Refuse a release folder that would mix with its own input."""
    source = where.resolve() if where.is_dir() else where.resolve().parent
    target = folder.resolve()
    inside = where.is_dir() and target.is_relative_to(source)
    if target == source or inside or source.is_relative_to(target):
        raise ReleaseError(
            f"the release {str(folder)!r} and its input {str(where)!r} lie within each other; "
            f"choose an output folder outside the input"
        )


def refuse(folder: Path, private: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse a folder that holds something else than what the caller expects, touching nothing."""
    if resume and overwrite:
        raise ReleaseError("either --resume or --overwrite, not both")
    if folder.exists() and not folder.is_dir():
        raise ReleaseError(f"{str(folder)!r} is a file; choose another folder for the release")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not resume and not overwrite:
        raise ReleaseError(
            f"{str(folder)!r} already holds something; go on with --resume, start again with "
            f"--overwrite, or choose another folder"
        )
    if not (private / LEDGER).is_file():
        raise ReleaseError(
            f"{str(folder)!r} was not made by deepfixcx, or {private.name!r} with its ledger is "
            f"no longer beside it, so it is left alone; choose another folder"
        )


@contextmanager
def alone(folder: Path, private: Path) -> Iterator[None]:
    """Hold the release, so that no other process writes it; a process that dies lets go."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        private.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)
        lock = os.open(private / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ReleaseError(
            f"{str(folder)!r} cannot be written: {error.strerror}; choose another folder"
        ) from None
    try:
        until = time.monotonic() + PATIENCE_S
        while not _locked(lock):
            if time.monotonic() > until:
                raise ReleaseError(
                    f"another process is writing {str(folder)!r} right now; wait for it or stop it"
                )
            time.sleep(0.05)
        yield
    finally:
        os.close(lock)


def in_use(private: Path) -> bool:
    """Return whether a process is writing the release right now."""
    try:
        lock = os.open(private / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _locked(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)


def make_room(folder: Path, private: Path, overwrite: bool, resume: bool) -> Path:
    """Remove what must not stay of earlier runs, and return where the ledger goes."""
    if overwrite:  # other files that lie in the folder stay
        withdraw_papers(folder)
        for name in OWN_FOLDERS:
            shutil.rmtree(folder / name, ignore_errors=True)
    if not resume:  # last: a folder with results and no ledger would never be touched again
        for name in (f"{LEDGER}-journal", LEDGER):
            (private / name).unlink(missing_ok=True)
    remove_unfinished(folder)
    return private / LEDGER


def withdraw_papers(folder: Path) -> None:
    """Remove the papers of a release, so that it counts as unfinished."""
    for name in OWN_FILES:
        (folder / name).unlink(missing_ok=True)


def _locked(lock: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
