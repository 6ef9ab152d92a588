"""The section about other settings: utility against linkage, and where this release lies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from deepfixcx.errors import MechanismError
from deepfixcx.experiments.recommendation import recommend_mechanism
from deepfixcx.experiments.rows import FrontierRow
from deepfixcx.mechanisms.catalogue import mechanism_named
from deepfixcx.report.html import figure, paragraph, section, table
from deepfixcx.report.html_plots import Point, points_svg
from deepfixcx.report.html_release import ReleaseFacts
from deepfixcx.spec import CodecSpec

__all__ = ["frontier", "frontier_figure", "frontier_points", "row_of"]

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

NOWHERE: Mapping[str, str] = MappingProxyType({})


def frontier(rows: Sequence[FrontierRow], facts: ReleaseFacts) -> str:
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
    return section(
        "frontier",
        "Other settings",
        paragraph(f"{THRESHOLD}: {recommend_mechanism(rows).sentence}"),
        paragraph(_place_words(here, facts)),
        figure(
            frontier_figure(frontier_points(rows, rows, here=marked)),
            "Each point is a setting; lines are 95 % intervals. The recommendation is by the "
            "default threshold.",
        ),
        _frontier_table(rows, here),
    )


def frontier_figure(points: Sequence[Point], families: Sequence[str] = ()) -> str:
    """Draw the points of a frontier."""
    return points_svg(
        points,
        x_title="linkage AUC of the strongest attacker (left is safer)",
        y_title="AUC of classifiers (up is more useful)",
        families=families,
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


def frontier_points(
    rows: Sequence[FrontierRow],
    compared: Sequence[FrontierRow],
    *,
    here: Mapping[str, str] = NOWHERE,
    pick: bool = False,
) -> list[Point]:
    """Return the points of a frontier: utility against linkage."""
    chosen = recommend_mechanism(compared).row
    points = []
    for row in rows:
        x, y = row.interval("linkage"), row.interval("auc")
        if math.isfinite(x.value) and math.isfinite(y.value):
            label = f"J={row.level}, P={row.patches}"
            name = row.name if pick else ""
            marks = ["recommended"] if row is chosen else []
            marks += [here[row.name]] if row.name in here else []
            mark, ring = ", ".join(marks), row is chosen
            points.append(Point(x, y, label, row.mechanism, mark, ring=ring, pick=name))
    return points


def _frontier_table(rows: Sequence[FrontierRow], here: FrontierRow | None) -> str:
    lines = [
        [
            f"{row.mechanism}, J={row.level}, P={row.patches}"
            + (" (this release)" if row is here else ""),
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
