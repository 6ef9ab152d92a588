"""Whether an attribution is faithful: deletion and insertion, randomized weights and labels."""

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
from deepfixcx.explain.methods import Parts, parts_of
from deepfixcx.explain.models import as_explainable

__all__ = [
    "Curves",
    "Randomized",
    "deletion_insertion",
    "label_randomization",
    "map_correlation",
    "model_randomization",
]

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False, slots=True)
class Curves:
    """Outputs while parts of the codes are deleted, and while they are inserted."""

    shares: NDArray[np.float64]  # (K + 1,), of the parts that are deleted or inserted
    deletion: Array  # (B, K + 1), from the code to its baseline
    insertion: Array  # (B, K + 1), from the baseline to the code

    @property
    def deletion_area(self) -> NDArray[np.float64]:
        """Mean of the deletion curve of each image, (B,): the lower, the better the order."""
        return np.trapezoid(self.deletion.astype(np.float64), self.shares, axis=1)

    @property
    def insertion_area(self) -> NDArray[np.float64]:
        """Mean of the insertion curve of each image, (B,): the higher, the better the order."""
        return np.trapezoid(self.insertion.astype(np.float64), self.shares, axis=1)


def deletion_insertion(
    model: object,
    attribution: Attribution,
    *,
    by: Parts = "cell",
    steps: int = 64,
    shuffled: np.random.Generator | None = None,
) -> Curves:
    """Delete and insert parts of codes in the order of an attribution, and look at the output.

    Parts are replaced with those of the baseline of the attribution, those that push most towards
    the label first. An attribution that is right makes the output fall early as they are deleted,
    and rise early as they are inserted into the baseline. Compare it with a shuffled order.

    Parameters
    ----------
    model : object
        The model that was explained.
    attribution : Attribution
        Of some codes.
    by : {"cell", "band", "number"}
        What is deleted at a time; see `occlusion`.
    steps : int
        At most so many questions a curve; where there are more parts, several go at a time.
    shuffled : numpy.random.Generator, optional
        Take the parts of each image in random order instead.

    Returns
    -------
    Curves
        Of each image.

    Raises
    ------
    ExplanationError
        The attribution has no such parts, or there are no steps.

    References
    ----------
    Petsiuk, Das and Saenko, RISE: randomized input sampling for explanation of black-box models,
    BMVC 2018, arXiv:1806.07421.

    Examples
    --------
    >>> from deepfixcx import Codec
    >>> from deepfixcx.explain.methods import occlusion
    >>> code = Codec(level=1, patches=2).encode(np.eye(8, dtype=np.float32))
    >>> def brightness(codes):
    ...     return codes[:, 0, 0].mean(axis=(1, 2))
    >>> why = occlusion(brightness, code, np.zeros_like(code.array))
    >>> deletion_insertion(brightness, why).deletion.tolist()
    [[0.25, 0.125, 0.0, 0.0, 0.0]]
    """
    if steps < 1:
        raise ExplanationError(f"curves need one step or more, got {steps}")
    explained = as_explainable(model)
    part_of = parts_of(attribution.code, by)
    needed = {"cell": ("place",), "band": ("band",), "number": ("place", "band")}[by]
    if not all(word in attribution.resolves for word in needed):
        raise ExplanationError(
            f"{attribution.method} does not distinguish {by}s; choose another value of by"
        )
    count = int(part_of.max()) + 1
    # the parts that are gone after each step
    gone = np.unique(np.linspace(0, count, min(steps, count) + 1).round().astype(np.int64))
    deletion = np.empty((len(attribution), len(gone)), np.float32)
    insertion = np.empty_like(deletion)
    for image, one in enumerate(attribution.code.array):
        instead = attribution.baseline[image % len(attribution.baseline)]
        rank = np.empty(count, np.int64)
        rank[_order(attribution.values[image], part_of, count, shuffled)] = np.arange(count)
        first = rank[part_of] < gone.reshape(-1, *[1] * part_of.ndim)
        deletion[image] = explained.outputs(np.where(first, instead, one), attribution.target)
        insertion[image] = explained.outputs(np.where(first, one, instead), attribution.target)
    return Curves(gone / count, deletion, insertion)


def _order(
    values: Array, part_of: NDArray[np.int64], count: int, shuffled: np.random.Generator | None
) -> NDArray[np.int64]:
    if shuffled is not None:
        return shuffled.permutation(count)
    amounts = np.bincount(part_of.ravel(), values.ravel().astype(np.float64), count)
    return np.argsort(-amounts, kind="stable")


@dataclass(frozen=True, slots=True)
class Randomized:
    """How alike attributions are before and after something was made random.

    Correlations are mean rank correlations, near 0 if attributions explain the model. That of sizes
    stays above 0 where codes differ from the baseline in some numbers more than in others.
    """

    what: str  # the parameters up to and with this one, or the labels
    correlation: float
    absolute: float


def map_correlation(one: Attribution, other: Attribution, *, absolute: bool = False) -> float:
    """Return the mean rank correlation (Spearman) of two attributions, image by image."""
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
        After each step; the last one compares with a completely random model.

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
        raise ExplanationError("the model has no parameters to randomize")
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

    Examples
    --------
    >>> from deepfixcx import Codec
    >>> from deepfixcx.explain import occlusion
    >>> images = np.random.default_rng(0).random((40, 1, 16, 16))
    >>> images[::2, :, :8, :8] += 1
    >>> code = Codec(level=1, patches=2).encode(images / 2)
    >>> def fit(labels):  # the difference between the means of two classes
    ...     means = [code.array[labels == label].mean(axis=0) for label in (1, 0)]
    ...     return lambda codes: (codes * (means[0] - means[1])).sum(axis=(1, 2, 3, 4))
    >>> labels = np.tile([1, 0], 20)
    >>> zeros = 0 * code.array
    >>> check = label_randomization(fit, labels, lambda model: occlusion(model, code, zeros))
    >>> abs(check.correlation) < 0.5
    True
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
