"""Figures as SVG markup: sharp at any size, readable without colour and by screen readers.

They are used in the report and in the studio, and take their colours from the page. Marks differ in
form, not in colour alone. A mark with a `pick` can be chosen by mouse and keyboard.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deepfixcx.measures import Interval
from deepfixcx.report.html import escaped

__all__ = ["Bar", "Point", "intervals_svg", "points_svg", "signed_svg"]

WIDE = 680
TEXT = 'font-size="14" fill="var(--ink)"'
QUIET = 'font-size="13" fill="var(--muted)"'


def svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    """Return a whole figure; its title is what screen readers say."""
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" role="group" '
        f'aria-label="{escaped(title)}" font-family="inherit">{"".join(parts)}</svg>'
    )


def steps(low: float, high: float) -> list[float]:
    """Return about five round numbers from low to high."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class Point:
    """One point: its place with intervals (NaN ends if unknown), its name and its family."""

    x: Interval
    y: Interval
    label: str
    kind: str = ""
    mark: str = ""
    ring: bool = True
    pick: str = ""


def points_svg(
    points: Sequence[Point],
    *,
    x_title: str,
    y_title: str,
    families: Sequence[str] = (),
) -> str:
    """Return SVG markup of points with intervals along both axes; "" without points."""
    if not points:
        return ""
    left, top, right, bottom = 64, 24, WIDE - 24, 380
    drawn = {point.kind for point in points}
    kinds = list(dict.fromkeys([*families, *(point.kind for point in points)]))
    x_scale = _Scale.of([point.x for point in points], left + 16, right - 16)
    y_scale = _Scale.of([point.y for point in points], bottom - 16, top + 16)
    parts = [_frame(x_scale, y_scale, (left, right, bottom), x_title, y_title)]
    ordered = sorted(points, key=lambda point: bool(point.mark))
    parts += [_point(point, kinds.index(point.kind), x_scale, y_scale) for point in ordered]
    legend, tall = _families([kind for kind in kinds if kind in drawn - {""}], kinds, bottom + 72)
    return svg(WIDE, tall, f"{y_title} against {x_title}", [*parts, legend])


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float
    begin: float
    end: float

    @classmethod
    def of(cls, values: Sequence[Interval], begin: float, end: float) -> _Scale:
        ends = [
            each
            for value in values
            for each in (value.value, value.low, value.high)
            if math.isfinite(each)
        ]
        low, high = min(ends), max(ends)
        if low == high:
            low, high = low - 0.05, high + 0.05
        return cls(low, high, begin, end)

    def place(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)


def _frame(
    x_scale: _Scale, y_scale: _Scale, box: tuple[int, int, int], x_title: str, y_title: str
) -> str:
    left, right, bottom = box
    parts = []
    for tick in steps(y_scale.low, y_scale.high):
        y = y_scale.place(tick)
        parts.append(
            f'<path d="M{left} {y:.1f}H{right}" stroke="var(--line)"/>'
            f'<text x="{left - 8}" y="{y + 5:.1f}" text-anchor="end" {QUIET}>{tick:g}</text>'
        )
    for tick in steps(x_scale.low, x_scale.high):
        x = x_scale.place(tick)
        parts.append(
            f'<path d="M{x:.1f} {bottom}v6" stroke="var(--muted)"/>'
            f'<text x="{x:.1f}" y="{bottom + 24}" text-anchor="middle" {QUIET}>{tick:,g}</text>'
        )
    parts.append(f'<path d="M{left} {bottom}H{right}" stroke="var(--muted)"/>')
    parts.append(
        f'<text x="{(left + right) / 2:.0f}" y="{bottom + 48}" text-anchor="middle" {TEXT}>'
        f'{escaped(x_title)}</text><text x="{left - 56}" y="14" {TEXT}>{escaped(y_title)}</text>'
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
        base = y - 14 if point.ring else y + 26
        dashes = "" if point.ring else ' stroke-dasharray="4 3"'
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="14" fill="none" stroke="var(--mark)" '
            f'stroke-width="3"{dashes}/>'
            f'<text class="halo" x="{x + (-20 if right else 20):.1f}" y="{base:.1f}" '
            f'text-anchor="{"end" if right else "start"}" font-size="14" font-weight="600" '
            f'fill="var(--ink)">{escaped(point.mark)}</text>'
        )
    parts.append(_form(kind, x, y))
    name = f"{point.label}{f', {point.kind}' if point.kind else ''}: {_at(point)}"
    name += f", {point.mark}" if point.mark else ""
    if point.pick:
        picked = f'data-pick="{escaped(point.pick)}" tabindex="0" role="button"'
        reach = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="12" fill="transparent"/>'
        parts.append(reach)
        opening = f'<g class="mark" {picked} aria-label="{escaped(name)}">'
    else:
        opening = "<g>"
    return f"{opening}<title>{escaped(name)}</title>{''.join(parts)}</g>"


