"""Is a release consistent: every file hashed again, every statement compared with what it holds."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from deepfixcx.errors import ReleaseError
from deepfixcx.io.release_files import ABOUT, KINDS, MANIFEST
from deepfixcx.release.contents import contradictions
from deepfixcx.release.places import LocalPlace, Place
from deepfixcx.release.release import Release
from deepfixcx.release.storage import locate
from deepfixcx.release.withdrawal import unfinished

__all__ = ["Verification", "verify_release"]

BLOCK_BYTES = 1 << 20


@dataclass(slots=True)
class Verification:
    """What is wrong with a release.

    Attributes
    ----------
    files, files_sound, bytes_read : int
        Files of the manifest; files that match it; bytes that were hashed.
    missing, changed, unlisted : list of str
        Files that are missing; that have changed; that the manifest does not list.
    links, empty : list of str
        Links and special files, which no release has; folders without a file.
    counts : dict of str to (int, int)
        Totals that differ: what dataset.json says, and what the manifest and the files say.
    contradictions : list of str
        Statements of dataset.json and the manifest that do not fit each other or the files.
    checksum : str
        SHA-256 of dataset.json, which names the hashes of the other metadata files. Two releases
        with one checksum are the same, so sender and recipient can compare it.
    withdrawing : bool
        Whether a withdrawal was interrupted; the same command completes it.

    Examples
    --------
    >>> Verification(files=2, files_sound=1, missing=["codes/000001.safetensors"]).sound
    False
    """

    files: int = 0
    files_sound: int = 0
    bytes_read: int = 0
    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    contradictions: list[str] = field(default_factory=list)
    checksum: str = ""
    withdrawing: bool = False

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong: the release is consistent; this does not show who made it."""
        wrong = (self.missing, self.changed, self.unlisted, self.links, self.empty, self.counts)
        return not (any(wrong) or self.contradictions or self.withdrawing)


def verify_release(
    folder: str | Path,
    *,
    workers: int = 1,
    report: Callable[[int, int], None] | None = None,
    contents: bool = True,
) -> Verification:
    """Hash every file of a release again, and compare what it says with what it holds.

    This needs nothing but the release itself, and shows that it is consistent, not who made it: a
    forger can write another consistent release. Compare `Verification.checksum` with the checksum
    that the sender names.

    Parameters
    ----------
    folder : str or Path
        The release; may be a URL.
    workers : int
        Threads.
    report : callable
        Called with the files looked at and the files in all.
    contents : bool
        Also open every file, and compare what the release says with what it holds.

    Returns
    -------
    Verification
        What is wrong is in it; it raises nothing.

    Raises
    ------
    ReleaseError
        There is no such folder, it is not a finished release, its metadata cannot be read, or
        a store cannot be reached.

    Examples
    --------
    >>> verify_release(Path("shared")).sound  # doctest: +SKIP
    True
    """
    if workers < 1:
        raise ReleaseError(f"workers must be at least 1, got {workers}")
    location = locate(folder)
    if isinstance(location, Path):
        _check_folder(location)
    release = Release.open(folder)
    place, about, rows = release.place, release.about, release.rows
    found = Verification(checksum=release.checksum)
    wanted, counted = _counted(rows)
    wanted |= {name: str(value) for name, value in about["papers"].items()}
    found.files = len(wanted)
    sizes: dict[str, int] = {}
    for done, (name, content, size) in enumerate(_hashed(place, wanted, workers), start=1):
        sizes[name] = size
        found.bytes_read += size
        if not content:
            found.missing.append(name)
        elif content != wanted[name]:
            found.changed.append(name)
        if report is not None:
            report(done, len(wanted))
    found.files_sound = found.files - len(found.missing) - len(found.changed)
    found.unlisted = sorted(set(place.names()) - wanted.keys() - {ABOUT})
    if isinstance(location, Path):
        found.links, found.empty = _strange(location)
        found.withdrawing = unfinished(location)
    for kind, room in KINDS.items():
        counted[f"{kind}_file_bytes"] = sum(s for n, s in sizes.items() if n.startswith(f"{room}/"))
    said = about["totals"]
    found.counts = {
        name: (said.get(name, 0), count)
        for name, count in counted.items()
        if said.get(name, 0) != count  # older releases have no DICOM files, and say nothing of it
    }
    if contents:
        found.contradictions = [
            *_unhashed(about, rows),
            *contradictions(place, about, rows, wanted.keys() - {*found.missing, *found.changed}),
        ]
    return found


