"""The two folders of a release: whether they may be used, by whom right now, and what goes."""

from __future__ import annotations

import fcntl
import os
import posixpath
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from deepfixcx.errors import ReleaseError
from deepfixcx.io.files import sync_folder
from deepfixcx.release.ledger import LEDGER
from deepfixcx.release.places import LocalPlace, Place
from deepfixcx.release.store import open_store
from deepfixcx.release.urls import Location, locate

__all__ = [
    "PLAIN_FOLDERS",
    "PROTECTED",
    "PUBLIC_PRIVATE",
    "alone",
    "in_use",
    "keep_apart",
    "make_room",
    "private_folder",
    "private_of",
    "refuse",
    "remove_strays",
    "withdraw_papers",
]

OWN_FILES = ("manifest.csv", "failures.csv", "dataset.json")
PROTECTED_FILES = (*OWN_FILES, "labels.csv", "records.safetensors", "mechanism.safetensors")
OWN_FOLDERS = ("images", "dicom", "codes")
RESULTS = (("images", "*.png"), ("dicom", "*.dcm"), ("codes", "shard-*.safetensors"))
"""Folders of a release, and how its own files in them are called."""

PROTECTED = "protected.json"
"""In the private folder of a release by a mechanism; that of an ordinary one has a ledger."""

PUBLIC_PRIVATE = "public.private"
PLAIN_FOLDERS = ("images", "images.private", "public", PUBLIC_PRIVATE)
"""In the private folder of a release by a mechanism: what it was applied to."""

PROTECTED_TABLES = ("members.csv", "withheld.csv", "images.csv", "public.csv")

LOCK = "lock"
PATIENCE_S = 1.0
"""`in_use` holds the lock for an instant; a process that wants to write waits so long for it."""


def private_folder(folder: Path) -> Path:
    """Return the folder beside a release that must not be shared.

    Parameters
    ----------
    folder : Path
        The release.

    Returns
    -------
    Path

    Examples
    --------
    >>> private_folder(Path("shared/xrays")).name
    'xrays.private'
    """
    return folder.with_name(folder.name + ".private")


def private_of(release: Location, private: str | Path | None) -> Path:
    """Return the private folder of a release: the one asked for, or the one beside it.

    Raises
    ------
    ReleaseError
        None is asked for and the release lies in a store, or it is a URL itself.
    """
    if private is not None:
        chosen = locate(private)
        if isinstance(chosen, str):
            raise ReleaseError(
                f"--private {chosen!r} is a URL; the private folder lies on this machine, for its "
                f"ledger is a database that is locked while it is written"
            )
        return chosen
    if isinstance(release, str):
        raise ReleaseError(
            f"{release!r} is a URL, beside which nothing private may lie; name a folder of this "
            f"machine for the ledger and the names of the sources with --private"
        )
    return private_folder(release)


def keep_apart(where: Location, release: Location, private: Path) -> None:
    """Refuse a release or a private folder that would mix with the input or each other."""
    if _mixed(where, release):
        raise ReleaseError(
            f"the release {str(release)!r} and its input {str(where)!r} lie within each other; "
            f"choose an output folder outside the input"
        )
    for other in (where, release):
        if isinstance(other, Path) and private.resolve().is_relative_to(other.resolve()):
            raise ReleaseError(
                f"the private folder {str(private)!r} lies in {str(other)!r}; choose one outside "
                f"the input and outside what is shared"
            )
    if isinstance(release, Path) and release.resolve().is_relative_to(private.resolve()):
        raise ReleaseError(
            f"the release {str(release)!r} lies in the private folder {str(private)!r}; choose "
            f"another one for it"
        )


def _mixed(where: Location, release: Location) -> bool:
    if isinstance(where, Path) and isinstance(release, Path):
        source = where.resolve() if where.is_dir() else where.resolve().parent
        target = release.resolve()
        inside = where.is_dir() and target.is_relative_to(source)
        return target == source or inside or source.is_relative_to(target)
    if isinstance(where, str) and isinstance(release, str):
        (here, above), (there, below) = open_store(where), open_store(release)
        roots = [f"{path.rstrip('/')}/" for path in (above, below)]
        return bool(here == there) and (
            roots[0].startswith(roots[1]) or roots[1].startswith(roots[0])
        )
    return False


