"""Tell which images a released model learned from: likelihood ratios with shadow models."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.audit.folds import patient_numbers
from deepfixcx.audit.resampling import Floats, draw_patients
from deepfixcx.audit.result import AttackResult
from deepfixcx.errors import AuditError
from deepfixcx.measures import Interval

__all__ = ["FALSE_POSITIVE_RATE", "attack_membership", "confidence", "shadow_scores"]

FALSE_POSITIVE_RATE = 0.01
LEAST_SHADOWS = 2
REFERENCE = "Carlini et al. 2022, doi:10.1109/SP46214.2022.9833649"

Fit = Callable[[NDArray[np.int64]], ArrayLike]
"""Trains a model on the images at these places, and returns its `confidence` in all N labels."""


def confidence(probability: ArrayLike, label: ArrayLike) -> Floats:
    """Return how sure a model is of the right answers: log odds of the probability it gives them.

    Parameters
    ----------
    probability : array_like, shape (N,)
        Of yes.
    label : array_like, shape (N,)
        1 or 0.

    Examples
    --------
    >>> confidence([0.9, 0.9], [1, 0]).round(3).tolist()
    [2.197, -2.197]
    """
    right = np.where(np.asarray(label) == 1, probability, 1 - np.asarray(probability, np.float64))
    right = np.clip(right, 1e-9, 1 - 1e-9)
    return np.asarray(np.log(right) - np.log1p(-right), np.float64)


def shadow_scores(
    fit: Fit, patients: ArrayLike, *, shadows: int = 16, seed: int = 0
) -> tuple[Floats, NDArray[np.bool_]]:
    """Train shadow models, each on the images of a random half of the patients.

    Parameters
    ----------
    fit : callable
        Trains one as the released model was trained; see `Fit`.
    patients : array_like, shape (N,)
        Whose images they are.
    shadows : int
        How many, an even number: of each two, one learns from the patients that the other does not.
    seed : int
        Who is in which half.

    Returns
    -------
    scores : ndarray, shape (shadows, N)
        Confidence of each shadow in the label of each image.
    members : ndarray of bool, shape (shadows, N)
        Whether it learned from the image.

    Raises
    ------
    AuditError
        Too few shadows, or an odd number.
    """
    if shadows < 2 * LEAST_SHADOWS or shadows % 2:
        raise AuditError(
            f"an even number of shadow models is needed, {2 * LEAST_SHADOWS} or more; got {shadows}"
        )
    owners = patient_numbers(patients)
    generator = np.random.default_rng(seed)
    members = np.zeros((shadows, len(owners)), np.bool_)
    for pair in range(0, shadows, 2):
        half = generator.permutation(int(owners.max()) + 1) % 2 == 0
        members[pair], members[pair + 1] = half[owners], ~half[owners]
    scores = [np.asarray(fit(np.flatnonzero(each)), np.float64) for each in members]
    return np.stack(scores), members


def attack_membership(
    scores: ArrayLike,
    members: ArrayLike,
    shadows: ArrayLike,
    shadow_members: ArrayLike,
    patients: ArrayLike,
    *,
    seed: int = 0,
    samples: int = 1000,
) -> tuple[AttackResult, ...]:
    """Compare the model's confidence in each image with that of shadows that saw it or not.

    The confidences of shadows are taken for normally distributed; means are of each image,
    deviations of all images together, because shadows are few.

    Parameters
    ----------
    scores : array_like, shape (N,)
        `confidence` of the released model in the label of each image.
    members : array_like of bool, shape (N,)
        The truth: whether it learned from the image.
    shadows, shadow_members : array_like, shape (S, N)
        As `shadow_scores` returns.
    patients : array_like, shape (N,)
        Whose images they are.
    seed, samples : int
        Of the intervals.

    Returns
    -------
    tuple of AttackResult
        ``"TPR at 1 % FPR"``, the share of the members found when one in a hundred of the others is
        taken for one; and ``"AUC"``. Floor and control are chance: the same on images that the
        model has not seen.

    Raises
    ------
    AuditError
        Shapes that do not fit, nobody in or nobody out, or an image with fewer than two shadows
        that saw it or did not.

    References
    ----------
    Carlini et al., Membership inference attacks from first principles, IEEE Symposium on Security
    and Privacy, 2022, doi:10.1109/SP46214.2022.9833649.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> half = np.arange(200) % 2 == 0
    >>> seen = np.stack([half, half, ~half, half, ~half, half, ~half])  # row 0: the released one
    >>> sure = generator.normal(size=200) + 3 * seen + generator.normal(0, 0.3, (7, 200))
    >>> results = attack_membership(sure[0], seen[0], sure[1:], seen[1:], np.arange(200))
    >>> results[0].value.value > 0.9, results[0].chance
    (True, 0.01)
    """
    own, inside = np.asarray(scores, np.float64), np.asarray(members, np.bool_)
    others, seen = np.asarray(shadows, np.float64), np.asarray(shadow_members, np.bool_)
    owners = patient_numbers(patients)
    if not own.shape == inside.shape == owners.shape or not others.shape == seen.shape:
        raise AuditError("give a score, a truth and a patient for each image, and of each shadow")
    if others.ndim != 2 or others.shape[1:] != own.shape:
        raise AuditError(f"shadows are (S, {len(own)}), got {others.shape}")
    if not 0 < inside.sum() < len(inside):
        raise AuditError("members and others are needed; the truth names only one of them")
    if min(seen.sum(axis=0).min(), (~seen).sum(axis=0).min()) < LEAST_SHADOWS:
        raise AuditError(
            f"each image needs {LEAST_SHADOWS} shadows that saw it and as many that did not; "
            f"train more of them"
        )
    ratio = _log_normal(own, others, seen) - _log_normal(own, others, ~seen)
    draws = draw_patients(int(owners.max()) + 1, samples, seed)[:, owners]
    results = []
    for figure, measure, chance in (
        ("TPR at 1 % FPR", _found, FALSE_POSITIVE_RATE),
        ("AUC", _area, 0.5),
    ):
        value = measure(ratio, inside, np.ones(len(own), np.int64))
        drawn = np.array([measure(ratio, inside, times) for times in draws])
        results.append(
            AttackResult(
                attack="membership",
                mode="released model",
                attacker="likelihood ratio",
                figure=figure,
                value=Interval.of_draws(value, drawn),
                chance=chance,
                floor=chance,
                gain=Interval.of_draws(value - chance, drawn - chance),
                control=chance,
                raw=float("nan"),
                n=int(owners.max()) + 1,
                seed=seed,
                reference=REFERENCE,
            )
        )
    return tuple(results)


def _log_normal(own: Floats, shadows: Floats, which: NDArray[np.bool_]) -> Floats:
    """Return the log density of the released model's confidence among the chosen shadows'."""
    counts = which.sum(axis=0)
    means = np.where(which, shadows, 0).sum(axis=0) / counts
    squares = np.where(which, (shadows - means) ** 2, 0).sum()
    variance = max(float(squares / max(int(counts.sum()) - len(counts), 1)), 1e-12)
    return np.asarray(-((own - means) ** 2) / (2 * variance) - np.log(variance) / 2, np.float64)


def _found(ratio: Floats, inside: NDArray[np.bool_], times: NDArray[np.int64]) -> float:
    """Return the share of members above all but one per cent of the others."""
    outside = np.repeat(ratio[~inside], times[~inside])
    weights = times[inside]
    if not len(outside) or not weights.sum():
        return float("nan")
    accepted = int(FALSE_POSITIVE_RATE * len(outside))  # so many of the others may lie above
    threshold = np.sort(outside)[len(outside) - 1 - accepted]
    return float(weights[ratio[inside] > threshold].sum() / weights.sum())


def _area(ratio: Floats, inside: NDArray[np.bool_], times: NDArray[np.int64]) -> float:
    order = np.argsort(ratio, kind="stable")
    yes, no = (times * inside)[order], (times * ~inside)[order]
    pairs = yes.sum() * no.sum()
    return float((yes * (np.cumsum(no) - no / 2)).sum() / pairs) if pairs else float("nan")
