"""Small pieces of HTML, escaped once, and the frame of a file that needs no other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from html import escape
from importlib.resources import files

from deepfixcx._words import plain

__all__ = ["code", "document", "escaped", "figure", "items", "paragraph", "section", "table"]

UNIT = re.compile(r"(?<=\d) (?=[%×]|[kMG]?B\b|dB\b|bytes\b)|(?<=×) (?=\d)")
NO_BREAK = "\N{NO-BREAK SPACE}"
"""What stands between a number and its unit, so that they stay in one line."""

MOST_WHOLE = 10
"""A table of no more rows stays on one page of paper."""


def escaped(text: str) -> str:
    r"""Return text, which may come from a file, as HTML that shows it and obeys none of it."""
    return escape(plain(text.encode("utf-8", "backslashreplace").decode()))


def paragraph(text: str, classes: str = "") -> str:
    """Return a paragraph of plain text."""
    return f"<p{_class(classes)}>{escaped(text)}</p>"


def items(texts: Iterable[str]) -> str:
    """Return a list of plain texts."""
    return "<ul>" + "".join(f"<li>{escaped(text)}</li>" for text in texts) + "</ul>"


def code(text: str) -> str:
    """Return lines of code."""
    return f"<pre>{escaped(text)}</pre>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "") -> str:
    """Return a table of plain texts; the first column heads its rows."""
    rows = list(rows)
    whole = " whole" if len(rows) <= MOST_WHOLE else ""
    facts = "" if head else ' class="facts"'
    lines = [f'<div class="wide{whole}" tabindex="0"><table{facts}>']
    if caption:
        lines.append(f"<caption>{escaped(caption)}</caption>")
    if head:
        cells = "".join(f'<th scope="col">{escaped(name)}</th>' for name in head)
        lines.append(f"<thead><tr>{cells}</tr></thead>")
    lines.append("<tbody>")
    for first, *others in rows:
        cells = "".join(f"<td>{escaped(cell)}</td>" for cell in others)
        lines.append(f'<tr><th scope="row">{escaped(first)}</th>{cells}</tr>')
    return "".join([*lines, "</tbody></table></div>"])


def figure(content: str, caption: str, classes: str = "") -> str:
    """Return a figure of markup that is safe already, with a caption of plain text."""
    return f"<figure{_class(classes)}>{content}<figcaption>{escaped(caption)}</figcaption></figure>"


def section(name: str, title: str, *parts: str) -> str:
    """Return a section with a heading, of parts that are markup already."""
    inside = "".join(parts)
    return f'<section id="{escaped(name)}"><h2>{escaped(title)}</h2>{inside}</section>'


def document(title: str, body: str) -> str:
    """Return a whole file: style within, nothing loaded, nothing run."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{escaped(title)}</title><style>{_style()}</style></head>"
        f"<body>{UNIT.sub(NO_BREAK, body)}</body></html>\n"
    )


@lru_cache(maxsize=1)
def _style() -> str:
    return (files("deepfixcx.report") / "report.css").read_text("utf-8")


def _class(classes: str) -> str:
    return f' class="{escaped(classes)}"' if classes else ""
