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

AXES = {2: "(rows, columns)", 3: "(slices, rows, columns)"}
KINDS = {2: "image", 3: "volume"}


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
    patches : int or sequence of int
        P, the cells per axis of each band: one number, or (rows, columns) of an image, (slices,
        rows, columns) of a volume. Stored as a tuple.
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
    ndim : {2, 3}
        2 for images (H, W), 3 for volumes (D, H, W).
    level_z : int, optional
        J_z, the splits along the slices of a volume, 0 to J; J by default. The first J_z levels
        split all three axes, the others rows and columns: 8**J_z * 4**(J - J_z) bands.

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
    >>> CodecSpec(level=2, patches=(4, 8, 8), ndim=3, level_z=1).code_shape(channels=1)
    (1, 32, 4, 8, 8)
    """

    level: int
    patches: int | tuple[int, ...]
    wavelet: str = "haar"
    pooling: str | tuple[str, ...] = "l1"
    boundary: Boundary = "zero"
    grid: Grid = "balanced"
    ndim: int = 2
    level_z: int | None = None

    def __post_init__(self) -> None:
        """Check every setting and bring it into its stored form."""
        object.__setattr__(self, "level", _whole_number("level", self.level, 1, MAX_LEVEL))
        object.__setattr__(self, "ndim", _whole_number("ndim", self.ndim, 2, 3))
        object.__setattr__(self, "patches", _tuple_of_patches(self.patches, self.ndim))
        if self.ndim == 3:
            level_z = self.level if self.level_z is None else self.level_z
            object.__setattr__(self, "level_z", _whole_number("level_z", level_z, 0, self.level))
        elif self.level_z is not None:
            raise SpecError("level_z is for volumes; set ndim=3, or omit level_z")
        object.__setattr__(self, "pooling", _names_of_poolings(self.pooling))
        _one_of("wavelet", self.wavelet, _discrete_wavelets())
        _one_of("boundary", self.boundary, BOUNDARIES)
        _one_of("grid", self.grid, GRIDS)

    def __str__(self) -> str:
        """Short form for tables and messages, with the settings that are not the default."""
        cells = self.grid_shape
        parts = ["3-D"] if self.ndim == 3 else []
        parts += [f"J={self.level}"]
        parts += [f"J_z={self.level_z}"] if self.level_z not in (None, self.level) else []
        parts += [f"P={cells[0] if len(set(cells)) == 1 else 'x'.join(map(str, cells))}"]
        parts += [self.wavelet, "+".join(self.poolings)]
        parts += [word for word in (self.boundary, self.grid) if word not in ("zero", "balanced")]
        return " ".join(parts)

    # -- what the settings mean ---------------------------------------------------------------

    @property
    def bands(self) -> int:
        """Number of bands: 4**J of an image, 8**J_z * 4**(J - J_z) of a volume."""
        return 1 << sum(self.axis_levels)

    @property
    def axis_levels(self) -> tuple[int, ...]:
        """Splits along each axis: (J, J) of an image, (J_z, J, J) of a volume."""
        of_slices = () if self.level_z is None else (self.level_z,)
        return (*of_slices, self.level, self.level)

    @property
    def block(self) -> int:
        """Side of the square of pixels behind one Haar coefficient, 2**J."""
        return 1 << self.level

    @property
    def grid_shape(self) -> tuple[int, ...]:
        """Cells per band: (rows, columns) of an image, (slices, rows, columns) of a volume."""
        if isinstance(self.patches, int):  # only for the type checker: __post_init__ made a tuple
            return (self.patches,) * self.ndim
        return self.patches

    @property
    def poolings(self) -> tuple[str, ...]:
        """Names of the poolings, always as a tuple."""
        return (self.pooling,) if isinstance(self.pooling, str) else self.pooling

    def refuse_volumes(self, what: str) -> None:
        """Raise a `SpecError` if this is a spec of volumes, which `what` does not work on."""
        if self.ndim != 2:
            raise SpecError(f"{what} works on images, and the spec {self} is of volumes")

    # -- shapes: a size is (H, W) of an image, (D, H, W) of a volume ---------------------------

    def code_shape(self, channels: int) -> tuple[int, ...]:
        """Shape of one image's code: (C, bands, *cells), and F behind for several poolings."""
        several = () if isinstance(self.pooling, str) else (len(self.pooling),)
        return (channels, self.bands, *self.grid_shape, *several)

    def numbers(self, channels: int) -> int:
        """How many numbers the code of one image holds."""
        return math.prod(self.code_shape(channels))

    def band_shape(self, *size: int) -> tuple[int, ...]:
        """Shape of each band of an image: (ceil(H / 2**J), ceil(W / 2**J)); of a volume alike."""
        axes = self._by_axis(size)  # a list: this runs for every image of a release
        return tuple([-(-side >> level) for side, level in axes])

    def check_bands(self, shape: tuple[int, ...], *size: int) -> None:
        """Refuse an array that does not hold the bands of images of this size.

        Raises
        ------
        PixelsShapeError
            The shape is not (B, C, bands, *band_shape).
        """
        expected = (self.bands, *self.band_shape(*size))
        if shape[2:] != expected:
            raise PixelsShapeError(
                f"bands of a {_by(size)} {KINDS[self.ndim]} at level {self.level} have shape "
                f"(B, C, {', '.join(map(str, expected))}), got {shape}"
            )

    def split_shapes(self, *size: int) -> list[tuple[int, ...]]:
        """Shapes on the way down, from the image itself to its bands: J + 1 of them."""
        return [
            tuple(-(-side >> min(depth, level)) for side, level in self._by_axis(size))
            for depth in range(self.level + 1)
        ]

    def compact_shape(self) -> tuple[int, ...]:
        """Shape of the compact reconstruction: P * 2**J along each axis."""
        return tuple(n << level for n, level in zip(self.grid_shape, self.axis_levels, strict=True))

    def cells(self, *size: int) -> tuple[Cells, ...]:
        """Lay the grid on the bands of an image of this size: cells of the rows, of the columns.

        Of a volume: cells of the slices, of the rows, of the columns.

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
        bands, cells = self.band_shape(*size), self.grid_shape
        if self.grid == "padded":
            return tuple(map(_padded_cells, bands, cells))
        if min(map(operator.sub, bands, cells)) < 0:
            least = [
                count - 1 << level for count, level in zip(cells, self.axis_levels, strict=True)
            ]
            raise ImageTooSmallError(
                f"{'an image' if self.ndim == 2 else 'a volume'} of {_by(size)} has bands of "
                f"{_by(bands)} at level {self.level}, fewer than the {_by(cells)} cells requested; "
                f"the {KINDS[self.ndim]} needs more than {_by(least)} "
                f"{'pixels' if self.ndim == 2 else 'voxels'}, or a smaller level or patches"
            )
        return tuple(map(balanced_cells, bands, cells))

    def _by_axis(self, size: tuple[int, ...]) -> zip[tuple[int, int]]:
        """Pair each side with the splits along its axis."""
        if len(size) != self.ndim:
            raise PixelsShapeError(
                f"the size of {'an image' if self.ndim == 2 else 'a volume'} has {self.ndim} "
                f"numbers {AXES[self.ndim]}, got {size}"
            )
        return zip(size, self.axis_levels, strict=True)

    # -- to and from text ---------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain JSON values."""
        settings: dict[str, Any] = json.loads(self.to_json())
        return settings

    def to_json(self) -> str:
        """Return the settings as one line of JSON with sorted keys."""
        volume = ("ndim", "level_z")  # absent from the specs of images, as before there were others
        settings = {
            name: value
            for name, value in asdict(self).items()
            if self.ndim == 3 or name not in volume
        }
        return json.dumps(settings, sort_keys=True)

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


def _tuple_of_patches(value: Any, ndim: int) -> tuple[int, ...]:
    several = isinstance(value, Sequence) and not isinstance(value, str)
    counts = tuple(value) if several else (value,) * ndim
    if len(counts) != ndim:
        kind = "pair" if ndim == 2 else "triple"
        raise SpecError(f"patches must be a number or a {kind} {AXES[ndim]}, got {value!r}")
    for count in counts:
        _whole_number("patches", count, 1)
    return tuple(map(operator.index, counts))


def _by(sides: Sequence[int]) -> str:
    return "x".join(map(str, sides))


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
