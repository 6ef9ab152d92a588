"""What the methods with gradients share: a module that stands still, and slopes of one output."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.errors import ExplanationError

require("torch", extra="learn")

import torch
from torch import Tensor, nn

__all__ = ["as_tensor", "frozen", "slopes"]

Array = NDArray[np.float32]


@contextmanager
def frozen(module: nn.Module) -> Iterator[torch.device]:
    """Put a module into the mode of evaluation, without gradients of its parameters.

    Everything is as before when the block ends. Yields the device of the module.
    """
    training = module.training
    learned = [each for each in module.parameters() if each.requires_grad]
    device = next((each.device for each in module.parameters()), torch.device("cpu"))
    try:
        module.eval()
        for each in learned:
            each.requires_grad_(False)
        with torch.enable_grad():
            yield device
    finally:
        for each in learned:
            each.requires_grad_(True)
        module.train(training)


def slopes(module: nn.Module, codes: Tensor, target: int) -> tuple[Tensor, Tensor]:
    """Return one output of some codes, (N,), and its gradient, of the shape of the codes.

    Raises
    ------
    ExplanationError
        The module returns no logits (N, L) with this output, or they do not depend on the codes.
    """
    inputs = codes.detach().requires_grad_(True)
    logits = module(inputs)
    if not isinstance(logits, Tensor) or logits.ndim != 2 or logits.shape[1] <= target:
        made = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ExplanationError(
            f"a module returns logits (N, L) with more than {target} outputs, this one made {made}"
        )
    if not logits.requires_grad:
        raise ExplanationError(
            "the model's output has no gradient with respect to codes; explain it by occlusion"
        )
    outputs = logits[:, target]
    (gradient,) = torch.autograd.grad(outputs.sum(), inputs)
    return outputs.detach(), gradient


def as_tensor(codes: Array, device: torch.device) -> Tensor:
    """Return codes as a tensor on a device."""
    return torch.from_numpy(np.ascontiguousarray(codes, np.float32)).to(device)
