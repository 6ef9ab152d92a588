"""A finished release, opened for reading: its manifest files, codes and records.

``dataset.json`` states how the release was made and holds the SHA-256 of ``manifest.csv``, which
holds that of every result, so the SHA-256 of ``dataset.json`` is the checksum of the release.

A release by a mechanism that needs labels has two files more. ``records.safetensors`` holds one
tensor, ``array`` (M, K) float32, and one metadata entry, ``deepfixcx``: JSON with ``format``
("deepfixcx.records") and ``version``. ``labels.csv`` has a row for each record: ``source_id``, then
1, 0 or nothing for each label.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from deepfixcx.code import Code
from deepfixcx.errors import ReleaseError
from deepfixcx.io.files import sha256_of
from deepfixcx.io.release_files import ABOUT, FORMAT, LABELS, MANIFEST, VECTORS
from deepfixcx.io.tables import own_rows, read_rows
from deepfixcx.release.places import Place, place_of
from deepfixcx.release.readers import Readers
from deepfixcx.release.storage import locate
from deepfixcx.spec import CodecSpec

if TYPE_CHECKING:
    from deepfixcx.mechanisms import PublishedMechanism

__all__ = [
    "RECORDS_FORMAT",
    "RECORDS_VERSION",
    "Release",
    "ReleasedRecords",
    "load_codes",
    "load_records",
    "release_checksum",
    "stated",
]

RECORDS_FORMAT, RECORDS_VERSION = "deepfixcx.records", 1

NEEDED = frozenset(
    ("source_id", "frame", "status", "image_file", "code_file", "code_row", "channels", "height",
     "width", "bits", "image_dtype", "code_dtype", "spec", "image_sha256", "code_sha256", "error",
     "reason")
)  # fmt: skip
"""Columns of the manifest since version 0.1."""


@dataclass(frozen=True, eq=False, slots=True)
class ReleasedRecords:
    """Records, labels and IDs of a release by a mechanism.

    Attributes
    ----------
    array : ndarray of float32, shape (M, K) or (M, C, 4**J, P, P)
        Vectors, or codes.
    labels : ndarray of float32, shape (M, L)
        1, 0, or NaN where unknown.
    label_names : tuple of str, length L
        Names of the labels.
    source_ids : tuple of str, length M
        IDs of the records in the release.
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


