"""What Explore shows of an image at some settings, and the example images; without a browser."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from importlib.resources import files
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._words import byte_size
from deepfixcx.code import Code, code_bytes
from deepfixcx.codec import Codec
from deepfixcx.errors import DeepfixcxError
from deepfixcx.explain.naming import band_name
from deepfixcx.images import phantom, read_image
from deepfixcx.measures.quality import LEAST_SIDE, psnr, ssim
from deepfixcx.packets import band_number, band_path, pixel_scale
from deepfixcx.pooling import amplitudes
from deepfixcx.report.html import coloured, for_screen, mosaic, png_bytes
from deepfixcx.report.words import Kept, obscured, preserved, removed
from deepfixcx.studio.units import Units
from deepfixcx.studio.uploads import Picture, picture_of, values_of
from deepfixcx.studio.workspace import Settings

__all__ = ["Cell", "Figures", "Look", "example", "example_names"]

MOSAIC_SIDE = 512
"""Pixels a side of the mosaic; a larger one is reduced to about this, by the maximum."""

SIDE, SEED = 1024, 20230502

SHIPPED = {
    "Head, CT": "J2K_pixelrep_mismatch.dcm",
    "Abdomen, MR": "examples_overlay.dcm",
    "Ultrasound": "examples_jpeg2k.dcm",
}
"""Test files of the package pydicom, by what they show."""

DRAWN = "Chest, synthetic"

_ONE_AT_A_TIME = Lock()


def example_names() -> tuple[str, ...]:
    """Return the names of the examples on this machine; the first is always there."""
    folder = files("pydicom") / "data" / "test_files"
    there = (name for name, file in SHIPPED.items() if (folder / file).is_file())
    return (DRAWN, *there)


def example(name: str) -> Picture:
    """Return an example, which is made once for all tabs; `KeyError` for an unknown name."""
    with _ONE_AT_A_TIME:
        return _made(name)


@lru_cache(maxsize=8)
def _made(name: str) -> Picture:
    if name == DRAWN:
        drawn = phantom(np.random.default_rng(SEED), SIDE)
        frames = np.rint(255 * drawn).astype(np.uint8)[np.newaxis, np.newaxis]
        return Picture(frames, 0, f"{SIDE:,} × {SIDE:,} pixels, a synthetic radiograph")
    content = (files("pydicom") / "data" / "test_files" / SHIPPED[name]).read_bytes()
    file = io.BytesIO(content)
    image = read_image(file)
    made, found = picture_of(image, len(content)), values_of(file, image)
    if found is not None:
        made = replace(made, units=Units(found.values, found.unit, found.windows))
    return made


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of a code: its band, place and size in words, and its place in the image."""

    words: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures beside the image, with units: values kept, in memory and on disk."""

    kept: str
    memory: str
    disk: str


class Look:
    """One frame of an image at settings that fit it."""

    def __init__(self, picture: Picture, settings: Settings, frame: int = 0) -> None:
        self.picture = picture
        self.settings = settings
        self._frame = frame
        self.pixels: NDArray[Any] = picture.frames[frame]
        self._png = b""
        self.codec = Codec(settings.spec)
        self.code: Code = self.codec.encode(self.pixels)

    @cached_property
    def privatized(self) -> NDArray[np.float32]:
        """The reconstruction of the size in the settings, (C, H', W')."""
        decoded = np.asarray(self.codec.decode(self.code, self.settings.size), np.float32)
        image: NDArray[np.float32] = decoded[0]
        return image

    def privatized_png(self) -> bytes:
        """Return the reconstruction as a browser shows it."""
        self._png = self._png or png_bytes(for_screen(self.privatized))
        return self._png

    def original_png(self) -> bytes:
        """Return the image itself as a browser shows it."""
        return png_bytes(for_screen(self.pixels))

    def original_values(self) -> NDArray[Any]:
        """Return the values of the frame as its file has them, (H, W) or (H, W, 3)."""
        return self.picture.units.of_frame(self.picture.frames, self._frame)

    def privatized_values(self) -> NDArray[np.float32]:
        """Return the reconstruction in the unit of the file, (H', W') or (H', W', 3)."""
        curve = self.picture.units.curve(self.picture.frames, self._frame)
        shown = self.privatized if curve is None else curve.of(self.privatized)
        return shown[0] if len(shown) == 1 else np.moveaxis(shown, 0, -1)

    def units(self) -> dict[str, object]:
        """Return what the viewer must know of these values: unit, ends of the grays, windows."""
        return self.picture.units.about(self.picture.frames, self._frame)

    def mosaic_png(self) -> bytes:
        """Return every value of the code, coloured by its size; bands laid out by frequency."""
        values = mosaic(self.code)
        step = max(1, len(values) // MOSAIC_SIDE)
        if step > 1:
            side = len(values) // step
            cut = values[: side * step, : side * step]
            values = cut.reshape(side, step, side, step).max(axis=(1, 3))
        return png_bytes(coloured(values))

    def words(self) -> dict[str, str]:
        """Describe what is removed, obscured and preserved."""
        _, height, width = self.picture.shape
        spec = self.codec.spec
        return {
            "removed": removed(spec, height, width),
            "obscured": obscured(spec, height, width),
            "preserved": preserved(spec),
        }

    def kept(self) -> Kept:
        """Count the values that are kept."""
        return Kept.of_image(self.codec.spec, *self.picture.shape)

    def figures(self) -> Figures:
        """Return what is kept of a frame, and the sizes of all frames before and after."""
        kept, picture, code = self.kept(), self.picture, self.code
        count = len(picture.frames)
        one = len(code_bytes(code.array, code.sizes, self.codec.spec, "float32"))
        code_file = one + (count - 1) * (code.array.nbytes + code.sizes.nbytes)
        before = picture.frames.size * (picture.bits // 8)
        every = f", {count:,} frames" if count > 1 else ""
        disk = f"code {byte_size(code_file)}"
        if picture.file_bytes:
            disk = _smaller(picture.file_bytes, code_file, "code ")
        return Figures(
            f"{kept.numbers:,} of {kept.of:,} values ({kept.percent})",
            _smaller(before, 4 * kept.numbers * count) + every,
            disk + every,
        )

    def likeness(self) -> str:
        """Compare the frame with its reconstruction; of a large one this takes seconds."""
        _, height, width = self.picture.shape
        if min(height, width) < LEAST_SIDE:
            return f"the image is smaller than {LEAST_SIDE} pixels a side"
        whole = np.asarray(self.codec.decode(self.code, "original"), np.float32)[0]
        original = self.pixels * np.float32(pixel_scale(self.pixels))
        try:
            return f"SSIM {ssim(original, whole):.2f}, PSNR {psnr(original, whole):.1f} dB"
        except DeepfixcxError as error:
            return str(error)

    def cell(self, band_row: int, band_column: int, row: int, column: int) -> Cell:
        """Describe a place of the mosaic: a band, by frequency, and a cell in it."""
        spec = self.codec.spec
        rows, columns = spec.grid_shape
        inside = 0 <= row < rows and 0 <= column < columns
        if not inside or not (0 <= band_row < spec.block and 0 <= band_column < spec.block):
            raise IndexError("the mosaic has no such place")
        path = _path_at(band_row, band_column, spec.level)
        values = amplitudes(self.code.array, spec)[0, :, band_number(path, spec.level)]
        value = float(values[:, row, column].mean())
        words = (
            f"{band_name(path).words} (band {path}), "
            f"row {row + 1} of {rows}, column {column + 1} of {columns}: {value:.3g}"
        )
        _, *sides = self.picture.shape
        (top, bottom), (left, right) = (
            [min(max(int(ends[place]) * spec.block / side, 0.0), 1.0) for ends in cells.arrays[:2]]
            for cells, place, side in zip(spec.cells(*sides), (row, column), sides, strict=True)
        )
        return Cell(words, (left, top, right - left, bottom - top))


def _smaller(before: int, after: int, name: str = "") -> str:
    return f"{byte_size(before)} → {name}{byte_size(after)}  ({Kept(after, before).ratio})"


def _path_at(row: int, column: int, level: int) -> str:
    """Return the path of the band at a place of the mosaic: the inverse of `band_position`."""
    # the frequency along an axis is the Gray code of the path along it, read backwards
    bits = [place ^ place >> 1 for place in (row, column)]
    number = 0
    for digit in reversed(range(level)):
        number = 4 * number + 2 * (bits[0] >> digit & 1) + (bits[1] >> digit & 1)
    return band_path(number, level)
