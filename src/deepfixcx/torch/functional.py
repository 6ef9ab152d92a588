"""Encode and decode tensors: the ways through the codec, and which of them is taken.

- On a CPU, where no gradient is asked for: the compiled kernels of `deepfixcx.Codec`.
- On a CUDA device, where no gradient is asked for, to encode with the Haar wavelet and l1 pooling
  up to level 8: a fused kernel, if Triton is installed.
- Everywhere else: the differentiable way through `packets` and `pooling`, made of plain torch
  operations. It is that of learned filters and of float64, which it keeps; and of exported
  programs, so that they run without deepfixcx.

`kernel_for` says which. As everywhere in this package, uint8 and uint16 are scaled to [0, 1] by
their full range and floats are taken as they are. Work is done in float32, or in float64 where the
pixels are; a code has the dtype of its pixels if they are floats, and else float32.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.masked import MaskedTensor

from deepfixcx.codec import decode_values, encode_batch
from deepfixcx.errors import CodeError, PixelsShapeError
from deepfixcx.packets import SCALES as SCALES_BY_NAME
from deepfixcx.spec import CodecSpec
from deepfixcx.torch.packets import constant, decompose, recompose, sides_of
from deepfixcx.torch.pooling import amplitudes, pool, unpool

__all__ = ["decode", "encode", "kernel_for"]


unpack_dual: Callable[[Tensor], Any] = forward_ad.unpack_dual

HAS_TRITON = importlib.util.find_spec("triton") is not None

SCALES = {getattr(torch, name): scale for name, scale in SCALES_BY_NAME.items() if scale != 1}
"""What integer pixels are multiplied by."""

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)

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
    fused = fused and spec.ndim == 2
    return "triton" if numbers.device.type == "cuda" and fused and HAS_TRITON else "torch"


def encode(pixels: Tensor, spec: CodecSpec, filters: Tensor | None = None) -> Tensor:
    """Turn pixels into a code.

    Parameters
    ----------
    pixels : Tensor, shape (H, W), (C, H, W) or (B, C, H, W); of volumes (D, H, W) for (H, W)
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
        Wrong number of axes, no pixels or an unsupported dtype; or a masked, sparse or nested
        tensor.
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
    check_pixels(pixels, spec.ndim)
    if filters is None and kernel_for(pixels, spec) != "torch":
        images = pixels.reshape((1,) * (spec.ndim + 2 - pixels.ndim) + tuple(pixels.shape))
        code: Tensor = _encode(images, _spec_text(spec))
        code = code.reshape(*pixels.shape[: -spec.ndim], *code.shape[2:])
    else:
        size = sides_of(pixels, spec.ndim)
        code = pool(decompose(to_unit(pixels), spec, filters), spec, *size)
    return code.to(code_dtype(pixels.dtype))


