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

from deepfixcx._kernels.filters import merge, merge_slices, split, split_slices
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
    pixels : ndarray, shape (H, W), (C, H, W) or (B, C, H, W); volumes have D before H
        uint8 and uint16 are scaled to [0, 1]; floats are taken as they are.
    spec : CodecSpec
        `level`, `wavelet`, `boundary`, `ndim` and `level_z` are used.

    Returns
    -------
    ndarray of float32, shape (B, C, 4**J, h, w), or (B, C, bands, d, h, w)
        With h = ceil(H / 2**J). The band's number in base 4 is its path, the first split being
        the most significant digit. The first J_z digits of a volume's band are in base 8.

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
    batch = as_batch(pixels, spec.ndim)
    bands: NDArray[np.float32] = np.multiply(batch, pixel_scale(batch), dtype=np.float32)
    check_finite(bands, "pixels")
    bands = split_down(bands.reshape(-1, *batch.shape[2:]), spec)
    return bands.reshape(*batch.shape[:2], spec.bands, *bands.shape[1:])


def recompose(bands: NDArray[np.float32], spec: CodecSpec, *size: int) -> NDArray[np.float32]:
    """Merge the bands of a wavelet packet into pixels; the inverse of `decompose`.

    Parameters
    ----------
    bands : ndarray, shape (B, C, 4**J, h, w), or (B, C, bands, d, h, w)
        Bands of images or volumes of this size.
    spec : CodecSpec
        `level`, `wavelet`, `boundary`, `ndim` and `level_z` are used.
    *size : int
        Height and width of the images in pixels, before them the slices of volumes; exactly the
        padding that splitting added is removed.

    Returns
    -------
    ndarray of float32, shape (B, C, H, W), or (B, C, D, H, W)

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
    spec.check_bands(bands.shape, *size)
    bank, periodic = filter_bank(spec.wavelet), spec.boundary == "periodic"
    parts = np.ascontiguousarray(bands, np.float32).reshape(-1, *bands.shape[3:])
    for depth, shape in reversed([*enumerate(spec.split_shapes(*size))][:-1]):
        if spec.ndim == 2:
            parts = _merge_all(parts.reshape(-1, 4, *parts.shape[1:]), shape, bank, periodic)
        else:
            parts = _merge_volumes(parts, shape, bank, periodic, slices=depth < spec.axis_levels[0])
    return parts.reshape(*bands.shape[:2], *size)


def split_down(bands: NDArray[np.float32], spec: CodecSpec) -> NDArray[np.float32]:
    """Split images (N, H, W) or volumes (N, D, H, W) into their bands (N * bands, ...)."""
    bank, periodic = filter_bank(spec.wavelet), spec.boundary == "periodic"
    for depth, shape in enumerate(spec.split_shapes(*bands.shape[1:])[1:]):
        if spec.ndim == 2:
            bands = _split_all(bands, shape, bank, periodic).reshape(-1, *shape)
        else:
            bands = _split_volumes(bands, shape, bank, periodic, slices=depth < spec.axis_levels[0])
    return bands


def _split_volumes(
    bands: NDArray[np.float32], shape: tuple[int, ...], bank: FilterBank, periodic: bool,
    *, slices: bool,
) -> NDArray[np.float32]:  # fmt: skip
    """Split volumes (N, d, h, w) into (8 N, *shape), or (4 N, *shape) where slices stay."""
    depth, rows, columns = shape
    if slices:
        source = bands.reshape(*bands.shape[:2], -1)
        halves = np.empty((len(bands), 2, depth, source.shape[2]), np.float32)

        def work(start: int, stop: int) -> None:
            split_slices(source, halves, *bank.analysis, periodic, start, stop)

        threaded(work, source.shape[2])
        bands = halves.reshape(-1, depth, *bands.shape[2:])
    flat = bands.reshape(-1, *bands.shape[2:])
    four = _split_all(flat, (rows, columns), bank, periodic).reshape(-1, depth, 4, rows, columns)
    return np.ascontiguousarray(four.swapaxes(1, 2)).reshape(-1, *shape)


def _merge_volumes(
    parts: NDArray[np.float32], shape: tuple[int, ...], bank: FilterBank, periodic: bool,
    *, slices: bool,
) -> NDArray[np.float32]:  # fmt: skip
    """Merge (8 N, d, h, w), or (4 N, ...) where slices were not split, into (N, *shape)."""
    depth, rows, columns = shape
    four = parts.reshape(-1, 4, *parts.shape[1:]).swapaxes(1, 2)
    flat = np.ascontiguousarray(four).reshape(-1, 4, *parts.shape[2:])
    merged = _merge_all(flat, (rows, columns), bank, periodic)
    if not slices:
        return merged.reshape(-1, *shape)
    halves = merged.reshape(-1, 2, parts.shape[1], rows * columns)
    volumes = np.empty((len(halves), depth, rows * columns), np.float32)

    def work(start: int, stop: int) -> None:
        merge_slices(halves, volumes, *bank.synthesis, periodic, start, stop)

    threaded(work, rows * columns)
    return volumes.reshape(-1, *shape)


def _split_all(
    bands: NDArray[np.float32], shape: tuple[int, ...], bank: FilterBank, periodic: bool
) -> NDArray[np.float32]:
    """Split bands (N, h, w) into subbands (N, 4, *shape), in threads."""
    subbands = np.empty((len(bands), 4, *shape), np.float32)

    def work(start: int, stop: int) -> None:
        split(bands[start:stop], subbands[start:stop], *bank.analysis, periodic)

    threaded(work, len(bands))
    return subbands


def _merge_all(
    subbands: NDArray[np.float32], shape: tuple[int, ...], bank: FilterBank, periodic: bool
) -> NDArray[np.float32]:
    """Merge subbands (N, 4, h, w) into bands (N, *shape), in threads."""
    bands = np.empty((len(subbands), *shape), np.float32)

    def work(start: int, stop: int) -> None:
        merge(subbands[start:stop], bands[start:stop], *bank.synthesis, periodic)

    threaded(work, len(bands))
    return bands


def band_number(path: str, level: int, level_z: int = 0) -> int:
    """Return the number of the band with this path, such as ``"ad"`` at level 2.

    Parameters
    ----------
    path : str
        J letters of a, v, h, d, the first split first.
    level : int
        J, the depth of the wavelet packet.
    level_z : int
        J_z of a volume: in so many first splits A, V, H, D = 4, 5, 6, 7 are details of slices.

    Returns
    -------
    int
        The path read in base 4 with a, v, h, d = 0, 1, 2, 3; from 0 to 4**J - 1.

    Raises
    ------
    SpecError
        The path has another length than `level`, or letters other than these.

    Examples
    --------
    >>> band_number("aa", 2), band_number("av", 2), band_number("dd", 2)
    (0, 1, 15)
    >>> band_number("Da", 2, level_z=1)
    28
    """
    letters = SUBBANDS + SUBBANDS.upper() * (level_z > 0)
    later = path[level_z:]
    if len(path) != level or set(path) - set(letters) or later != later.lower():
        of_slices = f", the capital ones in the first {level_z}" * (level_z > 0)
        raise SpecError(
            f"the path of a band at level {level} is {level} letters of {letters!r}{of_slices}, "
            f"got {path!r}"
        )
    number = 0
    for place, letter in enumerate(path):
        number = number * (8 if place < level_z else 4) + letters.index(letter)
    return number


def band_path(number: int, level: int, level_z: int = 0) -> str:
    """Return the path of a band; the inverse of `band_number`.

    Parameters
    ----------
    number : int
        From 0 to 4**J - 1.
    level, level_z : int
        As in `band_number`.

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
    bands = 1 << 2 * level + level_z
    if not 0 <= number < bands:
        raise SpecError(f"level {level} has the bands 0 to {bands - 1}, got {number}")
    letters, path = SUBBANDS + SUBBANDS.upper(), ""
    for place in reversed(range(level)):
        number, digit = divmod(number, 8 if place < level_z else 4)
        path = letters[digit] + path
    return path


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
"""(H, W), (C, H, W) or (B, C, H, W); or a sequence of (H, W) and (C, H, W) of different sizes.

Volumes have D before H.
"""

