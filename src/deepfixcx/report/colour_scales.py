"""What a colour stands for: a scale below a figure, and as many digits as its numbers need."""

from __future__ import annotations

import math

from matplotlib.patches import Rectangle

from deepfixcx.report.drawing import MUTED, Page

__all__ = ["decimals_for", "draw_scale"]

FIELDS = 40
BAR = 0.13  # inches
DIGITS = 3


def decimals_for(largest: float) -> int:
    """Return how many decimals the numbers of a panel have: three digits of the largest.

    Examples
    --------
    >>> decimals_for(0.971), decimals_for(12.5), decimals_for(0.0), decimals_for(2000)
    (3, 1, 2, 0)
    """
    if not largest > 0:
        return 2
    return min(max(DIGITS - 1 - math.floor(math.log10(largest)), 0), 6)


def draw_scale(
    page: Page,
    place: tuple[float, float, float],
    most: float,
    colours: tuple[str, str],
    strength: float,
    *,
    unit: str = "",
    signed: bool = True,
    percent: bool = False,
) -> None:
    """Draw a scale of colours with its ends in numbers.

    Parameters
    ----------
    page : Page
        Drawn on.
    place : tuple of float
        Left, top and width in inches.
    most : float
        What the strongest colour stands for.
    colours : pair of str
        Of numbers above 0, and below.
    strength : float
        How much of the strongest colour covers what is below it.
    unit : str
        Behind the larger end.
    signed : bool
        From -most to most, rather than from 0.
    percent : bool
        Whether numbers are shares.
    """
    left, top, width = place
    for field in range(FIELDS):
        amount = (2 * (field + 0.5) / FIELDS - 1) if signed else (field + 0.5) / FIELDS
        page.figure.add_artist(
            Rectangle(
                ((left + width * field / FIELDS) / page.width, 1 - (top + BAR) / page.height),
                width / FIELDS / page.width,
                BAR / page.height,
                facecolor=colours[0] if amount > 0 else colours[1],
                alpha=strength * abs(amount),
                linewidth=0,
                transform=page.figure.transFigure,
            )
        )
    end = f"{100 * most:.3g} %" if percent else f"{most:.{decimals_for(most)}f}"
    below = top + BAR + 0.06
    page.text(left, below, f"−{end}" if signed else "0", 9.5, color=MUTED)
    if signed:
        page.text(left + width / 2, below, "0", 9.5, color=MUTED, ha="center")
    words = f"{'+' if signed else ''}{end} {unit}".strip()
    page.text(left + width, below, words, 9.5, color=MUTED, ha="right")
