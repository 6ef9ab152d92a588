"""Audit: results of attacks, sweeps and frontiers, with intervals; a point shows its images."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from deepfixcx._words import counted
from deepfixcx.errors import DeepfixcxError
from deepfixcx.experiments.frontier_inputs import BASELINES
from deepfixcx.experiments.recommendation import recommend_code, recommend_mechanism
from deepfixcx.experiments.rows import FrontierRow
from deepfixcx.report.html_release import ReleaseFacts, spread_out
from deepfixcx.report.html_results import read_audit, read_frontier, read_sweep
from deepfixcx.report.sections_frontier import frontier_figure, frontier_points, row_of
from deepfixcx.report.sections_results import (
    MEANING,
    attack_figure,
    attack_groups,
    attack_table,
    drawn_and_others,
    sweep_table,
)
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
    some_picture,
    viewer,
    words,
)
from deepfixcx.studio.exploring import Look
from deepfixcx.studio.releases import Found, Library
from deepfixcx.studio.sheet import shown_png
from deepfixcx.studio.workspace import Settings, Workspace, fitting

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
        self.wanted = (0, "")
        self.releases: dict[str, ReleaseFacts] = {}

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
                    (str(number), f"{KINDS[each.kind]}: {each.name}")
                    for number, each in enumerate(self.found)
                ]
                first = self.asked_for("result")
                choice("Result", {"": names}, str(first), self._open, name="result")
            self.failure = alert()
            with block("div", "two") as self.columns:
                self.left = block("div", "stack")
                self.right = block("section", "card", aria_label="Images of the chosen setting")
        self.family = self.tab.query.get("family", "")
        point = self.tab.query.get("point", "")
        await self._open(str(first), point)

    async def _open(self, number: str, point: str = "") -> None:
        """Show a result, with the point in it that an address names."""
        if not number.isdigit() or int(number) >= len(self.found):
            return
        self.chosen = int(number)
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
            drawn, listed = drawn_and_others(audit.attacks)
            for attack, figure, rows, others in attack_groups(drawn):
                with card(f"{attack.capitalize()}, {figure}"):
                    if meaning := MEANING.get((attack, figure)):
                        note(meaning)
                    markup(attack_figure(rows, figure), "plot narrow")
                    if others:
                        note(f"The file holds {counted(others, 'weaker attack')} more.")
            if listed:
                with card("Other results"):
                    markup(attack_table(listed), "listed")
            with card("Not tested"):
                _listed(audit.untested or ("This file does not list what was omitted.",))

    async def _frontier(self, chosen: Found, point: str) -> None:
        rows = await asyncio.to_thread(read_frontier, chosen.path)
        self.releases = await asyncio.to_thread(self._finished_releases)
        recommended = recommend_mechanism(rows)
        families = list(dict.fromkeys(row.mechanism for row in rows))
        self.family = self.family if self.family in families else ""
        here = {
            row.name: name
            for name, facts in self.releases.items()
            if (row := row_of(rows, facts)) is not None
        }
        with self.left, card("Utility against linkage"):
            words(recommended.sentence, "p")
            chips = block("div", "chips", role="group", aria_label="Show one mechanism")
            plot = markup("", "plot")
            plot.on("pick", lambda event: self._pick(str(event.args)))
            note("Lines are 95 % intervals. Choose a point to see its images.")

        def isolate(family: str, _: object = None) -> None:
            self.family = family
            kept = [row for row in rows if family in ("", row.mechanism)]
            points = frontier_points(kept, rows, here=here, pick=True)
            put(plot, content=frontier_figure(points, families))
            chips.clear()
            with chips:
                for name in ("", *families):
                    chip = button(name or "all", partial(isolate, name), "chip")
                    put(chip, aria_pressed=str(name == family).lower())

        isolate(self.family)
        first = recommended.row or (rows[0] if rows else None)
        named = point if any(row.name == point for row in rows) else first and first.name
        if named:
            await self._pick(named)

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
        with self.left, card("Utility of classifiers"):
            words(recommended.sentence, "p")
            plot = markup(sweep_table(rows, recommended.row, pick=True), "plot")
            plot.on("pick", lambda event: self._pick(str(event.args)))
            note("Choose a setting to see its images; the framed one is recommended.")
        if any(row.name == point for row in rows if row.level is not None):
            await self._pick(point)
        elif recommended.row is not None:
            await self._pick(recommended.row.name)

    async def _pick(self, name: str) -> None:
        """Show the image of this tab at a setting, beside its original."""
        found = SETTING.fullmatch(name)
        if found is None:
            return
        level, patches, mechanism = int(found[1]), int(found[2]), found[3] or "plain"
        self.wanted = (self.chosen, name)
        remember("/audit", result=self.chosen, family=self.family, point=name)
        picture = await some_picture(self.tab)
        _, height, width = picture.shape
        settings = fitting(Settings(min(level, 8), patches), height, width)
        look = await asyncio.to_thread(Look, picture, settings, self.tab.frame)
        if self.wanted != (self.chosen, name):  # another point was chosen meanwhile
            return
        row = FrontierRow(level, patches, mechanism, 0)
        made = [each for each in self.releases.items() if row_of([row], each[1]) is not None]
        self.right.clear()
        with self.right:
            heading(f"J={level}, P={patches}, {mechanism}")
            for number, (release, facts) in enumerate(made):
                self._draw_release(number, release, facts)
            viewer(
                width=width, height=height, values=True, crisp=True,
                original=self.tab.show("audit-original", look.original_png),
                privatized=self.tab.show("audit-privatized", look.privatized_png),
            )  # fmt: skip
            note(_caption(picture.words, settings, level, patches, mechanism))
            words("Open in Explore", "a", "button", href=f"/?{settings.query()}")
            self.tab.settings = settings

    def _draw_release(self, place: int, name: str, facts: ReleaseFacts) -> None:
        """Show some images of a release at the chosen point, as a recipient sees them."""
        with block("ul", "alike-row"):
            for number, image in enumerate(spread_out(facts.images, SHOWN)):
                with block("li"):
                    url = self.tab.show(
                        f"made-{place}-{number}", partial(shown_png, facts, image, SMALL)
                    )
                    block("img", src=url, alt=f"{facts.noun} {image.name}", loading="lazy")
        words(
            f"Some of the {counted(len(facts.images), facts.noun)} of the release {name}, which "
            f"has these settings.",
            "p",
            "note",
        )


def _caption(image: str, settings: Settings, level: int, patches: int, mechanism: str) -> str:
    said = f"Shown on {image}."
    if (settings.level, settings.patches) != (level, patches):
        said += f" J={level}, P={patches} does not fit; shown: "
        said += f"J={settings.level}, P={settings.patches}."
    if mechanism in BASELINES:
        said += f" The code with as many values is shown; {mechanism} is its baseline."
    elif mechanism != "plain":
        said += f" The code is shown before {mechanism} is applied."
    return said


def _listed(texts: Sequence[str]) -> None:
    with block("ul", "plain-list"):
        for text in texts:
            words(text, "li")
