"""A matrix of features, of any model, with a patient of each row: what is attacked or protected.

A code is one of many embeddings. Those of another encoder come as a file:

- ``.npz``: one matrix (N, K) of floats, and lists of N values, the columns;
- ``.safetensors``: the same; columns of words stand in the metadata as JSON lists;
- ``.parquet``: a column of lists, or every column of decimal numbers that is not an answer; the
  other columns are those of a table.

Columns are recognised as those of a table of images: patient, view, sex, age, labels.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import safetensors.numpy
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError, safe_open

from deepfixcx._optional import require
from deepfixcx.datasets.dataset import Dataset
from deepfixcx.datasets.files import Collector, absolute, sex_letter
from deepfixcx.datasets.labels import Labels, normal_name, parse_labels, read_state
from deepfixcx.datasets.table import Columns, label_columns, roles_in
from deepfixcx.errors import LayoutError
from deepfixcx.io.tables import Row

__all__ = ["FEATURE_FILES", "FeatureMatrix", "is_feature_file", "read_features"]

FEATURE_FILES = (".npz", ".parquet", ".safetensors")

Array = NDArray[np.float32]
Cells = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, eq=False, slots=True)
class FeatureMatrix:
    """Features of images, and whose they are.

    Attributes
    ----------
    dataset : Dataset
        One entry for each row: patient, labels, view and other attributes. It has no files.
    array : ndarray of float32, shape (N, K)
        Finite.

    Raises
    ------
    LayoutError
        Another number of rows than of entries, no number in a row, or NaN or infinity.

    Examples
    --------
    >>> matrix = FeatureMatrix.of(np.zeros((4, 3)), ["a", "a", "b", "c"], {"sick": [1, 1, 0, 0]})
    >>> matrix.dataset, matrix.array.shape
    (Dataset('features': 4 images, 3 patients, 1 label), (4, 3))
    """

    dataset: Dataset
    array: Array

    def __post_init__(self) -> None:
        """Check the array."""
        if self.array.ndim != 2 or len(self.array) != len(self.dataset) or not self.array.size:
            raise LayoutError(
                f"features are one matrix (N, K) with a row for each of {len(self.dataset)} "
                f"images, got shape {self.array.shape}"
            )
        bad = int((~np.isfinite(self.array)).any(axis=1).sum())
        if bad:
            raise LayoutError(
                f"{bad} of {len(self.array)} rows of features hold NaN or infinity; remove them"
            )

    @classmethod
    def of(
        cls,
        array: ArrayLike,
        patients: Sequence[Any],
        columns: Cells | None = None,
        *,
        labels: Labels | None = None,
    ) -> FeatureMatrix:
        """Join features with what is known of their images.

        Parameters
        ----------
        array : array_like, shape (N, K)
            Features.
        patients : sequence of N
            Patient of each image.
        columns : mapping of str to sequence of N, optional
            Labels and attributes by name, recognised as the columns of a table.
        labels : str, sequence of str, or mapping of str to str, optional
            As in `Dataset.with_labels`; every column of answers by default.

        Returns
        -------
        FeatureMatrix

        Raises
        ------
        LayoutError
            Columns of another length, or features that cannot be used.
        LabelError
            A label that is not there.
        """
        cells = {"patient": list(patients), **(columns or {})}
        return _joined(np.asarray(array, np.float32), cells, "patient", labels, Path("features"))


def is_feature_file(path: Path) -> bool:
    """Whether a file is a matrix of features, by its name."""
    return path.suffix.lower() in FEATURE_FILES and path.is_file()


def read_features(
    where: str | os.PathLike[str], labels: Labels | None = None, *, patient: str | None = None
) -> FeatureMatrix:
    """Read features and the patient of each row from a file.

    Parameters
    ----------
    where : path-like
        ``.npz``, ``.safetensors`` or ``.parquet`` (extra ``features``).
    labels : str, sequence of str, or mapping of str to str, optional
        As in `Dataset.with_labels`; every column of answers by default.
    patient : str, optional
        Column of the patient IDs; recognised by its name by default.

    Returns
    -------
    FeatureMatrix

    Raises
    ------
    LayoutError
        The file is damaged or of another kind, holds no matrix or several, columns of another
        length, or no column of patient IDs.
    LabelError
        A label that is not there.
    MissingExtraError
        A Parquet file without pyarrow.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "features.npz"
    >>> np.savez(path, features=np.eye(3), patient_id=["a", "a", "b"], sick=[1, 1, 0])
    >>> matrix = read_features(path)
    >>> matrix.dataset.label_names, matrix.dataset.patients.tolist()
    (('sick',), ['a', 'a', 'b'])
    """
    path = absolute(where)
    reader = _READERS.get(path.suffix.lower())
    if reader is None or not path.is_file():
        raise LayoutError(
            f"{path.name!r} is not a file of features; name one that ends in "
            f"{', '.join(FEATURE_FILES)}"
        )
    asked = [rule.column for rule in parse_labels(labels)] if labels is not None else []
    known = {normal_name(name) for name in (*asked, *([] if patient is None else [patient]))}
    array, cells = reader(path, known)
    return _joined(array, cells, patient, labels, path)


def _joined(
    array: Array, cells: Cells, patient: str | None, labels: Labels | None, path: Path
) -> FeatureMatrix:
    """Make records of the columns, and see that all have one length."""
    names = list(cells)
    for name, column in cells.items():
        if len(column) != len(array):
            raise LayoutError(
                f"{path.name!r} has {len(array)} rows of features and {len(column)} values of "
                f"{name!r}; give one of each for each image"
            )
    roles = roles_in(names, Columns(patient=patient), repr(path.name))
    roles.pop("path", None)
    if "patient" not in roles:
        raise LayoutError(
            f"{path.name!r} has no column of patient IDs; add a column 'patient', or name it with "
            "--patient"
        )
    words = {name: [_text(value) for value in column] for name, column in cells.items()}
    rows = [
        Row(number, {name: words[name][number - 1] for name in names})
        for number in range(1, len(array) + 1)
    ]
    answers = label_columns(names, rows, set(roles.values()), labels)
    collector = Collector("features", path.parent, answers, check=lambda _: None)
    others = [name for name in names if name not in {*roles.values(), *answers}]
    for row in rows:
        named = {role: row.cells[name] for role, name in roles.items()}
        attributes = {normal_name(name): row.cells[name] for name in others}
        attributes["sex"] = sex_letter(named.pop("sex", ""))
        attributes["age"] = named.pop("age", "")
        states = [read_state(row.cells[name]) or "blank" for name in answers]
        place = path.parent / f"{path.name}:{row.number}"
        collector.add(path.name, row.number, place, states, attributes=attributes, **named)
    return FeatureMatrix(collector.dataset(labels=labels), array)


def _text(value: Any) -> str:
    """Return a value as a cell of a table has it; whole numbers without a decimal point."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float | np.floating):
        return "" if math.isnan(value) else str(int(value)) if value == int(value) else str(value)
    if isinstance(value, bool | np.bool_):
        return "1" if value else "0"
    return str(value)


