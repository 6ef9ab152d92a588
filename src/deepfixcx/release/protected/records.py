"""The records of a release by a mechanism, for whoever receives it: vectors or codes, with labels.

``records.safetensors`` holds one tensor, ``array`` (M, K) float32, and one metadata entry,
``deepfixcx``: JSON with ``format`` ("deepfixcx.records") and ``version``. ``labels.csv`` has a row
a record: ``source_id``, then 1, 0 or nothing for each label.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from deepfixcx._words import read_rows
from deepfixcx.code import Code
from deepfixcx.errors import ReleaseError
from deepfixcx.release.places import Place, place_of
from deepfixcx.release.reading import load_codes
from deepfixcx.release.storage import locate

__all__ = [
    "LABELS",
    "VECTORS",
    "ReleasedRecords",
    "label_rows",
    "load_records",
    "vector_bytes",
]

LABELS = "labels.csv"
VECTORS = "records.safetensors"
FORMAT_NAME = "deepfixcx.records"
FORMAT_VERSION = 1


@dataclass(frozen=True, eq=False, slots=True)
class ReleasedRecords:
    """What a release by a mechanism holds.

    Attributes
    ----------
    array : ndarray of float32, shape (M, K) or (M, C, 4**J, P, P)
        Vectors, or codes.
    labels : ndarray of float32, shape (M, L)
        1, 0, or NaN where unknown.
    label_names : tuple of str, length L
        What they say.
    source_ids : tuple of str, length M
        What the release calls the records.
    code : Code or None
        The same as `array` with spec and sizes, where records are codes.

    Examples
    --------
    >>> array, labels = np.zeros((2, 3), np.float32), np.ones((2, 1), np.float32)
    >>> len(ReleasedRecords(array, labels, ("pneumonia",), ("000001", "000002"), None))
    2
    """

    array: NDArray[np.float32]
    labels: NDArray[np.float32]
    label_names: tuple[str, ...]
    source_ids: tuple[str, ...]
    code: Code | None

    def __len__(self) -> int:
        """Return the number of records, M."""
        return len(self.array)


def load_records(folder: str | Path) -> ReleasedRecords:
    """Load the records of a release by a mechanism, and their labels.

    Parameters
    ----------
    folder : path-like
        The release; may be a URL, as a str.

    Returns
    -------
    ReleasedRecords
        In the order of the release, which tells nothing.

    Raises
    ------
    ReleaseError
        It is no such release, or it is damaged.
    CodeFileError
        A file of codes is damaged.

    Examples
    --------
    >>> records = load_records("shared")  # doctest: +SKIP
    >>> records.array.shape, records.label_names  # doctest: +SKIP
    ((560, 2), ('pneumonia', 'effusion'))
    """
    place = place_of(locate(folder))
    if not place.has(LABELS) or not place.has("manifest.csv"):
        raise ReleaseError(
            f"{str(folder)!r} has no {LABELS} and manifest.csv: only a release by a mechanism that "
            f"needs labels has both; read others with load_codes"
        )
    names, source_ids, labels = _labels(place)
    if place.has(VECTORS):
        code, array = None, _vectors(place)
        codes_of: list[str] = source_ids
    else:
        code, codes_of = _codes(folder)
        array = code.array
    if len(array) != len(source_ids) or codes_of != source_ids:
        raise ReleaseError(f"records and {LABELS} do not fit together; verify the release")
    return ReleasedRecords(array, labels, tuple(names), tuple(source_ids), code)


def vector_bytes(array: NDArray[np.float32]) -> bytes:
    """Return the file of vectors (M, K)."""
    about = json.dumps({"format": FORMAT_NAME, "version": FORMAT_VERSION}, sort_keys=True)
    return safetensors.numpy.save({"array": np.ascontiguousarray(array)}, {"deepfixcx": about})


def label_rows(names: Sequence[str], labels: NDArray[np.float32]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table of labels."""
    for name, row in zip(names, labels.tolist(), strict=True):
        yield (name, *("" if value != value else str(int(value)) for value in row))


def _labels(place: Place) -> tuple[list[str], list[str], NDArray[np.float32]]:
    try:
        with place.fetched(LABELS) as path, path.open(newline="", encoding="utf-8") as file:
            header, *rows = read_rows(file)
        values = [[float(cell or "nan") for cell in row[1:]] for row in rows]
        labels = np.array(values, np.float32).reshape(len(rows), len(header) - 1)
    except (OSError, ValueError, csv.Error):
        raise ReleaseError(f"{LABELS} cannot be read; it is damaged: verify the release") from None
    return header[1:], [row[0] for row in rows], labels


def _vectors(place: Place) -> NDArray[np.float32]:
    damaged = ReleaseError(f"{VECTORS} cannot be read; it is damaged: verify the release")
    try:
        with place.fetched(VECTORS) as path:
            data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        about = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["deepfixcx"])
        array = safetensors.numpy.load(data)["array"]
        version = about["version"] if about["format"] == FORMAT_NAME else None
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError):
        raise damaged from None
    if version != FORMAT_VERSION:
        raise ReleaseError(
            f"{VECTORS} has format version {version} and this deepfixcx reads {FORMAT_VERSION}; "
            f"update deepfixcx to read it"
        )
    if array.ndim != 2 or array.dtype != np.float32 or not np.isfinite(array).all():
        raise damaged
    return array


def _codes(folder: str | Path) -> tuple[Code, list[str]]:
    try:
        return load_codes(folder, 1)
    except ReleaseError:
        return load_codes(folder, 3)
