"""Pairs of a probe and a record: which may be compared, which are of one patient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.audit.features import Array

__all__ = ["Fit", "Pairs", "Similarity"]

Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Pairs:
    """What an attacker trains on.

    Attributes
    ----------
    all_probes, all_gallery : ndarray of float32, shapes (p', ...) and (g', ...)
        Everything that is looked for, and everything it is looked for in. In the mode
        released-released both are the same records.
    probe_places, gallery_places : ndarray of int64, shapes (p,) and (g,)
        Which of them there are here.
    probe_owners, gallery_owners : sparse matrix, shapes (p, patients) and (g, patients)
        Whose they are; a mixed record has several owners.
    match : ndarray of bool, shape (p, g)
        Pairs that share a patient and no image.
    usable : ndarray of bool, shape (p, g)
        Pairs that share no image. Others teach an attacker nothing.

    Examples
    --------
    >>> records, places = np.zeros((2, 3), np.float32), np.arange(2)
    >>> match = np.eye(2, dtype=np.bool_)
    >>> pairs = Pairs(records, records, places, places, np.eye(2), np.eye(2), match, ~match)
    >>> pairs.probes.shape
    (2, 3)
    """

    all_probes: Array
    all_gallery: Array
    probe_places: Places
    gallery_places: Places
    probe_owners: Any
    gallery_owners: Any
    match: NDArray[np.bool_]
    usable: NDArray[np.bool_]

    @property
    def probes(self) -> Array:
        """The probes here, (p, ...)."""
        return self.all_probes[self.probe_places]

    @property
    def gallery(self) -> Array:
        """The records here, (g, ...)."""
        return self.all_gallery[self.gallery_places]

    def some_match(self) -> bool:
        """Whether two records are of one patient, and two are not."""
        return bool(self.match.any() and (self.usable & ~self.match).any())

    def among_probes(self) -> Pairs:
        """Return the pairs of two probes, which an attacker who holds them knows without a release.

        Probes in the mode released-raw are images, of which no two are the same.
        """
        apart = ~np.eye(len(self.probe_places), dtype=np.bool_)
        related = (self.probe_owners @ self.probe_owners.T).toarray() > 0
        return Pairs(
            self.all_probes,
            self.all_probes,
            self.probe_places,
            self.probe_places,
            self.probe_owners,
            self.probe_owners,
            related & apart,
            apart,
        )

    def some(self, probes: Places, gallery: Places) -> Pairs:
        """Keep these probes and these records."""
        return Pairs(
            self.all_probes,
            self.all_gallery,
            self.probe_places[probes],
            self.gallery_places[gallery],
            self.probe_owners[probes],
            self.gallery_owners[gallery],
            self.match[np.ix_(probes, gallery)],
            self.usable[np.ix_(probes, gallery)],
        )

    def split(self, share: float, generator: np.random.Generator) -> tuple[Pairs, Pairs]:
        """Set some patients aside, to stop training early by them.

        Returns
        -------
        Pairs, Pairs
            Those of records and probes without any patient that was set aside, and of those with.
        """
        matched = self.probe_owners[self.match.any(axis=1)].sum(axis=0) > 0
        held = np.zeros(self.probe_owners.shape[1], np.int32)
        for kind in (matched, ~matched):  # strangers are set aside too, to tell patients from
            members = generator.permutation(np.flatnonzero(kind))
            held[members[: round(share * len(members))]] = 1
        probes, gallery = self.probe_owners @ held > 0, self.gallery_owners @ held > 0
        return (
            self.some(np.flatnonzero(~probes), np.flatnonzero(~gallery)),
            self.some(np.flatnonzero(probes), np.flatnonzero(gallery)),
        )


Similarity = Callable[[Array, Array], Array]
"""Told probes (p, ...) and records (g, ...): how alike each two are, (p, g); any scale."""

Fit = Callable[[Pairs, int], Similarity]
"""An attacker: told what to train on and a seed, it returns how it compares."""
