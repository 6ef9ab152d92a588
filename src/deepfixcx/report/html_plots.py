"""Figures as SVG markup: sharp at any size, readable without colour, and by those who listen.

They stand in the report and in the studio, and take their colours from the page around them. What
a figure marks is told apart by form, never by colour alone. A mark with a `pick` can be chosen by
mouse and keyboard where the page listens for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from deepfixcx.measures import Interval

__all__ = ["Bar", "Point", "intervals_svg", "points_svg"]

WIDE, LABELS, RIGHT = 840, 296, 24
ROW, HEAD, FOOT = 40, 16, 72
TEXT = 'font-size="14" fill="var(--ink)"'
QUIET = 'font-size="13" fill="var(--muted)"'


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of a figure of intervals.

    Attributes
    ----------
    label : str
        What was measured.
    value : Interval
        With its 95 % interval.
    floor : float
        What is reached without the codes; NaN where there is nothing of the kind.
    note : str
        Behind the label, in grey.
    valid : bool
        An open circle where the figure does not count.
    """

    label: str
    value: Interval
    floor: float = math.nan
    note: str = ""
    valid: bool = True


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a figure of points.

    Attributes
    ----------
    x, y : Interval
        Where it lies, with intervals; NaN ends where there are none.
    label : str
        Its name.
    kind : str
        Its family; told apart by form.
    mark : str
        A word beside it, such as "recommended", and a ring around it; empty for the others.
    pick : str
        What is said when it is chosen; empty where it cannot be.
    """

    x: Interval
    y: Interval
    label: str
    kind: str = ""
    mark: str = ""
    pick: str = ""


def intervals_svg(
    bars: Sequence[Bar], *, low: float, high: float, title: str, chance: float = math.nan
) -> str:
    """Draw figures with their intervals below each other.

    Parameters
    ----------
    bars : sequence of Bar
        From top to bottom.
    low, high : float
        Ends of the axis.
    title : str
        What the axis shows.
    chance : float
        Drawn as a dashed line, if finite.

    Returns
    -------
    str
        SVG markup.

    Examples
    --------
    >>> svg = intervals_svg([Bar("linkage", Interval(0.8, 0.7, 0.9))], low=0, high=1, title="AUC")
    >>> svg.startswith("<svg"), "0.800 [0.700, 0.900]" in svg
    (True, True)
    """
    tall = HEAD + ROW * len(bars) + FOOT
    bottom = HEAD + ROW * len(bars)

    def across(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return LABELS + share * (WIDE - LABELS - RIGHT)

    parts = [_axis_across(across, low, high, HEAD, bottom, title)]
    if math.isfinite(chance):
        x = across(chance)
        parts.append(
            f'<path d="M{x:.1f} {HEAD}V{bottom}" stroke="var(--muted)" stroke-width="1.5" '
            f'stroke-dasharray="5 4"/><text x="{x:.1f}" y="{HEAD - 4}" text-anchor="middle" '
            f"{QUIET}>guessing</text>"
        )
    for number, bar in enumerate(bars):
        parts.append(_bar(bar, across, HEAD + ROW * number + ROW / 2))
    if any(math.isfinite(bar.floor) for bar in bars):
        parts.append(
            f'{_diamond(LABELS + 6, tall - 12)}<text x="{LABELS + 20}" y="{tall - 7}" {QUIET}>'
            "without the images: what labels or averages alone give away</text>"
        )
    return _svg(WIDE, tall, title, parts)


def points_svg(
    points: Sequence[Point],
    *,
    x_title: str,
    y_title: str,
    logarithmic: bool = False,
    lines: Sequence[tuple[float, str]] = (),
) -> str:
    """Draw points with intervals along both axes.

    Parameters
    ----------
    points : sequence of Point
        With finite places.
    x_title, y_title : str
        What the axes show.
    logarithmic : bool
        Along x.
    lines : sequence of (float, str)
        Dashed lines across, by their y and their words.

    Returns
    -------
    str
        SVG markup; empty where there is no point.

    Examples
    --------
    >>> here = Interval(0.5, 0.4, 0.6)
    >>> svg = points_svg([Point(here, here, "J=3", mark="recommended")], x_title="x", y_title="y")
    >>> svg.count("<circle"), "recommended" in svg
    (2, True)
    """
    if not points:
        return ""
    left, top, right, bottom = 64, 24, WIDE - 24, 400
    kinds = list(dict.fromkeys(point.kind for point in points))
    x_scale = _Scale.of([point.x for point in points], left + 16, right - 16, log=logarithmic)
    y_scale = _Scale.of(
        [*(point.y for point in points), *(Interval(y, y, y) for y, _ in lines)],
        bottom - 16,
        top + 16,
    )
    parts = [_frame(x_scale, y_scale, (left, top, right, bottom), x_title, y_title)]
    for y, text in lines:
        at = y_scale.place(y)
        parts.append(
            f'<path d="M{left} {at:.1f}H{right}" stroke="var(--muted)" stroke-dasharray="5 4"/>'
            f'<text x="{right - 4}" y="{at - 6:.1f}" text-anchor="end" {QUIET}>{escape(text)}</text>'
        )
    ordered = sorted(points, key=lambda point: bool(point.mark))
    parts += [_point(point, kinds.index(point.kind), x_scale, y_scale) for point in ordered]
    legend, tall = _legend([kind for kind in kinds if kind], kinds, bottom + 72)
    return _svg(WIDE, tall, f"{y_title} against {x_title}", [*parts, legend])


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float
    begin: float
    end: float
    log: bool

    @classmethod
    def of(
        cls, values: Sequence[Interval], begin: float, end: float, *, log: bool = False
    ) -> _Scale:
        ends = [
            each
            for value in values
            for each in (value.value, value.low, value.high)
            if math.isfinite(each) and (each > 0 or not log)
        ]
        low, high = min(ends), max(ends)
        if low == high:
            low, high = (low / 2, high * 2) if log else (low - 0.05, high + 0.05)
        return cls(low, high, begin, end, log)

    def place(self, value: float) -> float:
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(max(value, 1e-12))
        return self.begin + (value - low) / (high - low) * (self.end - self.begin)

    def ticks(self) -> list[float]:
        if self.log:
            return _powers(self.low, self.high)
        return _steps(self.low, self.high)


def _steps(low: float, high: float) -> list[float]:
    """Return round numbers from low to high, some five of them."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def _powers(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    wanted = [10.0**power for power in range(first, last + 1)]
    if last - first <= 2:
        wanted = [power * times for power in wanted for times in (1, 2, 5)]
    return [tick for tick in wanted if low * 0.999 <= tick <= high * 1.001]


