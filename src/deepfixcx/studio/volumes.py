"""What the page of volumes shows at some settings: planes, map, figures; without a browser."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._words import byte_size
from deepfixcx.code import Code, code_bytes
from deepfixcx.codec import Codec
from deepfixcx.errors import DeepfixcxError
from deepfixcx.measures.quality import psnr
from deepfixcx.packets import band_path, band_position, pixel_scale
from deepfixcx.pooling import amplitudes
from deepfixcx.report.html import coloured, png_bytes
from deepfixcx.report.words import Kept
from deepfixcx.spec import CodecSpec
from deepfixcx.studio.units import Units, raw_about, raw_bytes
from deepfixcx.studio.uploads import Solid
from deepfixcx.studio.workspace import MOST_VALUES, Limit

__all__ = ["DRAWN", "Plane", "SolidLook", "SolidSettings", "example_solid", "fitting", "limits"]
__all__ += ["planes_of"]

LEVELS = 6
DRAWN = "Head, synthetic"
OPPOSITE = dict(zip("RLAPSI", "LRPAIS", strict=True))
NAMES = dict(zip("SIAPRL", ("Axial",) * 2 + ("Coronal",) * 2 + ("Sagittal",) * 2, strict=True))
BACKWARDS = frozenset("SAR")
"""Axes that lead there are drawn backwards: the head is up, and the patient's right is left."""


