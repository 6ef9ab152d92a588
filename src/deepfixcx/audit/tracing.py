"""Patients are traced in the sums over a release; how far that contradicts a privacy budget."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx._optional import require
from deepfixcx.audit.features import Array, Components, patient_numbers
from deepfixcx.errors import AuditError
from deepfixcx.measures.intervals import Floats
from deepfixcx.mechanisms import EpsilonBound

__all__ = [
    "Remake",
    "Tracer",
    "budget_note",
    "design_of",
    "least_epsilon",
    "shown_epsilon",
]

Remake = Callable[[NDArray[np.int64], np.random.Generator], tuple[Array, Floats]]
"""Releases the images at these places; returns the records (R, ...) and their labels (R, L)."""

RIDGE = 1e-3
SHARES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Parts of the patients on whom the attacker decides, the surest ones."""

HALVINGS, LARGEST = 40, 20.0


@dataclass(frozen=True, eq=False, slots=True)
class Tracer:
    """Trace each image in the sums over a release: what it adds to means and to label slopes.

    Records that are drawn from a model show its slopes, and slopes are sums over the patients. The
    product of a patient's share with the sums, in units of their covariance over random halves of
    the patients, is the linear score that identifies members best.
    """

    centre: Floats
    directions: Floats  # (n, K)
    slopes: Floats  # (columns, K)
    shares: Floats  # (N, columns * K), in units of the covariance

    @classmethod
    def fit(cls, held: Floats, known: Floats, owners: NDArray[np.int64]) -> Tracer:
        """Learn from the candidates, of whom half are in a release."""
        design, patients = design_of(known), int(owners.max()) + 1
        centre, scale = held.mean(axis=0), held.std(axis=0)
        scale = np.where(scale > 1e-9 * max(float(np.abs(held).max()), 1e-30), scale, np.inf)
        most = max(1, patients // (4 * design.shape[1]))
        parts = Components.fit(((held - centre) / scale).astype(np.float32), most)
        directions = (parts.directions / scale[:, None]).astype(np.float64)
        seen = (held - centre) @ directions
        slopes = np.linalg.lstsq(design, seen, rcond=None)[0]
        whole = (design[:, :, None] * (seen - design @ slopes)[:, None]).reshape(len(held), -1)
        sums = np.zeros((patients, whole.shape[1]))
        np.add.at(sums, owners, whole)
        sums /= np.bincount(owners, minlength=patients)[:, None]
        spread = sums.T @ sums / patients
        spread += RIDGE * max(float(np.trace(spread)) / len(spread), 1e-30) * np.eye(len(spread))
        return cls(centre, directions, slopes, np.linalg.solve(spread, whole.T).T)

    def score(self, records: Floats, labels: Floats) -> Floats:
        """Return a score for each image, (N,)."""
        design = design_of(labels)
        apart = (records - self.centre) @ self.directions - design @ self.slopes
        return np.asarray(self.shares @ (design.T @ apart / len(records)).ravel(), np.float64)


def shown_epsilon(
    remake: Remake,
    candidates: Array,
    labels: ArrayLike,
    patients: ArrayLike,
    *,
    delta: float,
    runs: int = 32,
    seed: int = 0,
    confidence: float = 0.95,
) -> EpsilonBound:
    """Show a lower bound of epsilon for a patient by inferring who is in releases of coin flips.

    A coin decides for each patient and each release whether the patient is in it. The attacker
    holds all images with their labels, traces each patient in the sums over the release, and
    decides on the surest ones. The first half of the releases chooses how many these are; the
    second half counts right decisions.

    Parameters
    ----------
    remake : callable
        Makes a release of some images, with the budget that is tested; see `Remake`.
    candidates : ndarray of float32, shape (N, ...)
        All images in the form of the release, without protection.
    labels : array_like, shape (N, L)
        Their labels: 1, 0, or NaN where unknown.
    patients : array_like, shape (N,)
        Patient of each image.
    delta : float
        That the mechanism claims for a patient who is added or removed.
    runs : int
        Number of releases, 8 or more.
    seed : int
        Of the coins.
    confidence : float
        Of the bound.

    Returns
    -------
    EpsilonBound
        `trials` are the decisions that were counted.

    Raises
    ------
    AuditError
        Fewer than 8 releases, or fewer than 8 patients.

    References
    ----------
    Steinke, Nasr and Jagielski, Privacy auditing with one (1) training run, NeurIPS, 2023,
    arXiv:2305.08846.

    Examples
    --------
    >>> images = np.random.default_rng(0).normal(size=(100, 8)).astype(np.float32)
    >>> labels = np.zeros((100, 1))
    >>> bound = shown_epsilon(
    ...     lambda places, _: (images[places], labels[places]), images, labels, np.arange(100),
    ...     delta=1e-5,
    ... )
    >>> bound.value > 0.5
    True
    """
    owners = patient_numbers(patients)
    count = int(owners.max()) + 1
    if runs < 8 or count < 8:
        raise AuditError(
            f"a bound of epsilon needs 8 releases and 8 patients or more, got {runs} and {count}"
        )
    held = np.asarray(candidates, np.float64).reshape(len(owners), -1)
    tracer = Tracer.fit(held, np.asarray(labels, np.float64).reshape(len(owners), -1), owners)
    generator = np.random.default_rng(seed)
    inside = generator.random((runs, count)) < 0.5
    scores = np.zeros((runs, count))
    for run, members in enumerate(inside):
        records, released = remake(np.flatnonzero(members[owners]), generator)
        flat = np.asarray(records, np.float64).reshape(len(records), -1)
        each = tracer.score(flat, np.asarray(released, np.float64))
        scores[run] = np.bincount(owners, each, count)
    half = runs // 2
    decisions = [max(1, round(share * count)) for share in SHARES]
    promised = [
        least_epsilon(*_right(scores[:half], inside[:half], most), delta, half * count, confidence)
        for most in decisions
    ]
    right, made = _right(scores[half:], inside[half:], decisions[int(np.argmax(promised))])
    value = least_epsilon(right, made, delta, (runs - half) * count, confidence)
    return EpsilonBound(value, confidence, made)


def budget_note(bound: EpsilonBound, epsilon: float, delta: float) -> str:
    """Compare a bound with the epsilon that a release states."""
    against = "which agrees with" if bound.value <= epsilon else "which CONTRADICTS"
    return (
        f"membership attacks on releases of coin flips show epsilon ≥ {bound.value:.2f} "
        f"({bound.confidence:.0%} confidence, {bound.trials} decisions), {against} the stated "
        f"epsilon {epsilon:g} for a patient (delta {delta:g})"
    )


def least_epsilon(
    right: int, decisions: int, delta: float, coins: int, confidence: float = 0.95
) -> float:
    """Return the smallest epsilon with which so many right decisions are not improbable.

    Theorem 5.2 of Steinke et al.: right decisions are no more than those of independent coins that
    fall right with probability e^epsilon / (1 + e^epsilon), but for a term in delta.
    """
    binom = require("scipy.stats", extra="audit").binom
    places = np.arange(decisions + 2)

    def improbable(epsilon: float) -> bool:
        above = binom.sf(places - 1, decisions, 1 / (1 + math.exp(-epsilon)))  # P[W >= place]
        fewer = np.arange(1, right + 1)
        more = ((above[right - fewer] - above[right]) / fewer).max(initial=0.0)
        return bool(above[right] + 2 * coins * delta * more < 1 - confidence)

    low, high = 0.0, LARGEST
    if not improbable(low):
        return 0.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if improbable(middle) else (low, middle)
    return low


def _right(scores: Floats, inside: NDArray[np.bool_], most: int) -> tuple[int, int]:
    """Return right decisions and all, on the patients of each release with the surest scores."""
    surest = np.argsort(-np.abs(scores), axis=1, kind="stable")[:, :most]
    decided = np.take_along_axis(scores > 0, surest, axis=1)
    truth = np.take_along_axis(inside, surest, axis=1)
    return int((decided == truth).sum()), decided.size


def design_of(labels: Floats) -> Floats:
    """Return a one, each label, and whether it is known."""
    unknown = np.isnan(labels)
    return np.column_stack([np.ones(len(labels)), np.where(unknown, 0, labels), unknown])