def _axis_across(
    place: Callable[[float], float], low: float, high: float, top: float, bottom: float, title: str
) -> str:
    parts = []
    for tick in _steps(low, high):
        x = place(tick)
        parts.append(
            f'<path d="M{x:.1f} {top}V{bottom}" stroke="var(--line)"/>'
            f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle" {QUIET}>{tick:g}</text>'
        )
    middle = (LABELS + WIDE - RIGHT) / 2
    parts.append(
        f'<text x="{middle:.0f}" y="{bottom + 40}" text-anchor="middle" {TEXT}>'
        f"{escape(title)}</text>"
    )
    return "".join(parts)


def _bar(bar: Bar, place: Callable[[float], float], y: float) -> str:
    value, words = bar.value, str(bar.value)
    note = f'<tspan {QUIET} dx="6">{escape(bar.note)}</tspan>' if bar.note else ""
    parts = [f'<text x="0" y="{y + 5:.1f}" {TEXT}>{escape(bar.label)}{note}</text>']
    if math.isfinite(value.low) and math.isfinite(value.high):
        parts.append(
            f'<path d="M{place(value.low):.1f} {y:.1f}H{place(value.high):.1f}" '
            'stroke="var(--accent)" stroke-width="3"/>'
        )
    fill = "var(--accent)" if bar.valid else "var(--ground)"
    parts.append(
        f'<circle cx="{place(value.value):.1f}" cy="{y:.1f}" r="6" fill="{fill}" '
        'stroke="var(--accent)" stroke-width="2"/>'
    )
    if math.isfinite(bar.floor):
        parts.append(_diamond(place(bar.floor), y))
        words += f"; {bar.floor:.3f} without the images"
    if not bar.valid:
        words += "; does not count"
    return f"<g><title>{escape(f'{bar.label} {bar.note}: {words}')}</title>{''.join(parts)}</g>"


def _diamond(x: float, y: float) -> str:
    return (
        f'<path d="M{x:.1f} {y - 7:.1f}l7 7-7 7-7-7z" fill="var(--ground)" '
        'stroke="var(--mark)" stroke-width="2"/>'
    )


