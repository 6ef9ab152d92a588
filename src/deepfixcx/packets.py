"""Pixels into bands and back: the wavelet packet transform, J splits of every band.

uint8 and uint16 pixels are scaled to [0, 1] by their full range, inside the kernels so that no
float copy is made; floats are taken as they are. `decompose` and `recompose` are inverse to each
other wherever the filters see the image and not its edge; with the periodic boundary and an
orthonormal wavelet, everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._kernels.filters import merge, split
from deepfixcx._kernels.threads import threaded
from deepfixcx.errors import NonFiniteError, PixelsShapeError, SpecError
from deepfixcx.spec import CodecSpec
from deepfixcx.wavelets import FilterBank, filter_bank

__all__ = ["band_number", "band_path", "band_position", "decompose", "recompose"]

SUBBANDS = "avhd"
"""Letters of the four subbands, in order: (rows, columns) low-low, low-high, high-low, high-high.

As in PyWavelets, a is the approximation and v, h, d answer to vertical, horizontal and diagonal
edges.
"""


def decompose(pixels: NDArray[Any], spec: CodecSpec) -> NDArray[np.float32]:
    """Split pixels into the bands of a wavelet packet.

    Parameters
    ----------
    pixels : ndarray, shape (H, W), (C, H, W) or (B, C, H, W)
        uint8 and uint16 are scaled to [0, 1]; floats are taken as they are.
    spec : CodecSpec
        `level`, `wavelet` and `boundary` are used.

    Returns
    -------
    ndarray of float32, shape (B, C, 4**J, h, w)
        With h = ceil(H / 2**J). The band's number in base 4 is its path, the first split being
        the most significant digit.

    Raises
    ------
    PixelsShapeError
        Wrong number of axes, no pixels or an unsupported dtype.
    NonFiniteError
        NaN or infinity among the pixels.

    References
    ----------
    Gaudio et al., DeepFixCX, 2023, doi:10.1002/widm.1495, section on wavelet packets.

    Examples
    --------
    >>> decompose(np.ones((8, 8)), CodecSpec(level=2, patches=1))[0, 0, 0].round(3).tolist()
    [[4.0, 4.0], [4.0, 4.0]]
    """
    batch = as_batch(pixels)
    bank = filter_bank(spec.wavelet)
    images, channels, height, width = batch.shape
    bands: NDArray[np.float32] = np.multiply(batch, pixel_scale(batch), dtype=np.float32)
    check_finite(bands, "pixels")
    bands = bands.reshape(images * channels, height, width)
    for rows, columns in spec.split_shapes(height, width)[1:]:
        subbands = _split_all(bands, rows, columns, bank, spec.boundary == "periodic")
        bands = subbands.reshape(4 * len(bands), rows, columns)
    shape = (images, channels, spec.bands, *spec.band_shape(height, width))
    return bands.reshape(shape)


def recompose(
    bands: NDArray[np.float32], spec: CodecSpec, height: int, width: int
) -> NDArray[np.float32]:
    """Merge the bands of a wavelet packet into pixels; the inverse of `decompose`.

    Parameters
    ----------
    bands : ndarray, shape (B, C, 4**J, h, w)
        Bands of images of `height` x `width`.
    spec : CodecSpec
        `level`, `wavelet` and `boundary` are used.
    height, width : int
        Size of the images in pixels; exactly the padding that splitting added is removed.

    Returns
    -------
    ndarray of float32, shape (B, C, H, W)

    Raises
    ------
    PixelsShapeError
        The bands are not those of such an image.

    Examples
    --------
    >>> spec = CodecSpec(level=2, patches=1, wavelet="db2", boundary="periodic")
    >>> pixels = np.random.default_rng(0).random((1, 1, 9, 7), np.float32)
    >>> bool(np.allclose(recompose(decompose(pixels, spec), spec, 9, 7), pixels, atol=1e-6))
    True
    """
    spec.check_bands(bands.shape, height, width)
    bank = filter_bank(spec.wavelet)
    images, channels = bands.shape[:2]
    parts = np.ascontiguousarray(bands, np.float32).reshape(-1, *bands.shape[3:])
    for rows, columns in reversed(spec.split_shapes(height, width)[:-1]):
        subbands = parts.reshape(len(parts) // 4, 4, *parts.shape[1:])
        parts = _merge_all(subbands, rows, columns, bank, spec.boundary == "periodic")
    return parts.reshape(images, channels, height, width)


def _split_all(
    bands: NDArray[np.float32], rows: int, columns: int, bank: FilterBank, periodic: bool
) -> NDArray[np.float32]:
    """Split bands (N, h, w) into subbands (N, 4, rows, columns), in threads."""
    subbands = np.empty((len(bands), 4, rows, columns), np.float32)

    def work(start: int, stop: int) -> None:
        split(bands[start:stop], subbands[start:stop], *bank.analysis, periodic)

    threaded(work, len(bands))
    return subbands


def _merge_all(
    subbands: NDArray[np.float32], rows: int, columns: int, bank: FilterBank, periodic: bool
) -> NDArray[np.float32]:
    """Merge subbands (N, 4, h, w) into bands (N, rows, columns), in threads."""
    bands = np.empty((len(subbands), rows, columns), np.float32)

    def work(start: int, stop: int) -> None:
        merge(subbands[start:stop], bands[start:stop], *bank.synthesis, periodic)

    threaded(work, len(bands))
    return bands


def band_number(path: str, level: int) -> int:
    """Return the number of the band with this path, such as ``"ad"`` at level 2.

    Parameters
    ----------
    path : str
        J letters of a, v, h, d, the first split first.
    level : int
        J, the depth of the wavelet packet.

    Returns
    -------
    int
        The path read in base 4 with a, v, h, d = 0, 1, 2, 3; from 0 to 4**J - 1.

    Raises
    ------
    SpecError
        The path has another length than `level`, or letters other than a, v, h, d.

    Examples
    --------
    >>> band_number("aa", 2), band_number("av", 2), band_number("dd", 2)
    (0, 1, 15)
    """
    if len(path) != level or set(path) - set(SUBBANDS):
        raise SpecError(
            f"the path of a band at level {level} is {level} letters of {SUBBANDS!r}, got {path!r}"
        )
    return sum(SUBBANDS.index(letter) * 4**place for place, letter in enumerate(reversed(path)))


def band_path(number: int, level: int) -> str:
    """Return the path of a band; the inverse of `band_number`.

    Parameters
    ----------
    number : int
        From 0 to 4**J - 1.
    level : int
        J, the depth of the wavelet packet.

    Returns
    -------
    str
        J letters of a, v, h, d, the first split first.

    Raises
    ------
    SpecError
        There is no band of this number.

    Examples
    --------
    >>> band_path(1, 2)
    'av'
    """
    if not 0 <= number < 4**level:
        raise SpecError(f"level {level} has the bands 0 to {4**level - 1}, got {number}")
    return "".join(SUBBANDS[number >> 2 * (level - 1 - split) & 3] for split in range(level))


def band_position(path: str) -> tuple[int, int]:
    """Return where a band lies among all bands of its level, ordered by frequency.

    A highpass filter followed by taking every second sample turns the frequency axis around, so the
    order of paths is not that of frequencies: it is its Gray code. For Haar, the position counts
    the changes of sign of the band's pattern (its sequency).

    Parameters
    ----------
    path : str
        J letters of a, v, h, d, the first split first.

    Returns
    -------
    row, column : int
        From 0 to 2**J - 1. The row grows with the frequency down the image, so with the fineness
        of horizontal edges; the column with that across it, so of vertical edges.

    Raises
    ------
    SpecError
        The path has other letters.

    References
    ----------
    Wickerhauser, Adapted Wavelet Analysis from Theory to Software, 1994, section 7.1.

    Examples
    --------
    >>> band_position("aa"), band_position("av"), band_position("vv"), band_position("va")
    ((0, 0), (0, 1), (0, 2), (0, 3))
    """
    number = band_number(path, len(path))
    row = column = row_flip = column_flip = 0
    for place in reversed(range(len(path))):
        row_flip ^= number >> (2 * place + 1) & 1
        column_flip ^= number >> 2 * place & 1
        row, column = 2 * row + row_flip, 2 * column + column_flip
    return row, column


Pixels = NDArray[Any] | Sequence[NDArray[Any]]
"""(H, W), (C, H, W) or (B, C, H, W); or a sequence of (H, W) and (C, H, W) of different sizes."""

SCALES = {"uint8": 1 / 255, "uint16": 1 / 65535, "float32": 1.0}


def refuse_masked(pixels: object) -> None:
    """Raise a PixelsShapeError for an array of numpy with masked pixels: no result has a mask."""
    if isinstance(pixels, np.ma.MaskedArray) and np.ma.is_masked(pixels):
        raise PixelsShapeError(
            f"{np.count_nonzero(np.ma.getmaskarray(pixels)):,} pixels of this array are masked, "
            "but the result has no mask: replace them first, for example with pixels.filled(0)"
        )


def as_batch(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return one array as (B, C, H, W), contiguous, of dtype uint8, uint16 or float32."""
    refuse_masked(pixels)
    pixels = np.asarray(pixels)
    if not 2 <= pixels.ndim <= 4:
        raise PixelsShapeError(
            f"pixels must be (H, W), (C, H, W) or (B, C, H, W), got shape {pixels.shape}"
        )
    batch = pixels.reshape((1,) * (4 - pixels.ndim) + pixels.shape)
    if 0 in batch.shape[1:]:
        raise PixelsShapeError(f"an image without pixels: shape {pixels.shape}")
    if batch.shape[3] in (1, 3, 4) and batch.shape[1] > 4:
        raise PixelsShapeError(
            f"shape {pixels.shape} looks like channels last; deepfixcx takes channels first, "
            f"so use numpy.moveaxis(pixels, -1, -3)"
        )
    with np.errstate(over="ignore"):  # infinity is refused later, with a message of our own
        return np.ascontiguousarray(batch, dtype=_kernel_dtype(pixels.dtype))


