"""What Explain shows: the answer of a model, and where and in which bands its reasons lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.code import Code
from deepfixcx.codec import Codec
from deepfixcx.errors import ExplanationError, ModelError
from deepfixcx.explain.naming import band_groups
from deepfixcx.report.html_images import for_screen, png_bytes
from deepfixcx.studio.exploring import Picture

if TYPE_CHECKING:
    from deepfixcx.explain.attribution import Attribution
    from deepfixcx.learn.classifier import Classifier

__all__ = ["Answer", "Explained", "explain_picture", "over_gray"]

FOR, AGAINST = np.array([214, 96, 20], np.float32), np.array([40, 110, 200], np.float32)
"""Orange pushes towards yes, blue away from it: told apart by eyes that lack red or green."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says of one label.

    Attributes
    ----------
    label : str
        Its name.
    score, threshold : float
        Probability of yes, and from where on the answer is yes.
    """

    label: str
    score: float
    threshold: float

    @property
    def words(self) -> str:
        """Yes or no."""
        return "yes" if self.score >= self.threshold else "no"


@dataclass(frozen=True, eq=False)
class Explained:
    """A model's answer and its reasons.

    Attributes
    ----------
    answers : tuple of Answer
        Of every label.
    label : str
        The one explained.
    spec : str
        Of the code that the model sees.
    reasons : tuple of str
        The strongest, in words.
    groups : tuple of (str, float)
        Attribution by octave and orientation; positive pushes towards yes.
    place_png, picture_png : callable
        Pictures: the attribution in place, and what the model sees, filled in.
    size : tuple of int
        Height and width of the image.
    error : float
        How far the attributions are from summing to the answer, as a share.
    compared : str
        With what the image was compared.
    note : str
        What the model saw of an image that is in colour where it is of gray ones, or is not.
    """

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
    """Ask a model about an image, and why.

    Parameters
    ----------
    folder : Path
        Of a model.
    picture : Picture
        The image.
    frame : int
        Which frame.
    label : str
        What to explain; by default the first label.

    Raises
    ------
    ModelError
        It is no model, or takes other images or no codes.
    ExplanationError
        It cannot be explained.
    PixelsError
        The image does not fit the model.
    """
    from deepfixcx.learn.model_folder import load_model

    model = load_model(folder, device="cpu")
    if model.options.spec is None:
        raise ModelError("this model sees original images; explain explains models on codes")
    codec = Codec(model.options.spec)
    pixels, note = _with_channels(picture.frames[frame], model.channels)
    code = codec.encode(pixels)
    scores = model.scores_of_code(code)[0].tolist()
    answers = tuple(map(Answer, model.label_names, scores, model.thresholds))
    chosen = label if label in model.label_names else model.label_names[0]
    why, compared = _attributed(model, code, chosen)
    reconstruction = np.asarray(codec.decode(code, "original"), np.float32)[0]
    groups = zip(band_groups(codec.spec.level), why.edge_groups()[0].tolist(), strict=True)
    _, _, height, width = picture.frames.shape
    return Explained(
        answers,
        chosen,
        str(codec.spec),
        tuple(reason.words for reason in why.top(5)),
        tuple((str(group), float(amount)) for group, amount in groups),
        lambda: png_bytes(over_gray(reconstruction, why.spatial_image(0))),
        lambda: png_bytes(for_screen(reconstruction)),
        (height, width),
        float(why.completeness_error[0]),
        compared,
        note,
    )


WAYS = (
    ("mean", "integrated-gradients", "compared with the mean of what the model learned from"),
    ("details", "integrated-gradients", "compared with this image without its details"),
    ("details", "occlusion-by-cell", "each cell compared with itself without its details"),
)
"""Baselines and methods, best first: not every model knows a mean, or has gradients."""


def _attributed(model: Classifier, code: Code, label: str) -> tuple[Attribution, str]:
    """Attribute in the best way that the model allows, and say which that is."""
    from deepfixcx.explain.methods import explain_codes

    for baseline, method, said in WAYS[:-1]:
        try:
            return explain_codes(model, code, baseline=baseline, method=method, target=label), said
        except ExplanationError:
            continue
    baseline, method, said = WAYS[-1]
    return explain_codes(model, code, baseline=baseline, method=method, target=label), said


def _with_channels(pixels: NDArray[Any], channels: int) -> tuple[NDArray[Any], str]:
    """Return pixels as the model takes them, by the rule of `learn`, and what is said of that."""
    from deepfixcx.learn.resizing import unit_pixels

    if len(pixels) == channels:
        return pixels, ""
    if channels == 1:
        return unit_pixels(pixels, gray=True), (
            " The image is in colour, and the model is of gray ones: it sees the brightness alone."
        )
    colours: NDArray[Any] = np.repeat(pixels[:1], channels, axis=0)
    return colours, (
        " The image is gray, and the model is of colour images: it sees three equal channels."
    )


def over_gray(image: NDArray[np.float32], attribution: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Lay an attribution over a gray image: orange for, blue against, stronger where it is larger.

    Parameters
    ----------
    image : ndarray, shape (C, H, W)
        In [0, 1].
    attribution : ndarray, shape (H, W)
        Signed.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)

    Examples
    --------
    >>> over_gray(np.zeros((1, 1, 2), np.float32), np.array([[1.0, 0.0]], np.float32)).tolist()
    [[[160, 72, 15], [0, 0, 0]]]
    """
    gray = 255 * np.clip(image.mean(axis=0), 0, 1)[..., None]
    largest = float(np.abs(attribution).max()) or 1.0
    strength = 0.75 * (np.abs(attribution) / largest)[..., None]
    colour = np.where((attribution > 0)[..., None], FOR, AGAINST)
    mixed: NDArray[np.uint8] = np.rint(gray * (1 - strength) + colour * strength).astype(np.uint8)
    return mixed
