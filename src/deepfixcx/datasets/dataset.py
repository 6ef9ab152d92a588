"""A dataset as records: where each image is, whose it is, and what is known about it."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx._words import counted
from deepfixcx.datasets.labels import Labels, answer, parse_labels

__all__ = ["Dataset", "ImageRecord", "Problem", "find_duplicates"]


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image of a dataset. Its text form shows neither its patient nor its file.

    Attributes
    ----------
    path : Path
        Absolute.
    patient : str or None
        None where the dataset does not say.
    study : str or None
        Of one patient; two patients may have studies of the same name.
    view : str or None
        For example ``"AP"``, ``"PA"``, ``"LATERAL"``.
    labels : tuple of float, length L
        1 for yes, 0 for no, NaN where unknown.
    known : tuple of bool, length L
        Which labels are known.
    split : str or None
        ``"train"``, ``"validation"`` or ``"test"`` where the dataset comes split, or another word
        of its own, such as ``"additional"``.
    attributes : mapping of str to str
        Whatever else is known, such as ``sex`` (``"F"``, ``"M"``) and ``age`` (years).

    Examples
    --------
    >>> ImageRecord(Path("/scans/1.png"), patient="p7", view="PA", labels=(1.0,), known=(True,))
    ImageRecord(view='PA', labels=(1.0,), known=(True,), split=None)
    """

    path: Path = field(repr=False)
    patient: str | None = field(default=None, repr=False)
    study: str | None = field(default=None, repr=False)
    view: str | None = None
    labels: tuple[float, ...] = ()
    known: tuple[bool, ...] = ()
    split: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Problem:
    """One image or row that could not be used.

    Attributes
    ----------
    source : str
        Name of the table, or ``"folder"``.
    row : int
        Row of the table as a spreadsheet counts, so that the first below the header is 2; or the
        place in the sorted list of the folder's files, from 1.
    error : str
        Name of the error, such as ``"EmptyFileError"``.
    reason : str
        Its message, which holds no name.
    path : Path or None
        The file, for those who may see it; not in the text form.

    Examples
    --------
    >>> print(Problem("manifest.csv", 8, "EmptyFileError", "the file has no bytes"))
    manifest.csv, row 8: EmptyFileError: the file has no bytes
    """

    source: str
    row: int
    error: str
    reason: str
    path: Path | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.source}, row {self.row}: {self.error}: {self.reason}"


