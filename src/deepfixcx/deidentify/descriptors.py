"""Descriptions reduced to words that are known to be harmless."""

from __future__ import annotations

import functools
import re
from importlib.resources import files

__all__ = ["cleaned", "harmless_words"]

_BETWEEN = re.compile(r"[\s,;:/\\()\[\]{}<>|_+*=^.\-]+")
_TERM = re.compile(
    r"[ctls]\d{1,2}"  # a vertebra
    r"|t[12]w?|t2star|pdw?"  # a weighting
    r"|[234]d|\d{1,3}(?:mm|cm|kv|mas|sec|min)",  # dimensions, sizes, delays
)


@functools.cache
def harmless_words() -> frozenset[str]:
    """Return the words that descriptions may keep: anatomy, sides, positions, technique."""
    text = files("deepfixcx.deidentify").joinpath("words.txt").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return frozenset(" ".join(lines).split())


def cleaned(text: str, words: frozenset[str] = frozenset()) -> str:
    """Return what is harmless of a description.

    Parameters
    ----------
    text : str
        A description.
    words : frozenset of str
        More words that may stay.

    Returns
    -------
    str
        The words that may stay, one space between them; empty where there are none. Numbers go,
        unless they are sizes, weightings or vertebrae.

    Examples
    --------
    >>> cleaned("CHEST pa/lat, Mrs. Miller 4711, 5mm")
    'CHEST pa lat 5mm'
    """
    own = {word.casefold() for word in words}
    return " ".join(
        word
        for word in _BETWEEN.split(text)
        if (low := word.casefold()) in harmless_words() or low in own or _TERM.fullmatch(low)
    )
