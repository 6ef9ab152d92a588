"""A figure of points with intervals along both axes as SVG markup; frame, text and ticks of SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from deepfixcx.measures import Interval
from deepfixcx.report.html import escaped

__all__ = ["QUIET", "TEXT", "WIDE", "Point", "points_svg", "powers", "steps", "svg"]

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
    """Return round numbers from low to high, some five of them.

    Examples
    --------
    >>> steps(0, 1)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def powers(low: float, high: float) -> list[float]:
    """Return round numbers of a logarithmic axis."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    wanted = [10.0**power for power in range(first, last + 1)]
    if last - first <= 2:
        wanted = [power * times for power in wanted for times in (1, 2, 5)]
    return [tick for tick in wanted if low * 0.999 <= tick <= high * 1.001]


DASHES = ' stroke-dasharray="4 3"'


@dataclass(frozen=True, slots=True)
class Point:
    """One point: its place with intervals (NaN ends if unknown), its name and its family.

    `mark` is a word beside it, above a whole `ring` or below a dashed one; `pick` is emitted when
    it is chosen.
    """

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
    logarithmic: bool = False,
    families: Sequence[str] = (),
) -> str:
    """Return SVG markup of points with intervals along both axes; "" without points.

    `families` are kinds in the order of their forms, by default those of the points.
    """
    if not points:
        return ""
    left, top, right, bottom = 64, 24, WIDE - 24, 380
    drawn = {point.kind for point in points}
    kinds = list(dict.fromkeys([*families, *(point.kind for point in points)]))
    x_scale = _Scale.of([point.x for point in points], left + 16, right - 16, log=logarithmic)
    y_scale = _Scale.of(
        [point.y for point in points],
        bottom - 16,
        top + 16,
    )
    parts = [_frame(x_scale, y_scale, (left, right, bottom), x_title, y_title)]
    ordered = sorted(points, key=lambda point: bool(point.mark))
    parts += [_point(point, kinds.index(point.kind), x_scale, y_scale) for point in ordered]
    legend, tall = _legend([kind for kind in kinds if kind in drawn - {""}], kinds, bottom + 72)
    return svg(WIDE, tall, f"{y_title} against {x_title}", [*parts, legend])


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
            return powers(self.low, self.high)
        return steps(self.low, self.high)


def _frame(
    x_scale: _Scale, y_scale: _Scale, box: tuple[int, int, int], x_title: str, y_title: str
) -> str:
    left, right, bottom = box
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
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="14" fill="none" stroke="var(--mark)" '
            f'stroke-width="3"{"" if point.ring else DASHES}/>'
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


def _legend(named: Sequence[str], kinds: Sequence[str], top: float) -> tuple[str, float]:
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