# -- files ------------------------------------------------------------------------------------


def _split(arrays: Mapping[str, NDArray[Any]], path: Path) -> tuple[Array, dict[str, Any]]:
    """Return the one matrix of numbers, and the columns beside it."""
    matrices = {
        name: each for name, each in arrays.items() if each.ndim == 2 and each.dtype.kind in "fiu"
    }
    if len(matrices) != 1:
        raise LayoutError(
            f"{path.name!r} holds {len(matrices)} matrices (N, K) of numbers; write one, and a "
            "list of N values for each column"
        )
    (matrix,) = matrices.values()
    columns = {name: each.tolist() for name, each in arrays.items() if each.ndim == 1}
    return np.asarray(matrix, np.float32), columns


def _read_npz(path: Path, _: set[str]) -> tuple[Array, Cells]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError, MemoryError, BadZipFile, zlib.error):
        raise LayoutError(
            f"{path.name!r} is damaged, or holds Python objects, which are not read; write arrays "
            "of numbers and of words (dtype str)"
        ) from None
    return _split(arrays, path)


def _read_safetensors(path: Path, _: set[str]) -> tuple[Array, Cells]:
    try:
        arrays = safetensors.numpy.load_file(path)
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError, ValueError, KeyError):
        raise LayoutError(f"{path.name!r} is damaged; copy it again") from None
    matrix, columns = _split(arrays, path)
    for name, text in metadata.items():
        try:
            values = json.loads(text)
        except ValueError:
            continue
        if isinstance(values, list) and name not in columns:
            columns[name] = values
    return matrix, columns


def _read_parquet(path: Path, known: set[str]) -> tuple[Array, Cells]:
    pyarrow = require("pyarrow", extra="features")
    parquet = require("pyarrow.parquet", extra="features")
    try:
        table = parquet.read_table(path, partitioning=None)
    except (OSError, ValueError, pyarrow.ArrowException):
        raise LayoutError(f"{path.name!r} is damaged; copy it again") from None
    types = {field.name: field.type for field in table.schema}
    roles = set(roles_in(list(types), Columns(), repr(path.name)).values())
    lists = [
        name
        for name, kind in types.items()
        if pyarrow.types.is_fixed_size_list(kind) or pyarrow.types.is_list(kind)
    ]
    if len(lists) > 1:
        raise LayoutError(
            f"{path.name!r} holds {len(lists)} columns of lists; write one, the features"
        )
    columns = {name: table[name].to_pylist() for name in types if name not in lists}
    if lists:
        rows = table[lists[0]].to_pylist()
        if len({len(row or ()) for row in rows}) != 1:
            raise LayoutError(f"{path.name!r} has rows of features of several lengths")
        return np.array(rows, np.float32), columns
    decimal = [
        name
        for name, values in columns.items()
        if pyarrow.types.is_floating(types[name])
        and name not in roles
        and normal_name(name) not in known
        and not all(
            value is None or value in (1.0, 0.0, -1.0) or value != value for value in values
        )
    ]
    if not decimal:
        raise LayoutError(
            f"{path.name!r} has no column of decimal numbers and no column of lists, so it holds "
            "no features"
        )
    matrix = np.array([columns.pop(name) for name in decimal], np.float32).T
    return np.ascontiguousarray(matrix), columns


_READERS: Mapping[str, Callable[[Path, set[str]], tuple[Array, Cells]]] = {
    ".npz": _read_npz,
    ".safetensors": _read_safetensors,
    ".parquet": _read_parquet,
}
