"""Recognise the layout of a dataset and read it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from deepfixcx.choices import Layout
from deepfixcx.datasets.dataset import Dataset
from deepfixcx.datasets.files import Collector, Published, absolute
from deepfixcx.datasets.folder import KIMEYE, MOBILEODT, read_folder
from deepfixcx.datasets.labels import Blank, Labels, Uncertain
from deepfixcx.datasets.published import CHEXPERT, MIMIC, NIH
from deepfixcx.datasets.table import Columns, is_table, read_table
from deepfixcx.errors import LayoutError
from deepfixcx.io.release_files import ABOUT, MANIFEST, checksum_of, holds_records

__all__ = ["LAYOUTS", "PUBLISHED", "Layout", "load_dataset", "read_published"]

LAYOUTS: tuple[str, ...] = get_args(Layout)

PUBLISHED: Mapping[str, Published] = MappingProxyType(
    {each.name: each for each in (MIMIC, CHEXPERT, NIH, KIMEYE, MOBILEODT)}
)
"""Published layouts by name, in the order in which a folder is compared with them."""

_OF_A_DATASET = (MANIFEST, ABOUT)
"""A folder that holds one of these is a dataset of its own rather than a class."""


def read_published(
    layout: Published,
    where: str | os.PathLike[str],
    labels: Labels | None = None,
    *,
    uncertain: Uncertain = "ignore",
    blank: Blank = "ignore",
) -> Dataset:
    """Read a dataset in the form in which it is published.

    Parameters
    ----------
    layout : Published
        One of `PUBLISHED`, or `MIMIC_NEGBIO`, the labels of the second text miner of MIMIC-CXR-JPG.
    where : path-like
        Its folder, or for CheXpert the one above.
    labels : str, sequence of str, or mapping of str to str, optional
        As in `Dataset.with_labels`; all labels of the layout by default.
    uncertain : {"ignore", "positive", "negative"}
        What -1 counts as: unknown (U-Ignore of CheXpert), yes (U-Ones) or no (U-Zeroes).
    blank : {"ignore", "negative"}
        What a label that is not mentioned counts as. A blank ``No Finding`` is always a no.

    Returns
    -------
    Dataset
        Rows and files that cannot be used are in `Dataset.problems`.

    Raises
    ------
    LayoutError
        The tables or folders are not there, or hold no image that can be used.
    LabelError
        A label that is not there, or an unknown policy.

    Examples
    --------
    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> for stage in ("normal_control", "early_glaucoma", "advanced_glaucoma"):
    ...     (root / stage).mkdir()
    ...     _ = (root / stage / "1.png").write_bytes(b"an image, which is not opened")
    >>> read_published(PUBLISHED["kimeye"], root, "class=early_glaucoma").counts()
    {'class=early_glaucoma': (1, 2, 0)}
    """
    root = layout.find(absolute(where))
    if root is None:
        raise LayoutError(f"{absolute(where).name!r} {layout.lacking}")
    collector = Collector(layout.name, root, layout.labels, uncertain, blank, layout.check)
    dataset = collector.dataset(layout.gather(root, collector))
    if layout.finish is not None:
        dataset = layout.finish(dataset)
    return dataset if labels is None else dataset.with_labels(labels)


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
    if policies and layout != "table" and not (layout in PUBLISHED and PUBLISHED[layout].uncertain):
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
    if layout in PUBLISHED:
        dataset = read_published(PUBLISHED[layout], found, labels, **policies)
    else:
        dataset = (read_table if layout == "table" else read_folder)(found, labels, **policies)
    if not sign:
        return dataset
    return replace(dataset, notes=(f"recognised as {layout} by {sign}", *dataset.notes))


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
    for layout in PUBLISHED.values():
        found = layout.find(path)
        if found is not None:
            return layout.name, found, layout.sign
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
