"""Explain: the answer of a trained model, and its reasons by cell, by band and in words, linked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.code import Code
from deepfixcx.codec import Codec
from deepfixcx.errors import DeepfixcxError, ExplanationError, ModelError
from deepfixcx.explain.groups import band_groups
from deepfixcx.explain.naming import ORIENTATIONS, WORDS, extent
from deepfixcx.report.html import for_screen, png_bytes
from deepfixcx.studio.elements import (
    LibraryPage,
    Reasons,
    alert,
    block,
    card,
    choice,
    drop,
    heading,
    note,
    put,
    some_picture,
    words,
)
from deepfixcx.studio.releases import Library
from deepfixcx.studio.uploads import Picture
from deepfixcx.studio.workspace import Workspace

__all__ = ["Answer", "ExplainPage", "Explained", "explain_picture"]

if TYPE_CHECKING:
    from deepfixcx.explain.attribution import Attribution, Reason
    from deepfixcx.learn.classifier import Classifier


DIFFUSE = "Reasons are diffuse: no place and band is larger than chance."
FAR = " The image lies outside the range of the training images: its score is not reliable."


@dataclass(frozen=True, slots=True)
class Answer:
    """The score of a model for one label; positive from the threshold on."""

    label: str
    score: float
    threshold: float

    @property
    def words(self) -> str:
        """Positive or negative."""
        return "positive" if self.score >= self.threshold else "negative"


@dataclass(frozen=True, eq=False)
class Explained:
    """The answer of a model and its reasons."""

    answers: tuple[Answer, ...]
    label: str
    spec: str
    reasons: tuple[str, ...]
    drawn: dict[str, object]
    original_png: Callable[[], bytes]
    picture_png: Callable[[], bytes]
    error: float
    compared: str
    note: str = ""


def explain_picture(folder: Path, picture: Picture, frame: int, label: str = "") -> Explained:
    """Apply the model in a folder to a frame, and explain one label, by default the first."""
    from deepfixcx.learn.model_folder import load_model

    model = load_model(folder, device="cpu")
    if model.options.spec is None:
        raise ModelError("this model takes original images; choose a model on codes")
    codec = Codec(model.options.spec)
    pixels, note = _with_channels(picture.frames[frame], model.channels)
    code = codec.encode(pixels)
    scores = model.scores_of_code(code)[0].tolist()
    answers = tuple(map(Answer, model.label_names, scores, model.thresholds))
    chosen = label if label in model.label_names else model.label_names[0]
    why, compared = _attributed(model, code, chosen)
    outside = model.outside(code.array) if model.mechanism is None else None
    note += FAR if outside is not None and outside[0] else ""
    reconstruction = np.asarray(codec.decode(code, "original"), np.float32)[0]
    from deepfixcx.report.explained_model import with_amount  # which loads matplotlib

    found = why.reasons(5)
    return Explained(
        answers,
        chosen,
        str(codec.spec),
        tuple(with_amount(reason, why.unit) for reason in found) or (DIFFUSE,),
        drawn(why, found),
        lambda: png_bytes(for_screen(picture.frames[frame])),
        lambda: png_bytes(for_screen(reconstruction)),
        float(why.completeness_error[0]),
        compared,
        note,
    )


def drawn(why: Attribution, reasons: Sequence[Reason]) -> dict[str, object]:
    """Return what the element of reasons draws, with the scales of the command line's figure."""
    from deepfixcx.report.attribution_axes import field_of, rows_of_bands
    from deepfixcx.report.explained_model import strongest_amount, with_amount

    amounts = why.amounts()[0]
    height, width = map(int, why.code.sizes[0])
    edges = [
        [
            [min(int(end) * why.code.spec.block / side, 1.0) for end in ends]
            for ends in zip(cells.starts, cells.stops, strict=True)
        ]
        for cells, side in zip(why.code.spec.cells(height, width), (height, width), strict=True)
    ]
    whole = why.resolves == "band"  # one cell, which is the whole image
    bands = band_groups(why.level) if why.resolves != "place" else ()
    fields = [(str(each), field_of(each, why.level)) for each in bands]
    places = {each: number for number, each in enumerate(bands)}
    sums = amounts.sum(axis=(1, 2)) if bands else amounts.sum(keepdims=True).reshape(-1)
    return {
        "width": width,
        "height": height,
        "rows": [[0.0, 1.0]] if whole else edges[0],
        "columns": [[0.0, 1.0]] if whole else edges[1],
        "amounts": amounts.astype(float).tolist(),
        "groups": [
            {"name": name, "x": int(x), "y": y, "wide": int(wide)} for name, (x, y, wide) in fields
        ],
        "directions": [WORDS[each] for each in ORIENTATIONS],
        "scales": [f"{extent(each.low, each.high)} px" for each in rows_of_bands(why.level)]
        + ["brightness"],
        "reasons": [
            {
                "row": each.row,
                "column": each.column,
                "group": None if each.bands is None else places[each.bands],
                "words": with_amount(each, why.unit),
            }
            for each in reasons
        ],
        "label": why.label,
        "unit": why.unit,
        "most": [
            strongest_amount(amounts.sum(axis=0), why, (0,)),
            strongest_amount(sums, why, (1, 2)),
        ],
    }


