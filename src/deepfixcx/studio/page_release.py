"""Release: a gallery of a finished or running release, with failed files and reasons."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import Any

from nicegui import ui
from nicegui.element import Element

from deepfixcx._words import counted
from deepfixcx.errors import DeepfixcxError
from deepfixcx.report.html_release import Shared
from deepfixcx.studio.beside import Beside
from deepfixcx.studio.elements import (
    LibraryPage,
    alert,
    block,
    button,
    choice,
    dial,
    heading,
    put,
    remember,
    say,
    words,
)
from deepfixcx.studio.releases import (
    NEEDS_ORIGINALS,
    SORTS,
    Entry,
    Gallery,
    Library,
    bins_of,
    chosen_entries,
    filters_of,
    measure_of,
    open_gallery,
)
from deepfixcx.studio.sheet import Sheet
from deepfixcx.studio.workspace import Workspace

__all__ = ["ReleasePage"]

AT_ONCE = 60
THUMBNAIL = 192
MEASURES = {"detail": "Detail", "alike": "Similarity (SSIM)"}
BATCH = 200
"""Images that are read between two reports of progress."""
DOWN = "() => document.querySelector('.beside')?.scrollIntoView({behavior: 'smooth'})"
NOTHING: Mapping[str, str] = MappingProxyType({})
SECONDS = 2.0
"""Between two readings of a running release."""


class ReleasePage(LibraryPage):
    """The page of one tab."""

    def __init__(self, tab: Workspace, library: Library) -> None:
        super().__init__(tab, library)
        self.gallery: Gallery | None = None
        self.release = 0
        self.kind, self.search, self.sort = "", "", "manifest"
        self.between: tuple[float, float] | None = None
        self.shown = AT_ONCE
        self.picked: int | None = None
        self.chosen: list[Entry] = []
        self.thumbs: list[Element] = []
        self._seen = (-1, "")

    async def build(self) -> None:
        """Make the elements, then show the first release."""
        self.found = await asyncio.to_thread(self.library.find, "release")
        with block("div", "page release", id_="main", tabindex="-1"):
            heading("Release", 1)
            if not self.found:
                _nothing(self.library)
                return
            self.release, asked = self.asked_for("release"), self.tab.query
            self.sort = asked.get("sort", "") if asked.get("sort") in SORTS else self.sort
            with block("div", "toolbar"):
                choice("Release", {"": self.named()}, str(self.release), self._open, name="release")
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
                    put(search, value=asked.get("search"))
                    search.on("input", self._set_search, throttle=0.3, leading_events=False,
                              js_handler="(event) => emit(event.target.value)")  # fmt: skip
                size = dial(
                    "Size", "size", (96, 128, 160, 192, 240), 128, self._resize, unit="pixels"
                )
                size.classes("size")
                if len(self.found) > 1:
                    down = words("All releases", "button", "button", type_="button")
                    down.on("click", js_handler=DOWN)
            self.status = words("", "p", "about", role="status")
            self.progress = block("progress", "progress", max=1, value=0)
            put(self.progress, aria_label="Files done or failed")
            self.filters = block("div", "chips", role="group", aria_label="Filters")
            self.bins = block("div", "bins", role="group")
            self.failure = alert()
            with block("div", "gallery-columns"):
                with block("div"):
                    self.grid = block("ul", "gallery", aria_label="Images")
                    self.grid.style("--thumb: 128px")
                    self.more = button("Show more", self._more)
                self.sheet = Sheet(self.tab, self._go, self._close, self._pick_image)
            self.sheet.place.on("keydown", self._key, js_handler="(event) => emit(event.key)")
            self.clock = ui.timer(SECONDS, self._look_again)
            self.beside = block("div")
        await self._open(str(self.release), asked)
        with self.beside:
            await Beside(self.tab, self.found).build()

    def _entries(self) -> tuple[Entry, ...]:
        return () if self.gallery is None else self.gallery.entries

    async def _open(self, place: str, asked: Mapping[str, str] = NOTHING) -> None:
        """Show a release, with the filters and the image that an address names."""
        if not place.isdigit() or int(place) >= len(self.found):
            return
        self.release, path = int(place), self.found[int(place)].path
        self.kind, self.between, self.shown, self._seen = "", None, AT_ONCE, (-1, "")
        self.search = asked.get("search", "")
        self._close()
        try:
            self.gallery = await asyncio.to_thread(open_gallery, path, self.library.originals)
        except DeepfixcxError as error:
            self.gallery = None
            self.failure.set_text(f"{error}.")
            self.grid.clear()
            return
        self.gallery.patients = self.library.patients
        self.failure.set_text("")
        if (kind := asked.get("kind", "")) in dict(filters_of(self._entries())):
            self.kind = kind
        self._draw()
        await self._measure()
        await self._restore(asked)

    async def _restore(self, asked: Mapping[str, str]) -> None:
        """Choose the bar and the image that an address names."""
        with suppress(ValueError):
            low, high = map(float, asked.get("between", "").split("-"))
            ends = [each[:2] for each in bins_of(self._entries(), measure_of(self.sort))]
            near = [each for each in ends if abs(each[0] - low) < 1e-6]
            if near and self.sort != "manifest" and high > low:
                self.between = near[0]
                self._draw()
        number = asked.get("image", "")
        entries = self._entries()
        if number.isascii() and number.isdigit() and int(number[:9]) < len(entries):
            wanted = entries[int(number[:9])]
            names = [entry.name for entry in self.chosen]
            if wanted.name in names:
                await self._pick(names.index(wanted.name))

    async def _measure(self) -> None:
        """Measure what the gallery is sorted by, once for each release while the studio runs."""
        gallery, name = self.gallery, measure_of(self.sort)
        if gallery is None or self.sort == "manifest":
            return
        known = self.library.measures.setdefault(
            (gallery.folder, gallery.facts.checksum or str(len(gallery.entries)), name), {}
        )
        missing = [entry for entry in gallery.entries if entry.image and entry.image not in known]
        put(self.progress, aria_label="Images read")
        for start in range(0, len(missing), BATCH):
            count = len(gallery.entries)
            say(self.status, f"{_status_words(gallery)} · reading {len(known):,} of {count:,}")
            put(self.progress, value=len(known), max=count)
            self.progress.set_visibility(True)
            some = missing[start : start + BATCH]
            known |= await asyncio.to_thread(gallery.measure, some, name)
            if gallery is not self.gallery or name != measure_of(self.sort):
                return
        gallery.take(name, known)
        put(self.progress, aria_label="Files done or failed")
        self._draw()

    async def _look_again(self) -> None:
        gallery = self.gallery
        if gallery is None or gallery.state == "finished":
            return
        try:
            fresh = await asyncio.to_thread(open_gallery, gallery.folder, self.library.originals)
        except DeepfixcxError:
            return  # its ledger is being written
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
        say(self.status, _status_words(gallery))
        put(self.progress, value=gallery.files_ended, max=max(gallery.files, 1))
        self.progress.set_visibility(gallery.state != "finished")
        picked = "" if self.picked is None else self.chosen[self.picked].name
        self.chosen = chosen_entries(
            gallery.entries,
            kind=self.kind,
            words=self.search,
            sort=self.sort,
            between=self.between,
        )
        places = [place for place, entry in enumerate(self.chosen) if entry.name == picked]
        self.picked = places[0] if places else None
        self._remember()
        self.filters.clear()
        with self.filters:
            for name, count in [("", len(gallery.entries)), *filters_of(gallery.entries)]:
                chip = button(f"{name or 'all'} {count:,}", partial(self._filter, name), "chip")
                put(chip, aria_pressed=str(name == self.kind).lower())
        self._draw_bins(gallery)
        self.grid.clear()
        self.thumbs.clear()
        with self.grid:
            for number, entry in enumerate(self.chosen[: self.shown]):
                self._draw_entry(gallery, number, entry)
        self.more.set_visibility(len(self.chosen) > self.shown)

    def _remember(self) -> None:
        """Write release, filters and the chosen image into the address, by number."""
        picked = self.chosen[self.picked].name if self.picked is not None else ""
        numbers = [place for place, entry in enumerate(self._entries()) if entry.name == picked]
        remember(
            "/release",
            release=self.release,
            kind=self.kind,
            sort="" if self.sort == "manifest" else self.sort,
            search=self.search,
            between="" if self.between is None else "{:.6f}-{:.6f}".format(*self.between),
            image=numbers[0] if numbers else "",
        )

    def _draw_bins(self, gallery: Gallery) -> None:
        """Draw a histogram of the measure that images are sorted by; each bar is a filter."""
        measure = measure_of(self.sort)
        bins = [] if self.sort == "manifest" else bins_of(gallery.entries, measure)
        self.bins.clear()
        self.bins.set_visibility(bool(bins))
        named = MEASURES[measure]
        put(self.bins, aria_label=f"{named}: histogram; choose a bar to filter")
        most = max((count for _, _, count in bins), default=1)
        with self.bins:
            words(named, "span", "bins-name")
            for low, high, count in bins:
                ends = f"{low:.3f} and more" if math.isinf(high) else f"{low:.3f} to {high:.3f}"
                label = f"{ends}: {counted(count, 'image')}"
                on = self.between == (low, high)
                bar = block("button", "bin", type_="button", aria_label=label, title=label)
                put(bar, aria_pressed=str(on).lower(), disabled=not count or None)
                bar.on("click", partial(self._set_between, None if on else (low, high)), args=[])
                with bar:
                    block("span").style(f"height: {100 * count / most:.0f}%")
            if bins:
                ends = f"{bins[0][0]:.3f} – {bins[-1][0]:.3f} and more"
                words(ends, "span", "bins-ends")

    def _draw_entry(self, gallery: Gallery, number: int, entry: Entry) -> None:
        with block("li", "thumb-item"):
            below = entry.words("" if self.sort == "manifest" else measure_of(self.sort))
            label = f"{entry.name}, {below}" if below else entry.name
            with block("button", "thumb", type_="button", aria_label=label) as thumb:
                put(thumb, aria_pressed=str(number == self.picked).lower())
                if entry.image is None:
                    words("failed", "span", "thumb-failed")
                else:
                    make = partial(gallery.picture, entry.image, THUMBNAIL)
                    url = self.tab.show(f"thumb-{number}", make)
                    block("img", src=url, alt="", loading="lazy")
                words(entry.name, "span", "thumb-name")
                words(below, "span", "thumb-words")
            self.thumbs.append(thumb)
            thumb.on("click", partial(self._pick_at, number), args=[])

    async def _pick_at(self, number: int, _: object) -> None:
        await self._pick(number)

    async def _pick(self, number: int) -> None:
        if self.gallery is not None and 0 <= number < len(self.chosen):
            self._mark(number)
            self._remember()
            await self.sheet.show(self.gallery, self.chosen[number])

    def _mark(self, number: int | None) -> None:
        """Let the chosen image look chosen."""
        for place in (self.picked, number):
            if place is not None and place < len(self.thumbs):
                put(self.thumbs[place], aria_pressed=str(place == number).lower())
        self.picked = number

    async def _pick_image(self, image: Shared) -> None:
        """Show an image of the gallery; remove the filters if they hide it."""
        if self.gallery is None:
            return
        if all(entry.image is not image for entry in self.chosen):
            self.kind, self.search, self.between = "", "", None
            self._draw()
        places = (place for place, entry in enumerate(self.chosen) if entry.image is image)
        await self._pick(next(places, -1))

    async def _go(self, step: int) -> None:
        if self.picked is not None:
            await self._pick(self.picked + step)

    # -- what happens ---------------------------------------------------------------------------

    def _set_between(self, between: tuple[float, float] | None, _: object) -> None:
        self.between, self.shown = between, AT_ONCE
        self._draw()

    def _filter(self, kind: str, _: object) -> None:
        self.kind, self.shown = kind, AT_ONCE
        self._draw()

    def _set_search(self, event: Any) -> None:
        self.search, self.shown = str(event.args), AT_ONCE
        self._draw()

    async def _set_sort(self, sort: str) -> None:
        if sort not in SORTS:
            return
        self.sort, self.between = sort, None
        self._draw()
        await self._measure()

    def _resize(self, side: int) -> None:
        self.grid.style(f"--thumb: {side}px")

    def _more(self, _: object) -> None:
        self.shown += AT_ONCE
        self._draw()

    def _close(self) -> None:
        self._mark(None)
        self.sheet.hide()

    async def _key(self, event: Any) -> None:
        if event.args == "Escape":
            self._close()
            self._remember()
        elif event.args in ("ArrowLeft", "ArrowRight"):
            await self._go(1 if event.args == "ArrowRight" else -1)


def _status_words(gallery: Gallery) -> str:
    failed = sum(entry.image is None for entry in gallery.entries)
    done = counted(len(gallery.entries) - failed, gallery.facts.noun)
    parts = [gallery.state, done, f"{failed:,} failed", str(gallery.facts.spec)]
    if gallery.state != "finished":
        parts.insert(1, f"{gallery.files_ended:,} of {counted(gallery.files, 'file')}")
    return " · ".join([*parts, *gallery.notes])


def _nothing(library: Library) -> None:
    if library.folder is None:
        words("The studio was started without a folder. Start it on one that holds a release:", "p")
    else:
        words("There is no release in this folder. Make one, or start the studio on another:", "p")
    words("deepfixcx privatize SCANS shared --level 3 --patches 8\ndeepfixcx studio .", "pre")
