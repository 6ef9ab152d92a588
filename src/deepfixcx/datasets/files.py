"""Which files are images, whether one can hold an image, and how they are gathered as records.

A file or row that cannot be used becomes a problem instead.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from deepfixcx._words import counted
from deepfixcx.choices import IMAGE_SUFFIXES
from deepfixcx.datasets.dataset import Dataset, ImageRecord, Problem
from deepfixcx.datasets.labels import Blank, Labels, State, Uncertain, check_policies, settle
from deepfixcx.errors import (
    DamagedImageError,
    DeepfixcxError,
    EmptyFileError,
    ImageFileError,
    LayoutError,
    RowError,
    UnreadableFileError,
)

__all__ = [
    "Collector",
    "Published",
    "absolute",
    "check_file",
    "check_jpeg_end",
    "is_missing",
    "list_images",
    "local_path",
    "sex_letter",
    "split_word",
]

_URL = re.compile(r"([a-z][\w+.-]+)(::[a-z][\w+.-]+)*:/", re.IGNORECASE)
"""Begin of a URL; ``Path`` makes one slash of two."""

_CHUNK = 1 << 16
_END = b"\xff\xd9"


def local_path(where: str | os.PathLike[str], what: str) -> Path:
    """Return a path of this machine's disk: ``file://`` is stripped, and no other URL is one."""
    text = os.fspath(where)
    url = _URL.match(text)
    if url is None or os.path.lexists(text):
        return Path(text)
    if url[1].lower() in ("file", "local"):
        return Path("/", text[url.end() :].lstrip("/"))
    raise LayoutError(f"{what} cannot be read from a URL; copy it to this machine first")


def list_images(folder: Path) -> tuple[list[Path], list[tuple[Path, ImageFileError]]]:
    """List the images below a folder, sorted, and the folders that may not be listed."""
    found: list[Path] = []
    closed: list[tuple[Path, ImageFileError]] = []
    seen: set[tuple[int, int]] = set()

    def refuse(error: OSError) -> None:
        reason = UnreadableFileError("a folder cannot be listed; check its permissions")
        closed.append((Path(error.filename), reason))

    for here, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        folders[:] = [name for name in folders if _is_new(Path(here, name), seen)]
        paths = (Path(here, name) for name in names if not _is_hidden(name))
        found += [path for path in paths if _is_image(path)]
    return sorted(found), sorted(closed, key=lambda pair: pair[0])


def check_file(path: Path) -> ImageFileError | None:
    """Say what is wrong with a file before anyone reads it: missing, no file, or empty."""
    try:
        status = path.stat()
    except PermissionError:
        return UnreadableFileError(
            "you have no permission to read the file; change its permissions"
        )
    except (OSError, ValueError):
        return UnreadableFileError("the file does not exist")
    if not stat.S_ISREG(status.st_mode):
        return UnreadableFileError("it is a folder or a special file; correct the path")
    if status.st_size == 0:
        return EmptyFileError("the file has no bytes; copy it again from its source")
    return None


def check_jpeg_end(path: Path) -> ImageFileError | None:
    """Return an error for a JPEG file whose pixels begin and whose end marker is missing."""
    try:
        with path.open("rb") as file:
            if file.read(2) != b"\xff\xd8":
                return None
            start = _start_of_pixels(file)
            if start is not None and _ends(file, start):
                return None
    except OSError:
        return UnreadableFileError("the file cannot be read: input/output error; check the disk")
    return DamagedImageError("the JPEG is truncated; copy it again")


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _is_new(folder: Path, seen: set[tuple[int, int]]) -> bool:
    try:
        status = folder.stat()
    except OSError:
        return True  # walking it reports the reason
    identity = (status.st_dev, status.st_ino)
    if identity in seen:
        return False
    seen.add(identity)
    return True


def _is_image(path: Path) -> bool:
    if path.suffix:
        return path.suffix.lower() in IMAGE_SUFFIXES
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _start_of_pixels(file: BinaryIO) -> int | None:
    """Walk the segments of a JPEG header; return where the compressed pixels begin."""
    while True:
        marker = file.read(2)
        while marker == b"\xff\xff":  # fill bytes
            marker = b"\xff" + file.read(1)
        length = file.read(2)
        if len(marker) < 2 or marker[0] != 0xFF or len(length) < 2:
            return None
        file.seek(int.from_bytes(length, "big") - 2, os.SEEK_CUR)
        if marker[1] == 0xDA:
            return file.tell()


