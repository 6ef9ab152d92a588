"""What a codec removes, obscures and preserves, as statements that are computed from its spec.

Each statement counts the cells for which it holds. A statement that is exact holds for every image
in each of these cells, and the tests try to falsify it with random images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, get_args

import numpy as np
import pywt
from numpy.typing import NDArray

from deepfixcx.errors import ExplanationError
from deepfixcx.explain.naming import Spacing, measure
from deepfixcx.spec import CodecSpec
from deepfixcx.wavelets import filter_bank

__all__ = [
    "KINDS",
    "Kind",
    "Statement",
    "beyond_edge",
    "cell_pixels",
    "check_whole_block",
    "guessed",
    "margin",
    "none_removed",
    "single",
    "statements",
]

Kind = Literal["removed", "obscured", "preserved"]
KINDS: tuple[Kind, ...] = get_args(Kind)
About = Literal["all", "approximation", "details"]
Topic = Literal[
    "sign", "one sign", "balance", "order", "brightness", "position", "spread", "amount",
    "energy", "image", "padding",
]  # fmt: skip
Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]

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
        Removed: every image has, in each of the counted cells, another image with the same code
        (its pixels may leave [0, 1]). Obscured: a change in one cell changes the values of this
        cell only. Preserved: the value comes out of every code, up to rounding. Where it is false,
        the statement holds roughly: filters longer than a block reach beyond it.
    cells, of : int
        Number of cells for which it holds, of how many.

    Examples
    --------
    >>> first = statements(CodecSpec(level=5, patches=8, pooling="sum"), 320, 320)[0]
    >>> first.kind, first.topic, first.about, first.exact, first.cells, first.of
    ('removed', 'balance', 'details', True, 28, 64)
    """

    kind: Kind
    topic: Topic
    about: About
    words: str
    exact: bool
    cells: int
    of: int

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

    Notes
    -----
    "Removed" is said of the code alone: an attacker who knows such images can still guess.
    `python -m benchmarks.explanations` measures how well.

    References
    ----------
    Gaudio et al., DeepFixCX, 2023, doi:10.1002/widm.1495, sections on spatial and edge
    information.

    Examples
    --------
    >>> for statement in statements(CodecSpec(level=3, patches=4, pooling="max"), 512, 512):
    ...     print(statement.kind, "|", statement.words)
    removed | all but the largest coefficient of a cell (16 of 16 cells)
    removed | the position within a cell: which of its 256 blocks holds an edge (16 of 16 cells);
        the position inside a block still counts
    obscured | the position: a value covers a cell of 128 × 128 pixels
    preserved | the brightest block of each of 4 × 4 cells
    preserved | the largest coefficient in 8 × 8 sizes and directions
    """
    check_whole_block(spec, height, width)
    view = _View.of(spec, height, width)
    return (*_removed(view), *_obscured(view, spacing), *_preserved(view))


def check_whole_block(spec: CodecSpec, height: int, width: int) -> None:
    """Refuse an image that is smaller than the pixels behind one coefficient."""
    if min(height, width) < spec.block:
        raise ExplanationError(
            f"an image of {height}x{width} is smaller than one block of "
            f"{spec.block}x{spec.block} pixels at level {spec.level}, so its code cannot be "
            "described; use a smaller level"
        )


GUESSED = (
    "but an attacker who learned from X-rays of other patients guesses the brighter side of the "
    "strongest edges right in 72–89 % (J=3–4, P=4–16; chance: 50 %)"
)
"""Measured with `python -m benchmarks.explanations --only "What is removed, attacked"`."""


def guessed(removed: Sequence[Statement]) -> list[str]:
    """Return how well an attacker guesses what is removed, where it was measured."""
    return [GUESSED] if any(each.topic == "sign" for each in removed) else []


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
    support = (len(filter_bank(spec.wavelet).analysis_low) - 1) * (spec.block - 1) + 1
    return -(-(support - spec.block) // 2)


def beyond_edge(spec: CodecSpec, side: int, *, both_ways: bool = False) -> Mask:
    """Return which coefficients of an axis see beyond the image's edge, (h,).

    With `both_ways`, also those that an inverse transform would spread beyond it.
    """
    filters = filter_bank(spec.wavelet)
    taps = (filters.analysis_low != 0) | (filters.analysis_high != 0) | both_ways
    length, before = len(taps), (len(taps) - 1) // 2
    seen: Mask = np.zeros(side, np.bool_)
    for _ in range(spec.level):
        count = -(-len(seen) // 2)
        padded = np.ones(2 * count + 2 * length, np.bool_)
        padded[before : before + len(seen)] = seen
        windows = np.lib.stride_tricks.sliding_window_view(padded, length)
        seen = windows[: 2 * count : 2, taps].max(axis=1)
    return seen


@dataclass(frozen=True, eq=False, slots=True)
class _View:
    """What the cells of an image hold: counts of shape (P, P)."""

    spec: CodecSpec
    size: tuple[int, int]
    members: Counts  # coefficients of the image
    zeros: Counts  # that the padded grid adds
    inner: Counts  # coefficients that see nothing beyond the edge of the image
    whole: Counts  # and which an inverse transform does not spread beyond it
    pixels: Counts

    @classmethod
    def of(cls, spec: CodecSpec, height: int, width: int) -> _View:
        members: list[Counts] = []
        inner: list[Counts] = []
        whole: list[Counts] = []
        pixels: list[Counts] = []
        lengths: list[Counts] = []
        for cells, side in zip(spec.cells(height, width), (height, width), strict=True):
            for counts, both_ways in ((inner, False), (whole, True)):
                free = ~beyond_edge(spec, side, both_ways=both_ways)
                before = np.concatenate([[0], np.cumsum(free)])
                counts.append(before[cells.stops] - before[cells.starts])
            ends = [np.minimum(each * spec.block, side) for each in (cells.starts, cells.stops)]
            members.append(cells.stops - cells.starts)
            pixels.append(ends[1] - ends[0])
            lengths.append(cells.lengths)
        counts = [np.outer(*each) for each in (members, lengths, inner, whole, pixels)]
        return cls(spec, (height, width), counts[0], counts[1] - counts[0], *counts[2:])

    @property
    def haar(self) -> bool:
        return margin(self.spec) == 0

    @property
    def free(self) -> bool:
        """Whether coefficients that see no edge can be chosen freely."""
        return self.haar or self.spec.wavelet not in ROUNDED

    @property
    def inverts(self) -> bool:
        """Whether bands come back to the pixels, border included, and keep their energy."""
        orthogonal = pywt.Wavelet(self.spec.wavelet).orthogonal and self.free
        return self.haar or (self.spec.boundary == "periodic" and orthogonal)

    @property
    def known(self) -> Mask:
        """Cells whose one coefficient follows from its pooled values, its sign included."""
        names = set(self.spec.poolings)
        halves = bool(names & SIGN_FREE) + ("sum_pos" in names) + ("sum_neg" in names)
        means = "sum" in names or halves >= 2
        ordered = bool(names & set(ORDERED))
        known: Mask = (self.members == 1) & (means | (ordered & (self.zeros == 0)))
        return known

    def many(self, holds: Mask) -> tuple[str, int]:
        """Return how many cells these are, in words and as a number."""
        count = int(holds.sum())
        return f"{count:,} of {holds.size:,} cells", count

    def size_words(self) -> str:
        """Return height and width of cells in pixels, as ranges where they differ."""
        sides = []
        for cells, side in zip(self.spec.cells(*self.size), self.size, strict=True):
            ends = [
                np.minimum(each * self.spec.block, side) for each in (cells.starts, cells.stops)
            ]
            lengths = (ends[1] - ends[0])[cells.stops > cells.starts]
            sides.append((int(lengths.min()), int(lengths.max())))
        return " × ".join(f"{low}" if low == high else f"{low}–{high}" for low, high in sides)


def _removed(view: _View) -> list[Statement]:
    spec, names = view.spec, set(view.spec.poolings)
    hidden = (view.whole >= 1) & ~view.known
    several = view.whole >= 2
    block = f"{spec.block} × {spec.block} pixels"
    found: list[tuple[Topic, About, str, Mask]] = []
    if names <= SIGN_FREE and view.haar:
        words = f"the brighter side of an edge, and / against \\, inside blocks of {block} ({{}})"
        found.append(("sign", "details", words, hidden))
    elif names <= SIGN_FREE:
        found.append(("sign", "details", "the sign of each detail coefficient ({})", hidden))
    elif len(names) == 1 and names <= {"sum_pos", "sum_neg"}:
        gone = "negative" if names == {"sum_pos"} else "positive"
        words = f"all {gone} detail coefficients: the edges of one sign ({{}})"
        found.append(("one sign", "details", words, hidden))
        if names == {"sum_neg"} and view.haar:
            words = f"the mean brightness of each block of {block} within the image ({{}})"
            found.append(("brightness", "approximation", words, hidden))
    elif names == {"sum"}:
        words = "edges of opposite sign in one cell: they cancel ({})"
        found.append(("balance", "details", words, several))
    elif len(names) == 1:
        words = f"all but the {ORDERED[spec.poolings[0]]} coefficient of a cell ({{}})"
        found.append(("order", "all", words, several))
    counts = view.whole[several]
    if counts.size:
        low, high = int(counts.min()), int(counts.max())
        blocks = f"{low}" if low == high else f"{low}–{high}"
        words = f"the position within a cell: which of its {blocks} blocks holds an edge ({{}})"
        words += "; the position inside a block still counts"
        found.append(("position", "all", words, several))
    if len(names) == 1 and not names & set(ORDERED):
        words = "whether a cell's amount is one strong edge or many weak ones ({})"
        found.append(("spread", "details", words, several))
    made = []
    for topic, about, words, holds in found:
        many, count = view.many(holds)
        if count:
            said = words.format(many)
            made.append(Statement("removed", topic, about, said, view.free, count, holds.size))
    return made


def _obscured(view: _View, spacing: Spacing | None) -> list[Statement]:
    spec, total = view.spec, view.members.size
    kind = "block" if int(view.members.max()) == 1 else "cell"
    words = f"the position: a value covers a {kind} of {view.size_words()} pixels"
    if spacing is not None:
        cell = cell_pixels(spec, *view.size)
        most = "at most " if "–" in view.size_words() else ""
        words += f" ({most}{measure(cell[0] * spacing[0])} × {measure(cell[1] * spacing[1])} mm)"
    if not view.haar:
        words += f", and includes {margin(spec)} beyond it"
    found = [Statement("obscured", "position", "all", words, view.haar, total, total)]
    edge = view.members > view.inner
    if edge.any() or view.zeros.any():
        many, count = view.many(edge | (view.zeros > 0))
        words = f"the border of the image: {many} include padding, which is not anatomy"
        found.append(Statement("obscured", "padding", "all", words, True, count, total))
    return found


def _preserved(view: _View) -> list[Statement]:
    spec, total = view.spec, view.members.size
    (rows, columns), (height, width) = spec.grid_shape, view.size
    whose = "" if spec.grid_shape == (1, 1) else f" of each of {rows} × {columns} cells"
    found: list[tuple[Topic, About, str, bool, int]] = []
    known = view.known
    many, count = view.many(known)
    if count == total:
        words = "everything, exactly: each cell holds a single coefficient"
        found.append(("image", "all", words, view.inverts, count))
    elif count:
        share = 100 * view.pixels[known].sum() / (height * width)
        words = f"{many} exactly: these hold one coefficient each" + (
            f"; {share:.2g} % of the pixels are reconstructed exactly" if view.haar else ""
        )
        found.append(("image", "all", words, True, count))
    order = [name for name in spec.poolings if name in ORDERED]
    one = int((view.members + view.zeros).max()) == 1
    if set(spec.poolings) & set(MEANS) or (one and spec.pooling != "sum_neg"):
        words = f"the mean brightness{whose}"
        found.append(("brightness", "approximation", words, view.haar, total))
    elif order:
        exact = view.haar and not view.zeros.any() and bool((view.inner == view.members).all())
        words = f"the {BLOCKS[order[0]]} block{whose}"
        found.append(("brightness", "approximation", words, exact, total))
    amounts = " and ".join(AMOUNTS[name] for name in spec.poolings)
    words = f"the {amounts} in {spec.block} × {spec.block} sizes and directions"
    found.append(("amount", "all", words, True, total))
    if "l2" in spec.poolings and view.inverts:
        words = f"the mean square of the pixels{whose if view.haar else ''}"
        found.append(("energy", "all", words, True, total))
    return [Statement("preserved", *each, total) for each in found]
