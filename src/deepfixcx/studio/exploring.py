"""What Explore shows of an image at some settings, worked out without a browser."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from deepfixcx.code import Code
from deepfixcx.codec import Codec
from deepfixcx.errors import DeepfixcxError
from deepfixcx.explain.naming import band_name
from deepfixcx.measures.quality import LEAST_SIDE, psnr, ssim
from deepfixcx.packets import band_number, band_path
from deepfixcx.pixels import pixel_scale
from deepfixcx.pooling import amplitudes
from deepfixcx.report.band_mosaic import mosaic
from deepfixcx.report.html_images import coloured, for_screen, png_bytes
from deepfixcx.report.words import Kept, obscured, preserved, removed
from deepfixcx.studio.settings import Settings

__all__ = ["Cell", "Figures", "Look", "Picture", "size_words"]

MOSAIC_SIDE = 512
"""Pixels a side that the mosaic is averaged down to, where it has more."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One image to explore.

    Attributes
    ----------
    frames : ndarray, shape (F, C, H, W)
        As of `ImageFrames`.
    file_bytes : int
        Size of the file; 0 where there was none.
    words : str
        What is said of it: never a name of a file or a patient.
    """

    frames: NDArray[Any]
    file_bytes: int
    words: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a frame."""
        _, channels, height, width = self.frames.shape
        return channels, height, width


@dataclass(frozen=True, slots=True)
class Cell:
    """One number of a code, in words.

    Attributes
    ----------
    words : str
        Its band, its place and its size.
    box : tuple of float
        Left, top, width and height of its place, as shares of the image.
    """

    words: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Figures:
    """The numbers beside the image, in words with units.

    Attributes
    ----------
    kept, memory, disk, likeness : str
        Numbers kept; ratio in memory; on disk; SSIM and PSNR.
    """

    kept: str
    memory: str
    disk: str
    likeness: str


class Look:
    """One image at one setting.

    Parameters
    ----------
    picture : Picture
        The image.
    settings : Settings
        They fit it.
    frame : int
        Which frame.

    Raises
    ------
    SpecError, PixelsError
        They do not fit it.
    """

    def __init__(self, picture: Picture, settings: Settings, frame: int = 0) -> None:
        self.picture = picture
        self.settings = settings
        self.pixels: NDArray[Any] = picture.frames[frame]
        self.codec = Codec(settings.spec)
        self.code: Code = self.codec.encode(self.pixels)

    def decode(self) -> None:
        """Make the reconstruction now, not when it is first asked for."""
        _ = self.privatized

    @cached_property
    def privatized(self) -> NDArray[np.float32]:
        """The reconstruction that the settings ask for, (C, H', W')."""
        decoded = np.asarray(self.codec.decode(self.code, self.settings.size), np.float32)
        image: NDArray[np.float32] = decoded[0]
        return image

    def privatized_png(self) -> bytes:
        """Return the reconstruction as a browser shows it."""
        return png_bytes(for_screen(self.privatized))

    def original_png(self) -> bytes:
        """Return the image itself as a browser shows it."""
        return png_bytes(for_screen(self.pixels))

    def mosaic_png(self) -> bytes:
        """Every number of the code, coloured by its size; bands laid out by frequency."""
        values = mosaic(self.code)
        step = max(1, len(values) // MOSAIC_SIDE)
        usable = len(values) // step * step
        if step > 1:
            values = (
                values[:usable, :usable].reshape(usable // step, step, -1, step).max(axis=(1, 3))
            )
        return png_bytes(coloured(values))

    def words(self) -> dict[str, str]:
        """Say what is removed, obscured and preserved."""
        _, height, width = self.picture.shape
        spec = self.codec.spec
        return {
            "removed": removed(spec, height, width),
            "obscured": obscured(spec, height, width),
            "preserved": preserved(spec),
        }

    def kept(self) -> Kept:
        """Count the numbers that are kept."""
        return Kept.of_image(self.codec.spec, *self.picture.shape)

    def figures(self) -> Figures:
        """Return the numbers beside the image; they take longer than the image itself."""
        kept, code_bytes = self.kept(), self.code_file_bytes()
        source_bytes = self.pixels.nbytes
        return Figures(
            f"{kept.numbers:,} of {kept.of:,} numbers ({kept.percent})",
            f"{size_words(source_bytes)} → {size_words(4 * kept.numbers)}  "
            f"({_times(source_bytes, 4 * kept.numbers)})",
            self._disk_words(code_bytes),
            self._likeness(),
        )

    def _disk_words(self, code_bytes: int) -> str:
        if not self.picture.file_bytes:
            return f"code {size_words(code_bytes)}"
        ratio = _times(self.picture.file_bytes, code_bytes)
        return f"{size_words(self.picture.file_bytes)} → code {size_words(code_bytes)}  ({ratio})"

    def code_file_bytes(self) -> int:
        """Bytes of the code of this one image as a file, with its header of some 300 bytes."""
        about = {"deepfixcx": self.codec.spec.to_json()}
        tensors: dict[str, NDArray[Any]] = {
            "array": np.ascontiguousarray(self.code.array),
            "sizes": self.code.sizes,
        }
        return len(safetensors.numpy.save(tensors, metadata=about))

    def _likeness(self) -> str:
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
        """Say what stands at a place of the mosaic.

        Parameters
        ----------
        band_row, band_column : int
            Of the band, by frequency, from the top left corner.
        row, column : int
            Of the cell in its band.

        Raises
        ------
        IndexError
            There is no such place.
        """
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
        _, height, width = self.picture.shape
        top, bottom = self._extent(0, row, height)
        left, right = self._extent(1, column, width)
        return Cell(words, (left, top, right - left, bottom - top))

    def _extent(self, axis: int, place: int, side: int) -> tuple[float, float]:
        """Return where a cell begins and ends along an axis, as shares of the image."""
        _, height, width = self.picture.shape
        spec = self.codec.spec
        cells = spec.cells(height, width)[axis]
        begin, end = (int(ends[place]) * spec.block / side for ends in (cells.starts, cells.stops))
        return min(max(begin, 0.0), 1.0), min(max(end, 0.0), 1.0)


def size_words(count: float) -> str:
    """Return bytes in the unit that reads best.

    Examples
    --------
    >>> size_words(999), size_words(4096), size_words(2.5e6)
    ('999 B', '4.1 kB', '2.5 MB')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"


def _times(before: float, after: float) -> str:
    factor = before / after
    return f"1 : {factor:,.0f}" if factor >= 10 else f"1 : {factor:.2g}"


def _path_at(row: int, column: int, level: int) -> str:
    """Return the path of the band at a place of the mosaic: the inverse of `band_position`."""
    # the frequency along an axis is the Gray code of the path along it, read backwards
    bits = [place ^ place >> 1 for place in (row, column)]
    number = 0
    for digit in reversed(range(level)):
        number = 4 * number + 2 * (bits[0] >> digit & 1) + (bits[1] >> digit & 1)
    return band_path(number, level)