def decode(
    code: Tensor,
    spec: CodecSpec,
    size: tuple[int, ...] | None = None,
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
    size : None or sequence of int
        Height and width of the source images in pixels, or depth, height and width of volumes:
        each value is repeated over its cell.
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
        The tensor is not a code of this spec, or is masked, sparse or nested.
    ImageTooSmallError
        Images of this size have fewer coefficients per axis than the grid has cells.

    Examples
    --------
    >>> decode(torch.ones(5, 1, 16, 3, 3), CodecSpec(level=2, patches=3), (32, 40)).shape
    torch.Size([5, 1, 32, 40])
    """
    _check_code(code, spec)
    sides = spec.compact_shape() if size is None else tuple(size)
    values = amplitudes(code.to(working_dtype(code.dtype)), spec)
    if filters is None and kernel_for(values, spec) == "numba":
        every = values.reshape((1,) * (spec.ndim + 3 - values.ndim) + tuple(values.shape))
        images: Tensor = _decode(every, _spec_text(spec), list(sides))
        images = images.reshape(*values.shape[: -1 - spec.ndim], *sides)
    else:
        bands = values if size is None else unpool(values, spec, *sides)
        images = recompose(bands, spec, *sides, filters=filters)
    return images.to(code.dtype)


def _check_code(code: Tensor, spec: CodecSpec) -> None:
    if isinstance(code, Tensor) and (kind := kind_not_taken(code)):
        raise CodeError(f"the code is in a {kind}")
    whole = spec.code_shape(channels=1)[1:]
    axes = code.ndim - len(whole) if isinstance(code, Tensor) else -1
    if not 0 <= axes <= 2 or tuple(code.shape[axes:]) != whole or not code.is_floating_point():
        got = f"{tuple(code.shape)} of {code.dtype}" if isinstance(code, Tensor) else type(code)
        raise CodeError(
            f"a code of {spec} is a tensor of floats of shape (B, C, "
            f"{', '.join(map(str, whole))}), with or without B and C; got {got}"
        )


def check_pixels(pixels: Tensor, ndim: int = 2) -> None:
    """Raise a PixelsShapeError if a tensor does not hold images ([[B,] C,] H, W), or volumes."""
    if not isinstance(pixels, Tensor):
        raise PixelsShapeError(
            f"pixels must be a torch tensor, got {type(pixels).__name__}; use deepfixcx.Codec "
            "for arrays, or torch.from_numpy"
        )
    if kind := kind_not_taken(pixels):
        raise PixelsShapeError(f"the pixels are in a {kind}")
    shape = tuple(pixels.shape)
    if not ndim <= len(shape) <= ndim + 2:
        sides = "H, W" if ndim == 2 else "D, H, W"
        raise PixelsShapeError(
            f"pixels must be ({sides}), (C, {sides}) or (B, C, {sides}), got shape {shape}"
        )
    if 0 in shape[-1 - ndim :]:
        raise PixelsShapeError(f"an image without pixels: shape {shape}")
    if ndim == 2 and len(shape) > 2 and shape[-1] in (1, 3, 4) and shape[-3] > 4:
        raise PixelsShapeError(
            f"shape {shape} looks like channels last; deepfixcx takes channels first, "
            f"so use torch.movedim(pixels, -1, -3)"
        )
    if pixels.dtype not in SCALES and pixels.dtype not in FLOATS:
        raise PixelsShapeError(
            f"pixels of dtype {pixels.dtype} have no known range; pass uint8, uint16, or floats "
            f"in [0, 1]"
        )


def kind_not_taken(tensor: Tensor) -> str:
    """Name a tensor that does not hold one number at each place, and what to do; else nothing."""
    if isinstance(tensor, MaskedTensor):
        return "masked tensor: the result has no mask; call to_tensor(value) first"
    if tensor.is_nested:
        return "nested tensor: use each image separately, or stack images of one size"
    return "" if tensor.layout == torch.strided else "sparse tensor: call to_dense() first"


def working_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype that numbers of this dtype are worked in."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def code_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype of the code of such pixels."""
    return dtype if dtype in FLOATS else torch.float32


def to_unit(pixels: Tensor) -> Tensor:
    """Return pixels in the dtype they are worked in, integers scaled to [0, 1]."""
    unit = pixels.to(working_dtype(pixels.dtype))
    return unit * SCALES[pixels.dtype] if pixels.dtype in SCALES else unit


# -- the kernels as operators of torch ------------------------------------------------------------
# An operator is a black box with a known shape, so a compiled module calls the same kernel as a
# plain one. Operators have no gradient; where one is needed, the differentiable way is taken.


@constant
def _spec_text(spec: CodecSpec) -> str:
    """Return a spec as the text that an operator takes."""
    return spec.to_json()


_spec_of = lru_cache(maxsize=256)(CodecSpec.from_json)


@torch.library.custom_op("deepfixcx::encode", mutates_args=(), device_types="cpu")
def _encode(pixels: Tensor, spec: str) -> Tensor:
    """Encode pixels (B, C, H, W) of any supported dtype into float32 (B, C, 4**J, P, P[, F])."""
    exact = pixels if pixels.dtype in SCALES else pixels.float()
    return torch.from_numpy(encode_batch(exact.detach().contiguous().numpy(), _spec_of(spec)))


@_encode.register_kernel("cuda")
def _(pixels: Tensor, spec: str) -> Tensor:
    from deepfixcx.torch._triton import encode_haar_l1  # Triton is not everywhere

    with torch.cuda.device(pixels.device):
        return encode_haar_l1(pixels, _spec_of(spec))


@_encode.register_fake
def _(pixels: Tensor, spec: str) -> Tensor:
    shape = _spec_of(spec).code_shape(pixels.shape[1])
    return pixels.new_empty((pixels.shape[0], *shape), dtype=torch.float32)


@_encode.register_vmap
def _(_info: Any, in_dims: tuple[int, None], pixels: Tensor, spec: str) -> tuple[Tensor, int]:
    batches = pixels.movedim(in_dims[0], 0)
    return torch.unflatten(_encode(batches.flatten(0, 1), spec), 0, batches.shape[:2]), 0


@torch.library.custom_op("deepfixcx::decode", mutates_args=(), device_types="cpu")
def _decode(values: Tensor, spec: str, size: list[int]) -> Tensor:
    """Decode values (B, C, 4**J, P, P) of float32 into images (B, C, *size)."""
    array = values.detach().contiguous().numpy()
    return torch.from_numpy(decode_values(array, _spec_of(spec), *size))


@_decode.register_fake
def _(values: Tensor, _spec: str, size: list[int]) -> Tensor:
    return values.new_empty((*values.shape[:2], *size))


@_decode.register_vmap
def _(
    _info: Any,
    in_dims: tuple[int, None, None],
    values: Tensor,
    spec: str,
    size: list[int],
) -> tuple[Tensor, int]:
    batches = values.movedim(in_dims[0], 0)
    images = _decode(batches.flatten(0, 1), spec, size)
    return torch.unflatten(images, 0, batches.shape[:2]), 0
