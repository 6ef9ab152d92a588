"""Modules for volumes equal the codec of volumes, with compiled kernels and without."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import torch

from deepfixcx import Codec, CodecSpec
from deepfixcx.errors import CodeError, PixelsShapeError, SpecError
from deepfixcx.torch import Decode, Encode, Privatize

SPECS = [
    CodecSpec(2, (2, 3, 2), ndim=3),
    CodecSpec(2, (2, 3, 4), "db2", ("median", "max"), "periodic", ndim=3, level_z=1),
    CodecSpec(2, (3, 2, 2), "bior2.2", "l2", grid="padded", ndim=3, level_z=0),
    CodecSpec(1, (2, 2, 3), "haar", ("min", "sum_pos"), grid="padded", ndim=3),
]
VOLUMES = np.random.default_rng(0).random((2, 1, 9, 13, 18), np.float32)


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_module_equals_the_codec_of_volumes_both_ways(
    spec: CodecSpec, dtype: torch.dtype
) -> None:
    """float32 takes the compiled kernels, float64 plain operations of torch."""
    want = Codec(spec).encode(VOLUMES)
    pixels = torch.from_numpy(VOLUMES).to(dtype)
    code = Encode(spec)(pixels)
    np.testing.assert_allclose(code.numpy(), want.array, rtol=0, atol=1e-5)
    for size in (None, VOLUMES.shape[2:]):
        back = np.asarray(Codec(spec).decode(want, "original" if size else "compact"))
        made = Decode(spec, size=cast("Any", size or "compact"))(code)
        np.testing.assert_allclose(made.numpy(), back, rtol=0, atol=2e-4)


def test_gradients_reach_every_voxel() -> None:
    pixels = torch.from_numpy(VOLUMES).double().requires_grad_()
    Encode(SPECS[0])(pixels).sum().backward()
    assert pixels.grad is not None
    assert float((pixels.grad != 0).double().mean()) > 0.9


def test_a_volume_keeps_its_axes_and_wrong_shapes_are_named() -> None:
    privatize = Privatize(SPECS[0], size="original")
    assert privatize(torch.from_numpy(VOLUMES)).shape == VOLUMES.shape
    assert privatize(torch.from_numpy(VOLUMES[0, 0])).shape == VOLUMES.shape[2:]
    with pytest.raises(PixelsShapeError, match="D, H, W"):
        privatize(torch.zeros(8, 8))
    with pytest.raises(SpecError, match="depth, height, width"):
        Decode(SPECS[0], size=(8, 8))
    with pytest.raises(CodeError, match="3-D"):
        Decode(SPECS[0])(torch.zeros(1, 1, 16, 2, 2))
    with pytest.raises(SpecError, match="learned filters works on images"):
        Encode(SPECS[0], adaptive="filters1d")


def test_monai_privatizes_a_volume_and_moves_its_affine() -> None:
    data = pytest.importorskip("monai.data")
    from deepfixcx.torch.monai import Privatized

    volume = data.MetaTensor(torch.from_numpy(VOLUMES[0]), affine=torch.eye(4))
    made = Privatized("image", CodecSpec(1, (2, 3, 3), ndim=3))({"image": volume})["image"]
    assert made.shape == (1, 4, 6, 6)
    corners = torch.tensor([[-0.5] * 3 + [1], [3.5, 5.5, 5.5, 1]], dtype=made.affine.dtype)
    ends = (made.affine @ corners.T).T[:, :3]  # the edges of the volume stay where they are
    np.testing.assert_allclose(ends, [[-0.5] * 3, [8.5, 12.5, 17.5]], atol=1e-6)
