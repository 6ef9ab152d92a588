"""The kernels of the codec as operators of torch: ``deepfixcx::encode`` and ``deepfixcx::decode``.

An operator is a black box with a known shape, so a compiled module calls the same kernel as a
plain one. Operators have no gradient; who needs one takes the differentiable way.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from deepfixcx._passes import decode_values, encode_batch
from deepfixcx.spec import CodecSpec
from deepfixcx.torch.pixels import SCALES

__all__ = ["decode", "encode"]

spec_of = lru_cache(maxsize=256)(CodecSpec.from_json)


@torch.library.custom_op("deepfixcx::encode", mutates_args=(), device_types="cpu")
def encode(pixels: Tensor, spec: str) -> Tensor:
    """Encode pixels (B, C, H, W) of any supported dtype into float32 (B, C, 4**J, P, P[, F])."""
    exact = pixels if pixels.dtype in SCALES else pixels.float()
    return torch.from_numpy(encode_batch(exact.detach().contiguous().numpy(), spec_of(spec)))


@encode.register_kernel("cuda")
def _(pixels: Tensor, spec: str) -> Tensor:
    from deepfixcx.torch._triton import encode_haar_l1  # Triton is not everywhere

    with torch.cuda.device(pixels.device):
        return encode_haar_l1(pixels, spec_of(spec))


@encode.register_fake
def _(pixels: Tensor, spec: str) -> Tensor:
    shape = spec_of(spec).code_shape(pixels.shape[1])
    return pixels.new_empty((pixels.shape[0], *shape), dtype=torch.float32)


@encode.register_vmap
def _(info: Any, in_dims: tuple[int, None], pixels: Tensor, spec: str) -> tuple[Tensor, int]:
    images = pixels.movedim(in_dims[0], 0).flatten(0, 1)
    return torch.unflatten(encode(images, spec), 0, (info.batch_size, -1)), 0


@torch.library.custom_op("deepfixcx::decode", mutates_args=(), device_types="cpu")
def decode(values: Tensor, spec: str, height: int, width: int) -> Tensor:
    """Decode values (B, C, 4**J, P, P) of float32 into images (B, C, height, width)."""
    array = values.detach().contiguous().numpy()
    return torch.from_numpy(decode_values(array, spec_of(spec), height, width))


@decode.register_fake
def _(values: Tensor, _spec: str, height: int, width: int) -> Tensor:
    return values.new_empty((*values.shape[:2], height, width))


@decode.register_vmap
def _(
    info: Any,
    in_dims: tuple[int, None, None, None],
    values: Tensor,
    spec: str,
    height: int,
    width: int,
) -> tuple[Tensor, int]:
    codes = values.movedim(in_dims[0], 0).flatten(0, 1)
    images = decode(codes, spec, height, width)
    return torch.unflatten(images, 0, (info.batch_size, -1)), 0
