"""Recognise the layout of a dataset and read it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from deepfixcx.choices import Layout
from deepfixcx.datasets.chest import find_chexpert, find_mimic, read_chexpert, read_mimic
from deepfixcx.datasets.dataset import Dataset
from deepfixcx.datasets.files import absolute
from deepfixcx.datasets.folder import (
    find_kimeye,
    find_mobileodt,
    read_folder,
    read_kimeye,
    read_mobileodt,
)
from deepfixcx.datasets.labels import Blank, Labels, Uncertain
from deepfixcx.datasets.nih import find_nih, read_nih
from deepfixcx.datasets.table import Columns, is_table, read_table
from deepfixcx.errors import LayoutError
from deepfixcx.io.release_files import ABOUT, MANIFEST, checksum_of, holds_records

__all__ = ["LAYOUTS", "Layout", "load_dataset"]

LAYOUTS: tuple[str, ...] = get_args(Layout)

Reader = Callable[..., Dataset]
Finder = Callable[[Path], Path | None]

_KNOWN: dict[str, tuple[Finder, Reader, str]] = {
    "mimic-cxr-jpg": (find_mimic, read_mimic, "its tables mimic-cxr-*"),
    "chexpert": (find_chexpert, read_chexpert, "train.csv or valid.csv"),
    "nih": (find_nih, read_nih, "Data_Entry_2017*.csv"),
    "kimeye": (find_kimeye, read_kimeye, "its folders of stages"),
    "mobileodt": (find_mobileodt, read_mobileodt, "its folders of types"),
}

_OF_A_DATASET = (MANIFEST, ABOUT)
"""A folder that holds one of these is a dataset of its own rather than a class."""

_WITH_STATES = ("chexpert", "mimic-cxr-jpg", "table")
"""Layouts whose labels may be uncertain or missing."""


def load_dataset(
    where: str | os.PathLike[str],
    name: Layout | None = None,
    *,
    labels: Labels | None = None,
    uncertain: Uncertain | None = None,
    blank: Blank | None = None,
    patient: str | None = None,
) -> Dataset:
    r"""Read a dataset, whatever its layout.

    Parameters
    ----------
    where : path-like
        A folder, or a table of images (CSV).
    name : str, optional
        The layout: ``chexpert``, ``nih``, ``mimic-cxr-jpg``, ``kimeye``, ``mobileodt``, ``table``
        or ``folder``. Left away, it is recognised, and `Dataset.name` and the first note say which
        it is.
    labels : str, sequence of str, or mapping of str to str, optional
        As in `Dataset.with_labels`; all of them if left away.
    uncertain : {"ignore", "positive", "negative"}, optional
        What an uncertain label (-1) counts as; ``"ignore"`` if left away.
    blank : {"ignore", "negative"}, optional
        What a label that is not mentioned counts as; ``"ignore"`` if left away.
    patient : str, optional
        The column of a table that names patients; recognised by its name if left away.

    Returns
    -------
    Dataset
        Images and rows that cannot be used are in `Dataset.problems`.

    Raises
    ------
    LayoutError
        Nothing there, no layout that is known, or not the one that was asked for; a URL, a release
        (it holds no labels), or a folder of several datasets; or a policy for uncertain labels
        where there are none.
    LabelError
        A label that is not there.

    Examples
    --------
    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> for n in range(3):
    ...     _ = (root / f"{n}.png").write_bytes(b"any")
    >>> rows = "file,patient_id,pneumonia\n0.png,a,1\n1.png,a,0\n2.png,b,\n"
    >>> _ = (root / "manifest.csv").write_text(rows)
    >>> print(load_dataset(root, labels="pneumonia").summary())
    Dataset('table': 3 images, 2 patients, 1 label)
      pneumonia: 1 positive, 1 negative, 1 unknown
      note: recognised as table by 'manifest.csv'
      note: the table was read with path = 'file', patient = 'patient_id'
    """
    path = absolute(where)
    if not os.access(path, os.R_OK):
        raise LayoutError(
            f"there is no file or folder {path.name!r} or you have no permission to read it; "
            "check the path"
        )
    if name is not None and name not in LAYOUTS:
        raise LayoutError(f"the layout is one of {', '.join(LAYOUTS)}; got {name!r}")
    _refuse_release(path)
    layout, found, sign = (name, path, "") if name else _recognise(path)
    if layout == "table" and found.is_dir():
        found = _the_table(found)
    policies: dict[str, Any] = {"uncertain": uncertain, "blank": blank}
    policies = {policy: word for policy, word in policies.items() if word is not None}
    if policies and layout not in _WITH_STATES:
        raise LayoutError(
            f"omit {next(iter(policies))!r}: labels of {layout} are never uncertain or blank"
        )
    if patient is not None:
        if layout != "table":
            raise LayoutError(
                f"a column of patients ({patient!r}) requires a table, and {path.name!r} was "
                f"read as {layout}, which defines patients itself; omit --patient, or name a "
                "table"
            )
        policies["columns"] = Columns(patient=patient)
    dataset = _reader(layout)(found, labels, **policies)
    if not sign:
        return dataset
    return replace(dataset, notes=(f"recognised as {layout} by {sign}", *dataset.notes))


def _reader(layout: str) -> Reader:
    if layout == "table":
        return read_table
    return read_folder if layout == "folder" else _KNOWN[layout][1]


def _refuse_release(path: Path) -> None:
    """Refuse a release, whose manifest has a column of files but no labels."""
    folder = path.parent if path.name == MANIFEST else path
    if checksum_of(folder):
        if holds_records(folder):
            raise LayoutError(
                f"{folder.name!r} is a release of records, not of images; train on it, or read "
                "it with load_records"
            )
        raise LayoutError(
            f"{folder.name!r} is a release without labels; read it with load_codes and join "
            "labels to its source ids, or name a table of its images and their labels"
        )


def _recognise(path: Path) -> tuple[str, Path, str]:
    """Return the layout, where to read it, and what it was recognised by."""
    if path.is_file():
        return "table", path, repr(path.name)
    for name, (find, _, sign) in _KNOWN.items():
        found = find(path)
        if found is not None:
            return name, found, sign
    if _tables(path):
        table = _the_table(path)
        return "table", table, repr(table.name)
    folders = [entry for entry in path.iterdir() if entry.is_dir()]
    if any((entry / sign).is_file() for entry in folders for sign in _OF_A_DATASET):
        raise LayoutError(
            f"{path.name!r} holds several datasets, or one in a subfolder; name one dataset, or "
            "use the layout 'folder' if its folders are classes"
        )
    if folders:
        return "folder", path, "its folders"
    raise LayoutError(
        f"{path.name!r} has no known layout ({', '.join(LAYOUTS)}); list its images in a table "
        "with a column 'file', or put them into a folder for each class"
    )


def _the_table(folder: Path) -> Path:
    """Return the one table of images in a folder: ``manifest.csv``, or the only one."""
    tables = _tables(folder)
    named = [path for path in tables if path.name == MANIFEST] or tables
    if len(named) != 1:
        raise LayoutError(
            f"{folder.name!r} holds {len(named)} tables with a column of paths; name one of them"
        )
    return named[0]


def _tables(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if is_table(path))
