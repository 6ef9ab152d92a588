"""Explore: one image, settings, and the reconstruction at these settings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pywt
from nicegui import background_tasks
from numpy.typing import NDArray

from deepfixcx.errors import DeepfixcxError
from deepfixcx.studio.elements import (
    Mosaic,
    alert,
    block,
    button,
    card,
    choice,
    copyable,
    dial,
    drop,
    finder,
    heading,
    put,
    remember,
    say,
    segments,
    some_picture,
    terms,
    viewer,
    words,
)
from deepfixcx.studio.exploring import Figures, Look, example, example_names
from deepfixcx.studio.releases import Library
from deepfixcx.studio.strip import Strip
from deepfixcx.studio.units import raw_about, raw_bytes
from deepfixcx.studio.uploads import Picture
from deepfixcx.studio.workspace import (
    LEVELS,
    PATCHES,
    USUAL_WAVELETS,
    Settings,
    Workspace,
    fitting,
    limits,
)

__all__ = ["ExplorePage"]

POOLINGS = (
    ("l1", "l1, mean size"),
    ("l2", "l2, mean square"),
    ("sum", "sum, mean with sign"),
    ("max", "max, the largest"),
    ("min", "min, the smallest"),
    ("median", "median, the middle"),
    ("sum_pos", "sum_pos, positive part"),
    ("sum_neg", "sum_neg, negative part"),
)
GRIDS = (
    ("balanced", "Balanced", "A partition in which no cell is empty"),
    ("padded", "Padded", "The grid of the paper: zeros around each band make all cells equal"),
)
SIZES = (
    ("compact", "As released", "P · 2ᴶ pixels a side: each value once"),
    ("original", "Filled in", "The size of the original: each value repeated over its cell"),
)
BOUNDARIES = (
    ("zero", "Zeros", "The image continues with zeros beyond its edge"),
    ("periodic", "Periodic", "The image repeats beyond its edge"),
)
HAAR_REASON = "The Haar wavelet uses no pixels beyond the edge."
MOST_LISTED = 200
"""Images of the folder that stand in a list; more are found by a part of their name."""

REST = 0.25
"""Seconds without a change after which an image is compared with its reconstruction."""

POINT = "Point at a value to see its place."


class ExplorePage:
    """The page of one tab; settings and image survive a visit to another page."""

    def __init__(self, tab: Workspace, library: Library) -> None:
        self.tab = tab
        self.library = library
        self.pictures: dict[str, Path] = {}
        self.look: Look | None = None
        self._asked_file = ""
        self._wanted = self._done = 0
        self._busy = False
        self._drawn = (0, -1)
        self._measuring = asyncio.Lock()

    async def build(self) -> None:
        """Make the elements, then show the image."""
        self.pictures = await asyncio.to_thread(self.library.pictures)
        with block("div", "page explore", id_="main", tabindex="-1"):
            self._build_source()
            with block("section", "explore-image", aria_label="Image"):
                self.viewer = viewer(width=1, height=1, values=True)
                self.viewer.on("turn", self._turn)
                self.strip = Strip(self.tab, self.pictures, self.library.thumbs, self._go)
                self.frame_dial = dial("Frame", "frame", [1, 2], 1, self._set_frame, unit="")
                self.frame_dial.classes("frames")
                self.failure = alert()
            with block("section", "explore-side", aria_label="Settings and figures"):
                self._build_controls()
                self._build_mosaic()
                self._build_figures()
            with block("div", "explore-below"):
                self._build_words()
                self._build_copies()
        await some_picture(self.tab)
        await self.refresh()

    def _build_source(self) -> None:
        with block("div", "source"):
            heading("Explore", 1)
            self.drop = drop(self.tab, self.refresh)
            with block("div", "chips", role="group", aria_label="Examples"):
                self.chips = {
                    name: button(name, partial(self._take_example, name), "chip")
                    for name in example_names()
                }
            if len(self.pictures) > MOST_LISTED:
                finder("Image of the folder", list(self.pictures), self._take_file, name="file")
            elif self.pictures:
                options = [("", "From the folder …"), *((name, name) for name in self.pictures)]
                choice("Image of the folder", {"": options}, "", self._take_file, name="file")
            self.about = words("", "p", "about")

    def _build_words(self) -> None:
        self.statements: dict[str, Any] = {}
        with block("dl", "statements"):
            for name in ("removed", "obscured", "preserved"):
                with block("div", f"statement {name}"):
                    words(name.capitalize(), "dt")
                    self.statements[name] = words("", "dd")

    def _build_controls(self) -> None:
        settings = self.tab.settings
        with card("Settings", "controls"):
            self.level = dial(
                "Level J", "level", LEVELS, settings.level, self._setter("level"), unit="levels"
            )
            self.patches = dial(
                "Patches P", "patches", PATCHES, settings.patches, self._setter("patches"),
                unit="cells per axis", exact=True,
            )  # fmt: skip
            segments("Privatized image", SIZES, settings.size, self._setter("size"), name="size")
            with block("details", "more"):
                words("Wavelet, pooling, grid", "summary")
                wavelets = {"Often used": [(name, name) for name in USUAL_WAVELETS]}
                wavelets["All"] = [
                    (name, name)
                    for name in pywt.wavelist(kind="discrete")
                    if name not in USUAL_WAVELETS
                ]
                choice(
                    "Wavelet", wavelets, settings.wavelet, self._setter("wavelet"), name="wavelet"
                )
                choice(
                    "Pooling", {"": POOLINGS}, settings.pooling, self._setter("pooling"),
                    name="pooling",
                )  # fmt: skip
                segments("Grid", GRIDS, settings.grid, self._setter("grid"), name="grid")
                self.boundary = segments(
                    "Beyond the edge", BOUNDARIES, settings.boundary, self._setter("boundary"),
                    name="boundary",
                )  # fmt: skip
                self.boundary_reason = words("", "p", "limit")

    def _build_figures(self) -> None:
        with card("Size and similarity", "kept"):
            self.share = words("", "p", "big")
            names = ("Kept", "In memory", "On disk", "Similarity")
            self.figures = terms([(name, "") for name in names])

    def _build_mosaic(self) -> None:
        with card("The code"):
            self.mosaic = Mosaic()
            put(self.mosaic, words=POINT, side=1, rows=1, columns=1)
            self.mosaic.on("point", self._point, throttle=0.03)

    def _build_copies(self) -> None:
        with card("Use these settings", "copies"):
            self.command = copyable("Command line")
            self.python = copyable("Python")

    # -- what happens ---------------------------------------------------------------------------

    def _setter(self, name: str) -> Any:
        return lambda value: self._set(name, value)

    async def _set(self, name: str, value: object) -> None:
        self.tab.settings = self.tab.settings.with_one(name, value)
        await self.refresh()

    async def _set_frame(self, number: int) -> None:
        self.tab.frame = number - 1
        await self.refresh()

    async def _turn(self, event: Any) -> None:
        """Show the next or the previous frame or image, as wheel, keys and player ask."""
        about = event.args if isinstance(event.args, dict) else {}
        await self.strip.turn(1 if about.get("step") == 1 else -1, about.get("around") is True)

    async def _go(self, target: int | str) -> None:
        if isinstance(target, str):
            await self._take_file(target)
        else:
            await self._set_frame(target + 1)

    async def _take_example(self, name: str, _: object) -> None:
        self.tab.take(await asyncio.to_thread(example, name), name)
        await self.refresh()

    async def _take_file(self, name: str) -> None:
        path = self.pictures.get(name)
        if path is None:
            return
        self._asked_file = name
        try:
            picture = await asyncio.to_thread(self.library.reader.read, path)
        except DeepfixcxError as error:
            say(self.failure, f"This image cannot be shown: {error}.")
            return
        if self._asked_file == name:  # no other was chosen meanwhile
            self.tab.take(picture, file=name)
            await self.refresh()

    async def _point(self, event: Any) -> None:
        place, look = event.args, self.look
        if not place or look is None:
            put(self.viewer, box=[])
            put(self.mosaic, words=POINT)
            return
        try:
            names = ("band_row", "band_column", "row", "column")
            cell = look.cell(*(int(place[name]) for name in names))
        except (IndexError, KeyError, TypeError, ValueError):
            return
        put(self.viewer, box=list(cell.box))
        put(self.mosaic, words=cell.words)

    async def refresh(self) -> None:
        """Show the settings of the tab; of many changes in a row, only the last."""
        self._wanted += 1
        if self._busy:
            return
        self._busy = True
        try:
            while self._done != self._wanted:
                self._done = self._wanted
                await self._show()
        finally:
            self._busy = False

    async def _show(self) -> None:
        picture = self.tab.picture
        if picture is None:
            return
        _, height, width = picture.shape
        settings = fitting(self.tab.settings, height, width)
        try:
            look = await asyncio.to_thread(_decoded, picture, settings, self.tab.frame)
        except DeepfixcxError as error:
            say(self.failure, f"These settings do not fit: {error}.")
            return
        self.failure.set_text("")
        self.look = look
        self._show_images(look)
        self._show_controls(settings, height, width)
        texts = await asyncio.to_thread(lambda: (look.words(), look.figures()))  # after the image
        self._show_words(look, *texts)
        background_tasks.create(self._compare(look), name="similarity")

    async def _compare(self, look: Look) -> None:
        """Show the similarity when the sliders have rested; never in the way of an image."""
        say(self.figures[-1], "…")
        await asyncio.sleep(REST)
        async with self._measuring:
            if look is not self.look:
                return
            text = await asyncio.to_thread(look.likeness)
        if look is self.look:
            say(self.figures[-1], text)

    def _show_images(self, look: Look) -> None:
        _, height, width = look.picture.shape
        if self._drawn != (self.tab.subject, self.tab.frame):
            if self._drawn[0] != self.tab.subject:
                self._show_subject(look.picture)
            self._drawn = (self.tab.subject, self.tab.frame)
            self._original_raw = self._raw(
                "original-values", look.original_values(), look.original_values
            )
            put(self.viewer, original=self.tab.show("original", look.original_png))
            put(self.viewer, units=look.units())
            put(self.frame_dial, value=self.tab.frame + 1)
            self.strip.show(look.picture)
        spec = look.codec.spec
        rows, columns = spec.cells(height, width)
        put(
            self.viewer,
            raw={
                "left": self._original_raw,
                "right": self._raw(
                    "privatized-values", np.moveaxis(look.privatized, 0, -1), look.privatized_values
                ),
            },
            privatized=self.tab.inlined("privatized", look.privatized_png),
            crisp=look.settings.size == "compact",
            box=[],
            right_size=f"{look.privatized.shape[1]:,} × {look.privatized.shape[2]:,} pixels",
            left_size=f"{height:,} × {width:,} pixels",
            rows=_shares(rows.starts, spec.block, height),
            columns=_shares(columns.starts, spec.block, width),
        )
        grid_rows, grid_columns = spec.grid_shape
        put(self.mosaic, src=self.tab.show("mosaic", look.mosaic_png), side=spec.block)
        put(self.mosaic, rows=grid_rows, columns=grid_columns)

    def _raw(self, name: str, like: NDArray[Any], make: Callable[[], NDArray[Any]]) -> Any:
        """Describe values to the viewer, which fetches them when it needs them."""
        return raw_about(like) | {"url": self.tab.show(name, lambda: raw_bytes(make()))}

    def _show_subject(self, picture: Picture) -> None:
        """Show what another image brings: its size and its frames."""
        _, height, width = picture.shape
        count = len(picture.frames)
        put(self.viewer, width=width, height=height, subject=self.tab.scene, film=count)
        put(self.viewer, turns=self.strip.count)
        put(self.drop, subject=self.tab.subject)
        say(self.about, picture.words)
        for name, chip in self.chips.items():
            put(chip, aria_pressed=str(name == self.tab.example).lower())
        put(self.frame_dial, steps=list(range(1, max(count, 2) + 1)), limit=count)
        put(self.frame_dial, hint=f"of {count}")
        self.frame_dial.set_visibility(count > 1)

    def _show_controls(self, settings: Settings, height: int, width: int) -> None:
        reach = limits(settings, height, width)
        bands, side = 4**settings.level, 2**settings.level
        put(self.level, value=settings.level, limit=reach["level"].most)
        put(self.level, hint=f"{bands:,} bands: {side} × {side} sizes and directions of edges.")
        put(self.level, reason=reach["level"].reason)
        put(self.patches, value=settings.patches, limit=reach["patches"].most)
        put(self.patches, hint=f"{settings.patches} × {settings.patches} values in each band.")
        put(self.patches, reason=reach["patches"].reason)
        haar = settings.wavelet in ("haar", "db1")
        for value, radio in self.boundary.items():
            put(radio, disabled=haar or None, checked=settings.boundary == value or None)
        self.boundary_reason.set_text(HAAR_REASON if haar else "")
        self.command.set_text(settings.command_line())
        self.python.set_text(settings.python())
        remember("/", **settings.changed())

    def _show_words(self, look: Look, statements: dict[str, str], figures: Figures) -> None:
        for name, text in statements.items():
            say(self.statements[name], _sentence(text))
        say(self.share, f"{look.kept().percent} of the values, {look.kept().ratio}")
        texts = (figures.kept, figures.memory, figures.disk)
        for element, text in zip(self.figures, texts, strict=False):
            say(element, text)


def _decoded(picture: Picture, settings: Settings, frame: int) -> Look:
    look = Look(picture, settings, frame)
    look.privatized_png()  # decoded now, in this thread
    return look


def _shares(starts: NDArray[np.int64], block_side: int, side: int) -> list[float]:
    return [min(max(int(start) * block_side / side, 0.0), 1.0) for start in starts[1:]]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
