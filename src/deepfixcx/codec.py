"""The whole pipeline: pixels -> bands -> code, and back to a reconstruction.

Arrays pass through the kernels in one pass. There are two paths each way: Haar with l1 pooling, and
every Haar reconstruction, need no filters; the general path serves every wavelet and pooling. Tests
compare both with `packets` and `pooling`, which hold all bands at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from deepfixcx._kernels.cells import KINDS, WHOLE_CELLS
from deepfixcx._kernels.haar import encode_haar_l1
from deepfixcx._kernels.haar_decode import decode_haar
from deepfixcx._kernels.packet import decode_packet, encode_packet
from deepfixcx._kernels.threads import threaded
from deepfixcx.choices import Boundary, Grid, Size
from deepfixcx.code import Code
from deepfixcx.errors import SpecError
from deepfixcx.packets import Pixels, as_batches, check_finite, pixel_scale
from deepfixcx.pooling import amplitudes
from deepfixcx.spec import CodecSpec
from deepfixcx.volumes import decode_volumes, encode_volumes
from deepfixcx.wavelets import filter_bank

__all__ = ["Codec"]


class Codec:
    """Encode images or volumes into codes, and codes into reconstructions.

    Parameters
    ----------
    level : int or CodecSpec
        J, the depth of the wavelet packet; or a whole spec, and nothing else.
    patches : int or sequence of int
        P, the cells per axis of each band.
    wavelet, pooling, boundary, grid, ndim, level_z
        As in `CodecSpec`. With ``ndim=3`` pixels are voxels: read (D, H, W) for (H, W) below.

    Raises
    ------
    SpecError
        The arguments do not fit together.

    References
    ----------
    Gaudio et al., DeepFixCX, WIREs Data Mining and Knowledge Discovery, 2023,
    doi:10.1002/widm.1495.

    Examples
    --------
    >>> codec = Codec(level=3, patches=4)
    >>> image = np.random.default_rng(0).random((320, 320), np.float32)
    >>> code = codec.encode(image)
    >>> code.array.shape, codec.decode(code).shape, codec.privatize(image).shape
    ((1, 1, 64, 4, 4), (1, 1, 320, 320), (32, 32))
    >>> volumes = Codec(level=2, patches=(3, 4, 4), ndim=3)
    >>> code = volumes.encode(np.ones((1, 20, 32, 40), np.float32))
    >>> code.array.shape, code.sizes.tolist(), volumes.decode(code, "compact").shape
    ((1, 1, 64, 3, 4, 4), [[20, 32, 40]], (1, 1, 12, 16, 16))
    """

    def __init__(
        self,
        level: int | CodecSpec,
        patches: int | tuple[int, ...] | None = None,
        wavelet: str = "haar",
        pooling: str | Sequence[str] = "l1",
        boundary: Boundary = "zero",
        grid: Grid = "balanced",
        ndim: int = 2,
        level_z: int | None = None,
    ) -> None:
        if isinstance(level, CodecSpec):
            others = (patches, wavelet, pooling, boundary, grid, ndim, level_z)
            if others != (None, "haar", "l1", "zero", "balanced", 2, None):
                raise SpecError("give either a spec or single settings")
            self.spec = level
            return
        if patches is None:
            raise SpecError("a codec needs patches, the number of cells per axis of each band")
        names = tuple(pooling) if isinstance(pooling, list) else pooling
        self.spec = CodecSpec(
            level,
            patches,
            wavelet,
            cast("str | tuple[str, ...]", names),
            boundary,
            grid,
            ndim,
            level_z,
        )

    def __repr__(self) -> str:
        """Return the settings in one line."""
        return f"Codec({self.spec})"

    def encode(self, pixels: Pixels) -> Code:
        """Turn pixels into a code, whose shape does not depend on the size of the images.

        Parameters
        ----------
        pixels : ndarray or sequence of ndarray
            (H, W), (C, H, W) or (B, C, H, W); or a sequence of (H, W) and (C, H, W) of any sizes.
            uint8 and uint16 are scaled to [0, 1]; floats are taken as they are.

        Returns
        -------
        Code
            Of B images.

        Raises
        ------
        PixelsShapeError
            Wrong number of axes, no pixels, unsupported dtype, or mixed channels.
        ImageTooSmallError
            An image has fewer coefficients per axis than the grid has cells.
        NonFiniteError
            NaN or infinity among the pixels.
        """
        batches = as_batches(pixels, self.spec.ndim)
        arrays = [encode_batch(batch, self.spec) for batch in batches]
        sizes = [
            np.full((len(batch), self.spec.ndim), batch.shape[2:], np.int64) for batch in batches
        ]
        # a large code is not copied needlessly
        array = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        return Code(array, self.spec, np.concatenate(sizes))

    def decode(
        self, code: Code, size: Size = "original"
    ) -> NDArray[np.float32] | list[NDArray[np.float32]]:
        """Make the plain reconstruction of a code.

        Parameters
        ----------
        code : Code
            Of this codec's spec. Of several poolings, the first is used.
        size : {"original", "compact"}
            Repeat each value over its cell and give the source's size; or give each value once,
            an image of P * 2**J pixels a side.

        Returns
        -------
        ndarray of float32, shape (B, C, H, W); or a list of (C, H, W)
            A list where the sources had several sizes and `size` is "original". Values are not
            clipped: they may be outside [0, 1].

        Raises
        ------
        SpecError
            The code was made with another spec, or `size` is unknown.
        """
        if code.spec != self.spec:
            raise SpecError(f"this codec is {self.spec}, the code was made with {code.spec}")
        if size not in ("original", "compact"):
            raise SpecError(f"size is 'original' or 'compact', got {size!r}")
        values = amplitudes(code.array, self.spec)
        if size == "compact" or not len(code):  # without images there is no size
            # where every band has one coefficient a cell, there is nothing to repeat
            return decode_values(values, self.spec, *self.spec.compact_shape())
        if (code.sizes == code.sizes[:1]).all() and len(code):
            return decode_values(values, self.spec, *map(int, code.sizes[0]))
        return [
            decode_values(values[n : n + 1], self.spec, *map(int, shape))[0]
            for n, shape in enumerate(code.sizes)
        ]

    def privatize(self, pixels: Pixels, size: Size = "compact") -> Any:
        """Encode and decode images.

        Parameters
        ----------
        pixels : ndarray or sequence of ndarray
            As in `encode`.
        size : {"original", "compact"}
            As in `decode`.

        Returns
        -------
        ndarray of float32, with as many axes as `pixels`; or a list of such arrays
            A sequence gives a list.

        Raises
        ------
        PixelsError, SpecError
            As `encode` and `decode`.
        """
        images, axes = self.decode(self.encode(pixels), size), self.spec.ndim
        if isinstance(pixels, np.ndarray):
            shape = pixels.shape[-axes:] if size == "original" else self.spec.compact_shape()
            return np.asarray(images, np.float32).reshape(*pixels.shape[:-axes], *shape)
        return [
            image.reshape(*np.shape(source)[:-axes], *image.shape[-axes:])
            for source, image in zip(pixels, images, strict=True)
        ]


STRIP_VALUES = 1 << 20
"""Pixels of a strip on the general path: two float32 buffers of them fit a cache."""

PART_MARGINS = 8
"""Least height of a part of a strip, in margins, which are computed twice."""


def encode_batch(batch: NDArray[Any], spec: CodecSpec) -> NDArray[np.float32]:
    """Encode pixels (B, C, H, W) into an array (B, C, 4**J, P, P), or (..., F); volumes alike."""
    if spec.ndim == 3:
        return encode_volumes(batch, spec)
    if spec.wavelet == "haar" and spec.pooling == "l1":
        return _encode_haar_l1(batch, spec)
    return _encode_packet(batch, spec)


def _encode_packet(batch: NDArray[Any], spec: CodecSpec) -> NDArray[np.float32]:
    """Encode strip by strip; equal to pooling the bands of `decompose`."""
    height, width = batch.shape[2:]
    rows, columns = spec.cells(height, width)
    bank = filter_bank(spec.wavelet)
    periodic = spec.boundary == "periodic"
    values = height * width if periodic else STRIP_VALUES  # what comes around is far away
    count = min(len(rows.starts), max(1, -(-height * width // values)))
    strips = np.arange(count + 1, dtype=np.int64) * len(rows.starts) // count
    most = max(values // width >> spec.level, PART_MARGINS * bank.offset, 1)
    if periodic or not WHOLE_CELLS.isdisjoint(spec.poolings):
        most = height
    kinds = np.array([KINDS[name] for name in spec.poolings])
    images = batch.reshape(-1, height, width)
    code = np.empty((len(kinds), len(images), *spec.code_shape(1)[1:4]), np.float32)
    sums: list[float] = []

    def work(start: int, stop: int) -> None:
        total = encode_packet(
            images,
            code,
            rows.arrays,
            columns.arrays,
            strips,
            most,
            bank.offset,
            spec.level,
            np.float32(pixel_scale(batch)),
            bank.analysis,
            periodic,
            kinds,
            start,
            stop,
        )
        sums.append(total)

    threaded(work, len(images) * (len(strips) - 1))
    if not np.isfinite(sums).all():  # some pixel is not finite, or all are large
        check_finite(np.asarray(batch, np.float32), "pixels")
    check_finite(code, "cells, because pixels are too large,")
    code = code[0] if len(kinds) == 1 else np.ascontiguousarray(np.moveaxis(code, 0, -1))
    return code.reshape(len(batch), *spec.code_shape(batch.shape[1]))


def _encode_haar_l1(batch: NDArray[Any], spec: CodecSpec) -> NDArray[np.float32]:
    """Encode on the fast path; equal to pooling the bands of `decompose`."""
    rows, columns = spec.cells(*batch.shape[2:])
    images = batch.reshape(-1, *batch.shape[2:])
    code = np.empty((len(images), spec.bands, *spec.grid_shape), np.float32)
    sums: list[float] = []

    def work(start: int, stop: int) -> None:
        total = encode_haar_l1(
            images,
            code,
            rows.arrays,
            columns.arrays,
            spec.level,
            pixel_scale(batch),
            start,
            stop,
        )
        sums.append(total)

    threaded(work, len(images) * len(rows.starts))
    if not np.isfinite(sums).all():  # some number is not finite, or all are large
        check_finite(code, "cells, because pixels are NaN, infinite or too large,")
    return code.reshape(len(batch), *spec.code_shape(batch.shape[1]))


def decode_values(values: NDArray[np.float32], spec: CodecSpec, *size: int) -> NDArray[np.float32]:
    """Reconstruct pixels (B, C, H, W) from one coefficient a cell (B, C, 4**J, P, P)."""
    if spec.ndim == 3:
        return decode_volumes(values, spec, size)
    decode = _decode_haar if spec.wavelet == "haar" else _decode_packet
    return decode(values, spec, *size)


def _decode_packet(
    values: NDArray[np.float32], spec: CodecSpec, height: int, width: int
) -> NDArray[np.float32]:
    """Decode image by image; equal to recomposing the unpooled bands."""
    rows, columns = spec.cells(height, width)
    row_of, column_of = rows.of_each_row(), columns.of_each_row()
    bank = filter_bank(spec.wavelet)
    flat = np.ascontiguousarray(values).reshape(-1, *values.shape[2:])
    images = np.empty((len(flat), height, width), np.float32)

    def work(start: int, stop: int) -> None:
        decode_packet(
            flat,
            images,
            row_of,
            column_of,
            spec.level,
            bank.synthesis,
            spec.boundary == "periodic",
            start,
            stop,
        )

    threaded(work, len(flat))
    return images.reshape(*values.shape[:2], height, width)


def _decode_haar(
    values: NDArray[np.float32], spec: CodecSpec, height: int, width: int
) -> NDArray[np.float32]:
    """Decode on the fast path; equal to recomposing the unpooled bands."""
    rows, columns = spec.cells(height, width)
    flat = np.ascontiguousarray(values).reshape(-1, *values.shape[2:])
    images = np.empty((len(flat), height, width), np.float32)

    def work(start: int, stop: int) -> None:
        decode_haar(flat, images, rows.arrays, columns.arrays, spec.level, start, stop)

    threaded(work, len(flat) * len(rows.starts))
    return images.reshape(*values.shape[:2], height, width)