def _at(point: Point) -> str:
    def short(value: Interval) -> str:
        return str(value) if math.isfinite(value.low) else f"{value.value:,.4g}"

    return f"{short(point.y)} at {short(point.x)}"


def _whisker(kind: int) -> str:
    return f'stroke="{_colour(kind)}" stroke-width="1.5" opacity="0.7"'


COLOURS = (
    "var(--accent)",
    "var(--mark)",
    "var(--ink)",
    "var(--muted)",
    "var(--warn)",
    "var(--bad)",
)


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


def _families(named: Sequence[str], kinds: Sequence[str], top: float) -> tuple[str, float]:
    parts, x, y = [], 64.0, top
    for kind in named:
        wide = 32 + 7.4 * len(kind)
        if x + wide > WIDE:
            x, y = 64.0, y + 24
        parts.append(
            f'{_form(kinds.index(kind), x + 8, y - 5)}<text x="{x + 24:.0f}" y="{y}" {QUIET}>'
            f"{escaped(kind)}</text>"
        )
        x += wide + 16
    return "".join(parts), y + 16 if named else top - 8


NARROW, SIDES = 480, 16
"""A figure of intervals fits a telephone: labels stand above their lines."""
ROW, HEAD, FOOT = 48, 20, 76
LINE = 22
"""Between two lines of the legend."""
LETTER = 7.6
"""Approximate width of a letter; the grid is hidden behind labels."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of a figure: an estimate with its 95 % interval."""

    label: str
    value: Interval
    floor: float = math.nan
    raw: float = math.nan
    note: str = ""
    valid: bool = True


