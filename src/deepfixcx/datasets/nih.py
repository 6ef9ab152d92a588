"""NIH ChestX-ray14: 112,120 frontal chest X-rays of 30,805 patients, labelled by a text miner.

The layout, with its quirks::

    Data_Entry_2017.csv             or Data_Entry_2017_v2020.csv
    images_001/images/00000001_000.png ... images_012/images/    or all of them in images/
    train_val_list.txt, test_list.txt                            the official split, by patient

The header of the table holds ``OriginalImage[Width,Height]`` without quotes, so that it is two
columns, and ends in a comma, so that the last column has no name. The sex is called
``Patient Gender`` in the first version and ``Patient Sex`` in the one of 2020. Some ages are
impossible, and an older table writes them as ``058Y``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from deepfixcx.datasets.dataset import Dataset
from deepfixcx.datasets.files import Collector, absolute, sex_letter
from deepfixcx.datasets.labels import Labels, State, normal_name
from deepfixcx.errors import LayoutError, RowError
from deepfixcx.io.tables import Row, Table

__all__ = ["find_nih", "read_nih"]

FINDINGS = (
    *("Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia"),
    *("Pneumothorax", "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening"),
    *("Hernia", "No Finding"),
)

OLDEST = 120

_LISTS = {
    "train": ("train_val_list.txt", "train_val_list_NIH.txt"),
    "test": ("test_list.txt", "test_list_NIH.txt"),
}
_COLUMNS = {"Image Index", "Finding Labels", "Patient ID"}
_BLANK: State = "blank"
_NORMAL = {normal_name(name): name for name in FINDINGS}


def find_nih(where: Path) -> Path | None:
    """Return the folder that holds the table."""
    return where if where.is_dir() and any(_tables(where)) else None


def read_nih(where: str | os.PathLike[str], labels: Labels | None = None) -> Dataset:
    """Read NIH ChestX-ray14.

    Parameters
    ----------
    where : path-like
        The folder of ``Data_Entry_2017.csv``; of two versions, the newer is read.
    labels : str, sequence of str, or mapping of str to str, optional
        As in `Dataset.with_labels`; the fourteen findings and ``No Finding`` if left away.

    Returns
    -------
    Dataset
        ``view`` is AP or PA, ``study`` the number of the follow-up; ``split`` is train or test
        where the official lists are there (they leave the validation part to you); ``sex`` and
        ``age`` are attributes.

    Raises
    ------
    LayoutError
        No such table there, or no image that can be used.
    LabelError
        A label that is not there.

    References
    ----------
    Wang et al., ChestX-ray8, CVPR 2017, doi:10.1109/CVPR.2017.369.

    Examples
    --------
    >>> dataset = read_nih("ChestX-ray14", labels="effusion")  # doctest: +SKIP
    """
    root = absolute(where)
    if find_nih(root) is None:
        raise LayoutError(f"{root.name!r} holds no Data_Entry_2017.csv of NIH ChestX-ray14")
    table = Table(_tables(root)[-1])
    if not set(table.columns) >= _COLUMNS:
        raise LayoutError(f"{table.name!r} lacks columns; it needs {sorted(_COLUMNS)}")
    collector = Collector("nih", root, FINDINGS)
    place = {path.name: path for path in reversed(collector.images_in(root))}  # of two, the first
    splits, notes = _official_split(root)
    for row in table:
        _add(collector, table.name, row, place, root, splits)
    return collector.dataset([f"labels of {table.name}", *notes], labels)


def _tables(root: Path) -> list[Path]:
    return sorted((p for p in root.glob("Data_Entry_2017*.csv")), key=lambda path: path.stem)


def _official_split(root: Path) -> tuple[dict[str, str], list[str]]:
    """Map the names of images to train and test, as far as the lists are there."""
    splits: dict[str, str] = {}
    missing = []
    for split, names in _LISTS.items():
        path = next((root / name for name in names if (root / name).is_file()), None)
        if path is None:
            missing.append(names[0])
            continue
        text = path.read_text("utf-8", errors="replace")
        splits.update((line.strip(), split) for line in text.splitlines())
    return splits, [f"no official split: {', '.join(missing)} is not there"] if missing else []


def _add(
    collector: Collector,
    source: str,
    row: Row,
    place: dict[str, Path],
    root: Path,
    splits: dict[str, str],
) -> None:
    cells = row.cells
    name = cells.get("Image Index", "")
    states = _findings(cells.get("Finding Labels", ""))
    if row.problem is not None or not name or states is None:
        unknown = "the row names no image" if not name else "the row holds an unknown finding"
        collector.fail(source, row.number, row.problem or RowError(unknown))
        return
    collector.add(
        source,
        row.number,
        place.get(name, root / "images" / Path(name).name),
        states,
        patient=cells["Patient ID"],
        study=cells.get("Follow-up #", ""),
        view=cells.get("View Position", ""),
        split=splits.get(name, ""),
        attributes={
            "sex": sex_letter(cells.get("Patient Sex", "") or cells.get("Patient Gender", "")),
            "age": _years(cells.get("Patient Age", "")),
        },
    )


def _findings(cell: str) -> tuple[State, ...] | None:
    """Return a state for each finding; None where a word is no finding."""
    words = {normal_name(word) for word in cell.split("|") if word.strip()}
    if not words:
        return (_BLANK,) * len(FINDINGS)
    if not words <= set(_NORMAL):
        return None
    states: list[State] = ["yes" if normal in words else "no" for normal in _NORMAL]
    return tuple(states)


def _years(cell: str) -> str:
    """Return the age in whole years, or nothing where the cell holds no possible age."""
    found = re.fullmatch(r"(\d+)([YMD]?)", cell.upper())
    if found is None:
        return ""
    years = int(found[1]) // {"Y": 1, "": 1, "M": 12, "D": 365}[found[2]]
    return str(years) if years <= OLDEST else ""
