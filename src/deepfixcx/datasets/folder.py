"""Folders whose subfolders are the classes: any such, KimEye, and Intel & MobileODT."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from deepfixcx._words import counted
from deepfixcx.datasets.dataset import Dataset, find_duplicates
from deepfixcx.datasets.files import (
    Collector,
    Published,
    absolute,
    check_file,
    check_jpeg_end,
    list_images,
    split_word,
)
from deepfixcx.datasets.labels import Labels, State
from deepfixcx.errors import ImageFileError, LayoutError, RowError
from deepfixcx.io.tables import Table

__all__ = ["KIMEYE", "MOBILEODT", "read_folder"]

MAX_CLASSES = 64
"""More folders than this are patients or dates rather than classes."""

_SPLITS = {"train", "validation", "test"}


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
    split = bool(parts) and all(part and split_word(part[0]) in _SPLITS for part in parts)
    depth = 1 if split else 0
    classes = sorted({part[depth] for part in parts if len(part) > depth})
    if not classes or len(classes) > MAX_CLASSES:
        raise LayoutError(
            f"{root.name!r} has {len(classes)} folders with images, and a dataset has 1 to "
            f"{MAX_CLASSES} classes; use one folder for each class, or list the images in a table"
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
        [f"{counted(loose, 'image lies', 'images lie')} outside the class folders: left out"]
        if loose
        else []
    )
    return collector.dataset(notes, labels)


# -- KimEye: 1,544 fundus images of Kim's Eye Hospital, cropped to the optic disc, 240 × 240 --
#
#     normal_control/1.png ... 788.png
#     early_glaucoma/1.png ... 289.png
#     advanced_glaucoma/1.png ... 467.png
#
# Files of all three folders have the same names, and nothing says whose they are.

STAGES = ("normal_control", "early_glaucoma", "advanced_glaucoma")


def _find_kimeye(where: Path) -> Path | None:
    return where if all((where / stage).is_dir() for stage in STAGES) else None


def _gather_kimeye(root: Path, collector: Collector) -> Sequence[str]:
    for stage in STAGES:
        states: list[State] = ["yes" if name == stage else "no" for name in STAGES]
        for number, path in enumerate(collector.images_in(root / stage, stage), start=1):
            collector.add(stage, number, path, states, attributes={"class": stage})
    return ()


KIMEYE = Published(
    name="kimeye",
    sign="its folders of stages",
    lacking=f"lacks a folder of KimEye; it needs {', '.join(STAGES)}",
    labels=STAGES,
    find=_find_kimeye,
    gather=_gather_kimeye,
)
"""Ahn et al., A deep learning model for the detection of both advanced and early glaucoma using
fundus photography, PLOS ONE 2018, doi:10.1371/journal.pone.0207982; doi:10.7910/DVN/1YRRAC."""

# -- Intel & MobileODT Cervical Cancer Screening: photographs of the cervix in three types ----
#
#     train/Type_1/0.jpg                   or train/train/Type_1/0.jpg, as some archives unpack
#     additional_Type_1_v2/Type_1/1.jpg    more images, of lower quality
#     test/0.jpg                           or test/test/0.jpg; labels in the next
#     solution_stg1_release.csv            image_name, Type_1, Type_2, Type_3
#     test_stg2/0.jpg                      never labelled
#     fixed_labels_v2.csv                  corrections: filename, old_label, new_label
#     removed_files.csv                    withdrawn from additional: the same columns
#
# Files of 0 bytes and truncated ones are among them; the number of a file stands for nothing; one
# photograph may be in several parts, even under two types; and nothing says whose it is.

TYPES = ("Type_1", "Type_2", "Type_3")

_PARTS = {"train": "train", "test": "test", "test_stg2": "test_stg2", "additional": "additional"}
_NAME = re.compile(r"additional(_Type_[123])?(_v2)?", re.IGNORECASE)


def _find_mobileodt(where: Path) -> Path | None:
    if not where.is_dir():
        return None
    labelled = [path for path in where.iterdir() if _part(path.name) in ("train", "additional")]
    deep = (path / inner for path in labelled for inner in ("", path.name))
    return where if any((path / name).is_dir() for path in deep for name in TYPES) else None


def _gather_mobileodt(root: Path, collector: Collector) -> Sequence[str]:
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
    return ()


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
            error = row.problem or RowError("the row does not name exactly one type")
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
        f"{len(groups)} photographs have copies, {across} of them in several parts, {torn} under "
        "several types (those count as unknown); split with by_content=True"
    )
    return replace(dataset, records=tuple(records), notes=(*dataset.notes, note))


MOBILEODT = Published(
    name="mobileodt",
    sign="its folders of types",
    lacking="holds no train/Type_1 or additional_Type_1_v2 folders",
    labels=TYPES,
    find=_find_mobileodt,
    gather=_gather_mobileodt,
    check=_check,
    finish=_mark_duplicates,
)
"""https://www.kaggle.com/c/intel-mobileodt-cervical-cancer-screening"""
