"""What a spec will do to an image of some size: each band by name, and what is left of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from deepfixcx.errors import ExplanationError
from deepfixcx.explain.naming import BandName, Spacing, band_names
from deepfixcx.explain.statements import (
    KINDS,
    Kind,
    Statement,
    cell_pixels,
    margin,
    none_removed,
    statements,
)
from deepfixcx.packets import band_number
from deepfixcx.spec import CodecSpec

__all__ = ["BandSummary", "explain_bands"]


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
        Height and width in pixels of the smallest place that can be told apart: the largest cell.
        It is the same in every band.
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
    """Say what a spec will do to an image of this size, before there is one.

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
    the sign of every edge: which of its sides is brighter
    where inside its cell something is
    whether a cell's amount is one strong edge or many weak ones
    the phase of a pattern: a block of pixels and its mirror image count alike
    """
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
