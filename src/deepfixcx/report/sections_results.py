"""Sections about what was measured: privacy and utility."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from deepfixcx._words import counted
from deepfixcx.audit.result import LOWER_IS_STRONGER, QUESTIONS
from deepfixcx.experiments.recommendation import recommend_code
from deepfixcx.experiments.rows import FrontierRow, Row
from deepfixcx.measures import Interval
from deepfixcx.report.html import escaped, figure, items, paragraph, section, table
from deepfixcx.report.html_plots import Bar, intervals_svg
from deepfixcx.report.html_results import Attack, Audit, Evaluation

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

SHARES = ("AUC", "AUC rank", "precision@1", "mAP@R", "EER", "KS", "SSIM", "MS-SSIM", "right signs")
"""Estimates between 0 and 1."""

UNITS = {"PSNR": "PSNR, dB"}

MEANING = {
    ("linkage", "AUC"): (
        "Given two images, one of the same patient and one of another, how often the attacker "
        "picks the right one. Chance is 0.5, the maximum 1."
    ),
    ("linkage", "precision@1"): (
        "How often the image that the attacker ranks first is of the same patient."
    ),
    ("linkage", "EER"): (
        "How often the attacker is wrong, where both errors are equally frequent. Chance is 0.5; a "
        "small value means that the attack succeeds."
    ),
    ("linkage", "mAP@R"): (
        "Mean average precision at R: how highly the images of a patient are ranked; the "
        "maximum is 1."
    ),
    ("linkage", "KS"): (
        "Kolmogorov-Smirnov statistic: separation of the distances within and between "
        "patients, from 0 (none) to 1 (complete)."
    ),
    ("reconstruction", "right signs"): (
        "How often the sign of an edge, which the code does not keep, is predicted. Chance is 0.5."
    ),
    ("reconstruction", "SSIM"): (
        "Structural similarity of the attacker's picture to the original; 1 is equal. The "
        "diamond (floor) is the value of the mean image of other patients."
    ),
    ("inference", "AUC"): "How well an attribute of the patient is predicted. Chance is 0.5.",
    ("membership", "AUC rank"): (
        "How often an attacker who holds an image ranks its record before others. Chance is 0.5."
    ),
    ("membership", "AUC"): (
        "How well the attacker finds the patients whose images are in the release. Chance is 0.5."
    ),
}


DRAWN = {
    ("linkage", "AUC"),
    ("linkage", "precision@1"),
    ("inference", "AUC"),
    ("membership", "AUC"),
    ("membership", "AUC rank"),
    ("reconstruction", "SSIM"),
    ("reconstruction", "PSNR"),
    ("reconstruction", "right signs"),
}
"""What is drawn; other estimates of the same attacks stand in a table."""

PRIVACY = "What attacks show"
LABELS = "labels"
"""The attacker who knows labels only; others who know them, too, end with it."""

MOST_LINES = 8
"""Of attacks that are made on each band, say, the strongest are shown."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Results of other commands; what was not made is None or empty."""

    audit: Audit | None = None
    evaluation: Evaluation | None = None
    sweep: tuple[Row, ...] = ()
    frontier: tuple[FrontierRow, ...] = ()
    bound: tuple[str, ...] = ()
    unbound: tuple[str, ...] = ()


def privacy(measured: Measured, *, has_codes: bool = True) -> str:
    """Show every attack that was made, with its baselines."""
    audit = measured.audit
    if audit is None:
        release = "RELEASE" if has_codes else "CODES"
        first = "" if has_codes else f"deepfixcx privatize ORIGINALS {release} --output codes …; "
        return section(
            "privacy",
            PRIVACY,
            paragraph(
                "No attack was made on this release, so the privacy risk is unknown. Run: "
                f"{first}deepfixcx audit {release} --against ORIGINALS --patients CSV"
            ),
        )
    parts = [paragraph(f"Attacked: {audit.sample}.")] if audit.sample else []
    if audit.answers:
        rows = [[asked, audit.answers.get(asked, "not tested")] for asked in QUESTIONS]
        parts.append(table(["question", "answer"], rows))
    parts += [items(audit.verdict)] if audit.verdict else []
    parts += [items(f"{note[:1].upper()}{note[1:]}." for note in audit.notes)] * bool(audit.notes)
    parts.append(_with_labels(audit.attacks))
    drawn, others = drawn_and_others(audit.attacks)
    groups = attack_groups(drawn)
    parts.append(f'<div class="plots">{"".join(_attack_block(*group) for group in groups)}</div>')
    if doubtful := sorted({each.reason for each in drawn if not each.valid and each.reason}):
        parts.append(paragraph("Crosses are values that are not counted. The reasons:"))
        parts.append(items(doubtful))
    if others:
        parts.append(attack_table(others))
    return section("privacy", PRIVACY, *parts)


def _with_labels(attacks: Sequence[Attack]) -> str:
    """Show linkage with labels beside linkage without, for each way of linking."""
    areas = [each for each in attacks if each.figure == "AUC"]
    linkage = [each for each in areas if each.attack == "linkage"]
    raw = [each for each in areas if (each.attack, each.mode) == ("reference", "raw images")]
    rows = []
    for mode in dict.fromkeys(each.mode for each in linkage):
        labels = [each for each in areas if (each.mode, each.attacker) == (mode, LABELS)]
        of_mode = [each for each in linkage if each.mode == mode and each not in labels]
        both = [each for each in of_mode if each.attacker.endswith(f"+ {LABELS}")]
        alone = [each for each in of_mode if each not in both]
        rows.append([_mode(mode), *map(_strongest, (alone, both, labels, raw))])
    if not rows:
        return ""
    heads = ["linkage", "records without labels", "records with labels", "labels alone"]
    caption = "Linkage AUC of the strongest attacker, 95 % intervals in brackets"
    return table([*heads, "raw images"], rows, caption=caption)