@dataclass(frozen=True, slots=True)
class SolidSettings:
    """Level, splits along slices, and cells: along rows and columns, and along slices."""

    level: int = 2
    level_z: int = LEVELS
    patches: int = 8
    patches_z: int = 8

    @property
    def spec(self) -> CodecSpec:
        """The codec of volumes; J_z is at most J."""
        cells = (self.patches_z, self.patches, self.patches)
        return CodecSpec(self.level, cells, ndim=3, level_z=min(self.level_z, self.level))

    def command_line(self) -> str:
        """Return the command that applies these settings to a folder."""
        words = f"deepfixcx privatize FOLDER OUT --volumes --level {self.level}"
        if self.level_z < self.level:
            words += f" --level-z {self.level_z}"
        return f"{words} --patches {self._cells('x')}"

    def python(self) -> str:
        """Return the lines of Python that apply these settings to an array."""
        level_z = f", level_z={self.level_z}" if self.level_z < self.level else ""
        patches = self._cells(", ")
        patches = f"({patches})" if "," in patches else patches
        return (
            "from deepfixcx import Codec\n\n"
            f"codec = Codec(level={self.level}, patches={patches}, ndim=3{level_z})\n"
            "code = codec.encode(voxels)  # (B, C, D, H, W) in [0, 1]\n"
            'privatized = codec.decode(code, "compact")'
        )

    def _cells(self, between: str) -> str:
        if self.patches_z == self.patches:
            return str(self.patches)
        return between.join(map(str, (self.patches_z, self.patches, self.patches)))

    def with_one(self, name: str, value: int) -> SolidSettings:
        """Return the settings with another value for one of them."""
        return replace(self, **{name: value})

    def query(self) -> dict[str, int]:
        """Return the settings as the query of a URL."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_query(cls, values: Mapping[str, str]) -> SolidSettings:
        """Read the query of a URL; unknown or invalid values keep their default."""
        chosen = cls()
        for each in fields(cls):
            text = values.get(each.name, "")
            if not (text.isascii() and text.isdigit() and len(text) < 4):
                continue
            least, most = (0, LEVELS) if each.name == "level_z" else (1, 128)
            most = LEVELS if each.name == "level" else most
            if least <= int(text) <= most:
                chosen = chosen.with_one(each.name, int(text))
        return chosen


def limits(settings: SolidSettings, size: tuple[int, int, int]) -> dict[str, Limit]:
    """Return the largest value of each setting for a volume, given the others."""
    return {each.name: _limit(settings, each.name, size) for each in fields(settings)}


def _limit(settings: SolidSettings, name: str, size: tuple[int, int, int]) -> Limit:
    least, most = (0, min(LEVELS, settings.level)) if name == "level_z" else (1, 128)
    if name == "level":  # J_z follows: slices limit it, and not J
        most, settings = LEVELS, settings.with_one("level_z", 0)
    found = least
    while found < most and _fits(settings.with_one(name, found + 1), size):
        found += 1
    if found == most:
        return Limit(most, "At most J." if name == "level_z" and most < LEVELS else "")
    spec = settings.with_one(name, found + 1).spec
    if spec.numbers(1) > MOST_VALUES:
        reason = f"the code would have more than {MOST_VALUES / 1e6:.0f} million values"
    else:
        bands = " × ".join(map(str, spec.band_shape(*size)))
        reason = f"with {found + 1}, a band has {bands} coefficients, fewer than cells"
    return Limit(found, f"At most {found} fits: {reason}.")


def _fits(settings: SolidSettings, size: tuple[int, int, int]) -> bool:
    spec = settings.spec
    cells = zip(spec.band_shape(*size), spec.grid_shape, strict=True)
    return all(band >= cell for band, cell in cells) and spec.numbers(1) <= MOST_VALUES


def fitting(settings: SolidSettings, size: tuple[int, int, int]) -> SolidSettings:
    """Return the nearest settings that fit a volume: fewer splits along slices first."""
    found = settings.with_one("level_z", min(settings.level_z, settings.level))
    for name, least in (("level_z", 0), ("patches_z", 1), ("patches", 1), ("level", 1)):
        while not _fits(found, size) and getattr(found, name) > least:
            found = found.with_one(name, getattr(found, name) - 1)
    for name in ("level_z", "patches", "patches_z"):  # as much as fits of what was asked for
        most = min(getattr(settings, name), _limit(found, name, size).most)
        found = found.with_one(name, max(getattr(found, name), most))
    return found


@dataclass(frozen=True, slots=True)
class Plane:
    """A plane through a volume: its name, and which axes of the volume are drawn, and how.

    Axes are 0 (slices), 1 (rows) and 2 (columns); `around` is the axis on which it stands, `down`
    and `across` are drawn, backwards where `flips` says so. `edges` are the letters of the
    patient's directions at the top, right, bottom and left.
    """

    name: str
    around: int
    down: int
    across: int
    flips: tuple[bool, bool]
    edges: tuple[str, str, str, str]

    def of(self, volume: NDArray[Any], place: int) -> NDArray[Any]:
        """Return the plane of a volume (D, H, W) at a place of the axis on which it stands."""
        plane: NDArray[Any] = volume.take(place, self.around)
        plane = plane if self.down < self.across else plane.T
        return plane[:: -1 if self.flips[0] else 1, :: -1 if self.flips[1] else 1]


def letters_of(affine: NDArray[np.float64]) -> tuple[str, str, str]:
    """Say where slices, rows and columns lead: three of R, L, A, P, S, I, each axis once."""
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    shares = affine[:3, :3] / np.where(lengths > 0, lengths, 1)
    order = max(permutations(range(3)), key=lambda p: sum(abs(shares[p[k], k]) for k in range(3)))
    letters = [("RAS" if shares[axis, k] >= 0 else "LPI")[axis] for k, axis in enumerate(order)]
    return letters[2], letters[1], letters[0]


def planes_of(affine: NDArray[np.float64]) -> tuple[Plane, ...]:
    """Return the axial, the coronal and the sagittal plane of a volume."""
    letters = letters_of(affine)
    found = {}
    for around in range(3):
        others = [axis for axis in range(3) if axis != around]
        # the head or, of an axial plane, the face is up
        down = next(
            axis for wanted in ("SI", "AP") for axis in others if letters[axis] in wanted
        )  # fmt: skip
        across = others[0] + others[1] - down
        flips = letters[down] in BACKWARDS, letters[across] in BACKWARDS
        bottom, right = (
            OPPOSITE[letters[axis]] if flip else letters[axis]
            for axis, flip in zip((down, across), flips, strict=True)
        )
        edges = OPPOSITE[bottom], right, bottom, OPPOSITE[right]
        name = NAMES[letters[around]]
        found[name] = Plane(name, around, down, across, flips, edges)
    return tuple(found[name] for name in ("Axial", "Coronal", "Sagittal"))


class SolidLook:
    """One time point of a volume at settings that fit it."""

    def __init__(self, solid: Solid, settings: SolidSettings, time: int = 0) -> None:
        self.solid, self.settings, self.time = solid, settings, time
        self.voxels: NDArray[Any] = solid.frames[time]
        self.codec = Codec(settings.spec)
        self.code: Code = self.codec.encode(self.voxels)
        self.planes = planes_of(solid.affine)
        self._tiles = np.abs(amplitudes(self.code.array, self.codec.spec))[0, 0]

    @cached_property
    def privatized(self) -> NDArray[np.float32]:
        """The compact reconstruction (D', H', W')."""
        decoded: NDArray[np.float32] = np.asarray(
            self.codec.decode(self.code, "compact"), np.float32
        )[0, 0]
        return decoded

    def sides(self) -> dict[str, object]:
        """Return what the page must know of both sides: sizes and kinds of their values."""
        original = self._original()
        like = {"original": original[:1, :1, 0], "privatized": self.privatized[:1, :1, 0]}
        sizes = {"original": original.shape, "privatized": self.privatized.shape}
        return {
            side: {"kind": raw_about(values)["kind"], "size": list(sizes[side])}
            for side, values in like.items()
        }

    def units(self) -> dict[str, object]:
        """Return unit, ends of the grays and windows of the values."""
        return self.solid.units.about(self.solid.frames, self.time)

    def plane_bytes(self, side: str, place: tuple[int, int, int]) -> bytes:
        """Return the values of three planes through a voxel of a side, one after the other."""
        original = side == "original"
        volume = self._original() if original else self.privatized
        if not all(0 <= at < length for at, length in zip(place, volume.shape, strict=True)):
            raise IndexError("the volume has no such voxel")
        planes = [plane.of(volume, place[plane.around]) for plane in self.planes]
        if not original:
            curve = self.solid.units.curve(self.solid.frames, self.time)
            if curve is not None:
                planes = [curve.of(np.asarray(each, np.float32)) for each in planes]
        return b"".join(raw_bytes(each) for each in planes)

    def _original(self) -> NDArray[Any]:
        return self.solid.units.of_frame(self.solid.frames, self.time)

    def cell_slice(self, place: int) -> int:
        """Return the cells along slices in which a slice lies."""
        cells = self.codec.spec.cells(*self.solid.size)[0]
        band_place = place >> self.codec.spec.axis_levels[0]
        found = int(np.searchsorted(cells.starts, band_place, "right")) - 1
        return min(max(found, 0), len(cells.starts) - 1)

    @property
    def panels(self) -> tuple[int, int]:
        """Rows and columns of panels in the map: one panel for each frequency along slices."""
        level_z = self.codec.spec.axis_levels[0]
        return 1 << level_z // 2, 1 << (level_z + 1) // 2

    def map_png(self, cell_slice: int) -> bytes:
        """Return the values of the code in one layer of cells, coloured by their size."""
        spec = self.codec.spec
        _, rows, columns = spec.grid_shape
        down, across = self.panels
        laid = np.empty((down * spec.block, rows, across * spec.block, columns), np.float32)
        for number, tile in enumerate(self._tiles[:, cell_slice]):
            row, column = self._places[number]
            laid[row, :, column] = tile
        shown = laid.reshape(laid.shape[0] * rows, -1)
        colours = coloured(np.append(shown.ravel(), self._tiles.max()))[:-1]
        return png_bytes(colours.reshape(*shown.shape, 3))

    @cached_property
    def _places(self) -> list[tuple[int, int]]:
        """Row and column of each band among all bands of the map, by frequency."""
        spec = self.codec.spec
        level_z, across, found = spec.axis_levels[0], self.panels[1], []
        for number in range(spec.bands):
            path = band_path(number, spec.level, level_z)
            row, column = band_position(path.lower())
            panel = flip = 0
            for letter in path[:level_z]:  # as of rows and columns: the inverse of the Gray code
                flip ^= letter.isupper()
                panel = 2 * panel + flip
            found.append((panel // across * spec.block + row, panel % across * spec.block + column))
        return found

    def cell(
        self, cell_slice: int, band_row: int, band_column: int, row: int, column: int
    ) -> tuple[str, list[list[float]]]:
        """Describe a place of the map, and return where its cell lies: [[start, end], ...]."""
        spec = self.codec.spec
        layers, rows, columns = spec.grid_shape
        inside = 0 <= row < rows and 0 <= column < columns
        if not inside or (band_row, band_column) not in self._places:
            raise IndexError("the map has no such place")
        number = self._places.index((band_row, band_column))
        value = float(self._tiles[number, cell_slice, row, column])
        across = self.panels[1]
        panel = band_row // spec.block * across + band_column // spec.block
        frequency = ", ".join(
            f"{name} {place + 1} of {1 << level}"
            for name, place, level in zip(
                ("slices", "rows", "columns"),
                (panel, band_row % spec.block, band_column % spec.block),
                spec.axis_levels,
                strict=True,
            )
        )
        path = band_path(number, spec.level, spec.axis_levels[0])
        words = (
            f"Frequency along {frequency} (band {path}); "
            f"cell {cell_slice + 1} of {layers} along slices, row {row + 1} of {rows}, "
            f"column {column + 1} of {columns}: {value:.3g}"
        )
        grid = spec.cells(*self.solid.size)
        box = [
            [
                min(max((int(end) << level) / side, 0.0), 1.0)
                for end in (axis.starts[at], axis.stops[at])
            ]
            for axis, at, level, side in zip(
                grid, (cell_slice, row, column), spec.axis_levels, self.solid.size, strict=True
            )
        ]
        return words, box

    def kept(self) -> Kept:
        """Count the values that are kept."""
        return Kept(self.codec.spec.numbers(1), math.prod(self.solid.size))

    def figures(self) -> tuple[str, str, str]:
        """Return what is kept, and the sizes of all time points in memory and on disk."""
        kept, solid, times = self.kept(), self.solid, len(self.solid.frames)
        one = len(code_bytes(self.code.array, self.code.sizes, self.codec.spec, "float32"))
        code_file = one + (times - 1) * self.code.array.nbytes
        before = solid.frames.size * (solid.bits // 8)
        disk = f"code {byte_size(code_file)}"
        if solid.file_bytes:
            disk = _smaller(solid.file_bytes, code_file, "code ")
        every = f", {times} times" if times > 1 else ""
        return (
            f"{kept.numbers:,} of {kept.of:,} values ({kept.percent})",
            _smaller(before, 4 * kept.numbers * times) + every,
            disk + every,
        )

    def likeness(self) -> str:
        """Compare the volume with its reconstruction at the original size."""
        whole = np.asarray(self.codec.decode(self.code, "original"), np.float32)[0, 0]
        original = self.voxels[0] * np.float32(pixel_scale(self.voxels))
        try:
            return f"PSNR {psnr(original, whole):.1f} dB"
        except DeepfixcxError as error:
            return str(error)


def _smaller(before: int, after: int, name: str = "") -> str:
    return f"{byte_size(before)} → {name}{byte_size(after)}  ({Kept(after, before).ratio})"


@lru_cache(maxsize=1)
def example_solid() -> Solid:
    """Draw a head as a CT shows it, in Hounsfield units: skin, skull, brain and ventricles."""
    size = (48, 128, 112)
    z, y, x = (
        np.linspace(-1, 1, length, dtype=np.float32).reshape(
            [-1 if k == axis else 1 for k in range(3)]
        )
        for axis, length in enumerate(size)
    )
    noise = np.random.default_rng(7).normal(0, 6, size).astype(np.float32)
    values = np.full(size, -1000, np.float32)
    parts: Sequence[tuple[tuple[float, ...], float]] = (
        ((0.95, 0.92, 0.86, 0, 0, 0), 30.0),
        ((0.90, 0.87, 0.80, 0, 0, 0), 900.0),
        ((0.84, 0.80, 0.72, 0, 0, 0), 36.0),
        ((0.30, 0.42, 0.10, 0.1, -0.05, 0.16), 6.0),
        ((0.30, 0.42, 0.10, 0.1, -0.05, -0.16), 6.0),
        ((0.16, 0.16, 0.14, -0.2, 0.35, 0.34), 62.0),
        ((0.22, 0.16, 0.16, -0.75, -0.72, 0.26), -960.0),
        ((0.22, 0.16, 0.16, -0.75, -0.72, -0.26), -960.0),
    )
    for (deep, high, wide, at_z, at_y, at_x), value in parts:
        where = ((z - at_z) / deep) ** 2 + ((y - at_y) / high) ** 2 + ((x - at_x) / wide) ** 2 < 1
        values[where] = value
    values = np.rint(values + noise * (values > -900)).astype(np.int16)
    grays = np.clip((values.astype(np.float32) + 160) / 399, 0, 1)
    affine = np.diag([-1.8, -1.6, 3.0, 1.0])
    units = Units(values[np.newaxis], "HU", ((500.0, 2000.0),))
    words = f"{size[0]} slices of {size[1]} × {size[2]} pixels, a synthetic head"
    return Solid(grays[np.newaxis, np.newaxis], affine, 0, words, 16, units)
