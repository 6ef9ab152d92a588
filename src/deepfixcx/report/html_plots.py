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
from deepfixcx.report.html_points import QUIET, TEXT, steps, svg

__all__ = ["Bar", "intervals_svg", "signed_svg"]

NARROW, SIDES = 480, 16
"""A figure of intervals fits a telephone: labels stand above their lines."""
ROW, HEAD, FOOT = 48, 20, 76
LINE = 22
"""Between two lines of the legend."""
LETTER = 7.6
"""Approximate width of a letter; the grid is hidden behind labels."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of a figure: an estimate with its 95 % interval.

    `floor` is what is reached without the codes, an orange diamond; `raw` what the same attacker
    reaches on raw images, a grey ring; NaN if unknown. A cross marks an invalid estimate.
    """

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
        marks.append((_cross, "the same, where it does not count"))
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
        words += "; does not count"
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
