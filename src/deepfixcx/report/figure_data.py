"""What the figures of results show: the same for the report, the studio and the command line.

`html_plots` draws it as SVG for pages; `audit_page` and `grid_figures` draw it with matplotlib for
files. Marks, colours, baselines, limits, titles and legends are chosen here alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from deepfixcx.audit.result import LOWER_IS_STRONGER, AttackResult
from deepfixcx.experiments.frontier_inputs import BASELINES
from deepfixcx.experiments.rows import FrontierRow
from deepfixcx.measures import Interval

__all__ = [
    "COLOURS",
    "LEGEND",
    "SHAPES",
    "Bar",
    "BarPanel",
    "Line",
    "Mark",
    "Plane",
    "Point",
    "attack_panels",
    "frontier_planes",
    "mode_words",
    "setting_words",
]

Corners = tuple[tuple[float, float], ...]


def _star(corners: int, turn: float, inner: float = 0.0) -> Corners:
    """Return the corners of a polygon in a circle of radius 1; with an inner radius, of a star."""
    radii = (1.0, inner) if inner else (1.0,)
    count = corners * len(radii)
    angles = [math.radians(turn + 360 * number / count) for number in range(count)]
    return tuple(
        (radii[number % len(radii)] * math.cos(angle), radii[number % len(radii)] * math.sin(angle))
        for number, angle in enumerate(angles)
    )


def _cross(turn: float, arm: float = 0.28) -> Corners:
    """Return the corners of a plus sign, turned by an angle."""
    quarter = ((1.0, -arm), (1.0, arm), (arm, arm))
    angle = math.radians(turn)
    corners = [
        (x * math.cos(t) - y * math.sin(t), x * math.sin(t) + y * math.cos(t))
        for t in (angle + math.pi / 2 * number for number in range(4))
        for x, y in quarter
    ]
    return tuple(corners)


SHAPES: Mapping[str, Corners] = MappingProxyType(
    {
        "disc": (),
        "diamond": _star(4, 90),
        "down": _star(3, -90),
        "up": _star(3, 90),
        "left": _star(3, 180),
        "right": _star(3, 0),
        "pentagon": _star(5, 90),
        "hexagon": _star(6, 90),
        "star": _star(5, 90, 0.45),
        "octagon": _star(8, 22.5),
        "square": _star(4, 45),
        "plus": _cross(0),
        "cross": _cross(45),
    }
)
"""Forms of marks: corners in a circle of radius 1, y upwards; a disc has none."""

COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "ink": "#1b1f23",
        "muted": "#555d66",
        "accent": "#1c5a94",
        "mark": "#c75b00",
        "family0": "#1b6f8a",
        "family1": "#d1603d",
        "family2": "#7a5195",
        "family3": "#3a7d44",
        "family4": "#9a7000",
        "family5": "#c2447c",
        "family6": "#4a5fa5",
        "family7": "#8a5a2b",
    }
)
"""Colours by the names of the variables in the style sheets, which hold the same on light pages."""

FAMILY_SHAPES = ("disc", "diamond", "down", "up", "left", "right", "pentagon", "hexagon", "star")
FAMILY_COLOURS = 8
BASELINE_SHAPES = ("square", "plus", "cross")

LEGEND: Mapping[str, str] = MappingProxyType(
    {
        "attack": "the attacker, with the 95 % interval as a line",
        "not counted": "the same, not counted",
        "floor": "floor: labels or mean images alone",
        "raw": "the same attacker on raw images",
    }
)
"""Marks of a figure of attacks and what they mean: disc, cross, diamond, ring."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The form and the colour of a mark, by their names in `SHAPES` and `COLOURS`."""

    shape: str = "disc"
    colour: str = "accent"


# -- attacks ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of a figure: an estimate with its 95 % interval, and its baselines."""

    label: str
    value: Interval
    floor: float = math.nan
    raw: float = math.nan
    note: str = ""
    valid: bool = True


@dataclass(frozen=True, slots=True)
class BarPanel:
    """Estimates of one kind of attack, one below the other, on one axis."""

    bars: tuple[Bar, ...]
    axis: str
    low: float = 0.0
    high: float = 1.0
    chance: float = math.nan
    attack: str = ""
    results: tuple[AttackResult, ...] = ()
    weaker: int = 0

    @property
    def title(self) -> str:
        """Attack and estimate."""
        return f"{self.attack.capitalize()}, {self.axis}"


SHARES = (
    *("AUC", "AUC rank", "worst patient AUC", "precision@1", "mAP@R", "EER", "KS"),
    *("SSIM", "MS-SSIM", "right signs"),
)
"""Estimates between 0 and 1."""

UNITS = {"PSNR": "PSNR, dB"}

DRAWN = (
    ("linkage", "AUC"),
    ("linkage", "precision@1"),
    ("inference", "AUC"),
    ("membership", "AUC"),
    ("membership", "AUC rank"),
    ("membership", "worst patient AUC"),
    ("reconstruction", "SSIM"),
    ("reconstruction", "PSNR"),
    ("reconstruction", "right signs"),
)
"""What is drawn; other estimates of the same attacks stand in a table."""

MOST_LINES = 8
"""Of attacks that are made on each band, say, the strongest are shown."""

MODES = {
    "released-released": "two records",
    "released-raw": "image and record",
    "inverted-raw": "image and reconstruction",
}


