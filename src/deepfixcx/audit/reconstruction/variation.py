"""Search the image whose code is the one released, smooth where nothing else is known.

Maximum a posteriori: the logarithms of the code are to agree, the total variation of the image is
to be small, and it is not to go far from where the search begins, the image of ridge regression. So
this adds to that attacker what the transform is known to do. The weights were chosen on X-rays.
Only bands of frequencies that the searched image can hold are asked to agree: images are searched
at 64 to 128 pixels, and codes were made of larger ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.audit.features import Array
from deepfixcx.audit.reconstruction.released import Invert, Released, code_of
from deepfixcx.audit.reconstruction.ridge import fit_ridge
from deepfixcx.code import Code
from deepfixcx.packets import band_path, band_position
from deepfixcx.spec import CodecSpec

require("torch", extra="audit")

import torch
import torch.nn.functional as F
from torch import Tensor

from deepfixcx.torch.functional import encode

__all__ = ["fit_variation", "visible_bands"]

STEPS, LEARNING_RATE = 80, 0.01
SMOOTHNESS = 0.3
"""Weight of the total variation, beside the mean squared difference of logarithms."""

NEARNESS = 5.0
"""Weight of the mean squared difference to where the search began."""

KNEE = 0.02
IMAGES_AT_ONCE = 8


def fit_variation(
    released: Released, images: Array, owners: NDArray[np.int64], seed: int
) -> Invert:
    """Learn where to begin, then search each image.

    References
    ----------
    Rudin, Osher and Fatemi, Nonlinear total variation based noise removal algorithms, Physica D,
    1992, doi:10.1016/0167-2789(92)90242-F; Mahendran and Vedaldi, Understanding deep image
    representations by inverting them, CVPR, 2015, doi:10.1109/CVPR.2015.7299155.
    """
    code = code_of(released, "variation")
    begin = fit_ridge(code, images, owners, seed)
    knee = np.maximum(KNEE * np.abs(code.array).mean(axis=(0, 1, 3, 4), keepdims=True), 1e-9)

    def invert(unknown: Released) -> Array:
        wanted, start = code_of(unknown, "variation"), begin(unknown)
        found = np.empty_like(start)
        for size in np.unique(wanted.sizes, axis=0):
            same = np.flatnonzero((wanted.sizes == size).all(axis=1))
            for first in range(0, len(same), IMAGES_AT_ONCE):
                part = same[first : first + IMAGES_AT_ONCE]
                found[part] = _search(wanted[part], start[part], knee)
        return found

    return invert


def visible_bands(spec: CodecSpec, before: int, after: int) -> list[int]:
    """Return the bands whose frequencies an image of `after` pixels a side can hold.

    Examples
    --------
    >>> visible_bands(CodecSpec(2, 4), 320, 160)
    [0, 1, 2, 3]
    """
    positions = [band_position(band_path(band, spec.level)) for band in range(spec.bands)]
    most = max(1.0, spec.block * after / before)
    return [band for band, position in enumerate(positions) if max(position) + 1 <= most]


def _search(wanted: Code, start: Array, knee: Array) -> Array:
    """Return the images of some codes of one size."""
    height, width = (int(side) for side in wanted.sizes[0])
    bands = visible_bands(wanted.spec, max(height, width), max(start.shape[2:]))
    scale = torch.from_numpy(knee[:, :, bands])
    target = _logarithms(torch.from_numpy(wanted.array[:, :, bands]), scale)
    begin = torch.from_numpy(start)
    pixels = begin.clone().requires_grad_()
    optimizer = torch.optim.Adam([pixels], lr=LEARNING_RATE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        large = F.interpolate(pixels, (height, width), mode="bilinear", align_corners=False)
        made = _logarithms(encode(large, wanted.spec)[:, :, bands], scale)
        loss = F.mse_loss(made, target) * len(start) + SMOOTHNESS * _variation(pixels)
        loss = loss + NEARNESS * F.mse_loss(pixels, begin) * len(start)
        torch.autograd.backward(loss)
        optimizer.step()
    return np.asarray(pixels.detach().clamp(0, 1).numpy(), np.float32)


def _logarithms(numbers: Tensor, knee: Tensor) -> Tensor:
    return numbers.sign() * torch.log1p(numbers.abs() / knee)


def _variation(pixels: Tensor) -> Tensor:
    """Return the sum over images of the mean absolute difference of neighbours."""
    down = (pixels[..., 1:, :] - pixels[..., :-1, :]).abs().mean(dim=(1, 2, 3))
    across = (pixels[..., 1:] - pixels[..., :-1]).abs().mean(dim=(1, 2, 3))
    return (down + across).sum()
