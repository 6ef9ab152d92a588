"""Divide patients into tests of an attacker, and judge how alike probes and records are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.audit.features import Array, patient_folds
from deepfixcx.audit.linkage.pairs import Pairs, Records
from deepfixcx.errors import AuditError
from deepfixcx.measures import Interval
from deepfixcx.measures.intervals import Floats

__all__ = [
    "RATES",
    "Found",
    "Public",
    "Searches",
    "Test",
    "equal_error",
    "join",
    "judge",
    "kolmogorov",
    "make_tests",
]

Bools = NDArray[np.bool_]
Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class GalleryCurve:
    """How often the first hit is right, among more and more records of other patients."""

    mode: str
    attacker: str
    strangers: tuple[int, ...]
    top1: tuple[Interval, ...]
    chance: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values; None stands for NaN."""
        return {
            "mode": self.mode,
            "attacker": self.attacker,
            "strangers": list(self.strangers),
            "top1": [each.to_dict() for each in self.top1],
            "chance": list(self.chance),
        }


@dataclass(frozen=True, eq=False, slots=True)
class Searches:
    """What is looked for in a gallery: one patient, by one probe, in each row."""

    # (n,): Which probe, and whose records it should find
    probes: Places
    patients: Places
    # (n, g): Records of that patient; records of patients who are not in the probe. What shares
    # an image with the probe is neither
    true: Bools
    stranger: Bools


