"""Figures as SVG: sharp at any size, readable without colour and by screen readers.

What they show is made by `figure_data`; here it is placed, and ``plots.html`` writes the markup.
Colours are variables of the page. Marks with a `pick` can be chosen by mouse and keyboard.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from deepfixcx.measures import Interval
from deepfixcx.report.figure_data import LEGEND, SHAPES, BarPanel, Mark, Plane, Point
from deepfixcx.report.html import part

__all__ = ["intervals_svg", "points_svg"]

WIDE = 680
LETTER = 7.6
"""Approximate width of a letter."""


def steps(low: float, high: float) -> list[float]:
    """Return about five round numbers from low to high."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where values lie between two pixels of an axis."""

    low: float
    high: float
    begin: float
    end: float

    @classmethod
    def of(cls, values: Sequence[Interval], more: list[float], begin: float, end: float) -> _Scale:
        ends = [each for value in values for each in (value.value, value.low, value.high)]
        finite = [each for each in (*ends, *more) if math.isfinite(each)]
        low, high = min(finite), max(finite)
        if low == high:
            low, high = low - 0.05, high + 0.05
        return cls(low, high, begin, end)

    def place(self, value: float) -> float:
        """Return the pixel of a value; one beyond the ends lies at them."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.begin + share * (self.end - self.begin), 1)

    def ends(self, value: Interval) -> tuple[float, float] | None:
        """Return the pixels of the ends of an interval; None where they are unknown."""
        known = math.isfinite(value.low) and math.isfinite(value.high)
        return (self.place(value.low), self.place(value.high)) if known else None

    def ticks(self) -> list[tuple[float, str]]:
        return [(self.place(tick), f"{tick:,g}") for tick in steps(self.low, self.high)]


def corners(mark: Mark, size: float = 8.0) -> list[tuple[float, float]]:
    """Return the corners of a mark around its middle; none of a disc."""
    return [(round(size * x, 1), round(-size * y, 1)) for x, y in SHAPES[mark.shape]]


# -- points -----------------------------------------------------------------------------------

CALL = 24
"""Between the names of two marked points, which stand in a column at the right."""


def points_svg(plane: Plane) -> Markup:
    """Return SVG markup of points with intervals along both axes."""
    named = [point for point in plane.points if point.says]
    widest = max((len(point.says) for point in named), default=0)
    left, top, bottom = 64, 28, 384
    right = WIDE - (24 if not named else min(36 + round(LETTER * widest), 280))
    x = _Scale.of(
        [point.x for point in plane.points], [line.x for line in plane.lines], left + 16, right - 16
    )
    y = _Scale.of([point.y for point in plane.points], [], bottom - 16, top + 16)
    drawn = {point.kind for point in plane.points}
    legend, tall = _legend([name for name in plane.families if name in drawn], plane, bottom + 72)
    frame = {"left": left, "top": top, "right": right, "bottom": bottom, "tall": tall}
    calls = _calls(named, x, y, top)
    placed = [
        _placed(point, x, y, calls.get(point.pick or point.label + point.kind))
        for point in sorted(plane.points, key=lambda point: bool(point.says))
    ]
    lines = [
        (x.place(line.x), line.words, " ".join(map(str, line.dashes)), line.x, 12 * (number % 2))
        for number, line in enumerate(sorted(plane.lines, key=lambda line: line.x))
    ]
    scale = {"low": x.low, "high": x.high, "begin": x.begin, "end": x.end}
    return part("plots.points", plane, frame, (x.ticks(), y.ticks()), lines, placed, legend, scale)


def _calls(named: Sequence[Point], x: _Scale, y: _Scale, top: float) -> dict[str, float]:
    """Return the height of the name of each marked point: near its point, below the one above."""
    calls: dict[str, float] = {}
    free = top + 4.0
    for point in sorted(named, key=lambda point: (y.place(point.y.value), x.place(point.x.value))):
        free = max(free, y.place(point.y.value))
        calls[point.pick or point.label + point.kind] = free
        free += CALL
    return calls


def _placed(point: Point, x: _Scale, y: _Scale, call: float | None) -> dict[str, object]:
    family = f", {point.kind}" if point.kind else ""
    says = f", {point.says}" if point.says else ""
    return {
        "x": x.place(point.x.value),
        "y": y.place(point.y.value),
        "across": x.ends(point.x),
        "up": y.ends(point.y),
        "colour": point.mark.colour,
        "corners": corners(point.mark),
        "call": call,
        "says": point.says,
        "ring": point.ring,
        "pick": point.pick,
        "name": f"{point.label}{family}: {_short(point.y)} at {_short(point.x)}{says}",
    }


def _short(value: Interval) -> str:
    return str(value) if math.isfinite(value.low) else f"{value.value:,.4g}"


def _legend(named: Sequence[str], plane: Plane, top: float) -> tuple[list[dict[str, object]], int]:
    """Return the entries of a legend, and the height of the whole figure."""
    entries: list[dict[str, object]] = []
    x, y = 64.0, top
    for name in named:
        wide = 32 + LETTER * len(name)
        if x + wide > WIDE and entries:
            x, y = 64.0, y + 24
        mark = plane.families[name]
        entries.append({"x": x + 8, "y": y - 5, "text": (x + 24, y), "words": name,
                        "colour": mark.colour, "corners": corners(mark)})  # fmt: skip
        x += wide + 16
    return entries, round(y + 16 if named else top - 8)


# -- intervals --------------------------------------------------------------------------------

NARROW, SIDES = 480, 16
"""A figure of intervals fits a telephone: labels stand above their lines."""
ROW, HEAD, FOOT = 48, 20, 76
LINE = 22
"""Between two lines of the legend."""


def intervals_svg(panel: BarPanel) -> Markup:
    """Return SVG markup of estimates with their intervals, one below the other."""
    scale = _Scale(panel.low, panel.high, SIDES, NARROW - SIDES)
    bottom = HEAD + ROW * len(panel.bars)
    marks = [name for name in LEGEND if _is_drawn(name, panel)]
    legend = [
        (name, LEGEND[name], bottom + FOOT - 12 + LINE * line) for line, name in enumerate(marks)
    ]
    tall = bottom + FOOT + LINE * max(len(marks) - 1, 0)
    bars = []
    for number, bar in enumerate(panel.bars):
        words = str(bar.value)
        words += f"; {bar.floor:.3f} without the images" if math.isfinite(bar.floor) else ""
        words += f"; {bar.raw:.3f} on raw images" if math.isfinite(bar.raw) else ""
        words += "" if bar.valid else "; not counted"
        bars.append(
            {
                "y": HEAD + ROW * number + ROW - 14,
                "label": bar.label,
                "note": bar.note,
                "wide": round(LETTER * (len(bar.label) + len(bar.note) + 1)),
                "ends": scale.ends(bar.value),
                "value": scale.place(bar.value.value) if math.isfinite(bar.value.value) else None,
                "floor": scale.place(bar.floor) if math.isfinite(bar.floor) else None,
                "raw": scale.place(bar.raw) if math.isfinite(bar.raw) else None,
                "valid": bar.valid,
                "name": f"{bar.label} {bar.note}: {words}",
            }
        )
    chance = scale.place(panel.chance) if math.isfinite(panel.chance) else None
    frame = {"wide": NARROW, "tall": tall, "top": HEAD, "bottom": bottom}
    return part("plots.intervals", panel, frame, scale.ticks(), chance, bars, legend)


def _is_drawn(name: str, panel: BarPanel) -> bool:
    """Return whether a figure has a mark of the legend."""
    return {
        "attack": any(bar.valid for bar in panel.bars),
        "not counted": not all(bar.valid for bar in panel.bars),
        "floor": any(math.isfinite(bar.floor) for bar in panel.bars),
        "raw": any(math.isfinite(bar.raw) for bar in panel.bars),
    }[name]
