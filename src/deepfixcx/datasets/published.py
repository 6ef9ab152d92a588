"""Published chest X-rays with tables: CheXpert, MIMIC-CXR-JPG and NIH ChestX-ray14.

Each is a `Published` declaration; `deepfixcx.datasets.loading` reads all of them in one way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from deepfixcx._words import counted
from deepfixcx.datasets.files import Collector, Published, sex_letter
from deepfixcx.datasets.labels import State, normal_name, read_state
from deepfixcx.errors import LayoutError, RowError
from deepfixcx.io.tables import Row, Table

__all__ = ["CHEXPERT", "MIMIC", "MIMIC_NEGBIO", "NIH", "OBSERVATIONS"]


_BLANK: State = "blank"

# -- CheXpert and MIMIC-CXR-JPG: fourteen observations by a text miner ------------------------

NO_FINDING = "No Finding"

OBSERVATIONS = (
    *(NO_FINDING, "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion"),
    *("Edema", "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion"),
    *("Pleural Other", "Fracture", "Support Devices"),
)


def _observations(cells: Mapping[str, str]) -> tuple[State, ...]:
    """Read the fourteen cells of a study: 1, 0, -1 (uncertain) or blank (not mentioned)."""
    states = {name: read_state(cells.get(name, "")) or "blank" for name in OBSERVATIONS}
    if states[NO_FINDING] == "blank" and NO_FINDING in cells:
        states[NO_FINDING] = "no"
    return tuple(states.values())


# CheXpert: 224,316 chest X-rays of 65,240 patients.
#
#     CheXpert-v1.0-small/            or CheXpert-v1.0/
#       train.csv                     Path, Sex, Age, Frontal/Lateral, AP/PA, 14 observations
#       valid.csv                     the same columns, labelled by radiologists
#       test.csv                      where present: Path and observations alone
#       train/patient00001/study1/view1_frontal.jpg
#
# The first component of ``Path`` names the archive, not the folder that it was unpacked into. The
# full-size version comes in four archives (``CheXpert-v1.0 batch 2 (train 1)``, ...), whose
# training patients lie directly in the folder of their archive.

TABLES = ("train.csv", "valid.csv", "test.csv", "test_labels.csv")

_CHEXPERT_PATH = re.compile(r"(?:.*/)?(train|valid|test)/(patient\d+)/(study\d+)/([^/]+)")


def _find_chexpert(where: Path) -> Path | None:
    """Return the folder that holds the tables: this one, or one that CheXpert names below it."""
    folders = [where]
    if where.is_dir():
        folders += sorted(path for path in where.glob("CheXpert-v1.0*") if path.is_dir())
    return next((folder for folder in folders if any(_tables(folder))), None)


def _gather_chexpert(root: Path, collector: Collector) -> Sequence[str]:
    folder_of = _Finder(root)
    for table in _tables(root):
        for row in table:
            _add_chexpert(collector, table.name, row, folder_of)
    return ()


def _tables(folder: Path) -> list[Table]:
    """Return the tables of CheXpert in a folder, and none that only have their names."""
    tables = []
    for name in TABLES:
        if (folder / name).is_file():
            table = Table(folder / name)
            if {"Path", *OBSERVATIONS} <= set(table.columns):
                tables.append(table)
    return tables


def _add_chexpert(collector: Collector, source: str, row: Row, folder_of: _Finder) -> None:
    found = _CHEXPERT_PATH.fullmatch(row.cells.get("Path", ""))
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
        _observations(row.cells),
        patient=patient,
        study=study,
        view=_chexpert_view(row.cells, name),
        split=split,
        attributes={
            "sex": sex_letter(row.cells.get("Sex", "")),
            "age": row.cells.get("Age", ""),
        },
    )


def _chexpert_view(cells: dict[str, str], name: str) -> str:
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


# MIMIC-CXR-JPG: 377,110 chest X-rays of 65,379 patients, labelled by two text miners.
#
#     mimic-cxr-2.0.0-metadata.csv.gz     dicom_id, subject_id, study_id, ViewPosition, ...
#     mimic-cxr-2.0.0-split.csv.gz        dicom_id, study_id, subject_id, split
#     mimic-cxr-2.0.0-chexpert.csv.gz     subject_id, study_id, 14 observations: one row a study
#     mimic-cxr-2.0.0-negbio.csv.gz       the same by another text miner
#     files/p10/p10000032/s50414267/DICOM_ID.jpg
#
# Tables may be unpacked or not. A few studies have no labels, and some images no view.

_NOT_LABELLED = (_BLANK,) * len(OBSERVATIONS)
_IDS = {"subject_id": r"\d{8}", "study_id": r"\d+", "dicom_id": r"[0-9A-Za-z-]+"}


def _find_mimic(where: Path) -> Path | None:
    return where if any(_mimic_table(where, kind) for kind in ("metadata", "split")) else None


def _gather_mimic(labeller: str, root: Path, collector: Collector) -> Sequence[str]:
    images = _mimic_table(root, "metadata") or _mimic_table(root, "split")
    labelled = _mimic_table(root, labeller)
    if images is None or labelled is None:
        raise LayoutError(
            f"{root.name!r} lacks mimic-cxr-*-{labeller}.csv, plain or gzipped, the labels of "
            "MIMIC-CXR-JPG"
        )
    studies = {
        (row.cells["subject_id"], row.cells["study_id"]): _observations(row.cells)
        for row in _mimic_rows(labelled, collector, ("subject_id", "study_id"))
    }
    splits = _mimic_splits(root, collector)
    folder = root / "files" if (root / "files").is_dir() else root
    unlabelled = 0
    for row in _mimic_rows(images, collector, tuple(_IDS)):
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
    return notes


def _mimic_table(root: Path, kind: str) -> Path | None:
    """Return the newest table of a kind."""
    paths = [path for end in ("csv", "csv.gz") for path in root.glob(f"mimic-cxr-*-{kind}.{end}")]
    return max(paths, key=lambda path: path.name.removesuffix(".gz"), default=None)


def _mimic_rows(path: Path, collector: Collector, ids: tuple[str, ...]) -> Iterator[Row]:
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


def _mimic_splits(root: Path, collector: Collector) -> dict[str, str]:
    path = _mimic_table(root, "split")
    if path is None:
        return {}
    rows = _mimic_rows(path, collector, ("dicom_id",))
    return {row.cells["dicom_id"]: row.cells.get("split", "") for row in rows}


# -- NIH ChestX-ray14 -------------------------------------------------------------------------
#
# 112,120 frontal chest X-rays of 30,805 patients, labelled by a text miner.
#
#     Data_Entry_2017.csv             or Data_Entry_2017_v2020.csv; of two, the newer is read
#     images_001/images/00000001_000.png ... images_012/images/    or all of them in images/
#     train_val_list.txt, test_list.txt                            the official split, by patient
#
# The header of the table holds ``OriginalImage[Width,Height]`` without quotes, so that it is two
# columns, and ends in a comma, so that the last column has no name. The sex is called
# ``Patient Gender`` in the first version and ``Patient Sex`` in the one of 2020. Some ages are
# impossible, and an older table writes them as ``058Y``.

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
_NORMAL = {normal_name(name): name for name in FINDINGS}


def _find_nih(where: Path) -> Path | None:
    return where if where.is_dir() and any(_nih_tables(where)) else None


def _gather_nih(root: Path, collector: Collector) -> Sequence[str]:
    table = Table(_nih_tables(root)[-1])
    if not set(table.columns) >= _COLUMNS:
        raise LayoutError(f"{table.name!r} lacks columns; it needs {sorted(_COLUMNS)}")
    place = {path.name: path for path in reversed(collector.images_in(root))}  # of two, the first
    splits, notes = _official_split(root)
    for row in table:
        _add_nih(collector, table.name, row, place, root, splits)
    return [f"labels of {table.name}", *notes]


def _nih_tables(root: Path) -> list[Path]:
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


def _add_nih(
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


# -- declarations -----------------------------------------------------------------------------

CHEXPERT = Published(
    name="chexpert",
    sign="train.csv or valid.csv",
    lacking="holds no train.csv or valid.csv of CheXpert",
    labels=OBSERVATIONS,
    find=_find_chexpert,
    gather=_gather_chexpert,
    uncertain=True,
)
"""Irvin et al., CheXpert, AAAI 2019, doi:10.1609/aaai.v33i01.3301590."""

MIMIC = Published(
    name="mimic-cxr-jpg",
    sign="its tables mimic-cxr-*",
    lacking="lacks tables of MIMIC-CXR-JPG: it needs mimic-cxr-*-metadata.csv (or -split.csv)",
    labels=OBSERVATIONS,
    find=_find_mimic,
    gather=partial(_gather_mimic, "chexpert"),
    uncertain=True,
)
"""Johnson et al., MIMIC-CXR-JPG, 2019, arXiv:1901.07042."""

MIMIC_NEGBIO = replace(MIMIC, gather=partial(_gather_mimic, "negbio"))
"""The same images with the labels of the other text miner."""

NIH = Published(
    name="nih",
    sign="Data_Entry_2017*.csv",
    lacking="holds no Data_Entry_2017.csv of NIH ChestX-ray14",
    labels=FINDINGS,
    find=_find_nih,
    gather=_gather_nih,
)
"""Wang et al., ChestX-ray8, CVPR 2017, doi:10.1109/CVPR.2017.369."""
