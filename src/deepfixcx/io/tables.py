"""The one reader and the one writer of CSV tables.

`Table` reads a user's table, `own_rows` and `read_rows` one that `TableWriter` wrote. A file name,
a label or a column may contain what a spreadsheet computes, so the writer neutralizes it and every
reader restores it.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import sys
import zlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from deepfixcx.errors import LayoutError, RowError

__all__ = [
    "Row",
    "Table",
    "TableWriter",
    "cells_of",
    "first_cell",
    "free_name",
    "from_cell",
    "has_table_name",
    "own_rows",
    "raw_rows",
    "read_rows",
    "table_rows",
    "without_rows",
]

_DELIMITERS = ",;\t"
_QUOTED = re.compile('"[^"]*"?')
_SUFFIXES = (".csv", ".tsv", ".txt")

_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_AFTER_SEPARATOR = re.compile("(?<=[;\t\r\n])('*)(?=[=+\\-@\uff1d\uff0b\uff0d\uff20])")
"""A spreadsheet whose language separates by semicolons, or by tabs, begins a cell there."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_ENDS = re.compile("[\r;\t]")
_FAULTS = (OSError, EOFError, zlib.error, UnicodeError)


def has_table_name(name: str) -> bool:
    """Whether a file is called like a table: ``.csv``, ``.tsv`` or ``.txt``, or these gzipped."""
    return name.lower().removesuffix(".gz").endswith(_SUFFIXES)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table."""

    number: int
    cells: dict[str, str]
    problem: RowError | None = None


class Table:
    r"""A user's CSV table, plain or gzipped, with commas, semicolons or tabs."""

    def __init__(self, source: Path | bytes, name: str = "") -> None:
        self.name = name or (source.name if isinstance(source, Path) else "the table")
        self._source = source
        self._skipped, self._delimiter = 0, ","
        self._skipped, self._delimiter = self._find_delimiter()
        header = next(self._lines(), [])
        self._header = [_column(cell) for cell in header]
        self.columns = tuple(name for name in self._header if name)
        twice = sorted({name for name in self.columns if self.columns.count(name) > 1})
        if twice:
            raise LayoutError(f"{self.name!r} has two columns {twice[0]!r}; rename one of them")

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows below the header; blank ones are counted but not given."""
        lines = self._lines()
        next(lines, None)
        for number, values in enumerate(lines, start=2 + self._skipped):
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
        number = self._skipped
        try:
            with self._open() as file:
                for _ in range(self._skipped):
                    file.readline()
                for line in read_rows(file, self._delimiter):
                    number += 1
                    yield line
            return
        except _FAULTS as error:
            reason = self._unreadable(error)
        except csv.Error:
            reason = LayoutError(
                f"row {number + 1} of {self.name!r} has a quotation mark without its pair, or a "
                f"cell of more than {csv.field_size_limit():,} characters; correct that row"
            )
        raise reason

    def _find_delimiter(self) -> tuple[int, str]:
        """Return how many lines stand above the header, and what separates cells."""
        try:
            with self._open() as file:
                header = file.readline()
        except _FAULTS as error:
            reason = self._unreadable(error)
        else:
            stated = re.fullmatch(r'"?sep=([,;\t])"?', header.rstrip("\r\n"), re.IGNORECASE)
            if stated:  # as Excel writes and reads it
                return 1, stated[1]
            return 0, max(_DELIMITERS, key=_QUOTED.sub("", header).count)
        raise reason

    @contextmanager
    def _open(self) -> Iterator[TextIO]:
        """Open the text, out of gzip where it is packed."""
        source = self._source
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            plain = cast("BinaryIO", gzip.GzipFile(fileobj=file)) if packed else file
            wide = plain.read(2) in (b"\xff\xfe", b"\xfe\xff")
            plain.seek(0)
            encoding = "utf-16" if wide else "utf-8-sig"
            with io.TextIOWrapper(plain, encoding=encoding, newline="") as text:
                yield text

    def _unreadable(self, error: Exception) -> LayoutError:
        if isinstance(error, FileNotFoundError):
            return LayoutError(f"there is no table {self.name!r}; check the path")
        if isinstance(error, UnicodeError):
            return LayoutError(
                f"{self.name!r} is not a readable table: it is not text in UTF-8; save it as CSV "
                f"in UTF-8"
            )
        if isinstance(error, EOFError | zlib.error | gzip.BadGzipFile):
            return LayoutError(
                f"{self.name!r} is not a readable table: the gzip file is damaged; copy it again"
            )
        reason = (
            error.strerror if isinstance(error, OSError) and error.strerror else "it is damaged"
        )
        return LayoutError(
            f"{self.name!r} is not a readable table: {reason}; check the path and its permissions"
        )


def _column(name: str) -> str:
    name = name.strip()
    return "" if re.fullmatch(r"Unnamed: \d+", name) else name


def read_rows(lines: Iterable[str], delimiter: str = ",") -> Iterator[list[str]]:
    """Read the cells of each row as they were before `TableWriter` wrote them."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    return (list(map(from_cell, row)) for row in reader)


