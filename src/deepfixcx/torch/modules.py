"""`Encode`, `Decode` and `Privatize`: the codec as modules of PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from deepfixcx.choices import Boundary, Grid, Size
from deepfixcx.codec import Codec
from deepfixcx.errors import SpecError
from deepfixcx.spec import CodecSpec
from deepfixcx.torch.functional import decode, encode
from deepfixcx.torch.packets import sides_of, taps

__all__ = ["Adaptive", "Decode", "Encode", "Privatize"]

Adaptive = Literal["filters1d", "filters2d"]
"""Which filters are learned: the low and the high one of one dimension, or all four of two."""


AXES_OF_SIZE = {2: "a pair (height, width)", 3: "three numbers (depth, height, width)"}


class _Twin(nn.Module):
    """What the modules share: a spec, and filters that may be learned."""

    filters: nn.Parameter | None

    def __init__(
        self,
        spec: CodecSpec,
        adaptive: Adaptive | None,
        direction: Literal["analysis", "synthesis"],
    ) -> None:
        super().__init__()
        self.spec = spec
        self.adaptive = adaptive
        if adaptive is None:
            self.register_parameter("filters", None)
            return
        spec.refuse_volumes("a module of learned filters")
        low, high, _ = taps(spec.wavelet, direction)
        pair = torch.tensor([low, high])
        if adaptive == "filters1d":
            self.filters = nn.Parameter(pair)
        elif adaptive == "filters2d":
            self.filters = nn.Parameter(_outer_products(pair))
        else:
            raise SpecError(
                f"unknown adaptive {adaptive!r}; choose None, 'filters1d' or 'filters2d'"
            )

    def filters_2d(self) -> Tensor | None:
        """Return the filters of the four subbands, (4, L, L), or None where nothing is learned."""
        if self.filters is None or self.adaptive == "filters2d":
            return self.filters
        return _outer_products(self.filters)

    def extra_repr(self) -> str:
        """Return the settings in one line."""
        return str(self.spec) + (f", adaptive={self.adaptive!r}" if self.adaptive else "")


class Encode(_Twin):
    """Turn pixels into codes: `Codec.encode` as a module.

    Parameters
    ----------
    level : int or CodecSpec
        J, the depth of the wavelet packet; or a whole spec, which may be of volumes (D, H, W).
    patches : int or pair of int
        P, the cells per axis of each band.
    wavelet, pooling, boundary, grid
        As in `CodecSpec`.
    adaptive : None, "filters1d" or "filters2d"
        None learns nothing: the module has no parameters. ``"filters1d"`` learns the low and the
        high filter of one dimension, ``"filters2d"`` the four filters of two dimensions, as in the
        adaptive variants of the paper; there the two of one dimension are multiplied into the four.
        They begin as those of the wavelet, and are shared by all levels, bands and channels.
        Nothing keeps them a wavelet.

    Attributes
    ----------
    spec : CodecSpec
        The settings.
    filters : None or Parameter, shape (2, L) or (4, L, L)
        Analysis filters, low before high, rows before columns.

    Raises
    ------
    SpecError
        The arguments do not fit together.

    Notes
    -----
    On a CPU, and where no gradient is asked for, the compiled kernels of `Codec` do the work; see
    `deepfixcx.torch.functional`. A compiled module is compiled again for each new size of images.

    References
    ----------
    Gaudio et al., DeepFixCX, WIREs Data Mining and Knowledge Discovery, 2023,
    doi:10.1002/widm.1495.

    Examples
    --------
    >>> encode = Encode(level=3, patches=4)
    >>> encode(torch.rand(8, 1, 320, 320)).shape
    torch.Size([8, 1, 64, 4, 4])
    >>> encode
    Encode(J=3 P=4 haar l1)
    """

    def __init__(
        self,
        level: int | CodecSpec,
        patches: int | tuple[int, int] | None = None,
        wavelet: str = "haar",
        pooling: str | Sequence[str] = "l1",
        boundary: Boundary = "zero",
        grid: Grid = "balanced",
        adaptive: Adaptive | None = None,
    ) -> None:
        spec = Codec(level, patches, wavelet, pooling, boundary, grid).spec
        super().__init__(spec, adaptive, "analysis")

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode pixels (H, W), (C, H, W) or (B, C, H, W); see `functional.encode`."""
        return encode(pixels, self.spec, self.filters_2d())


