"""How well a similarity finds the records of a patient: AUC, EER, precision@1, mAP@R, KS.

Every figure is a mean over patients, so that one patient with many images does not decide it.
Equal similarities are in a random order, so that a release of nothing but constants is at chance.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepfixcx.audit.features import Array
from deepfixcx.audit.linkage.trial import Searches
from deepfixcx.measures.intervals import Floats, patient_means

__all__ = ["RATES", "Found", "equal_error", "join", "judge", "kolmogorov"]

RATES = np.linspace(0, 1, 501)
"""False accept rates at which false reject rates are kept."""


@dataclass(frozen=True, eq=False, slots=True)
class Found:
    """What became of searches, search by search.

    Attributes
    ----------
    patients : ndarray of int64, shape (n,)
        Whom each search was for.
    auc, precision, mean_precision : ndarray, shape (n,)
        How often a true record is more alike than a stranger; whether the first is true; mAP@R.
    precision_by_chance, mean_precision_by_chance : ndarray, shape (n,)
        What a random order reaches on average.
    ahead, strangers, own : ndarray, shape (n,)
        Strangers that are more alike than the best true record; all strangers; true records.
    rejects : ndarray, shape (n, len(RATES))
        Share of the true records that are less alike than the threshold at which so many strangers
        are accepted.
    """

    patients: NDArray[np.int64]
    auc: Floats
    precision: Floats
    mean_precision: Floats
    precision_by_chance: Floats
    mean_precision_by_chance: Floats
    ahead: Floats
    strangers: Floats
    own: Floats
    rejects: Floats

    def curve(self, patients: int) -> Floats:
        """Return the false reject rates of each patient, (patients, len(RATES)); NaN if none."""
        columns = [patient_means(column, self.patients, patients) for column in self.rejects.T]
        return np.stack(columns, axis=1)

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
    """Judge the similarities (p, g) of the probes and records of a test.

    Parameters
    ----------
    similarity : ndarray of float32, shape (p, g)
        Of every probe and record of the test.
    searches : Searches
        What is looked for.
    generator : numpy Generator
        For the order of what is equally alike.
    """
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
    """Return the rate at which as many strangers are accepted as true records are rejected.

    Parameters
    ----------
    rejects : ndarray, shape (..., len(RATES))
        False reject rates, which fall.

    Examples
    --------
    >>> equal_error(1 - RATES).round(3).item()
    0.5
    """
    below = rejects <= RATES
    first = np.argmax(below, axis=-1)
    last = np.maximum(first - 1, 0)
    above = np.take_along_axis(rejects, last[..., None], -1)[..., 0] - RATES[last]
    beyond = RATES[first] - np.take_along_axis(rejects, first[..., None], -1)[..., 0]
    share = np.divide(above, above + beyond, out=np.zeros_like(above), where=above + beyond > 0)
    return np.asarray(RATES[last] + share * (RATES[first] - RATES[last]), np.float64)


def kolmogorov(rejects: Floats) -> Floats:
    """Return the largest distance of the two distributions of similarity, as in the paper.

    Examples
    --------
    >>> kolmogorov(np.zeros(len(RATES))).item(), round(kolmogorov(1 - RATES).item(), 6)
    (1.0, 0.0)
    """
    return np.asarray(np.abs(1 - rejects - RATES).max(axis=-1), np.float64)


def _search(
    similarity: Array,
    true: NDArray[np.bool_],
    stranger: NDArray[np.bool_],
    generator: np.random.Generator,
) -> tuple[float, ...]:
    alike, others = similarity[true], np.sort(similarity[stranger])
    below = np.searchsorted(others, alike, "left") + np.searchsorted(others, alike, "right")
    area = float(below.mean()) / (2 * len(others))
    candidates = np.concatenate([alike, others])
    order = generator.permutation(len(candidates))
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
    rejects = np.empty((len(scores), len(RATES)))
    for row, true in enumerate(searches.true):
        alike = scores[row][true]
        least, most = (
            1 - total[np.searchsorted(others, alike, side)][:, None] for side in ("right", "left")
        )
        # strangers that are equally alike come in random order: before and after it, evenly
        later = (most - RATES) / np.maximum(most - least, 1e-12)
        rejects[row] = later.clip(0, 1).mean(axis=0)
    return rejects