def own_rows(source: Path | bytes, columns: Collection[str] = ()) -> Iterator[dict[str, str]]:
    """Read a table that `TableWriter` wrote, with these columns at least, row by row."""
    try:
        content = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
        with io.TextIOWrapper(content, encoding="utf-8", newline="") as file:
            lines = read_rows(file)
            header = next(lines, [])
            if not header or not {*columns} <= {*header}:
                raise ValueError
            for values in filter(None, lines):  # an editor may end a file with a blank line
                yield dict(zip(header, values, strict=True))
    except (ValueError, csv.Error):
        name = repr(source.name) if isinstance(source, Path) else "the table"
        raise LayoutError(f"{name} is damaged; copy it again from its source") from None


def raw_rows(file: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes of each row that `TableWriter` wrote, its line end included."""
    parts: list[bytes] = []
    quoted = False
    for line in file:
        if not parts and b'"' not in line:
            yield line
            continue
        parts.append(line)
        quoted ^= line.count(b'"') % 2 == 1
        if not quoted:
            yield b"".join(parts)
            parts.clear()
    if parts:
        raise ValueError


def table_rows(path: Path) -> Iterator[bytes]:
    """Yield the bytes of each row that `TableWriter` wrote, those of the header first."""
    try:
        if not path.is_file():  # a pipe would wait for its writer
            raise ValueError
        with path.open("rb") as file:
            yield from raw_rows(file)
    except (OSError, ValueError):
        raise LayoutError(f"{path.name!r} is missing or damaged; copy it again") from None


def without_rows(path: Path, firsts: Collection[str]) -> bytes:
    """Return a table that `TableWriter` wrote without the rows that begin with such cells."""
    return b"".join(row for row in table_rows(path) if first_cell(row) not in firsts)


def cells_of(row: bytes) -> list[str]:
    """Return the cells of a row of `raw_rows`."""
    text = row.decode()
    if '"' in text:
        return next(read_rows(io.StringIO(text, newline="")))
    cells = text.rstrip("\n").split(",")
    return list(map(from_cell, cells)) if "'" in text else cells


def first_cell(row: bytes) -> str:
    """Return the first cell of a row of `raw_rows`."""
    return cells_of(row)[0] if row[:1] in b"\"'" else row.partition(b",")[0].decode()


class TableWriter:
    """Writes CSV in which no text is a formula, whichever delimiter its reader assumes."""

    def __init__(self, file: Any, lineterminator: str = "\n") -> None:
        self._writer = csv.writer(file, lineterminator=lineterminator)
        # `csv` does not quote what would end a row, or a cell, for other readers
        self._quoting = csv.writer(file, lineterminator=lineterminator, quoting=csv.QUOTE_ALL)

    def writerow(self, row: Iterable[object]) -> None:
        """Write one row."""
        cells, ends = [], False
        for value in row:
            if isinstance(value, str):
                value, quoted = _to_cell(value)
                ends |= quoted
            cells.append(value)
        (self._quoting if ends else self._writer).writerow(cells)

    def writerows(self, rows: Iterable[Iterable[object]]) -> None:
        """Write rows."""
        for row in rows:
            self.writerow(row)


def free_name(name: str, ending: str, taken: Collection[str]) -> str:
    """Return a name for a column that no other column has."""
    while name in taken:
        name += ending
    return name


@lru_cache(maxsize=1 << 12)  # most columns repeat a few texts
def _to_cell(value: str) -> tuple[str, bool]:
    """Put an apostrophe before text that a spreadsheet would compute; say if it must be quoted."""
    if _NUMBER.fullmatch(value):
        return value, False
    value = _AFTER_SEPARATOR.sub(r"'\1", value)
    value = f"'{value}" if _FORMULA.match(value) else value
    return value, _ENDS.search(value) is not None


def from_cell(text: str) -> str:
    """Return the text of a cell as it was before `TableWriter` wrote it."""
    if "'" not in text:
        return text
    if text.startswith("'") and _FORMULA.match(text):
        text = text[1:]
    return _AFTER_SEPARATOR.sub(lambda found: found[1][1:], text)
