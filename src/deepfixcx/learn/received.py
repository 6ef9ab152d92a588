"""A received release and a table of labels become a dataset: originals are not needed.

The table has a column ``source_id`` with the IDs of the release, one column for each label and,
where patients are known, one for them. IDs are compared as text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepfixcx.choices import Blank, Uncertain
from deepfixcx.code import Code
from deepfixcx.datasets import Dataset, ImageRecord
from deepfixcx.datasets.labels import read_state, settle
from deepfixcx.errors import LabelError
from deepfixcx.io.tables import Table, has_table_name
from deepfixcx.learn.classifier import ReleasedInputs

__all__ = ["LabelTable", "code_inputs", "image_dataset", "named_table"]

ID, PATIENTS = "source_id", ("patient", "patient_id", "patientid", "subject_id", "pseudonym")


@dataclass(frozen=True, slots=True)
class LabelTable:
    """Labels and patients of the sources of a release."""

    name: str
    label_names: tuple[str, ...]
    labels: Mapping[str, tuple[float, ...]]
    patients: Mapping[str, str]

    @classmethod
    def read(
        cls,
        path: Path,
        names: Sequence[str] = (),
        patient: str | None = None,
        uncertain: Uncertain | None = None,
        blank: Blank | None = None,
    ) -> LabelTable:
        """Read a table; without names, each column whose cells are all yes, no or empty."""
        table = Table(path)
        if ID not in table.columns:
            raise LabelError(
                f"{path.name!r} has no column {ID!r}; add it, with the IDs of the manifest of the "
                "release as text"
            )
        rows = [row.cells for row in table if row.problem is None]
        whose = patient or next((c for c in table.columns if c.casefold() in PATIENTS), None)
        if whose is not None and whose not in table.columns:
            raise LabelError(f"{path.name!r} has no column {whose!r}; correct --patient")
        others = [name for name in table.columns if name not in (ID, "frame", whose)]
        chosen = tuple(names) or tuple(
            name for name in others if all(_is_label(row[name]) for row in rows)
        )
        if missing := [name for name in chosen if name not in table.columns]:
            raise LabelError(
                f"{path.name!r} has no column {missing[0]!r}; it has {', '.join(others) or 'none'}"
            )
        if not chosen:
            raise LabelError(
                f"{path.name!r} has no column of labels, whose cells are 1, 0 or empty; add one"
            )
        labels: dict[str, tuple[float, ...]] = {}
        for row in rows:
            states = (read_state(row[name]) for name in chosen)
            found = tuple(
                settle(state or "blank", uncertain or "ignore", blank or "ignore")[0]
                for state in states
            )
            if labels.setdefault(row[ID], found) is not found:
                raise LabelError(
                    f"{path.name!r} has two rows of {row[ID]!r}; keep one row for each source"
                )
        patients = {} if whose is None else {row[ID]: row[whose] for row in rows if row[whose]}
        return cls(path.name, chosen, labels, patients)

    def record(self, path: Path, source_id: str, pseudonym: str = "") -> ImageRecord:
        """Return the record of one image."""
        labels = self.labels.get(source_id, (float("nan"),) * len(self.label_names))
        known = tuple(value == value for value in labels)
        patient = self.patients.get(source_id) or pseudonym or None
        return ImageRecord(path, patient, labels=labels, known=known)

    def check(self, ids: Sequence[str]) -> tuple[str, ...]:
        """Refuse a table of other images; return a note where some images have no labels."""
        without = len(set(ids) - self.labels.keys())
        if without == len(set(ids)):
            raise LabelError(
                f"no {ID} of {self.name!r} is in the release; its IDs are text such as "
                f"{ids[0]!r}: check that leading zeros are kept"
            )
        return (f"{without} sources of the release have no row in {self.name!r}",) * bool(without)


def named_table(labels: str) -> tuple[Path, tuple[str, ...]] | None:
    """Read ``labels.csv`` or ``labels.csv:pneumonia,effusion``; None for names of labels."""
    path, _, names = labels.partition(":")
    if not has_table_name(path):
        return None
    return Path(path), tuple(name.strip() for name in names.split(",") if name.strip())


def code_inputs(
    code: Code, ids: Sequence[str], table: LabelTable, pseudonyms: Mapping[str, str], checksum: str
) -> ReleasedInputs:
    """Join the codes of a release with a table of labels."""
    notes, root = table.check(ids), Path("/release")
    records = tuple(
        table.record(root / f"{place}-{_digest(array)}", name, pseudonyms.get(name, ""))
        for place, (name, array) in enumerate(zip(ids, code.array, strict=True))
    )
    dataset = Dataset("release", table.label_names, records, root, notes=notes)
    return ReleasedInputs(dataset, code.array, None, checksum, code.spec, tuple(ids))


def image_dataset(folder: Path, rows: Sequence[Mapping[str, str]], table: LabelTable) -> Dataset:
    """Return the privatized images of a release as a dataset with these labels."""
    chosen = [row for row in rows if row["image_file"]]
    for row in chosen:
        if not re.fullmatch(r"images/[^\0]+", row["image_file"]) or ".." in row["image_file"]:
            raise LabelError("the manifest names images outside the release; verify the release")
    if not chosen:
        raise LabelError(f"{folder.name!r} holds no images in PNG; use a release of images")
    notes = table.check([row["source_id"] for row in chosen])
    records = tuple(
        table.record(folder / row["image_file"], row["source_id"], row.get("patient", ""))
        for row in chosen
    )
    return Dataset("release", table.label_names, records, folder, notes=notes)


def _is_label(cell: str) -> bool:
    return not cell or read_state(cell) not in (None, "blank")


def _digest(array: NDArray[np.float32]) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()[:16]
