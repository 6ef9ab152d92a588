"""A siamese convolutional network, trained as in the evaluation of PriCheXy-Net.

Pairs in batches of 32, Adam with a learning rate of 1e-4, binary cross-entropy, at most 100 epochs,
and an end after 5 without a lower loss on patients set aside; trained anew on what was released.
Two things differ: the network is small and begins with random weights (there, a ResNet-50 that had
learned from photographs), and strangers are drawn anew in each epoch, because patients are few.
"""

from __future__ import annotations

import numpy as np

from deepfixcx._optional import require
from deepfixcx.audit.features import CODE_AXES, Array, rooted
from deepfixcx.audit.linkage.pairs import Pairs, Similarity
from deepfixcx.audit.linkage.siamese import EMBEDDING, Protocol, Siamese, seeded, set_aside, train

require("torch", extra="audit")

import torch
from torch import Tensor, nn

__all__ = ["fit_siamese_cnn"]

WIDTHS = (16, 32, 64, 128)
GROUPS = 8
LEAST_TO_HALVE = 8
"""Pixels a side from which on a block halves them."""

PROTOCOL = Protocol(learning_rate=1e-4, batch=32, pairs=5000, epochs=100, patience=5)


def fit_siamese_cnn(training: Pairs, seed: int) -> Similarity:
    """Train on images, on codes with a channel for each band, or on vectors as images of 1 pixel.

    Parameters
    ----------
    training : Pairs
        With pairs of four or more patients.
    seed : int
        Of weights, pairs and the patients set aside.

    Raises
    ------
    AuditError
        Too few patients.

    References
    ----------
    Packhäuser et al., Deep learning-based anonymization of chest radiographs: a utility-preserving
    measure for patient privacy, MICCAI, 2023, doi:10.1007/978-3-031-43904-9_26.
    """
    probes, gallery = _Channels(training.probes), _Channels(training.gallery)
    generator = np.random.default_rng(seed)
    learning, aside = set_aside(training, generator)
    with seeded(seed):
        siamese = Siamese(_network(gallery(training.gallery[:1])))
        seen = probes(training.all_probes), gallery(training.all_gallery)
        train(siamese, learning, aside, *seen, PROTOCOL, generator)
    return lambda one, other: siamese.compare(probes(one), gallery(other))


class _Channels:
    """Records as images (B, channels, h, w), each channel with mean 0 and deviation 1."""

    def __init__(self, records: Array) -> None:
        images = _as_images(records)
        self._mean = images.mean(axis=(0, 2, 3), keepdims=True)
        deviation = images.std(axis=(0, 2, 3), keepdims=True)
        self._deviation = np.where(deviation > 1e-6, deviation, 1)

    def __call__(self, records: Array) -> Tensor:
        images = (_as_images(records) - self._mean) / self._deviation
        return torch.from_numpy(np.ascontiguousarray(images, np.float32))


def _as_images(records: Array) -> Array:
    numbers = rooted(records)
    if numbers.ndim == 4:
        return numbers
    if numbers.ndim == CODE_AXES[1]:
        numbers = np.moveaxis(numbers, 5, 3)
    if numbers.ndim in CODE_AXES:
        return numbers.reshape(len(numbers), -1, *numbers.shape[-2:])
    return numbers.reshape(len(numbers), -1, 1, 1)


class _Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.GroupNorm(GROUPS, after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.GroupNorm(GROUPS, after),
        )
        self.shortcut = nn.Conv2d(before, after, 1, stride)

    def forward(self, images: Tensor) -> Tensor:
        both: Tensor = self.path(images) + self.shortcut(images)
        return torch.relu(both)


def _network(example: Tensor) -> nn.Module:
    channels, side = example.shape[1], min(example.shape[2:])
    layers: list[nn.Module] = []
    for width in WIDTHS:
        stride = 2 if side >= LEAST_TO_HALVE else 1
        side = -(-side // stride)
        layers.append(_Block(channels, width, stride))
        channels = width
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, EMBEDDING)
    )