def _unhashed(about: Mapping[str, Any], rows: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Yield what no checksum protects."""
    if MANIFEST not in about["papers"]:
        yield f"{ABOUT} does not contain the checksum of {MANIFEST}"
    hashes: dict[str, str] = {}
    for row in rows:
        for kind in KINDS:
            name, content = row.get(f"{kind}_file"), row.get(f"{kind}_sha256", "")
            if name and hashes.setdefault(name, content) != content:
                yield f"{MANIFEST} has several checksums for one file: {name}"
                return


def _strange(folder: Path) -> tuple[list[str], list[str]]:
    """Return links and special files, and folders that hold nothing, below a folder."""
    links, empty = [], []
    for where, folders, files in os.walk(folder):
        above = Path(where)
        links += [above / name for name in folders if (above / name).is_symlink()]
        for name in files:
            if not stat.S_ISREG(os.lstat(above / name).st_mode):
                links.append(above / name)
        if not folders and not files and above != folder:
            empty.append(above)
    names = [
        sorted(each.relative_to(folder).as_posix() for each in some) for some in (links, empty)
    ]
    return names[0], names[1]


def _check_folder(folder: Path) -> None:
    if not os.path.exists(folder):
        raise ReleaseError(f"there is no file or folder {str(folder)!r}; check the path")
    if not os.path.isdir(folder):
        raise ReleaseError(f"{str(folder)!r} is a file; a release is a folder")


def _counted(rows: Sequence[Mapping[str, str]]) -> tuple[dict[str, str], dict[str, int]]:
    """Return the hash of each file that the manifest names, and what can be counted in it."""
    names = ("files", "files_done", "files_failed", "images", "dicom_files", "code_files")
    counted = dict.fromkeys(names, 0)
    wanted: dict[str, str] = {}
    for row in rows:
        failed = row["status"] == "failed"
        counted["files"] += row["frame"] == "0"
        counted["files_failed"] += failed
        counted["files_done"] += not failed and row["frame"] == "0"
        counted["images"] += not failed
        for kind in ("dicom", "code"):
            name = row.get(f"{kind}_file")
            counted[f"{kind}_files"] += bool(name) and name not in wanted
        for kind in KINDS:
            if row.get(f"{kind}_file"):
                wanted[row[f"{kind}_file"]] = row[f"{kind}_sha256"]
    return wanted, counted


def _hashed(place: Place, names: dict[str, str], workers: int) -> Iterator[tuple[str, str, int]]:
    """Yield each name with the hash and size of its file, in order; few wait at a time."""
    waiting: deque[tuple[str, Future[tuple[str, int]]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for name in names:
            waiting.append((name, pool.submit(_hash_inside, place, name)))
            if len(waiting) > 4 * workers:
                first, future = waiting.popleft()
                yield first, *future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, *future.result()


def _hash_inside(place: Place, name: str) -> tuple[str, int]:
    """Hash a file of the release; a name that leads out of it is no file of it."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return "", 0
    if isinstance(place, LocalPlace) and not place.has(name):  # a pipe would wait for ever
        return "", 0
    return _hash(place, name)


def _hash(place: Place, name: str) -> tuple[str, int]:
    """Return the hash and size of a file, an empty hash where it cannot be read."""
    content, size = hashlib.sha256(), 0
    try:
        with place.fetched(name) as path, path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                content.update(block)
                size += len(block)
    except OSError:
        return "", 0
    return content.hexdigest(), size
