"""What the pages share: the tab, the library, and an image to begin with."""

from __future__ import annotations

import asyncio
from urllib.parse import urlencode

from deepfixcx._optional import require

require("nicegui", extra="studio")

from nicegui import ui

from deepfixcx.studio.examples import example, example_names
from deepfixcx.studio.exploring import Picture
from deepfixcx.studio.library import Found, Library
from deepfixcx.studio.workspace import Workspace

__all__ = ["LibraryPage", "remember", "some_picture"]


class LibraryPage:
    """A page about things that lie in the folder of the studio.

    Parameters
    ----------
    tab : Workspace
        What the tab holds, and what is shown in it.
    library : Library
        What lies in the folder of the studio.
    """

    def __init__(self, tab: Workspace, library: Library) -> None:
        self.tab = tab
        self.library = library
        self.found: list[Found] = []

    def asked_for(self, name: str) -> int:
        """Return which of the found things the address names by number; the first by default."""
        text = self.tab.query.get(name, "")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 0
        return number if number < len(self.found) else 0


async def some_picture(tab: Workspace) -> Picture:
    """Return the image of a tab; the first example, where the user gave none."""
    if tab.picture is None:
        name = example_names()[0]
        picture = await asyncio.to_thread(example, name)
        tab.take(picture, name)
        return picture
    return tab.picture


def remember(path: str, **state: object) -> None:
    """Write a state into the address of the page, so that a bookmark brings it back.

    Parameters
    ----------
    path : str
        Of the page.
    **state
        Numbers and words of this package; never a name of a file, a folder or a patient.
    """
    query = urlencode({name: value for name, value in state.items() if value not in ("", None, 0)})
    address = f"{path}?{query}" if query else path
    ui.run_javascript(f"history.replaceState(history.state, '', '{address}')")
