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
from deepfixcx.errors import ExplanationError, ImageTooSmallError
from deepfixcx.explain.attribution import Attribution
from deepfixcx.explain.cohort import Bias
from deepfixcx.explain.groups import BandGroup, Reason
from deepfixcx.explain.models import LOG_ODDS
from deepfixcx.explain.removal import statements
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
    draw_marks,
    grid_height,
    grid_width,
    pale,
)
from deepfixcx.report.drawing import Page, draw_scale, draw_sides, for_display, panel_size

__all__ = [
    "attribution_figure",
    "bias_figure",
    "columns_of",
    "draw_bands",
    "draw_legend",
    "draw_scale_of_size",
    "finding_lines",
    "mean_reconstruction",
    "reason_lines",
    "reconstruction_of",
    "strongest_amount",
    "title_of",
    "with_amount",
    "wrapped",
]

SIGNS = (TOWARDS, AWAY)
MARGIN, GAP, TITLE, HEAD = 0.3, 0.35, 0.62, 0.85
LINE = 0.29
SCALE = 0.68  # room for left and right and a scale of colours below a panel
LETTERS = 10.5  # letters of a line of text in an inch
REASONS = 3
DIFFUSE = "diffuse: no place and band is larger than chance, so none should be named"
CHANNELS = ("red", "green", "blue")
MOST_LETTERS = 40  # of the name of a label


def attribution_figure(
    attribution: Attribution,
    image: int = 0,
    *,
    title: str = "",
    original: NDArray[np.float32] | None = None,
    note: str = "",
) -> Figure:
    """Draw one page on one answer: where, by which edges, reasons, and what is not seen.

    An original (C, H, W) is drawn only where it is given; a note stands below the title. Reasons
    that are larger than chance have numbers, which stand in the panels, too.
    """
    one = attribution[image]
    decoded = reconstruction_of(one.code)
    if original is not None and original.shape[1:] != decoded.shape[1:]:
        raise ExplanationError(
            f"the code is of an image of {decoded.shape[1:]} pixels, and the original has "
            f"{original.shape[1:]}"
        )
    wide, high = panel_size(*decoded.shape[1:])
    places, bands = one.resolves != "band", one.resolves != "place"
    panels = [wide] * (1 + (original is not None) + places) + bands * [SCALES + GRID]
    width = max(sum(panels) + GAP * (len(panels) - 1), 9.0)
    reasons = one.reasons(REASONS)
    texts = [*reason_lines(one, reasons), *_colour_lines(one), *_unseen_lines(one)]
    lines = [(name, line) for name, text in texts for name, line in columns_of(name, text, width)]
    top = TITLE + HEAD + (LINE if note else 0.0)
    below = max(high, bands * grid_height(one.level)) + SCALE
    page = Page(2 * MARGIN + width, top + below + 0.9 + LINE * (len(lines) + 1))
    words = title_of(one, title)
    page.text(MARGIN, 0.2, words, 18 if len(words) < 6 * width else 11, weight="bold")
    page.text(MARGIN, 0.62, note, 12, weight="bold")
    head, left = top - HEAD, MARGIN
    marks = _marks(reasons)
    if original is not None:
        page.heading(left, head, "original", "not for sharing")
        axes = page.image(for_display(original), left, top, wide, high)
        draw_marks(axes, one.code, decoded.shape[1:], marks)
        draw_sides(page, left, top + high, wide)
        left += wide + GAP
    page.heading(left, head, "reconstruction", "of the code: all that the model sees")
    axes = page.image(for_display(decoded), left, top, wide, high)
    draw_marks(axes, one.code, decoded.shape[1:], marks)
    draw_sides(page, left, top + high, wide)
    left += wide + GAP
    if places:
        page.heading(left, head, "where", "sum over all bands of a cell")
        axes = page.image(pale(decoded), left, top, wide, high)
        most = strongest_amount(one.spatial()[0], one, (0,))
        draw_cells(axes, one.spatial()[0], one.code, decoded.shape[1:], most)
        draw_marks(axes, one.code, decoded.shape[1:], marks)
        draw_sides(page, left, top + high, wide)
        draw_scale(page, (left, top + high + 0.34, wide), most, SIGNS, MOST_COLOUR, unit=one.unit)
        left += wide + GAP
    if bands:
        draw_bands(page, one, reasons, left, top)
    foot = top + below + 0.3
    draw_legend(page, foot, one.label)
    for line, (name, text) in enumerate(lines):
        page.text(MARGIN, foot + LINE * (line + 1.5), name, 12, weight="bold")
        page.text(MARGIN + INDENT, foot + LINE * (line + 1.5), text, 12)
    return page.figure


