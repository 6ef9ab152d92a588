"""What a mechanism releases of one image, as far as it can be shown without its training data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepfixcx.code import Code
from deepfixcx.codec import Codec
from deepfixcx.errors import DeepfixcxError
from deepfixcx.experiments.frontier_inputs import (
    BASELINES,
    dp_pix,
    mechanism_named,
    noised,
    split_noise,
)
from deepfixcx.learn.baselines import blur, pixelate, unit_pixels
from deepfixcx.mechanisms.catalogue import needs_labels, steps_of
from deepfixcx.mechanisms.independent import BandSelection, Quantization
from deepfixcx.mechanisms.protocol import Plain
from deepfixcx.studio.exploring import Look
from deepfixcx.studio.workspace import Settings

__all__ = ["Output", "command_of", "output_of"]

EPSILON, PIXELS = 1.0, 16
"""Of DP-Pix, as a frontier has them by default."""


@dataclass(frozen=True, eq=False, slots=True)
class Output:
    """A picture (C, H, W) of what is released, or None, and words on it."""

    picture: NDArray[np.float32] | None
    words: str


def output_of(look: Look, mechanism: str) -> Output:
    """Apply a mechanism, or a baseline, to the image of a look."""
    spec = look.codec.spec
    pixels = unit_pixels(look.pixels, gray=True)
    if mechanism in BASELINES:
        return _baseline(pixels, mechanism, spec.numbers(1))
    try:
        noise, rest = split_noise(mechanism, spec)
        steps = steps_of(mechanism_named(rest))
    except DeepfixcxError as error:
        return Output(None, f"{error}.")
    if any(not isinstance(step, Plain | BandSelection | Quantization) for step in steps):
        return Output(None, _without_picture(mechanism))
    array = look.code.array if noise is None else Codec(spec).encode(pixels).array
    if noise is not None:
        sizes = np.array([pixels.shape[1:]], np.int64)
        array = noised(array, sizes, noise, int(np.random.default_rng().integers(2**32)))
    for step in steps:
        if isinstance(step, BandSelection | Quantization):
            array = step.represent(array)
    code = Code(array, spec, look.code.sizes)
    shown = np.asarray(Codec(spec).decode(code, look.settings.size), np.float32)[0]
    named = "" if mechanism == "plain" else f" with {mechanism}"
    again = " The noise is drawn again at every view." if noise is not None else ""
    return Output(shown.clip(0, 1), f"The reconstruction of the code{named}.{again}")


def _baseline(pixels: NDArray[np.float32], mechanism: str, numbers: int) -> Output:
    if mechanism == "blur":
        made = blur(pixels[None], numbers)[0]
        return Output(made, f"The blurred image with {numbers:,} values.")
    cells = pixelate(pixels[None], numbers)
    if mechanism == "pixelate":
        return Output(cells[0], f"The pixelated image with {numbers:,} values.")
    sizes = np.array([pixels.shape[1:]], np.int64)
    seed = int(np.random.default_rng().integers(2**32))
    made = dp_pix(cells, sizes, EPSILON, PIXELS, seed)[0]
    return Output(
        made,
        f"The pixelated image with noise (DP-Pix, epsilon {EPSILON:g}, {PIXELS} pixels). The noise "
        "is drawn again at every view.",
    )


def _without_picture(mechanism: str) -> str:
    """Say why there is no picture of a mechanism that learns from labelled images."""
    return (
        f"{mechanism} is fitted on labelled images of other patients, so its records cannot be "
        "made from this image alone. Make a release with this mechanism, and its records are shown "
        "here."
    )


def command_of(settings: Settings, mechanism: str) -> str:
    """Return the command that makes a release with a setting of a frontier."""
    if mechanism in BASELINES:
        return ""
    words = f"deepfixcx privatize SCANS OUT --level {settings.level} --patches {settings.patches}"
    if mechanism != "plain":
        words += f" --mechanism {mechanism.replace('+', ',')}"
        learned = needs_labels(mechanism_named(split_noise(mechanism, settings.spec)[1]))
        words += " --labels LABELS --public PUBLIC" if learned else ""
    return words
