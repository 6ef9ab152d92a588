"""A logistic regression on codes as a module of torch, so that it has gradients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require

require("torch", extra="learn")

import torch
from torch import Tensor, nn

__all__ = ["LogisticTwin"]

TINY = 1e-12
"""Added below roots: the slope at zero is finite, and values change by less than a millionth."""


class LogisticTwin(nn.Module):
    """Log odds of codes: roots with the sign kept, then a weight for each number.

    Parameters
    ----------
    rooted : bool
        Whether roots are taken.
    mean : ndarray, shape (n,)
        Subtracted from the (roots of the) numbers.
    weights : ndarray, shape (n, L)
        A column for each label.
    bias : ndarray, shape (L,)
        Added.

    Examples
    --------
    >>> twin = LogisticTwin(True, np.zeros(4), np.ones((4, 1)), np.zeros(1))
    >>> twin(torch.full((1, 1, 4, 1, 1), 9.0)).round().tolist()
    [[12.0]]
    """

    mean: Tensor

    def __init__(
        self,
        rooted: bool,
        mean: NDArray[np.float32],
        weights: NDArray[np.float32],
        bias: NDArray[np.float32],
    ) -> None:
        super().__init__()
        self.rooted = rooted
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.weights = nn.Parameter(torch.tensor(weights, dtype=torch.float32))
        self.bias = nn.Parameter(torch.tensor(bias, dtype=torch.float32))

    def forward(self, codes: Tensor) -> Tensor:
        """Return log odds (N, L) of codes (N, C, 4**J, P, P)."""
        values = codes.flatten(1)
        if self.rooted:
            values = values.sign() * (values.abs() + TINY).sqrt()
        return (values - self.mean) @ self.weights + self.bias

    def middle(self) -> Tensor:
        """Return the code in the middle of those that the model learned from, (n,)."""
        return self.mean * self.mean.abs() if self.rooted else self.mean
