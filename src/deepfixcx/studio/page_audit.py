"""Audit: what attacks, sweeps and frontiers found, with intervals; a point shows its images."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from deepfixcx._optional import require

require("nicegui", extra="studio")

from deepfixcx.errors import DeepfixcxError
from deepfixcx.frontier.rows import recommend as recommend_of_frontier
from deepfixcx.learn.sweep.rows import recommend as recommend_of_sweep
from deepfixcx.report.html_points import points_svg
from deepfixcx.report.html_results import read_audit, read_frontier, read_sweep
from deepfixcx.report.sections_results import (
    MEANING,
    attack_figure,
    attack_groups,
    frontier_points,
    sweep_table,
)
from deepfixcx.studio.elements import Viewer, block, choice, heading, markup, put, words
from deepfixcx.studio.examples import example, example_names
from deepfixcx.studio.exploring import Look
from deepfixcx.studio.library import Found, Library
from deepfixcx.studio.settings import Settings, fitting
from deepfixcx.studio.workspace import Workspace

__all__ = ["AuditPage"]

KINDS = {"audit": "Audit", "frontier": "Frontier", "sweep": "Sweep"}
SETTING = re.compile(r"J(\d{1,2})_P(\d{1,3})(?:_(.+))?")


class AuditPage:
    """The page of one tab.

    Parameters
    ----------
    tab : Workspace
        Its image is what a setting is shown on.
    library : Library
        What lies in the folder of the studio.
    """

    def __init__(self, tab: Workspace, library: Library) -> None:
        self.tab = tab
        self.library = library
        self.found: list[Found] = []

    async def build(self) -> None:
        """Make the elements, then show the first result."""
        self.found = await asyncio.to_thread(self.library.find, *KINDS)
        with block("div", "page audit", id_="main", tabindex="-1"):
            heading("Audit", 1)
            if not self.found:
                words("No result of audit, frontier or sweep lies here. Make one, and open the "
                      "studio on the folder that holds it:", "p")  # fmt: skip
                words(
                    "deepfixcx audit shared --against scans --patients patients.csv\n"
                    "deepfixcx frontier scans --labels pneumonia -o frontier\n"
                    "deepfixcx sweep scans --labels pneumonia -o sweep\ndeepfixcx studio .",
                    "pre",
                )
                return
            with block("div", "toolbar"):
                names = [
                    (str(number), f"{KINDS[each.kind]}: {each.name}")
                    for number, each in enumerate(self.found)
                ]
                choice("Result", {"": names}, "0", self._open, name="result")
            self.failure = words("", "p", "message bad", role="alert")
            with block("div", "two") as self.columns:
                self.left = block("div", "stack")
                self.right = block("section", "card", aria_label="Images of the chosen setting")
        await self._open("0")

    async def _open(self, number: str) -> None:
        if not number.isdigit() or int(number) >= len(self.found):
            return
        chosen = self.found[int(number)]
        self.left.clear()
        self.right.clear()
        self.right.set_visibility(chosen.kind != "audit")
        self.columns.classes(replace="wide-cards" if chosen.kind == "audit" else "two")
        self.failure.set_text("")
        draw = {"audit": self._audit, "frontier": self._frontier, "sweep": self._sweep}
        try:
            await draw[chosen.kind](chosen)
        except DeepfixcxError as error:
            self.failure.set_text(f"{error}.")

    async def _audit(self, chosen: Found) -> None:
        audit = await asyncio.to_thread(read_audit, chosen.path)
        with self.left:
            if audit.verdict:
                with block("div", "card"):
                    heading("Verdict")
                    _listed(audit.verdict)
            for attack, figure, rows, others in attack_groups(audit.attacks):
                with block("div", "card"):
                    heading(f"{attack.capitalize()}, {figure}")
                    if meaning := MEANING.get((attack, figure)):
                        words(meaning, "p", "note")
                    markup(attack_figure(rows, figure), "plot narrow")
                    if others:
                        words(f"And {others} weaker ones, in the file.", "p", "note")
            with block("div", "card"):
                heading("Not tested")
                _listed(audit.untested or ("What was left out is not said in this file.",))

    async def _frontier(self, chosen: Found) -> None:
        rows = await asyncio.to_thread(read_frontier, chosen.path)
        recommended = recommend_of_frontier(rows)
        drawn = points_svg(
            frontier_points(rows, pick=True),
            x_title="linkage AUC of the strongest attacker (left is safer)",
            y_title="AUC of classifiers (up is more useful)",
        )
        with self.left, block("div", "card"):
            heading("Utility against linkage")
            words(recommended.sentence, "p")
            plot = markup(drawn, "plot")
            plot.on("pick", lambda event: self._pick(str(event.args)))
            words("Lines are 95 % intervals. Choose a point to see its images.", "p", "note")
        first = recommended.row or (rows[0] if rows else None)
        if first is not None:
            await self._pick(first.name)

    async def _sweep(self, chosen: Found) -> None:
        rows = await asyncio.to_thread(read_sweep, chosen.path)
        recommended = recommend_of_sweep(rows)
        taken = (recommended.level, recommended.patches)
        with self.left, block("div", "card"):
            heading("How well classifiers do")
            words(recommended.sentence, "p")
            plot = markup(sweep_table(rows, taken, pick=True), "plot")
            plot.on("pick", lambda event: self._pick(str(event.args)))
            words("Choose a setting to see its images; the framed one is recommended.", "p", "note")
        if recommended.level is not None:
            await self._pick(f"J{recommended.level}_P{recommended.patches}")

    async def _pick(self, name: str) -> None:
        """Show the image of this tab at a setting, beside its original."""
        found = SETTING.fullmatch(name)
        if found is None:
            return
        level, patches, mechanism = int(found[1]), int(found[2]), found[3] or "plain"
        if self.tab.picture is None:
            first = example_names()[0]
            self.tab.take(await asyncio.to_thread(example, first), first)
        picture = self.tab.picture
        if picture is None:
            return
        _, height, width = picture.shape
        settings = fitting(Settings(min(level, 8), patches), height, width)
        look = await asyncio.to_thread(Look, picture, settings, self.tab.frame)
        self.right.clear()
        with self.right:
            heading(f"J={level}, P={patches}, {mechanism}")
            viewer = Viewer()
            put(viewer, width=width, height=height, left="original", right="privatized")
            put(viewer, crisp=True, original=self.tab.show("audit-original", look.original_png))
            put(viewer, privatized=self.tab.show("audit-privatized", look.privatized_png))
            words(_said_of(picture.words, settings, level, patches, mechanism), "p", "note")
            words("Open in Explore", "a", "button", href=f"/?{settings.query()}")
            self.tab.settings = settings


def _said_of(image: str, settings: Settings, level: int, patches: int, mechanism: str) -> str:
    said = f"Shown on {image}."
    if (settings.level, settings.patches) != (level, patches):
        said += f" It does not fit this image; shown is J={settings.level}, P={settings.patches}."
    if mechanism != "plain":
        said += (
            f" The plain code is shown; {mechanism} changes it further, together with other images."
        )
    return said


def _listed(texts: Sequence[str]) -> None:
    with block("ul", "plain-list"):
        for text in texts:
            words(text, "li")
