"""Several releases of a folder side by side: what each keeps and shows, and the same images."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from nicegui.element import Element

from deepfixcx._words import percent
from deepfixcx.errors import DeepfixcxError
from deepfixcx.release import PrivateFolder
from deepfixcx.report.html import table
from deepfixcx.report.html_release import ReleaseFacts, Shared, spread_out
from deepfixcx.report.html_results import is_bound, read_audit
from deepfixcx.studio.elements import block, button, card, markup, note, put, words
from deepfixcx.studio.releases import Found, Gallery
from deepfixcx.studio.workspace import Workspace

__all__ = ["Beside", "matched", "overview"]

COLUMNS, SIDE = 8, 160
MOST = 4
"""Releases that are shown beside each other at first; more can be chosen."""

HEAD = (
    "release", "J", "P", "mechanism", "records", "failed", "values kept", "linkage AUC", "checksum",
)  # fmt: skip


def overview(galleries: Sequence[tuple[str, Gallery]]) -> list[list[str]]:
    """Return a line for each release, in the columns of `HEAD`."""
    return [_line(name, each.facts) for name, each in galleries]


def _line(name: str, facts: ReleaseFacts) -> list[str]:
    rows, columns = facts.spec.grid_shape[-2:]
    totals = facts.totals
    kept = ""
    if facts.records is None and totals.get("source_values"):
        kept = percent(totals["kept_values"], totals["source_values"])
    return [
        name,
        str(facts.spec.level),
        str(rows) if rows == columns else f"{rows} × {columns}",
        ", ".join(facts.mechanism_names),
        str(len(facts.images)),
        str(len(facts.failures)),
        kept,
        _linkage(facts),
        facts.checksum[:8],
    ]


def _linkage(facts: ReleaseFacts) -> str:
    """Return the AUC of the strongest linkage attack of the audit of a release; "" without one."""
    path = facts.folder.with_name(f"{facts.folder.name}.audit") / "audit.json"
    try:
        if not is_bound(path, "the audit", facts.checksum):
            return ""
        found = [
            each.value
            for each in read_audit(path).attacks
            if each.attack == "linkage" and each.figure == "AUC" and each.valid
            and each.attacker != "labels"
        ]  # fmt: skip
    except DeepfixcxError:
        return ""
    return str(max(found, key=lambda each: each.value)) if found else ""


def matched(several: Sequence[ReleaseFacts]) -> list[tuple[Shared, ...]]:
    """Return some images, each with its counterpart in every release.

    The private folders beside the releases name the source of each image; without one, its ID
    stands for its name.
    """
    found: list[dict[tuple[str, int], Shared]] = []
    for facts in several:
        names: dict[str, str] = {}
        with suppress(DeepfixcxError):
            names = PrivateFolder.of(facts.folder).sources()
        keys = ((names.get(each.source_id, each.source_id), each.frame) for each in facts.images)
        found.append(dict(zip(keys, facts.images, strict=True)))
    if not found:
        return []
    keys_of = {image: key for key, image in found[0].items()}
    common = [image for image, key in keys_of.items() if all(key in each for each in found[1:])]
    return [tuple(each[keys_of[image]] for each in found) for image in spread_out(common, COLUMNS)]


class Beside:
    """The card that lists the releases of the folder and shows the chosen ones in rows."""

    def __init__(self, tab: Workspace, found: Sequence[Found]) -> None:
        self.tab, self.found = tab, found
        self.galleries: list[tuple[str, Gallery]] = []
        self.chosen: list[int] = []
        self.chips: list[Element] = []

    async def build(self) -> None:
        """Make the card; with fewer than two releases there is none."""
        self.galleries = await asyncio.to_thread(self._read)
        if len(self.galleries) < 2:
            return
        with card("All releases", "beside", label="All releases"):
            markup(table(HEAD, overview(self.galleries)), "listed")
            words("Side by side", "h3")
            with block("div", "chips", role="group", aria_label="Releases side by side"):
                self.chips = [
                    button(name, partial(self._toggle, place), "chip")
                    for place, (name, _) in enumerate(self.galleries)
                ]
            self.place = block(
                "div", "beside-rows", tabindex="0", role="region", aria_label="Images"
            )
        self.chosen = list(range(len(self.galleries)))[:MOST]
        await self._draw()

    def _read(self) -> list[tuple[str, Gallery]]:
        found = []
        for each in self.found:
            with suppress(DeepfixcxError):
                if each.finished:
                    facts = ReleaseFacts.read(each.path)
                    found.append((each.name, Gallery(each.path, "finished", (), facts)))
        return found

    async def _toggle(self, place: int, _: object) -> None:
        if place in self.chosen:
            self.chosen.remove(place)
        else:
            self.chosen = sorted([*self.chosen, place])
        await self._draw()

    async def _draw(self) -> None:
        for place, chip in enumerate(self.chips):
            put(chip, aria_pressed=str(place in self.chosen).lower())
        several = [self.galleries[place] for place in self.chosen]
        rows = await asyncio.to_thread(matched, [each.facts for _, each in several])
        self.place.clear()
        with self.place:
            if several and not rows:
                note(
                    "These releases have no image in common, or the private folders that name "
                    "their sources are not beside them."
                )
                return
            with block("table", "beside-table"), block("tbody"):
                for place, (name, gallery) in enumerate(several):
                    self._draw_release(place, name, gallery, [row[place] for row in rows])

    def _draw_release(
        self, place: int, name: str, gallery: Gallery, images: Sequence[Shared]
    ) -> None:
        with block("tr"):
            with block("th", scope="row"):
                words(name, "span")
                facts = gallery.facts
                words(f"{facts.spec}, {', '.join(facts.mechanism_names)}", "small")
            for number, image in enumerate(images):
                with block("td"):
                    make = partial(gallery.picture, image, SIDE)
                    url = self.tab.show(f"beside-{place}-{number}", make)
                    block("img", src=url, alt=f"{image.name} in {name}", loading="lazy")