SCALES = {"uint8": 1 / 255, "uint16": 1 / 65535, "float32": 1.0}


def refuse_masked(pixels: object) -> None:
    """Raise a PixelsShapeError for an array of numpy with masked pixels: no result has a mask."""
    if isinstance(pixels, np.ma.MaskedArray) and np.ma.is_masked(pixels):
        raise PixelsShapeError(
            f"{np.count_nonzero(np.ma.getmaskarray(pixels)):,} pixels of this array are masked, "
            "but the result has no mask: replace them first, for example with pixels.filled(0)"
        )


def as_batch(pixels: NDArray[Any], ndim: int = 2) -> NDArray[Any]:
    """Return one array as (B, C, H, W) or (B, C, D, H, W), contiguous, of a dtype in `SCALES`."""
    refuse_masked(pixels)
    pixels = np.asarray(pixels)
    if not ndim <= pixels.ndim <= ndim + 2:
        axes = "H, W" if ndim == 2 else "D, H, W"
        raise PixelsShapeError(
            f"pixels must be ({axes}), (C, {axes}) or (B, C, {axes}), got shape {pixels.shape}"
        )
    batch = pixels.reshape((1,) * (ndim + 2 - pixels.ndim) + pixels.shape)
    if 0 in batch.shape[1:]:
        kind = "an image without pixels" if ndim == 2 else "a volume without voxels"
        raise PixelsShapeError(f"{kind}: shape {pixels.shape}")
    if batch.shape[-1] in (1, 3, 4) and batch.shape[1] > 4:
        raise PixelsShapeError(
            f"shape {pixels.shape} looks like channels last; deepfixcx takes channels first, "
            f"so use numpy.moveaxis(pixels, -1, {-1 - ndim})"
        )
    with np.errstate(over="ignore"):  # infinity is refused later, with a message of our own
        return np.ascontiguousarray(batch, dtype=_kernel_dtype(pixels.dtype))


def as_batches(pixels: Pixels, ndim: int = 2) -> list[NDArray[Any]]:
    """Return pixels as batches, one for an array, one an image for a sequence."""
    if isinstance(pixels, np.ndarray):
        return [as_batch(pixels, ndim)]
    if isinstance(pixels, str | bytes) or not isinstance(pixels, Sequence):
        raise PixelsShapeError(
            f"pixels must be a NumPy array or a sequence of them, got {type(pixels).__name__}"
        )
    batches = [as_batch(image, ndim) for image in pixels]
    for place, (image, batch) in enumerate(zip(pixels, batches, strict=True)):
        if np.ndim(image) > ndim + 1:
            axes = "H, W" if ndim == 2 else "D, H, W"
            raise PixelsShapeError(
                f"image {place} of the sequence has shape {np.shape(image)}; in a sequence each "
                f"is ({axes}) or (C, {axes})"
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
