"""Names of bands and places in words: scale, orientation, cell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import ExplanationError
from deepfixcx.packets import band_number, band_path, band_position
from deepfixcx.spec import CodecSpec

__all__ = [
    "OF_VOLUMES",
    "ORIENTATIONS",
    "BandName",
    "Orientation",
    "Spacing",
    "band_name",
    "band_names",
    "extent",
    "measure",
    "place_words",
    "spread_over_pixels",
]

Orientation = Literal["approximation", "horizontal", "vertical", "diagonal", "between"]
"""Direction of the edges that a band answers to; the approximation answers to brightness.

Edges between slices are of volumes.
"""

ORIENTATIONS: tuple[Orientation, ...] = ("vertical", "horizontal", "diagonal")
"""Those of details, in the order of tables and figures."""

OF_VOLUMES: tuple[Orientation, ...] = ("vertical", "horizontal", "between", "diagonal")
"""Those of details of volumes."""

Spacing = tuple[float, float]
"""Millimetres from one row of pixels to the next, and from one column to the next."""

DEEPEST = 8
"""Beyond this level there are more bands than anyone reads."""

SECTOR = math.radians(22.5)
"""Edges up to so far from an axis are called after it; four equal sectors fill the half circle."""

WORDS: dict[Orientation, str] = {
    "approximation": "local brightness",
    "horizontal": "horizontal edges",
    "vertical": "vertical edges",
    "diagonal": "diagonal texture",
    "between": "edges between slices",
}


@dataclass(frozen=True, slots=True)
class BandName:
    """What one band answers to.

    The plane of frequencies is a chessboard on which every band is one field, `row` and `column`
    being its frequency down and across the image in steps of 1 / 2**(J+1) cycles a pixel. The
    approximation is the corner (0, 0). A detail is called vertical if the middle of its field lies
    within 22.5 degrees of the axis across (vertical edges change across), horizontal if it lies as
    near to the axis down, and diagonal in between. Its scale is the period, one bright and one
    dark stripe together, along the axis on which it changes faster.

    A grating whose frequency lies in a field makes that band answer most, for every orthogonal
    wavelet of PyWavelets; very unequal biorthogonal filters, such as rbio3.1, answer to other
    scales, too. The two diagonals, 45 and 135 degrees, lie in the same field: a band does not
    distinguish them.

    Attributes
    ----------
    path : str
        J letters of a, v, h, d.
    number : int
        Place of the band in a code.
    row, column : int
        Frequency down and across, 0 to 2**J - 1, as `band_position` returns it.
    orientation : {"approximation", "horizontal", "vertical", "diagonal"}
        Direction of its edges.
    low, high : float
        Finest and coarsest period in pixels; `high` of the approximation is infinite.

    References
    ----------
    Wickerhauser, Adapted Wavelet Analysis from Theory to Software, 1994, section 7.1.

    Examples
    --------
    >>> print(band_name("aav"))
    vertical edges, 8–16 px
    >>> band_name("aav").in_words((0.5, 0.5))
    'vertical edges, 8–16 px (4–8 mm)'
    >>> band_name("d").words, band_name("aa").words
    ('diagonal texture, 2–4 px', 'local brightness')
    """

    path: str
    number: int
    row: int
    column: int
    orientation: Orientation
    low: float
    high: float

    def __str__(self) -> str:
        """Return the name in words, without millimetres."""
        return self.words

    @property
    def level(self) -> int:
        """J of the packet that the band belongs to."""
        return len(self.path)

    @property
    def words(self) -> str:
        """The name in words, such as ``"vertical edges, 4–8 px"``."""
        return self.in_words()

    @property
    def octave(self) -> tuple[float, float]:
        """The powers of two, in pixels, between which its scale lies, such as (4, 8).

        Of the approximation, its scale itself.
        """
        if self.orientation == "approximation":
            return self.low, self.high
        coarsest = 2.0 ** (self.level + 2 - max(self.row, self.column).bit_length())
        return coarsest / 2, coarsest

    def millimetres(self, spacing: Spacing) -> tuple[float, float]:
        """Return finest and coarsest period in millimetres.

        Parameters
        ----------
        spacing : pair of float
            Millimetres from row to row and from column to column. The one along which the band
            changes faster counts; of equally fast ones, that from column to column.
        """
        along = spacing[0] if self.row > self.column else spacing[1]
        return self.low * along, self.high * along

    def in_words(self, spacing: Spacing | None = None) -> str:
        """Return the name in words, with millimetres where the spacing of pixels is given."""
        if self.orientation == "approximation":
            return WORDS["approximation"]
        words = f"{WORDS[self.orientation]}, {extent(self.low, self.high)} px"
        if spacing is None:
            return words
        return f"{words} ({extent(*self.millimetres(spacing))} mm)"


def band_name(path: str) -> BandName:
    """Name one band by its path."""
    row, column = band_position(path)
    level = len(path)
    fastest = max(row, column)
    return BandName(
        path,
        band_number(path, level),
        row,
        column,
        _orientation(row, column),
        2.0 ** (level + 1) / (fastest + 1),
        2.0 ** (level + 1) / fastest if fastest else math.inf,
    )


@lru_cache(maxsize=DEEPEST)
def band_names(level: int) -> tuple[BandName, ...]:
    """Name every band of a level.

    Parameters
    ----------
    level : int
        J, 1 to 8.

    Returns
    -------
    tuple of BandName, of length 4**J
        In the order of a code.

    Raises
    ------
    ExplanationError
        The level is beyond those that can be explained.

    Examples
    --------
    >>> [name.words for name in band_names(1)][:3]
    ['local brightness', 'vertical edges, 2–4 px', 'horizontal edges, 2–4 px']
    """
    if not 1 <= level <= DEEPEST:
        raise ExplanationError(
            f"bands are explained at levels 1 to {DEEPEST}, got {level}; deeper packets have more "
            f"than {4**DEEPEST:,} bands"
        )
    return tuple(band_name(band_path(number, level)) for number in range(4**level))


def extent(low: float, high: float) -> str:
    """Write a range of lengths with two digits, such as ``4–5.3`` or ``over 16``."""
    return f"over {measure(low)}" if math.isinf(high) else f"{measure(low)}–{measure(high)}"


def measure(length: float) -> str:
    """Write a length with two digits."""
    return f"{length:,.0f}" if length >= 9.95 else f"{length:.2g}"


def _orientation(row: int, column: int) -> Orientation:
    if row == column == 0:
        return "approximation"
    angle = math.atan2(row + 0.5, column + 0.5)
    if angle < SECTOR:
        return "vertical"
    return "horizontal" if angle > math.pi / 2 - SECTOR else "diagonal"


ROWS = ("upper", "middle", "lower")
COLUMNS = ("left", "centre", "right")


SLICES = ("the first slices", "the middle slices", "the last slices")


def place_words(cell: tuple[int, ...], grid: tuple[int, ...]) -> str:
    """Say where a cell lies; left is the left of the image, not of the patient.

    A cell of an image is (row, column), one of a volume (slice, row, column); so are grids.
    """
    if max(grid) == 1:
        return "the whole image" if len(grid) == 2 else "the whole volume"
    row, column = cell[-2:]
    words = [_third(row, grid[-2], ROWS), _third(column, grid[-1], COLUMNS)]
    if words == ["middle", "centre"]:
        words = ["centre"]
    named = " ".join(word for word in words if word)
    if len(grid) == 2:
        return f"{named}, cell row {row + 1}, column {column + 1}"
    parts = [word for word in (named, _third(cell[0], grid[0], SLICES)) if word]
    return f"{' of '.join(parts)}, cell slice {cell[0] + 1}, row {row + 1}, column {column + 1}"


def spread_over_pixels(
    cells: NDArray[np.float32], spec: CodecSpec, *size: int
) -> NDArray[np.float32]:
    """Give every pixel of an image, or voxel of a volume, the number of the cell that it lies in.

    Shapes: cells (..., P, P) → (..., H, W); of volumes (..., P_z, P, P) → (..., D, H, W).
    """
    places = [
        np.repeat(axis.of_each_row(), 1 << level)[:side]
        for axis, level, side in zip(spec.cells(*size), spec.axis_levels, size, strict=True)
    ]
    where: Any = (..., *np.ix_(*places))
    spread: NDArray[np.float32] = cells[where]
    return spread


def _third(place: int, count: int, words: tuple[str, str, str]) -> str:
    """Name the third of the axis in which the middle of a cell lies; of a single cell, nothing."""
    if count == 1:
        return ""
    middle = (2 * place + 1) / (2 * count)
    return words[0] if middle < 0.4 else words[2] if middle > 0.6 else words[1]
