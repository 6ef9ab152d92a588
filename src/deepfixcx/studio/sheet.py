"""The chosen image of a gallery, large: beside its original, and with the most similar images."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

import numpy as np
from nicegui import ui
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement
from numpy.typing import NDArray

from deepfixcx._words import counted
from deepfixcx.code import Code
from deepfixcx.errors import DeepfixcxError
from deepfixcx.release.release import Release
from deepfixcx.report.html import for_screen, png_bytes
from deepfixcx.report.html_release import ReleaseFacts, Shared, readable
from deepfixcx.studio.attacking import Attack, Attacked
from deepfixcx.studio.elements import (
    block,
    button,
    dial,
    heading,
    note,
    put,
    say,
    terms,
    viewer,
    words,
)
from deepfixcx.studio.releases import Entry, Gallery
from deepfixcx.studio.workspace import PATCHES, Workspace

__all__ = ["Neighbours", "Sheet"]

MOST_COMPARED = 5000
"""Images of a release that are compared, from the first on."""


class Neighbours:
    """The records of a release as vectors, compared by 1 - cosine after subtraction of the mean."""

    def __init__(self, facts: ReleaseFacts) -> None:
        found = _vectors(facts)
        self.images = list(found)
        vectors = np.stack(list(found.values())) if found else np.zeros((0, 1), np.float32)
        vectors = vectors - vectors.mean(axis=0, keepdims=True) if len(vectors) else vectors
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        self._units = vectors / np.where(lengths > 0, lengths, 1)
        self._place = {image: place for place, image in enumerate(self.images)}

    def of(self, image: Shared, most: int = 6) -> list[tuple[Shared, float]]:
        """Return the images most similar to one, with their distances; none if it is unknown."""
        place = self._place.get(image)
        if place is None:
            return []
        distances = 1 - self._units @ self._units[place]
        distances[place] = np.inf
        nearest = np.argsort(distances, kind="stable")[: min(most, len(self.images) - 1)]
        return [(self.images[each], max(0.0, float(distances[each]))) for each in nearest]


def _vectors(facts: ReleaseFacts) -> dict[Shared, NDArray[np.float32]]:
    """Return a vector for each image; those of an unusual length are omitted."""
    if facts.vectors:
        records = Release.open(facts.folder).records()
        rows = dict(zip(records.source_ids, records.array, strict=True))
        return {image: rows[image.source_id] for image in facts.images[:MOST_COMPARED]}
    shards: dict[str, Code | None] = {}
    found: dict[Shared, NDArray[np.float32]] = {}
    for image in facts.images[:MOST_COMPARED]:
        vector = _vector(facts, image, shards)
        if vector is not None:
            found[image] = vector
    lengths = Counter(map(len, found.values()))
    usual = lengths.most_common(1)[0][0] if lengths else 0
    return {image: vector for image, vector in found.items() if len(vector) == usual}


def _vector(
    facts: ReleaseFacts, image: Shared, shards: dict[str, Code | None]
) -> NDArray[np.float32] | None:
    if not image.code_file:
        pixels = readable(facts, image)
        return None if pixels is None else pixels.reshape(-1)
    if image.code_file not in shards:
        try:
            shards[image.code_file] = facts.codes(image.code_file)
        except DeepfixcxError:
            shards[image.code_file] = None
    code = shards[image.code_file]
    if code is None or not 0 <= image.code_row < len(code):
        return None
    vector: NDArray[np.float32] = code.array[image.code_row].reshape(-1)
    return vector


LARGE, SMALL = 1024, 96


class Sheet:
    """The place beside a gallery that shows one image."""

    def __init__(
        self,
        tab: Workspace,
        go: Callable[[int], Awaitable[None]],
        close: Callable[[], None],
        pick: Callable[[Shared], Awaitable[None]],
    ) -> None:
        self.tab, self.go, self.close, self.pick = tab, go, close, pick
        self._neighbours: tuple[ReleaseFacts, Neighbours] | None = None
        self._shown: Entry | None = None
        self._attack_on: tuple[ReleaseFacts, Attack] | None = None
        self._asked: tuple[Entry | None, int] = (None, 0)
        self._attacking = False
        self.place: Element = block(
            "section", "card sheet", aria_label="Chosen image", tabindex="-1"
        )
        self.place.set_visibility(False)

    async def show(self, gallery: Gallery, entry: Entry) -> None:
        """Show an image; similar images follow when they are found."""
        self._shown = entry
        self.place.clear()
        with self.place:
            with block("div", "sheet-head"):
                heading(entry.name)
                for step, text in ((-1, "Previous"), (1, "Next")):
                    label = f"{text} image"
                    button(text, partial(self._step, step), "quiet", aria_label=label)
                button("Close", lambda _: self.close(), "quiet")
            if entry.image is None:
                words(f"{entry.error}: {entry.reason}", "p", "message bad")
            else:
                self._draw(gallery, entry, entry.image)
                attack = block("section", "attack", aria_label="The attack")
                alike = block("div", "alike")
        self.place.set_visibility(True)
        ui.run_javascript(f"getHtmlElement({self.place.id})?.focus({{preventScroll: false}})")
        if entry.image is not None:
            await self._find_alike(gallery, entry, entry.image, alike)
            await self._show_attack(gallery, entry, entry.image, attack)

    async def _step(self, step: int, _: object) -> None:
        await self.go(step)

    def hide(self) -> None:
        """Close it."""
        self._shown = None
        self.place.clear()
        self.place.set_visibility(False)

    def _draw(self, gallery: Gallery, entry: Entry, image: Shared) -> None:
        facts, originals = gallery.facts, gallery.originals
        shown = viewer(width=image.width, height=image.height, crisp=True, values=True)
        put(shown, privatized=self.tab.show("sheet", partial(gallery.picture, image, LARGE)))
        put(shown, lone=originals is None)
        if originals is not None:
            url = self.tab.show("sheet-original", partial(_original_png, gallery, image))
            put(shown, original=url)
        file = image.image_file or image.dicom_file
        rows = [("Spec", str(facts.spec))]
        if facts.records is None:
            rows.insert(0, ("Source", f"{image.height:,} × {image.width:,} pixels"))
        rows += [(each.name.capitalize(), each.guarantee or "") for each in facts.applied]
        rows += [("Image", file)] if file else []
        rows += [("Code", f"{image.code_file}, row {image.code_row}")] if image.code_file else []
        rows += [("Detail", f"{entry.detail:.4f}")] if entry.detail is not None else []
        rows += [("Similarity", f"SSIM {entry.alike:.3f}")] if entry.alike is not None else []
        terms(rows)
        if facts.vectors:
            note(
                f"A record has {facts.kept().numbers:,} values and no picture. Each field is a "
                "value: black the smallest of the release, white the largest."
            )

    async def _find_alike(
        self, gallery: Gallery, entry: Entry, image: Shared, place: Element
    ) -> None:
        """Show the most similar records, if the release is finished."""
        if gallery.state != "finished":
            return
        if self._neighbours is None or self._neighbours[0] is not gallery.facts:
            self._neighbours = (gallery.facts, await asyncio.to_thread(Neighbours, gallery.facts))
        found = await asyncio.to_thread(self._neighbours[1].of, image)
        if self._shown is not entry or not found:
            return
        with place:
            words("Most similar in this release", "h3")
            with block("ul", "alike-row"):
                for number, (other, distance) in enumerate(found):
                    with block("li"):
                        self._draw_alike(gallery, number, other, distance)
            note(f"Distance between codes: 0 is equal, 1 unrelated. {_why(gallery)}")

    async def _show_attack(
        self, gallery: Gallery, entry: Entry, image: Shared, place: Element
    ) -> None:
        """Show what an attacker finds who holds the original, and how it changes with P."""
        if gallery.originals is None or gallery.state != "finished":
            return
        with place:
            words("The attack", "h3")
            said = note("An attacker learns on the other images …")
            steps = [step for step in PATCHES if step <= self._most_patches(gallery)]
            patches = gallery.facts.spec.grid_shape[0]
            shown = block("div", "attack-shown")
            moved = dial(
                "Patches P", "attack-patches", steps, patches,
                lambda value: self._attack(gallery, entry, image, value, shown, said),
                unit="cells per axis",
            )  # fmt: skip
            put(moved, hint="What the same attacker finds at another P. Drag it.")
        await self._attack(gallery, entry, image, patches, shown, said)

    @staticmethod
    def _most_patches(gallery: Gallery) -> int:
        smallest = min(min(each.height, each.width) for each in gallery.facts.images)
        return max(smallest >> gallery.facts.spec.level, 1)

    async def _attack(
        self, gallery: Gallery, entry: Entry, image: Shared, patches: int, shown: Element,
        said: TextElement,
    ) -> None:  # fmt: skip
        """Make the attack; of many changes in a row, only the last."""
        self._asked = (entry, patches)
        if self._attacking:
            return
        self._attacking = True
        try:
            while True:
                wanted = self._asked
                if wanted[0] is not entry or wanted[0] is not self._shown:
                    return
                found = await asyncio.to_thread(self._attacked, gallery, image, wanted[1])
                if self._asked == wanted:
                    break
        except (DeepfixcxError, ValueError) as error:
            say(said, f"The attack cannot be shown: {error}.")
            return
        finally:
            self._attacking = False
        if self._shown is entry:
            self._draw_attack(gallery, image, found, shown, said)

    def _attacked(self, gallery: Gallery, image: Shared, patches: int) -> Attacked:
        if gallery.originals is None:
            raise DeepfixcxError("the originals are not known")
        if self._attack_on is None or self._attack_on[0] is not gallery.facts:
            made = Attack(gallery.facts, gallery.originals, gallery.patients)
            self._attack_on = (gallery.facts, made)
        return self._attack_on[1].on(image, patches)

    def _draw_attack(
        self, gallery: Gallery, image: Shared, found: Attacked, shown: Element, said: TextElement
    ) -> None:
        """Show the guesses in order, the right patient ringed, and the best inversion."""
        rank = "no record of the patient" if found.rank is None else f"rank {found.rank}"
        say(
            said,
            f"The attacker ({found.attacker}) holds this image and searches "
            f"{counted(found.searched, 'record')}. The right patient: {rank}. The image drawn from "
            f"the record alone has an SSIM of {found.likeness:.2f} to the original at 64 × 64 "
            "pixels.",
        )
        shown.clear()
        with shown:
            with block("div", "attack-pair"):
                for name, make in (
                    ("original", partial(_original_png, gallery, image)),
                    ("drawn from the record", partial(_drawn_png, found)),
                ):
                    with block("figure"):
                        block("img", src=self.tab.show(f"attack-{name}", make), alt=name)
                        words(name, "figcaption")
            with block("ol", "alike-row guesses"):
                for number, guess in enumerate(found.guesses):
                    with block("li", "right" if guess.right else ""):
                        make_png = partial(_original_png, gallery, guess.image)
                        right = ", the right patient" if guess.right else ""
                        alt = f"Guess {number + 1}: {guess.image.name}{right}"
                        block("img", src=self.tab.show(f"guess-{number}", make_png), alt=alt)
                        words(f"{number + 1}{' right patient' if right else ''}", "span")

    def _draw_alike(self, gallery: Gallery, number: int, image: Shared, distance: float) -> None:
        label = f"{image.name}, distance {distance:.2f}"
        with block("button", "alike-thumb", type_="button", aria_label=label) as thumb:
            url = self.tab.show(f"alike-{number}", partial(gallery.picture, image, SMALL))
            block("img", src=url, alt="")
            words(image.name, "span", "thumb-name")
            words(f"{distance:.2f}", "span", "thumb-words")
        thumb.on("click", partial(self._pick, image), args=[])

    async def _pick(self, image: Shared, _: object) -> None:
        await self.pick(image)


def _original_png(gallery: Gallery, image: Shared) -> bytes:
    pixels = None if gallery.originals is None else gallery.originals.pixels(image)
    if pixels is None:
        raise FileNotFoundError
    return png_bytes(for_screen(pixels, LARGE))


def _drawn_png(found: Attacked) -> bytes:
    return png_bytes(for_screen(found.drawn))


def _why(gallery: Gallery) -> str:
    """Explain what it means that two records are similar."""
    if gallery.facts.records is not None:
        return "The nearest records share source images."
    return "Images of one patient are often the nearest; linkage attacks use this."