@dataclass(frozen=True, eq=False, slots=True)
class Release(Readers):
    """A finished release.

    Attributes
    ----------
    place : Place
        The folder or URL.
    about : mapping
        The content of ``dataset.json``.
    rows : tuple of mapping of str to str
        The manifest: one row for each frame, and one for each file that failed.
    checksum : str
        SHA-256 of ``dataset.json``, 64 hexadecimal digits. It binds audits, evaluations and other
        evidence to the release.

    Raises
    ------
    ReleaseError
        From `open`: the folder is no finished release, its manifest files are damaged, or a store
        cannot be reached.

    Examples
    --------
    >>> release = Release.open("shared")  # doctest: +SKIP
    >>> release.spec, len(release.rows), release.codes()[0].array.shape  # doctest: +SKIP
    (CodecSpec(level=2, patches=19), 560, (560, 1, 16, 19, 19))
    """

    place: Place
    about: Mapping[str, Any]
    rows: tuple[Mapping[str, str], ...]
    checksum: str

    @classmethod
    def open(cls, folder: str | Path) -> Release:
        """Read the manifest files of a release at a path or URL."""
        place = place_of(locate(folder))
        about, checksum = stated(place)
        return cls(place, about, _rows(place), checksum)

    @property
    def spec(self) -> CodecSpec:
        """The codec."""
        if self.about["options"].get("output") == "deidentified":
            raise ReleaseError(
                f"{str(self.place)!r} holds de-identified DICOM files, not codes or privatized "
                "images; use a release made with privatize"
            )
        return CodecSpec.from_dict(self.about["options"]["spec"])

    @property
    def name(self) -> str:
        """The last part of its path or URL."""
        return str(self.place).rstrip("/").rpartition("/")[2]

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """Names of the mechanisms that were applied to codes, step by step."""
        try:
            steps = [
                step for each in self.about["mechanisms"] for step in each.get("steps", [each])
            ]
            return tuple(str(step["mechanism"]) for step in steps)
        except (LookupError, TypeError, AttributeError):
            raise ReleaseError(
                f"{ABOUT} of {str(self.place)!r} is damaged; run deepfixcx verify"
            ) from None

    @property
    def has_records(self) -> bool:
        """Whether it was made by a mechanism that needs labels."""
        return self.place.has(LABELS)

    def mechanism(self) -> PublishedMechanism:
        """Return the fitted mechanism that brings new images into the form of the records."""
        from deepfixcx.mechanisms.files import MECHANISM_FILE, load_mechanism

        with self.place.fetched(MECHANISM_FILE) as path:
            return load_mechanism(path)

    def check_manifest(self) -> None:
        """Refuse a manifest that is not the one whose checksum dataset.json states."""
        with self.place.fetched(MANIFEST) as path:
            if sha256_of(path) != self.about["papers"].get(MANIFEST):
                raise ReleaseError(
                    f"{MANIFEST} of {str(self.place)!r} was changed after the release was made: "
                    f"its checksum is not the one in {ABOUT}; deepfixcx verify lists all "
                    "differences"
                )

    def changed_files(self) -> list[str]:
        """Return the files of codes, labels and mechanism that are not as the manifest has them."""
        listed = {row["code_file"]: row["code_sha256"] for row in self.rows if row["code_file"]}
        listed |= {name: str(digest) for name, digest in self.about["papers"].items()}
        there = [name for name in listed if self.place.has(name)]
        return [name for name in there if not self.place.holds(name, {listed[name]})]

    def codes(self, channels: int | None = None) -> tuple[Code, list[str]]:
        """Return all codes with so many channels and the ID of the source of each.

        Without a number of channels: the codes of gray images or, where there are none, those of
        colour images.
        """
        rows = [(row, *self._numbers(row)) for row in self.rows if row["code_file"]]
        there = sorted({kind for _, kind, _ in rows})
        if channels is None:
            channels = there[0] if there else 1
        chosen = [(row, number) for row, kind, number in rows if kind == channels]
        if not chosen:
            made = "its records are vectors; read them with load_records"
            if not self.place.has(VECTORS):
                made = "it was made without --output codes or both"
            hint = f"but of {there}" if there else made
            raise ReleaseError(f"{str(self.place)!r} has no codes of {channels} channels; {hint}")
        codes = {row["code_file"]: self.file_of_codes(row["code_file"]) for row, _ in chosen}
        if any(number >= len(codes[row["code_file"]]) for row, number in chosen):
            raise self._damaged()
        starts = np.cumsum([0, *map(len, codes.values())])
        start_of = dict(zip(codes, starts, strict=False))
        places = [start_of[row["code_file"]] + number for row, number in chosen]
        code = Code.concatenate(list(codes.values()))[np.array(places)]
        return code, [row["source_id"] for row, _ in chosen]

    def records(self) -> ReleasedRecords:
        """Return the records of a release by a mechanism, and their labels."""
        if not self.has_records:
            raise ReleaseError(
                f"{str(self.place)!r} has no {LABELS}: only a release made with a mechanism that "
                "needs labels has one; read other releases with load_codes"
            )
        names, source_ids, labels = self._labels()
        if self.place.has(VECTORS):
            code, array = None, self._vectors()
            codes_of: list[str] = source_ids
        else:
            code, codes_of = self.codes()
            array = code.array
        if len(array) != len(source_ids) or codes_of != source_ids:
            raise ReleaseError(f"records and {LABELS} do not match; run deepfixcx verify")
        return ReleasedRecords(array, labels, tuple(names), tuple(source_ids), code)

    def _numbers(self, row: Mapping[str, str]) -> tuple[int, int]:
        """Return the channels of a code, and its place in its file."""
        cells = row["channels"], row["code_row"]
        if not all(re.fullmatch("[0-9]{1,18}", cell) for cell in cells):
            raise self._damaged()
        return int(cells[0]), int(cells[1])

    def _damaged(self) -> ReleaseError:
        return ReleaseError(
            f"{MANIFEST} of {str(self.place)!r} names codes that are not there: it is damaged, or "
            f"was changed; verify the release, and copy it again"
        )

    def file_of_codes(self, name: str) -> Code:
        """Return the codes of one file that the manifest names."""
        if not re.fullmatch(r"codes/[\w-]+\.safetensors", name):
            raise self._damaged()  # the manifest may be someone else's: it leads nowhere else
        try:
            with self.place.fetched(name) as path:
                return Code.load(path)
        except FileNotFoundError:
            raise self._damaged() from None

    def _labels(self) -> tuple[list[str], list[str], NDArray[np.float32]]:
        try:
            with (
                self.place.fetched(LABELS) as path,
                path.open(newline="", encoding="utf-8") as file,
            ):
                header, *rows = read_rows(file)
            values = [[float(cell or "nan") for cell in row[1:]] for row in rows]
            labels = np.array(values, np.float32).reshape(len(rows), len(header) - 1)
        except (OSError, ValueError, csv.Error):
            raise ReleaseError(
                f"{LABELS} cannot be read and may be damaged; run deepfixcx verify"
            ) from None
        return header[1:], [row[0] for row in rows], labels

    def _vectors(self) -> NDArray[np.float32]:
        damaged = ReleaseError(f"{VECTORS} cannot be read and may be damaged; run deepfixcx verify")
        try:
            with self.place.fetched(VECTORS) as path:
                data = path.read_bytes()
            length = int.from_bytes(data[:8], "little")
            about = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["deepfixcx"])
            array = safetensors.numpy.load(data)["array"]
            version = about["version"] if about["format"] == RECORDS_FORMAT else None
        except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError):
            raise damaged from None
        if version != RECORDS_VERSION:
            raise ReleaseError(
                f"{VECTORS} has format version {version} and this deepfixcx reads "
                f"{RECORDS_VERSION}; update deepfixcx to read it"
            )
        if array.ndim != 2 or array.dtype != np.float32 or not np.isfinite(array).all():
            raise damaged
        return array


