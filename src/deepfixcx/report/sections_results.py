"""Sections about what was measured: privacy, utility, and other settings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from deepfixcx._words import counted
from deepfixcx.audit.result import QUESTIONS, AttackResult, conclude
from deepfixcx.errors import MechanismError
from deepfixcx.experiments.recommendation import recommend_code, recommend_mechanism
from deepfixcx.experiments.rows import FrontierRow, Row
from deepfixcx.measures import Interval
from deepfixcx.mechanisms.catalogue import mechanism_named
from deepfixcx.report.figure_data import (
    BarPanel,
    attack_panels,
    frontier_planes,
    mode_words,
    setting_words,
)
from deepfixcx.report.grid_data import grids_of
from deepfixcx.report.html import figure, items, paragraph, part, section, table
from deepfixcx.report.html_plots import intervals_svg, points_svg
from deepfixcx.report.html_release import ReleaseFacts
from deepfixcx.report.html_results import Audit, Evaluation
from deepfixcx.spec import CodecSpec

__all__ = [
    "Measured",
    "attack_table",
    "frontier",
    "meaning_of",
    "privacy",
    "privacy_title",
    "row_of",
    "sweep_table",
    "utility",
]

PATIENT = "patient"

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


PRIVACY = "What attacks show"
LABELS = "labels"
"""The attacker who knows labels only; others who know them, too, end with it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Results of other commands; what was not made is None or empty."""

    audit: Audit | None = None
    evaluation: Evaluation | None = None
    sweep: tuple[Row, ...] = ()
    frontier: tuple[FrontierRow, ...] = ()
    bound: tuple[str, ...] = ()
    unbound: tuple[str, ...] = ()


def privacy_title(measured: Measured) -> str:
    """Return what happened, in a heading."""
    if measured.audit is None:
        return "No attack was made"
    state = conclude(measured.audit.answers).state
    titles = {"shown": "Attacks that succeeded", "not shown": "Attacks that did not succeed"}
    return titles.get(state, PRIVACY)


def privacy(measured: Measured, *, has_codes: bool = True) -> Markup:
    """Show every attack that was made, with its baselines."""
    audit = measured.audit
    if audit is None:
        release = "RELEASE" if has_codes else "CODES"
        first = "" if has_codes else f"deepfixcx privatize ORIGINALS {release} --output codes …; "
        return section(
            "privacy",
            privacy_title(measured),
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
    parts.append(part("attacks", [_attack_block(panel) for panel in attack_panels(audit.attacks)]))
    drawn = [each for panel in attack_panels(audit.attacks) for each in panel.results]
    if doubtful := sorted({each.reason for each in drawn if not each.valid and each.reason}):
        parts.append(paragraph("Crosses are values that are not counted. The reasons:"))
        parts.append(items(doubtful))
    parts.append(attack_table(audit.attacks))
    return section("privacy", privacy_title(measured), *parts)


def _with_labels(attacks: Sequence[AttackResult]) -> Markup:
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
        rows.append([mode_words(mode), *map(_strongest, (alone, both, labels, raw))])
    if not rows:
        return Markup("")
    heads = ["linkage", "records without labels", "records with labels", "labels alone"]
    caption = "Linkage AUC of the strongest attacker, 95 % intervals in brackets"
    return table([*heads, "raw images"], rows, caption=caption)


def _strongest(attacks: Sequence[AttackResult]) -> str:
    """Return the largest value and its attacker; of those that count, if any does."""
    chosen = [each for each in attacks if each.valid] or attacks
    if not chosen:
        return str(Interval.unknown())
    best = max(chosen, key=lambda each: each.value.value)
    who = "" if best.attacker == LABELS else best.attacker.removesuffix(f" + {LABELS}")
    said = ", ".join(filter(None, (who, "" if best.valid else "not counted")))
    return f"{best.value}{f' ({said})' if said else ''}"


def attack_table(attacks: Sequence[AttackResult]) -> Markup:
    """List the estimates that are not drawn, the strongest of each kind; references come last."""
    lines = [
        [
            each.attack,
            f"{each.attacker}, {mode_words(each.mode)}",
            each.figure,
            str(each.value),
            "" if math.isnan(each.floor) else f"{each.floor:.3f}",
        ]
        for panel in attack_panels(attacks, drawn=False)
        for each in panel.results
    ]
    if not lines:
        return Markup("")
    head = ["attack", "attacker", "estimate", "value [95 %]", "floor"]
    caption = "Other estimates of the same attackers; references are no attacks on records"
    return table(head, lines, caption=caption)


def _attack_block(panel: BarPanel) -> tuple[str, str, Markup, str, str]:
    """Return heading, meaning, drawing, caption and remark of one kind of attack."""
    patients = max((each.n for each in panel.results), default=0)
    words = f"Bars are 95 % intervals{f' over {counted(patients, PATIENT)}' if patients else ''}."
    if raw := [each for each in panel.results if math.isfinite(each.raw)]:
        best = max(raw, key=lambda each: each.raw)
        words += f" On raw images {best.attacker} reaches {best.raw:.3f}."
    weaker = f"And {counted(panel.weaker, 'weaker one')}, in audit.json." if panel.weaker else ""
    return panel.title, meaning_of(panel), intervals_svg(panel), words, weaker


def meaning_of(panel: BarPanel) -> str:
    """Explain what a figure of attacks measures."""
    figure_name = panel.results[0].figure if panel.results else ""
    return MEANING.get((panel.attack, figure_name), "")


def utility(measured: Measured) -> Markup:
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


def _evaluation(found: Evaluation) -> list[Markup]:
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


def _sweep(rows: Sequence[Row]) -> Markup:
    chosen = recommend_code(rows)
    said = f"{chosen.sentence} A sweep does not measure public images alone."
    return paragraph(said) + sweep_table(rows, chosen.row)


def sweep_table(rows: Sequence[Row], chosen: Row | None) -> Markup:
    """Return the AUC of every setting as a table, deeper where better; the chosen one is framed."""
    grid = next((each for each in grids_of(rows) if each.name == "auc"), None)
    if grid is None:
        return Markup("")
    caption = "AUC by level (down) and patches (across); the darker, the better"
    original = [row.interval("auc") for row in rows if row.level is None]
    if original and math.isfinite(original[0].value):
        caption += f". Originals reach {original[0]}"
    return part("grid", grid, caption, None if chosen is None else chosen.name)


def _auc_words(auc: Interval) -> str:
    if not math.isfinite(auc.value):
        return "unknown"
    if not auc.low > 0.5:
        return "not shown to differ from chance"
    return f"right in {100 * auc.value:.0f} of 100 such pairs"


# -- other settings ----------------------------------------------------------------------------

COLUMNS = {
    "auc": "AUC",
    "public_auc": "public images alone",
    "added": "the release adds",
    "other_auc": "score on another label",
    "linkage": "linkage without labels",
    "labelled_linkage": "linkage with labels",
}
"""Columns of the table, by the names of the estimates."""

THRESHOLD = "By the default threshold of deepfixcx frontier (without --max-linkage)"
"""A frontier holds estimates and no threshold: a run with --max-linkage recommends by its own."""


def frontier(rows: Sequence[FrontierRow], facts: ReleaseFacts) -> Markup:
    """Show utility against linkage of every setting that was tried, and which this release has."""
    if not rows:
        return section(
            "frontier",
            "Other settings",
            paragraph(
                "No other setting was tested. deepfixcx frontier measures privacy and utility "
                "of several settings."
            ),
        )
    here = row_of(rows, facts)
    marked = {} if here is None else {here.name: "this release"}
    planes = frontier_planes(rows, recommend_mechanism(rows).row, here=marked)
    return section(
        "frontier",
        "Other settings",
        paragraph(f"{THRESHOLD}: {recommend_mechanism(rows).sentence}"),
        paragraph(_place_words(here, facts)),
        *(
            figure(points_svg(plane), "Each point is a setting; lines are 95 % intervals.")
            for plane in planes
        ),
        _frontier_table(rows, here),
    )


def row_of(rows: Sequence[FrontierRow], facts: ReleaseFacts) -> FrontierRow | None:
    """Return the row that was tried with the setting and the mechanisms of a release, if any."""
    names = facts.mechanism_names
    for row in rows:
        if row.level is None or row.patches is None:
            continue
        spec = CodecSpec(row.level, row.patches)  # a frontier tries no other wavelet or pooling
        if spec == facts.spec and _same(row.mechanism, names):
            return row
    return None


def _same(name: str, names: Sequence[str]) -> bool:
    """Return whether the name in a catalogue stands for mechanisms that were named one by one."""
    if tuple(names) in ((name,), tuple(name.split("+"))):
        return True
    try:
        return mechanism_named(name) == mechanism_named(",".join(names))
    except MechanismError:  # a baseline, or noise, which is made for a spec
        return False


def _place_words(here: FrontierRow | None, facts: ReleaseFacts) -> str:
    if here is None:
        return "The setting of this release was not tested."
    names = facts.mechanism_names
    made = "is plain" if names == ("plain",) else f"is made with {' and '.join(names)}"
    return (
        f"This release {made}. At this setting classifiers reached an AUC of "
        f"{_estimate(here, 'auc')} (public images alone: {_estimate(here, 'public_auc')}), and the "
        f"strongest attacker a linkage AUC of {_estimate(here, 'linkage')} without labels "
        f"(with labels: {_estimate(here, 'labelled_linkage')})."
    )


def _frontier_table(rows: Sequence[FrontierRow], here: FrontierRow | None) -> Markup:
    lines = [
        [
            f"{row.mechanism}, {setting_words(row)}" + (" (this release)" if row is here else ""),
            f"{row.numbers:,}",
            *(_estimate(row, name) for name in COLUMNS),
        ]
        for row in sorted(rows, key=lambda row: row.figures.get("linkage", math.inf))
    ]
    heads = ["mechanism and setting", "values", *COLUMNS.values()]
    return table(heads, lines, caption="AUC and linkage AUC, 95 % intervals in brackets")


def _estimate(row: FrontierRow, name: str) -> str:
    """Return an estimate with its interval; some have none, however many patients there are."""
    value = row.interval(name)
    has_none = f"{name}_high" not in row.figures and math.isfinite(value.value)
    return f"{value.value:.3f}" if has_none else str(value)
