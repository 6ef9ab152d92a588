"""CheXpert: 224,316 chest X-rays of 65,240 patients, labelled by a text miner.

The layout, with its quirks::

    CheXpert-v1.0-small/            or CheXpert-v1.0/
      train.csv                     Path, Sex, Age, Frontal/Lateral, AP/PA, 14 observations
      valid.csv                     the same columns, labelled by radiologists
      test.csv                      where present: Path and observations alone
      train/patient00001/study1/view1_frontal.jpg

The first component of ``Path`` names the archive, not the folder that it was unpacked into. The
full-size version comes in four archives (``CheXpert-v1.0 batch 2 (train 1)``, ...), whose training
patients lie directly in the folder of their archive.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

from deepfixcx.datasets.collecting import Collector, absolute, sex_letter
from deepfixcx.datasets.dataset import Dataset
from deepfixcx.datasets.four_states import OBSERVATIONS, read_observations
from deepfixcx.datasets.labels import Blank, Labels, Uncertain
from deepfixcx.errors import LayoutError, RowError
from deepfixcx.io.tables import Row, Table

__all__ = ["find_chexpert", "read_chexpert"]

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
        error = row.problem or RowError("its path is not PART/patientN/studyN/FILE as in CheXpert")
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
