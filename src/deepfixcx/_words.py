"""Text for readers: counts in words, text from files on a terminal, and cells of CSV tables.

A file name, a label or a column may hold escape sequences for a terminal, or formulas for a
spreadsheet. Tables are written through `TableWriter` and read through `read_rows` or `TableReader`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["TableReader", "TableWriter", "byte_size", "counted", "plain", "read_rows"]

_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
"""C0 and C1 except tabs and new lines, bidirectional controls, and characters of no width."""

_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def counted(count: int, one: str, several: str = "") -> str:
    """Return a count with its noun, of which the plural is `several`, or `one` with an s.

    >>> counted(1, "file"), counted(1200, "file"), counted(0, "copy", "copies")
    ('1 file', '1,200 files', '0 copies')
    """
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def byte_size(count: float) -> str:
    """Return a number of bytes in a readable unit.

    >>> byte_size(999), byte_size(4096), byte_size(2.5e6)
    ('999 bytes', '4.1 kB', '2.5 MB')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} bytes"


def plain(text: str, *, one_line: bool = False) -> str:
    r"""Spell out characters that control a terminal, or that reorder or hide text.

    >>> print(plain("a\x1b[2J\u202eb"), plain("one\ntwo", one_line=True))
    a\x1b[2J\u202eb one\ntwo
    """
    text = _CONTROL.sub(_spelled, text)
    return re.sub("[\t\n]", _spelled, text) if one_line else text


def _spelled(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape").decode("ascii")


def _to_cell(value: object) -> object:
    """Put an apostrophe before text that a spreadsheet would compute; numbers stay as they are."""
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def _from_cell(text: str) -> str:
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


class TableWriter:
    """Writes CSV in which no text is a formula.

    >>> import io
    >>> text = io.StringIO()
    >>> TableWriter(text).writerows([["=1+1", "-1", -1], ["'@x", "it's", "-"]])
    >>> print(text.getvalue(), end="")
    '=1+1,-1,-1
    ''@x,it's,'-
    >>> list(read_rows(io.StringIO(text.getvalue())))
    [['=1+1', '-1', '-1'], ["'@x", "it's", '-']]
    """

    def __init__(self, file: Any, lineterminator: str = "\n") -> None:
        self._writer = csv.writer(file, lineterminator=lineterminator)
        # a lone carriage return would end a row for a reader, and `csv` does not quote it
        self._quoting = csv.writer(file, lineterminator=lineterminator, quoting=csv.QUOTE_ALL)

    def writerow(self, row: Iterable[object]) -> None:
        """Write one row."""
        cells = list(map(_to_cell, row))
        returns = any(isinstance(cell, str) and "\r" in cell for cell in cells)
        (self._quoting if returns else self._writer).writerow(cells)

    def writerows(self, rows: Iterable[Iterable[object]]) -> None:
        """Write rows."""
        for row in rows:
            self.writerow(row)


def read_rows(lines: Iterable[str], delimiter: str = ",") -> Iterator[list[str]]:
    """Read the rows of a table as they were before `TableWriter` wrote them."""
    return (list(map(_from_cell, row)) for row in csv.reader(lines, delimiter=delimiter))


def _read(cell: Any) -> Any:
    return _from_cell(cell) if isinstance(cell, str) else cell


class TableReader:
    """Reads rows by their columns, as they were before `TableWriter` wrote them."""

    def __init__(self, lines: Iterable[str], *, restval: Any = None, strict: bool = False) -> None:
        self._reader = csv.DictReader(lines, restval=restval, strict=strict)

    @property
    def fieldnames(self) -> list[str] | None:
        """The columns."""
        names = self._reader.fieldnames
        return None if names is None else list(map(_from_cell, names))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Return the rows; cells without a column have the key None, as `csv` gives them."""
        for row in self._reader:
            yield {_read(name): _read(cell) for name, cell in row.items()}
