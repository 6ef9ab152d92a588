"""Attribution by gradients of a torch module: integrated gradients and gradient SHAP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from deepfixcx._optional import require
from deepfixcx.code import Code
from deepfixcx.errors import ExplanationError
from deepfixcx.explain.attribution import Attribution
from deepfixcx.explain.models import as_explainable, checked_baseline

require("torch", extra="learn")


__all__ = [
    "LogisticTwin",
    "as_tensor",
    "frozen",
    "gradient_shap",
    "integrated_gradients",
    "slopes",
]

Array = NDArray[np.float32]

NUMBERS_AT_ONCE = 1 << 18
"""Numbers of codes and steps that are worked at a time; a few buffers of 1 MB stay in a cache."""


def integrated_gradients(
    model: object,
    code: Code,
    baseline: ArrayLike,
    target: int | str = 0,
    *,
    steps: int = 50,
) -> Attribution:
    """Explain codes by integrated gradients.

    The gradient is averaged on the straight line from the baseline to the code and multiplied by
    their difference. The points are those of Gauss and Legendre, and denser towards both ends,
    where roots and logarithms of numbers near zero are steep; the integral is the same. So 50
    points reach a completeness error far below 1 % for the models of `deepfixcx.learn` on codes.
    Networks with kinks, such as rectified linear units, need more of them; see
    `Attribution.completeness_error`.

    Parameters
    ----------
    model : object
        A module of torch from codes to logits (N, L), or a model of `deepfixcx.learn`; see
        `as_explainable`.
    code : Code
        What is explained, B images.
    baseline : array_like, shape (1, C, 4**J, P, P) or (B, C, 4**J, P, P)
        What they are compared with; see `deepfixcx.explain.models`.
    target : int or str
        Which output of the model, by number or by name.
    steps : int
        Points on the line.

    Returns
    -------
    Attribution
        In log odds.

    Raises
    ------
    ExplanationError
        The model has no gradients or no such output, or shapes do not fit.
    MissingExtraError
        torch is not installed.

    References
    ----------
    Sundararajan, Taly and Yan, Axiomatic attribution for deep networks, ICML 2017,
    arXiv:1703.01365.

    Examples
    --------
    >>> from deepfixcx import Codec
    >>> code = Codec(level=2, patches=2).encode(np.random.default_rng(0).random((3, 1, 16, 16)))
    >>> module = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.CELU(), nn.Linear(8, 1))
    >>> why = integrated_gradients(module, code, np.zeros((1, 1, 16, 2, 2)))
    >>> why.values.shape, bool((why.completeness_error < 0.01).all())
    ((3, 1, 16, 2, 2), True)
    """
    if steps < 1:
        raise ExplanationError(f"integrated gradients need one step or more, got {steps}")
    explained = as_explainable(model)
    explained.check(code)
    number, label = explained.target(target)
    module = explained.differentiable("integrated gradients")
    start = checked_baseline(baseline, code)
    places, weights = _points(steps)
    values = np.empty_like(code.array)
    with frozen(module) as device:
        weight = torch.tensor(weights, dtype=torch.float32, device=device)
        share = torch.tensor(places, dtype=torch.float32, device=device)
        share = share.reshape(1, -1, *[1] * (code.array.ndim - 1))
        for rows in _runs(len(code), steps * code.array[0].size):
            to = as_tensor(code.array[rows], device)
            difference = to - as_tensor(_rows_of(start, rows), device)
            line = to.unsqueeze(1) - (1 - share) * difference.unsqueeze(1)
            mean = _weighted(_slopes_on(module, line, number), weight)
            values[rows] = (mean * difference).cpu().numpy()
        outputs = explained.outputs(code.array, number)
        before = np.broadcast_to(explained.outputs(start, number), outputs.shape).copy()
    return Attribution(
        values, code, start, outputs, before, "integrated gradients", number, label, explained.unit
    )


def gradient_shap(
    model: object,
    code: Code,
    reference: Code,
    target: int | str = 0,
    *,
    samples: int = 50,
    seed: int = 0,
) -> Attribution:
    """Explain codes by gradient SHAP: integrated gradients with many images as baselines.

    Each sample draws a baseline from the reference images and a point on the line from it to the
    code. The points are drawn evenly: one in each of equal pieces of the line. The mean over
    samples estimates Shapley values for a model that is nearly linear; its completeness error is
    that of sampling.

    Parameters
    ----------
    model, code, target
        As in `integrated_gradients`.
    reference : Code
        Images that baselines are drawn from, two or more.
    samples : int
        For each code.
    seed : int
        Of the draws.

    Returns
    -------
    Attribution
        Its baseline is the mean of the reference; its baseline outputs are the means over the
        baselines that were drawn.

    Raises
    ------
    ExplanationError
        As `integrated_gradients`; or there are fewer than two reference images.

    References
    ----------
    Lundberg and Lee, A unified approach to interpreting model predictions, NeurIPS 2017. Erion et
    al., Improving performance of deep learning models with axiomatic attribution priors and
    expected gradients, Nature Machine Intelligence, 2021.

    Examples
    --------
    >>> from deepfixcx import Codec
    >>> code = Codec(level=1, patches=1).encode(np.random.default_rng(0).random((4, 1, 8, 8)))
    >>> module = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))
    >>> why = gradient_shap(module, code, reference=code)
    >>> bool((why.completeness_error < 0.01).all())  # a linear model needs no luck
    True
    """
    if samples < 1:
        raise ExplanationError(f"gradient SHAP needs one sample or more, got {samples}")
    if len(reference) < 2 or reference.array.shape[1:] != code.array.shape[1:]:
        raise ExplanationError(
            f"gradient SHAP draws baselines from two or more codes {code.array.shape[1:]}, got "
            f"{len(reference)} of {reference.array.shape[1:]}"
        )
    explained = as_explainable(model)
    explained.check(code)
    number, label = explained.target(target)
    module = explained.differentiable("gradient SHAP")
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, len(reference), (len(code), samples))
    places = (np.arange(samples) + generator.random((len(code), samples))) / samples
    values = np.empty_like(code.array)
    with frozen(module) as device:
        weight = torch.full((samples,), 1 / samples, device=device)
        for rows in _runs(len(code), samples * code.array[0].size):
            to = as_tensor(code.array[rows], device).unsqueeze(1)
            difference = to - as_tensor(reference.array[drawn[rows]], device)
            share = as_tensor(places[rows].astype(np.float32), device)
            share = share.reshape(*share.shape, *[1] * (code.array.ndim - 1))
            gradients = _slopes_on(module, to - (1 - share) * difference, number)
            values[rows] = _weighted(gradients * difference, weight).cpu().numpy()
    outputs = explained.outputs(code.array, number)
    before = explained.outputs(reference.array, number)[drawn].mean(axis=1)
    mean = reference.array.mean(axis=0, keepdims=True)
    return Attribution(
        values, code, mean, outputs, before, "gradient SHAP", number, label, explained.unit
    )


# -- helpers ----------------------------------------------------------------------------------


def _points(steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return places in (0, 1) and weights that sum to 1, dense at both ends."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    s = (nodes + 1) / 2
    weights = weights / 2 * 6 * s * (1 - s)
    return s * s * (3 - 2 * s), weights / weights.sum()


def _runs(images: int, numbers: int) -> Iterator[slice]:
    """Cut images into runs that are worked at once."""
    at_once = max(1, NUMBERS_AT_ONCE // max(1, numbers))
    return (slice(start, start + at_once) for start in range(0, images, at_once))


def _rows_of(baseline: Array, rows: slice) -> Array:
    return baseline if len(baseline) == 1 else baseline[rows]


def _slopes_on(module: nn.Module, line: Tensor, target: int) -> Tensor:
    """Return gradients of codes (n, S, ...), of the same shape."""
    _, gradient = slopes(module, line.flatten(0, 1), target)
    return gradient.reshape(line.shape)


def _weighted(values: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted sum over the second axis."""
    return torch.einsum("ns...,s->n...", values, weights)


