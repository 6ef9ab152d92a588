"""Audit: results of attacks, sweeps and frontiers, with intervals; a point shows its images."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import numpy as np
from nicegui.element import Element
from nicegui.events import GenericEventArguments
from numpy.typing import NDArray

from deepfixcx._words import counted
from deepfixcx.errors import DeepfixcxError
from deepfixcx.experiments.recommendation import (
    ABOVE_FLOOR,
    recommend_code,
    recommend_mechanism,
)
from deepfixcx.experiments.rows import FrontierRow
from deepfixcx.report.figure_data import attack_panels, frontier_planes
from deepfixcx.report.grid_data import Cell, Grid, grids_of
from deepfixcx.report.html import for_screen, png_bytes
from deepfixcx.report.html_plots import intervals_svg, points_svg
from deepfixcx.report.html_release import ReleaseFacts, spread_out
from deepfixcx.report.html_results import read_audit, read_frontier, read_sweep
from deepfixcx.report.sections_results import attack_table, meaning_of, row_of
from deepfixcx.studio.elements import (
    LibraryPage,
    alert,
    block,
    button,
    card,
    choice,
    heading,
    markup,
    note,
    put,
    remember,
    say,
    some_picture,
    viewer,
    words,
)
from deepfixcx.studio.exploring import Look
from deepfixcx.studio.outputs import command_of, output_of
from deepfixcx.studio.releases import Found, Gallery, Library
from deepfixcx.studio.uploads import Picture
from deepfixcx.studio.workspace import LEVELS, Settings, Workspace, fitting

__all__ = ["AuditPage"]

SHOWN, SMALL = 6, 96
KINDS = {"audit": "Audit", "frontier": "Frontier", "sweep": "Sweep"}
SETTING = re.compile(r"J(\d{1,2})_P(\d{1,3})(?:_(.+))?")


class AuditPage(LibraryPage):
    """The page of one tab; its image shows what a setting does."""

    def __init__(self, tab: Workspace, library: Library) -> None:
        super().__init__(tab, library)
        self.chosen = 0
        self.family = ""
        self.threshold: float | None = None
        self.wanted = (0, "")
        self.releases: dict[str, ReleaseFacts] = {}
        self.plot: Element | None = None
        self.cells: dict[str, Element] = {}

    async def build(self) -> None:
        """Make the elements, then show the first result."""
        self.found = await asyncio.to_thread(self.library.find, *KINDS)
        with block("div", "page audit", id_="main", tabindex="-1"):
            heading("Audit", 1)
            if not self.found:
                words("There is no result of audit, frontier or sweep in this folder. Make one, "
                      "and open the studio on its folder:", "p")  # fmt: skip
                words(
                    "deepfixcx audit shared --against scans --patients patients.csv\n"
                    "deepfixcx frontier scans --labels pneumonia -o frontier\n"
                    "deepfixcx sweep scans --labels pneumonia -o sweep\ndeepfixcx studio .",
                    "pre",
                )
                return
            with block("div", "toolbar"):
                names = [
                    (number, f"{KINDS[self.found[int(number)].kind]}: {name}")
                    for number, name in self.named()
                ]
                first = self.asked_for("result")
                choice("Result", {"": names}, str(first), self._open, name="result")
            self.failure = alert()
            with block("div", "two") as self.columns:
                self.left = block("div", "stack")
                self.right = block("section", "card", aria_label="Images of the chosen setting")
        self.family = self.tab.query.get("family", "")
        with suppress(ValueError):
            self.threshold = float(self.tab.query.get("threshold", "")) or None
        await self._open(str(first), self.tab.query.get("point", ""))

    async def _open(self, number: str, point: str = "") -> None:
        """Show a result, with the point in it that an address names."""
        if not number.isdigit() or int(number) >= len(self.found):
            return
        self.chosen, self.plot, self.cells = int(number), None, {}
        chosen = self.found[self.chosen]
        self.left.clear()
        self.right.clear()
        self.right.set_visibility(chosen.kind != "audit")
        self.columns.classes(replace="wide-cards" if chosen.kind == "audit" else "two")
        self.failure.set_text("")
        draw = {"audit": self._audit, "frontier": self._frontier, "sweep": self._sweep}
        try:
            await draw[chosen.kind](chosen, point)
        except DeepfixcxError as error:
            self.failure.set_text(f"{error}.")

    async def _audit(self, chosen: Found, _: str) -> None:
        remember("/audit", result=self.chosen)
        audit = await asyncio.to_thread(read_audit, chosen.path)
        with self.left:
            if audit.verdict:
                with card("Verdict"):
                    _listed(audit.verdict)
            for panel in attack_panels(audit.attacks):
                with card(panel.title):
                    if meaning := meaning_of(panel):
                        note(meaning)
                    markup(intervals_svg(panel), "plot narrow")
                    if panel.weaker:
                        note(f"The file holds {counted(panel.weaker, 'weaker attack')} more.")
            if listed := attack_table(audit.attacks):
                with card("Other results"):
                    markup(listed, "listed")
            with card("Not tested"):
                _listed(audit.untested or ("This file does not list what was omitted.",))

    async def _frontier(self, chosen: Found, point: str) -> None:
        rows = await asyncio.to_thread(read_frontier, chosen.path)
        self.releases = await asyncio.to_thread(self._finished_releases)
        families = list(dict.fromkeys(row.mechanism for row in rows))
        self.family = self.family if self.family in families else ""
        here: dict[str, str] = {}
        for name, facts in self.releases.items():
            if (row := row_of(rows, facts)) is not None:
                here[row.name] = f"{here[row.name]}, {name}" if row.name in here else name
        with self.left, card("Utility against privacy"):
            said = words("", "p")
            chips = block("div", "chips", role="group", aria_label="Show one mechanism")
            self.plot = plot = markup("", "plot")
            note(
                "Lines are 95 % intervals. Choose a point to see what is released there. Drag the "
                "line of the threshold, or move it with the arrow keys."
            )

        def draw() -> None:
            recommended = recommend_mechanism(rows, self.threshold)
            say(said, recommended.sentence)
            drawn = self.threshold if self.threshold is not None else default_threshold(rows)
            planes = frontier_planes(rows, recommended.row, drawn, family=self.family, here=here)
            put(plot, content="".join(map(points_svg, planes)))
            chips.clear()
            with chips:
                for name in ("", *families):
                    chip = button(name or "all", partial(isolate, name), "chip")
                    put(chip, aria_pressed=str(name == self.family).lower())

        def isolate(family: str, _: object = None) -> None:
            self.family = family
            draw()
            self._remember(self.wanted[1])

        def limit(event: GenericEventArguments) -> None:
            self.threshold = min(max(float(event.args), 0.5), 1.0)
            draw()
            self._remember(self.wanted[1])

        plot.on("pick", lambda event: self._pick(str(event.args)))
        plot.on("threshold", limit)
        draw()
        first = recommend_mechanism(rows, self.threshold).row or (rows[0] if rows else None)
        named = point if any(row.name == point for row in rows) else first and first.name
        if named:
            await self._pick(named)

    def _remember(self, point: str) -> None:
        """Write result, isolated mechanism, threshold and point into the address."""
        remember(
            "/audit", result=self.chosen, family=self.family, threshold=self.threshold, point=point
        )

    def _finished_releases(self) -> dict[str, ReleaseFacts]:
        """Return the releases of the folder that can be read, by their names."""
        found = {}
        for each in self.library.find("release"):
            with suppress(DeepfixcxError):
                found[each.path.name] = ReleaseFacts.read(each.path)
        return found

    async def _sweep(self, chosen: Found, point: str) -> None:
        self.releases, self.family = {}, ""
        rows = await asyncio.to_thread(read_sweep, chosen.path)
        recommended = recommend_code(rows)
        taken = "" if recommended.row is None else recommended.row.name
        grids = {grid.name: grid for grid in grids_of(rows)}
        coloured = self.tab.query.get("colour", "auc")
        coloured = coloured if coloured in grids else next(iter(grids), "")
        picture = await some_picture(self.tab)
        with self.left, card("Settings"):
            words(recommended.sentence, "p")
            titles = [(name, grid.title) for name, grid in grids.items()]
            choice("Coloured by", {"": titles}, coloured, lambda name: draw(name), name="colour")
            sheet = block("div", "map-sheet")
            note(
                "Darker is better. Choose a setting to see it large; the recommended one is framed."
            )

        def draw(name: str) -> None:
            if name in grids:
                sheet.clear()
                self.cells = {}
                with sheet:
                    self._draw_map(grids[name], picture, taken)

        draw(coloured)
        if any(row.name == point for row in rows if row.level is not None):
            await self._pick(point)
        elif taken:
            await self._pick(taken)

    def _draw_map(self, grid: Grid, picture: Picture, taken: str) -> None:
        """Draw the image at every setting, on the colour of the estimate of the setting."""
        with block("table", "map"):
            with block("tr"):
                words("", "td")
                for count in grid.patches:
                    words(f"P={count}", "th", scope="col")
            for row in grid.cells:
                with block("tr"):
                    words(f"J={row[0].level}", "th", scope="row")
                    for cell in row:
                        with block("td"):
                            self._draw_cell(cell, picture, taken)

    def _draw_cell(self, cell: Cell, picture: Picture, taken: str) -> None:
        if not cell.words:
            words("does not fit", "span", "map-none")
            return
        classes = "map-cell" + (" deep" if cell.deep else "")
        classes += " chosen" if cell.name == taken else ""
        label = f"J={cell.level}, P={cell.patches}: {cell.words}"
        with block("button", classes, type_="button", aria_label=label, title=cell.long) as button_:
            put(button_, data_pick=cell.name)
            self.cells[cell.name] = button_
            put(button_, aria_pressed=str(self.wanted[1] == cell.name).lower())
            button_.style(f"background: {cell.colour}")
            _, height, width = picture.shape
            wanted = Settings(min(cell.level, LEVELS[-1]), cell.patches)
            if fitting(wanted, height, width) == wanted:
                make = partial(_thumbnail, picture, wanted, self.tab.frame)
                url = self.tab.show(f"map-{cell.name}", make)
                block("img", src=url, alt="", loading="lazy")
            words(cell.words, "span")
        button_.on("click", partial(self._pick_cell, cell.name), args=[])

    async def _pick_cell(self, name: str, _: object) -> None:
        await self._pick(name)

    async def _pick(self, name: str) -> None:
        """Show the image of this tab at a setting, beside its original."""
        found = SETTING.fullmatch(name)
        if found is None:
            return
        level, patches, mechanism = int(found[1]), int(found[2]), found[3] or "plain"
        self.wanted = (self.chosen, name)
        if self.plot is not None:
            put(self.plot, selected=name)
        for each, cell in self.cells.items():
            put(cell, aria_pressed=str(each == name).lower())
            cell.classes(**({"add": "here"} if each == name else {"remove": "here"}))
        self._remember(name)
        picture = await some_picture(self.tab)
        _, height, width = picture.shape
        settings = fitting(Settings(min(level, 8), patches), height, width)
        look = await asyncio.to_thread(Look, picture, settings, self.tab.frame)
        output = await asyncio.to_thread(output_of, look, mechanism)
        if self.wanted != (self.chosen, name):  # another point was chosen meanwhile
            return
        row = FrontierRow(level, patches, mechanism, 0)
        made = [each for each in self.releases.items() if row_of([row], each[1]) is not None]
        self.right.clear()
        with self.right:
            heading(f"J={level}, P={patches}, {mechanism}")
            for number, (release, facts) in enumerate(made):
                self._draw_release(number, release, facts)
            shown = viewer(
                right="released", width=width, height=height, values=True, crisp=True,
                subject=self.tab.subject,
                original=self.tab.show("audit-original", look.original_png),
            )  # fmt: skip
            if output.picture is not None:
                png = partial(_png_of, output.picture)
                put(shown, privatized=self.tab.show("audit-privatized", png))
            note(f"Shown of {picture.words}. {output.words}{_unfit(settings, level, patches)}")
            if command := command_of(settings, mechanism):
                words("Make this release", "h3")
                words(command, "pre", tabindex="0", aria_label="Command")
                copy = words("Copy the command", "button", "button", type_="button")
                copy.on(
                    "click",
                    js_handler=f"() => navigator.clipboard.writeText({json.dumps(command)})",
                )
            words("Open in Explore", "a", "button", href=f"/?{settings.query()}")
            self.tab.settings = settings

    def _draw_release(self, place: int, name: str, facts: ReleaseFacts) -> None:
        """Show some images of a release at the chosen point, as a recipient sees them."""
        gallery = Gallery(facts.folder, "finished", (), facts)
        with block("ul", "alike-row"):
            for number, image in enumerate(spread_out(facts.images, SHOWN)):
                with block("li"):
                    url = self.tab.show(
                        f"made-{place}-{number}", partial(gallery.picture, image, SMALL)
                    )
                    block("img", src=url, alt=f"{facts.noun} {image.name}", loading="lazy")
        words(
            f"Some of the {counted(len(facts.images), facts.noun)} of the release {name}, which "
            f"has these settings.",
            "p",
            "note",
        )


def default_threshold(rows: Sequence[FrontierRow]) -> float | None:
    """Return the label-only baseline plus 0.05, the threshold where none is chosen."""
    floors = [row.figures.get("floor_raw", math.nan) for row in rows if row.mechanism == "plain"]
    finite = [floor for floor in floors if math.isfinite(floor)]
    return min(finite[0] + ABOVE_FLOOR, 1.0) if finite else None


def _thumbnail(picture: Picture, settings: Settings, frame: int) -> bytes:
    return png_bytes(for_screen(Look(picture, settings, frame).privatized, SMALL))


def _png_of(picture: NDArray[np.float32]) -> bytes:
    return png_bytes(for_screen(picture))


def _unfit(settings: Settings, level: int, patches: int) -> str:
    """Say that another setting is shown, where the one of a point does not fit the image."""
    if (settings.level, settings.patches) == (level, patches):
        return ""
    return f" J={level}, P={patches} does not fit; shown: J={settings.level}, P={settings.patches}."


def _listed(texts: Sequence[str]) -> None:
    with block("ul", "plain-list"):
        for text in texts:
            words(text, "li")
