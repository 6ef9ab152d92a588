"""MIMIC-CXR-JPG: 377,110 chest X-rays of 65,379 patients, labelled by two text miners.

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
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from deepfixcx._words import counted
from deepfixcx.datasets.collecting import Collector, absolute
from deepfixcx.datasets.dataset import Dataset
from deepfixcx.datasets.four_states import OBSERVATIONS, read_observations
from deepfixcx.datasets.labels import Blank, Labels, State, Uncertain
from deepfixcx.errors import LayoutError, RowError
from deepfixcx.io.tables import Row, Table

__all__ = ["find_mimic", "read_mimic"]

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
        [f"{counted(unlabelled, 'image is', 'images are')} of studies without labels"]
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
