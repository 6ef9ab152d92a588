"""Counts in words: ``1 file``, ``1,200 files``. One home, so that no sentence says ``1 files``."""

from __future__ import annotations

__all__ = ["counted"]


def counted(count: int, one: str, several: str = "") -> str:
    """Return a count with its noun.

    Parameters
    ----------
    count : int
        How many.
    one : str
        The noun, or noun and verb, of one.
    several : str
        Of none, or of two and more; by default `one` with an s.

    Examples
    --------
    >>> counted(1, "file"), counted(1200, "file"), counted(0, "copy", "copies")
    ('1 file', '1,200 files', '0 copies')
    """
    return f"{count:,} {one if count == 1 else several or one + 's'}"