WAYS = (
    ("mean", "integrated-gradients", "compared with the mean of the training images"),
    ("details", "integrated-gradients", "compared with this image without its details"),
    ("details", "occlusion-by-cell", "each cell compared with itself without its details"),
)
"""Baselines and methods, best first: not every model has a mean, or gradients."""


def _attributed(model: Classifier, code: Code, label: str) -> tuple[Attribution, str]:
    """Attribute by the best way that the model allows; return which that is."""
    from deepfixcx.explain.methods import explain_codes

    for baseline, method, compared in WAYS:
        try:
            why = explain_codes(model, code, baseline=baseline, method=method, target=label)
        except ExplanationError:
            if (baseline, method, compared) == WAYS[-1]:
                raise
        else:
            break
    return why, compared


def _with_channels(pixels: NDArray[Any], channels: int) -> tuple[NDArray[Any], str]:
    """Return pixels with the channels of the model, by the rule of `learn`, and a note on it."""
    from deepfixcx.learn.baselines import unit_pixels

    if len(pixels) == channels:
        return pixels, ""
    if channels == 1:
        return unit_pixels(pixels, gray=True), (
            " The image is in colour and the model takes gray images: it receives the brightness."
        )
    colours: NDArray[Any] = np.repeat(pixels[:1], channels, axis=0)
    return colours, (
        " The image is gray and the model takes colour images: it receives three equal channels."
    )


class ExplainPage(LibraryPage):
    """The page of one tab; a model is applied to its image."""

    def __init__(self, tab: Workspace, library: Library) -> None:
        super().__init__(tab, library)
        self.model: Path | None = None
        self.label = ""

    async def build(self) -> None:
        """Make the elements, then apply the first model."""
        self.found = await asyncio.to_thread(self.library.find, "model")
        with block("div", "page explain", id_="main", tabindex="-1"):
            heading("Explain", 1)
            if not self.found:
                words("There is no trained model in this folder. Train one, and open the studio on "
                      "its folder:", "p")  # fmt: skip
                words(
                    "deepfixcx train xrays --labels pneumonia -o model\ndeepfixcx studio .", "pre"
                )
                return
            with block("div", "toolbar"):
                drop(self.tab, self._ask)
                names = [(each.name, each.name) for each in self.found]
                choice("Model", {"": names}, names[0][0], self._open, name="model")
                self.label_place = block("div")
            self.about = words("", "p", "about", role="status")
            self.failure = alert()
            self.place = block("div", "stack")
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
        self.about.set_text("Applying the model …")
        try:
            found = await asyncio.to_thread(
                explain_picture, self.model, picture, self.tab.frame, self.label
            )
        except DeepfixcxError as error:
            self.about.set_text("")
            self.failure.set_text(f"{error}.")
            self.place.clear()
            return
        self.failure.set_text("")
        self.about.set_text(f"{picture.words}; the model takes codes of {found.spec}.{found.note}")
        self._draw(found)

    def _draw(self, found: Explained) -> None:
        self.place.clear()
        self.label_place.clear()
        if len(found.answers) > 1:
            with self.label_place:
                names = [(answer.label, answer.label) for answer in found.answers]
                choice("Finding", {"": names}, found.label, self._set_label, name="label")
        pictures = [
            {"name": "original", "url": self.tab.show("seen", found.original_png)},
            {"name": "reconstruction", "url": self.tab.show("reasons", found.picture_png)},
        ]
        with self.place:
            self._draw_answers(found)
            shown = Reasons()
            put(shown, pictures=pictures, **found.drawn)
            with shown:
                if found.reasons == (DIFFUSE,):
                    note(DIFFUSE)
                note(
                    f"Orange pushes towards {found.label}, blue away from it, {found.compared}. "
                    f"The sum differs from the score by {100 * found.error:.1f} %. The model sees "
                    "the code alone, not the original."
                )

    def _draw_answers(self, found: Explained) -> None:
        with card("Answer", label="Answer"), block("table", "scores"):
            with block("thead"), block("tr"):
                for name in ("finding", "answer", "score", "threshold"):
                    words(name, "th", scope="col")
            with block("tbody"):
                for answer in found.answers:
                    with block("tr"):
                        words(answer.label, "th", scope="row")
                        words(answer.words, "td")
                        words(f"{answer.score:.3f}", "td")
                        words(f"{answer.threshold:.3f}", "td")