INDENT = 1.5  # where sentences begin


def draw_bands(
    page: Page, one: Attribution, reasons: Sequence[Reason], left: float, top: float
) -> None:
    """Draw the amounts of the groups of bands, with the numbers of the reasons."""
    words = "sum over all cells, by scale and direction"
    page.heading(left + SCALES, top - HEAD, "by which edges", words)
    cells = tuple(range(1, 1 + one.code.spec.ndim))
    most = strongest_amount(one.edge_groups()[0], one, cells)
    numbers: dict[BandGroup, list[str]] = {}
    for number, reason in enumerate(reasons, 1):
        if reason.bands is not None:
            numbers.setdefault(reason.bands, []).append(str(number))
    marks = [(group, ", ".join(each)) for group, each in numbers.items()]
    draw_groups(page, one.edge_groups()[0], one.code.spec, left, top, most=most, marks=marks)
    place = (left + SCALES, top + grid_height(one.level) + 0.12, grid_width(one.code.spec))
    draw_scale(page, place, most, SIGNS, MOST_COLOUR, unit=one.unit)


def _marks(reasons: Sequence[Reason]) -> list[tuple[int, int, str]]:
    """Return row and column of the cells of reasons, with the numbers of these."""
    numbers: dict[tuple[int, int], list[str]] = {}
    for number, reason in enumerate(reasons, 1):
        if reason.row is not None and reason.column is not None:
            numbers.setdefault((reason.row, reason.column), []).append(str(number))
    return [(row, column, ", ".join(each)) for (row, column), each in numbers.items()]


def reason_lines(one: Attribution, reasons: Sequence[Reason]) -> list[tuple[str, str]]:
    """Return the reasons that are larger than chance, or that there are none; and the baseline."""
    texts = [
        f"{number}.  {with_amount(reason, one.unit)}" for number, reason in enumerate(reasons, 1)
    ]
    if not reasons:
        texts = ["none"] if one.chance is None else [DIFFUSE]
    lines = [("reasons" if not row else "", text) for row, text in enumerate(texts)]
    if one.stable is not None:
        kept = f"{one.stable[0]:.1f} of the five strongest places and bands stay the strongest"
        lines.append(("baseline", f"{kept} when compared with another baseline (mean)"))
    return lines


def _colour_lines(one: Attribution) -> list[tuple[str, str]]:
    """Return the attribution of each channel of an image in colour."""
    if one.code.channels != len(CHANNELS):
        return []
    amounts = one.values[0].reshape(len(CHANNELS), -1).sum(axis=1)
    parts = [f"{name} {_signed(each)}" for name, each in zip(CHANNELS, amounts, strict=True)]
    return [("colour", f"{', '.join(parts)} {one.unit}, summed over places and bands")]


def _unseen_lines(one: Attribution) -> list[tuple[str, str]]:
    """Return what the code does not show, so that the model cannot see it."""
    height, width = map(int, one.code.sizes[0])
    try:
        made = statements(one.code.spec, height, width)
    except (ExplanationError, ImageTooSmallError):
        return []
    gone = [each.words for each in made if each.kind == "removed"]
    return [("not seen" if not row else "", text) for row, text in enumerate(gone)]


def strongest_amount(
    amounts: NDArray[np.float32], one: Attribution, axes: tuple[int, ...]
) -> float:
    """Return what the strongest colour stands for: the largest amount, or chance if that is more.

    So the map of an answer whose reasons are diffuse is pale.
    """
    largest = float(np.abs(amounts).max()) or 1.0
    if one.chance is None or one.resolves != "place and band":
        return largest
    chance = np.sqrt((one.chance[0].astype(np.float64) ** 2).sum(axis=axes))
    return max(largest, float(np.median(chance)))


