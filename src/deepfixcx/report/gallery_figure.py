"""Several images, each at several settings: what compression does to different kinds of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepfixcx.errors import PixelsShapeError, SpecError
from deepfixcx.report.contact import draw_tile, tile_size
from deepfixcx.report.drawing import MUTED, Page, as_image, for_display
from deepfixcx.spec import CodecSpec

__all__ = ["gallery"]

MARGIN, GAP, CAPTION, HEAD = 0.25, 0.14, 0.3, 0.62


def gallery(images: Mapping[str, NDArray[Any]], specs: Sequence[CodecSpec]) -> Figure:
    """Draw a row for each image: the original, then its reconstruction for each spec.

    Parameters
    ----------
    images : mapping of str to ndarray, shape (H, W) or (C, H, W)
        Images by a title of one or two words. The title is drawn, so it must name nobody.
    specs : sequence of CodecSpec
        One column each.

    Returns
    -------
    matplotlib.figure.Figure
        Below each reconstruction stand the numbers kept and the compression ratio.

    Raises
    ------
    PixelsError
        No images, or one that is no image.
    SpecError
        No specs.

    Examples
    --------
    >>> import numpy as np
    >>> figure = gallery({"ramp": np.eye(64)}, [CodecSpec(2, 4), CodecSpec(2, 8)])
    >>> [text.get_text() for text in figure.texts if "%" in text.get_text()]
    ['6.2 %  (1 : 16)', '25 %  (1 : 4)']
    """
    if not images:
        raise PixelsShapeError("a gallery needs at least one image")
    if not specs:
        raise SpecError("a gallery needs at least one spec")
    rows = {title: as_image(pixels) for title, pixels in images.items()}
    sizes = [tile_size(*image.shape[1:]) for image in rows.values()]
    wide = sizes[0][0]
    height = MARGIN + HEAD + sum(high + CAPTION + GAP for _, high in sizes) - GAP + 0.1
    page = Page(2 * MARGIN + (len(specs) + 1) * (wide + GAP) + GAP, height)
    page.text(MARGIN, MARGIN, "original", 14, weight="bold")
    lefts = [MARGIN + 2 * GAP + (column + 1) * (wide + GAP) for column in range(len(specs))]
    for spec, left in zip(specs, lefts, strict=True):
        cells = " × ".join(str(count) for count in spec.grid_shape)
        page.text(left, MARGIN, f"{cells} cells", 14, weight="bold")
        page.text(left, MARGIN + 0.29, str(spec), 11, color=MUTED)
    top = MARGIN + HEAD
    for (title, image), (_, high) in zip(rows.items(), sizes, strict=True):
        page.image(for_display(image), MARGIN, top, wide, high)
        page.text(MARGIN + wide / 2, top + high + 0.07, title, 11, ha="center")
        for spec, left in zip(specs, lefts, strict=True):
            draw_tile(page, image, spec, (left, top, wide, high))
        top += high + CAPTION + GAP
    return page.figure
