"""Vectors given their labels: a public model, private sums, and what the sums change in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from deepfixcx.mechanisms.sensitivity import noisy_sum

__all__ = ["MOST_LABELS", "LabelModel", "Measured", "contributions", "measure"]

Array = NDArray[np.float64]
Places = NDArray[np.int64]

MOST_LABELS = 8
"""A histogram of label patterns has 2**L cells."""

BEYOND = 1.0
"""Residuals are drawn in to a length of sqrt(numbers) + BEYOND, which 5 % of a sample exceed."""

HISTOGRAM = 0.25
"""Share of rho for the histogram of label patterns; the slopes have the rest."""

BETWEEN = (0.0, *np.geomspace(1e-3, 1.0, 13).tolist())
"""Variances of what differs between private and public slopes, in units of the covariance."""

SMOOTHING = 0.5
"""Patients that are added to each public pattern, so that none has a share of 0."""

RIDGE = 1e-6


@dataclass(frozen=True, eq=False, slots=True)
class LabelModel:
    """A mean of K values that is linear in L labels, and one covariance, of public images."""

    centre: Array
    """(L,): share of positives of each label."""
    slopes: Array
    """(L + 1, K): mean, and what each label adds to it."""
    root: Array
    """(K, K): Cholesky factor of the covariance around the mean."""
    errors: Array
    """(L + 1, L + 1): sampling covariance of the rows of `slopes`, in units of the covariance."""
    prior: Array
    """(2**L,): share of each label pattern."""

    @property
    def patterns(self) -> Array:
        """Labels of each pattern, shape (2**L, L); the last label is the least digit."""
        return _patterns(len(self.centre))

    @property
    def design(self) -> Array:
        """One and the centred labels of each pattern, shape (2**L, L + 1)."""
        return np.column_stack([np.ones(len(self.patterns)), self.patterns - self.centre])

    @property
    def bound(self) -> float:
        """Length of a patient's share of the sums of `measure`, at most."""
        longest = np.linalg.norm(self.design, axis=1).max()
        return float((math.sqrt(len(self.root)) + BEYOND) * longest)

    @classmethod
    def fit(
        cls, numbers: Array, labels: NDArray[np.float32], owners: NDArray[np.str_]
    ) -> LabelModel:
        """Learn from vectors (N, K) of patients outside the release; each patient counts once."""
        weights = _patient_weights(owners)
        held = np.where(np.isnan(labels), 0.0, weights[:, None])
        centre = (held * np.nan_to_num(labels)).sum(axis=0) / held.sum(axis=0).clip(1e-12)
        rows, states, shares = _completed(labels, centre)
        shares = shares * weights[rows]
        states_design = np.column_stack(
            [np.ones(2 ** len(centre)), _patterns(len(centre)) - centre]
        )
        design = states_design[states]
        counts = np.bincount(states, shares, len(states_design))
        gram = states_design.T @ (states_design * counts[:, None])
        inverse: Array = np.linalg.inv(gram + RIDGE * np.eye(len(gram))).astype(np.float64)
        slopes = inverse @ (design * shares[:, None]).T @ numbers[rows]
        apart = numbers[rows] - design @ slopes
        patients, size = float(counts.sum()), numbers.shape[1]
        found = apart.T @ (apart * shares[:, None]) / patients
        share = size / (size + patients)
        sphere = max(float(np.trace(found)) / size, 1e-12) * np.eye(size)
        root = np.linalg.cholesky((1 - share) * found + share * sphere)
        prior = (counts + SMOOTHING) / (counts + SMOOTHING).sum()
        return cls(centre, slopes, root, inverse, prior)


