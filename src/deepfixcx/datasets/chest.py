"""Chest X-rays with fourteen observations by a text miner: CheXpert and MIMIC-CXR-JPG.

CheXpert: 224,316 chest X-rays of 65,240 patients, labelled by a text miner.

The layout, with its quirks::

    CheXpert-v1.0-small/            or CheXpert-v1.0/
      train.csv                     Path, Sex, Age, Frontal/Lateral, AP/PA, 14 observations
      valid.csv                     the same columns, labelled by radiologists
      test.csv                      where present: Path and observations alone
      train/patient00001/study1/view1_frontal.jpg

The first component of ``Path`` names the archive, not the folder that it was unpacked into. The
full-size version comes in four archives (``CheXpert-v1.0 batch 2 (train 1)``, ...), whose training
patients lie directly in the folder of their archive.

MIMIC-CXR-JPG: 377,110 chest X-rays of 65,379 patients, labelled by two text miners.

The layout, with its quirks::

    mimic-cxr-2.0.0-metadata.csv.gz     dicom_id, subject_id, study_id, ViewPosition, ...
    mimic-cxr-2.0.0-split.csv.gz        dicom_id, study_id, subject_id, split
    mimic-cxr-2.0.0-chexpert.csv.gz     subject_id, study_id, 14 observations: one row a study
    mimic-cxr-2.0.0-negbio.csv.gz       the same by another text miner
    files/p10/p10000032/s50414267/DICOM_ID.jpg

Tables may be unpacked or not. A few studies have no labels, and some images no view.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from deepfixcx._words import counted
from deepfixcx.datasets.dataset import Dataset
from deepfixcx.datasets.files import Collector, absolute, sex_letter
from deepfixcx.datasets.labels import Blank, Labels, State, Uncertain, read_state
from deepfixcx.errors import LayoutError, RowError
from deepfixcx.io.tables import Row, Table

__all__ = [
    "NO_FINDING",
    "OBSERVATIONS",
    "find_chexpert",
    "find_mimic",
    "read_chexpert",
    "read_mimic",
    "read_observations",
]

NO_FINDING = "No Finding"

OBSERVATIONS = (
    *(NO_FINDING, "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion"),
    *("Edema", "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion"),
    *("Pleural Other", "Fracture", "Support Devices"),
)


def read_observations(cells: Mapping[str, str]) -> tuple[State, ...]:
    """Read the fourteen cells of a study: 1, 0, -1 (uncertain) or blank (not mentioned)."""
    states = {name: read_state(cells.get(name, "")) or "blank" for name in OBSERVATIONS}
    if states[NO_FINDING] == "blank" and NO_FINDING in cells:
        states[NO_FINDING] = "no"
    return tuple(states.values())


TABLES = ("train.csv", "valid.csv", "test.csv", "test_labels.csv")

_PATH = re.compile(r"(?:.*/)?(train|valid|test)/(patient\d+)/(study\d+)/([^/]+)")


def find_chexpert(where: Path) -> Path | None:
    """Return the folder that holds the tables: this one, or one that CheXpert names below it."""
    folders = [where]
    if where.is_dir():
        folders += sorted(path for path in where.glob("CheXpert-v1.0*") if path.is_dir())
    return next((folder for folder in folders if any(_tables(folder))), None)


def read_chexpert(
    where: str | os.PathLike[str],
    labels: Labels | None = None,
    *,
    uncertain: Uncertain = "ignore",
    blank: Blank = "ignore",
) -> Dataset:
    """Read CheXpert, small or full.

    Parameters
    ----------
    where : path-like
        The folder of ``train.csv`` and ``valid.csv``, or the one above.
    labels : str, sequence of str, or mapping of str to str, optional
        As in `Dataset.with_labels`; all fourteen observations if left away.
    uncertain : {"ignore", "positive", "negative"}
        What -1 counts as: unknown (U-Ignore in the paper), yes (U-Ones) or no (U-Zeroes).
    blank : {"ignore", "negative"}
        What an observation that the report does not mention counts as. ``No Finding`` is no
        mention but a conclusion, so its blank is always a no.

    Returns
    -------
    Dataset
        ``view`` is AP or PA (rarely LL or RL), or LATERAL; ``split`` is train or validation (or
        test); ``sex`` and ``age`` are attributes.

    Raises
    ------
    LayoutError
        No such tables there, or no image that can be used.
    LabelError
        A label that is not there, or an unknown policy.

    References
    ----------
    Irvin et al., CheXpert, AAAI 2019, doi:10.1609/aaai.v33i01.3301590.

    Examples
    --------
    >>> dataset = read_chexpert("CheXpert-v1.0-small", labels="edema")  # doctest: +SKIP
    """
    root = find_chexpert(absolute(where))
    if root is None:
        raise LayoutError(f"{absolute(where).name!r} holds no train.csv or valid.csv of CheXpert")
    collector = Collector("chexpert", root, OBSERVATIONS, uncertain, blank)
    folder_of = _Finder(root)
    for table in _tables(root):
        for row in table:
            _add(collector, table.name, row, folder_of)
    return collector.dataset(labels=labels)


def _tables(folder: Path) -> list[Table]:
    """Return the tables of CheXpert in a folder, and none that only have their names."""
    tables = []
    for name in TABLES:
        if (folder / name).is_file():
            table = Table(folder / name)
            if {"Path", *OBSERVATIONS} <= set(table.columns):
                tables.append(table)
    return tables


def _add(collector: Collector, source: str, row: Row, folder_of: _Finder) -> None:
    found = _PATH.fullmatch(row.cells.get("Path", ""))
    if row.problem is not None or found is None:
        error = row.problem or RowError(
            "its path does not have the form PART/patientN/studyN/FILE of CheXpert"
        )
        collector.fail(source, row.number, error)
        return
    split, patient, study, name = found.groups()
    collector.add(
        source,
        row.number,
        folder_of(split, patient) / patient / study / name,
        read_observations(row.cells),
        patient=patient,
        study=study,
        view=_view(row.cells, name),
        split=split,
        attributes={
            "sex": sex_letter(row.cells.get("Sex", "")),
            "age": row.cells.get("Age", ""),
        },
    )


def _view(cells: dict[str, str], name: str) -> str:
    """Return AP or PA of a frontal image; lateral ones have neither."""
    plane = cells.get("Frontal/Lateral", "") or Path(name).stem.rpartition("_")[2]
    return cells.get("AP/PA", "") or plane


class _Finder:
    """Finds the folder that a patient's folder lies in."""

    def __init__(self, root: Path) -> None:
        self._root = root
        # of the full-size version, the tables lie in one archive's folder and images beside it
        above = root.parent if " batch " in root.name else root
        self._batches = sorted(above.glob("CheXpert-v1.0 batch *"))
        self._find = cache(self._look)

    def __call__(self, split: str, patient: str) -> Path:
        return self._find(split, patient)

    def _look(self, split: str, patient: str) -> Path:
        usual = self._root / split
        others = [batch / part for batch in self._batches for part in (split, "")]
        places = (place for place in (usual, *others) if (place / patient).is_dir())
        return next(places, usual)