def _frame(
    x_scale: _Scale, y_scale: _Scale, box: tuple[int, int, int, int], x_title: str, y_title: str
) -> str:
    left, top, right, bottom = box
    parts = []
    for tick in y_scale.ticks():
        y = y_scale.place(tick)
        parts.append(
            f'<path d="M{left} {y:.1f}H{right}" stroke="var(--line)"/>'
            f'<text x="{left - 8}" y="{y + 5:.1f}" text-anchor="end" {QUIET}>{tick:g}</text>'
        )
    for tick in x_scale.ticks():
        x = x_scale.place(tick)
        parts.append(
            f'<path d="M{x:.1f} {bottom}v6" stroke="var(--muted)"/>'
            f'<text x="{x:.1f}" y="{bottom + 24}" text-anchor="middle" {QUIET}>{tick:,g}</text>'
        )
    parts.append(f'<path d="M{left} {bottom}H{right}" stroke="var(--muted)"/>')
    parts.append(
        f'<text x="{(left + right) / 2:.0f}" y="{bottom + 48}" text-anchor="middle" {TEXT}>'
        f'{escape(x_title)}</text><text x="{left - 56}" y="14" {TEXT}>{escape(y_title)}</text>'
    )
    return "".join(parts)


def _point(point: Point, kind: int, x_scale: _Scale, y_scale: _Scale) -> str:
    x, y = x_scale.place(point.x.value), y_scale.place(point.y.value)
    parts = []
    if math.isfinite(point.x.low) and math.isfinite(point.x.high):
        ends = x_scale.place(point.x.low), x_scale.place(point.x.high)
        parts.append(f'<path d="M{ends[0]:.1f} {y:.1f}H{ends[1]:.1f}" {_whisker(kind)}/>')
    if math.isfinite(point.y.low) and math.isfinite(point.y.high):
        ends = y_scale.place(point.y.low), y_scale.place(point.y.high)
        parts.append(f'<path d="M{x:.1f} {ends[0]:.1f}V{ends[1]:.1f}" {_whisker(kind)}/>')
    if point.mark:
        right = x > WIDE - 200
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="14" fill="none" stroke="var(--mark)" '
            f'stroke-width="3"/><text x="{x + (-20 if right else 20):.1f}" y="{y - 14:.1f}" '
            f'text-anchor="{"end" if right else "start"}" font-size="14" font-weight="600" '
            f'fill="var(--ink)">{escape(point.mark)}</text>'
        )
    parts.append(_form(kind, x, y))
    name = f"{point.label}{f', {point.kind}' if point.kind else ''}: {_at(point)}"
    name += f", {point.mark}" if point.mark else ""
    if point.pick:
        picked = f'data-pick="{escape(point.pick)}" tabindex="0" role="button"'
        reach = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="12" fill="transparent"/>'
        parts.append(reach)
        opening = f'<g class="mark" {picked} aria-label="{escape(name)}">'
    else:
        opening = "<g>"
    return f"{opening}<title>{escape(name)}</title>{''.join(parts)}</g>"


def _at(point: Point) -> str:
    def short(value: Interval) -> str:
        return str(value) if math.isfinite(value.low) else f"{value.value:,.4g}"

    return f"{short(point.y)} at {short(point.x)}"


def _whisker(kind: int) -> str:
    return f'stroke="{_colour(kind)}" stroke-width="1.5" opacity="0.7"'


COLOURS = ("var(--accent)", "var(--mark)", "var(--ink)", "var(--muted)", "var(--warn)", "var(--bad)")


def _colour(kind: int) -> str:
    return COLOURS[kind % len(COLOURS)]


def _form(kind: int, x: float, y: float) -> str:
    """Return the mark of a family: disc, square, triangle, diamond, cross, ring."""
    look = f'fill="{_colour(kind)}" stroke="var(--ground)" stroke-width="1.5"'
    line = f'fill="none" stroke="{_colour(kind)}" stroke-width="2.5"'
    forms = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6.5" {look}/>',
        f'<rect x="{x - 6:.1f}" y="{y - 6:.1f}" width="12" height="12" {look}/>',
        f'<path d="M{x:.1f} {y - 8:.1f}l8 14h-16z" {look}/>',
        f'<path d="M{x:.1f} {y - 8:.1f}l8 8-8 8-8-8z" {look}/>',
        f'<path d="M{x - 6:.1f} {y - 6:.1f}l12 12m0-12l-12 12" {line}/>',
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" {line}/>',
    )
    return forms[kind % len(forms)]


def _legend(named: Sequence[str], kinds: Sequence[str], top: float) -> tuple[str, float]:
    parts, x, y = [], 64.0, top
    for kind in named:
        wide = 32 + 7.4 * len(kind)
        if x + wide > WIDE:
            x, y = 64.0, y + 24
        parts.append(
            f'{_form(kinds.index(kind), x + 8, y - 5)}<text x="{x + 24:.0f}" y="{y}" {QUIET}>'
            f"{escape(kind)}</text>"
        )
        x += wide + 16
    return "".join(parts), y + 16 if named else top - 8


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" role="group" '
        f'aria-label="{escape(title)}" font-family="inherit">{"".join(parts)}</svg>'
    )
