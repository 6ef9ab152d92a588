"""An attacker that knows labels too: how well codes agree, and how well labels do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from deepfixcx.audit.features import flatten
from deepfixcx.audit.linkage import ATTACKERS
from deepfixcx.audit.linkage.labels import label_distances
from deepfixcx.audit.linkage.pairs import Fit, Pairs, Similarity

__all__ = ["LabelledAttacker", "beside_labels"]

Array = NDArray[np.float32]


class LabelledAttacker:
    """Add standard scores of two similarities: of records by another attacker, and of labels.

    Parameters
    ----------
    labels : int
        So many last numbers of each record are labels.
    attacker : str
        Who compares the others.
    """

    __name__ = "with labels"

    def __init__(self, labels: int, attacker: str = "whitening") -> None:
        self._labels = labels
        self._fit: Fit = ATTACKERS[attacker]

    def __call__(self, training: Pairs, seed: int) -> Similarity:
        """Train on what stands before the labels."""
        count = self._labels
        stripped = replace(
            training,
            all_probes=training.all_probes[:, :-count],
            all_gallery=training.all_gallery[:, :-count],
        )
        compare = self._fit(stripped, seed)

        def both(probes: Array, gallery: Array) -> Array:
            by_code = compare(probes[:, :-count], gallery[:, :-count])
            by_label = -label_distances(probes[:, -count:], gallery[:, -count:])
            return _standard(by_code) + _standard(by_label)

        return both


def beside_labels(array: Array, labels: Array) -> Array:
    """Return records as vectors that end with their labels, unknown ones as one half.

    Examples
    --------
    >>> beside_labels(np.ones((1, 2), np.float32), np.array([[np.nan]], np.float32)).tolist()
    [[1.0, 1.0, 0.5]]
    """
    known = np.nan_to_num(labels, nan=0.5).astype(np.float32)
    return np.concatenate([flatten(array), known], axis=1)


def _standard(values: Array) -> Array:
    deviation = float(values.std())
    centred = values - values.mean()
    return np.asarray(centred / deviation if deviation > 0 else centred, np.float32)
