"""Why a network on images decided, by three usual methods: for comparison with codes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["SmallNetwork", "grad_cam", "occlusion", "path_gradients"]

Array = NDArray[np.float32]

BATCH = 16


class SmallNetwork(nn.Module):
    """A network that two cores train in minutes: five convolutions, then the largest of all places.

    Attributes
    ----------
    last : nn.Module
        The layer whose output (N, 64, H / 8, W / 8) still has places.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 16, 32, 64, 64, 64)
        strides = (1, 2, 2, 2, 1)
        layers: list[nn.Module] = []
        for (before, after), stride in zip(pairwise(widths), strides, strict=True):
            layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after)]
            layers.append(nn.CELU())
        self.features = nn.Sequential(*layers)
        self.last = self.features[-1]
        self.head = nn.Linear(widths[-1], 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, 1) of images (N, 1, H, W) in [0, 1]."""
        level = images.mean((2, 3), keepdim=True)
        logits: Tensor = self.head(self.features(4 * (images - level)).amax((2, 3)))
        return logits


def grad_cam(network: nn.Module, layer: nn.Module, images: Array) -> Array:
    """Return maps (N, h, w) of the last layer with places, not negative (Selvaraju et al., 2017).

    Parameters
    ----------
    network : nn.Module
        From images (N, C, H, W) to logits (N, 1).
    layer : nn.Module
        Whose output (N, K, h, w) is weighted.
    images : ndarray of float32, shape (N, C, H, W)
        In [0, 1].
    """
    kept: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    maps = []
    try:
        for batch in _batches(images):
            kept.clear()
            total = network(batch).sum()
            (gradient,) = torch.autograd.grad(total, kept[0])
            weights = gradient.mean((2, 3), keepdim=True)
            maps.append(F.relu((weights * kept[0]).sum(1)).detach())
    finally:
        hook.remove()
    return torch.cat(maps).numpy()


def path_gradients(network: nn.Module, images: Array, baseline: Array, steps: int) -> Array:
    """Return maps (N, H, W) of the path from a baseline (C, H, W) (Sundararajan et al., 2017)."""
    start = torch.from_numpy(baseline)
    maps = []
    for batch in _batches(images):
        total = torch.zeros_like(batch)
        for step in range(steps):
            share = (step + 0.5) / steps
            inputs = (start + share * (batch - start)).requires_grad_()
            (gradient,) = torch.autograd.grad(network(inputs).sum(), inputs)
            total += gradient
        maps.append(((batch - start) * total / steps).sum(1))
    return torch.cat(maps).numpy()


def _batches(images: Array) -> Iterator[Tensor]:
    for first in range(0, len(images), BATCH):
        yield torch.from_numpy(images[first : first + BATCH])


def occlusion(network: nn.Module, images: Array, baseline: Array, cells: int) -> Array:
    """Return maps (N, cells, cells): by how much the logit falls where a cell is the baseline's."""
    start = torch.from_numpy(baseline)
    edges = np.linspace(0, images.shape[-1], cells + 1).astype(int)
    maps = torch.zeros(len(images), cells, cells)
    with torch.inference_mode():
        for first in range(0, len(images), BATCH):
            batch = torch.from_numpy(images[first : first + BATCH])
            whole = network(batch)[:, 0]
            for row in range(cells):
                for column in range(cells):
                    hidden = batch.clone()
                    place = (
                        slice(edges[row], edges[row + 1]),
                        slice(edges[column], edges[column + 1]),
                    )
                    hidden[:, :, *place] = start[:, *place]
                    maps[first : first + BATCH, row, column] = whole - network(hidden)[:, 0]
    return maps.numpy()
