"""The whole pipeline on one screen: pixels -> bands -> code, and back to a reconstruction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from deepfixcx._passes import decode_values, encode_batch
from deepfixcx.choices import Boundary, Grid, Size
from deepfixcx.code import Code
from deepfixcx.errors import SpecError
from deepfixcx.pixels import Pixels, as_batches
from deepfixcx.pooling import amplitudes
from deepfixcx.spec import CodecSpec

__all__ = ["Codec"]


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
            others = (wavelet, pooling, boundary, grid)
            if patches is not None or others != ("haar", "l1", "zero", "balanced"):
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
        arrays = [encode_batch(batch, self.spec) for batch in batches]
        sizes = [np.full((len(batch), 2), batch.shape[2:], np.int64) for batch in batches]
        # a large code is not copied for nothing
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
        if size == "compact" or not len(code):  # no image, no size of its own
            # where every band has one coefficient a cell, there is nothing to repeat
            return decode_values(values, self.spec, *self.spec.compact_shape())
        if (code.sizes == code.sizes[:1]).all() and len(code):
            height, width = map(int, code.sizes[0])
            return decode_values(values, self.spec, height, width)
        return [
            decode_values(values[n : n + 1], self.spec, int(height), int(width))[0]
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