@contextmanager
def frozen(module: nn.Module) -> Iterator[torch.device]:
    """Put a module into the mode of evaluation, without gradients of its parameters.

    Everything is as before when the block ends. What a layer computes of its weights it computes
    once, where it can. Yields the device of the module.
    """
    training = module.training
    learned = [each for each in module.parameters() if each.requires_grad]
    device = next((each.device for each in module.parameters()), torch.device("cpu"))
    holding: list[Any] = [each for each in module.modules() if hasattr(each, "hold")]
    try:
        module.eval()
        for each in learned:
            each.requires_grad_(False)
        for layer in holding:
            layer.hold(True)
        with torch.enable_grad():
            yield device
    finally:
        for layer in holding:
            layer.hold(False)
        for each in learned:
            each.requires_grad_(True)
        module.train(training)


def slopes(module: nn.Module, codes: Tensor, target: int) -> tuple[Tensor, Tensor]:
    """Return one output of some codes, (N,), and its gradient, of the shape of the codes."""
    inputs = codes.detach().requires_grad_(True)
    logits = module(inputs)
    if not isinstance(logits, Tensor) or logits.ndim != 2 or logits.shape[1] <= target:
        made = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ExplanationError(
            f"a module returns logits (N, L) with more than {target} outputs, this one "
            f"returned {made}"
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


TINY = 1e-12
"""Added below roots: the slope at zero is finite, and values change by less than a millionth."""


class LogisticTwin(nn.Module):
    """Log odds of codes: roots with the sign kept, then a weight for each number.

    Shapes: mean (n,); weights (n, L); bias (L,).
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
