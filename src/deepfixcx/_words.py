"""Text for readers: counts in words, and text from files on a terminal.

A file name, a label or a column may hold escape sequences for a terminal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["byte_size", "counted", "joined", "percent", "plain"]

_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
"""C0 and C1 except tabs and new lines, bidirectional controls, and characters of no width."""


def counted(count: int, one: str, several: str = "") -> str:
    """Return a count with its noun; the plural is `several`, or `one` with an s."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def joined(words: Sequence[str]) -> str:
    """Return ``a, b and c``."""
    *first, last = words
    return f"{', '.join(first)}{' and ' if first else ''}{last}"


def percent(part: float, whole: float) -> str:
    """Say which share a part is, with two digits: 0.39 %, 12 %."""
    share = 100 * part / whole if whole else 0
    return f"{share:,.0f} %" if share >= 10 else f"{share:.2g} %"


def byte_size(count: float) -> str:
    """Return a number of bytes in a readable unit."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} bytes"


def plain(text: str, *, one_line: bool = False) -> str:
    r"""Spell out characters that control a terminal, or that reorder or hide text."""
    text = _CONTROL.sub(_spelled, text)
    return re.sub("[\t\n]", _spelled, text) if one_line else text


def _spelled(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape").decode("ascii")
