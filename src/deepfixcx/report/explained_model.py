"""Why a model decided: figures of one answer, and of a model on the whole.

Both are drawn on reconstructions, never on an image.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from deepfixcx._words import counted
from deepfixcx.code import Code
from deepfixcx.codec import Codec
from deepfixcx.explain.attribution import Attribution, Reason
from deepfixcx.explain.cohort import Bias
from deepfixcx.explain.models import LOG_ODDS
from deepfixcx.report.attribution_axes import (
    AWAY,
    GRID,
    MOST_COLOUR,
    SCALES,
    SIZE,
    TOWARDS,
    draw_amounts,
    draw_cells,
    draw_groups,
    draw_intervals,
    grid_height,
    pale,
)
from deepfixcx.report.drawing import Page, draw_scale, for_display, panel_size

__all__ = ["attribution_figure", "bias_figure"]

SIGNS = (TOWARDS, AWAY)
MARGIN, GAP, TITLE, HEAD = 0.3, 0.35, 0.62, 0.85
LINE = 0.29
SCALE = 0.42  # room for a scale of colours below a panel
LETTERS = 13.5  # letters of a line of text in an inch
STRONG = 0.995
"""Share of the pixels of an attribution's image that are drawn without being cut off."""


def attribution_figure(attribution: Attribution, image: int = 0, *, title: str = "") -> Figure:
    """Draw why a model gave one answer: where, by which edges, and as an image."""
    one = attribution[image]
    decoded = _reconstruction(one.code)
    wide, high = panel_size(*decoded.shape[1:])
    places, bands = one.tells != "band", one.tells != "place"
    panels = [wide] + places * [wide] + bands * [SCALES + GRID] + (places and bands) * [wide]
    reasons = one.top(6)
    lines = [f"{number}. {reason}" for number, reason in enumerate(map(_with_amount, reasons), 1)]
    width = sum(panels) + GAP * (len(panels) - 1)
    lines = _wrapped(lines, width)
    top = TITLE + HEAD
    below = max(high, bands * grid_height(one.level)) + SCALE
    page = Page(2 * MARGIN + width, top + below + 0.45 + LINE * (len(lines) + 3.3))
    page.text(MARGIN, 0.2, _title(one, title), 18, weight="bold")
    left = MARGIN
    page.heading(left, TITLE, "reconstruction", "of the code")
    page.image(for_display(decoded), left, top, wide, high)
    left += wide + GAP
    if places:
        page.heading(left, TITLE, "where", "sum over all bands of a cell")
        axes = page.image(pale(decoded), left, top, wide, high)
        draw_cells(axes, one, decoded.shape[1:])
        most = float(np.abs(one.spatial()).max())
        draw_scale(page, (left, top + high + 0.12, wide), most, SIGNS, MOST_COLOUR, unit=one.unit)
        left += wide + GAP
    if bands:
        page.heading(
            left + SCALES, TITLE, "by which edges", "sum over all cells, by scale and direction"
        )
        draw_groups(page, one.edge_groups()[0], one.level, left, top)
        most = float(np.abs(one.edge_groups()).max())
        place = (left + SCALES, top + grid_height(one.level) + 0.12, GRID)
        draw_scale(page, place, most, SIGNS, MOST_COLOUR, unit=one.unit)
        left += SCALES + GRID + GAP
    if places and bands:
        page.heading(left, TITLE, "as an image", "bright: towards; dark: away")
        values = one.image().mean(axis=0)
        most = float(np.quantile(np.abs(values), STRONG)) or 1.0
        shown = for_display((0.5 + values / (2 * most))[np.newaxis].astype(np.float32))
        page.image(shown, left, top, wide, high)
    foot = top + below + 0.4
    _legend(page, foot, one.label)
    page.text(MARGIN, foot + 1.3 * LINE, "strongest reasons", 12, weight="bold")
    for line, text in enumerate(lines):
        page.text(MARGIN, foot + LINE * (line + 2.3), text, 12)
    return page.figure


