"""Where inputs and releases lie: a path of this machine, or the URL of a store.

A URL travels to workers, into the command line of ``status`` and into messages, so it must not
hold a secret: credentials come from where fsspec and its packages look for them on each machine.
"""

from __future__ import annotations

import re
from pathlib import Path

from deepfixcx.errors import ReleaseError

__all__ = ["Location", "in_memory", "is_url", "locate"]

Location = Path | str
"""An absolute path of this machine, or a URL; `locate` makes one."""

_SCHEME = r"[A-Za-z][\w+.-]*"
_URL = re.compile(rf"{_SCHEME}(::{_SCHEME})*://")
_PASSWORD = re.compile(r"//[^/@]*:[^/@]*@")
_OF_THIS_MACHINE = ("file://", "local://")


def is_url(text: str) -> bool:
    """Return whether a text is a URL rather than a path."""
    return _URL.match(text) is not None


def locate(where: str | Path) -> Location:
    """Tell paths from URLs; ``file://`` is a path."""
    if isinstance(where, Path) or not is_url(where):
        return Path(where).absolute()
    for scheme in _OF_THIS_MACHINE:
        if where.startswith(scheme):
            return Path(where.removeprefix(scheme)).absolute()
    if _PASSWORD.search(where) or "?" in where:
        raise ReleaseError(
            "a URL with a password or a query (?…) in it would be written down with its secret; "
            "leave that out, and give credentials through fsspec's configuration or the "
            "environment variables of its package"
        )
    return where


def in_memory(location: Location) -> bool:
    """Return whether a place is memory of this very process, which no other one can see."""
    return isinstance(location, str) and "memory://" in location