def mode_words(mode: str) -> str:
    """Return what is attacked as people read it."""
    return MODES.get(mode, mode)


def attack_panels(results: Sequence[AttackResult], *, drawn: bool = True) -> list[BarPanel]:
    """Group results by attack and estimate, those that are drawn or all others."""
    kinds = dict.fromkeys((each.attack, each.figure) for each in results)
    chosen = [kind for kind in kinds if (kind in DRAWN) == drawn]
    chosen.sort(key=lambda kind: kind[0] == "reference")
    return [_attack_panel(kind, results) for kind in chosen]


def _attack_panel(kind: tuple[str, str], results: Sequence[AttackResult]) -> BarPanel:
    """Return the strongest attacks of a kind; shares on an axis from 0 to 1."""
    name = kind[1]
    found = [each for each in results if (each.attack, each.figure) == kind]
    sign = 1 if name in LOWER_IS_STRONGER else -1
    ranked = sorted(found, key=lambda each: sign * each.value.value)[:MOST_LINES]
    shown = tuple(each for each in found if each in ranked)
    chances = {each.chance for each in shown if math.isfinite(each.chance)}
    ends = [
        end for each in shown for end in (each.value.high, each.value.value, each.floor, each.raw)
    ]
    largest = max((end for end in ends if math.isfinite(end)), default=1.0)
    bars = tuple(
        Bar(each.attacker, each.value, each.floor, each.raw, mode_words(each.mode), each.valid)
        for each in shown
    )
    return BarPanel(
        bars,
        UNITS.get(name, name),
        high=1.0 if name in SHARES else max(1.1 * largest, 1.0),
        chance=chances.pop() if len(chances) == 1 else math.nan,
        attack=kind[0],
        results=shown,
        weaker=len(found) - len(shown),
    )


# -- frontiers --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Point:
    """One point: its place with intervals (NaN ends if unknown), its name and its family."""

    x: Interval
    y: Interval
    label: str
    kind: str = ""
    mark: Mark = Mark()
    short: str = ""
    says: str = ""
    ring: bool = False
    pick: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A vertical line: chance, the label-only baseline, or the threshold."""

    x: float
    words: str
    dashes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Plane:
    """Points in a plane, vertical lines, and what each family of marks is called."""

    points: tuple[Point, ...]
    x_title: str
    y_title: str
    lines: tuple[Line, ...] = ()
    families: Mapping[str, Mark] = field(default_factory=dict)


UTILITY = "utility: AUC of a classifier on new patients (up: more useful)"
LINKAGE = "linkage: AUC of the strongest attacker (left: more private)"
RECONSTRUCTED = "reconstruction: PSNR gained over the mean image, dB (left: more private)"
NOWHERE: Mapping[str, str] = MappingProxyType({})


def frontier_planes(
    rows: Sequence[FrontierRow],
    recommended: FrontierRow | None,
    threshold: float | None = None,
    *,
    family: str = "",
    here: Mapping[str, str] = NOWHERE,
) -> list[Plane]:
    """Return utility against linkage and, where it was measured, against reconstruction.

    `family` isolates a mechanism; `here` names releases by the name of their row.
    """
    families = _families(rows)
    several = len({(row.level, row.patches) for row in rows}) > 1
    floors = [row.figures.get("floor_raw", math.nan) for row in rows if row.mechanism == "plain"]
    floors = [floor for floor in floors if math.isfinite(floor)]
    lines = [Line(0.5, "chance")]
    lines += [Line(floors[0], "label-only baseline", (6, 4))] if floors else []
    lines += [] if threshold is None else [Line(threshold, "threshold", (2, 3))]
    planes = []
    for name, title, of_plane in (
        ("linkage", LINKAGE, lines),
        ("psnr_gain", RECONSTRUCTED, [Line(0, "mean image")]),
    ):
        points = []
        for row in rows:
            x, y = row.interval(name), row.interval("auc")
            known = math.isfinite(x.value) and math.isfinite(y.value)
            if not known or family not in ("", row.mechanism):
                continue
            says = ["recommended" if row is recommended else "", here.get(row.name, "")]
            points.append(
                Point(
                    x,
                    y,
                    setting_words(row),
                    row.mechanism,
                    families[row.mechanism],
                    f"{row.level},{row.patches}" if several and row.level is not None else "",
                    ", ".join(filter(None, says)),
                    ring=row is recommended,
                    pick=row.name,
                )
            )
        if points:
            planes.append(Plane(tuple(points), title, UTILITY, tuple(of_plane), families))
    return planes


def setting_words(row: FrontierRow) -> str:
    """Return the code of a row; records that are vectors of features have none."""
    return "vectors" if row.level is None else f"J={row.level}, P={row.patches}"


def _families(rows: Sequence[FrontierRow]) -> dict[str, Mark]:
    """Return the mark of each mechanism; baselines are grey."""
    marks = {}
    for place, name in enumerate(dict.fromkeys(row.mechanism for row in rows)):
        if name in BASELINES:
            marks[name] = Mark(BASELINE_SHAPES[BASELINES.index(name)], "muted")
        else:
            shape = FAMILY_SHAPES[place % len(FAMILY_SHAPES)]
            marks[name] = Mark(shape, f"family{place % FAMILY_COLOURS}")
    return marks
