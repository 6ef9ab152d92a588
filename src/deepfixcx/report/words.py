"""What a code keeps of an image, in words and numbers."""

from __future__ import annotations

from dataclasses import dataclass

from deepfixcx.spec import CodecSpec

__all__ = ["Kept", "obscured", "preserved", "removed"]

REMOVED = {
    "l1": "the sign of every edge: which of its sides is brighter",
    "l2": "the sign of every edge: which of its sides is brighter",
    "sum": "edges of opposite sign in one cell: they cancel",
    "max": "all but the largest coefficient of each cell",
    "min": "all but the smallest coefficient of each cell",
    "median": "all but the middle coefficient of each cell",
    "sum_pos": "all negative coefficients: the edges of one sign",
    "sum_neg": "all positive coefficients: the edges of one sign",
}
"""What each pooling takes away, besides places within a cell."""

SIGNED_AWAY = ("l1", "l2", "sum_pos", "sum_neg")
"""Poolings that take something away even from a cell of a single coefficient."""


@dataclass(frozen=True, slots=True)
class Kept:
    """How many numbers a code keeps of an image.

    Attributes
    ----------
    numbers, of : int
        Numbers in the code; numbers in the image, which is C x H x W.

    Examples
    --------
    >>> kept = Kept.of_image(CodecSpec(level=3, patches=4), 1, 512, 512)
    >>> kept.numbers, kept.ratio, kept.percent
    (1024, '1 : 256', '0.39 %')
    """

    numbers: int
    of: int

    @classmethod
    def of_image(cls, spec: CodecSpec, channels: int, height: int, width: int) -> Kept:
        """Count for a spec and an image of C x H x W."""
        return cls(spec.numbers(channels), channels * height * width)

    @property
    def factor(self) -> float:
        """How many times fewer numbers than in the image; below 1 where they are more."""
        return self.of / self.numbers

    @property
    def ratio(self) -> str:
        """The compression ratio as it is usually written, such as 1 : 256."""
        factor = self.factor
        return f"1 : {factor:,.0f}" if factor >= 10 else f"1 : {factor:.2g}"

    @property
    def percent(self) -> str:
        """The share of numbers kept, with two digits."""
        share = 100 * self.numbers / self.of
        return f"{share:,.0f} %" if share >= 10 else f"{share:.2g} %"

    def __str__(self) -> str:
        """Return all of it in one line."""
        return f"{self.numbers:,} of {self.of:,} numbers ({self.percent}, {self.ratio})"


def removed(spec: CodecSpec, height: int, width: int) -> str:
    """Say what is gone from an image of this size.

    Examples
    --------
    >>> removed(CodecSpec(level=3, patches=4, pooling="max"), 512, 512)
    'all but the largest coefficient of each cell'
    """
    single = _cell_pixels(spec, height, width) == (spec.block, spec.block)
    if single and not set(spec.poolings) <= set(SIGNED_AWAY):
        return "nothing: each cell holds a single coefficient"
    if len(spec.poolings) > 1:
        return f"all that {' and '.join(spec.poolings)} of a cell do not tell"
    return REMOVED[spec.poolings[0]]


def obscured(spec: CodecSpec, height: int, width: int) -> str:
    """Say what is blurred in an image of this size.

    Examples
    --------
    >>> obscured(CodecSpec(level=3, patches=4), 512, 512)
    'where things are: each number stands for a cell of 128 × 128 pixels'
    """
    cell = _cell_pixels(spec, height, width)
    if cell == (spec.block, spec.block):
        return "little: each cell holds a single coefficient; take fewer patches"
    return f"where things are: each number stands for a cell of {cell[0]} × {cell[1]} pixels"


def preserved(spec: CodecSpec) -> str:
    """Say what is still there.

    Examples
    --------
    >>> preserved(CodecSpec(level=3, patches=1))
    'the brightness, and the strength of its edges: 8 × 8 sizes and directions'
    """
    rows, columns = spec.grid_shape
    whose = "" if spec.grid_shape == (1, 1) else f" of each of {rows} × {columns} cells"
    sizes = f"{spec.block} × {spec.block} sizes and directions"
    return f"the brightness{whose}, and the strength of its edges: {sizes}"


def _cell_pixels(spec: CodecSpec, height: int, width: int) -> tuple[int, int]:
    """Return height and width of the largest cell in pixels."""
    rows, columns = spec.cells(height, width)
    return int(rows.lengths.max()) * spec.block, int(columns.lengths.max()) * spec.block
