"""Gather records one by one; what cannot be used becomes a problem instead."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from deepfixcx._words import counted
from deepfixcx.datasets.dataset import Dataset
from deepfixcx.datasets.files import check_file, list_images, local_path
from deepfixcx.datasets.labels import Blank, Labels, State, Uncertain, check_policies, settle
from deepfixcx.datasets.records import ImageRecord, Problem
from deepfixcx.errors import DeepfixcxError, ImageFileError, LayoutError, RowError

__all__ = ["Collector", "absolute", "is_missing", "sex_letter", "split_word"]

_MISSING = frozenset({"", "nan", "na", "n/a", "none", "null", "<na>"})
"""What programs write where a cell is missing, in lower case; it is the id of no patient."""

_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}

_SEXES = {"m": "M", "male": "M", "f": "F", "female": "F"}


class Collector:
    """Gathers the images of one dataset.

    Parameters
    ----------
    name : str
        Name of the layout.
    root : Path
        Folder of the dataset.
    label_names : sequence of str
        Names of the labels, in the order in which `add` gets their states.
    uncertain, blank : str
        What an uncertain and a missing label count as.
    check : callable
        Says what is wrong with a file, if anything.
    table : str
        Name of the table that lists the images, where a user chose it.

    Raises
    ------
    LabelError
        Unknown words for `uncertain` or `blank`.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        label_names: Sequence[str],
        uncertain: Uncertain = "ignore",
        blank: Blank = "ignore",
        check: Callable[[Path], ImageFileError | None] = check_file,
        table: str = "",
    ) -> None:
        check_policies(uncertain, blank)
        self._name = name
        self._root = root
        self._label_names = tuple(label_names)
        self._policies = uncertain, blank
        self._check = check
        self._table = table
        self._records: list[ImageRecord] = []
        self._problems: list[Problem] = []
        self._seen: set[Path] = set()

    def add(
        self,
        source: str,
        row: int,
        path: Path,
        states: Sequence[State],
        *,
        patient: str = "",
        study: str = "",
        view: str = "",
        split: str = "",
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """Add an image, or note why it cannot be used. Empty words stand for what is not told."""
        if path in self._seen:
            self.fail(source, row, RowError("the row repeats the image of an earlier one"), path)
            return
        self._seen.add(path)
        problem = self._check(path)
        if problem is not None:
            self.fail(source, row, problem, path)
            return
        answers = [settle(state, *self._policies) for state in states]
        self._records.append(
            ImageRecord(
                path,
                None if is_missing(patient) else patient,
                study or None,
                view.upper() or None,
                tuple(value for value, _ in answers),
                tuple(known for _, known in answers),
                split_word(split) or None,
                {name: value for name, value in (attributes or {}).items() if value},
            )
        )

    def fail(self, source: str, row: int, error: DeepfixcxError, path: Path | None = None) -> None:
        """Note an image or row that cannot be used."""
        self._problems.append(Problem(source, row, type(error).__name__, str(error), path))

    def images_in(self, folder: Path, source: str = "folder") -> list[Path]:
        """List the images below a folder, and note the folders that may not be listed."""
        images, closed = list_images(folder)
        for row, (path, error) in enumerate(closed, start=1):
            self.fail(source, row, error, path)
        return images

    def dataset(self, notes: Sequence[str] = (), labels: Labels | None = None) -> Dataset:
        """Return what was gathered, with the labels that a user asked for, or all.

        Raises
        ------
        LayoutError
            Not one image can be used.
        LabelError
            A label that is not there.
        """
        if not self._records:
            raise LayoutError(self._nothing())
        nobody = sum(record.patient is None for record in self._records)
        if nobody:
            of_how_many = (
                "no patient ids"
                if nobody == len(self._records)
                else f"{counted(nobody, 'image')} without a patient id"
            )
            notes = [
                *notes,
                f"{of_how_many}: each such image counts as a patient of its own, so two parts of a "
                f"split may hold images of one person",
            ]
        alike = _alike({record.patient for record in self._records if record.patient})
        if alike:
            notes = [
                *notes,
                f"{counted(alike, 'patient id')} differ from another one only by leading zeros or "
                f"'.0': they count as different patients; if a program changed them, correct the "
                f"table, because one person may be in two parts of a split",
            ]
        dataset = Dataset(
            self._name,
            self._label_names,
            tuple(self._records),
            self._root,
            tuple(notes),
            tuple(self._problems),
        )
        return dataset if labels is None else dataset.with_labels(labels)

    def _nothing(self) -> str:
        if self._table:
            what, advice = (
                repr(self._table),
                f"; paths are relative to the folder {self._root.name!r}",
            )
        else:
            what, advice = f"{self._root.name!r}, read as {self._name},", ""
        text = f"{what} holds no image that can be used"
        reasons = Counter(f"{problem.error}: {problem.reason}" for problem in self._problems)
        if not reasons:
            return text
        often, count = reasons.most_common(1)[0]
        if len(reasons) > 1:
            return f"{text}: {len(self._problems)} problems, most often {often}{advice}"
        return f"{text}: {count} × {often}{advice}"


def _alike(patients: Iterable[str]) -> int:
    """Count the ids that another id equals but for zeros in front or ``.0`` behind."""
    plain = Counter(re.sub(r"\.0+$", "", patient).lstrip("0") for patient in patients)
    return sum(count for count in plain.values() if count > 1)


def is_missing(patient: str) -> bool:
    """Whether an id is what programs write where a cell is missing, such as ``nan``."""
    return patient.casefold() in _MISSING


def split_word(word: str) -> str:
    """Bring the name of a part into the common form.

    Examples
    --------
    >>> split_word("valid"), split_word("TRAIN"), split_word("additional")
    ('validation', 'train', 'additional')
    """
    return _SPLITS.get(word.casefold(), word)


def sex_letter(word: str) -> str:
    """Return M or F, or nothing where the word says neither."""
    return _SEXES.get(word.casefold(), "")


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return an absolute path without ``..`` in it; links stay as they are.

    Raises
    ------
    LayoutError
        It is the URL of a store.
    """
    return Path(os.path.abspath(local_path(path, "a dataset")))
