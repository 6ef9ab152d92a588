"""What figures as SVG share: the frame, letters, and round numbers along an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

from deepfixcx.report.html import escaped

__all__ = ["QUIET", "TEXT", "WIDE", "powers", "steps", "svg"]

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
