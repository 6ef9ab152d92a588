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

__all__ = ["Public", "Searches", "Test", "make_tests"]

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
class Public:
    """Public images in the form of the release, of patients who are not in it.

    Attributes
    ----------
    records : Records
        One record of each image.
    patients : ndarray of int64, shape (N,)
        Patient of each image, numbered from 0.
    labels : ndarray of float32, shape (N, L), optional
        The same columns as for the release.
    """

    records: Records
    patients: Places
    labels: NDArray[np.float32] | None = None


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
    *,
    copies: Any = None,
    public: Public | None = None,
) -> Iterator[Test]:
    """Yield a test for each fold of the patients; `probes` None looks for the released ones.

    Pairs that share an image, or copies of one image, are compared in no test and teach nothing.
    With `public` there is one test, of all patients, and attackers train on public images alone.

    Raises
    ------
    AuditError
        Folds do not fit, or probes have another shape than records, or no patient can be searched.
    """
    looked_for = released if probes is None else probes
    for each in (looked_for, released) if public is None else (looked_for, public.records):
        if each.array.shape[1:] != released.array.shape[1:]:
            raise AuditError(
                f"probes are {each.array.shape[1:]} and records {released.array.shape[1:]} each; "
                f"an attacker compares like with like, so encode the probes as the release was"
            )
    everything = _pairs(released, looked_for, patients, copies)
    whose, owners = everything.probe_owners, everything.gallery_owners
    fold_of = np.zeros(int(patients.max()) + 1, np.int64)
    if public is None:
        fold_of = patient_folds(patients, folds, generator)
    found = False
    for fold in range(folds if public is None else 1):
        tested = (fold_of == fold).astype(np.int32)
        of_gallery, of_probes = owners @ tested > 0, whose @ tested > 0
        gallery, chosen = np.flatnonzero(of_gallery), np.flatnonzero(of_probes)
        block = np.ix_(chosen, gallery)
        shared = ~everything.usable[block]
        searches = _searches(
            whose[chosen].toarray() * tested,
            owners[gallery],
            (whose[chosen] @ owners[gallery].T).toarray() > 0,
            shared,
        )
        if not len(searches.probes):
            continue
        found = True
        if public is None:
            training = everything.some(np.flatnonzero(~of_probes), np.flatnonzero(~of_gallery))
            lacking = f"without the patients of fold {fold + 1} of {folds}"
        else:
            training = _pairs(public.records, public.records, public.patients, None)
            lacking = "among the public images"
        if not training.match.any():
            raise AuditError(
                f"{lacking} no two records are of one patient, so that an attacker has nothing to "
                f"learn from; add patients with several images"
            )
        yield Test(training, chosen, gallery, searches)
    if not found:
        raise AuditError(
            "no patient has a probe and another record that is no copy of it, so that no patient "
            "can be linked; linkage needs patients with two images or more"
        )


def _pairs(
    released: Records, looked_for: Records, patients: NDArray[np.int64], copies: Any
) -> Pairs:
    """Return all pairs of a probe and a record."""
    owners, whose = released.owners(patients), looked_for.owners(patients)
    related = (whose @ owners.T).toarray() > 0
    images, behind = looked_for.images(len(patients)), released.images(len(patients))
    shared = (images @ behind.T).toarray() > 0
    if copies is not None:
        shared |= (images @ (copies @ behind.T)).toarray() > 0
    return Pairs(
        looked_for.array,
        released.array,
        np.arange(len(looked_for)),
        np.arange(len(released)),
        whose,
        owners,
        related & ~shared,
        ~shared,
    )


def _searches(whose: NDArray[np.int32], owners: Any, related: Bools, shared: Bools) -> Searches:
    """List every patient in every probe who has a record to be found, and strangers beside it."""
    probes, patients = np.nonzero(whose)
    has = owners.toarray().T[patients] > 0
    true, stranger = has & ~shared[probes], ~related[probes] & ~shared[probes]
    kept = true.any(axis=1) & stranger.any(axis=1)
    return Searches(probes[kept], patients[kept], true[kept], stranger[kept])
