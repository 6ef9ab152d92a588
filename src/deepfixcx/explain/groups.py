"""Groups of bands by octave and direction, of images and of volumes, and reasons made of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import ExplanationError
from deepfixcx.explain.naming import (
    DEEPEST,
    OF_VOLUMES,
    ORIENTATIONS,
    SECTOR,
    WORDS,
    Orientation,
    band_names,
    extent,
)

__all__ = [
    "BandGroup",
    "Reason",
    "band_groups",
    "direction_members",
    "group_members",
    "octaves_that_differ",
]

TINY = 1e-24  # added to energies, of which many are zero


@dataclass(frozen=True, slots=True)
class BandGroup:
    """Bands of one orientation whose scales lie in one octave.

    Attributes
    ----------
    orientation : {"approximation", "horizontal", "vertical", "diagonal", "between"}
        Direction of the edges; those between slices are of volumes.
    low, high : float
        Finest and coarsest period in pixels; `high` of the approximation is infinite.
    bands : tuple of int
        Their places in a code.

    Examples
    --------
    >>> print(band_groups(3)[4])
    vertical edges of 4–8 px
    """

    orientation: Orientation
    low: float
    high: float
    bands: tuple[int, ...]

    def __str__(self) -> str:
        """Return the name in words, such as ``vertical edges of 4–8 px``."""
        words = WORDS[self.orientation]
        if self.orientation == "approximation":
            return words
        return f"{words} of {extent(self.low, self.high)} px"

    def mostly(self, level: int) -> str:
        """Begin a sentence on its direction in all octaves of a level, of which this is one."""
        words = str(self)
        if self.orientation != "approximation" and level > 1:
            words = words.replace(" of ", ", mostly of ", 1) + ","
        verb = "pushes" if self.orientation in ("approximation", "diagonal") else "push"
        return f"{words} {verb}"


@lru_cache(maxsize=DEEPEST)
def band_groups(level: int, level_z: int | None = None) -> tuple[BandGroup, ...]:
    """Group the bands of a level by octave and orientation.

    Parameters
    ----------
    level : int
        J, as in `band_names`.
    level_z : int, optional
        J_z of volumes; None for images. Edges of volumes are also between slices, and an octave is
        that of the axis on which a band changes fastest.

    Returns
    -------
    tuple of BandGroup
        The approximation, then octave by octave from the coarsest; vertical, horizontal, between
        slices (volumes), diagonal in each. Every band is in one group.

    Raises
    ------
    ExplanationError
        The level is beyond those that can be explained.

    Examples
    --------
    >>> [str(group) for group in band_groups(1)]
    ['local brightness', 'vertical edges of 2–4 px', 'horizontal edges of 2–4 px',
     'diagonal texture of 2–4 px']
    >>> str(band_groups(2, 1)[-2])
    'edges between slices of 2–4 px'
    """
    kinds = _kinds_of_volumes(level, level_z) if level_z is not None else _kinds(level)
    groups = []
    keys: list[tuple[float, Orientation]] = [(kinds[0][0][0], "approximation")]
    octaves = sorted({low for (low, _), _ in kinds[1:]}, reverse=True)
    order = ORIENTATIONS if level_z is None else OF_VOLUMES
    keys += [(low, orientation) for low in octaves for orientation in order]
    for key in keys:
        numbers = tuple(n for n, ((low, _), kind) in enumerate(kinds) if (low, kind) == key)
        if numbers:
            groups.append(BandGroup(key[1], *kinds[numbers[0]][0], numbers))
    return tuple(groups)


Kind = tuple[tuple[float, float], Orientation]


def _kinds(level: int) -> list[Kind]:
    """Return octave and orientation of each band of images."""
    return [(name.octave, name.orientation) for name in band_names(level)]


def _kinds_of_volumes(level: int, level_z: int) -> list[Kind]:
    """Return octave and orientation of each band of volumes.

    An axis names the edges if a band changes along it at more than 2.4 times the frequency of each
    other axis, which is the sector of images.
    """
    bits = 2 * level + level_z
    if not 1 <= level <= DEEPEST or bits > 2 * DEEPEST:
        raise ExplanationError(
            f"bands of volumes are explained up to {4**DEEPEST:,} of them, and level {level} with "
            f"{level_z} splits along the slices has {1 << bits:,}"
        )
    numbers = np.arange(1 << bits)
    places = np.zeros((3, len(numbers)), np.int64)  # slices, rows, columns, by frequency
    turned = np.zeros_like(places)
    for split in range(level):
        axes = 3 if split < level_z else 2
        bits -= axes
        for axis in range(3 - axes, 3):
            turned[axis] ^= numbers >> bits + 2 - axis & 1
            places[axis] = 2 * places[axis] + turned[axis]
    kinds: list[Kind] = [((2.0 ** (level + 1), math.inf), "approximation")]
    names: tuple[Orientation, ...] = ("between", "horizontal", "vertical")
    for place in places.T[1:].tolist():
        axes_ = list(zip(place, (level_z, level, level), strict=True))
        slow = 0.5 / 2 ** (level + 1)
        rates = [(k + 0.5) / 2 ** (splits + 1) if k else slow for k, splits in axes_]
        high = min(2.0 ** (splits + 2 - k.bit_length()) for k, splits in axes_ if k)
        fastest = rates.index(max(rates))
        others = max(rate for axis, rate in enumerate(rates) if axis != fastest)
        alone = others < math.tan(SECTOR) * rates[fastest]
        kinds.append(((high / 2, high), names[fastest] if alone else "diagonal"))
    return kinds


@lru_cache(maxsize=DEEPEST)
def group_members(level: int, level_z: int | None = None) -> NDArray[np.float32]:
    """Return which bands are in each group of `band_groups`, (G, bands), as 0 and 1."""
    groups = band_groups(level, level_z)
    members = np.zeros((len(groups), sum(len(group.bands) for group in groups)), np.float32)
    for number, group in enumerate(groups):
        members[number, list(group.bands)] = 1
    return members


@lru_cache(maxsize=DEEPEST)
def direction_members(level: int, level_z: int | None = None) -> NDArray[np.float32]:
    """Return which groups are of the brightness and of each direction, (4 or 5, G), 0 and 1."""
    of_groups = [group.orientation for group in band_groups(level, level_z)]
    directions = dict.fromkeys(of_groups)
    return np.array([[each == one for each in of_groups] for one in directions], np.float32)


def octaves_that_differ(
    now: NDArray[np.float64],
    before: NDArray[np.float64],
    level: int,
    level_z: int | None = None,
    *,
    everywhere: bool,
) -> NDArray[np.int64]:
    """Return the group of each direction and cell whose energy exceeds that before most.

    Shapes: energies (bands, *cells) → (directions, *cells), or (directions, 1, …) of all cells
    together. Compared is the excess divided by the root of the energy before. Where there is none,
    the group is named whose energy falls most.
    """
    parts = [np.maximum(now - before, 0), np.maximum(before - now, 0), before]
    if everywhere:
        parts = [each.sum(axis=tuple(range(1, each.ndim)), keepdims=True) for each in parts]
    more, less, base = (np.tensordot(group_members(level, level_z), each, 1) for each in parts)
    members = direction_members(level, level_z)
    own = members.reshape(*members.shape, *[1] * (base.ndim - 1)) > 0
    rises, falls = (np.where(own, each / np.sqrt(base + TINY), -1) for each in (more, less))
    named: NDArray[np.int64] = np.where(
        rises.max(axis=1) > 0, rises.argmax(axis=1), falls.argmax(axis=1)
    )
    return named


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason of a model's answer.

    Its cell is (row, column) of an image, (slice, row, column) of a volume, from 0.
    """

    cell: tuple[int, ...] | None
    bands: BandGroup | None  # of the direction, the octave in which the code differs most
    amount: float  # summed over the cell and direction; positive towards the label
    share: float  # of the sizes of all reasons of the image, 0 to 1
    chance: float | None  # what models of random labels stay below, in 95 % of images
    words: str
    range: tuple[float, float] | None = None  # least and largest amount with any baseline

    @property
    def stands_out(self) -> bool:
        """Whether it is larger than chance, as far as that is known."""
        return self.chance is None or abs(self.amount) > self.chance

    @property
    def row(self) -> int | None:
        """Row of the cell."""
        return None if self.cell is None else self.cell[-2]

    @property
    def column(self) -> int | None:
        """Column of the cell."""
        return None if self.cell is None else self.cell[-1]

    def __str__(self) -> str:
        """Return the reason in words."""
        return self.words
