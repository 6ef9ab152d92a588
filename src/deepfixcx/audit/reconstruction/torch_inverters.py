"""The inverters that need torch: a U-Net, and a search image by image (extra ``audit``).

The search is maximum a posteriori: the logarithms of the code are to agree, the total variation of
the image is to be small, and it is not to go far from where the search begins, the image of ridge
regression. The weights were chosen on X-rays. Only bands of frequencies that the searched image can
hold are asked to agree, as codes were made of larger images than the searched ones.
"""

from __future__ import annotations

import copy

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.audit.features import CODE_AXES, Array, set_aside
from deepfixcx.audit.linkage.siamese import seeded
from deepfixcx.audit.reconstruction.attackers import (
    Invert,
    LogScores,
    Released,
    code_of,
    fit_plain,
    fit_ridge,
    numbers_of,
)
from deepfixcx.code import Code
from deepfixcx.packets import band_path, band_position
from deepfixcx.spec import CodecSpec

require("torch", extra="audit")

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepfixcx.torch.functional import encode

__all__ = ["fit_unet", "fit_variation", "visible_bands"]

MAPS = 16
"""Channels that the code becomes before it is laid on the image; then widths double."""

EPOCHS, PATIENCE, BATCH, LEARNING_RATE = 24, 4, 16, 2e-3
LIKENESS_WEIGHT = 0.1


def fit_unet(released: Released, images: Array, owners: NDArray[np.int64], seed: int) -> Invert:
    """Train on codes with their plain reconstructions; anything else than codes without these.

    Ronneberger, doi:10.1007/978-3-319-24574-4_28.
    """
    scores, plain = LogScores.fit(released), fit_plain(released, images)
    mean = torch.from_numpy(images.mean(axis=0))
    shape = _map_shape(released)

    def seen(records: Released) -> tuple[Tensor, Tensor]:
        maps = torch.from_numpy(scores(records)).reshape(-1, *shape)
        if not isinstance(records, Code):
            return maps, mean.expand(len(maps), *mean.shape)
        return maps, torch.from_numpy(plain(records))

    with seeded(seed):
        network = _UNet(shape[0], images.shape[1])
        parts = set_aside(owners, np.random.default_rng(seed))
        _train(network, *seen(released), mean, torch.from_numpy(images), *parts)

    def invert(records: Released) -> Array:
        network.eval()
        maps, pictures = seen(records)
        pairs = zip(torch.split(maps, BATCH), torch.split(pictures, BATCH), strict=True)
        with torch.no_grad():
            parts = [mean + network(*pair) for pair in pairs]
        return np.asarray(torch.cat(parts).clamp(0, 1).numpy(), np.float32)

    return invert


def _map_shape(released: Released) -> tuple[int, int, int]:
    """Return channels, rows and columns of records laid out as maps."""
    shape = numbers_of(released).shape[1:]
    if len(shape) + 1 == CODE_AXES[0]:
        return shape[0] * shape[1], shape[2], shape[3]
    if len(shape) == 3:
        return shape[0], shape[1], shape[2]
    return int(np.prod(shape)), 1, 1  # several poolings lie too deep to be separate maps


class _UNet(nn.Module):
    """Three halvings and back, given the code at every pixel."""

    def __init__(self, bands: int, channels: int) -> None:
        super().__init__()
        self.lay = nn.Conv2d(bands, MAPS, 1)
        widths = [MAPS, 2 * MAPS, 4 * MAPS, 4 * MAPS]
        self.first = _layers(MAPS + channels, widths[0])
        self.down = nn.ModuleList(
            _layers(widths[step], widths[step + 1]) for step in range(len(widths) - 1)
        )
        self.up = nn.ModuleList(
            _layers(widths[step + 1] + widths[step], widths[step])
            for step in reversed(range(len(widths) - 1))
        )
        self.last = nn.Conv2d(widths[0], channels, 1)

    def forward(self, maps: Tensor, pictures: Tensor) -> Tensor:
        """Return what to add to the mean image."""
        laid = F.interpolate(self.lay(maps), pictures.shape[2:], mode="bilinear")
        levels = [self.first(torch.cat([laid, pictures], 1))]
        for step in self.down:
            levels.append(step(F.avg_pool2d(levels[-1], 2, ceil_mode=True)))
        now = levels.pop()
        for step in self.up:
            beside = levels.pop()
            now = F.interpolate(now, beside.shape[2:], mode="nearest")
            now = step(torch.cat([now, beside], 1))
        added: Tensor = self.last(now)
        return added


def _layers(before: int, after: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, 1, 1),
        nn.GroupNorm(8, after),
        nn.SiLU(),
        nn.Conv2d(after, after, 3, 1, 1),
        nn.GroupNorm(8, after),
        nn.SiLU(),
    )


def _train(
    network: nn.Module,
    maps: Tensor,
    pictures: Tensor,
    mean: Tensor,
    images: Tensor,
    learning: NDArray[np.int64],
    aside: NDArray[np.int64],
) -> None:
    """Train until the images set aside are met no better, and leave the best weights."""
    held, seen = torch.from_numpy(aside), torch.from_numpy(learning)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE)
    best, best_loss, since = copy.deepcopy(network.state_dict()), float("inf"), 0
    for _ in range(EPOCHS):
        network.train()
        for batch in torch.split(seen[torch.randperm(len(seen))], BATCH):
            optimizer.zero_grad()
            loss = _loss(mean + network(maps[batch], pictures[batch]), images[batch])
            torch.autograd.backward(loss)
            optimizer.step()
        network.eval()
        with torch.no_grad():
            parts = [
                float(_loss(mean + network(maps[part], pictures[part]), images[part])) * len(part)
                for part in torch.split(held, BATCH)
            ]
        since += 1
        if sum(parts) < best_loss:
            best, best_loss, since = copy.deepcopy(network.state_dict()), sum(parts), 0
        if since >= PATIENCE:
            break
    network.load_state_dict(best)


def _loss(made: Tensor, truth: Tensor) -> Tensor:
    return F.l1_loss(made, truth) + LIKENESS_WEIGHT * (1 - _similarity(made, truth))


def _similarity(x: Tensor, y: Tensor) -> Tensor:
    """Return SSIM with a flat window of 7 pixels, which is quick; judging uses the real one."""

    def window(values: Tensor) -> Tensor:
        return F.avg_pool2d(values, 7, 1)

    mean_x, mean_y = window(x), window(y)
    variance_x, variance_y = window(x * x) - mean_x**2, window(y * y) - mean_y**2
    covariance = window(x * y) - mean_x * mean_y
    light = (2 * mean_x * mean_y + 1e-4) / (mean_x**2 + mean_y**2 + 1e-4)
    structure = (2 * covariance + 9e-4) / (variance_x + variance_y + 9e-4)
    return (light * structure).mean()


STEPS, STEP_SIZE = 80, 0.01
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

    Rudin, doi:10.1016/0167-2789(92)90242-F.
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
    """Return the bands whose frequencies an image of `after` pixels a side can hold."""
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
    optimizer = torch.optim.Adam([pixels], lr=STEP_SIZE)
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
