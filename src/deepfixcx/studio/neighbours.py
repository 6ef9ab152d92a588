"""Which records of a release are most alike: a look at what links them."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from deepfixcx.code import Code
from deepfixcx.errors import DeepfixcxError
from deepfixcx.report.html_release import ReleaseFacts, Shared, readable

__all__ = ["Neighbours"]

MOST_COMPARED = 5000
"""Of a larger release, the first so many are compared."""


class Neighbours:
    """The records of a release as vectors that can be compared.

    Codes are compared by 1 - cosine of the angle between them, after the mean of all was taken
    away: 0 is the same, 1 unrelated, 2 opposite. Without codes, privatized pixels are.

    Parameters
    ----------
    facts : ReleaseFacts
        The release.
    """

    def __init__(self, facts: ReleaseFacts) -> None:
        found = _vectors(facts)
        self.images = list(found)
        vectors = np.stack(list(found.values())) if found else np.zeros((0, 1), np.float32)
        vectors = vectors - vectors.mean(axis=0, keepdims=True) if len(vectors) else vectors
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        self._units = vectors / np.where(lengths > 0, lengths, 1)
        self._place = {image: place for place, image in enumerate(self.images)}

    def of(self, image: Shared, most: int = 6) -> list[tuple[Shared, float]]:
        """Return the images most alike to one, with their distances; none where it is not known."""
        place = self._place.get(image)
        if place is None:
            return []
        distances = 1 - self._units @ self._units[place]
        distances[place] = np.inf
        nearest = np.argsort(distances, kind="stable")[: min(most, len(self.images) - 1)]
        return [(self.images[each], max(0.0, float(distances[each]))) for each in nearest]


def _vectors(facts: ReleaseFacts) -> dict[Shared, NDArray[np.float32]]:
    """Return a vector for each image; those of another length than most are left out."""
    shards: dict[str, Code | None] = {}
    found: dict[Shared, NDArray[np.float32]] = {}
    for image in facts.images[:MOST_COMPARED]:
        vector = _vector(facts, image, shards)
        if vector is not None:
            found[image] = vector
    lengths = Counter(map(len, found.values()))
    usual = lengths.most_common(1)[0][0] if lengths else 0
    return {image: vector for image, vector in found.items() if len(vector) == usual}


def _vector(
    facts: ReleaseFacts, image: Shared, shards: dict[str, Code | None]
) -> NDArray[np.float32] | None:
    if not image.code_file:
        pixels = readable(facts, image)
        return None if pixels is None else pixels.reshape(-1)
    if image.code_file not in shards:
        try:
            shards[image.code_file] = facts.codes(image.code_file)
        except DeepfixcxError:
            shards[image.code_file] = None
    code = shards[image.code_file]
    if code is None or not 0 <= image.code_row < len(code):
        return None
    vector: NDArray[np.float32] = code.array[image.code_row].reshape(-1)
    return vector
