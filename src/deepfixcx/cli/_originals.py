"""Whether the originals and the private folder of an audit are those of the release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deepfixcx._words import counted
from deepfixcx.errors import AuditError, ReleaseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from deepfixcx.audit.suite import Target

__all__ = [
    "HINT",
    "check_contents",
    "check_members",
    "check_pairs",
    "check_place",
    "count_missing",
]

FEWEST = 8
"""Records below which a pairing cannot be distinguished from a random one."""

HINT = "give --against the input folder (IN) of privatize"


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