def bias_figure(bias: Bias) -> Figure:
    """Draw the attributions of a model over many images: places, bands, attention, shortcuts."""
    why = bias.attribution
    decoded = _mean_reconstruction(why.code)
    wide, high = panel_size(*decoded.shape[1:])
    level = why.level
    room = SCALES + GRID
    panels = (bias.places is not None) * [wide] + (bias.bands is not None) * [room]
    panels += [wide, room] if bias.attention is not None else []
    width = max(sum(panels) + GAP * (len(panels) - 1), 9.0)
    lines = [f"{number}. {finding.words}" for number, finding in enumerate(bias.findings, 1)]
    lines = _wrapped(lines or ["none found; this does not prove that there are none"], width)
    top = TITLE + HEAD
    below = max(high, grid_height(level)) + SCALE
    page = Page(2 * MARGIN + width, top + below + 0.45 + LINE * (len(lines) + 2))
    words = f"attributions: {why.label}, {counted(len(why), 'image')}"
    patients = "" if bias.patients is None else f" of {counted(bias.patients, 'patient')}"
    page.text(MARGIN, 0.2, words + patients, 18, weight="bold")
    left = MARGIN
    if bias.places is not None:
        page.heading(left, TITLE, "places", f"mean size of the attribution, {why.unit}")
        draw_amounts(page, bias.places, decoded, why.code, (left, top, wide, high))
        _scale_of_size(page, (left, top + high, wide), bias.places[..., 0], unit=why.unit)
        left += wide + GAP
    if bias.bands is not None:
        page.heading(left + SCALES, TITLE, "edges", "mean size, and its 95 % interval")
        draw_intervals(page, bias.bands, level, left, top)
        bottom = top + grid_height(level)
        _scale_of_size(page, (left + SCALES, bottom, GRID), bias.bands[:, 0], unit=why.unit)
        left += room + GAP
    if bias.attention is not None:
        page.heading(left, TITLE, "attention: places", "share of the model's weights")
        shares = bias.attention_places()[:, :, np.newaxis]
        draw_amounts(page, shares, decoded, why.code, (left, top, wide, high), percent=True)
        _scale_of_size(page, (left, top + high, wide), shares, percent=True)
        left += wide + GAP
        page.heading(left + SCALES, TITLE, "attention: edges", "share of the model's weights")
        draw_groups(page, bias.attention_bands(), level, left, top, percent=True)
    foot = top + below + 0.4
    page.text(MARGIN, foot, "signs of shortcuts, strongest first", 12, weight="bold")
    for line, text in enumerate(lines):
        page.text(MARGIN, foot + LINE * (line + 1), text, 12)
    return page.figure


# -- parts of both ----------------------------------------------------------------------------


def _reconstruction(code: Code) -> NDArray[np.float32]:
    """Return the reconstruction (C, H, W) of the code of one image."""
    image: NDArray[np.float32] = np.asarray(Codec(code.spec).decode(code), np.float32)[0]
    return image


def _mean_reconstruction(code: Code) -> NDArray[np.float32]:
    """Return the reconstruction of the mean of many codes, in the size of the first."""
    mean = code.array.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
    return _reconstruction(Code(mean, code.spec, code.sizes[:1]))


def _title(one: Attribution, title: str) -> str:
    """Say what the output is, and what it is of the baseline."""
    outputs = np.array([one.outputs[0], one.baseline_outputs[0]], np.float64)
    name = ""
    if one.unit == LOG_ODDS:
        outputs, name = (1 + np.tanh(outputs / 2)) / 2, "score "
    words = f"{one.label}, {name}{outputs[0]:.3f} (baseline {outputs[1]:.3f})"
    return f"{title}: {words}" if title else words


def _legend(page: Page, top: float, label: str) -> None:
    """Say what colours and signs mean."""
    left = MARGIN
    for colour, words in ((TOWARDS, f"+  towards {label}"), (AWAY, f"−  away from {label}")):
        bottom = page.height - top - 0.17
        patch = Rectangle(
            (left / page.width, bottom / page.height), 0.28 / page.width, 0.17 / page.height,
            facecolor=colour, alpha=MOST_COLOUR, transform=page.figure.transFigure,
        )  # fmt: skip
        page.figure.add_artist(patch)
        page.text(left + 0.38, top, words, 12)
        left += 0.9 + len(words) / LETTERS * 1.3


def _scale_of_size(
    page: Page,
    place: tuple[float, float, float],
    amounts: NDArray[np.floating],
    *,
    unit: str = "",
    percent: bool = False,
) -> None:
    """Draw the scale of amounts without a direction below a panel."""
    left, bottom, width = place
    draw_scale(
        page, (left, bottom + 0.12, width), float(amounts.max()), (SIZE, SIZE), MOST_COLOUR,
        unit=unit, signed=False, percent=percent,
    )  # fmt: skip


def _with_amount(reason: Reason) -> str:
    return f"{reason} ({reason.amount:+.3f}, {100 * reason.share:.1f} % of all)"


def _wrapped(texts: Sequence[str], width: float) -> list[str]:
    """Break lines that are longer than the page."""
    letters = int(width * LETTERS)
    return [
        line for text in texts for line in textwrap.wrap(text, letters, subsequent_indent="    ")
    ]
