"""A small U-Net that paints images from codes, trained on the codes and images of others."""

from __future__ import annotations

import copy

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.audit.features import CODE_AXES, Array
from deepfixcx.audit.folds import set_aside
from deepfixcx.audit.linkage.siamese import seeded
from deepfixcx.audit.reconstruction.plain import fit_plain
from deepfixcx.audit.reconstruction.released import (
    Invert,
    LogScores,
    Released,
    numbers_of,
)
from deepfixcx.code import Code

require("torch", extra="audit")

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["fit_unet"]

MAPS = 16
"""Channels that the code becomes before it is laid on the image; then widths double."""

EPOCHS, PATIENCE, BATCH, LEARNING_RATE = 24, 4, 16, 2e-3
LIKENESS_WEIGHT = 0.1


def fit_unet(released: Released, images: Array, owners: NDArray[np.int64], seed: int) -> Invert:
    """Train on codes with their plain reconstructions; anything else than codes without these.

    References
    ----------
    Ronneberger, Fischer and Brox, U-Net: convolutional networks for biomedical image segmentation,
    MICCAI, 2015, doi:10.1007/978-3-319-24574-4_28; Dosovitskiy and Brox, Inverting visual
    representations with convolutional networks, CVPR, 2016, doi:10.1109/CVPR.2016.522.
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
    return int(np.prod(shape)), 1, 1  # several poolings lie too deep to be told apart as maps


class _UNet(nn.Module):
    """Three halvings and back, told the code at every pixel."""

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
