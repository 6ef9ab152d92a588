"""Encode and decode tensors: the ways through the codec, and which of them is taken.

- On a CPU, where no gradient is asked for: the compiled kernels of `deepfixcx.Codec`.
- On a CUDA device, where no gradient is asked for, to encode with the Haar wavelet and l1 pooling
  up to level 8: a fused kernel, if Triton is installed.
- Everywhere else: the differentiable way through `packets` and `pooling`, made of plain torch
  operations. It is that of learned filters and of float64, which it keeps; and of exported
  programs, so that they run without deepfixcx.

`kernel_for` says which.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd import forward_ad

from deepfixcx.errors import CodeError
from deepfixcx.spec import CodecSpec
from deepfixcx.torch import _ops
from deepfixcx.torch._constants import size_of, spec_text
from deepfixcx.torch.packets import decompose, recompose
from deepfixcx.torch.pixels import check_pixels, code_dtype, to_unit, working_dtype
from deepfixcx.torch.pooling import amplitudes, pool, unpool

__all__ = ["decode", "encode", "kernel_for"]


unpack_dual: Callable[[Tensor], Any] = forward_ad.unpack_dual

HAS_TRITON = importlib.util.find_spec("triton") is not None

DEEPEST_ON_GPU = 8
"""Largest level of the fused kernel: beyond, it would read an image too often."""


def kernel_for(numbers: Tensor, spec: CodecSpec) -> Literal["numba", "triton", "torch"]:
    """Return what encodes these pixels: a compiled kernel, or the differentiable way of torch.

    Parameters
    ----------
    numbers : Tensor
        Pixels to encode, or a code to decode; decoding has no kernel of Triton.
    spec : CodecSpec
        What to do.

    Returns
    -------
    {"numba", "triton", "torch"}

    Examples
    --------
    >>> kernel_for(torch.zeros(8, 8), CodecSpec(1, 2))
    'numba'
    >>> kernel_for(torch.zeros(8, 8, requires_grad=True), CodecSpec(1, 2))
    'torch'
    """
    if torch.compiler.is_exporting() or numbers.dtype == torch.float64:
        return "torch"
    if torch.is_grad_enabled() and numbers.requires_grad:
        return "torch"
    if unpack_dual(numbers).tangent is not None:
        return "torch"
    if numbers.device.type == "cpu":
        return "numba"
    fused = spec.wavelet == "haar" and spec.pooling == "l1" and spec.level <= DEEPEST_ON_GPU
    return "triton" if numbers.device.type == "cuda" and fused and HAS_TRITON else "torch"


def encode(pixels: Tensor, spec: CodecSpec, filters: Tensor | None = None) -> Tensor:
    """Turn pixels into a code.

    Parameters
    ----------
    pixels : Tensor, shape (H, W), (C, H, W) or (B, C, H, W)
        uint8 and uint16 are scaled to [0, 1]; floats are taken as they are.
    spec : CodecSpec
        What to do.
    filters : None or Tensor of shape (4, L, L)
        Analysis filters instead of the wavelet's own; see `deepfixcx.torch.packets.decompose`.

    Returns
    -------
    Tensor, shape (4**J, P, P), (C, 4**J, P, P) or (B, C, 4**J, P, P), or (..., F)
        As many axes for images and channels as the pixels have; a last axis F where the spec has
        several poolings. Of the pixels' dtype if that is a float, else float32. Half precision is
        worked in float32 and rounded at the end.

    Raises
    ------
    PixelsShapeError
        Wrong number of axes, no pixels or an unsupported dtype.
    ImageTooSmallError
        An image has fewer coefficients per axis than the grid has cells.
    NonFiniteError
        NaN or infinity among the pixels, where the compiled kernels are used. Elsewhere such
        pixels show as such numbers of the code, as it is usual for tensors.

    Examples
    --------
    >>> encode(torch.ones(5, 1, 32, 40), CodecSpec(level=2, patches=3)).shape
    torch.Size([5, 1, 16, 3, 3])
    """
    check_pixels(pixels)
    if filters is None and kernel_for(pixels, spec) != "torch":
        images = pixels.reshape((1,) * (4 - pixels.ndim) + tuple(pixels.shape))
        code: Tensor = _ops.encode(images, spec_text(spec))
        code = code.reshape(*pixels.shape[:-2], *code.shape[2:])
    else:
        height, width = size_of(pixels)
        code = pool(decompose(to_unit(pixels), spec, filters), spec, height, width)
    return code.to(code_dtype(pixels.dtype))


def decode(
    code: Tensor,
    spec: CodecSpec,
    size: tuple[int, int] | None = None,
    filters: Tensor | None = None,
) -> Tensor:
    """Make the plain reconstruction of a code.

    Parameters
    ----------
    code : Tensor, shape (..., 4**J, P, P), or (..., 4**J, P, P, F) for several poolings
        At most two axes stand before, for images and channels. Of several poolings, the first is
        used.
    spec : CodecSpec
        How the code was made.
    size : None or pair of int
        Height and width of the source images in pixels: each value is repeated over its cell.
        None gives each value once, the compact reconstruction of P * 2**J pixels a side.
    filters : None or Tensor of shape (4, L, L)
        Synthesis filters instead of the wavelet's own; see `deepfixcx.torch.packets.recompose`.

    Returns
    -------
    Tensor, shape (..., H, W)
        Of the code's dtype. Values are not clipped: they may lie outside [0, 1].

    Raises
    ------
    CodeError
        The tensor is not a code of this spec.
    ImageTooSmallError
        Images of this size have fewer coefficients per axis than the grid has cells.

    Examples
    --------
    >>> decode(torch.ones(5, 1, 16, 3, 3), CodecSpec(level=2, patches=3), (32, 40)).shape
    torch.Size([5, 1, 32, 40])
    """
    _check_code(code, spec)
    height, width = spec.compact_shape() if size is None else size
    values = amplitudes(code.to(working_dtype(code.dtype)), spec)
    if filters is None and kernel_for(values, spec) == "numba":
        every = values.reshape((1,) * (5 - values.ndim) + tuple(values.shape))
        images: Tensor = _ops.decode(every, spec_text(spec), height, width)
        images = images.reshape(*values.shape[:-3], height, width)
    else:
        bands = values if size is None else unpool(values, spec, height, width)
        images = recompose(bands, spec, height, width, filters)
    return images.to(code.dtype)


def _check_code(code: Tensor, spec: CodecSpec) -> None:
    whole = spec.code_shape(channels=1)[1:]
    axes = code.ndim - len(whole) if isinstance(code, Tensor) else -1
    if not 0 <= axes <= 2 or tuple(code.shape[axes:]) != whole or not code.is_floating_point():
        got = f"{tuple(code.shape)} of {code.dtype}" if isinstance(code, Tensor) else type(code)
        raise CodeError(
            f"a code of {spec} is a tensor of floats of shape (B, C, "
            f"{', '.join(map(str, whole))}), with or without B and C; got {got}"
        )
