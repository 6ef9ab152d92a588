"""What a codec does, as one frozen value, and every piece of shape arithmetic that follows from it.

Nothing else in the package computes the height of a band, the rows of a cell or the side of a
compact reconstruction: it asks here. The module needs no kernel, so that a plan or a table of
settings costs nothing to make.
"""

from __future__ import annotations

import difflib
import json
import math
import operator
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, SupportsIndex, cast, get_args

import numpy as np
import pywt
from numpy.typing import NDArray

from deepfixcx.choices import Boundary, Grid, Pooling
from deepfixcx.errors import ImageTooSmallError, PixelsShapeError, SpecError

__all__ = ["BOUNDARIES", "GRIDS", "MAX_LEVEL", "POOLINGS", "Cells", "CodecSpec", "balanced_cells"]

BOUNDARIES: tuple[str, ...] = get_args(Boundary)
GRIDS: tuple[str, ...] = get_args(Grid)
POOLINGS: tuple[str, ...] = get_args(Pooling)

MAX_LEVEL = 12
"""Deepest packet: 4**12 bands are already more numbers than most images have pixels."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Where the cells of one axis begin and end; they are laid on an axis of known length.

    Attributes
    ----------
    starts, stops : ndarray of int64, shape (P,)
        Half-open range of band rows (or columns) that fall into each cell; together all of them.
    lengths : ndarray of int64, shape (P,)
        Members of each cell along this axis, with the zeros that the padded grid adds.

    Examples
    --------
    >>> rows, columns = CodecSpec(level=1, patches=2).cells(10, 8)  # bands of 5 x 4
    >>> rows.stops.tolist(), columns.stops.tolist()
    ([2, 5], [2, 4])
    >>> rows.of_each_row().tolist()
    [0, 0, 1, 1, 1]
    """

    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @property
    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The three arrays as a tuple, the form that kernels take."""
        return self.starts, self.stops, self.lengths

    def of_each_row(self) -> NDArray[np.int64]:
        """Return the cell that each row (or column) of the band falls into, shape (h,)."""
        return np.repeat(np.arange(len(self.starts)), self.stops - self.starts)


@dataclass(frozen=True)
class CodecSpec:
    """The settings of a codec.

    Parameters
    ----------
    level : int
        J, the depth of the wavelet packet, 1 to 12. An image becomes 4**J bands.
    patches : int or pair of int
        P, the cells per axis of each band; a pair is (rows, columns). Stored as a pair.
    wavelet : str
        A discrete wavelet of PyWavelets. ``"haar"`` has a fast path.
    pooling : str or sequence of str
        How a cell becomes a number: the mean of the absolute values (``"l1"``), of the squares
        (``"l2"``), of the values (``"sum"``), of their positive or negative parts (``"sum_pos"``,
        ``"sum_neg"``), or the ``"max"``, ``"min"`` or lower ``"median"``. Several names give a
        code with a trailing axis.
    boundary : {"zero", "periodic"}
        What the filters see beyond the edge. The Haar wavelet never looks there.
    grid : {"balanced", "padded"}
        ``"balanced"`` gives cell i the rows ``i*h//P`` to ``(i+1)*h//P``; ``"padded"`` is the
        paper's grid: zeros around the band make every cell equally large.

    Raises
    ------
    SpecError
        An argument is unknown or out of range; the message names it and what is allowed.

    References
    ----------
    Gaudio et al., DeepFixCX, WIREs Data Mining and Knowledge Discovery, 2023,
    doi:10.1002/widm.1495.

    Examples
    --------
    >>> spec = CodecSpec(level=3, patches=4)
    >>> spec.bands, spec.patches, spec.numbers(channels=1)
    (64, (4, 4), 1024)
    >>> CodecSpec.from_json(spec.to_json()) == spec
    True
    """

    level: int
    patches: int | tuple[int, int]
    wavelet: str = "haar"
    pooling: str | tuple[str, ...] = "l1"
    boundary: Boundary = "zero"
    grid: Grid = "balanced"

    def __post_init__(self) -> None:
        """Check every setting and bring it into its stored form."""
        object.__setattr__(self, "level", _whole_number("level", self.level, 1, MAX_LEVEL))
        object.__setattr__(self, "patches", _pair_of_patches(self.patches))
        object.__setattr__(self, "pooling", _names_of_poolings(self.pooling))
        _one_of("wavelet", self.wavelet, _discrete_wavelets())
        _one_of("boundary", self.boundary, BOUNDARIES)
        _one_of("grid", self.grid, GRIDS)

    def __str__(self) -> str:
        """Short form for tables and messages, with the settings that are not the default."""
        rows, columns = self.grid_shape
        parts = [f"J={self.level}", f"P={rows}" if rows == columns else f"P={rows}x{columns}"]
        parts += [self.wavelet, "+".join(self.poolings)]
        parts += [word for word in (self.boundary, self.grid) if word not in ("zero", "balanced")]
        return " ".join(parts)

    # -- what the settings mean ---------------------------------------------------------------

    @property
    def bands(self) -> int:
        """Number of bands, 4**J."""
        return 1 << 2 * self.level

    @property
    def block(self) -> int:
        """Side of the square of pixels behind one Haar coefficient, 2**J."""
        return 1 << self.level

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Cells per band, (rows, columns)."""
        if isinstance(self.patches, int):  # only for the type checker: __post_init__ made a pair
            return self.patches, self.patches
        return self.patches

    @property
    def poolings(self) -> tuple[str, ...]:
        """Names of the poolings, always as a tuple."""
        return (self.pooling,) if isinstance(self.pooling, str) else self.pooling

    # -- shapes -------------------------------------------------------------------------------

    def code_shape(self, channels: int) -> tuple[int, ...]:
        """Shape of one image's code: (C, 4**J, P, P), and F behind for several poolings."""
        several = () if isinstance(self.pooling, str) else (len(self.pooling),)
        return (channels, self.bands, *self.grid_shape, *several)

    def numbers(self, channels: int) -> int:
        """How many numbers the code of one image holds."""
        return math.prod(self.code_shape(channels))

    def band_shape(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of each band of an image, ceil(H / 2**J) and ceil(W / 2**J)."""
        return -(-height // self.block), -(-width // self.block)

    def check_bands(self, shape: tuple[int, ...], height: int, width: int) -> None:
        """Refuse an array that does not hold the bands of images of this size.

        Raises
        ------
        PixelsShapeError
            The shape is not (B, C, 4**J, h, w).
        """
        expected = (self.bands, *self.band_shape(height, width))
        if len(shape) != 5 or shape[2:] != expected:
            raise PixelsShapeError(
                f"bands of a {height}x{width} image at level {self.level} have shape "
                f"(B, C, {', '.join(map(str, expected))}), got {shape}"
            )

    def split_shapes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Shapes on the way down, from the image itself to its bands: J + 1 pairs."""
        return [(-(-height // 2**depth), -(-width // 2**depth)) for depth in range(self.level + 1)]

    def compact_shape(self) -> tuple[int, int]:
        """Height and width of the compact reconstruction, P * 2**J."""
        rows, columns = self.grid_shape
        return rows * self.block, columns * self.block

    def cells(self, height: int, width: int) -> tuple[Cells, Cells]:
        """Lay the grid on the bands of an image of this size: cells of the rows, of the columns.

        Raises
        ------
        ImageTooSmallError
            The balanced grid would have empty cells.

        Examples
        --------
        >>> rows, columns = CodecSpec(level=1, patches=3).cells(14, 14)
        >>> rows.starts.tolist(), rows.stops.tolist()
        ([0, 2, 4], [2, 4, 7])
        """
        bands = self.band_shape(height, width)
        if self.grid == "padded":
            rows, columns = map(_padded_cells, bands, self.grid_shape)
            return rows, columns
        if bands[0] < self.grid_shape[0] or bands[1] < self.grid_shape[1]:
            raise ImageTooSmallError(
                f"an image of {height}x{width} has bands of {bands[0]}x{bands[1]} at level "
                f"{self.level}, fewer than the {self.grid_shape[0]}x{self.grid_shape[1]} cells "
                "requested; the image needs more than "
                f"{(self.grid_shape[0] - 1) * self.block}x{(self.grid_shape[1] - 1) * self.block} "
                "pixels, or a smaller level or patches"
            )
        rows, columns = map(balanced_cells, bands, self.grid_shape)
        return rows, columns

    def strips(self, height: int, width: int, values: int) -> NDArray[np.int64]:
        """Cut an image into strips of whole rows of cells, of about `values` pixels each.

        Returns
        -------
        ndarray of int64, shape (S + 1,)
            The rows of cells at which the strips begin and end.

        Examples
        --------
        >>> CodecSpec(level=1, patches=4).strips(80, 10, values=500).tolist()
        [0, 2, 4]
        """
        patches = self.grid_shape[0]
        count = min(patches, max(1, -(-height * width // values)))
        return np.arange(count + 1, dtype=np.int64) * patches // count

    # -- to and from text ---------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain JSON values."""
        settings: dict[str, Any] = json.loads(self.to_json())
        return settings

    def to_json(self) -> str:
        """Return the settings as one line of JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> CodecSpec:
        """Build a spec from plain JSON values; unknown or missing keys are an error."""
        if not isinstance(settings, dict):
            raise SpecError(f"a spec is a JSON object, got {type(settings).__name__}")
        known = set(cls.__dataclass_fields__)
        if unknown := sorted(set(settings) - known):
            raise SpecError(f"unknown settings {unknown}; a spec has {sorted(known)}")
        if missing := sorted({"level", "patches"} - set(settings)):
            raise SpecError(f"a spec needs {missing}")
        return cls(**settings)

    @classmethod
    def from_json(cls, text: str) -> CodecSpec:
        """Build a spec from the text that `to_json` wrote."""
        try:
            settings = json.loads(text)
        except ValueError as error:
            raise SpecError(
                f"a spec is a JSON object, and this text is not JSON: {error}"
            ) from None
        return cls.from_dict(settings)


@lru_cache(maxsize=256)
def balanced_cells(length: int, patches: int) -> Cells:
    """Divide an axis as the grid ``balanced`` does: cell i begins at ``floor(i * length / P)``.

    A partition, in which no cell is empty if P <= length.

    Examples
    --------
    >>> balanced_cells(5, 2).stops.tolist()
    [2, 5]
    """
    edges = np.arange(patches + 1, dtype=np.int64) * length // patches
    return Cells(edges[:-1], edges[1:], edges[1:] - edges[:-1])


@lru_cache(maxsize=256)
def _padded_cells(length: int, patches: int) -> Cells:
    size = -(-length // patches)
    before = (size * patches - length) // 2
    edges = np.clip(np.arange(patches + 1, dtype=np.int64) * size - before, 0, length)
    return Cells(edges[:-1], edges[1:], np.full(patches, size, dtype=np.int64))


@lru_cache(maxsize=1)
def _discrete_wavelets() -> tuple[str, ...]:
    return tuple(pywt.wavelist(kind="discrete"))


def _whole_number(name: str, value: object, least: int, most: int | None = None) -> int:
    try:
        number = operator.index(cast(SupportsIndex, value))
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least or (most is not None and number > most):
        allowed = f"from {least} to {most}" if most is not None else f"of at least {least}"
        raise SpecError(f"{name} must be a whole number {allowed}, got {value!r}")
    return number


def _pair_of_patches(value: object) -> tuple[int, int]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) != 2:
            raise SpecError(f"patches must be a number or a pair (rows, columns), got {value!r}")
        return _whole_number("patches", value[0], 1), _whole_number("patches", value[1], 1)
    side = _whole_number("patches", value, 1)
    return side, side


def _names_of_poolings(value: object) -> str | tuple[str, ...]:
    if isinstance(value, str):
        _one_of("pooling", value, POOLINGS)
        return value
    if not isinstance(value, Sequence) or not value:
        raise SpecError(f"pooling must be a name or a sequence of names, got {value!r}")
    for name in value:
        _one_of("pooling", name, POOLINGS)
    if len(set(value)) != len(value):
        raise SpecError(f"pooling names a pooling twice: {list(value)}")
    return str(value[0]) if len(value) == 1 else tuple(value)


def _one_of(name: str, value: object, allowed: Sequence[str]) -> None:
    if not isinstance(value, str) or value not in allowed:
        near = difflib.get_close_matches(str(value), allowed, n=1)
        hint = f", did you mean {near[0]!r}?" if near else ";"
        shown = ", ".join(allowed) if len(allowed) < 12 else f"{', '.join(allowed[:11])}, …"
        raise SpecError(f"unknown {name} {value!r}{hint} choose one of: {shown}")
