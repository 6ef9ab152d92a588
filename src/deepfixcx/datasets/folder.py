"""A folder whose subfolders are the classes."""

from __future__ import annotations

import os

from deepfixcx._words import counted
from deepfixcx.datasets.collecting import Collector, absolute, split_word
from deepfixcx.datasets.dataset import Dataset
from deepfixcx.datasets.files import list_images
from deepfixcx.datasets.labels import Labels, State
from deepfixcx.errors import LayoutError

__all__ = ["read_folder"]

MAX_CLASSES = 64
"""More folders than this are patients or dates rather than classes."""

_PARTS = {"train", "validation", "test"}


def read_folder(where: str | os.PathLike[str], labels: Labels | None = None) -> Dataset:
    """Read a folder of folders, one for each class: ``root/CLASS/...`` or ``root/train/CLASS/...``.

    Parameters
    ----------
    where : path-like
        The folder. Where all of its folders are called train, val, test or the like, these are the
        split and the folders below them are the classes.
    labels : str, sequence of str, or mapping of str to str, optional
        As in `Dataset.with_labels`. Left away, every class is a label.

    Returns
    -------
    Dataset
        Each image also has its class as the attribute ``class``, so that
        ``labels={"sick": "class=virus|bacteria"}`` puts two of them together. No patients.

    Raises
    ------
    LayoutError
        No folders with images, or more of them than can be classes.
    LabelError
        A label that is not there.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> root = Path(tempfile.mkdtemp())
    >>> for name in ("normal/1.png", "normal/2.png", "sick/1.png"):
    ...     (root / name).parent.mkdir(exist_ok=True)
    ...     _ = (root / name).write_bytes(b"any")
    >>> read_folder(root).counts()
    {'normal': (2, 1, 0), 'sick': (1, 2, 0)}
    """
    root = absolute(where)
    images, closed = list_images(root)
    parts = [path.relative_to(root).parts[:-1] for path in images]
    split = bool(parts) and all(part and split_word(part[0]) in _PARTS for part in parts)
    depth = 1 if split else 0
    classes = sorted({part[depth] for part in parts if len(part) > depth})
    if not classes or len(classes) > MAX_CLASSES:
        raise LayoutError(
            f"{root.name!r} has {len(classes)} folders with images, and 1 to {MAX_CLASSES} can be "
            f"classes; put the images into one folder for each class, or list them in a table"
        )
    collector = Collector("folder", root, classes)
    for number, (path, error) in enumerate(closed, start=1):
        collector.fail("folder", number, error, path)
    loose = 0
    for number, (path, part) in enumerate(zip(images, parts, strict=True), start=1):
        if len(part) <= depth:
            loose += 1
            continue
        states: list[State] = ["yes" if name == part[depth] else "no" for name in classes]
        collector.add(
            "folder",
            number,
            path,
            states,
            split=part[0] if split else "",
            attributes={"class": part[depth]},
        )
    notes = (
        [f"{counted(loose, 'image lies', 'images lie')} beside the class folders: left out"]
        if loose
        else []
    )
    return collector.dataset(notes, labels)