@dataclass(frozen=True, eq=False, slots=True)
class Measured:
    """All that is read of the private patients: two sums, with noise where there is a budget."""

    counts: Array
    """(2**L,): patients of each label pattern."""
    sums: Array
    """(L + 1, K): over patients, residuals times one and times each centred label."""
    noise: tuple[float, float] = (0.0, 0.0)
    """Deviation of the noise of `counts` and of `sums`."""

    def histogram(self, model: LabelModel) -> tuple[Array, float]:
        """Return the share of each pattern, drawn to the public one by the noise; and patients."""
        patients = max(1.0, float(self.counts.sum()))
        expected = patients * model.prior
        apart = self.counts - expected
        noise = len(apart) * self.noise[0] ** 2
        trusted = max(0.0, 1 - noise / max(float(apart @ apart), 1e-300))
        counts = (expected + trusted * apart).clip(0)
        return counts / counts.sum(), patients

    def slopes(self, model: LabelModel) -> Array:
        """Return the public slopes, corrected as far as sampling and noise do not explain the sums.

        The difference of private from public slopes is normal a priori, with the sampling
        covariance of the public ones and a variance that has the largest marginal likelihood.
        """
        shares, patients = self.histogram(model)
        gram = model.design.T @ (model.design * (patients * shares)[:, None])
        around = gram + (self.noise[1] ** 2 + RIDGE) * np.eye(len(gram))
        found: list[tuple[float, Array]] = []
        for between in BETWEEN:
            prior = model.errors + between * np.eye(len(gram))
            whole = gram @ prior @ gram + around
            solved = np.linalg.solve(whole, self.sums)
            likelihood = -float((self.sums * solved).sum()) / 2
            likelihood -= self.sums.shape[1] * float(np.linalg.slogdet(whole)[1]) / 2
            found.append((likelihood, prior @ gram @ solved))
        change = max(found, key=lambda each: each[0])[1]
        return np.asarray(model.slopes + change @ model.root.T, np.float64)


def contributions(
    model: LabelModel, numbers: Array, labels: NDArray[np.float32], owners: NDArray[np.str_]
) -> tuple[Array, Array]:
    """Return what each patient adds to the counts (M, 2**L) and to the sums (M, (L + 1) K).

    A patient's images are averaged, and an unknown label is either state with its public share.
    Counts are no longer than 1, and sums than `LabelModel.bound`, whatever the patient has.
    """
    _, patient = np.unique(owners, return_inverse=True)
    rows, states, shares = _completed(labels, model.centre)
    shares = shares * _patient_weights(owners)[rows]
    apart = np.linalg.solve(model.root, (numbers[rows] - (model.design @ model.slopes)[states]).T).T
    lengths = np.linalg.norm(apart, axis=1, keepdims=True)
    apart *= np.minimum(1, (math.sqrt(len(model.root)) + BEYOND) / np.maximum(lengths, 1e-300))
    each = shares[:, None, None] * model.design[states][:, :, None] * apart[:, None, :]
    counts = np.zeros((int(patient.max(initial=-1)) + 1, len(model.prior)))
    np.add.at(counts, (patient[rows], states), shares)
    sums = np.zeros((len(counts), model.slopes.size))
    np.add.at(sums, patient[rows], each.reshape(len(rows), -1))
    return counts, sums


def measure(
    model: LabelModel,
    numbers: Array,
    labels: NDArray[np.float32],
    owners: NDArray[np.str_],
    rho: float | None = None,
) -> Measured:
    """Sum over patients; with rho, clip each patient and add noise that costs so much."""
    counts, sums = contributions(model, numbers, labels, owners)
    shape = model.slopes.shape
    if rho is None:
        return Measured(counts.sum(axis=0), sums.sum(axis=0).reshape(shape))
    noisy, first = noisy_sum(counts, 1.0, HISTOGRAM * rho)
    slopes, second = noisy_sum(sums, model.bound, (1 - HISTOGRAM) * rho)
    return Measured(noisy, slopes.reshape(shape), (first, second))


@lru_cache(maxsize=16)
def _patterns(labels: int) -> Array:
    places = np.arange(2**labels)
    return np.stack([places >> (labels - 1 - each) & 1 for each in range(labels)], 1).astype(float)


def _patient_weights(owners: NDArray[np.str_]) -> Array:
    """Return one divided by the images of each image's patient."""
    _, patient, images = np.unique(owners, return_inverse=True, return_counts=True)
    return np.asarray(1 / images[patient], np.float64)


def _completed(labels: NDArray[np.float32], centre: Array) -> tuple[Places, Places, Array]:
    """Return rows, patterns and shares: each unknown label is once 0 and once 1."""
    rows = np.arange(len(labels))
    states = np.zeros(len(labels), np.int64)
    shares = np.ones(len(labels))
    for column, positive in zip(labels.T, centre, strict=True):
        value = column[rows]
        unknown = np.isnan(value)
        states = states * 2 + (value == 1)
        rows = np.concatenate([rows, rows[unknown]])
        states = np.concatenate([states, states[unknown] + 1])
        shares = np.concatenate(
            [np.where(unknown, shares * (1 - positive), shares), shares[unknown] * positive]
        )
    return rows, states, shares
