"""Intel & MobileODT Cervical Cancer Screening: photographs of the cervix in three types.

The layout, with its quirks::

    train/Type_1/0.jpg                   or train/train/Type_1/0.jpg, as some archives unpack
    additional_Type_1_v2/Type_1/1.jpg    more images, of lower quality
    test/0.jpg                           or test/test/0.jpg; labels in the next
    solution_stg1_release.csv            image_name, Type_1, Type_2, Type_3
    test_stg2/0.jpg                      never labelled
    fixed_labels_v2.csv                  corrections of additional: filename, old_label, new_label
    removed_files.csv                    withdrawn from additional: the same columns

Files of 0 bytes and truncated ones are among them; the number of a file stands for nothing; one
photograph may be in several parts, even under two types; and nothing says whose it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from deepfixcx.datasets.collecting import Collector, absolute
from deepfixcx.datasets.content import find_duplicates
from deepfixcx.datasets.dataset import Dataset
from deepfixcx.datasets.files import check_file, check_jpeg_end
from deepfixcx.datasets.labels import Labels, State
from deepfixcx.errors import ImageFileError, LayoutError, RowError
from deepfixcx.io.tables import Table

__all__ = ["find_mobileodt", "read_mobileodt"]

TYPES = ("Type_1", "Type_2", "Type_3")

_PARTS = {"train": "train", "test": "test", "test_stg2": "test_stg2", "additional": "additional"}
_NAME = re.compile(r"additional(_Type_[123])?(_v2)?", re.IGNORECASE)


def find_mobileodt(where: Path) -> Path | None:
    """Return the folder that holds train or additional, with types below."""
    if not where.is_dir():
        return None
    labelled = [path for path in where.iterdir() if _part(path.name) in ("train", "additional")]
    deep = (path / inner for path in labelled for inner in ("", path.name))
    return where if any((path / name).is_dir() for path in deep for name in TYPES) else None


def read_mobileodt(where: str | os.PathLike[str], labels: Labels | None = None) -> Dataset:
    """Read the Intel & MobileODT set.

    Parameters
    ----------
    where : path-like
        The folder of ``train``, ``additional_Type_1_v2``, ``test``, ...; parts may be absent.
    labels : str, sequence of str, or mapping of str to str, optional
        As in `Dataset.with_labels`; the three types if left away.

    Returns
    -------
    Dataset
        Without patients. ``split`` is train, additional, test or test_stg2 (without labels).
        Empty and truncated files are in `Dataset.problems`. Notes say how many photographs are
        there more than once, across parts or under two types; where the types contradict each
        other, none of them is known.

    Raises
    ------
    LayoutError
        The folders are not there, or hold no image that can be used.
    LabelError
        A label that is not there.

    References
    ----------
    https://www.kaggle.com/c/intel-mobileodt-cervical-cancer-screening

    Examples
    --------
    >>> dataset = read_mobileodt("intel-mobileodt")  # doctest: +SKIP
    """
    root = absolute(where)
    if find_mobileodt(root) is None:
        raise LayoutError(f"{root.name!r} holds no train/Type_1 or additional_Type_1_v2 folders")
    collector = Collector("mobileodt", root, TYPES, check=_check)
    solution = _read_solution(root, collector)
    fixed = _read_changes(root / "fixed_labels_v2.csv")
    removed = _read_changes(root / "removed_files.csv")
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        part = _part(folder.name)
        images = collector.images_in(folder, folder.name) if part else []
        for number, path in enumerate(images, start=1):
            kind = path.parent.name if path.parent.name in TYPES else ""
            if part == "additional" and (path.name, kind) in removed:
                withdrawn = RowError("removed_files.csv lists the image as withdrawn")
                collector.fail(folder.name, number, withdrawn, path)
                continue
            if part == "additional":
                corrected = fixed.get((path.name, kind), "")
                kind = corrected if corrected in TYPES else kind
            elif part == "test":
                kind = solution.get(path.name, kind)
            collector.add(
                folder.name, number, path, _states(kind), split=part, attributes={"class": kind}
            )
    dataset = _mark_duplicates(collector.dataset())
    return dataset if labels is None else dataset.with_labels(labels)


def _part(name: str) -> str:
    return "additional" if _NAME.fullmatch(name) else _PARTS.get(name.casefold(), "")


def _states(kind: str) -> list[State]:
    if not kind:
        return ["blank"] * len(TYPES)
    return ["yes" if name == kind else "no" for name in TYPES]


def _check(path: Path) -> ImageFileError | None:
    return check_file(path) or check_jpeg_end(path)


def _read_solution(root: Path, collector: Collector) -> dict[str, str]:
    """Map the names of test images to their types."""
    path = root / "solution_stg1_release.csv"
    if not path.is_file():
        return {}
    solution = {}
    for row in Table(path):
        types = [name for name in TYPES if row.cells.get(name) in ("1", "1.0")]
        if row.problem is None and len(types) == 1:
            solution[row.cells.get("image_name", "")] = types[0]
        else:
            error = row.problem or RowError("the row does not say exactly one type")
            collector.fail(path.name, row.number, error)
    return solution


def _read_changes(path: Path) -> Mapping[tuple[str, str], str]:
    """Map (name, type so far) to the new type."""
    rows = Table(path) if path.is_file() else ()
    return {
        (row.cells.get("filename", ""), row.cells.get("old_label", "")): row.cells.get(
            "new_label", ""
        )
        for row in rows
    }


def _mark_duplicates(dataset: Dataset) -> Dataset:
    """Note copies of one photograph, and forget types that contradict each other."""
    records = list(dataset.records)
    groups = find_duplicates(dataset)
    across = torn = 0
    for places in groups:
        across += len({records[place].split for place in places}) > 1
        kinds = {records[place].attributes.get("class") for place in places} - {None}
        if len(kinds) > 1:
            torn += 1
            for place in places:
                nothing = float("nan")
                records[place] = replace(
                    records[place], labels=(nothing,) * 3, known=(False,) * 3, attributes={}
                )
    if not groups:
        return dataset
    note = (
        f"{len(groups)} photographs are there more than once, {across} of them in several parts, "
        f"{torn} under several types (those count as unknown); split with by_content=True"
    )
    return replace(dataset, records=tuple(records), notes=(*dataset.notes, note))
