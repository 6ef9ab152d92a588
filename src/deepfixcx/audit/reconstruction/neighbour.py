"""Show the image of somebody else whose code is nearest."""

from __future__ import annotations

import numpy as np

from deepfixcx.audit.features import Array
from deepfixcx.audit.linkage.distance import minus_distances
from deepfixcx.audit.reconstruction.released import Invert, LogScores, Released

__all__ = ["fit_neighbour"]


def fit_neighbour(released: Released, images: Array, *_: object) -> Invert:
    """Remember codes and images of others, such as of a public dataset.

    References
    ----------
    Fredrikson et al., Model inversion attacks that exploit confidence information and basic
    countermeasures, CCS, 2015, doi:10.1145/2810103.2813677, of the kind of attack.
    """
    scores = LogScores.fit(released)
    known = scores(released)

    def invert(unknown: Released) -> Array:
        nearest = np.argmax(minus_distances(scores(unknown), known), axis=1)
        return np.asarray(images[nearest], np.float32)

    return invert
