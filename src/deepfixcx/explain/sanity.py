"""Sanity checks: an explanation of a model must change when the model, or its task, does."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx._optional import require
from deepfixcx.errors import ExplanationError
from deepfixcx.explain.attribution import Attribution
from deepfixcx.explain.models import as_explainable

__all__ = ["Randomized", "label_randomization", "map_correlation", "model_randomization"]


@dataclass(frozen=True, slots=True)
class Randomized:
    """How alike attributions are before and after something was made random.

    Attributes
    ----------
    what : str
        What was made random: the parameters up to and with this one, or the labels.
    correlation : float
        Mean rank correlation of attributions; near 0 if they explain the model.
    absolute : float
        The same of their sizes. It stays above 0 where codes differ from the baseline in some
        numbers more than in others, because that difference is a factor of every attribution.
    """

    what: str
    correlation: float
    absolute: float


def map_correlation(one: Attribution, other: Attribution, *, absolute: bool = False) -> float:
    """Return the mean rank correlation (Spearman) of two attributions, image by image.

    Parameters
    ----------
    one, other : Attribution
        Of the same codes.
    absolute : bool
        Compare sizes rather than values.

    Returns
    -------
    float
        From -1 to 1; 0 where an attribution is constant.

    Raises
    ------
    ExplanationError
        They are of other codes.

    Examples
    --------
    >>> from deepfixcx import Codec
    >>> from deepfixcx.explain.occlusion import occlusion
    >>> code = Codec(level=1, patches=2).encode(np.random.default_rng(0).random((2, 1, 8, 8)))
    >>> why = occlusion(lambda codes: codes.sum(axis=(1, 2, 3, 4)), code, 0 * code.array)
    >>> round(map_correlation(why, why), 6)
    1.0
    """
    if one.values.shape != other.values.shape:
        raise ExplanationError(
            f"attributions of the same codes can be compared, got {one.values.shape} and "
            f"{other.values.shape}"
        )
    pairs = []
    for each in (one, other):
        values = each.values.reshape(len(each), -1)
        ranks = np.stack([_ranks(row) for row in (np.abs(values) if absolute else values)])
        ranks -= ranks.mean(axis=1, keepdims=True)
        norms = np.sqrt((ranks**2).sum(axis=1, keepdims=True))
        pairs.append(np.divide(ranks, norms, out=np.zeros_like(ranks), where=norms > 0))
    return float((pairs[0] * pairs[1]).sum(axis=1).mean())


def model_randomization(
    model: object, explain: Callable[[Any], Attribution], *, seed: int = 0
) -> tuple[Randomized, ...]:
    """Make a model random, from its last parameters to its first, and compare explanations.

    Parameters
    ----------
    model : object
        A module of torch, or what `as_explainable` makes one of. It stays as it is.
    explain : callable
        Returns the attribution of the same codes for the model that it is given, such as
        ``lambda model: integrated_gradients(model, code, baseline)``.
    seed : int
        Of the random parameters, which are normal with the mean square of those they replace.

    Returns
    -------
    tuple of Randomized
        After each step; the last one compares with a model of which nothing is left.

    Raises
    ------
    ExplanationError
        The model has no parameters.
    MissingExtraError
        torch is not installed.

    References
    ----------
    Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018, arXiv:1810.03292.

    Examples
    --------
    >>> import torch
    >>> from deepfixcx import Codec
    >>> from deepfixcx.explain.gradients import integrated_gradients
    >>> code = Codec(level=2, patches=4).encode(np.random.default_rng(0).random((3, 1, 32, 32)))
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 1))
    >>> checks = model_randomization(
    ...     model, lambda model: integrated_gradients(model, code, 0 * code.array)
    ... )
    >>> [check.what for check in checks], abs(checks[-1].correlation) < 0.3
    (['1.bias', '1.weight'], True)
    """
    torch = require("torch", extra="learn")
    module = copy.deepcopy(as_explainable(model).differentiable("model randomization"))
    before = explain(as_explainable(model).module)
    generator = torch.Generator().manual_seed(seed)
    checks = []
    with torch.no_grad():
        for name, values in reversed(list(module.named_parameters())):
            size = values.square().mean().sqrt()
            values.copy_(torch.randn(values.shape, generator=generator).to(values) * size)
            checks.append(_compared(name, before, explain(module)))
    if not checks:
        raise ExplanationError("the model has no parameters that could be made random")
    return tuple(checks)


def label_randomization(
    fit: Callable[[NDArray[Any]], object],
    labels: ArrayLike,
    explain: Callable[[Any], Attribution],
    *,
    seed: int = 0,
) -> Randomized:
    """Train a model on labels in random order, and compare its explanations with the real ones.

    Parameters
    ----------
    fit : callable
        Returns a model trained on the labels that it is given.
    labels : array_like, shape (N,) or (N, L)
        The real labels.
    explain : callable
        Returns the attribution of the same codes for the model that it is given.
    seed : int
        Of the order.

    Returns
    -------
    Randomized
        Its correlation is near 0 if explanations depend on what the model learned.

    References
    ----------
    Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018, arXiv:1810.03292.
    """
    truth = np.asarray(labels)
    mixed = np.random.default_rng(seed).permutation(truth)
    return _compared("labels", explain(fit(truth)), explain(fit(mixed)))


def _compared(what: str, before: Attribution, after: Attribution) -> Randomized:
    return Randomized(
        what, map_correlation(before, after), map_correlation(before, after, absolute=True)
    )


def _ranks(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return ranks, equal values having the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    means: NDArray[np.float64] = last - (counts - 1) / 2
    return means[places]
