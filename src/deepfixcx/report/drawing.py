"""What all figures share: a page laid out in inches, images on it, and a PNG file at the end."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

from deepfixcx.errors import PixelsShapeError, ReleaseError
from deepfixcx.io.files import write_file
from deepfixcx.packets import as_batch, pixel_scale

__all__ = [
    "FONT",
    "INK",
    "MUTED",
    "Page",
    "as_image",
    "figure_bytes",
    "for_display",
    "write_figure",
]

FONT = "DejaVu Sans"  # comes with matplotlib, so every machine draws the same letters
INK, MUTED, RULE = "#1a1a1a", "#5a5a5a", "#c8c8c8"
MOST_SIDE = 1024
"""Images are reduced to about this many pixels a side before they are drawn."""


class Page:
    """A white figure on which places are given in inches from the top left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height), facecolor="white")

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Add empty axes without ticks."""
        bottom = self.height - top - height
        axes = self.figure.add_axes(
            (left / self.width, bottom / self.height, width / self.width, height / self.height)
        )
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set(color=RULE, linewidth=0.8)
        return axes

    def image(
        self, pixels: NDArray[np.float32], left: float, top: float, width: float, height: float
    ) -> Axes:
        """Draw pixels (H, W) or (H, W, 3) in [0, 1] so that they fill a rectangle."""
        axes = self.axes(left, top, width, height)
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation="auto")
        return axes

    def text(self, left: float, top: float, words: str, size: float, **style: Any) -> None:
        """Write text; by default `top` is the top of its first line."""
        look = {"color": INK, "va": "top", "family": FONT, **style}
        self.figure.text(left / self.width, 1 - top / self.height, words, fontsize=size, **look)


def as_image(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return one image as (C, H, W).

    Raises
    ------
    PixelsShapeError
        A batch of another number of images than one, or no image at all.
    """
    batch = as_batch(pixels)
    if len(batch) != 1:
        raise PixelsShapeError(
            f"a figure shows one image, (H, W) or (C, H, W), got shape {np.shape(pixels)}"
        )
    image: NDArray[Any] = batch[0]
    return image


def for_display(image: NDArray[Any]) -> NDArray[np.float32]:
    """Turn pixels (C, H, W) into what is drawn: clipped to [0, 1], not too large.

    Returns
    -------
    ndarray of float32, shape (H', W', 3) for C = 3, otherwise (H', W')
        Three channels are taken for RGB, any other number is averaged.
    """
    step = max(1, min(image.shape[1:]) // MOST_SIDE)
    height, width = (side // step * step for side in image.shape[1:])
    blocks = image[:, :height, :width].reshape(
        len(image), height // step, step, width // step, step
    )
    small = np.clip(blocks.mean(axis=(2, 4), dtype=np.float32) * pixel_scale(image), 0, 1)
    shown = np.moveaxis(small, 0, -1) if len(image) == 3 else small.mean(axis=0)
    return np.ascontiguousarray(shown, np.float32)


def write_figure(path: str | os.PathLike[str], figure: Figure, *, dpi: int = 150) -> None:
    """Write a figure as PNG, whole or not at all; the same figure gives the same bytes.

    Parameters
    ----------
    path : path-like
        The file to write; its folder exists. An existing file is replaced.
    figure : matplotlib.figure.Figure
        What to draw.
    dpi : int
        Pixels per inch.

    Raises
    ------
    ReleaseError
        The file cannot be written. Nothing is left behind.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "empty.png"
    >>> write_figure(path, Figure(figsize=(1, 1)), dpi=10)
    >>> path.read_bytes()[1:4]
    b'PNG'
    """
    try:
        write_file(path, figure_bytes(figure, dpi=dpi), replace=True)
    except OSError as error:
        raise ReleaseError(
            f"the figure {str(path)!r} cannot be written: {error.strerror}; choose another place"
        ) from None


def figure_bytes(figure: Figure, *, dpi: int = 150) -> bytes:
    """Return the PNG file of a figure."""
    for text in figure.findobj(Text):  # names of labels may hold what looks like mathematics
        text.set_parse_math(False)
    content = io.BytesIO()
    # matplotlib's name and version would change the bytes
    figure.savefig(content, format="png", dpi=dpi, metadata={"Software": None})
    return content.getvalue()