def bias_figure(bias: Bias) -> Figure:
    """Draw the attributions of a model over many images: places, bands, attention, shortcuts."""
    why = bias.attribution
    decoded = mean_reconstruction(why.code)
    wide, high = panel_size(*decoded.shape[1:])
    level = why.level
    room = SCALES + GRID
    panels = (bias.places is not None) * [wide] + (bias.bands is not None) * [room]
    panels += [wide, room] if bias.attention is not None else []
    width = max(sum(panels) + GAP * (len(panels) - 1), 11.0)
    lines = wrapped(finding_lines(bias), width)
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
        draw_sides(page, left, top + high, wide)
        draw_scale_of_size(
            page, (left, top + high + 0.22, wide), bias.places[..., 0], unit=why.unit
        )
        left += wide + GAP
    if bias.bands is not None:
        page.heading(left + SCALES, TITLE, "edges", "mean size, and its 95 % interval")
        draw_intervals(page, bias.bands, why.code.spec, left, top)
        bottom = top + grid_height(level)
        draw_scale_of_size(page, (left + SCALES, bottom, GRID), bias.bands[:, 0], unit=why.unit)
        left += room + GAP
    if bias.attention is not None:
        page.heading(left, TITLE, "attention: places", "share of the model's weights")
        shares = bias.attention_places()[:, :, np.newaxis]
        draw_amounts(page, shares, decoded, why.code, (left, top, wide, high), percent=True)
        draw_sides(page, left, top + high, wide)
        draw_scale_of_size(page, (left, top + high + 0.22, wide), shares, percent=True)
        left += wide + GAP
        page.heading(left + SCALES, TITLE, "attention: edges", "share of the model's weights")
        draw_groups(page, bias.attention_bands(), why.code.spec, left, top, percent=True)
    foot = top + below + 0.4
    page.text(MARGIN, foot, "signs of shortcuts, strongest first", 12, weight="bold")
    for line, text in enumerate(lines):
        page.text(MARGIN, foot + LINE * (line + 1), text, 12)
    return page.figure


def finding_lines(bias: Bias) -> list[str]:
    """Return the signs of shortcuts in words, and what the search could have found."""
    found = [f"{number}. {finding.words}" for number, finding in enumerate(bias.findings, 1)]
    found = found or ["none found; this does not prove that there are none"]
    if bias.detectable is not None:
        unit = bias.attribution.unit
        found.append(f"weakest effect that the search finds: {bias.detectable:.2g} {unit}")
    return found


# -- parts of both ----------------------------------------------------------------------------


def reconstruction_of(code: Code) -> NDArray[np.float32]:
    """Return the reconstruction (C, H, W) of the code of one image."""
    image: NDArray[np.float32] = np.asarray(Codec(code.spec).decode(code), np.float32)[0]
    return image


def mean_reconstruction(code: Code) -> NDArray[np.float32]:
    """Return the reconstruction of the mean of many codes, in the size of the first."""
    mean = code.array.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
    return reconstruction_of(Code(mean, code.spec, code.sizes[:1]))


def title_of(one: Attribution, title: str) -> str:
    """Say what the output is, and what it is of the baseline."""
    outputs = np.array([one.outputs[0], one.baseline_outputs[0]], np.float64)
    name = ""
    if one.unit == LOG_ODDS:
        outputs, name = (1 + np.tanh(outputs / 2)) / 2, "score "
    words = f"{_short(one.label)}, {name}{outputs[0]:.3f} (baseline {outputs[1]:.3f})"
    return f"{title}: {words}" if title else words


def _short(label: str) -> str:
    return label if len(label) <= MOST_LETTERS else f"{label[: MOST_LETTERS - 1]}…"


def draw_legend(page: Page, top: float, label: str) -> None:
    """Say what colours and signs mean."""
    left = MARGIN
    for colour, words in (
        (TOWARDS, f"+  towards {_short(label)}"),
        (AWAY, f"−  away from {_short(label)}"),
    ):
        bottom = page.height - top - 0.17
        patch = Rectangle(
            (left / page.width, bottom / page.height), 0.28 / page.width, 0.17 / page.height,
            facecolor=colour, alpha=MOST_COLOUR, transform=page.figure.transFigure,
        )  # fmt: skip
        page.figure.add_artist(patch)
        page.text(left + 0.38, top, words, 12)
        left += 0.9 + len(words) / LETTERS * 1.3


def draw_scale_of_size(
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


def with_amount(reason: Reason, unit: str) -> str:
    """Return a reason with its amount, the range over baselines, and what chance reaches."""
    words = f"{reason}: {_signed(reason.amount)} {unit}"
    parts = []
    if reason.range is not None:
        low, high = reason.range
        parts.append(f"{_signed(low)} to {_signed(high)} over baselines")
    if reason.chance is not None:
        parts.append(f"chance: up to ±{reason.chance:.2g}")
    return f"{words} ({'; '.join(parts)})" if parts else words


def _signed(amount: float) -> str:
    return f"{amount + 0.0:+.2g}".replace("-", "−")  # -0.0 + 0.0 is 0.0


def columns_of(name: str, text: str, width: float) -> list[tuple[str, str]]:
    """Break a sentence that stands beside a name; the name stands beside its first line."""
    lines = wrapped([text], width - INDENT)
    return [(name if not row else "", line) for row, line in enumerate(lines)]


def wrapped(texts: Sequence[str], width: float) -> list[str]:
    """Break lines that are longer than the page."""
    letters = int(width * LETTERS)
    return [
        line for text in texts for line in textwrap.wrap(text, letters, subsequent_indent="    ")
    ]
