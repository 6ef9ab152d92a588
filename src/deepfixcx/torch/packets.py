"""Pixels into bands and back, on tensors: differentiable, on any device, in float32 or float64.

The twin of `deepfixcx.packets`. Filters are applied as sums of shifted slices rather than as
convolutions, which run in TF32 on many GPUs by default, and in half precision under autocast, and
then no longer equal the codec. Only learned filters are convolutions.

Filters and indices follow from a spec and the size of the images: `constant` lets a compiler take
them as they are. Sizes become plain integers, so a module is compiled once for every size.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import lru_cache, wraps
from itertools import pairwise
from typing import Literal, NamedTuple, ParamSpec, TypeVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from deepfixcx.errors import PixelsShapeError
from deepfixcx.spec import CodecSpec
from deepfixcx.wavelets import filter_bank

__all__ = ["decompose", "recompose"]

P = ParamSpec("P")
T = TypeVar("T")


def constant(function: Callable[P, T]) -> Callable[P, T]:
    """Remember the results of a function of hashable arguments, and let compilers ask it."""
    cached = cast("Callable[P, T]", lru_cache(maxsize=256)(function))
    mark: Callable[[Callable[P, T]], Callable[P, T]] = torch.compiler.assume_constant_result

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return cached(*args, **kwargs)

    return mark(call)


class Taps(NamedTuple):
    """The filters of one direction, and how far before its output position they begin."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    offset: int


def decompose(pixels: Tensor, spec: CodecSpec, filters: Tensor | None = None) -> Tensor:
    """Split pixels into the bands of a wavelet packet.

    Parameters
    ----------
    pixels : Tensor of float32 or float64, shape (..., H, W), or (..., D, H, W) of volumes
        Images.
    spec : CodecSpec
        `level`, `wavelet` and `boundary` are used.
    filters : None or Tensor of shape (4, L, L)
        Analysis filters instead of the wavelet's own: one of two dimensions, rows by columns, for
        each of the four subbands.

    Returns
    -------
    Tensor, shape (..., 4**J, h, w), or (..., bands, d, h, w)
        With h = ceil(H / 2**J).

    References
    ----------
    Gaudio et al., DeepFixCX, 2023, doi:10.1002/widm.1495, section on wavelet packets.

    Examples
    --------
    >>> decompose(torch.ones(1, 1, 8, 8), CodecSpec(level=2, patches=1))[0, 0, 0].tolist()
    [[4.0, 4.0], [4.0, 4.0]]
    """
    bands = pixels.unsqueeze(-1 - spec.ndim)
    shapes = spec.split_shapes(*sides_of(pixels, spec.ndim))
    for depth, (before, after) in enumerate(pairwise(shapes)):
        axes = _axes_split(spec, depth)
        beyond = [2 * after[axis] - before[axis] if axis in axes else 0 for axis in _axes(spec)]
        if any(beyond):
            bands = F.pad(bands, [side for end in beyond[::-1] for side in (0, end)])
        bands = _split(bands, after, axes, spec, filters)
    return bands * spec.bands**-0.5 if _is_haar(spec, filters) else bands


