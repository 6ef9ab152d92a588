"""Whether the originals and the private folder of an audit are those of the release."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from deepfixcx._words import counted
from deepfixcx.errors import AuditError, ReleaseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from deepfixcx.audit.suite import Target

__all__ = [
    "check_binding",
    "check_contents",
    "check_files",
    "check_members",
    "check_pairs",
    "check_place",
    "count_missing",
    "privatized_contents",
]

FEWEST = 8
"""Records below which a pairing cannot be distinguished from a random one."""

HINT = "give --against the input folder (IN) of privatize"


def check_binding(release: Path, private: Path) -> str:
    """Refuse the private folder of another release; return what proves that it is of this one."""
    from deepfixcx.io.files import sha256_of
    from deepfixcx.io.folders import FileLedger
    from deepfixcx.release.folders import METADATA, release_id
    from deepfixcx.release.places import LocalPlace, id_in

    stated, known = id_in(LocalPlace(release)), release_id(private)
    recorded = FileLedger(private / METADATA).listed.get("manifest.csv", set())
    files = {"manifest.csv": recorded} if recorded else _recorded_codes(private)
    there = {name: release / name for name in files if (release / name).is_file()}
    held = any(sha256_of(path) in files[name] for name, path in there.items())
    if (stated and known and stated != known) or (there and not held):
        what = "ID" if stated and known and stated != known else "checksum"
        raise AuditError(
            f"{private.name!r} is the private folder of another release: its {what} differs from "
            f"that of {release.name!r}; name the right folder with --private, or check the "
            "release with deepfixcx verify"
        )
    return "checksums" if held else "id" if stated and stated == known else ""


def check_files(release: Path) -> None:
    """Refuse codes, labels or a mechanism that are not those which the manifest files list."""
    from deepfixcx.io.files import sha256_of
    from deepfixcx.release.release import Release

    opened = Release.open(release)
    listed = {row["code_file"]: row["code_sha256"] for row in opened.rows if row["code_file"]}
    listed |= {name: str(digest) for name, digest in opened.about["papers"].items()}
    there = {name: release / name for name in listed if (release / name).is_file()}
    changed = sum(sha256_of(path) != listed[name] for name, path in there.items())
    if changed:
        raise AuditError(
            f"{counted(changed, 'file')} of {release.name!r} changed after the release was made: "
            f"deepfixcx verify names them; copy the release again"
        )


def _recorded_codes(private: Path) -> dict[str, set[str]]:
    """Return the checksums of the files with codes, as a ledger of any version has them."""
    files: dict[str, set[str]] = {}
    for name, digest in _query(private, "SELECT code_file, code_sha256 FROM records"):
        if name:
            files.setdefault(name, set()).add(digest)
    return files


def check_place(originals: Path) -> None:
    """Refuse a place of originals that does not exist."""
    if not originals.exists():
        raise AuditError(f"there is no file or folder {str(originals)!r}; {HINT}")


def check_members(members: Sequence[Sequence[Path]], originals: Path) -> None:
    """Refuse originals that are not those which the private folder of a mechanism names."""
    from deepfixcx.release.inputs import find_sources

    known = {path for paths in members for path in paths}
    if originals.is_dir():
        folders = {originals.absolute(), originals.resolve()}
        strange = [path for path in known if not any(map(path.is_relative_to, folders))]
    else:
        try:
            listed = find_sources(originals).found
        except ReleaseError:  # a table of another layout: it names its images in its own way
            return
        there = {each.path.resolve() for each in listed if isinstance(each.path, Path)}
        strange = [path for path in known if path not in there]
    if strange:
        raise AuditError(
            f"{len(strange):,} of {counted(len(known), 'original')} of this release do not lie in "
            f"{originals.name!r}; {HINT}"
        )


def check_contents(contents: Mapping[Path, str]) -> None:
    """Refuse originals whose bytes are not those that were privatized."""
    from deepfixcx.release.storage import content_of

    now = {path: content_of(path) for path in contents}
    present = {path: content for path, content in now.items() if content}
    others = sum(content != contents[path] for path, content in present.items())
    if others:
        raise AuditError(
            f"{others:,} of {counted(len(present), 'original')} differ from the files that were "
            f"privatized; {HINT}"
        )


def check_pairs(release: str, target: Target, *, drawn: bool) -> bool:
    """Refuse a private folder that pairs records with images or labels of another release."""
    import numpy as np

    from deepfixcx.audit.reconstruction.attackers import numbers_of

    behind = target.members_of_each()
    order = np.roll(np.arange(len(behind)), len(behind) // 2)
    refused = AuditError(
        f"the private folder pairs the records of {release!r} with other images than their "
        "sources, so it belongs to another release; name the right folder with --private"
    )
    if target.record_labels is not None and target.labels is not None:
        shared = np.asarray(target.record_labels, np.float64)
        labels = np.asarray(target.labels, np.float64)[:, : shared.shape[1]]
        truth = np.stack([labels[list(images)].mean(axis=0) for images in behind])
        known = np.isfinite(shared) & np.isfinite(truth)
        apart = np.where(known, np.abs(shared - truth), 0).mean()
        random = np.where(known, np.abs(shared[order] - truth), 0).mean()
        if apart > random / 2:
            raise refused
    if drawn or len(behind) < FEWEST:
        return False
    records = numbers_of(target.released).reshape(len(behind), -1)
    own = np.stack([target.encoded[list(images)].mean(axis=0).ravel() for images in behind])
    scale = np.maximum(own.std(axis=0), 1e-6 * max(float(np.abs(own).max()), 1e-30))
    apart, random = (
        float(np.median(np.abs((records[rows] - own) / scale).mean(axis=1)))
        for rows in (np.arange(len(behind)), order)
    )
    if apart > 0.9 * random > 0:
        raise refused
    return random > 0


def count_missing(members: Iterable[Sequence[Path]]) -> int:
    """Return how many records have no original on the disk."""
    return sum(not any(path.is_file() for path in paths) for paths in members)


def privatized_contents(private: Path) -> dict[str, str]:
    """Return the hash of each input by its id, as the ledger has it; nothing where it has none."""
    return dict(_query(private, "SELECT source_id, content FROM sources WHERE content != ''"))


def _query(private: Path, query: str) -> list[tuple[str, str]]:
    """Read the ledger without changing it; one of another version, or damaged, has no rows."""
    from deepfixcx.release.ledger import LEDGER

    ledger = private / LEDGER
    if not ledger.is_file():
        return []
    try:
        address = f"{ledger.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as database:
            return database.execute(query).fetchall()
    except sqlite3.Error:
        return []
