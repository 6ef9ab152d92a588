"""Sections about what was measured: privacy and utility."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from deepfixcx._words import counted
from deepfixcx.audit.result import LOWER_IS_STRONGER
from deepfixcx.frontier.rows import FrontierRow
from deepfixcx.learn.sweep.rows import Row
from deepfixcx.learn.sweep.rows import recommend as recommend_of_sweep
from deepfixcx.measures import Interval
from deepfixcx.report.html import figure, items, paragraph, section, table
from deepfixcx.report.html_plots import Bar, intervals_svg
from deepfixcx.report.html_results import Attack, Audit, Evaluated

__all__ = [
    "Measured",
    "attack_bars",
    "attack_figure",
    "attack_groups",
    "attack_table",
    "drawn_and_others",
    "privacy",
    "sweep_table",
    "utility",
]

SHARES = ("AUC", "precision@1", "mAP@R", "EER", "KS", "SSIM", "MS-SSIM", "right signs")
"""Figures between 0 and 1."""

UNITS = {"PSNR": "PSNR, dB"}

MEANING = {
    ("linkage", "AUC"): (
        "Given two images, one of the same patient and one of another, how often the attacker "
        "picks the right one. 0.5 is guessing, 1 is always."
    ),
    ("linkage", "precision@1"): (
        "How often the image that the attacker finds most alike is of the same patient."
    ),
    ("linkage", "EER"): (
        "How often the attacker is wrong, where both mistakes are equally frequent. 0.5 is "
        "guessing; a small number means that the attack succeeds."
    ),
    ("linkage", "mAP@R"): "How well all images of a patient are found among the first.",
    ("linkage", "KS"): (
        "How far apart distances within and between patients lie: 0 is not at all, 1 is completely."
    ),
    ("reconstruction", "right signs"): (
        "How often the sign of an edge, which the code does not keep, is guessed. 0.5 is guessing."
    ),
    ("reconstruction", "SSIM"): (
        "How alike the attacker's picture is to the original: 1 is the same. The diamond, the "
        "floor, is what the mean image of other patients reaches."
    ),
    ("inference", "AUC"): "How well an attribute of the patient is guessed. 0.5 is guessing.",
    ("membership", "AUC"): (
        "How well the attacker tells images that a released model learned from. 0.5 is guessing."
    ),
}


DRAWN = {
    ("linkage", "AUC"),
    ("linkage", "precision@1"),
    ("inference", "AUC"),
    ("membership", "AUC"),
    ("reconstruction", "SSIM"),
    ("reconstruction", "PSNR"),
    ("reconstruction", "right signs"),
}
"""What is drawn; other figures of the same attacks stand in a table."""

MOST_LINES = 8
"""Of attacks that are made on each band, say, the strongest are shown."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Results of other commands; what was not made is None or empty.

    `notes` are those of the evaluation; `unbound` says which results name no release.
    """

    audit: Audit | None = None
    evaluation: tuple[Evaluated, ...] = ()
    sweep: tuple[Row, ...] = ()
    frontier: tuple[FrontierRow, ...] = ()
    notes: tuple[str, ...] = ()
    unbound: tuple[str, ...] = ()


def privacy(measured: Measured, *, has_codes: bool = True) -> str:
    """Show every attack that was made, against what it has to be held against."""
    audit = measured.audit
    if audit is None:
        release = "RELEASE" if has_codes else "CODES"
        first = "" if has_codes else f"deepfixcx privatize ORIGINALS {release} --output codes …; "
        return section(
            "privacy",
            "How well it withstood attacks",
            paragraph(
                "No attack was made on this release, so nothing is known of what an attacker "
                f"learns from it. Run: {first}deepfixcx audit {release} --against ORIGINALS "
                "--patients CSV"
            ),
        )
    parts = [items(audit.verdict)] if audit.verdict else []
    drawn, others = drawn_and_others(audit.attacks)
    groups = attack_groups(drawn)
    parts.append(f'<div class="plots">{"".join(_attack_block(*group) for group in groups)}</div>')
    if doubtful := sorted({each.reason for each in drawn if not each.valid and each.reason}):
        parts.append(paragraph("Figures that do not count are crosses. The reasons:"))
        parts.append(items(doubtful))
    if others:
        parts.append(attack_table(others))
    return section("privacy", "How well it withstood attacks", *parts)


def drawn_and_others(attacks: Sequence[Attack]) -> tuple[list[Attack], list[Attack]]:
    """Return the attacks that are drawn, and those that stand in a table."""
    drawn = [each for each in attacks if (each.attack, each.figure) in DRAWN]
    return drawn, [each for each in attacks if (each.attack, each.figure) not in DRAWN]


def attack_table(attacks: Sequence[Attack]) -> str:
    """List the figures that are not drawn, the strongest of each kind; raw images come last."""
    lines = [
        [
            "raw images" if attack == "reference" else attack,
            f"{each.attacker}, {each.mode.replace('-', ' to ')}",
            name,
            str(each.value),
            "" if math.isnan(each.floor) else f"{each.floor:.3f}",
        ]
        for attack, name, shown, _ in attack_groups(attacks)
        for each in shown
    ]
    head = ["attack", "attacker", "figure", "value [95 %]", "floor"]
    caption = "Other figures of the same attackers, and what they reach on raw images"
    return table(head, lines, caption=caption)


def _attack_block(attack: str, name: str, chosen: Sequence[Attack], others: int) -> str:
    parts = [f"<h3>{escape(attack.capitalize())}, {escape(name)}</h3>"]
    if meaning := MEANING.get((attack, name)):
        parts.append(paragraph(meaning, "small"))
    parts.append(figure(attack_figure(chosen, name), _attack_caption(chosen)))
    if others:
        weaker = counted(others, "weaker one")
        parts.append(paragraph(f"And {weaker}, in audit.json.", "small"))
    return f'<div class="plot-block">{"".join(parts)}</div>'


def attack_groups(attacks: Sequence[Attack]) -> list[tuple[str, str, list[Attack], int]]:
    """Put attacks together that one figure shows.

    Returns
    -------
    list of (str, str, list of Attack, int)
        Attack, figure, the strongest of them, and how many others there are; raw images, which
        attacks are held against, come last.
    """
    names = dict.fromkeys((each.attack, each.figure) for each in attacks)
    groups = []
    for attack, name in sorted(names, key=lambda each: each[0] == "reference"):
        found = [each for each in attacks if (each.attack, each.figure) == (attack, name)]
        sign = 1 if name in LOWER_IS_STRONGER else -1
        ranked = sorted(found, key=lambda each: sign * each.value.value)[:MOST_LINES]
        shown = [each for each in found if each in ranked]
        groups.append((attack, name, shown, len(found) - len(shown)))
    return groups


def attack_bars(attacks: Sequence[Attack]) -> list[Bar]:
    """Return the lines of a figure of attacks."""
    return [
        Bar(
            each.attacker,
            each.value,
            each.floor,
            each.raw,
            note=each.mode.replace("-", " to "),
            valid=each.valid,
        )
        for each in attacks
    ]


def attack_figure(attacks: Sequence[Attack], name: str) -> str:
    """Draw attacks of one kind; shares on an axis from 0 to 1, others up to the largest."""
    chances = {each.chance for each in attacks if math.isfinite(each.chance)}
    chance = chances.pop() if len(chances) == 1 else math.nan
    ends = [
        end for each in attacks for end in (each.value.high, each.value.value, each.floor, each.raw)
    ]
    largest = max((end for end in ends if math.isfinite(end)), default=1.0)
    high = 1.0 if name in SHARES else 1.1 * largest
    return intervals_svg(
        attack_bars(attacks), low=0, high=high, title=UNITS.get(name, name), chance=chance
    )


def _attack_caption(attacks: Sequence[Attack]) -> str:
    patients = max((each.patients for each in attacks), default=0)
    words = "Bars are 95 % intervals"
    words += f" over {counted(patients, 'patient')}." if patients else "."
    raw = [each for each in attacks if math.isfinite(each.raw)]
    if raw:
        best = max(raw, key=lambda each: each.raw)
        words += f" On raw images {best.attacker} reaches {best.raw:.3f}."
    return words


def utility(measured: Measured) -> str:
    """Show what the release is still good for."""
    parts = []
    if measured.evaluation:
        rows = [[each.label, str(each.auc), _auc_words(each.auc)] for each in measured.evaluation]
        parts.append(table(["label", "AUC [95 %]", "in words"], rows))
        if measured.notes:
            parts.append(items([f"{note[:1].upper()}{note[1:]}." for note in measured.notes]))
    if measured.sweep:
        parts.append(_sweep(measured.sweep))
    if not parts:
        parts.append(
            paragraph(
                "No classifier was tried, so nothing is known of how useful it is. Run: deepfixcx "
                "sweep, or deepfixcx evaluate"
            )
        )
    else:
        parts.insert(
            0,
            paragraph(
                "AUC: given one image with and one without the finding, how often the classifier "
                "gives the first the higher score. 0.5 is guessing, 1 is always.",
                "small",
            ),
        )
    return section("utility", "What it is still good for", *parts)


def _sweep(rows: Sequence[Row]) -> str:
    chosen = recommend_of_sweep(rows)
    return paragraph(chosen.sentence) + sweep_table(rows, (chosen.level, chosen.patches))


def sweep_table(
    rows: Sequence[Row], chosen: tuple[int | None, int | None], *, pick: bool = False
) -> str:
    """Return the AUC of every setting as a table, deeper where better; the chosen one is framed.

    Parameters
    ----------
    rows : sequence of Row
        Of a sweep.
    chosen : pair of int
        J and P of the recommended setting.
    pick : bool
        Whether cells can be chosen.
    """
    settings = {(row.level, row.patches): row for row in rows if row.level is not None}
    levels = sorted({level for level, _ in settings if level is not None})
    patches = sorted({count for _, count in settings if count is not None})
    values = [row.interval("auc").value for row in settings.values()]
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.5, 1.0)
    lines = []
    for level in levels:
        cells = [
            _cell(settings.get((level, count)), (low, high), chosen, pick) for count in patches
        ]
        lines.append(f'<tr><th scope="row">J={level}</th>{"".join(cells)}</tr>')
    head = "".join(f'<th scope="col">P={count}</th>' for count in patches)
    original = [row.interval("auc") for row in rows if row.level is None]
    caption = "AUC by level (down) and patches (across); the darker, the better"
    if original and math.isfinite(original[0].value):
        caption += f". Originals reach {original[0]}"
    return (
        f'<div class="wide whole" tabindex="0"><table><caption>{escape(caption)}</caption>'
        f'<thead><tr><th scope="col">level</th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _cell(
    row: Row | None,
    ends: tuple[float, float],
    chosen: tuple[int | None, int | None],
    pick: bool,
) -> str:
    if row is None or not math.isfinite(row.interval("auc").value):
        return '<td class="cell none">does not fit</td>'
    value = row.interval("auc")
    low, high = ends
    share = (value.value - low) / (high - low) if high > low else 0.5
    classes = "cell" + (" deep" if share > 0.6 else "")
    picked = (row.level, row.patches) == chosen
    classes += " chosen" if picked else ""
    # letters stand out from both halves of the scale, which is why there is a step between them
    lightness = 38 - 30 * (share - 0.6) if share > 0.6 else 94 - 50 * share
    extra = ", recommended" if picked else ""
    can = f' data-pick="J{row.level}_P{row.patches}" tabindex="0"' if pick else ""
    return (
        f'<td class="{classes}" style="background:hsl(209 55% {lightness:.0f}%)"{can} '
        f'title="{escape(str(value))}{extra}">{value.value:.3f}</td>'
    )


def _auc_words(auc: Interval) -> str:
    if not math.isfinite(auc.value):
        return "not known"
    if not auc.low > 0.5:
        return "cannot be told from guessing"
    return f"right in {100 * auc.value:.0f} of 100 such pairs"
