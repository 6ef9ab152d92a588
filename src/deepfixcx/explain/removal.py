"""What a codec removes, obscures and preserves, as statements that are computed from its spec.

Each says whether it is exact: whether two different images have the very same code, or whether a
number comes out of every code as it went in. A statement that does not hold for a wavelet, a
pooling or a size is not made.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal, get_args

import numpy as np
import pywt

from deepfixcx.errors import ExplanationError
from deepfixcx.explain.naming import Spacing, measure
from deepfixcx.spec import CodecSpec
from deepfixcx.wavelets import filter_bank

__all__ = [
    "KINDS",
    "Kind",
    "Statement",
    "cell_pixels",
    "check_whole_block",
    "margin",
    "none_removed",
    "single",
    "statements",
]

Kind = Literal["removed", "obscured", "preserved"]
KINDS: tuple[Kind, ...] = get_args(Kind)
About = Literal["all", "approximation", "details"]
Topic = Literal[
    "sign", "one sign", "balance", "order", "brightness", "position", "spread", "mirror",
    "orientation", "amount", "energy", "image",
]  # fmt: skip

SIGN_FREE = frozenset({"l1", "l2"})
MEANS = ("l1", "sum", "sum_pos")
"""Poolings whose approximation is the mean of a cell, since blocks of pixels are not negative."""

ORDERED = {"max": "largest", "min": "smallest", "median": "middle"}
BLOCKS = {"max": "brightest", "min": "darkest", "median": "middle"}
AMOUNTS = {
    "l1": "strength of edges",
    "l2": "energy of edges",
    "sum": "balance of opposite edges",
    "sum_pos": "strength of positive edges",
    "sum_neg": "strength of negative edges",
    "max": "largest coefficient",
    "min": "smallest coefficient",
    "median": "middle coefficient",
}

ROUNDED = ("dmey",)
"""Wavelets whose filters are cut off, so that they are inverted only roughly."""

INNER = 4
"""An image of so many filters a side has cells that the filters never see the edge from."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing that a code removes, obscures or preserves.

    Attributes
    ----------
    kind : {"removed", "obscured", "preserved"}
        What happens to it.
    topic : str
        What it is about: ``"sign"``, ``"position"``, ``"brightness"``, …
    about : {"all", "approximation", "details"}
        The bands for which it holds.
    words : str
        What a reader sees.
    exact : bool
        Removed: there are different images with the very same code. Obscured: the code tells
        nothing finer. Preserved: the number comes out of every code, up to rounding. Where it is
        false, the statement holds roughly: filters longer than a block reach beyond it.

    Examples
    --------
    >>> first = statements(CodecSpec(level=3, patches=4), 320, 320)[0]
    >>> first.kind, first.topic, first.about, first.exact
    ('removed', 'sign', 'details', True)
    """

    kind: Kind
    topic: Topic
    about: About
    words: str
    exact: bool

    def to_dict(self) -> dict[str, object]:
        """Return the statement as plain JSON values."""
        return asdict(self)


def statements(
    spec: CodecSpec, height: int, width: int, spacing: Spacing | None = None
) -> tuple[Statement, ...]:
    """Say what a code of an image of this size removes, obscures and preserves.

    Pixels are taken to be in [0, 1].

    Parameters
    ----------
    spec : CodecSpec
        All settings count.
    height, width : int
        Size of the image in pixels.
    spacing : pair of float, optional
        Millimetres from row to row and from column to column.

    Returns
    -------
    tuple of Statement
        Removed, obscured, preserved; what is peculiar to the pooling comes first.

    Raises
    ------
    ExplanationError
        The image is smaller than one block of 2**J pixels.
    ImageTooSmallError
        The balanced grid would have empty cells.

    References
    ----------
    Gaudio et al., DeepFixCX, 2023, doi:10.1002/widm.1495, sections on spatial and edge
    information.

    Examples
    --------
    >>> for statement in statements(CodecSpec(level=3, patches=4, pooling="max"), 512, 512):
    ...     print(statement.kind, "|", statement.words)
    removed | all but the largest coefficient of each cell
    removed | where inside its cell something is
    obscured | where things are: each value covers a cell of 128 × 128 pixels
    preserved | the brightest block of each of 4 × 4 cells
    preserved | the largest coefficient in 8 × 8 sizes and directions
    """
    check_whole_block(spec, height, width)
    return (
        *_removed(spec, height, width),
        *_obscured(spec, height, width, spacing),
        *_preserved(spec, height, width),
    )


def check_whole_block(spec: CodecSpec, height: int, width: int) -> None:
    """Refuse an image that is smaller than the pixels behind one coefficient."""
    if min(height, width) < spec.block:
        raise ExplanationError(
            f"an image of {height}x{width} is smaller than one block of "
            f"{spec.block}x{spec.block} pixels at level {spec.level}, so its code cannot be "
            "described; use a smaller level"
        )


def single(spec: CodecSpec, height: int, width: int) -> bool:
    """Return whether each cell holds a single coefficient, so that pooling moves nothing."""
    rows, columns = spec.cells(height, width)
    return bool(rows.lengths.max() == columns.lengths.max() == 1)


def none_removed(spec: CodecSpec, height: int, width: int) -> str:
    """Say why nothing is removed, where no statement says that anything is."""
    if single(spec, height, width):
        return "nothing: each cell holds a single coefficient"
    return "little: no cell holds two whole blocks of pixels"


def cell_pixels(spec: CodecSpec, height: int, width: int) -> tuple[int, int]:
    """Return height and width of the largest cell in pixels."""
    rows, columns = spec.cells(height, width)
    return int(rows.lengths.max()) * spec.block, int(columns.lengths.max()) * spec.block


def margin(spec: CodecSpec) -> int:
    """Return how many pixels on every side of its block a coefficient sees; 0 for Haar."""
    return -(-(_support(spec) - spec.block) // 2)


def _support(spec: CodecSpec) -> int:
    """Return the side of the square of pixels that one coefficient sees."""
    return (len(filter_bank(spec.wavelet).analysis_low) - 1) * (spec.block - 1) + 1


def _haar(spec: CodecSpec) -> bool:
    return margin(spec) == 0


def _inverts(spec: CodecSpec) -> bool:
    """Return whether bands come back to the pixels, the border included, and keep their energy."""
    orthogonal = pywt.Wavelet(spec.wavelet).orthogonal and spec.wavelet not in ROUNDED
    return _haar(spec) or (spec.boundary == "periodic" and orthogonal)


def _has_inner_cells(spec: CodecSpec, height: int, width: int) -> bool:
    """Return whether coefficients can be chosen freely somewhere, away from the edge."""
    inner = min(height, width) >= INNER * _support(spec)
    return _haar(spec) or (inner and spec.wavelet not in ROUNDED)


def _several(spec: CodecSpec, height: int, width: int) -> bool:
    """Return whether a cell holds two coefficients whose blocks lie within the image."""
    most = 1
    for cells, side in zip(spec.cells(height, width), (height, width), strict=True):
        most *= int((np.minimum(cells.stops, side // spec.block) - cells.starts).max())
    return most >= 2


def _tells_coefficients(spec: CodecSpec) -> bool:
    """Return whether the poolings of a single coefficient say all of it, its sign included."""
    names = set(spec.poolings)
    halves = bool(names & SIGN_FREE) + ("sum_pos" in names) + ("sum_neg" in names)
    return bool(names & {"sum", "max", "min", "median"}) or halves >= 2


def _removed(spec: CodecSpec, height: int, width: int) -> list[Statement]:
    names, several = set(spec.poolings), _several(spec, height, width)
    if single(spec, height, width) and _tells_coefficients(spec):
        return []
    exact = _has_inner_cells(spec, height, width)
    found: list[tuple[Topic, About, str, bool]] = []
    if names <= SIGN_FREE:
        words = "the sign of every edge: which of its sides is brighter"
        found.append(("sign", "details", words, exact))
    elif names == {"sum_pos"}:
        words = "all negative coefficients: the edges of one sign"
        found.append(("one sign", "details", words, exact))
    elif names == {"sum_neg"}:
        words = "all positive coefficients: the edges of one sign"
        found.append(("one sign", "details", words, exact))
        if _haar(spec):
            found.append(("brightness", "approximation", "the brightness", True))
    elif names == {"sum"} and several:
        words = "edges of opposite sign in one cell: they cancel"
        found.append(("balance", "details", words, exact))
    elif len(names) == 1 and several:
        words = f"all but the {ORDERED[spec.poolings[0]]} coefficient of each cell"
        found.append(("order", "all", words, exact))
    if several:
        found.append(("position", "all", "where inside its cell something is", exact))
    if several and len(names) == 1 and not names & set(ORDERED):
        words = "whether a cell's amount is one strong edge or many weak ones"
        found.append(("spread", "details", words, exact))
    if names <= SIGN_FREE and _haar(spec):
        words = "the phase of a pattern: a block of pixels and its mirror image count alike"
        found.append(("mirror", "details", words, True))
    return [Statement("removed", *each) for each in found]


def _obscured(spec: CodecSpec, height: int, width: int, spacing: Spacing | None) -> list[Statement]:
    cell = cell_pixels(spec, height, width)
    kind = "block" if single(spec, height, width) else "cell"
    words = f"where things are: each value covers a {kind} of {cell[0]} × {cell[1]} pixels"
    if spacing is not None:
        words += f" ({measure(cell[0] * spacing[0])} × {measure(cell[1] * spacing[1])} mm)"
    if not _haar(spec):
        words += f", and includes {margin(spec)} beyond it"
    found = [Statement("obscured", "position", "all", words, _haar(spec))]
    if set(spec.poolings) <= SIGN_FREE and (_haar(spec) or kind == "cell"):
        words = "the orientation of slanted edges: 45 and 135 degrees count alike"
        found.append(Statement("obscured", "orientation", "details", words, _haar(spec)))
    return found


def _preserved(spec: CodecSpec, height: int, width: int) -> list[Statement]:
    rows, columns = spec.grid_shape
    whose = "" if spec.grid_shape == (1, 1) else f" of each of {rows} × {columns} cells"
    haar, alone = _haar(spec), single(spec, height, width)
    found: list[tuple[Topic, About, str, bool]] = []
    if alone and _tells_coefficients(spec):
        words = "everything: each cell holds a single coefficient, so the image comes back"
        found.append(("image", "all", words, _inverts(spec)))
    mean = [name for name in spec.poolings if name in MEANS]
    order = [name for name in spec.poolings if name in ORDERED]
    if mean or (alone and spec.pooling != "sum_neg"):
        found.append(("brightness", "approximation", f"the mean brightness{whose}", haar))
    elif order:
        whole = not (height % spec.block or width % spec.block) and _no_added_zeros(
            spec, height, width
        )
        words = f"the {BLOCKS[order[0]]} block{whose}"
        found.append(("brightness", "approximation", words, haar and whole))
    amounts = " and ".join(AMOUNTS[name] for name in spec.poolings)
    words = f"the {amounts} in {spec.block} × {spec.block} sizes and directions"
    found.append(("amount", "all", words, True))
    if "l2" in spec.poolings and _inverts(spec):
        words = f"the mean square of the pixels{whose if haar else ''}"
        found.append(("energy", "all", words, True))
    return [Statement("preserved", *each) for each in found]


def _no_added_zeros(spec: CodecSpec, height: int, width: int) -> bool:
    """Return whether every member of a cell is a coefficient of the image."""
    return all(
        bool((cells.stops - cells.starts == cells.lengths).all())
        for cells in spec.cells(height, width)
    )
