"""HTML from the templates of this package, and pixels as pictures that a browser shows.

Text is escaped once, by Jinja2.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

import imagecodecs
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from deepfixcx._words import plain
from deepfixcx.code import Code
from deepfixcx.packets import band_path, band_position
from deepfixcx.pooling import amplitudes

__all__ = [
    "code",
    "coloured",
    "data_url",
    "document",
    "figure",
    "for_screen",
    "items",
    "mosaic",
    "paragraph",
    "part",
    "png_bytes",
    "section",
    "style",
    "table",
]

UNIT = re.compile(r"(?<=\d) (?=[%×]|[kMG]?B\b|dB\b|bytes\b)|(?<=×) (?=\d)")
NO_BREAK = "\N{NO-BREAK SPACE}"
"""What stands between a number and its unit, so that they stay in one line."""


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("deepfixcx.report"),
        autoescape=True,
        finalize=_readable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _readable(value: object) -> object:
    """Return text of a file, before it is escaped, without characters that hide or reorder it."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return plain(value.encode("utf-8", "backslashreplace").decode())


def part(name: str, *values: Any) -> Markup:
    """Return the markup of a macro in ``parts.html``, or of ``FILE.macro`` in another template."""
    file, _, macro = name.rpartition(".")
    module = _environment().get_template(f"{file or 'parts'}.html").module
    return Markup(getattr(module, macro)(*values))


def paragraph(text: str, classes: str = "") -> Markup:
    """Return a paragraph of plain text."""
    return part("paragraph", text, classes)


def items(texts: Iterable[str]) -> Markup:
    """Return a list of plain texts."""
    return part("items", list(texts))


def code(text: str) -> Markup:
    """Return lines of code."""
    return part("code", text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "") -> Markup:
    """Return a table of plain texts; the first column heads its rows."""
    return part("table", head, list(rows), caption)


def figure(content: Markup, caption: str) -> Markup:
    """Return a figure of markup with a caption of plain text."""
    return part("figure", content, caption)


def section(name: str, title: str, *parts: Markup) -> Markup:
    """Return a section with a heading, of parts that are markup already."""
    return part("section", name, title, Markup("").join(parts))


def document(title: str, body: Markup) -> str:
    """Return a whole file: style within, nothing loaded, nothing run."""
    spaced = Markup(UNIT.sub(NO_BREAK, body))
    template = _environment().get_template("document.html")
    return template.render(title=title, style=Markup(style()), body=spaced)


def style() -> str:
    """Return the style sheet of a report."""
    return (files("deepfixcx.report") / "templates" / "report.css").read_text("utf-8")


STOPS = np.array(
    [
        [68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141],
        [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37],
    ],
    np.float32,
)  # fmt: skip
"""Viridis at nine places: perceptually even steps, also for colour-blind readers."""


def for_screen(image: NDArray[Any], most: int = 1536) -> NDArray[np.uint8]:
    """Turn pixels into what a browser draws."""
    step = -(-max(image.shape[1:]) // most)
    if step == 1 and image.dtype == np.uint8:
        shown = image
    else:
        scaled = np.multiply(_averaged(image, step), _white(image), dtype=np.float32)
        shown = np.clip(scaled, 0, 255)
    if len(shown) == 3:
        shown = np.moveaxis(shown, 0, -1)
    else:
        shown = shown[0] if len(shown) == 1 else shown.mean(axis=0, dtype=np.float32)
    if shown.dtype != np.uint8:
        shown = np.rint(shown).astype(np.uint8)
    return np.ascontiguousarray(shown)


def _white(image: NDArray[Any]) -> float:
    """Return what makes the brightest pixel 255."""
    return 255 / np.iinfo(image.dtype).max if image.dtype.kind == "u" else 255


def _averaged(image: NDArray[Any], step: int) -> NDArray[Any]:
    if step == 1:
        return image
    rows, columns = (np.arange(0, side, step) for side in image.shape[1:])
    sums = np.add.reduceat(np.add.reduceat(image, rows, axis=1, dtype=np.float32), columns, axis=2)
    members = [
        np.diff(np.append(starts, side))
        for starts, side in zip((rows, columns), image.shape[1:], strict=True)
    ]
    return np.asarray(sums / (members[0][:, None] * members[1][None, :]), np.float32)


def png_bytes(shown: NDArray[np.uint8], *, level: int = 1) -> bytes:
    """Encode what `for_screen` returned; a higher `level` takes longer and gives fewer bytes."""
    return bytes(imagecodecs.png_encode(shown, level=level))


def data_url(shown: NDArray[np.uint8]) -> str:
    """Return a picture as a URL that holds it, for a file that needs no other."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(shown, level=9)).decode()


def coloured(values: NDArray[Any], decades: float = 4) -> NDArray[np.uint8]:
    """Colour sizes by their logarithm: yellow the largest, violet what is `decades` below it."""
    largest = float(values.max(initial=0)) or 1.0
    least = 10.0**-decades
    logs = np.log10(np.maximum(np.asarray(values, np.float32) / largest, least))
    place = (1 + logs / decades) * (len(STOPS) - 1)
    lower = np.minimum(place.astype(np.intp), len(STOPS) - 2)
    rest = (place - lower)[..., None]
    mixed = STOPS[lower] * (1 - rest) + STOPS[lower + 1] * rest
    colours: NDArray[np.uint8] = np.rint(mixed).astype(np.uint8)
    return colours


def mosaic(code: Code, image: int = 0) -> NDArray[np.float32]:
    """Lay the bands of one image out by frequency, the approximation in the top left corner.

    Parameters
    ----------
    code : Code
        Of several poolings, the first is used.
    image : int
        Which image of the code.

    Returns
    -------
    ndarray of float32, shape (2**J * P, 2**J * P)
        Size of each number on the scale of a coefficient, mean over the channels; not negative.

    Examples
    --------
    >>> from deepfixcx import Codec
    >>> stripes = np.tile(np.array([0, 1], np.float32), (8, 4))  # the finest vertical edges
    >>> mosaic(Codec(level=2, patches=1).encode(stripes))
    array([[2., 0., 0., 2.],
           [0., 0., 0., 0.],
           [0., 0., 0., 0.],
           [0., 0., 0., 0.]], dtype=float32)
    """
    spec = code.spec
    tiles = np.abs(amplitudes(code.array[image][np.newaxis], spec))[0].mean(axis=0)
    rows, columns = spec.grid_shape
    laid: NDArray[Any] = np.empty((spec.block, rows, spec.block, columns), np.float32)
    for number, tile in enumerate(tiles):
        row, column = band_position(band_path(number, spec.level))
        laid[row, :, column] = tile
    return laid.reshape(spec.block * rows, spec.block * columns)