def _strongest(attacks: Sequence[Attack]) -> str:
    """Return the largest value and its attacker; of those that count, if any does."""
    chosen = [each for each in attacks if each.valid] or attacks
    if not chosen:
        return str(Interval.unknown())
    best = max(chosen, key=lambda each: each.value.value)
    who = "" if best.attacker == LABELS else best.attacker.removesuffix(f" + {LABELS}")
    said = ", ".join(filter(None, (who, "" if best.valid else "not counted")))
    return f"{best.value}{f' ({said})' if said else ''}"


def _mode(mode: str) -> str:
    """Return what is attacked as people read it, such as ``released to raw``."""
    return mode.replace("-", " to ") if mode.count("-") == 1 and " " not in mode else mode


def drawn_and_others(attacks: Sequence[Attack]) -> tuple[list[Attack], list[Attack]]:
    """Return the attacks that are drawn, and those that stand in a table."""
    drawn = [each for each in attacks if (each.attack, each.figure) in DRAWN]
    return drawn, [each for each in attacks if (each.attack, each.figure) not in DRAWN]


def attack_table(attacks: Sequence[Attack]) -> str:
    """List the estimates that are not drawn, the strongest of each kind; references come last."""
    lines = [
        [
            attack,
            f"{each.attacker}, {_mode(each.mode)}",
            name,
            str(each.value),
            "" if math.isnan(each.floor) else f"{each.floor:.3f}",
        ]
        for attack, name, shown, _ in attack_groups(attacks)
        for each in shown
    ]
    head = ["attack", "attacker", "estimate", "value [95 %]", "floor"]
    caption = "Other estimates of the same attackers; references are no attacks on records"
    return table(head, lines, caption=caption)


def _attack_block(attack: str, name: str, chosen: Sequence[Attack], others: int) -> str:
    parts = [f"<h3>{escaped(attack.capitalize())}, {escaped(name)}</h3>"]
    if meaning := MEANING.get((attack, name)):
        parts.append(paragraph(meaning, "small"))
    parts.append(figure(attack_figure(chosen, name), _attack_caption(chosen)))
    if others:
        weaker = counted(others, "weaker one")
        parts.append(paragraph(f"And {weaker}, in audit.json.", "small"))
    return f'<div class="plot-block">{"".join(parts)}</div>'


def attack_groups(attacks: Sequence[Attack]) -> list[tuple[str, str, list[Attack], int]]:
    """Put attacks together that one figure shows."""
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
            note=_mode(each.mode),
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
    high = 1.0 if name in SHARES else max(1.1 * largest, 1.0)
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
    if measured.evaluation is not None:
        parts += _evaluation(measured.evaluation)
    if measured.sweep:
        parts.append(_sweep(measured.sweep))
    if not parts:
        parts.append(
            paragraph(
                "No classifier was tested, so the utility of the release is unknown. Run: "
                "deepfixcx sweep, or deepfixcx evaluate"
            )
        )
    else:
        parts.insert(
            0,
            paragraph(
                "AUC: given one image with the finding and one without it, how often the "
                "classifier gives the first image the higher score. Chance is 0.5, the maximum 1. "
                "Public images alone: the same classifier without this release.",
                "small",
            ),
        )
    return section("utility", "What the release is useful for", *parts)


def _evaluation(found: Evaluation) -> list[str]:
    """Return the table of the labels, public images beside each, and every note."""
    rows = [
        [each.label, *map(str, (each.auc, each.public, each.added)), _auc_words(each.auc)]
        for each in found.labels
    ]
    heads = ["label", "AUC [95 %]", "public images alone", "the release adds", "in words"]
    parts = [table(heads, rows, caption=f"Evaluated on {found.sample}" if found.sample else "")]
    if found.notes:
        parts.append(items([f"{note[:1].upper()}{note[1:]}." for note in found.notes]))
    return parts


def _sweep(rows: Sequence[Row]) -> str:
    chosen = recommend_code(rows)
    said = f"{chosen.sentence} A sweep does not measure public images alone."
    return paragraph(said) + sweep_table(rows, chosen.row)


def sweep_table(rows: Sequence[Row], chosen: Row | None, *, pick: bool = False) -> str:
    """Return the AUC of every setting as a table, deeper where better; the chosen one is framed."""
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
        f'<div class="wide whole" tabindex="0"><table><caption>{escaped(caption)}</caption>'
        f'<thead><tr><th scope="col">level</th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _cell(row: Row | None, ends: tuple[float, float], chosen: Row | None, pick: bool) -> str:
    if row is None or not math.isfinite(row.interval("auc").value):
        return '<td class="cell none">does not fit</td>'
    value = row.interval("auc")
    low, high = ends
    share = (value.value - low) / (high - low) if high > low else 0.5
    classes = "cell" + (" deep" if share > 0.6 else "")
    picked = row == chosen
    classes += " chosen" if picked else ""
    # letters stand out from both halves of the scale, which is why there is a step between them
    lightness = 38 - 30 * (share - 0.6) if share > 0.6 else 94 - 50 * share
    extra = ", recommended" if picked else ""
    can = f' data-pick="J{row.level}_P{row.patches}" tabindex="0"' if pick else ""
    return (
        f'<td class="{classes}" style="background:hsl(209 55% {lightness:.0f}%)"{can} '
        f'title="{escaped(str(value))}{extra}">{value.value:.3f}</td>'
    )


def _auc_words(auc: Interval) -> str:
    if not math.isfinite(auc.value):
        return "unknown"
    if not auc.low > 0.5:
        return "not shown to differ from chance"
    return f"right in {100 * auc.value:.0f} of 100 such pairs"