@dataclass(frozen=True, eq=False, slots=True)
class Public:
    """Public images in the form of the release, of patients who are not in it."""

    # One record of each image
    records: Records
    # (N,): Patient of each image, numbered from 0
    patients: Places
    # (N, L), optional: The same columns as for the release
    labels: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Test:
    """One fold: what the attacker trains on, and what it is tested on."""

    # Without any tested patient
    training: Pairs
    # Places of the tested ones among all probes and all records
    probes: Places
    gallery: Places
    # Of these
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
    """
    looked_for = released if probes is None else probes
    for each in (looked_for, released) if public is None else (looked_for, public.records):
        if each.array.shape[1:] != released.array.shape[1:]:
            raise AuditError(
                f"probes are {each.array.shape[1:]} and records {released.array.shape[1:]} each; "
                "encode the probes with the settings of the release"
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
                f"{lacking} no patient has two records, so attackers cannot learn; add patients "
                "with several images"
            )
        yield Test(training, chosen, gallery, searches)
    if not found:
        raise AuditError(
            "no patient has two images that are not copies, so linkage cannot be measured; add "
            "patients with several images"
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


RATES = np.linspace(0, 1, 501)
"""False accept rates at which false reject rates are kept."""


@dataclass(frozen=True, eq=False, slots=True)
class Found:
    """What became of searches, search by search."""

    # (n,): Whom each search was for
    patients: NDArray[np.int64]
    # (n,): How often a true record is more alike than a stranger; whether the first is true;
    # mAP@R
    auc: Floats
    precision: Floats
    mean_precision: Floats
    # (n,): What a random order reaches on average
    precision_by_chance: Floats
    mean_precision_by_chance: Floats
    # (n,): Strangers that are more alike than the best true record; all strangers; true records
    ahead: Floats
    strangers: Floats
    own: Floats
    # (n, len(RATES)): Share of the true records that are less alike than the threshold at which
    # so many strangers are accepted
    rejects: Floats

    def curve(self, patients: int) -> Floats:
        """Return the false reject rates of each patient, (patients, len(RATES)); NaN if none."""
        sums = np.zeros((patients, len(RATES)))
        np.add.at(sums, self.patients, self.rejects)
        counts = np.bincount(self.patients, minlength=patients)[:, None]
        means = np.full(sums.shape, np.nan)
        np.divide(sums, counts, out=means, where=counts > 0)
        return means

    def first_among(self, strangers: int) -> tuple[Floats, Floats]:
        """Return for each search the probability that its first hit is right among so many.

        Strangers are drawn without replacement from those of the search: hypergeometric. Beside it
        the same by chance. NaN where a search has fewer strangers.
        """
        behind = self.strangers - self.ahead
        steps = np.arange(strangers)[:, None]
        shares = np.clip((behind - steps) / np.maximum(self.strangers - steps, 1), 0, 1)
        enough = self.strangers >= strangers
        right = np.where(enough, shares.prod(axis=0), np.nan)
        return right, np.where(enough, self.own / (self.own + strangers), np.nan)


def judge(similarity: Array, searches: Searches, generator: np.random.Generator) -> Found:
    """Judge the similarities (p, g) of the probes and records of a test."""
    rows = [
        _search(similarity[probe], true, stranger, generator)
        for probe, true, stranger in zip(
            searches.probes, searches.true, searches.stranger, strict=True
        )
    ]
    areas, firsts, means, first_chances, mean_chances, ahead, strangers, own = (
        np.array(rows, np.float64).reshape(len(rows), 8).T
    )
    return Found(
        searches.patients, areas, firsts, means, first_chances, mean_chances, ahead, strangers, own,
        _rejects(similarity, searches),
    )  # fmt: skip


def join(parts: list[Found]) -> Found:
    """Put the folds together."""
    return Found(
        *(
            np.concatenate([getattr(part, each.name) for part in parts])
            for each in dataclasses.fields(Found)
        )
    )


def equal_error(rejects: Floats) -> Floats:
    """Return the rate at which as many strangers are accepted as true records are rejected."""
    below = rejects <= RATES
    first = np.argmax(below, axis=-1)
    last = np.maximum(first - 1, 0)
    above = np.take_along_axis(rejects, last[..., None], -1)[..., 0] - RATES[last]
    beyond = RATES[first] - np.take_along_axis(rejects, first[..., None], -1)[..., 0]
    share = np.divide(above, above + beyond, out=np.zeros_like(above), where=above + beyond > 0)
    return np.asarray(RATES[last] + share * (RATES[first] - RATES[last]), np.float64)


def kolmogorov(rejects: Floats) -> Floats:
    """Return the largest distance of the two distributions of similarity, as in the paper."""
    return np.asarray(np.abs(1 - rejects - RATES).max(axis=-1), np.float64)


def _search(
    similarity: Array,
    true: NDArray[np.bool_],
    stranger: NDArray[np.bool_],
    generator: np.random.Generator,
) -> tuple[float, ...]:
    alike, others = similarity[true], np.sort(similarity[stranger])
    fewer, most = np.searchsorted(others, alike, "left"), np.searchsorted(others, alike, "right")
    area = float((fewer + most).mean()) / (2 * len(others))
    order = generator.permutation(len(alike) + len(others))
    if len(alike) == 1:  # the usual case, without sorting: equal strangers come in random order
        ahead = len(others) - int(most[0])
        if most[0] > fewer[0]:
            before = order[: int(np.argmax(order == 0))]
            ahead += int(((before > fewer[0]) & (before <= most[0])).sum())
        chance = 1 / len(order)
        return area, float(not ahead), float(not ahead), chance, chance, ahead, len(others), 1
    candidates = np.concatenate([alike, others])
    order = order[np.argsort(-candidates[order], kind="stable")]
    ahead = int(np.argmax(order < len(alike)))  # strangers before the first true record
    hits = order[: len(alike)] < len(alike)
    ranks = np.arange(1, len(alike) + 1)
    mean = float((hits * np.cumsum(hits) / ranks).mean())
    count, everyone = len(alike), len(candidates)
    chances = count / everyone * (1 + (ranks - 1) * (count - 1) / max(everyone - 1, 1)) / ranks
    by_chance = count / everyone, float(chances.mean())
    return area, float(hits[0]), mean, *by_chance, ahead, len(others), count


def _rejects(similarity: Array, searches: Searches) -> Floats:
    """Return false reject rates of each search, at thresholds for all searches together."""
    if not len(searches.patients):
        return np.zeros((0, len(RATES)))
    images = np.bincount(searches.patients)[searches.patients]
    weights = searches.stranger / searches.stranger.sum(axis=1, keepdims=True) / images[:, None]
    scores = similarity[searches.probes]
    order = np.argsort(scores[searches.stranger], kind="stable")
    others = scores[searches.stranger][order]
    total = np.concatenate([[0.0], np.cumsum(weights[searches.stranger][order])])
    total /= total[-1]
    alike, ends = scores[searches.true], np.cumsum(searches.true.sum(axis=1))
    least, most = (
        1 - total[np.searchsorted(others, alike, side)][:, None] for side in ("right", "left")
    )
    # strangers that are equally alike come in random order: before and after it, evenly
    later = ((most - RATES) / np.maximum(most - least, 1e-12)).clip(0, 1)
    starts = np.concatenate([[0], ends[:-1]])
    return np.asarray(np.add.reduceat(later, starts) / np.diff(ends, prepend=0)[:, None])
