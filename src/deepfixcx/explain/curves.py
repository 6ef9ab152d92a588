"""Deletion and insertion: whether outputs follow what an attribution calls important."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import ExplanationError
from deepfixcx.explain.attribution import Attribution
from deepfixcx.explain.models import as_explainable
from deepfixcx.explain.occlusion import Parts, parts_of

__all__ = ["Curves", "deletion_insertion"]

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False, slots=True)
class Curves:
    """Outputs while parts of the codes are deleted, and while they are inserted.

    Attributes
    ----------
    shares : ndarray of float64, shape (K + 1,)
        Share of the parts that is deleted or inserted, from 0 to 1.
    deletion, insertion : ndarray of float32, shape (B, K + 1)
        The output: from the code to its baseline, and from the baseline to the code.
    """

    shares: NDArray[np.float64]
    deletion: Array
    insertion: Array

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
        The attribution tells nothing of such parts, or there are no steps.

    References
    ----------
    Petsiuk, Das and Saenko, RISE: randomized input sampling for explanation of black-box models,
    BMVC 2018, arXiv:1806.07421.

    Examples
    --------
    >>> from deepfixcx import Codec
    >>> from deepfixcx.explain.occlusion import occlusion
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
    if not all(word in attribution.tells for word in needed):
        raise ExplanationError(f"{attribution.method} does not tell {by}s apart; choose another by")
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
