"""A network as a user would bring it."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["Small"]


class Small(nn.Module):
    def __init__(self, channels: int, labels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 8, 3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AdaptiveMaxPool2d(3),
            nn.Flatten(),
            nn.Linear(72, labels),
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits
