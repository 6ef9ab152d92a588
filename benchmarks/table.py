"""Tables as text, and how they get into a page between two marks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Table", "number", "put_section"]


@dataclass(slots=True)
class Table:
    """Columns, rows of text, and notes below.

    The first `words` columns hold words and stand left; the others hold numbers and stand right.
    """

    columns: Sequence[str]
    words: int = 1
    rows: list[Sequence[str]] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """Add a row; it has as many cells as there are columns."""
        if len(cells) != len(self.columns):
            raise ValueError(f"{len(self.columns)} columns, {len(cells)} cells")
        self.rows.append(cells)

    def markdown(self) -> str:
        """Return the table as Markdown, with its columns aligned."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[place]) for line in lines) for place in range(len(self.columns))]
        rule = [
            "-" * width if place < self.words else "-" * max(width - 1, 1) + ":"
            for place, width in enumerate(widths)
        ]
        return "\n".join(self._line(line, widths) for line in (self.columns, rule, *self.rows))

    def _line(self, cells: Sequence[str], widths: Sequence[int]) -> str:
        padded = (
            cell.ljust(width) if place < self.words else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join(padded)} |"


def number(value: float) -> str:
    """Return a number with three significant digits and no exponent.

    Examples
    --------
    >>> number(16384.2), number(3.14159), number(0.01234)
    ('16,400', '3.14', '0.0123')
    """
    if value == 0:
        return "0"
    rounded = float(f"{value:.3g}")
    if abs(rounded) >= 100:
        return f"{rounded:,.0f}"
    return f"{rounded:.3g}"


def put_section(page: Path, name: str, parts: Iterable[str]) -> None:
    """Replace what stands between ``<!-- name -->`` and ``<!-- end of name -->`` in a page.

    Raises
    ------
    ValueError
        The page has no such marks.
    """
    first, last = f"<!-- {name} -->", f"<!-- end of {name} -->"
    text = page.read_text("utf-8")
    before, found, rest = text.partition(first)
    _, closed, after = rest.partition(last)
    if not found or not closed:
        raise ValueError(f"{page.name} has no marks for the section {name!r}")
    body = "\n\n".join(part.strip() for part in parts)
    page.write_text(f"{before}{first}\n\n{body}\n\n{last}{after}", "utf-8")
