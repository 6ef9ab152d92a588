"""What came of an audit, as one page: the verdict in words, and the figures behind it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from deepfixcx._words import plain
from deepfixcx.audit.result import AttackResult
from deepfixcx.audit.suite import Audit
from deepfixcx.audit.verdict import OPINION, Answer, answers
from deepfixcx.report.drawing import FONT, INK, MUTED, RULE, Page
from deepfixcx.report.figure_data import COLOURS, LEGEND, Bar, BarPanel, attack_panels

__all__ = ["audit_figure", "audit_markdown"]

WIDTH, MARGIN = 11.0, 0.4
HEAD, LEGEND_ROOM = 0.95, 0.45
QUESTION, LINE, SPACE = 0.26, 0.175, 0.16
"""Heights of an answer: its first line, each line of its sentence, and what follows."""

PANEL_LEFT, ROW, PANEL_HEAD, PANEL_FOOT = 2.6, 0.24, 0.5, 0.55
WORDS_A_LINE = 140

SHOWN = (
    *("SSIM", "MS-SSIM", "PSNR", "right signs", "AUC", "EER", "precision@1", "mAP@R", "KS"),
    *("unique patients", "recall", "AUC rank", "TPR at 1 % FPR", "worst patient AUC"),
)
COLUMNS = (
    *("attack", "attacker", "figure", "value", "chance", "floor", "gain", "control"),
    *("residual risk", "detectable", "counts"),
)
EXPLAINED = (
    "Floor: the value reached without the records, from labels or from the mean of other "
    "patients' images. Gain: the value above the floor. Control: the same attack on targets "
    "that are not in the release. Residual risk: (attack − control) / (1 − control). "
    "Detectable: the smallest gain that the attack would have detected with a probability of 80 "
    "%. Intervals have 95 % confidence, over patients. One third of the patients is searched at "
    "a time, by attackers trained on the others: with more records the first hit is less often "
    "correct, and with more images an attacker learns more. Reference rows are not attacks on "
    "the release."
)
NO_LEGAL_ADVICE = (
    "This page reports what the tested attackers achieved. Other attackers may achieve more. It "
    "is neither legal advice nor a proof of anonymity."
)


def audit_figure(audit: Audit, title: str = "Audit of a release") -> Figure:
    """Draw the verdict and its figures on one page.

    Parameters
    ----------
    audit : Audit
        What came of the attacks.
    title : str
        What stands at the top. It holds no name.

    Returns
    -------
    matplotlib.figure.Figure
        11 inches wide; write it with `write_figure`.

    Examples
    --------
    >>> page = audit_figure(Audit((), (), 0, 0, False, 0))
    >>> page.texts[0].get_text()
    'Audit of a release'
    """
    said = answers(audit)
    panels = attack_panels(audit.results)
    pairs = [panels[start : start + 2] for start in range(0, len(panels), 2)]
    heights = [
        PANEL_HEAD + PANEL_FOOT + ROW * max(len(panel.bars) for panel in pair) for pair in pairs
    ]
    height = HEAD + sum(map(_high, said)) + LEGEND_ROOM + sum(heights) + 0.5
    page = Page(WIDTH, height)
    page.text(MARGIN, 0.25, title, 17, weight="bold")
    page.text(MARGIN, 0.6, _about(audit), 11, color=MUTED)
    top = HEAD
    for answer in said:
        _write_answer(page, top, answer)
        top += _high(answer)
    if panels:
        _write_legend(page, top, panels)
    top += LEGEND_ROOM
    wide = (WIDTH - 2 * MARGIN) / 2
    for pair, high in zip(pairs, heights, strict=True):
        for column, panel in enumerate(pair):
            _draw_panel(page, MARGIN + column * wide, top, wide, panel)
        top += high
    page.text(MARGIN, height - 0.35, NO_LEGAL_ADVICE, 9.5, color=MUTED)
    return page.figure


def audit_markdown(
    audit: Audit,
    title: str = "Audit of a release",
    *,
    checksum: str = "",
    notes: Sequence[str] = (),
) -> str:
    """Write the verdict as Markdown: answers, results, what was not tested.

    Parameters
    ----------
    audit : Audit
        What came of the attacks.
    title : str
        The heading.
    checksum : str
        SHA-256 of the dataset.json of the release that was attacked.
    notes : sequence of str
        What a reader should know, such as how many copies were left out.

    Examples
    --------
    >>> print(audit_markdown(Audit((), (), 0, 0, False, 0)).splitlines()[0])
    # Audit of a release
    """
    lines = [f"# {title}", "", f"{_about(audit)}.", ""]
    if checksum:
        lines += [f"Release checksum (SHA-256 of dataset.json): `{checksum}`", ""]
    lines += [f"- Note: {_safe(each)}." for each in notes] + ([""] if notes else [])
    for answer in answers(audit):
        sentence = _safe(answer.sentence)
        lines += [f"**{answer.question} {_capital(answer.word)}.** {sentence}", ""]
    lines += [
        f"The first three are the questions of the {OPINION}.",
        "",
        "## Results",
        "",
        EXPLAINED,
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{'---|' * len(COLUMNS)}",
    ]
    lines += [_row(each) for each in audit.results if _is_shown(each)]
    lines += _curve_lines(audit)
    lines += ["", "## Not tested", "", *(f"- {_safe(each)}" for each in audit.untested), ""]
    references = sorted({each.reference for each in audit.results if each.reference})
    lines += ["## References", "", *(f"- {each}" for each in references)]
    lines += ["- residual risk: Giomi et al. 2023, doi:10.56553/popets-2023-0055", ""]
    lines += [NO_LEGAL_ADVICE, ""]
    return "\n".join(lines)


def _curve_lines(audit: Audit) -> list[str]:
    """Return a table: how often the first hit is right, by the size of the gallery."""
    if not audit.curves:
        return []
    sizes = sorted({size for curve in audit.curves for size in curve.strangers})
    lines = [
        "",
        "## First hit by size of the gallery",
        "",
        "Share of searches whose first hit is right among so many records of other patients, with "
        "95 % intervals over patients.",
        "",
        f"| attack | {' | '.join(map(str, sizes))} |",
        f"|---{'|---' * len(sizes)}|",
    ]
    for curve in audit.curves:
        values = dict(zip(curve.strangers, map(str, curve.top1), strict=True))
        cells = " | ".join(values.get(size, "") for size in sizes)
        lines.append(f"| {_safe(curve.mode)}, {curve.attacker} | {cells} |")
    return lines


# -- words ------------------------------------------------------------------------------------


def _about(audit: Audit) -> str:
    effort = "all attackers" if audit.full else "quick attackers, no networks"
    return f"{audit.images} images of {audit.patients} patients; {effort}; seed {audit.seed}"


def _capital(word: str) -> str:
    return word[:1].upper() + word[1:]


def _is_shown(result: AttackResult) -> bool:
    single_band = result.figure == "right signs" and result.mode != "all details"
    return result.figure in SHOWN and not single_band


def _row(result: AttackResult) -> str:
    cells = [
        f"{result.attack}, {result.mode}",
        result.attacker,
        result.figure,
        str(result.value),
        _number(result.chance),
        _number(result.floor),
        str(result.gain),
        _number(result.control),
        _number(result.residual_risk),
        _number(result.detectable),
        "yes" if result.valid else f"no: {result.reason}",
    ]
    return f"| {' | '.join(map(_safe, cells))} |"


def _safe(text: str) -> str:
    """Return text, which may name a column of a table, as Markdown that shows it in one line."""
    return plain(text, one_line=True).replace("<", "&lt;").replace("|", "\\|")


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else ""


# -- drawing ----------------------------------------------------------------------------------

MARKS: Mapping[str, dict[str, Any]] = {
    "attack": {"marker": "o", "markersize": 7, "color": COLOURS["accent"]},
    "not counted": {
        "marker": "x", "markersize": 8, "markeredgewidth": 2, "color": COLOURS["accent"],
    },
    "floor": {"marker": "D", "markersize": 7, "color": COLOURS["mark"]},
    "raw": {
        "marker": "o", "markersize": 11, "markerfacecolor": "none", "markeredgewidth": 1.4,
        "color": COLOURS["muted"],
    },
}  # fmt: skip
"""The marks of `LEGEND` as matplotlib draws them."""


def _write_answer(page: Page, top: float, answer: Answer) -> None:
    page.text(MARGIN, top, answer.question, 12, weight="bold")
    page.text(WIDTH - MARGIN, top, _capital(answer.word), 12, weight="bold", ha="right")
    page.text(MARGIN, top + QUESTION, "\n".join(_wrapped(answer)), 10, linespacing=1.25)


def _wrapped(answer: Answer) -> list[str]:
    # a number and its percent sign stay together
    lines = textwrap.wrap(answer.sentence.replace(" %", "\xa0%"), WORDS_A_LINE)
    return [line.replace("\xa0", " ") for line in lines]


def _high(answer: Answer) -> float:
    return QUESTION + LINE * len(_wrapped(answer)) + SPACE


def _write_legend(page: Page, top: float, panels: Sequence[BarPanel]) -> None:
    bars = [bar for panel in panels for bar in panel.bars]
    drawn = {"attack": any(bar.valid for bar in bars)}
    drawn["not counted"] = not all(bar.valid for bar in bars)
    left = MARGIN
    for name, words in LEGEND.items():
        if not drawn.get(name, True):
            continue
        line = Line2D(
            [(left + 0.08) / page.width], [1 - (top + 0.08) / page.height],
            linestyle="none", transform=page.figure.transFigure, **MARKS[name],
        )  # fmt: skip
        page.figure.add_artist(line)
        page.text(left + 0.25, top, words, 10)
        left += 0.5 + 0.075 * len(words)


def _draw_panel(page: Page, left: float, top: float, wide: float, panel: BarPanel) -> None:
    page.text(left, top, panel.title, 12, weight="bold")
    axes = page.axes(
        left + PANEL_LEFT, top + PANEL_HEAD - 0.15, wide - PANEL_LEFT - 0.3, ROW * len(panel.bars)
    )
    for line, bar in enumerate(panel.bars):
        axes.plot(
            [bar.value.low, bar.value.high], [line, line], color=COLOURS["accent"], linewidth=2
        )
        axes.plot(bar.floor, line, **MARKS["floor"])
        axes.plot(
            bar.value.value, line, zorder=4, **MARKS["attack" if bar.valid else "not counted"]
        )
        if math.isfinite(bar.raw):
            axes.plot(bar.raw, line, zorder=3, **MARKS["raw"])
    if math.isfinite(panel.chance):
        axes.axvline(panel.chance, color=COLOURS["muted"], linewidth=1, linestyle=(0, (5, 4)))
    axes.set_ylim(len(panel.bars) - 0.4, -0.6)
    axes.set_yticks(
        range(len(panel.bars)), [_row_name(bar) for bar in panel.bars], family=FONT, fontsize=9.5
    )
    axes.set_xlim(panel.low, panel.high)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.tick_params(axis="both", length=0, labelsize=9.5, labelcolor=INK)
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(panel.axis, fontsize=9.5, family=FONT, color=MUTED)


def _row_name(bar: Bar) -> str:
    return f"{bar.label}: {bar.note}" + ("" if bar.valid else " (not counted)")
