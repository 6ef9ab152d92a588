"""Why a network on images decided, by three usual methods: for comparison with codes."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["grad_cam", "integrated_gradients", "occlusion"]

Array = NDArray[np.float32]

BATCH = 16


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
        for batch in torch.from_numpy(images).split(BATCH):
            kept.clear()
            total = network(batch).sum()
            (gradient,) = torch.autograd.grad(total, kept[0])
            weights = gradient.mean((2, 3), keepdim=True)
            maps.append(F.relu((weights * kept[0]).sum(1)).detach())
    finally:
        hook.remove()
    return torch.cat(maps).numpy()


def integrated_gradients(network: nn.Module, images: Array, baseline: Array, steps: int) -> Array:
    """Return maps (N, H, W) of the path from a baseline (C, H, W) (Sundararajan et al., 2017)."""
    start = torch.from_numpy(baseline)
    maps = []
    for batch in torch.from_numpy(images).split(BATCH):
        total = torch.zeros_like(batch)
        for step in range(steps):
            share = (step + 0.5) / steps
            inputs = (start + share * (batch - start)).requires_grad_()
            (gradient,) = torch.autograd.grad(network(inputs).sum(), inputs)
            total += gradient
        maps.append(((batch - start) * total / steps).sum(1))
    return torch.cat(maps).numpy()


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
