"""Who trains on what, and is tested on what: patients in folds, records that mix them with care.

Of each fold some patients are tested. An attacker trains on records and probes without any of them.
The gallery is every record that it did not train on: networks and components place what they were
trained on elsewhere than what is new, so that a gallery of both would look linkable by that alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.audit.folds import patient_folds
from deepfixcx.audit.linkage.pairs import Pairs
from deepfixcx.audit.linkage.records import Records
from deepfixcx.errors import AuditError

__all__ = ["Searches", "Test", "make_tests"]

Bools = NDArray[np.bool_]
Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Searches:
    """What is looked for in a gallery: one patient, by one probe, in each row.

    Attributes
    ----------
    probes, patients : ndarray of int64, shape (n,)
        Which probe, and whose records it should find.
    true, stranger : ndarray of bool, shape (n, g)
        Records of that patient; records of nobody who is in the probe. What shares an image with
        the probe is neither.
    """

    probes: Places
    patients: Places
    true: Bools
    stranger: Bools


@dataclass(frozen=True, eq=False, slots=True)
class Test:
    """One fold: what the attacker trains on, and what it is tested on.

    Attributes
    ----------
    training : Pairs
        Without any tested patient.
    probes, gallery : ndarray of int64
        Places of the tested ones among all probes and all records.
    searches : Searches
        Of these.
    """

    training: Pairs
    probes: Places
    gallery: Places
    searches: Searches


def make_tests(
    released: Records,
    probes: Records | None,
    patients: NDArray[np.int64],
    folds: int,
    generator: np.random.Generator,
) -> Iterator[Test]:
    """Yield a test for each fold of the patients; `probes` None looks for the released ones.

    Raises
    ------
    AuditError
        Folds do not fit, or probes have another shape than records, or no patient can be searched.
    """
    looked_for = released if probes is None else probes
    if looked_for.array.shape[1:] != released.array.shape[1:]:
        raise AuditError(
            f"probes are {looked_for.array.shape[1:]} and records {released.array.shape[1:]} each; "
            f"an attacker compares like with like, so encode the probes as the release was"
        )
    fold_of = patient_folds(patients, folds, generator)
    owners = released.owners(patients)
    whose = looked_for.owners(patients)
    related = (whose @ owners.T).toarray() > 0
    images = looked_for.images(len(patients))
    shared = (images @ released.images(len(patients)).T).toarray() > 0
    found = False
    for fold in range(folds):
        tested = (fold_of == fold).astype(np.int32)
        of_gallery, of_probes = owners @ tested > 0, whose @ tested > 0
        gallery, chosen = np.flatnonzero(of_gallery), np.flatnonzero(of_probes)
        searches = _searches(
            whose[chosen].toarray() * tested,
            owners[gallery],
            related[np.ix_(chosen, gallery)],
            shared[np.ix_(chosen, gallery)],
        )
        if not len(searches.probes):
            continue
        found = True
        everything = Pairs(
            looked_for.array,
            released.array,
            np.arange(len(looked_for)),
            np.arange(len(released)),
            whose,
            owners,
            related & ~shared,
            ~shared,
        )
        training = everything.some(np.flatnonzero(~of_probes), np.flatnonzero(~of_gallery))
        if not training.match.any():
            raise AuditError(
                f"without the patients of fold {fold + 1} of {folds} no two records are of one "
                f"patient, so that an attacker has nothing to learn from; take more folds or "
                f"more patients with several images"
            )
        yield Test(training, chosen, gallery, searches)
    if not found:
        raise AuditError(
            "no patient has a probe and another record, so nobody can be linked; linkage needs "
            "patients with two images or more"
        )


def _searches(whose: NDArray[np.int32], owners: Any, related: Bools, shared: Bools) -> Searches:
    """List every patient in every probe who has a record to be found, and strangers beside it."""
    probes, patients = np.nonzero(whose)
    has = owners.toarray().T[patients] > 0
    true, stranger = has & ~shared[probes], ~related[probes]
    kept = true.any(axis=1) & stranger.any(axis=1)
    return Searches(probes[kept], patients[kept], true[kept], stranger[kept])
