"""What came of an audit, as one page: the verdict in words, and the figures behind it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from deepfixcx._words import plain
from deepfixcx.audit.result import AttackResult
from deepfixcx.audit.suite import Audit
from deepfixcx.audit.verdict import OPINION, Answer, answers
from deepfixcx.report.drawing import FONT, INK, MUTED, RULE, Page

__all__ = ["audit_figure", "audit_markdown"]

WIDTH, MARGIN = 11.0, 0.4
HEAD, LEGEND = 0.95, 0.45
QUESTION, LINE, SPACE = 0.26, 0.175, 0.16
"""Heights of an answer: its first line, each line of its sentence, and what follows."""

PANEL_LEFT, ROW, PANEL_HEAD, PANEL_FOOT = 2.6, 0.24, 0.5, 0.55
WORDS_A_LINE = 140
VALUE, FLOOR, RAW = "#0b4f8a", "#c05a00", "#6e6e6e"

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
    panels = _panels(audit.results)
    pairs = [panels[start : start + 2] for start in range(0, len(panels), 2)]
    heights = [
        PANEL_HEAD + PANEL_FOOT + ROW * max(len(rows) for _, rows, _ in pair) for pair in pairs
    ]
    height = HEAD + sum(map(_high, said)) + LEGEND + sum(heights) + 0.5
    page = Page(WIDTH, height)
    page.text(MARGIN, 0.25, title, 17, weight="bold")
    page.text(MARGIN, 0.6, _about(audit), 11, color=MUTED)
    top = HEAD
    for answer in said:
        _write_answer(page, top, answer)
        top += _high(answer)
    if panels:
        _write_legend(page, top)
    top += LEGEND
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

Panel = tuple[str, list[tuple[str, AttackResult]], str]
"""What is drawn, its rows with their names, and what the axis says."""


def _panels(results: Sequence[AttackResult]) -> list[Panel]:
    linkage = [each for each in results if each.attack == "linkage"]
    panels: list[Panel] = [
        ("Linked: AUC", _named(linkage, "AUC"), "0.5 is chance, 1 always right"),
        ("Singled out: first hit is right", _named(linkage, "precision@1"), "share of searches"),
        (
            "Inferred: AUC",
            [(each.mode, each) for each in results if each.attack == "inference"],
            "0.5 is chance, 1 always right",
        ),
        (
            "Reconstructed: SSIM",
            [
                (each.attacker, each)
                for each in results
                if (each.attack, each.figure) == ("reconstruction", "SSIM")
            ],
            "1 is the original",
        ),
        (
            "Members: AUC",
            [
                (
                    f"{each.attacker}: {'worst patient' if 'worst' in each.figure else each.mode}",
                    each,
                )
                for each in results
                if each.attack == "membership"
                and each.figure in ("AUC", "AUC rank", "worst patient AUC")
            ],
            "0.5 is chance, 1 always right",
        ),
    ]
    return [panel for panel in panels if panel[1]]


def _named(results: Sequence[AttackResult], figure: str) -> list[tuple[str, AttackResult]]:
    short = {
        "released-released": "two records",
        "released-raw": "image, record",
        "inverted-raw": "reconstruction",
    }
    return [
        (
            f"{each.attacker}: {short.get(each.mode, each.mode)}"
            + ("" if each.valid else " (weak)"),
            each,
        )
        for each in results
        if each.figure == figure
    ]


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


def _write_legend(page: Page, top: float) -> None:
    marks = (
        ("o", VALUE, VALUE, "attack, 95 % interval"),
        ("D", FLOOR, FLOOR, "floor: without the records (labels, mean image)"),
        ("o", "none", RAW, "same attacker on raw images"),
    )
    left = MARGIN
    for mark, face, edge, words in marks:
        line = Line2D(
            [(left + 0.08) / page.width],
            [1 - (top + 0.08) / page.height],
            marker=mark, markerfacecolor=face, markeredgecolor=edge, color=edge,
            markersize=9 if edge == RAW else 7, markeredgewidth=1.4,
            linestyle="none", transform=page.figure.transFigure,
        )  # fmt: skip
        page.figure.add_artist(line)
        page.text(left + 0.25, top, words, 10)
        left += 0.7 + 0.075 * len(words)


def _draw_panel(page: Page, left: float, top: float, wide: float, panel: Panel) -> None:
    title, rows, axis = panel
    page.text(left, top, title, 12, weight="bold")
    axes = page.axes(
        left + PANEL_LEFT, top + PANEL_HEAD - 0.15, wide - PANEL_LEFT - 0.3, ROW * len(rows)
    )
    for line, (_, result) in enumerate(rows):
        _draw_row(axes, line, result)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows], family=FONT, fontsize=9.5)
    axes.set_xlim(*_limits([result for _, result in rows]))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.tick_params(axis="both", length=0, labelsize=9.5, labelcolor=INK)
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(axis, fontsize=9.5, family=FONT, color=MUTED)


def _draw_row(axes: Axes, line: int, result: AttackResult) -> None:
    face = VALUE if result.valid else "white"
    axes.plot([result.value.low, result.value.high], [line, line], color=VALUE, linewidth=2)
    axes.plot(
        result.value.value, line, marker="o", markersize=7, markerfacecolor=face,
        markeredgecolor=VALUE, zorder=4,
    )  # fmt: skip
    axes.plot(result.floor, line, marker="D", markersize=7, color=FLOOR)
    if math.isfinite(result.raw):
        axes.plot(
            result.raw, line, marker="o", markersize=11, markerfacecolor="none", zorder=3,
            markeredgecolor=RAW, markeredgewidth=1.4,
        )  # fmt: skip


def _limits(results: Sequence[AttackResult]) -> tuple[float, float]:
    numbers = [
        number
        for each in results
        for number in (each.value.low, each.value.high, each.floor, each.raw, each.chance)
        if math.isfinite(number)
    ]
    low, high = min(numbers, default=0.0), max(numbers, default=1.0)
    room = 0.06 * max(high - low, 0.05)
    return low - room, high + room