def refuse(
    place: Place, private: Path, *, resume: bool, overwrite: bool, protected: bool = False
) -> None:
    """Refuse a place that holds something else than what the caller expects, touching nothing.

    `protected` tells whether a release by a mechanism is to be made, or an ordinary one.
    """
    if resume and overwrite:
        raise ReleaseError("either --resume or --overwrite, not both")
    state = place.state()
    if state == "file":
        raise ReleaseError(f"{str(place)!r} is a file; choose another folder for the release")
    kinds = {False: (private / LEDGER).is_file(), True: (private / PROTECTED).is_file()}
    has_ledger = any(kinds.values())
    if resume and has_ledger and not kinds[protected]:
        raise ReleaseError(
            f"the release {str(place)!r} was begun with other mechanisms; --resume goes on only "
            f"with the same inputs and options, --overwrite starts again"
        )
    if state == "free":
        beside = isinstance(place, LocalPlace) and private == private_folder(place.folder)
        if has_ledger and not (beside or resume or overwrite):
            raise ReleaseError(
                f"{str(private)!r} holds the ledger of a release; go on with --resume, start "
                f"again with --overwrite, or choose another --private for this one"
            )
        return
    if not resume and not overwrite:
        raise ReleaseError(
            f"{str(place)!r} already holds something; go on with --resume, start again with "
            f"--overwrite, or choose another folder"
        )
    if not has_ledger:
        raise ReleaseError(
            f"{str(place)!r} was not made by deepfixcx, or its ledger is no longer in "
            f"{private.name!r}, so it is left alone; choose another folder, or name the right one "
            f"with --private"
        )


@contextmanager
def alone(place: Place, private: Path) -> Iterator[None]:
    """Hold the release, so that no other process writes it; a process that dies lets go."""
    at = str(place)
    try:
        place.prepare()
        at = str(private)
        private.parent.mkdir(parents=True, exist_ok=True)
        private.mkdir(mode=0o700, exist_ok=True)
        sync_folder(private.parent)
        lock = os.open(private / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ReleaseError(
            f"{at!r} cannot be written: {error.strerror}; choose another folder"
        ) from None
    try:
        until = time.monotonic() + PATIENCE_S
        while not _locked(lock):
            if time.monotonic() > until:
                raise ReleaseError(
                    f"another process is writing {str(place)!r} right now; wait for it or stop it"
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


def make_room(place: Place, private: Path, overwrite: bool, resume: bool) -> Path:
    """Remove what must not stay of earlier runs, and return where the ledger goes."""
    if overwrite:  # other files that lie in the folder stay
        withdraw_papers(place, protected=(private / PROTECTED).is_file())
        for name in OWN_FOLDERS:
            place.clear(name)
    if not resume:  # last: a folder with results and no ledger would never be touched again
        for name in PLAIN_FOLDERS:
            shutil.rmtree(private / name, ignore_errors=True)
        for name in (*PROTECTED_TABLES, f"{LEDGER}-journal", LEDGER, PROTECTED):
            (private / name).unlink(missing_ok=True)
    place.remove_unfinished()
    return private / LEDGER


def withdraw_papers(place: Place, *, protected: bool = False) -> None:
    """Remove the papers of a release, so that it counts as unfinished."""
    place.remove(PROTECTED_FILES if protected else OWN_FILES)


def remove_strays(place: Place, known: Callable[[str], bool]) -> None:
    """Remove whole results that no record names, of a try that died before it was recorded."""
    for room, pattern in RESULTS:
        strays = [
            name
            for name in place.names(room)
            if fnmatchcase(posixpath.basename(name), pattern) and not known(name)
        ]
        place.remove(strays)


def _locked(lock: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
