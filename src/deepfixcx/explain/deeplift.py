"""DeepLift: slopes between two points instead of gradients at one.

Captum's DeepLift knows nonlinearities by the class of their module. Models on codes begin with
roots and logarithms that are plain functions, and end with CELU, which it does not list; there it
falls back to gradients and loses completeness. Here every function of torch is seen as it is
called, module or not, so the same rule holds for all of them. The tests compare with Captum where
its rules apply.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx._optional import require
from deepfixcx.code import Code
from deepfixcx.explain.attribution import Attribution
from deepfixcx.explain.models import as_explainable, checked_baseline

require("torch", extra="learn")

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from deepfixcx.explain.gradients import as_tensor, frozen, slopes

__all__ = ["deep_lift"]

Array = NDArray[np.float32]

CODES_AT_ONCE = 256

CLOSE = 1e-6
"""Between values that differ by less, the gradient takes the place of the slope."""

CURVES = frozenset(
    {"abs", "absolute", "celu", "clamp", "clamp_min", "elu", "exp", "gelu", "hardtanh"}
    | {"leaky_relu", "log", "log1p", "pow", "relu", "relu6", "selu", "sigmoid", "sign", "silu"}
    | {"softplus", "sqrt", "square", "tanh"}
)
"""Functions of torch that take every number by itself."""

PRODUCTS = frozenset({"mul", "multiply", "__mul__", "__rmul__"})


def deep_lift(model: object, code: Code, baseline: ArrayLike, target: int | str = 0) -> Attribution:
    """Explain codes by DeepLift, with the rescale rule.

    The model runs once on the codes and once on their baselines. In place of the gradient of each
    function that takes numbers one by one stands the slope between what came in on the two runs;
    a product of two numbers that both change is shared halfway. So the values sum to the change of
    the output, for models made of these functions and linear ones. Others (maximum pooling,
    softmax, division by what changes) keep their gradient, and the completeness error says how
    much that matters.

    Parameters
    ----------
    model, code, baseline, target
        As in `integrated_gradients`.

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
    Shrikumar, Greenside and Kundaje, Learning important features through propagating activation
    differences, ICML 2017, arXiv:1704.02685. Ancona et al., ICLR 2018, arXiv:1711.06104.

    Examples
    --------
    >>> from deepfixcx import Codec
    >>> code = Codec(level=1, patches=1).encode(np.random.default_rng(0).random((2, 1, 8, 8)))
    >>> module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 1), torch.nn.Tanh())
    >>> why = deep_lift(module, code, np.zeros((1, 1, 4, 1, 1)))
    >>> bool((why.completeness_error < 1e-3).all())
    True
    """
    explained = as_explainable(model)
    explained.check(code)
    number, label = explained.target(target)
    module = explained.differentiable("DeepLift")
    start = checked_baseline(baseline, code)
    values = np.empty_like(code.array)
    with frozen(module) as device:
        for first in range(0, len(code), CODES_AT_ONCE):
            rows = slice(first, first + CODES_AT_ONCE)
            to = as_tensor(code.array[rows], device)
            before = as_tensor(start if len(start) == 1 else start[rows], device)
            pair = torch.cat([to, before.expand_as(to)])
            with _Rescale(len(pair)):
                _, slope = slopes(module, pair, number)
            values[rows] = (slope[: len(to)] * (to - before)).cpu().numpy()
    outputs = explained.outputs(code.array, number)
    before_outputs = np.broadcast_to(explained.outputs(start, number), outputs.shape).copy()
    return Attribution(
        values, code, start, outputs, before_outputs, "DeepLift", number, label, explained.unit
    )


class _Rescale(TorchFunctionMode):
    """While it is on, functions of a batch of codes and then their baselines pass back slopes."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.batch = batch

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name in PRODUCTS and len(args) == 2 and all(map(self._changes, args)):
            return self._product(func, *args)
        changing = [self._changes(each) for each in args]
        if name in CURVES and changing[:1] == [True] and not any(changing[1:]):
            return self._curve(func, args[0], args[1:], named)
        return func(*args, **named)

    def _changes(self, value: object) -> bool:
        """Whether a value depends on the codes; parameters are frozen, so nothing else does."""
        return (
            isinstance(value, Tensor)
            and value.requires_grad
            and value.ndim > 0
            and len(value) == self.batch
        )

    def _curve(
        self, func: Callable[..., Any], value: Tensor, others: Any, named: dict[str, Any]
    ) -> Tensor:
        """Apply a function number by number, with the slope from baseline to code both ways."""
        point = value.detach().clone().requires_grad_(True)
        named.pop("inplace", None)
        result: Tensor = func(point.clone(), *others, **named)
        (gradient,) = torch.autograd.grad(result.sum(), point)
        made = result.detach()
        rise, run = _change(made), _change(point.detach())
        slope = torch.where(_both(run.abs() > CLOSE), _both(rise / run), gradient)
        # a root is infinitely steep at zero; where nothing changes, that must not count
        slope = torch.nan_to_num(slope, nan=0.0, posinf=0.0, neginf=0.0)
        # the value of the function, with the slope of the secant
        return made + slope * (value - value.detach())

    def _product(self, func: Callable[..., Any], one: Tensor, other: Tensor) -> Tensor:
        """Multiply two changing numbers; each passes back the mean of the other on both runs."""
        made: Tensor = func(one.detach(), other.detach())
        of_one, of_other = (_both(_mean(each.detach())) for each in (other, one))
        return made + of_one * (one - one.detach()) + of_other * (other - other.detach())


def _change(pair: Tensor) -> Tensor:
    codes, baselines = pair.chunk(2)
    return codes - baselines


def _mean(pair: Tensor) -> Tensor:
    codes, baselines = pair.chunk(2)
    return (codes + baselines) / 2


def _both(half: Tensor) -> Tensor:
    return torch.cat([half, half])
