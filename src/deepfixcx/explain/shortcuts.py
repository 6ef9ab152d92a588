"""Shortcuts of a model: regions that should not matter, and groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.code import Code
from deepfixcx.errors import ExplanationError
from deepfixcx.explain._draws import between_groups, draw_images, share_of_variation
from deepfixcx.explain.attribution import Attribution
from deepfixcx.explain.naming import band_groups, place_words
from deepfixcx.measures import Interval, auc_interval
from deepfixcx.pooling import amplitudes

__all__ = [
    "Finding",
    "Region",
    "RegionKind",
    "find_shortcuts",
    "outside_the_body",
    "suspect_regions",
    "text_like",
]

Floats = NDArray[np.float64]

WEAKEST = 0.05
"""Findings of less strength, or whose interval reaches 0, are left out."""

FEWEST = 5
"""Groups of fewer images are not compared."""


@dataclass(frozen=True, eq=False, slots=True)
class Finding:
    """One sign that a model decides by something else than the disease.

    Attributes
    ----------
    kind : {"group", "corner", "border", "outside", "text"}
        What was found.
    words : str
        The finding in words, with its interval.
    strength : Interval
        From 0, none, to 1, nothing else counts, with its 95 % interval over patients. Of a region:
        how much more of what tells images apart comes from it than from as large a part of the
        image, ``(share - area) / (1 - area)``. Of a group: the share of the variance of the scores
        within labels that it explains.
    figure : Interval
        What the words speak of. Of a region: the share of the difference between the scores of yes
        and no that comes from it (without labels: of the variance of the scores). Of a group: the
        area under the ROC curve for telling it by the score, within labels.
    expected : float
        What the figure would be without a shortcut: the area of the region, or 0.5.
    """

    kind: str
    words: str
    strength: Interval
    figure: Interval
    expected: float

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values; an interval is [value, low, high]."""
        return {
            "kind": self.kind,
            "words": self.words,
            "strength": _triple(self.strength),
            "figure": _triple(self.figure),
            "expected": round(self.expected, 6),
        }


def find_shortcuts(
    attribution: Attribution,
    *,
    labels: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    patients: ArrayLike | None = None,
    samples: int = 1000,
    seed: int = 0,
) -> tuple[Finding, ...]:
    """Look for signs that a model takes a shortcut, strongest first.

    Regions are those of `suspect_regions`: corners, border, outside the body, the strongest edges.
    What comes from a region is the sum of its attribution; it is compared with the sum of all.

    Parameters
    ----------
    attribution : Attribution
        Of many images that the model was not trained on.
    labels : array_like, shape (B,), optional
        1, 0, or NaN where unknown. Without labels a group in which the disease is more frequent
        looks like a shortcut.
    groups : array_like of str, shape (B,), optional
        What images have in common that should not matter, such as the view; empty where unknown.
        Groups of fewer than five images are left out.
    patients : array_like, shape (B,), optional
        Whose image it is; each its own if left away.
    samples, seed : int
        Of the bootstrap over patients.

    Returns
    -------
    tuple of Finding
        Those of a strength of 0.05 or more whose interval does not reach 0.

    Raises
    ------
    ExplanationError
        There is not one label, group or patient for each image, or labels are other numbers.

    References
    ----------
    DeGrave, Janizek and Lee, AI for radiographic COVID-19 detection selects shortcuts over signal,
    Nature Machine Intelligence, 2021.

    Examples
    --------
    >>> from deepfixcx import Codec
    >>> from deepfixcx.explain import occlusion
    >>> images = np.random.default_rng(0).random((20, 1, 32, 32), np.float32)
    >>> code = Codec(level=1, patches=4).encode(images)
    >>> def marker(codes):  # a model that reads the upper left corner, and nothing else
    ...     return codes[:, 0, :, :1, 0].sum(axis=1)
    >>> found = find_shortcuts(occlusion(marker, code, 0 * code.array))
    >>> found[0].kind, round(found[0].strength.value, 2)
    ('corner', 1.0)
    """
    truth = _checked(labels, len(attribution))
    draws = draw_images(patients, len(attribution), samples, seed)
    findings = []
    if attribution.tells != "band":
        findings += _regions(attribution, truth, draws)
    if groups is not None:
        owners = np.arange(len(attribution)) if patients is None else np.asarray(patients)
        findings += _groups(attribution, np.asarray(groups), truth, owners, draws)
    shown = [each for each in findings if each.strength.low > 0 and each.strength.value >= WEAKEST]
    return tuple(sorted(shown, key=lambda each: -each.strength.value))


