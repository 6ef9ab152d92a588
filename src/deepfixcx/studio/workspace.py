"""What one open tab of the browser holds on this side: its image, its settings, its pictures."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from deepfixcx.studio.exploring import Picture
from deepfixcx.studio.settings import Settings

__all__ = ["Workspace", "Workspaces"]

MOST_PICTURES = 2048
"""Pictures a tab may hold that are made on demand; the oldest go first."""


@dataclass(eq=False)
class Workspace:
    """One tab.

    Attributes
    ----------
    key : str
        Random; in the URLs of its pictures.
    picture : Picture or None
        What is explored.
    settings : Settings
        What Explore is set to.
    frame : int
        Which frame is shown.
    example : str
        Name of the example that it is; empty for an image that the user gave.
    query : dict of str to str
        Of the address that the tab was opened with.
    """

    key: str
    picture: Picture | None = None
    settings: Settings = field(default_factory=Settings)
    frame: int = 0
    example: str = ""
    query: dict[str, str] = field(default_factory=dict)
    _pictures: dict[str, Callable[[], bytes]] = field(default_factory=dict)
    _version: int = 0

    def take(self, picture: Picture, example: str = "") -> None:
        """Explore another image."""
        self.picture, self.frame, self.example = picture, 0, example

    def show(self, name: str, content: Callable[[], bytes]) -> str:
        """Keep a picture, or what makes it, under a name; return the URL under which it is new.

        Parameters
        ----------
        name : str
            Letters, digits and hyphens.
        content : callable
            Returns a PNG. It is called, in a thread, whenever the browser asks.
        """
        self._pictures.pop(name, None)
        self._pictures[name] = content
        while len(self._pictures) > MOST_PICTURES:
            del self._pictures[next(iter(self._pictures))]
        self._version += 1
        return f"/pixels/{self.key}/{name}?{self._version}"

    def picture_named(self, name: str) -> Callable[[], bytes] | None:
        """Return what makes a picture; None where there is none."""
        return self._pictures.get(name)


class Workspaces:
    """All tabs that are open.

    Examples
    --------
    >>> tabs = Workspaces()
    >>> tab = tabs.open()
    >>> tabs.get(tab.key) is tab, tabs.get("another") is None
    (True, True)
    """

    def __init__(self) -> None:
        self._tabs: dict[str, Workspace] = {}

    def open(self) -> Workspace:
        """Make a workspace for a new tab."""
        tab = Workspace(secrets.token_urlsafe(16))
        self._tabs[tab.key] = tab
        return tab

    def get(self, key: str) -> Workspace | None:
        """Return the workspace of a tab, or None."""
        return self._tabs.get(key)

    def close(self, tab: Workspace) -> None:
        """Forget a tab and every pixel that it held."""
        self._tabs.pop(tab.key, None)
