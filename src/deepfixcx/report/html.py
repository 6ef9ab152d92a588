"""HTML from the templates of this package: text is escaped once, by Jinja2."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from deepfixcx._words import plain

__all__ = [
    "code",
    "document",
    "figure",
    "items",
    "paragraph",
    "part",
    "section",
    "style",
    "table",
]

UNIT = re.compile(r"(?<=\d) (?=[%×]|[kMG]?B\b|dB\b|bytes\b)|(?<=×) (?=\d)")
NO_BREAK = "\N{NO-BREAK SPACE}"
"""What stands between a number and its unit, so that they stay in one line."""


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("deepfixcx.report"),
        autoescape=True,
        finalize=_readable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _readable(value: object) -> object:
    """Return text of a file, before it is escaped, without characters that hide or reorder it."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return plain(value.encode("utf-8", "backslashreplace").decode())


def part(name: str, *values: Any) -> Markup:
    """Return the markup of a macro in ``parts.html``, or of ``FILE.macro`` in another template."""
    file, _, macro = name.rpartition(".")
    module = _environment().get_template(f"{file or 'parts'}.html").module
    return Markup(getattr(module, macro)(*values))


def paragraph(text: str, classes: str = "") -> Markup:
    """Return a paragraph of plain text."""
    return part("paragraph", text, classes)


def items(texts: Iterable[str]) -> Markup:
    """Return a list of plain texts."""
    return part("items", list(texts))


def code(text: str) -> Markup:
    """Return lines of code."""
    return part("code", text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "") -> Markup:
    """Return a table of plain texts; the first column heads its rows."""
    return part("table", head, list(rows), caption)


def figure(content: Markup, caption: str) -> Markup:
    """Return a figure of markup with a caption of plain text."""
    return part("figure", content, caption)


def section(name: str, title: str, *parts: Markup) -> Markup:
    """Return a section with a heading, of parts that are markup already."""
    return part("section", name, title, Markup("").join(parts))


def document(title: str, body: Markup) -> str:
    """Return a whole file: style within, nothing loaded, nothing run."""
    spaced = Markup(UNIT.sub(NO_BREAK, body))
    template = _environment().get_template("document.html")
    return template.render(title=title, style=Markup(style()), body=spaced)


def style() -> str:
    """Return the style sheet of a report."""
    return (files("deepfixcx.report") / "templates" / "report.css").read_text("utf-8")