# -- regions ----------------------------------------------------------------------------------


def _regions(attribution: Attribution, labels: Floats | None, draws: Floats) -> list[Finding]:
    cells = attribution.spatial().astype(np.float64)
    whole = cells.sum(axis=(1, 2))
    what = (
        "the variance of the scores"
        if labels is None
        else f"the difference in score between images with and without {attribution.label}"
    )
    findings = []
    for region in suspect_regions(attribution.code):
        part = np.where(region.cells, cells, 0).sum(axis=(1, 2))
        shares = share_of_variation(part, whole, labels, draws)
        area = float(region.cells.mean())
        strength = _first((shares - area) / (1 - area))
        share = _first(shares)
        words = (
            f"{_percent(share)} of {what} comes from {region.words}, {_share(area)} of the "
            f"image{'' if region.kind in ('corner', 'border') else 's'}"
        )
        findings.append(Finding(region.kind, words, strength, share, area))
    return findings


# -- groups -----------------------------------------------------------------------------------


def _groups(
    attribution: Attribution,
    groups: NDArray[Any],
    labels: Floats | None,
    patients: NDArray[Any],
    draws: Floats,
) -> list[Finding]:
    members = groups.astype(np.str_)
    if members.shape != (len(attribution),):
        raise ExplanationError(
            f"{len(attribution)} images need as many groups, got an array of shape {members.shape}"
        )
    truth = np.zeros(len(members)) if labels is None else labels
    names, counts = np.unique(members[(members != "") & ~np.isnan(truth)], return_counts=True)
    names = names[counts >= FEWEST]
    if len(names) < 2:
        return []
    here = np.isin(members, names) & ~np.isnan(truth)
    known = attribution[np.flatnonzero(here)]
    findings = []
    for name in names:
        inside = members[here] == name
        area = auc_interval(
            inside,
            known.outputs,
            patients[here],
            groups=truth[here].astype(np.str_),
        )
        if len(names) == 2 and area.value < 0.5:
            continue  # of two groups, the one that scores higher is named
        outputs = known.outputs.astype(np.float64)
        strength = _first(between_groups(outputs, inside, truth[here], draws[:, here]))
        if area.low <= 0.5 <= area.high:  # shares of a variance are never negative
            strength = Interval(strength.value, 0.0, strength.high)
        others = f"{names[names != name][0]} images" if len(names) == 2 else "others"
        words = _group_words(f"{name} images", others, area, labelled=labels is not None)
        where = _largest_difference(known, inside, truth[here])
        findings.append(Finding("group", words + where, strength, area, 0.5))
    return findings


def _group_words(name: str, others: str, area: Interval, *, labelled: bool) -> str:
    higher = area.value >= 0.5
    won = area if higher else Interval(1 - area.value, 1 - area.high, 1 - area.low)
    same = "with the same label" if labelled else "(labels unknown)"
    return (
        f"{name} score {'higher' if higher else 'lower'} than {others} {same} in {_percent(won)} "
        f"of comparisons, where chance is 50 %"
    )


def _largest_difference(attribution: Attribution, inside: NDArray[np.bool_], truth: Floats) -> str:
    """Say in which cell and bands the attribution of a group differs most, within labels."""
    if attribution.tells != "place and band":
        return ""
    values = attribution.values.reshape(*attribution.values.shape[:5], -1).sum(axis=(1, 5))
    groups = band_groups(attribution.level)
    amounts = np.stack([values[:, list(group.bands)].sum(axis=1) for group in groups], axis=1)
    differences = [
        amounts[(truth == label) & inside].mean(axis=0)
        - amounts[(truth == label) & ~inside].mean(axis=0)
        for label in np.unique(truth)
        if 0 < inside[truth == label].sum() < (truth == label).sum()
    ]
    if not differences:
        return ""
    sizes = np.abs(np.mean(differences, axis=0))
    group, row, column = map(int, np.unravel_index(sizes.argmax(), sizes.shape))
    where = place_words(row, column, attribution.code.spec.grid_shape)
    return f"; most of all by {groups[group]}, {where}"


# -- helpers ----------------------------------------------------------------------------------