@dataclass(frozen=True, repr=False)
class Dataset:
    """Images with their patients and labels.

    Parameters
    ----------
    name : str
        The layout that was read, such as ``"chexpert"`` or ``"table"``.
    label_names : tuple of str, length L
        Names of the labels.
    records : tuple of ImageRecord, length N
        The images.
    root : Path
        The folder of the dataset. Splits name a record without a patient by its path below it, so
        that they are the same on every machine.
    notes : tuple of str
        What a user should know, such as that there are no patient ids.
    problems : tuple of Problem
        Images and rows that were left out.

    Examples
    --------
    >>> records = [
    ...     ImageRecord(Path(f"/scans/{n}.png"), f"p{n // 2}", labels=(n % 2,), known=(True,))
    ...     for n in range(4)
    ... ]
    >>> dataset = Dataset("table", ("pneumonia",), tuple(records), Path("/scans"))
    >>> dataset
    Dataset('table': 4 images, 2 patients, 1 label)
    >>> dataset.labels[:, 0].tolist(), dataset.patients.tolist()
    ([0.0, 1.0, 0.0, 1.0], ['p0', 'p0', 'p1', 'p1'])
    >>> len(dataset.select(dataset.labels[:, 0] == 1))
    2
    """

    name: str
    label_names: tuple[str, ...]
    records: tuple[ImageRecord, ...]
    root: Path
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    def __len__(self) -> int:
        """Return the number of images, N."""
        return len(self.records)

    def __repr__(self) -> str:
        """Return the counts in one line; no path and no patient."""
        patients = (
            _counted(self.patient_count, "patient") if self.has_patients else "no patient ids"
        )
        images, labels = _counted(len(self), "image"), _counted(len(self.label_names), "label")
        return f"Dataset({self.name!r}: {images}, {patients}, {labels})"

    @cached_property
    def labels(self) -> NDArray[np.float32]:
        """Labels, float32 (N, L): 1, 0, or NaN where unknown."""
        labels = np.array([record.labels for record in self.records], np.float32)
        return _kept(labels.reshape(len(self), len(self.label_names)))

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Which labels are known, bool (N, L)."""
        known = np.array([record.known for record in self.records], np.bool_)
        return _kept(known.reshape(len(self), len(self.label_names)))

    @cached_property
    def patients(self) -> NDArray[np.str_]:
        """Patient of each image, str (N,); an image without one is a patient of its own."""
        groups = [
            self._own_group(record) if record.patient is None else record.patient
            for record in self.records
        ]
        return _kept(np.array(groups, dtype=np.str_))

    @cached_property
    def has_patients(self) -> bool:
        """Whether the dataset says of every image whose it is."""
        return all(record.patient is not None for record in self.records)

    @property
    def patient_count(self) -> int:
        """Number of patients, where an image without one counts as a patient of its own."""
        return len(np.unique(self.patients))

    def counts(self) -> dict[str, tuple[int, int, int]]:
        """Count (yes, no, unknown) of each label."""
        counts = {}
        for name, values, known in zip(self.label_names, self.labels.T, self.known.T, strict=True):
            yes, given = int((values[known] == 1).sum()), int(known.sum())
            counts[name] = (yes, given - yes, len(self) - given)
        return counts

    def summary(self) -> str:
        """Describe the dataset without names of patients: counts, notes, problems."""
        lines = [repr(self)]
        lines += [
            f"  {name}: {counted(yes, 'positive')}, {counted(no, 'negative')}, {unknown} unknown"
            for name, (yes, no, unknown) in self.counts().items()
        ]
        lines += [f"  note: {note}" for note in self.notes]
        errors = Counter(problem.error for problem in self.problems)
        lines += [f"  left out: {count} ({name})" for name, count in sorted(errors.items())]
        return "\n".join(lines)

    def select(self, which: ArrayLike) -> Dataset:
        """Keep some of the images.

        Parameters
        ----------
        which : array_like of bool, shape (N,), or of int
            A mask, or places in the order wanted.

        Returns
        -------
        Dataset
            With the same labels, notes and problems.

        Raises
        ------
        IndexError
            The mask has another length, or a place is outside.
        """
        places = np.asarray(which)
        if places.size == 0 and places.dtype != np.bool_:
            places = places.astype(np.int64)  # an empty list is one of floats
        chosen = np.arange(len(self))[places]
        return replace(self, records=tuple(self.records[place] for place in chosen))

    def with_labels(self, labels: Labels) -> Dataset:
        """Keep some of the labels, or make new ones out of attributes.

        Parameters
        ----------
        labels : str, sequence of str, or mapping of str to str
            Names as in ``"pneumonia,effusion"``; case, spaces and underscores do not matter.
            ``"kind=bacteria|virus"`` asks whether the attribute ``kind`` (or ``view``) is one of
            these. A mapping gives new names: ``{"infection": "kind=bacteria|virus"}``.

        Returns
        -------
        Dataset
            The same images with these labels, in this order. A note states where answers of an
            attribute could not be understood.

        Raises
        ------
        LabelError
            No such label or attribute, a value that no image has, or an attribute that holds
            categories where a yes or no was asked for.

        Examples
        --------
        >>> records = tuple(
        ...     ImageRecord(Path(f"/{kind}.png"), attributes={"kind": kind})
        ...     for kind in ("normal", "bacteria", "virus", "")
        ... )
        >>> dataset = Dataset("table", (), records, Path("/"))
        >>> dataset.with_labels("kind=bacteria|virus").labels[:, 0].tolist()
        [0.0, 1.0, 1.0, nan]
        """
        rules = parse_labels(labels)
        columns = [answer(rule, self.label_names, self.records) for rule in rules]
        notes = [
            (
                f"label {rule.name!r}: {odd} cells are neither positive nor negative and count "
                "as unknown"
            )
            for rule, (_, odd) in zip(rules, columns, strict=True)
            if odd
        ]
        records = tuple(
            replace(
                record,
                labels=tuple(answers[place][0] for answers, _ in columns),
                known=tuple(answers[place][1] for answers, _ in columns),
            )
            for place, record in enumerate(self.records)
        )
        return replace(
            self,
            label_names=tuple(rule.name for rule in rules),
            records=records,
            notes=(*self.notes, *notes),
        )

    # -- helpers ------------------------------------------------------------------------------

    def _own_group(self, record: ImageRecord) -> str:
        try:
            return f"file:{record.path.relative_to(self.root).as_posix()}"
        except ValueError:
            return f"file:{record.path.as_posix()}"


def _kept(array: NDArray[Any]) -> NDArray[Any]:
    """Forbid writing: the array is kept, and the records would not follow."""
    array.flags.writeable = False
    return array


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def find_duplicates(dataset: Dataset) -> tuple[tuple[int, ...], ...]:
    """Find the images that are there more than once.

    Only files of equal size are read. A picture that was saved anew has other bytes and is not
    found.

    Parameters
    ----------
    dataset : Dataset
        The images.

    Returns
    -------
    tuple of tuple of int
        Places of the images that hold the same bytes, two or more each, in the order of the first.

    Examples
    --------
    >>> import tempfile
    >>> from deepfixcx.datasets import read_folder
    >>> root = Path(tempfile.mkdtemp())
    >>> for name, content in (("a/1.png", b"one"), ("a/2.png", b"two"), ("b/1.png", b"one")):
    ...     (root / name).parent.mkdir(exist_ok=True)
    ...     _ = (root / name).write_bytes(content)
    >>> find_duplicates(read_folder(root))
    ((0, 2),)
    """
    by_size: dict[int, list[int]] = defaultdict(list)
    for place, record in enumerate(dataset.records):
        try:
            by_size[record.path.stat().st_size].append(place)
        except OSError:  # it vanished: reading it reports that
            continue
    groups: dict[str, list[int]] = defaultdict(list)
    for places in by_size.values():
        if len(places) > 1:
            for place in places:
                digest = _digest(dataset.records[place].path)
                if digest:
                    groups[digest].append(place)
    return tuple(sorted(tuple(places) for places in groups.values() if len(places) > 1))


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
