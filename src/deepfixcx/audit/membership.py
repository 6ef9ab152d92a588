"""Membership inference: from which images a released model, or the records of a release, were made.

Of a model, by likelihood ratios with shadow models. Of a release, by making it again and again from
random halves of the patients, so that every patient has a result of their own: an average over
patients hides the one patient with twelve images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.audit.features import Array, Components, minus_distances, patient_numbers
from deepfixcx.audit.result import (
    AttackResult,
    detectable_gain,
    found_at_one_percent,
    mann_whitney_error,
    result_of_means,
)
from deepfixcx.audit.tracing import RIDGE, Remake, Tracer, design_of
from deepfixcx.errors import AuditError
from deepfixcx.measures import Interval, auc_interval
from deepfixcx.measures.intervals import Floats

__all__ = [
    "attack_membership",
    "attack_release_membership",
    "confidence",
    "release_scores",
    "shadow_scores",
]

LEAST_SHADOWS = 2
PERMUTATIONS = 40
REFERENCE = "Carlini et al. 2022, doi:10.1109/SP46214.2022.9833649"

Fit = Callable[[NDArray[np.int64]], ArrayLike]
"""Trains a model on the images at these places, and returns its `confidence` in all N labels."""


NEAREST, FITTED, TRACED = "nearest record", "residual", "traced in the sums"


def confidence(probability: ArrayLike, label: ArrayLike) -> Floats:
    """Return how sure a model is of the right answers, in log odds."""
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
    seed : int
        Stands in the results; nothing is random here.

    Returns
    -------
    tuple of AttackResult
        ``"TPR at 1 % FPR"``, the share of the members found when one in a hundred of the others is
        taken for one; and ``"AUC"``. Floor and control are chance: the same on images that the
        model has not seen.

    Raises
    ------
    AuditError
        Shapes that do not fit, no member or no non-member, or an image with fewer than two shadows
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
        raise AuditError("members and non-members are needed; the truth contains only one of them")
    if min(seen.sum(axis=0).min(), (~seen).sum(axis=0).min()) < LEAST_SHADOWS:
        raise AuditError(
            f"each image needs {LEAST_SHADOWS} shadow models that were trained on it and as many "
            "that were not; train more shadow models"
        )
    ratio = _log_normal(own, others, seen) - _log_normal(own, others, ~seen)
    value = auc_interval(inside.astype(np.float64), ratio, owners)
    gain = Interval(value.value - 0.5, value.low - 0.5, value.high - 0.5)
    yes, no = len(np.unique(owners[inside])), len(np.unique(owners[~inside]))
    area = AttackResult(
        attack="membership", mode="released model", attacker="likelihood ratio", figure="AUC",
        value=value, chance=0.5, floor=0.5, gain=gain, control=0.5, raw=float("nan"),
        n=int(owners.max()) + 1, seed=seed, reference=REFERENCE,
        detectable=detectable_gain(gain, mann_whitney_error(yes, no)),
    )  # fmt: skip
    return found_at_one_percent(area, ratio, inside, owners), area


def attack_release_membership(
    remake: Remake,
    candidates: Array,
    labels: ArrayLike,
    patients: ArrayLike,
    *,
    runs: int = 32,
    seed: int = 0,
) -> tuple[AttackResult, ...]:
    """Release random halves of the patients repeatedly, and infer the members of each.

    The attacker holds all images of a patient with the labels, and the release. Two scores: how
    near the records come to an image, and how well a normal distribution fitted to records and
    labels explains it.

    Parameters
    ----------
    remake : callable
        Makes a release of some images; see `Remake`.
    candidates : ndarray of float32, shape (N, ...)
        All images in the form of the release, without protection.
    labels : array_like, shape (N, L)
        Their labels: 1, 0, or NaN where unknown.
    patients : array_like, shape (N,)
        Patient of each image.
    runs : int
        Number of releases, even: of each two, one has the patients that the other has not.
    seed : int
        Of the halves.

    Returns
    -------
    tuple of AttackResult
        For each score ``"AUC"``, the mean over patients of how often a release with the patient
        scores higher than one without; and ``"worst patient AUC"``, the largest of any patient.
        Its floor is the largest value by chance: the median under permutations of in and out. The
        interval of the worst patient is over the runs.

    Raises
    ------
    AuditError
        An odd number of runs, or fewer than 8.

    References
    ----------
    Carlini et al., Membership inference attacks from first principles, IEEE Symposium on Security
    and Privacy, 2022, doi:10.1109/SP46214.2022.9833649; Homer et al., Resolving individuals
    contributing trace amounts of DNA, PLoS Genetics, 2008, doi:10.1371/journal.pgen.1000167.

    Examples
    --------
    >>> images = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    >>> labels = np.zeros((20, 1))
    >>> results = attack_release_membership(
    ...     lambda places, _: (images[places], labels[places]), images, labels, np.arange(20)
    ... )
    >>> results[0].attacker, results[0].value.value
    ('nearest record', 1.0)
    """
    if runs < 8 or runs % 2:
        raise AuditError(f"an even number of 8 releases or more is needed, got {runs}")
    owners = patient_numbers(patients)
    known = np.asarray(labels, np.float64).reshape(len(owners), -1)
    held = np.asarray(candidates, np.float64).reshape(len(owners), -1)
    generator = np.random.default_rng(seed)
    count = int(owners.max()) + 1
    inside = np.zeros((runs, count), np.bool_)
    for pair in range(0, runs, 2):
        inside[pair] = generator.permutation(count) % 2 == 0
        inside[pair + 1] = ~inside[pair]
    scores: dict[str, list[Floats]] = {NEAREST: [], FITTED: [], TRACED: []}
    tracer = Tracer.fit(held, known, owners)
    for half in inside:
        records, released_labels = remake(np.flatnonzero(half[owners]), generator)
        flat = np.asarray(records, np.float64).reshape(len(records), -1)
        found = release_scores(flat, released_labels, held, known)
        found[TRACED] = tracer.score(flat, np.asarray(released_labels, np.float64))
        for name, each in found.items():
            scores[name].append(np.bincount(owners, each, count).astype(np.float64))
    results: list[AttackResult] = []
    for name, rows in scores.items():
        results += _patient_results(name, np.stack(rows), inside, generator, seed)
    return tuple(results)


def release_scores(
    records: Floats, released_labels: Floats, held: Floats, known: Floats
) -> dict[str, Floats]:
    """Return for each image how near a record is, and how well records and labels explain it."""
    centre, scale = records.mean(axis=0), records.std(axis=0)
    scale = np.where(scale > 1e-9 * max(float(np.abs(records).max()), 1e-30), scale, np.inf)
    seen, asked = (records - centre) / scale, (held - centre) / scale
    parts = Components.fit(seen.astype(np.float32), min(64, max(1, len(seen) // 4)))
    seen, asked = seen @ parts.directions, asked @ parts.directions
    near = minus_distances(asked, seen).max(axis=1).astype(np.float64)
    design, wanted = design_of(np.asarray(released_labels, np.float64)), design_of(known)
    gram = design.T @ design
    gram[np.diag_indices_from(gram)] += RIDGE
    slopes = np.linalg.solve(gram, design.T @ seen)
    apart = seen - design @ slopes
    within = apart.T @ apart / len(apart)
    within += RIDGE * max(float(np.trace(within)) / len(within), 1e-30) * np.eye(len(within))
    residual = asked - wanted @ slopes
    fit = -(residual * np.linalg.solve(within, residual.T).T).sum(axis=1)
    return {NEAREST: near, FITTED: fit - float(np.linalg.slogdet(within)[1])}


def _patient_results(
    name: str,
    scores: Floats,
    inside: NDArray[np.bool_],
    generator: np.random.Generator,
    seed: int,
) -> list[AttackResult]:
    """Judge scores (runs, patients): on average, and of the patient who is most exposed."""
    areas = _areas_by_patient(scores, inside)
    worst = int(np.argmax(areas))
    pairs = len(inside) // 2
    orders = [generator.permutation(pairs) for _ in range(PERMUTATIONS)]
    # in and out are exchanged pair by pair, as they were drawn
    flipped = [_areas_by_patient(scores, _exchange(inside, order % 2 == 0)) for order in orders]
    by_chance = np.array([each.max() for each in flipped])
    floor = float(np.median(by_chance))
    mean = result_of_means(
        "membership", "released again", name, "AUC", areas, 0.5, null=flipped[0],
        seed=seed, reference=REFERENCE,
    )  # fmt: skip
    value = auc_interval(inside[:, worst].astype(np.float64), scores[:, worst], range(len(inside)))
    gain = Interval(value.value - floor, value.low - floor, value.high - floor)
    return [
        mean,
        replace(
            mean, figure="worst patient AUC", value=value, floor=floor, gain=gain,
            chance=floor, control=floor,
            detectable=detectable_gain(gain),
        ),
    ]  # fmt: skip


def _exchange(inside: NDArray[np.bool_], which: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.where(np.repeat(which, 2)[:, None], ~inside, inside)


def _areas_by_patient(scores: Floats, inside: NDArray[np.bool_]) -> Floats:
    """Return for each column how often a run with the patient scores higher than one without."""
    higher = (scores[:, None] > scores[None]) + 0.5 * (scores[:, None] == scores[None])
    pairs = inside[:, None] & ~inside[None]
    return np.asarray((higher * pairs).sum(axis=(0, 1)) / pairs.sum(axis=(0, 1)), np.float64)


def _log_normal(own: Floats, shadows: Floats, which: NDArray[np.bool_]) -> Floats:
    """Return the log density of the released model's confidence among the chosen shadows'."""
    counts = which.sum(axis=0)
    means = np.where(which, shadows, 0).sum(axis=0) / counts
    squares = np.where(which, (shadows - means) ** 2, 0).sum()
    variance = max(float(squares / max(int(counts.sum()) - len(counts), 1)), 1e-12)
    return np.asarray(-((own - means) ** 2) / (2 * variance) - np.log(variance) / 2, np.float64)
