"""Explain: what a trained model says of the image, and why: in place, in bands, in words."""

from __future__ import annotations

import asyncio
from pathlib import Path

from deepfixcx._optional import require

require("nicegui", extra="studio")

from deepfixcx.errors import DeepfixcxError
from deepfixcx.report.html_plots import signed_svg
from deepfixcx.studio.elements import (
    Drop,
    Viewer,
    block,
    choice,
    heading,
    markup,
    put,
    words,
)
from deepfixcx.studio.explaining import Explained, explain_picture
from deepfixcx.studio.library import Library
from deepfixcx.studio.pages import LibraryPage, some_picture
from deepfixcx.studio.uploads import MOST_BYTES
from deepfixcx.studio.workspace import Workspace

__all__ = ["ExplainPage"]


class ExplainPage(LibraryPage):
    """The page of one tab; its image is what a model is asked about."""

    def __init__(self, tab: Workspace, library: Library) -> None:
        super().__init__(tab, library)
        self.model: Path | None = None
        self.label = ""

    async def build(self) -> None:
        """Make the elements, then ask the first model."""
        self.found = await asyncio.to_thread(self.library.find, "model")
        with block("div", "page explain", id_="main", tabindex="-1"):
            heading("Explain", 1)
            if not self.found:
                words("No trained model lies here. Train one, and open the studio on the folder "
                      "that holds it:", "p")  # fmt: skip
                words(
                    "deepfixcx train xrays --labels pneumonia -o model\ndeepfixcx studio .", "pre"
                )
                return
            with block("div", "source"):
                drop = Drop()
                put(drop, url=f"/upload/{self.tab.key}", most=MOST_BYTES)
                drop.on("took", lambda: self._ask())
            with block("div", "toolbar"):
                names = [(each.name, each.name) for each in self.found]
                choice("Model", {"": names}, names[0][0], self._open, name="model")
                self.label_place = block("div")
            self.about = words("", "p", "about", role="status")
            self.failure = words("", "p", "message bad", role="alert")
            with block("div", "two"):
                self.left = block("div", "stack")
                self.right = block("div", "stack")
        await self._open(self.found[0].name)

    async def _open(self, name: str) -> None:
        self.model = next((each.path for each in self.found if each.name == name), None)
        self.label = ""
        await self._ask()

    async def _set_label(self, label: str) -> None:
        self.label = label
        await self._ask()

    async def _ask(self) -> None:
        if self.model is None:
            return
        picture = await some_picture(self.tab)
        self.about.set_text("Asking the model …")
        try:
            found = await asyncio.to_thread(
                explain_picture, self.model, picture, self.tab.frame, self.label
            )
        except DeepfixcxError as error:
            self.about.set_text("")
            self.failure.set_text(f"{error}.")
            self.left.clear()
            self.right.clear()
            return
        self.failure.set_text("")
        self.about.set_text(f"{picture.words}; the model sees codes of {found.spec}.{found.note}")
        self._draw(found)

    def _draw(self, found: Explained) -> None:
        self.left.clear()
        self.right.clear()
        self.label_place.clear()
        if len(found.answers) > 1:
            with self.label_place:
                names = [(answer.label, answer.label) for answer in found.answers]
                choice("Finding", {"": names}, found.label, self._set_label, name="label")
        with self.left, block("section", "card", aria_label="Reasons in place"):
            heading("Where")
            viewer = Viewer()
            height, width = found.size
            put(viewer, width=width, height=height, left="what the model sees", right="reasons")
            put(viewer, original=self.tab.show("seen", found.picture_png))
            put(viewer, privatized=self.tab.show("reasons", found.place_png))
            words(
                f"Orange pushes towards {found.label}, blue away from it, on the reconstruction of "
                "the code. The original is not needed, and not shown.",
                "p",
                "note",
            )
        with self.right:
            self._draw_answers(found)
            with block("section", "card", aria_label="Reasons in words"):
                heading("In words")
                with block("ol", "plain-list"):
                    for reason in found.reasons:
                        words(reason, "li")
            with block("section", "card", aria_label="Reasons by band"):
                heading("In which bands")
                markup(signed_svg(found.groups, f"towards {found.label}"), "plot narrow")
                words(
                    f"By octave and direction, {found.compared}. Together they miss the answer by "
                    f"{100 * found.error:.1f} %.",
                    "p",
                    "note",
                )

    def _draw_answers(self, found: Explained) -> None:
        with block("section", "card", aria_label="Answer"):
            heading("Answer")
            with block("table", "scores"):
                with block("thead"), block("tr"):
                    for name in ("finding", "answer", "score", "yes from"):
                        words(name, "th", scope="col")
                with block("tbody"):
                    for answer in found.answers:
                        with block("tr"):
                            words(answer.label, "th", scope="row")
                            words(answer.words, "td")
                            words(f"{answer.score:.3f}", "td")
                            words(f"{answer.threshold:.3f}", "td")