def recompose(bands: Tensor, spec: CodecSpec, *size: int, filters: Tensor | None = None) -> Tensor:
    """Merge the bands of a wavelet packet into pixels; the inverse of `decompose`.

    Parameters
    ----------
    bands : Tensor of float32 or float64, shape (..., 4**J, h, w)
        Bands of images of this size; of volumes as `decompose` gives them.
    spec : CodecSpec
        `level`, `wavelet` and `boundary` are used.
    *size : int
        Height and width of the images in pixels, or depth, height and width of volumes; exactly
        the padding that splitting added is removed.
    filters : None or Tensor of shape (4, L, L)
        Synthesis filters instead of the wavelet's own, as in `decompose`.

    Returns
    -------
    Tensor, shape (..., H, W)

    Raises
    ------
    PixelsShapeError
        The bands are not those of such an image.

    Examples
    --------
    >>> spec = CodecSpec(level=2, patches=1, wavelet="db2", boundary="periodic")
    >>> pixels = torch.rand(1, 1, 9, 7, generator=torch.Generator().manual_seed(0))
    >>> torch.allclose(recompose(decompose(pixels, spec), spec, 9, 7), pixels, atol=1e-6)
    True
    """
    check_bands(bands, spec, size)
    place = -1 - spec.ndim
    for depth, sides in reversed(list(enumerate(spec.split_shapes(*size)[:-1]))):
        axes = _axes_split(spec, depth)
        count = 2 ** len(axes)
        parts = torch.unflatten(bands, place, (bands.shape[place] // count, count))
        bands = _merge(parts, axes, spec, filters)
        for axis in axes:
            bands = bands.narrow(axis, 0, sides[axis])
    pixels = bands.squeeze(place)
    return pixels * spec.bands**-0.5 if _is_haar(spec, filters) else pixels


def check_bands(bands: Tensor, spec: CodecSpec, size: tuple[int, ...]) -> None:
    """Refuse a tensor that does not hold the bands of images or volumes of this size."""
    expected = (spec.bands, *spec.band_shape(*size))
    if tuple(bands.shape[-1 - spec.ndim :]) != expected:
        kind = "image" if spec.ndim == 2 else "volume"
        raise PixelsShapeError(
            f"bands of a {'x'.join(map(str, size))} {kind} at level {spec.level} have shape "
            f"(..., {', '.join(map(str, expected))}), got {tuple(bands.shape)}"
        )


def _axes(spec: CodecSpec) -> range:
    """Return the axes of an image or of a volume, counted from the end."""
    return range(-spec.ndim, 0)


def _axes_split(spec: CodecSpec, depth: int) -> list[int]:
    """Return the axes along which a level of the packet splits."""
    return [axis for axis in _axes(spec) if depth < spec.axis_levels[axis]]


def _is_haar(spec: CodecSpec, filters: Tensor | None) -> bool:
    return filters is None and spec.wavelet == "haar"


def _split(
    bands: Tensor, sides: tuple[int, ...], axes: list[int], spec: CodecSpec, filters: Tensor | None
) -> Tensor:
    """Split bands (..., K, 2 h, 2 w) into (..., 4 K, h, w); of Haar, without the factor."""
    if filters is not None:
        return _split_2d(bands, sides[-2], sides[-1], spec, filters)
    subbands = [bands]
    for axis in axes:
        subbands = [half for part in subbands for half in _halves(part, sides[axis], axis, spec)]
    place = -1 - spec.ndim
    return torch.stack(subbands, place).flatten(place - 1, place)


def _halves(bands: Tensor, size: int, axis: int, spec: CodecSpec) -> list[Tensor]:
    """Return the low and the high half along an axis of 2 * `size` values."""
    if spec.wavelet == "haar":
        first, second = torch.unflatten(bands, axis, (size, 2)).unbind(axis)
        return [first + second, second - first]
    pair = taps(spec.wavelet, "analysis")[:2]
    return [_correlate(bands, filter_, size, axis, spec) for filter_ in pair]


def _merge(parts: Tensor, axes: list[int], spec: CodecSpec, filters: Tensor | None) -> Tensor:
    """Merge subbands (..., K, 4, h, w) into (..., K, 2 h, 2 w); of Haar, without the factor."""
    if filters is not None:
        return _merge_2d(parts, spec, filters)
    subbands = list(parts.unbind(-1 - spec.ndim))
    for axis in reversed(axes):
        pairs = zip(subbands[::2], subbands[1::2], strict=True)
        if spec.wavelet == "haar":
            subbands = [_add(low, high, axis) for low, high in pairs]
        else:
            subbands = [_spread(low, high, axis, spec) for low, high in pairs]
    return subbands[0]


# -- Haar: sums and differences -------------------------------------------------------------------


def _add(low: Tensor, high: Tensor, axis: int) -> Tensor:
    return _interleave(low - high, low + high, axis)


def _interleave(even: Tensor, odd: Tensor, axis: int) -> Tensor:
    return torch.stack((even, odd), axis).flatten(axis - 1, axis)


# -- any wavelet ----------------------------------------------------------------------------------


def _extend(bands: Tensor, margin: int, axis: int, spec: CodecSpec) -> Tensor:
    """Lay a margin of what is beyond the edges around the bands, along one axis."""
    if spec.boundary == "periodic":
        places = wrapped(sides_of(bands, -axis)[0], margin)
        return bands.index_select(axis, torch.tensor(places, device=bands.device))
    return F.pad(bands, (*(0, 0) * (-1 - axis), margin, margin))


def _correlate(
    bands: Tensor, filter_: tuple[float, ...], size: int, axis: int, spec: CodecSpec
) -> Tensor:
    """Cross-correlate with step 2 along an axis of 2 * `size` values."""
    margin = taps(spec.wavelet, "analysis").offset  # lengths are even: alike on both sides
    wide = _extend(bands, margin, axis, spec)
    phases = torch.unflatten(wide, axis, (size + margin, 2)).unbind(axis)
    return _weighted_sum(
        [(tap, phases[m % 2].narrow(axis, m // 2, size)) for m, tap in enumerate(filter_)]
    )


def _spread(low: Tensor, high: Tensor, axis: int, spec: CodecSpec) -> Tensor:
    """Spread two parts over twice as many values along an axis: `_correlate` backwards."""
    *pair, before = taps(spec.wavelet, "synthesis")
    size, length = sides_of(low, -axis)[0], len(pair[0])
    margin = length // 2
    parts = [_extend(part, margin, axis, spec) for part in (low, high)]
    phases = []
    for shift in (before, before + 1):  # the even and the odd places of the result
        terms = [
            (filter_[m], part.narrow(axis, margin + (shift - m) // 2, size))
            for part, filter_ in zip(parts, pair, strict=True)
            for m in range(shift % 2, length, 2)
        ]
        phases.append(_weighted_sum(terms))
    return _interleave(phases[0], phases[1], axis)


def _weighted_sum(terms: list[tuple[float, Tensor]]) -> Tensor:
    weight, part = terms[0]
    total = weight * part
    for weight, part in terms[1:]:
        total = torch.add(total, part, alpha=weight)
    return total


# -- learned filters ------------------------------------------------------------------------------


def _split_2d(bands: Tensor, rows: int, columns: int, spec: CodecSpec, filters: Tensor) -> Tensor:
    margin = taps(spec.wavelet, "analysis").offset
    for axis in (-2, -1):
        bands = _extend(bands, margin, axis, spec)
    images = bands.reshape(math.prod(bands.shape[:-2]), 1, *bands.shape[-2:])
    four = F.conv2d(images, filters.to(bands.dtype).unsqueeze(1), stride=2)
    return four.reshape(*bands.shape[:-3], 4 * bands.shape[-3], rows, columns)


def _merge_2d(four: Tensor, spec: CodecSpec, filters: Tensor) -> Tensor:
    before, length = taps(spec.wavelet, "synthesis").offset, filters.shape[-1]
    height, width = sides_of(four, 2)
    margin = length // 2 if spec.boundary == "periodic" else 0
    for axis in (-2, -1):
        if margin:
            four = _extend(four, margin, axis, spec)
    images = four.reshape(math.prod(four.shape[:-3]), *four.shape[-3:])
    wide = F.conv_transpose2d(images, filters.to(four.dtype).unsqueeze(1), stride=2)
    first = 2 * margin + before
    bands = wide[..., first : first + 2 * height, first : first + 2 * width]
    return bands.reshape(*four.shape[:-3], 2 * height, 2 * width)


# -- constants ------------------------------------------------------------------------------------


def sides_of(images: Tensor, ndim: int) -> tuple[int, ...]:
    """Return the last sides of a tensor as plain integers."""
    return tuple([operator.index(side) for side in images.shape[-ndim:]])


@constant
def taps(wavelet: str, direction: Literal["analysis", "synthesis"]) -> Taps:
    """Return the filters of a wavelet as numbers."""
    bank = filter_bank(wavelet)
    low, high, offset = bank.analysis if direction == "analysis" else bank.synthesis
    return Taps(tuple(low.tolist()), tuple(high.tolist()), offset)


@constant
def wrapped(size: int, margin: int) -> tuple[int, ...]:
    """Return the places of a signal that comes around, with a margin on both sides."""
    return tuple((np.arange(-margin, size + margin) % size).tolist())
