"""A figure of points with intervals along both axes, as SVG markup."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from deepfixcx.measures import Interval
from deepfixcx.report.html import escaped
from deepfixcx.report.html_axes import QUIET, TEXT, WIDE, powers, steps, svg

__all__ = ["Point", "points_svg"]

DASHES = ' stroke-dasharray="4 3"'


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
    ring : bool
        Whether the ring is whole and the word above; or the ring dashed and the word below.
    pick : str
        What is said when it is chosen; empty where it cannot be.
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
    """Draw points with intervals along both axes.

    Parameters
    ----------
    points : sequence of Point
        With finite places.
    x_title, y_title : str
        What the axes show.
    logarithmic : bool
        Along x.
    families : sequence of str
        Kinds in the order of their forms; those of the points, if not given.

    Returns
    -------
    str
        SVG markup; empty where there is no point.

    Examples
    --------
    >>> here = Interval(0.5, 0.4, 0.6)
    >>> drawn = points_svg([Point(here, here, "J=3", mark="recommended")], x_title="x", y_title="y")
    >>> drawn.count("<circle"), "recommended" in drawn
    (2, True)
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
