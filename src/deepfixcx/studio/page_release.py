"""Release: a gallery of what was made, while it is made, too; with what failed and why."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from deepfixcx._optional import require

require("nicegui", extra="studio")

from nicegui import ui

from deepfixcx.errors import DeepfixcxError
from deepfixcx.report.html_images import for_screen, png_bytes
from deepfixcx.studio.elements import Dial, Viewer, block, button, choice, heading, put, words
from deepfixcx.studio.library import Found, Library
from deepfixcx.studio.releases import (
    NEEDS_ORIGINALS,
    SORTS,
    Entry,
    Gallery,
    chosen_entries,
    filters_of,
    open_gallery,
)
from deepfixcx.studio.workspace import Workspace

__all__ = ["ReleasePage"]

AT_ONCE = 60
THUMBNAIL, LARGE = 192, 1024
SECONDS = 2.0
"""Between two looks at a release that is running."""


class ReleasePage:
    """The page of one tab.

    Parameters
    ----------
    tab : Workspace
        Holds what the pictures are made of.
    library : Library
        What lies in the folder of the studio.
    """

    def __init__(self, tab: Workspace, library: Library) -> None:
        self.tab = tab
        self.library = library
        self.gallery: Gallery | None = None
        self.found: list[Found] = []
        self.kind, self.search, self.sort = "", "", "manifest"
        self.shown = AT_ONCE
        self.picked: int | None = None
        self.chosen: list[Entry] = []
        self._seen = (-1, "")

    async def build(self) -> None:
        """Make the elements, then show the first release."""
        self.found = await asyncio.to_thread(self.library.find, "release")
        with block("div", "page release", id_="main", tabindex="-1"):
            heading("Release", 1)
            if not self.found:
                _nothing(self.library)
                return
            with block("div", "toolbar"):
                names = [(each.name, each.name) for each in self.found]
                choice("Release", {"": names}, names[0][0], self._open, name="release")
                sorts = [
                    (name, text)
                    for name, text in SORTS.items()
                    if name not in NEEDS_ORIGINALS or self.library.originals is not None
                ]
                choice("Sorted", {"": sorts}, self.sort, self._set_sort, name="sort")
                with block("div", "field"):
                    words("Search by number or name", "label", for_="search")
                    search = block("input", "select", type_="search")
                    put(search, id_=None, name="search", aria_label="Search by number or name")
                    search.on("input", self._set_search, throttle=0.3, leading_events=False,
                              js_handler="(event) => emit(event.target.value)")  # fmt: skip
                size = Dial().classes("size")
                put(size, label="Size", name="size", steps=[96, 128, 160, 192, 240], value=128)
                put(size, limit=240, unit="pixels", hint="", reason="")
                size.on("set", self._resize)
            self.status = words("", "p", "about", role="status")
            self.progress = block("progress", "progress", max=1, value=0)
            put(self.progress, aria_label="Files that have ended")
            self.filters = block("div", "chips", role="group", aria_label="Filters")
            self.failure = words("", "p", "message bad", role="alert")
            with block("div", "gallery-columns"):
                with block("div"):
                    self.grid = block("ul", "gallery", aria_label="Images")
                    self.grid.style("--thumb: 128px")
                    self.more = button("Show more", self._more)
                self.sheet = block(
                    "section", "card sheet", aria_label="Chosen image", tabindex="-1"
                )
                self.sheet.set_visibility(False)
            self.sheet.on("keydown", self._key, js_handler="(event) => emit(event.key)")
            self.clock = ui.timer(SECONDS, self._look_again)
        await self._open(self.found[0].name)

    async def _open(self, name: str) -> None:
        path = next((each.path for each in self.found if each.name == name), None)
        if path is None:
            return
        self.kind, self.shown, self.picked, self._seen = "", AT_ONCE, None, (-1, "")
        self.sheet.set_visibility(False)
        try:
            self.gallery = await asyncio.to_thread(open_gallery, path, self.library.originals)
        except DeepfixcxError as error:
            self.gallery = None
            self.failure.set_text(f"{error}.")
            self.grid.clear()
            return
        self.failure.set_text("")
        self._draw()
        await self._measure()

    async def _measure(self) -> None:
        gallery = self.gallery
        if gallery is None or self.sort == "manifest":
            return
        self.status.set_text(f"{_status_words(gallery)} Looking at every image …")
        gallery.entries = await asyncio.to_thread(gallery.measured)
        if gallery is self.gallery:
            self._draw()

    async def _look_again(self) -> None:
        gallery = self.gallery
        if gallery is None or gallery.state == "finished":
            return
        try:
            fresh = await asyncio.to_thread(open_gallery, gallery.folder, self.library.originals)
        except DeepfixcxError:
            return  # it is being written
        seen = (len(fresh.entries), fresh.state)
        self.gallery = fresh
        if seen != self._seen:
            self._seen = seen
            self._draw()

    # -- what is shown --------------------------------------------------------------------------

    def _draw(self) -> None:
        gallery = self.gallery
        if gallery is None:
            return
        self.status.set_text(_status_words(gallery))
        put(self.progress, value=gallery.files_ended, max=max(gallery.files, 1))
        self.progress.set_visibility(gallery.state != "finished")
        self.chosen = chosen_entries(
            gallery.entries, kind=self.kind, words=self.search, sort=self.sort
        )
        self.filters.clear()
        with self.filters:
            for name, count in [("", len(gallery.entries)), *filters_of(gallery.entries)]:
                chip = button(f"{name or 'all'} {count:,}", partial(self._filter, name), "chip")
                put(chip, aria_pressed=str(name == self.kind).lower())
        self.grid.clear()
        with self.grid:
            for number, entry in enumerate(self.chosen[: self.shown]):
                self._draw_entry(number, entry)
        self.more.set_visibility(len(self.chosen) > self.shown)

    def _draw_entry(self, number: int, entry: Entry) -> None:
        with block("li", "thumb-item"):
            label = f"{entry.name}, {entry.words}" if entry.words else entry.name
            with block("button", "thumb", type_="button", aria_label=label) as thumb:
                if entry.image is None:
                    words("failed", "span", "thumb-failed")
                else:
                    url = self.tab.show(f"thumb-{number}", partial(self._png, entry, THUMBNAIL))
                    block("img", src=url, alt="", loading="lazy")
                words(entry.name, "span", "thumb-name")
                words(entry.words, "span", "thumb-words")
            thumb.on("click", lambda _, number=number: self._pick(number), args=[])

    def _png(self, entry: Entry, side: int) -> bytes:
        if self.gallery is None or entry.image is None:
            raise FileNotFoundError
        return png_bytes(for_screen(self.gallery.facts.pixels(entry.image), side))

    def _original_png(self, entry: Entry) -> bytes:
        gallery = self.gallery
        if gallery is None or gallery.originals is None or entry.image is None:
            raise FileNotFoundError
        pixels = gallery.originals.pixels(entry.image)
        if pixels is None:
            raise FileNotFoundError
        return png_bytes(for_screen(pixels, LARGE))

    def _pick(self, number: int) -> None:
        if not 0 <= number < len(self.chosen):
            return
        self.picked = number
        entry = self.chosen[number]
        self.sheet.clear()
        with self.sheet:
            with block("div", "sheet-head"):
                heading(entry.name)
                button(
                    "Previous",
                    lambda _: self._pick(number - 1),
                    "quiet",
                    aria_label="Previous image",
                )
                button("Next", lambda _: self._pick(number + 1), "quiet", aria_label="Next image")
                button("Close", self._close, "quiet")
            if entry.image is None:
                words(f"{entry.error}: {entry.reason}", "p", "message bad")
            else:
                self._draw_sheet(entry)
        self.sheet.set_visibility(True)
        ui.run_javascript(f"getHtmlElement({self.sheet.id})?.focus({{preventScroll: false}})")

    def _draw_sheet(self, entry: Entry) -> None:
        image, gallery = entry.image, self.gallery
        if image is None or gallery is None:
            return
        viewer = Viewer()
        with_original = gallery.originals is not None and entry.image is not None
        put(viewer, width=image.width, height=image.height, crisp=True, left="original")
        put(viewer, right="privatized", lone=not with_original)
        put(viewer, privatized=self.tab.show("sheet", partial(self._png, entry, LARGE)))
        if with_original:
            url = self.tab.show("sheet-original", partial(self._original_png, entry))
            put(viewer, original=url)
        rows = [("Source", f"{image.height:,} × {image.width:,} pixels")]
        rows.append(("Spec", str(gallery.facts.spec)))
        rows += [("Image", image.image_file)] if image.image_file else []
        rows += [("Code", f"{image.code_file}, row {image.code_row}")] if image.code_file else []
        rows += [("Detail left", f"{entry.detail:.4f}")] if entry.detail is not None else []
        rows += [("Likeness", f"SSIM {entry.alike:.3f}")] if entry.alike is not None else []
        with block("dl", "figures"):
            for name, text in rows:
                with block("div"):
                    words(name, "dt")
                    words(text, "dd")

    # -- what happens ---------------------------------------------------------------------------

    def _filter(self, kind: str, _: object) -> None:
        self.kind, self.shown = kind, AT_ONCE
        self._draw()

    def _set_search(self, event: Any) -> None:
        self.search, self.shown = str(event.args), AT_ONCE
        self._draw()

    async def _set_sort(self, sort: str) -> None:
        if sort not in SORTS:
            return
        self.sort = sort
        self._draw()
        await self._measure()

    def _resize(self, event: Any) -> None:
        self.grid.style(f"--thumb: {int(event.args)}px")

    def _more(self, _: object) -> None:
        self.shown += AT_ONCE
        self._draw()

    def _close(self, _: object) -> None:
        self.picked = None
        self.sheet.set_visibility(False)

    def _key(self, event: Any) -> None:
        if self.picked is None:
            return
        if event.args == "Escape":
            self._close(None)
        elif event.args in ("ArrowLeft", "ArrowRight"):
            self._pick(self.picked + (1 if event.args == "ArrowRight" else -1))


def _status_words(gallery: Gallery) -> str:
    failed = sum(entry.image is None for entry in gallery.entries)
    done = len(gallery.entries) - failed
    parts = [gallery.state, f"{done:,} images", f"{failed:,} failed", str(gallery.facts.spec)]
    if gallery.state != "finished":
        parts.insert(1, f"{gallery.files_ended:,} of {gallery.files:,} files")
    return " · ".join([*parts, *gallery.notes])


def _nothing(library: Library) -> None:
    if library.folder is None:
        words("The studio was opened on no folder. Start it on one that holds a release:", "p")
    else:
        words("No release lies in this folder. Make one, or start the studio on another:", "p")
    words("deepfixcx privatize SCANS shared --level 3 --patches 8\ndeepfixcx studio .", "pre")