def _checked(labels: ArrayLike | None, images: int) -> Floats | None:
    if labels is None:
        return None
    truth = np.asarray(labels, np.float64)
    if truth.shape != (images,) or not np.isin(truth[~np.isnan(truth)], (0, 1)).all():
        raise ExplanationError(
            f"{images} images need as many labels, each 1, 0 or NaN; got an array of shape "
            f"{truth.shape}"
        )
    # one kind of label has no difference to explain
    return truth if len(np.unique(truth[~np.isnan(truth)])) == 2 else None


def _percent(share: Interval) -> str:
    return f"{100 * share.value:.0f} % [{100 * share.low:.0f}, {100 * share.high:.0f}]"


def _share(area: float) -> str:
    return f"{100 * area:.2g} %"


def _triple(interval: Interval) -> list[float | None]:
    values = (interval.value, interval.low, interval.high)
    return [round(each, 6) if np.isfinite(each) else None for each in values]


def _first(draws: Floats) -> Interval:
    """Return the figure of the first draw, in which every image is once, with the others'."""
    return Interval.of_draws(float(draws[0]), draws[1:])


Mask = NDArray[np.bool_]

RegionKind = Literal["corner", "border", "outside", "text"]

DARK = 0.1
"""A cell is outside the body if its brightness is below this share of the image's brightest."""

STRONGEST = 0.02
"""Share of all cells that count as those with the strongest edges."""

LARGEST_BORDER = 0.5
"""A ring of cells that covers more of the image than this is no border."""


@dataclass(frozen=True, eq=False, slots=True)
class Region:
    """Cells of each image that belong to a region.

    Shapes: cells (B, P, P).
    """

    kind: RegionKind
    words: str
    cells: Mask


def suspect_regions(code: Code) -> tuple[Region, ...]:
    """Return the regions of some images in which reasons are suspect."""
    images, (rows, columns) = len(code), code.spec.grid_shape
    regions = []
    if min(rows, columns) >= 3:
        for row in (0, rows - 1):
            for column in (0, columns - 1):
                corner = _corner(rows, columns, row, column)
                name = place_words(row, column, (rows, columns)).partition(",")[0]
                cells = np.broadcast_to(corner, (images, rows, columns))
                regions.append(Region("corner", f"the {name} corner", cells))
        ring = np.ones((rows, columns), np.bool_)
        ring[1:-1, 1:-1] = False
        if ring.mean() <= LARGEST_BORDER:
            corners = [region.cells[0] for region in regions]
            ring &= ~np.logical_or.reduce(corners)
            cells = np.broadcast_to(ring, (images, rows, columns))
            regions.append(Region("border", "the border of the image without its corners", cells))
    outside = outside_the_body(code)
    regions.append(Region("outside", "dark cells outside the body", outside))
    regions.append(
        Region(
            "text", "the cells with the strongest edges (text, markers, devices)", text_like(code)
        )
    )
    return tuple(region for region in regions if region.cells.any())


def outside_the_body(code: Code) -> Mask:
    """Return which cells are dark: outside the body in most images made with rays.

    The approximation holds the mean brightness of a cell (for Haar; nearly so for other wavelets).
    A cell is dark if its brightness is below a tenth of that of the brightest cell of its image. In
    images with a bright background nothing is found.
    """
    brightness = np.abs(amplitudes(code.array, code.spec)[:, :, 0]).mean(axis=1)
    brightest = brightness.max(axis=(1, 2), keepdims=True, initial=0)
    dark: Mask = brightness < DARK * brightest
    return dark


def text_like(code: Code) -> Mask:
    """Return which cells have the strongest edges: those of text, markers and devices, if any."""
    sizes = np.abs(amplitudes(code.array, code.spec)).mean(axis=1)
    groups = band_groups(code.spec.level)[1:]
    octaves = sorted({group.low for group in groups})
    chosen = octaves[1:3] or octaves
    bands = [band for group in groups if group.low in chosen for band in group.bands]
    strength = sizes[:, bands].sum(axis=1)
    strongest: Mask = strength > np.quantile(strength, 1 - STRONGEST)
    return strongest


def _corner(rows: int, columns: int, row: int, column: int) -> Mask:
    """Return the cells of a corner: a sixth of each axis, at least one."""
    down, across = max(1, round(rows / 6)), max(1, round(columns / 6))
    cells = np.zeros((rows, columns), np.bool_)
    top = slice(0, down) if row == 0 else slice(rows - down, rows)
    left = slice(0, across) if column == 0 else slice(columns - across, columns)
    cells[top, left] = True
    return cells