_BLANK: State = "blank"
_NOT_LABELLED = (_BLANK,) * len(OBSERVATIONS)
_IDS = {"subject_id": r"\d{8}", "study_id": r"\d+", "dicom_id": r"[0-9A-Za-z-]+"}


def find_mimic(where: Path) -> Path | None:
    """Return the folder that holds the tables."""
    return where if any(_path(where, kind) for kind in ("metadata", "split")) else None


def read_mimic(
    where: str | os.PathLike[str],
    labels: Labels | None = None,
    *,
    uncertain: Uncertain = "ignore",
    blank: Blank = "ignore",
    labeller: Literal["chexpert", "negbio"] = "chexpert",
) -> Dataset:
    """Read MIMIC-CXR-JPG.

    Parameters
    ----------
    where : path-like
        The folder of the tables and of ``files``.
    labels : str, sequence of str, or mapping of str to str, optional
        As in `Dataset.with_labels`; all fourteen observations if left away.
    uncertain : {"ignore", "positive", "negative"}
        What -1 counts as.
    blank : {"ignore", "negative"}
        What an observation that the report does not mention counts as. ``No Finding`` is no
        mention but a conclusion, so its blank is always a no.
    labeller : {"chexpert", "negbio"}
        Which of the two text miners' labels to read.

    Returns
    -------
    Dataset
        ``view`` is the DICOM view position (AP, PA, LATERAL, ...) where the metadata are there;
        ``split`` is train, validation or test where that table is.

    Raises
    ------
    LayoutError
        The tables are not there, or no image can be used.
    LabelError
        A label that is not there, or an unknown policy.

    References
    ----------
    Johnson et al., MIMIC-CXR-JPG, 2019, arXiv:1901.07042.

    Examples
    --------
    >>> dataset = read_mimic("mimic-cxr-jpg-2.0.0", labels="edema")  # doctest: +SKIP
    """
    root = absolute(where)
    images = _path(root, "metadata") or _path(root, "split")
    labelled = _path(root, labeller)
    if images is None or labelled is None:
        raise LayoutError(
            f"{root.name!r} lacks tables of MIMIC-CXR-JPG: it needs mimic-cxr-*-metadata.csv (or "
            f"-split.csv) and mimic-cxr-*-{labeller}.csv, plain or gzipped"
        )
    collector = Collector("mimic-cxr-jpg", root, OBSERVATIONS, uncertain, blank)
    studies = {
        (row.cells["subject_id"], row.cells["study_id"]): read_observations(row.cells)
        for row in _rows(labelled, collector, ("subject_id", "study_id"))
    }
    splits = _splits(root, collector)
    folder = root / "files" if (root / "files").is_dir() else root
    unlabelled = 0
    for row in _rows(images, collector, tuple(_IDS)):
        patient, study, image = (row.cells[name] for name in _IDS)
        states = studies.get((patient, study), _NOT_LABELLED)
        unlabelled += states is _NOT_LABELLED
        collector.add(
            images.name,
            row.number,
            folder / f"p{patient[:2]}" / f"p{patient}" / f"s{study}" / f"{image}.jpg",
            states,
            patient=patient,
            study=study,
            view=row.cells.get("ViewPosition", ""),
            split=splits.get(image, ""),
        )
    notes = [f"labels of {labelled.name}"]
    notes += (
        [f"{counted(unlabelled, 'image belongs', 'images belong')} to studies without labels"]
        if unlabelled
        else []
    )
    notes += [] if splits else ["no official split: mimic-cxr-*-split.csv is not there"]
    return collector.dataset(notes, labels)


def _path(root: Path, kind: str) -> Path | None:
    """Return the newest table of a kind."""
    paths = [path for end in ("csv", "csv.gz") for path in root.glob(f"mimic-cxr-*-{kind}.{end}")]
    return max(paths, key=lambda path: path.name.removesuffix(".gz"), default=None)


def _rows(path: Path, collector: Collector, ids: tuple[str, ...]) -> Iterator[Row]:
    """Yield the rows whose ids are sound; note the others."""
    table = Table(path)
    missing = sorted(set(ids) - set(table.columns))
    if missing:
        raise LayoutError(f"{path.name!r} has no column {missing[0]!r}")
    for row in table:
        odd = [name for name in ids if not re.fullmatch(_IDS[name], row.cells.get(name, ""))]
        if row.problem is None and not odd:
            yield row
        else:
            error = row.problem or RowError(f"its {odd[0]} does not have the form of MIMIC-CXR")
            collector.fail(path.name, row.number, error)


def _splits(root: Path, collector: Collector) -> dict[str, str]:
    path = _path(root, "split")
    if path is None:
        return {}
    rows = _rows(path, collector, ("dicom_id",))
    return {row.cells["dicom_id"]: row.cells.get("split", "") for row in rows}
