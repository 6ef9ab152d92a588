"""Images whose files hold the same bytes, whatever their names."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path

from deepfixcx.datasets.dataset import Dataset

__all__ = ["find_duplicates"]


def find_duplicates(dataset: Dataset) -> tuple[tuple[int, ...], ...]:
    """Find the images that are there more than once.

    Only files of equal size are read. A picture that was saved anew has other bytes and is not
    found.

    Parameters
    ----------
    dataset : Dataset
        The images.

    Returns
    -------
    tuple of tuple of int
        Places of the images that hold the same bytes, two or more each, in the order of the first.

    Examples
    --------
    >>> import tempfile
    >>> from deepfixcx.datasets import read_folder
    >>> root = Path(tempfile.mkdtemp())
    >>> for name, content in (("a/1.png", b"one"), ("a/2.png", b"two"), ("b/1.png", b"one")):
    ...     (root / name).parent.mkdir(exist_ok=True)
    ...     _ = (root / name).write_bytes(content)
    >>> find_duplicates(read_folder(root))
    ((0, 2),)
    """
    by_size: dict[int, list[int]] = defaultdict(list)
    for place, record in enumerate(dataset.records):
        try:
            by_size[record.path.stat().st_size].append(place)
        except OSError:  # it vanished: whoever reads it will say so
            continue
    groups: dict[str, list[int]] = defaultdict(list)
    for places in by_size.values():
        if len(places) > 1:
            for place in places:
                digest = _digest(dataset.records[place].path)
                if digest:
                    groups[digest].append(place)
    return tuple(sorted(tuple(places) for places in groups.values() if len(places) > 1))


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