def _ends(file: BinaryIO, start: int) -> bool:
    """Whether the marker of the end stands behind `start`: near the end of the file, or at all."""
    size = file.seek(0, os.SEEK_END)
    for begin in (max(start, size - _CHUNK), start):
        file.seek(begin)
        if any(_END in chunk for chunk in _overlapping(file)):
            return True
    return False


def _overlapping(file: BinaryIO) -> Iterator[bytes]:
    """Yield the rest of a file in chunks, each with the last byte of the one before."""
    last = b""
    while chunk := file.read(_CHUNK):
        yield last + chunk
        last = chunk[-1:]


_MISSING = frozenset({"", "nan", "na", "n/a", "none", "null", "<na>"})
"""What programs write where a cell is missing, in lower case; it is the id of no patient."""

_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}

_SEXES = {"m": "M", "male": "M", "f": "F", "female": "F"}


class Collector:
    """Gathers the images of one dataset."""

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
        """Add an image, or note why it cannot be used. Empty text stands for unknown values."""
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
        """Return what was gathered, with the labels that a user asked for, or all."""
        if not self._records:
            raise LayoutError(self._nothing())
        missing = sum(record.patient is None for record in self._records)
        if missing:
            of_how_many = (
                "no patient ids"
                if missing == len(self._records)
                else f"{counted(missing, 'image')} without a patient id"
            )
            notes = [
                *notes,
                f"{of_how_many}: each such image counts as a separate patient, so two parts of a "
                "split may contain images of one person",
            ]
        alike = _alike({record.patient for record in self._records if record.patient})
        if alike:
            notes = [
                *notes,
                f"{counted(alike, 'patient id')} differ from another one only by leading zeros "
                "or '.0': they count as different patients, so one person may be in two parts "
                "of a split; if a program changed the ids, correct the table",
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
        text = f"{what} holds no image that can be read"
        reasons = Counter(f"{problem.error}: {problem.reason}" for problem in self._problems)
        if not reasons:
            return text
        often, count = reasons.most_common(1)[0]
        if len(reasons) > 1:
            return f"{text}: {len(self._problems)} problems, most often {often}{advice}"
        return f"{text}: {count} × {often}{advice}"


@dataclass(frozen=True, slots=True)
class Published:
    """A published layout: how it is recognised, its labels, and how its images are gathered.

    Attributes
    ----------
    name : str
        Of the layout, and of its datasets.
    sign : str
        How a user recognises it.
    lacking : str
        What a folder of another layout lacks, for an error.
    labels : tuple of str
        All labels of the layout.
    find : callable
        Returns the folder that holds the tables or classes, or None.
    gather : callable
        Adds every image to a `Collector`, and returns notes.
    uncertain : bool
        Whether labels may be uncertain or blank.
    check : callable
        Returns why a file cannot be an image, or None.
    finish : callable, optional
        Compares all images, such as to find copies.

    Examples
    --------
    >>> Published("mine", "its name", "is not mine", ("sick",), lambda _: None, lambda *_: ()).check
    <function check_file at ...>
    """

    name: str
    sign: str
    lacking: str
    labels: tuple[str, ...]
    find: Callable[[Path], Path | None]
    gather: Callable[[Path, Collector], Sequence[str]]
    uncertain: bool = False
    check: Callable[[Path], ImageFileError | None] = check_file
    finish: Callable[[Dataset], Dataset] | None = None


def _alike(patients: Iterable[str]) -> int:
    """Count the ids that another id equals but for zeros in front or ``.0`` behind."""
    plain = Counter(re.sub(r"\.0+$", "", patient).lstrip("0") for patient in patients)
    return sum(count for count in plain.values() if count > 1)


def is_missing(patient: str) -> bool:
    """Whether an id is what programs write where a cell is missing, such as ``nan``."""
    return patient.casefold() in _MISSING


def split_word(word: str) -> str:
    """Bring the name of a part into the common form."""
    return _SPLITS.get(word.casefold(), word)


def sex_letter(word: str) -> str:
    """Return M or F, or nothing where the word says neither."""
    return _SEXES.get(word.casefold(), "")


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return an absolute path without ``..`` in it; links stay as they are."""
    return Path(os.path.abspath(local_path(path, "a dataset")))
