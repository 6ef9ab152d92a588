"""Volumes: three planes of a volume, and the reconstruction at the settings of the sliders."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from nicegui import background_tasks

from deepfixcx._words import counted
from deepfixcx.errors import DeepfixcxError
from deepfixcx.images.dicom.series import holds_slices, series_of
from deepfixcx.images.frames import SNIFFED_BYTES, sniff
from deepfixcx.images.reading import guarded, open_image
from deepfixcx.studio.elements import (
    Mosaic,
    Planes,
    alert,
    block,
    button,
    card,
    choice,
    copyable,
    dial,
    drop,
    heading,
    put,
    remember,
    say,
    terms,
    words,
)
from deepfixcx.studio.releases import Library
from deepfixcx.studio.uploads import Solid
from deepfixcx.studio.volumes import (
    DRAWN,
    LEVELS,
    SolidLook,
    SolidSettings,
    example_solid,
    fitting,
    limits,
)
from deepfixcx.studio.workspace import PATCHES, Workspace

__all__ = ["VolumePage", "solids_in"]

REST = 0.25
"""Seconds without a change after which a volume is compared with its reconstruction."""

POINT = "Point at a value to see its place. The map shows the cells at the cross-hair."

DIALS = (
    ("level", "Level J", tuple(range(1, LEVELS + 1)), "levels"),
    ("level_z", "Splits along slices J_z", tuple(range(LEVELS + 1)), "levels"),
    ("patches", "Patches P", PATCHES, "cells along rows and columns"),
    ("patches_z", "Patches along slices", PATCHES, "cells along slices"),
)


NIFTI, DICOM = (".nii", ".nii.gz"), frozenset({".dcm", ".dicom", ""})
ENHANCED = ("enhanced",)
"""What stands for the series of a DICOM file that is a volume alone."""

MOST_HEADERS = 5_000
"""DICOM headers that are read to find series."""


def solids_in(library: Library) -> dict[str, tuple[Path, ...]]:
    """Return the volumes of a folder: NIfTI files, DICOM series, and enhanced DICOM files."""
    found: dict[str, tuple[Path, ...]] = {}
    headers = 0
    for path, files in library.sources():
        series: dict[tuple[str, ...], list[Path]] = {}
        for name in files:
            if name.lower().endswith(NIFTI):
                found[library.name_of(path / name)] = (path / name,)
            elif Path(name).suffix.lower() in DICOM and headers < MOST_HEADERS:
                headers += 1
                series.setdefault(_series_of(path / name), []).append(path / name)
        found |= {library.name_of(each): (each,) for each in series.pop(ENHANCED, [])}
        several = [each for key, each in series.items() if key and len(each) > 1]
        for number, members in enumerate(several, 1):
            about = f"series {number}, " * (len(several) > 1) + f"{len(members)} slices"
            found[f"{library.name_of(path)} ({about})"] = tuple(members)
    return found


def _series_of(path: Path) -> tuple[str, ...]:
    """Return what identifies the series of a DICOM file; empty for what is no part of a volume."""
    try:
        with open_image(path) as file:  # a pipe would wait for its writer
            if sniff(file.read(SNIFFED_BYTES)) != "DICOM":
                return ()
            file.seek(0)
            if key := guarded(lambda: series_of(file)):
                return key
            file.seek(0)
            return ENHANCED if guarded(lambda: holds_slices(file)) else ()
    except (OSError, DeepfixcxError):
        return ()


class VolumePage:
    """The page of one tab; the volume survives a visit to another page."""

    def __init__(self, tab: Workspace, library: Library) -> None:
        self.tab, self.library = tab, library
        self.settings = SolidSettings.from_query(tab.query)
        self.solids: dict[str, tuple[Path, ...]] = {}
        self.look: SolidLook | None = None
        self.at = 0
        self.time = 0
        self._shown: Solid | None = None
        self._subject = self._version = 0
        self._wanted = self._done = 0
        self._busy = False
        self._asked_name = ""
        self._measuring = asyncio.Lock()

    async def build(self) -> None:
        """Make the elements, then show the volume."""
        self.solids = await asyncio.to_thread(solids_in, self.library)
        with block("div", "page explore volumes", id_="main", tabindex="-1"):
            self._build_source()
            with block("section", "explore-image", aria_label="Planes"):
                self.planes = Planes()
                put(self.planes, url=f"/planes/{self.tab.key}", size=[1, 1, 1], spacing=[1, 1, 1])
                put(self.planes, planes=[], box=[], version=0, subject=0)
                self.planes.on("cross", self._cross)
                self.time_dial = dial("Time", "time", [1, 2], 1, self._set_time, unit="")
                self.failure = alert()
            with block("section", "explore-side", aria_label="Settings and figures"):
                self._build_controls()
                with card("The code"):
                    self.mosaic = Mosaic()
                    put(self.mosaic, words=POINT, side=1, rows=1, columns=1)
                    self.mosaic.on("point", self._point, throttle=0.03)
                with card("Size and similarity", "kept"):
                    self.share = words("", "p", "big")
                    names = ("Kept", "In memory", "On disk", "Similarity")
                    self.figures = terms([(name, "") for name in names])
            with block("div", "explore-below"), card("Use these settings", "copies"):
                self.command = copyable("Command line")
                self.python = copyable("Python")
        if self.tab.solid is None:
            self.tab.take_solid(await asyncio.to_thread(example_solid), DRAWN)
        await self.refresh()

    def _build_source(self) -> None:
        with block("div", "source"):
            heading("Volumes", 1)
            self.drop = drop(self.tab, self.refresh, solid=True)
            self.chip = button(DRAWN, self._take_example, "chip")
            if self.solids:
                options = [("", "From the folder …"), *((name, name) for name in self.solids)]
                choice("Volume of the folder", {"": options}, "", self._take, name="solid")
            self.about = words("", "p", "about")

    def _build_controls(self) -> None:
        with card("Settings", "controls"):
            self.dials = {
                name: dial(
                    label,
                    name,
                    steps,
                    getattr(self.settings, name),
                    partial(self._set, name),
                    unit=unit,
                    exact=name.startswith("patches"),
                )
                for name, label, steps, unit in DIALS
            }

    # -- what happens ---------------------------------------------------------------------------

    async def _set(self, name: str, value: int) -> None:
        self.settings = self.settings.with_one(name, value)
        await self.refresh()

    async def _set_time(self, number: int) -> None:
        self.time = number - 1
        await self.refresh()

    async def _take_example(self, _: object) -> None:
        self._asked_name = ""
        self.tab.take_solid(await asyncio.to_thread(example_solid), DRAWN)
        await self.refresh()

    async def _take(self, name: str) -> None:
        paths = self.solids.get(name)
        if paths is None:
            return
        self._asked_name = name
        say(self.about, "Reading the volume …")
        try:
            solid = await asyncio.to_thread(self.library.reader.read_solid, paths)
        except DeepfixcxError as error:
            say(self.failure, f"This volume cannot be shown: {error}.")
            say(self.about, "" if self._shown is None else self._shown.words)
            return
        if self._asked_name == name:  # no other was chosen meanwhile
            self.tab.take_solid(solid, name)
            await self.refresh()

    async def _cross(self, event: Any) -> None:
        """Show the cells at the cross-hair in the map."""
        if self.look is None or not isinstance(event.args, list) or not event.args:
            return
        place = event.args[0]
        if isinstance(place, int) and 0 <= place < self.look.solid.size[0]:
            before = self.look.cell_slice(self.at)
            self.at = place
            if self.look.cell_slice(place) != before:
                self._show_map(self.look)

    async def _point(self, event: Any) -> None:
        place, look = event.args, self.look
        if not place or look is None:
            put(self.planes, box=[])
            put(self.mosaic, words=POINT)
            return
        try:
            names = ("band_row", "band_column", "row", "column")
            numbers = [int(place[name]) for name in names]
            text, box = look.cell(look.cell_slice(self.at), *numbers)
        except (IndexError, KeyError, TypeError, ValueError):
            return
        put(self.planes, box=box)
        put(self.mosaic, words=text)

    async def refresh(self) -> None:
        """Show volume and settings of the tab; of many changes in a row, only the last."""
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
        solid = self.tab.solid
        if solid is None:
            return
        fresh = solid is not self._shown
        if fresh:
            self.time = 0
        settings = fitting(self.settings, solid.size)
        try:
            look = await asyncio.to_thread(_decoded, solid, settings, self.time)
        except DeepfixcxError as error:
            say(self.failure, f"These settings do not fit: {error}.")
            return
        self.failure.set_text("")
        self.look, self.tab.planes = look, look.plane_bytes
        self._version += 1
        if fresh:
            self._show_solid(solid)
        spacing = np.linalg.norm(solid.affine[:3, :3], axis=0)[::-1]
        put(
            self.planes,
            size=list(solid.size),
            spacing=[float(each) or 1.0 for each in spacing],
            planes=[_plane(each) for each in look.planes],
            sides=look.sides(),
            units=await asyncio.to_thread(look.units),
            box=[],
            version=self._version,
            subject=self._subject,
        )
        self._show_map(look)
        self._show_controls(settings, solid)
        self._show_figures(look)
        background_tasks.create(self._compare(look), name="similarity")

    def _show_solid(self, solid: Solid) -> None:
        self._shown = solid
        self._subject += 1
        self.at = solid.size[0] >> 1
        name = "" if self.tab.solid_name in ("", DRAWN) else f"{self.tab.solid_name}: "
        say(self.about, name + solid.words)
        put(self.drop, subject=self._subject)
        put(self.chip, aria_pressed=str(self.tab.solid_name == DRAWN).lower())
        count = len(solid.frames)
        put(self.time_dial, steps=list(range(1, max(count, 2) + 1)), limit=count, value=1)
        put(self.time_dial, hint=f"of {count}")
        self.time_dial.set_visibility(count > 1)

    def _show_map(self, look: SolidLook) -> None:
        layer = look.cell_slice(self.at)
        _, rows, columns = look.codec.spec.grid_shape
        block_side = look.codec.spec.block
        put(
            self.mosaic,
            src=self.tab.show("volume-map", partial(look.map_png, layer)),
            side=block_side,
            rows=rows,
            columns=columns,
            panels=list(look.panels),
            words=POINT,
        )

    def _show_controls(self, settings: SolidSettings, solid: Solid) -> None:
        reach = limits(settings, solid.size)
        spec = settings.spec
        frequencies = counted(1 << spec.axis_levels[0], "frequency", "frequencies")
        hints = {
            "level": f"{spec.bands:,} bands.",
            "level_z": f"{frequencies} along slices.",
            "patches": f"{settings.patches} × {settings.patches} cells in each slice of a band.",
            "patches_z": f"{settings.patches_z} cells along the slices of a band.",
        }
        for name, element in self.dials.items():
            value = spec.axis_levels[0] if name == "level_z" else getattr(settings, name)
            put(element, value=value, limit=reach[name].most)
            put(element, hint=hints[name], reason=reach[name].reason)
        self.command.set_text(settings.command_line())
        self.python.set_text(settings.python())
        remember("/volumes", **self.settings.query())

    def _show_figures(self, look: SolidLook) -> None:
        kept = look.kept()
        say(self.share, f"{kept.percent} of the values, {kept.ratio}")
        for element, text in zip(self.figures, look.figures(), strict=False):
            say(element, text)

    async def _compare(self, look: SolidLook) -> None:
        """Show the similarity when the sliders have rested."""
        say(self.figures[-1], "…")
        await asyncio.sleep(REST)
        async with self._measuring:
            if look is not self.look:
                return
            text = await asyncio.to_thread(look.likeness)
        if look is self.look:
            say(self.figures[-1], text)


def _decoded(solid: Solid, settings: SolidSettings, time: int) -> SolidLook:
    look = SolidLook(solid, settings, time)
    _ = look.privatized  # decoded now, in this thread
    return look


def _plane(plane: Any) -> dict[str, object]:
    names = ("name", "around", "down", "across", "flips", "edges")
    return {name: getattr(plane, name) for name in names}
