"""A siamese convolutional network, trained anew on what was released.

The protocol is that of PriCheXy-Net's evaluation: Adam with a learning rate of 1e-4 on pairs in
batches of 32, binary cross-entropy, an end after 5 epochs without a lower loss on patients set
aside. There, a ResNet-50 began with what it had learned from a million photographs. Here a small
network begins with what `contrast` learns from the attacker's own images: so it links 601 raw
X-rays at 0.86, and by the protocol alone at 0.78.
"""

from __future__ import annotations

import numpy as np

from deepfixcx._optional import require
from deepfixcx.audit.features import CODE_AXES, Array, rooted
from deepfixcx.audit.linkage.contrast import Contrast, learn_by_contrast
from deepfixcx.audit.linkage.pairs import Pairs, Similarity
from deepfixcx.audit.linkage.siamese import EMBEDDING, Protocol, Siamese, seeded, set_aside, train

require("torch", extra="audit")

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["fit_siamese_cnn"]

WIDTHS = (16, 32, 64, 128)
GROUPS = 8
LEAST_TO_HALVE = 8
"""Pixels a side from which on a block halves them."""

DROPPED = 0.3
FIRST_SCALE = 5.0
"""Of the cosine of two embeddings, before the protocol learns it."""

CONTRAST = Contrast(
    learning_rate=1e-3, decay=1e-4, batch=128, temperature=0.1, epochs=60, every=5, patience=4
)
PROTOCOL = Protocol(learning_rate=1e-4, batch=32, pairs=200, epochs=30, patience=5)


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
        siamese = _Cosines(_network(gallery(training.gallery[:1])))
        seen = probes(training.all_probes), gallery(training.all_gallery)
        learn_by_contrast(siamese, learning, aside, *seen, CONTRAST, generator)
        train(siamese, learning, aside, *seen, PROTOCOL, generator)
    return lambda one, other: siamese.compare(probes(one), gallery(other))


class _Cosines(Siamese):
    """Judges the angle of two embeddings."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        self.head = nn.Linear(1, 1)
        nn.init.constant_(self.head.weight, FIRST_SCALE)

    def embed(self, records: Tensor) -> Tensor:
        """Return embeddings of length 1, (B, 128)."""
        return F.normalize(self.network(records), dim=-1)

    def judge(self, one: Tensor, other: Tensor) -> Tensor:
        """Return log odds of pairs of embeddings (..., 128)."""
        odds: Tensor = self.head((one * other).sum(-1, keepdim=True))[..., 0]
        return odds


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
    last = nn.Linear(channels * side * side, EMBEDDING)
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(side), nn.Flatten(), nn.Dropout(DROPPED), last
    )