def as_batches(pixels: Pixels) -> list[NDArray[Any]]:
    """Return pixels as batches, one for an array, one an image for a sequence."""
    if isinstance(pixels, np.ndarray):
        return [as_batch(pixels)]
    if isinstance(pixels, str | bytes) or not isinstance(pixels, Sequence):
        raise PixelsShapeError(
            f"pixels must be a NumPy array or a sequence of them, got {type(pixels).__name__}"
        )
    batches = [as_batch(image) for image in pixels]
    for place, (image, batch) in enumerate(zip(pixels, batches, strict=True)):
        if np.ndim(image) > 3:
            raise PixelsShapeError(
                f"image {place} of the sequence has shape {np.shape(image)}; in a sequence each "
                f"is (H, W) or (C, H, W)"
            )
        if batch.shape[1] != batches[0].shape[1]:
            raise PixelsShapeError(
                f"image {place} of the sequence has {batch.shape[1]} channels and the first has "
                f"{batches[0].shape[1]}; encode them separately"
            )
    if not batches:
        raise PixelsShapeError("the sequence is empty; give at least one image")
    return batches


def pixel_scale(batch: NDArray[Any]) -> float:
    """Return the factor that maps the pixels of a batch to [0, 1]."""
    return SCALES[batch.dtype.name]


def check_finite(values: NDArray[np.float32], what: str) -> None:
    """Raise if `values` hold NaN or infinity."""
    finite = np.isfinite(values)
    if not finite.all():
        raise NonFiniteError(
            f"{np.count_nonzero(~finite)} of {values.size} {what} are NaN or infinite; replace "
            f"such pixels before encoding (numpy.nan_to_num)"
        )


def _kernel_dtype(dtype: np.dtype[Any]) -> type[np.generic]:
    if dtype.kind == "u" and dtype.itemsize <= 2:  # of either byte order
        return np.uint8 if dtype.itemsize == 1 else np.uint16
    if dtype.kind == "f":
        return np.float32
    raise PixelsShapeError(
        f"pixels of dtype {dtype} have no known range; pass uint8, uint16, or floats in [0, 1]"
    )
