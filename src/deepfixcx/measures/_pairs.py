"""Labels and scores side by side: what is known of them, and what groups there are."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.errors import LabelError

__all__ = ["Floats", "known_pairs", "member_numbers"]

Floats = NDArray[np.float64]


def known_pairs(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return labels and scores where the label is known, and where that is."""
    truth, values = np.asarray(labels, np.float64), np.asarray(scores, np.float64)
    if truth.ndim != 1 or truth.shape != values.shape:
        raise LabelError(
            f"labels and scores are two lists of one length, got shapes {truth.shape} and "
            f"{values.shape}"
        )
    known = ~np.isnan(truth)
    truth, values = truth[known], values[known]
    if not np.isin(truth, (0, 1)).all():
        raise LabelError("labels are 1, 0, or NaN where unknown; there are other numbers")
    if not np.isfinite(values).all():
        raise LabelError("there are scores that are not finite; the model that gave them diverged")
    return truth, values, known


def member_numbers(groups: ArrayLike | None, kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Give the groups of the images that are kept a number each."""
    if groups is None:
        return np.zeros(int(kept.sum()), np.int64)
    names = np.asarray(groups)
    if names.shape != kept.shape:
        raise LabelError(
            f"there are {len(kept)} images and groups or patients of shape {names.shape}; "
            f"give one for each image"
        )
    return np.unique(names[kept], return_inverse=True)[1].astype(np.int64)
