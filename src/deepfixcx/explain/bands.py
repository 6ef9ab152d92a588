"""What each band of a code answers to, and how much of one image it holds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.code import Code
from deepfixcx.errors import CodeError, ExplanationError
from deepfixcx.explain.naming import ORIENTATIONS, BandName, Spacing, band_names
from deepfixcx.explain.removal import (
    KINDS,
    Kind,
    Statement,
    beyond_edge,
    cell_pixels,
    guessed,
    margin,
    none_removed,
    statements,
)
from deepfixcx.packets import as_batch, band_number, decompose
from deepfixcx.spec import CodecSpec

__all__ = [
    "BandSummary",
    "Energy",
    "band_energy",
    "code_energy",
    "explain_bands",
]


@dataclass(frozen=True, slots=True)
class BandSummary:
    """What the codes of one spec say about images of one size.

    Attributes
    ----------
    spec : CodecSpec
        The settings.
    height, width : int
        Size of the image in pixels.
    spacing : pair of float or None
        Millimetres from row to row and from column to column, where they are known.
    bands : tuple of BandName, of length 4**J
        Orientation and scale of each band, in the order of a code.
    cell : pair of int
        Height and width in pixels of the smallest place that can be distinguished: the largest
        cell. It is the same in every band.
    margin : int
        How many pixels on every side of it a cell sees, too; 0 for Haar.
    statements : tuple of Statement
        What is removed, obscured and preserved.

    Examples
    --------
    >>> summary = explain_bands(CodecSpec(level=2, patches=4), 128, 128, spacing=(0.5, 0.5))
    >>> summary.cell, summary.cell_millimetres, summary.bands[1].in_words(summary.spacing)
    ((32, 32), (16.0, 16.0), 'vertical edges, 4–8 px (2–4 mm)')
    >>> [statement.topic for statement in summary.of("aa")]
    ['position', 'position', 'brightness', 'amount']
    """

    spec: CodecSpec
    height: int
    width: int
    spacing: Spacing | None
    cell: tuple[int, int]
    margin: int
    statements: tuple[Statement, ...]
    bands: tuple[BandName, ...] = field(repr=False)

    @property
    def cell_millimetres(self) -> tuple[float, float] | None:
        """Height and width of a cell in millimetres, where the spacing is known."""
        if self.spacing is None:
            return None
        return self.cell[0] * self.spacing[0], self.cell[1] * self.spacing[1]

    def of_kind(self, kind: Kind) -> tuple[Statement, ...]:
        """Return the statements that are ``"removed"``, ``"obscured"`` or ``"preserved"``."""
        return tuple(statement for statement in self.statements if statement.kind == kind)

    def of(self, path: str) -> tuple[Statement, ...]:
        """Return the statements that hold for one band.

        Raises
        ------
        SpecError
            The path does not name a band at this level.
        """
        kind = "details" if band_number(path, self.spec.level) else "approximation"
        return tuple(statement for statement in self.statements if statement.about in ("all", kind))

    def lines(self) -> list[tuple[str, str]]:
        """Return all statements as lines to read: the kind where it changes, and the words."""
        rows: list[tuple[str, str]] = []
        for kind in KINDS:
            said = [
                each.words if each.exact else f"{each.words} (roughly)"
                for each in self.of_kind(kind)
            ] or [none_removed(self.spec, self.height, self.width)]
            said += guessed(self.of_kind(kind)) if kind == "removed" else []
            rows += [(kind if line == 0 else "", words) for line, words in enumerate(said)]
        return rows

    def table(self) -> list[dict[str, object]]:
        """Return one row for each band, in the order of a code, with values for CSV and JSON.

        Lengths of millimetres are there where the spacing is known. The approximation has no
        coarsest scale: it is None.
        """
        return [self._row(name) for name in self.bands]

    def to_dict(self) -> dict[str, object]:
        """Return everything but the bands, which `table` has, as plain JSON values."""
        return {
            "spec": self.spec.to_dict(),
            "height": self.height,
            "width": self.width,
            "spacing_mm": None if self.spacing is None else list(self.spacing),
            "cell_pixels": list(self.cell),
            "cell_mm": None if self.cell_millimetres is None else list(self.cell_millimetres),
            "margin_pixels": self.margin,
            "statements": [statement.to_dict() for statement in self.statements],
        }

    def _row(self, name: BandName) -> dict[str, object]:
        row: dict[str, object] = {
            "path": name.path,
            "number": name.number,
            "row": name.row,
            "column": name.column,
            "orientation": name.orientation,
            "finest_pixels": name.low,
            "coarsest_pixels": name.high if math.isfinite(name.high) else None,
        }
        if self.spacing is not None:
            low, high = name.millimetres(self.spacing)
            row["finest_mm"] = low
            row["coarsest_mm"] = high if math.isfinite(high) else None
        return row


def explain_bands(
    spec: CodecSpec, height: int, width: int, spacing: Spacing | None = None
) -> BandSummary:
    r"""Say what a spec will do to an image of this size, before there is one.

    Parameters
    ----------
    spec : CodecSpec
        The settings of a codec.
    height, width : int
        Size of the image in pixels.
    spacing : pair of float, optional
        Millimetres from row to row and from column to column, as DICOM's Pixel Spacing.

    Returns
    -------
    BandSummary

    Raises
    ------
    ExplanationError
        The image is smaller than one block of 2**J pixels, the level is beyond 8, or the spacing
        is not a pair of positive numbers.
    ImageTooSmallError
        The balanced grid would have empty cells.

    References
    ----------
    Gaudio et al., DeepFixCX, WIREs Data Mining and Knowledge Discovery, 2023,
    doi:10.1002/widm.1495.

    Examples
    --------
    >>> summary = explain_bands(CodecSpec(level=3, patches=4), 320, 320)
    >>> for statement in summary.of_kind("removed"):
    ...     print(statement.words)
    the brighter side of an edge, and / against \, inside blocks of 8 × 8 pixels (16 of 16 cells)
    the position within a cell: which of its 100 blocks holds an edge (16 of 16 cells); the
        position inside a block still counts
    whether a cell's amount is one strong edge or many weak ones (16 of 16 cells)
    """
    spec.refuse_volumes("the explanation of bands")
    if spacing is not None:
        rows, columns = map(float, spacing)
        if not (0 < rows < math.inf and 0 < columns < math.inf):
            raise ExplanationError(
                f"the spacing of pixels is a pair of millimetres above 0, got {spacing!r}"
            )
        spacing = rows, columns
    return BandSummary(
        spec,
        height,
        width,
        spacing,
        cell_pixels(spec, height, width),
        margin(spec),
        statements(spec, height, width, spacing),
        band_names(spec.level),
    )


ROUNDING = 1e-12
"""Edges that have no more than this share of the energy are the rounding of float32."""


@dataclass(frozen=True, slots=True)
class Energy:
    """Shares of an image's energy: the sums of squared coefficients of each band.

    Attributes
    ----------
    level : int
        J.
    shares : ndarray of float64, shape (4**J,)
        Share of each band, in the order of a code; together 1, or all 0 for a black image. What
        sees padding beyond the edge of the image does not count, where anything else is left.
    exact : bool
        Whether they are those of the image: computed from its pixels, or from a code whose
        pooling keeps squares. From other codes they are those of an image whose coefficients are
        the same all over each cell.
    padding : float
        Share of the energy of all details that was left out because of padding.

    Examples
    --------
    >>> stripes = np.tile(np.array([0, 0, 1, 1], np.float32), (16, 4))  # a period of 4 pixels
    >>> energy = band_energy(stripes, CodecSpec(level=2, patches=1))
    >>> round(energy.brightness, 6), energy.strongest(1)[0].words
    (0.5, 'vertical edges, 4–8 px')
    """

    level: int
    shares: NDArray[np.float64] = field(repr=False)
    exact: bool
    padding: float = 0.0

    @property
    def brightness(self) -> float:
        """Share of the approximation."""
        return float(self.shares[0])

    @property
    def details(self) -> NDArray[np.float64]:
        """Share of each band among the details alone, shape (4**J,); the approximation has 0.

        All are 0 where an image has no edges.
        """
        inside = self.shares.copy()
        inside[0] = 0
        total = inside.sum()
        return inside / total if total > ROUNDING else np.zeros_like(inside)

    def by_scale_and_orientation(self) -> NDArray[np.float64]:
        """Add up the shares among the details, (3, J): as `ORIENTATIONS`, and as `octaves`."""
        table = np.zeros((len(ORIENTATIONS), self.level))
        for name, share in zip(band_names(self.level), self.details, strict=True):
            if name.orientation != "approximation":
                octave = max(name.row, name.column).bit_length() - 1
                table[ORIENTATIONS.index(name.orientation), octave] += share
        return table

    def octaves(self) -> tuple[tuple[float, float], ...]:
        """Return finest and coarsest period of each octave in pixels, from coarse to fine."""
        return tuple((2.0**power, 2.0 ** (power + 1)) for power in range(self.level, 0, -1))

    def strongest(self, count: int) -> tuple[BandName, ...]:
        """Return the details that hold most, the strongest first; none of an even image."""
        if count < 1:
            raise ExplanationError(f"ask for at least one band, got {count}")
        shares, names = self.details, band_names(self.level)
        order = np.argsort(-shares, kind="stable")[:count]
        return tuple(names[number] for number in order if shares[number] > 0)

    def by_frequency(self) -> NDArray[np.float64]:
        """Lay the shares of details out by frequency, (2**J, 2**J), as names have it."""
        side = 1 << self.level
        laid = np.zeros((side, side))
        for name, share in zip(band_names(self.level), self.details, strict=True):
            laid[name.row, name.column] = share
        return laid


def band_energy(pixels: NDArray[Any], spec: CodecSpec) -> Energy:
    """Measure the energy of each band of an image.

    Parameters
    ----------
    pixels : ndarray, shape (H, W) or (C, H, W)
        One image; channels count together. uint8 and uint16 are scaled to [0, 1].
    spec : CodecSpec
        `level`, `wavelet` and `boundary` are used.

    Returns
    -------
    Energy
        Exact, over the coefficients that see nothing beyond the edge of the image.

    Raises
    ------
    ExplanationError
        There is more than one image, or the level is beyond 8.
    PixelsShapeError, NonFiniteError
        As `decompose`.

    Examples
    --------
    >>> band_energy(np.ones((8, 8), np.float32), CodecSpec(level=1, patches=1)).shares.round(6)
    array([1., 0., 0., 0.])
    """
    band_names(spec.level)
    batch = as_batch(pixels)
    if len(batch) != 1:
        raise ExplanationError(f"the energy is measured on one image, got shape {np.shape(pixels)}")
    rows, columns = (~beyond_edge(spec, side) for side in batch.shape[2:])
    whole, inner = np.zeros(spec.bands), np.zeros(spec.bands)
    for channel in batch[0]:
        squares = decompose(channel, spec)[0, 0].astype(np.float64) ** 2
        whole += squares.sum(axis=(1, 2))
        inner += squares[:, rows][:, :, columns].sum(axis=(1, 2))
    return _energy(spec, whole, inner, bool(rows.any() and columns.any()), exact=True)


def code_energy(code: Code, image: int = 0) -> Energy:
    """Read from a code how the energy of an image is shared out among the bands.

    Of several poolings l2 is used if it is there, which makes the shares exact; otherwise l1, or
    the first.

    Parameters
    ----------
    code : Code
        Codes of one or more images.
    image : int
        Which of them.

    Returns
    -------
    Energy

    Raises
    ------
    CodeError
        There is no such image, or it holds NaN or infinity.
    ExplanationError
        The level is beyond 8.

    Examples
    --------
    >>> from deepfixcx import Codec
    >>> image = np.random.default_rng(0).random((64, 64), np.float32)
    >>> code = Codec(level=2, patches=4, pooling="l2").encode(image)
    >>> bool(np.allclose(code_energy(code).shares, band_energy(image, code.spec).shares))
    True
    """
    spec = code.spec
    band_names(spec.level)
    if not 0 <= image < len(code):
        raise CodeError(f"the code holds the images 0 to {len(code) - 1}, got {image}")
    pooling = next((name for name in ("l2", "l1") if name in spec.poolings), spec.poolings[0])
    values = code.array[image].astype(np.float64)
    if len(spec.poolings) > 1:
        values = values[..., spec.poolings.index(pooling)]
    if not np.isfinite(values).all():
        raise CodeError("the code holds NaN or infinity; make it again from its image")
    squares = values if pooling == "l2" else values**2
    height, width = map(int, code.sizes[image])
    members, inside = [], []
    for cells, side in zip(spec.cells(height, width), (height, width), strict=True):
        edge = np.concatenate([[0], np.cumsum(beyond_edge(spec, side))])
        sees_edge = edge[cells.stops] > edge[cells.starts]
        members.append(cells.lengths)
        inside.append(~sees_edge & (cells.stops - cells.starts == cells.lengths))
    energies = (squares * np.outer(*members)).sum(axis=0)
    left = np.outer(*inside)
    whole, inner = (each.sum(axis=(1, 2)) for each in (energies, energies * left))
    return _energy(spec, whole, inner, bool(left.any()), exact=pooling == "l2")


def _energy(
    spec: CodecSpec,
    whole: NDArray[np.float64],
    inner: NDArray[np.float64],
    some: bool,
    *,
    exact: bool,
) -> Energy:
    """Share out the energy inside, or all of it where nothing lies inside."""
    sums, details = (inner if some else whole), whole[1:].sum()
    total = sums.sum()
    padding = 1 - sums[1:].sum() / details if details else 0.0
    return Energy(spec.level, sums / total if total else sums, exact, max(float(padding), 0.0))
