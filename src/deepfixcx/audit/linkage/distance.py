"""The attacker of the paper: the distance of two codes as they are. It learns nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.audit.features import Array
from deepfixcx.audit.linkage.pairs import Similarity

__all__ = ["fit_distance", "minus_distances"]


def fit_distance(*_: object) -> Similarity:
    """Compare by Euclidean distance, whatever there is to train on.

    References
    ----------
    Gaudio et al., DeepFixCX, WIREs Data Mining and Knowledge Discovery, 2023,
    doi:10.1002/widm.1495.
    """
    return minus_distances


def minus_distances(probes: NDArray[Any], gallery: NDArray[Any]) -> Array:
    """Return minus the Euclidean distance of each probe to each record, (p, g).

    Examples
    --------
    >>> minus_distances(np.zeros((1, 2), np.float32), np.array([[3, 4], [0, 0]], np.float32))
    array([[-5., -0.]], dtype=float32)
    """
    one = probes.reshape(len(probes), -1).astype(np.float64)
    other = gallery.reshape(len(gallery), -1).astype(np.float64)
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1)[None] - 2 * one @ other.T
    return np.asarray(-np.sqrt(np.maximum(squares, 0)), np.float32)