def intervals_svg(
    bars: Sequence[Bar], *, low: float, high: float, title: str, chance: float = math.nan
) -> str:
    """Return SVG markup of estimates with their intervals, one below the other."""
    legend = _legend(bars, HEAD + ROW * len(bars) + FOOT - 12)
    tall = HEAD + ROW * len(bars) + FOOT + LINE * max(len(legend) - 1, 0)
    bottom = HEAD + ROW * len(bars)

    def across(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return SIDES + share * (NARROW - 2 * SIDES)

    parts = [_axis_across(across, low, high, HEAD, bottom, title)]
    if math.isfinite(chance):
        x = across(chance)
        anchor = "middle" if x > 4 * SIDES else "start"
        parts.append(
            f'<path d="M{x:.1f} {HEAD}V{bottom}" stroke="var(--muted)" stroke-width="1.5" '
            f'stroke-dasharray="5 4"/><text x="{x:.1f}" y="{HEAD - 4}" '
            f'text-anchor="{anchor}" {QUIET}>chance</text>'
        )
    for number, bar in enumerate(bars):
        parts.append(_bar(bar, across, HEAD + ROW * number + ROW - 14))
    return svg(NARROW, tall, title, [*parts, *legend])


def _legend(bars: Sequence[Bar], top: float) -> list[str]:
    """Return the legend of the marks that are drawn."""
    marks: list[tuple[Callable[[float, float], str], str]] = []
    if any(bar.valid for bar in bars):
        marks.append((_disc, "the attacker, with the 95 % interval as a line"))
    if any(not bar.valid for bar in bars):
        marks.append((_cross, "the same, not counted"))
    if any(math.isfinite(bar.floor) for bar in bars):
        marks.append((_diamond, "floor: labels or mean images alone"))
    if any(math.isfinite(bar.raw) for bar in bars):
        marks.append((_ring, "the same attacker on raw images"))
    return [
        f'{draw(SIDES, top + LINE * line)}<text x="{SIDES + 16}" y="{top + LINE * line + 5:.0f}" '
        f"{QUIET}>{words}</text>"
        for line, (draw, words) in enumerate(marks)
    ]


def signed_svg(amounts: Sequence[tuple[str, float]], title: str) -> str:
    """Return SVG markup of signed amounts as bars; negative ones are striped."""
    row, wide, labels = 24, 400, 176
    middle, reach = (labels + wide) / 2, (wide - labels) / 2 - 8
    largest = max((abs(amount) for _, amount in amounts), default=0.0) or 1.0
    tall = 32 + row * len(amounts) + 8
    parts = [
        '<defs><pattern id="stripes" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><rect width="3" height="6" fill="var(--accent)"/></pattern>'
        f'</defs><text x="{wide}" y="16" text-anchor="end" {QUIET}>{escaped(title)} →</text>'
    ]
    for number, (name, amount) in enumerate(amounts):
        y = 32 + row * number
        length = abs(amount) / largest * reach
        left = middle if amount >= 0 else middle - length
        fill = "var(--mark)" if amount >= 0 else "url(#stripes)"
        parts.append(
            f"<g><title>{escaped(name)}: {amount:+.3g}</title>"
            f'<text x="0" y="{y + 14}" font-size="13" fill="var(--ink)">{escaped(name)}</text>'
            f'<rect x="{left:.1f}" y="{y + 2}" width="{length:.1f}" height="16" fill="{fill}"/></g>'
        )
    parts.append(f'<path d="M{middle:.1f} 24V{tall - 8}" stroke="var(--muted)"/>')
    return svg(wide, tall, title, parts)


def _axis_across(
    place: Callable[[float], float], low: float, high: float, top: float, bottom: float, title: str
) -> str:
    parts = []
    for tick in steps(low, high):
        x = place(tick)
        parts.append(
            f'<path d="M{x:.1f} {top}V{bottom}" stroke="var(--line)"/>'
            f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle" {QUIET}>{tick:g}</text>'
        )
    parts.append(
        f'<text x="{NARROW / 2:.0f}" y="{bottom + 40}" text-anchor="middle" {TEXT}>'
        f"{escaped(title)}</text>"
    )
    return "".join(parts)


def _bar(bar: Bar, place: Callable[[float], float], y: float) -> str:
    value, words = bar.value, str(bar.value)
    note = f'<tspan {QUIET} dx="6">{escaped(bar.note)}</tspan>' if bar.note else ""
    wide = LETTER * (len(bar.label) + len(bar.note) + 1)
    parts = [
        f'<rect x="0" y="{y - 30:.1f}" width="{wide:.0f}" height="20" fill="var(--paper)"/>',
        f'<text x="0" y="{y - 14:.1f}" {TEXT}>{escaped(bar.label)}{note}</text>',
    ]
    if math.isfinite(value.low) and math.isfinite(value.high):
        parts.append(
            f'<path d="M{place(value.low):.1f} {y:.1f}H{place(value.high):.1f}" '
            'stroke="var(--accent)" stroke-width="3"/>'
        )
    if math.isfinite(bar.raw):
        parts.append(_ring(place(bar.raw), y))
    if math.isfinite(bar.floor):  # larger than the disc and below it: both are seen where equal
        parts.append(_diamond(place(bar.floor), y))
        words += f"; {bar.floor:.3f} without the images"
    parts.append((_disc if bar.valid else _cross)(place(value.value), y))
    if math.isfinite(bar.raw):
        words += f"; {bar.raw:.3f} on raw images"
    if not bar.valid:
        words += "; not counted"
    return f"<g><title>{escaped(f'{bar.label} {bar.note}: {words}')}</title>{''.join(parts)}</g>"


def _disc(x: float, y: float) -> str:
    """Return the mark of a figure."""
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="var(--accent)" '
        'stroke="var(--ground)" stroke-width="1"/>'
    )


def _cross(x: float, y: float) -> str:
    """Return the mark of a figure that does not count."""
    return (
        f'<path d="M{x - 6:.1f} {y - 6:.1f}l12 12m0-12l-12 12" fill="none" '
        'stroke="var(--accent)" stroke-width="3"/>'
    )


def _diamond(x: float, y: float) -> str:
    """Return the mark of a floor."""
    return (
        f'<path d="M{x:.1f} {y - 10:.1f}l10 10-10 10-10-10z" fill="var(--mark)" '
        'stroke="var(--ground)" stroke-width="1.5"/>'
    )


def _ring(x: float, y: float) -> str:
    """Return the mark of raw images."""
    return (
        f'<path d="M{x - 6:.1f} {y:.1f}a6 6 0 1 0 12 0a6 6 0 1 0 -12 0z" fill="none" '
        'stroke="var(--muted)" stroke-width="2"/>'
    )