def load_codes(folder: str | Path, channels: int = 1) -> tuple[Code, list[str]]:
    """Load every code of a release, and the ID of the source of each.

    Parameters
    ----------
    folder : path-like
        A release with codes; may be a URL, as a str.
    channels : int
        1 for gray images, 3 for colour: codes of both kinds cannot stand in one array.

    Returns
    -------
    code : Code
        All codes with so many channels, in the order of the manifest.
    source_ids : list of str
        The ID of the source of each row, to join labels with. A file of several frames has its
        ID on several rows.

    Raises
    ------
    ReleaseError, CodeFileError
        The folder is no finished release, holds no such code, or is damaged or out of reach.

    Examples
    --------
    >>> code, source_ids = load_codes("shared")  # doctest: +SKIP
    >>> embedding = code.embedding()  # doctest: +SKIP
    """
    return Release.open(folder).codes(channels)


def load_records(folder: str | Path) -> ReleasedRecords:
    """Load the records of a release by a mechanism, and their labels.

    Parameters
    ----------
    folder : path-like
        The release; may be a URL, as a str.

    Returns
    -------
    ReleasedRecords
        In the order of the release, which is random.

    Raises
    ------
    ReleaseError, CodeFileError
        The folder is no such release, or it is damaged.

    Examples
    --------
    >>> records = load_records("shared")  # doctest: +SKIP
    >>> records.array.shape, records.label_names  # doctest: +SKIP
    ((560, 2), ('pneumonia', 'effusion'))
    """
    return Release.open(folder).records()


def release_checksum(folder: str | Path) -> str:
    """Return the checksum that binds audits, evaluations and other evidence to a release.

    Parameters
    ----------
    folder : str or Path
        A finished release; may be a URL.

    Returns
    -------
    str
        SHA-256 of ``dataset.json``, 64 hexadecimal digits.

    Examples
    --------
    >>> release_checksum("shared")  # doctest: +SKIP
    '1171a6b7...'
    """
    return stated(place_of(locate(folder)))[1]


def stated(place: Place) -> tuple[dict[str, Any], str]:
    """Return what dataset.json states, and its SHA-256; refuse what is no finished release."""
    try:
        with place.fetched(ABOUT) as path:
            content = path.read_bytes()
        about = json.loads(content)
        mappings = all(isinstance(about[name], dict) for name in ("totals", "papers", "options"))
        if about["format"] == FORMAT and mappings:
            return about, hashlib.sha256(content).hexdigest()
    except FileNotFoundError:
        raise ReleaseError(
            f"{str(place)!r} has no {ABOUT}, so it is not a release or was not finished"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    raise ReleaseError(f"{ABOUT} of {str(place)!r} is damaged; copy the release again")


def _rows(place: Place) -> tuple[Mapping[str, str], ...]:
    """Return the rows of the manifest, which has every column of version 0.1."""
    try:
        with place.fetched(MANIFEST) as path:
            return tuple(own_rows(path, NEEDED))
    except (OSError, ValueError):
        raise ReleaseError(f"{MANIFEST} is missing or damaged; copy the release again") from None