class Decode(_Twin):
    """Make plain reconstructions of codes: `Codec.decode` as a module.

    Parameters
    ----------
    level, patches, wavelet, pooling, boundary, grid
        As in `Encode`.
    size : "compact" or pair of int
        Give each value once, images of P * 2**J pixels a side; or repeat values over their cells
        and give images of this height and width, those of the sources.
    adaptive : None, "filters1d" or "filters2d"
        As in `Encode`, of the synthesis filters.

    Attributes
    ----------
    spec : CodecSpec
        The settings.
    filters : None or Parameter, shape (2, L) or (4, L, L)
        Synthesis filters, low before high, rows before columns.

    Raises
    ------
    SpecError
        The arguments do not fit together.
    ImageTooSmallError
        Images of this size are too small for the spec.

    Notes
    -----
    A tensor does not know the size of its sources as a `Code` does, so it is given here, or with
    each call where sizes vary.

    Examples
    --------
    >>> decode = Decode(level=3, patches=4, size=(320, 300))
    >>> decode(torch.rand(8, 1, 64, 4, 4)).shape
    torch.Size([8, 1, 320, 300])
    """

    def __init__(
        self,
        level: int | CodecSpec,
        patches: int | tuple[int, int] | None = None,
        wavelet: str = "haar",
        pooling: str | Sequence[str] = "l1",
        boundary: Boundary = "zero",
        grid: Grid = "balanced",
        size: Literal["compact"] | tuple[int, ...] = "compact",
        adaptive: Adaptive | None = None,
    ) -> None:
        spec = Codec(level, patches, wavelet, pooling, boundary, grid).spec
        super().__init__(spec, adaptive, "synthesis")
        self.size = _pair_of_sides(size, spec)

    def forward(self, code: Tensor, size: tuple[int, ...] | None = None) -> Tensor:
        """Decode codes (..., 4**J, P, P) or (..., 4**J, P, P, F); see `functional.decode`.

        A size of sources that is given here goes before that of the module.
        """
        return decode(code, self.spec, size or self.size, self.filters_2d())

    def extra_repr(self) -> str:
        """Return the settings in one line."""
        return f"{super().extra_repr()}, size={self.size or 'compact'!r}"


class Privatize(nn.Module):
    """Encode and decode: the images that are left of images, `Codec.privatize` as a module.

    Parameters
    ----------
    level, patches, wavelet, pooling, boundary, grid
        As in `Encode`. Of several poolings, the first is used.
    size : {"compact", "original"}
        Give each value once, images of P * 2**J pixels a side; or repeat values over their cells
        and give images as large as they came.
    adaptive : None, "filters1d" or "filters2d"
        As in `Encode` and in `Decode`: analysis and synthesis filters are learned apart.

    Attributes
    ----------
    spec : CodecSpec
        The settings.
    encode : Encode
        The way there, with the first pooling alone.
    decode : Decode
        The way back.

    Raises
    ------
    SpecError
        The arguments do not fit together.

    Examples
    --------
    >>> Privatize(level=3, patches=4)(torch.rand(8, 3, 320, 320)).shape
    torch.Size([8, 3, 32, 32])
    """

    def __init__(
        self,
        level: int | CodecSpec,
        patches: int | tuple[int, int] | None = None,
        wavelet: str = "haar",
        pooling: str | Sequence[str] = "l1",
        boundary: Boundary = "zero",
        grid: Grid = "balanced",
        size: Size = "compact",
        adaptive: Adaptive | None = None,
    ) -> None:
        super().__init__()
        self.spec = Codec(level, patches, wavelet, pooling, boundary, grid).spec
        if size not in ("original", "compact"):
            raise SpecError(f"size is 'original' or 'compact', got {size!r}")
        self.size = size
        first = replace(self.spec, pooling=self.spec.poolings[0])
        self.encode = Encode(first, adaptive=adaptive)
        self.decode = Decode(first, adaptive=adaptive)

    def forward(self, pixels: Tensor) -> Tensor:
        """Privatize pixels (H, W), (C, H, W) or (B, C, H, W); the result has as many axes."""
        code = self.encode(pixels)
        images: Tensor = self.decode(
            code, sides_of(pixels, self.spec.ndim) if self.size == "original" else None
        )
        return images

    def extra_repr(self) -> str:
        """Return the size in one line; the settings stand with the parts."""
        return f"size={self.size!r}"


def _outer_products(pair: Tensor) -> Tensor:
    """Return the four filters of two dimensions that a low and a high one make, (4, L, L)."""
    return torch.stack([torch.outer(rows, columns) for rows in pair for columns in pair])


def _pair_of_sides(
    size: Literal["compact"] | tuple[int, ...], spec: CodecSpec
) -> tuple[int, ...] | None:
    """Return the sides of the source, or None for the compact reconstruction."""
    if size == "compact":
        return None
    sides = tuple(size) if isinstance(size, Sequence) and not isinstance(size, str) else ()
    if len(sides) != spec.ndim or not all(isinstance(side, int) and side > 0 for side in sides):
        raise SpecError(f"size is 'compact' or {AXES_OF_SIZE[spec.ndim]}, got {size!r}")
    spec.cells(*sides)
    return sides
