"""The whole pipeline on one screen: pixels -> bands -> code, and back to a reconstruction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from deepfixcx._kernels.haar import encode_haar_l1
from deepfixcx._kernels.haar_decode import decode_haar
from deepfixcx._kernels.threads import threaded
from deepfixcx.choices import Boundary, Grid, Size
from deepfixcx.code import Code
from deepfixcx.errors import SpecError
from deepfixcx.packets import decompose, recompose
from deepfixcx.pixels import Pixels, as_batches, check_finite, pixel_scale
from deepfixcx.pooling import amplitudes, pool, unpool
from deepfixcx.spec import CodecSpec

__all__ = ["Codec"]

CHUNK_BYTES = 1 << 26
"""Bands of at most so many bytes are held at a time on the general path."""


class Codec:
    """Encode images into codes, and codes into reconstructions.

    Parameters
    ----------
    level : int or CodecSpec
        J, the depth of the wavelet packet; or a whole spec, and nothing else.
    patches : int or pair of int
        P, the cells per axis of each band.
    wavelet, pooling, boundary, grid
        As in `CodecSpec`.

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
    """

    def __init__(
        self,
        level: int | CodecSpec,
        patches: int | tuple[int, int] | None = None,
        wavelet: str = "haar",
        pooling: str | Sequence[str] = "l1",
        boundary: Boundary = "zero",
        grid: Grid = "balanced",
    ) -> None:
        if isinstance(level, CodecSpec):
            if (patches, wavelet, pooling, boundary, grid) != (
                None,
                "haar",
                "l1",
                "zero",
                "balanced",
            ):
                raise SpecError("give a whole spec or single settings, not both")
            self.spec = level
            return
        if patches is None:
            raise SpecError("a codec needs patches, the number of cells per axis of each band")
        names = tuple(pooling) if isinstance(pooling, list) else pooling
        self.spec = CodecSpec(
            level, patches, wavelet, cast("str | tuple[str, ...]", names), boundary, grid
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
        batches = as_batches(pixels)
        arrays = [self._encode_batch(batch) for batch in batches]
        sizes = [np.full((len(batch), 2), batch.shape[2:], np.int64) for batch in batches]
        return Code(np.concatenate(arrays), self.spec, np.concatenate(sizes))

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
            A list where the sources had several sizes and the original size is asked for. Values
            are not clipped: they may lie outside [0, 1].

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
        if size == "compact":
            # where every band has one coefficient a cell, there is nothing to repeat
            return self._decode_to(values, *self.spec.compact_shape())
        if (code.sizes == code.sizes[:1]).all() and len(code):
            height, width = map(int, code.sizes[0])
            return self._decode_to(values, height, width)
        return [
            self._decode_to(values[n : n + 1], int(height), int(width))[0]
            for n, (height, width) in enumerate(code.sizes)
        ]

    def privatize(self, pixels: Pixels, size: Size = "compact") -> Any:
        """Encode and decode: the image that is left of each image.

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
        images = self.decode(self.encode(pixels), size)
        if isinstance(pixels, np.ndarray):
            height, width = pixels.shape[-2:] if size == "original" else self.spec.compact_shape()
            return np.asarray(images, np.float32).reshape(*pixels.shape[:-2], height, width)
        return [
            image.reshape(*np.shape(source)[:-2], *image.shape[-2:])
            for source, image in zip(pixels, images, strict=True)
        ]

    def _encode_batch(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        if self.spec.wavelet == "haar" and self.spec.pooling == "l1":
            return self._encode_haar_l1(batch)
        height, width = batch.shape[2:]
        self.spec.cells(height, width)  # refuse a small image before any work
        images = max(1, CHUNK_BYTES // (4 * math.prod(batch.shape[1:])))
        code = np.concatenate(
            [
                pool(decompose(batch[n : n + images], self.spec), self.spec, height, width)
                for n in range(0, len(batch), images)
            ]
            or [np.empty((0, *self.spec.code_shape(batch.shape[1])), np.float32)]
        )
        check_finite(code, "cells, because pixels are too large,")
        return code

    def _encode_haar_l1(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Encode on the fast path; equal to pooling the bands of `decompose`."""
        rows, columns = self.spec.cells(*batch.shape[2:])
        images = batch.reshape(-1, *batch.shape[2:])
        code = np.empty((len(images), self.spec.bands, *self.spec.grid_shape), np.float32)

        sums: list[float] = []

        def work(start: int, stop: int) -> None:
            total = encode_haar_l1(
                images,
                code,
                rows.arrays,
                columns.arrays,
                self.spec.level,
                pixel_scale(batch),
                start,
                stop,
            )
            sums.append(total)

        threaded(work, len(images) * len(rows.starts))
        if not np.isfinite(sums).all():  # some number is not finite, or all are large
            check_finite(code, "cells, because pixels are NaN, infinite or too large,")
        return code.reshape(len(batch), *self.spec.code_shape(batch.shape[1]))

    def _decode_to(
        self, values: NDArray[np.float32], height: int, width: int
    ) -> NDArray[np.float32]:
        if self.spec.wavelet == "haar":
            return self._decode_haar(values, height, width)
        return recompose(unpool(values, self.spec, height, width), self.spec, height, width)

    def _decode_haar(
        self, values: NDArray[np.float32], height: int, width: int
    ) -> NDArray[np.float32]:
        """Decode on the fast path; equal to recomposing the unpooled bands."""
        rows, columns = self.spec.cells(height, width)
        block = self.spec.block
        cell_of_block = columns.of_each_row(self.spec.band_shape(height, width)[1])
        column = np.arange(width)
        source_columns = cell_of_block[column // block] * block + column % block
        flat = np.ascontiguousarray(values).reshape(-1, *values.shape[2:])
        images = np.empty((len(flat), height, width), np.float32)

        def work(start: int, stop: int) -> None:
            decode_haar(flat, images, rows.arrays, source_columns, self.spec.level, start, stop)

        threaded(work, len(flat) * len(rows.starts))
        return images.reshape(*values.shape[:2], height, width)
