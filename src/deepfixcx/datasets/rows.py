"""The rows of a CSV file, with what is wrong with single ones."""

from __future__ import annotations

import csv
import gzip
import re
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from deepfixcx._words import read_rows
from deepfixcx.errors import LayoutError, RowError

__all__ = ["Row", "Table"]

_DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes
    ----------
    number : int
        As a spreadsheet counts: the header is row 1.
    cells : dict of str to str
        By the name of the column, without surrounding spaces.
    problem : RowError or None
        Why the row cannot be read; then `cells` is empty.
    """

    number: int
    cells: dict[str, str]
    problem: RowError | None = None


class Table:
    r"""A CSV file, plain or gzipped, in UTF-8, with commas, semicolons or tabs.

    Columns without a name (or with the one that pandas gives, ``Unnamed: 11``) are dropped.

    Parameters
    ----------
    path : Path
        The file.

    Attributes
    ----------
    columns : tuple of str
        Names of the columns.

    Raises
    ------
    LayoutError
        The file cannot be read, is no such text, or two of its columns have one name. Iterating
        raises it too, where the file is damaged further down.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "list.csv"
    >>> _ = path.write_text("file,pneumonia,\na.png,1,\nb.png\n")
    >>> table = Table(path)
    >>> [(row.number, row.cells, str(row.problem)) for row in table]
    [(2, {'file': 'a.png', 'pneumonia': '1'}, 'None'),
     (3, {}, 'the row has 1 cells, the header 2')]
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._delimiter = self._most_frequent_delimiter()
        header = next(self._lines(), [])
        self._header = [_column(name) for name in header]
        self.columns = tuple(name for name in self._header if name)
        twice = sorted({name for name in self.columns if self.columns.count(name) > 1})
        if twice:
            raise LayoutError(f"{path.name!r} has two columns {twice[0]!r}; rename one of them")

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows below the header; blank ones are counted but not given."""
        lines = self._lines()
        next(lines, None)
        for number, values in enumerate(lines, start=2):
            if any(value.strip() for value in values):
                yield self._row(number, values)

    def _row(self, number: int, values: list[str]) -> Row:
        extra = any(value.strip() for value in values[len(self._header) :])
        missing = any(self._header[len(values) :])
        if extra or missing:
            counts = f"the row has {len(values)} cells, the header {len(self.columns)}"
            return Row(number, {}, RowError(counts))
        pairs = zip(self._header, values, strict=False)
        # the same words stand in many rows: keep each once
        return Row(number, {name: sys.intern(value.strip()) for name, value in pairs if name})

    def _lines(self) -> Iterator[list[str]]:
        try:
            with self._open() as file:
                yield from read_rows(file, delimiter=self._delimiter)
            return
        except (OSError, EOFError, zlib.error, UnicodeError, csv.Error):
            reason = self._unreadable()
        raise reason

    def _most_frequent_delimiter(self) -> str:
        try:
            with self._open() as file:
                header = file.readline()
            return max(_DELIMITERS, key=header.count)
        except (OSError, EOFError, zlib.error, UnicodeError):
            reason = self._unreadable()
        raise reason

    def _open(self) -> TextIO:
        if self.path.name.lower().endswith(".gz"):
            return gzip.open(self.path, "rt", encoding="utf-8-sig", newline="")
        return self.path.open(encoding="utf-8-sig", newline="")

    def _unreadable(self) -> LayoutError:
        if not self.path.exists():
            return LayoutError(f"there is no table {self.path.name!r}; check the path")
        return LayoutError(
            f"{self.path.name!r} is not a readable table; it has to be a whole CSV file in UTF-8, "
            f"or such a file gzipped"
        )


def _column(name: str) -> str:
    name = name.strip()
    return "" if re.fullmatch(r"Unnamed: \d+", name) else name
