"""Explain: the answer of a trained model, and its reasons in place, by band and in words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.code import Code
from deepfixcx.codec import Codec
from deepfixcx.errors import DeepfixcxError, ExplanationError, ModelError
from deepfixcx.explain.naming import band_groups
from deepfixcx.report.html import for_screen, png_bytes
from deepfixcx.report.html_plots import signed_svg
from deepfixcx.studio.elements import (
    LibraryPage,
    alert,
    block,
    card,
    choice,
    drop,
    heading,
    markup,
    note,
    some_picture,
    viewer,
    words,
)
from deepfixcx.studio.releases import Library
from deepfixcx.studio.uploads import Picture
from deepfixcx.studio.workspace import Workspace

__all__ = ["Answer", "ExplainPage", "Explained", "explain_picture", "over_gray"]

if TYPE_CHECKING:
    from deepfixcx.explain.attribution import Attribution
    from deepfixcx.learn.classifier import Classifier


DIFFUSE = "Reasons are diffuse: no place and band is larger than chance."
FAR = " The image lies outside the range of the training images: its score is not reliable."

FOR, AGAINST = np.array([214, 96, 20], np.float32), np.array([40, 110, 200], np.float32)
"""Orange and blue, which people with red-green colour blindness can distinguish."""


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
    groups: tuple[tuple[str, float], ...]
    place_png: Callable[[], bytes]
    picture_png: Callable[[], bytes]
    size: tuple[int, int]
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
    groups = zip(band_groups(codec.spec.level), why.edge_groups()[0].tolist(), strict=True)
    _, _, height, width = picture.frames.shape
    return Explained(
        answers,
        chosen,
        str(codec.spec),
        tuple(reason.words for reason in why.reasons(5)) or (DIFFUSE,),
        tuple((str(group), float(amount)) for group, amount in groups),
        lambda: png_bytes(over_gray(reconstruction, why.spatial_image(0))),
        lambda: png_bytes(for_screen(reconstruction)),
        (height, width),
        float(why.completeness_error[0]),
        compared,
        note,
    )


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


def over_gray(image: NDArray[np.float32], attribution: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a signed attribution (H, W) over an image (C, H, W) in [0, 1], as uint8 (H, W, 3)."""
    gray = 255 * np.clip(image.mean(axis=0), 0, 1)[..., None]
    largest = float(np.abs(attribution).max()) or 1.0
    strength = 0.75 * (np.abs(attribution) / largest)[..., None]
    colour = np.where((attribution > 0)[..., None], FOR, AGAINST)
    mixed: NDArray[np.uint8] = np.rint(gray * (1 - strength) + colour * strength).astype(np.uint8)
    return mixed


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
            with block("div", "source"):
                drop(self.tab, self._ask)
            with block("div", "toolbar"):
                names = [(each.name, each.name) for each in self.found]
                choice("Model", {"": names}, names[0][0], self._open, name="model")
                self.label_place = block("div")
            self.about = words("", "p", "about", role="status")
            self.failure = alert()
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
        self.about.set_text("Applying the model …")
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
        self.about.set_text(f"{picture.words}; the model takes codes of {found.spec}.{found.note}")
        self._draw(found)

    def _draw(self, found: Explained) -> None:
        self.left.clear()
        self.right.clear()
        self.label_place.clear()
        if len(found.answers) > 1:
            with self.label_place:
                names = [(answer.label, answer.label) for answer in found.answers]
                choice("Finding", {"": names}, found.label, self._set_label, name="label")
        height, width = found.size
        with self.left, card("Where", label="Reasons by position"):
            viewer(
                "input of the model", "reasons", width=width, height=height,
                original=self.tab.show("seen", found.picture_png),
                privatized=self.tab.show("reasons", found.place_png),
            )  # fmt: skip
            note(
                f"Orange pushes towards {found.label}, blue away from it, on the reconstruction of "
                "the code. The original is not used."
            )
        with self.right:
            self._draw_answers(found)
            with card("In words", label="Reasons in words"), block("ol", "plain-list"):
                for reason in found.reasons:
                    words(reason, "li")
            with card("In which bands", label="Reasons by band"):
                markup(signed_svg(found.groups, f"towards {found.label}"), "plot narrow")
                note(
                    f"By octave and direction, {found.compared}. Their sum differs from the "
                    f"score by {100 * found.error:.1f} %."
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
