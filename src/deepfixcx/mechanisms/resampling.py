"""Label resampling: records drawn from a normal distribution of the release, given the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms.protocol import guarantee_text
from deepfixcx.mechanisms.records import Records
from deepfixcx.mechanisms.whitening import Whitening

__all__ = ["FittedResampling", "LabelResampling"]

A_NUMBER = 2
"""Fewest patients for each value of a record: fewer determine the covariance themselves."""

LABEL_PATIENTS = 50
"""Default of the fewest positive and the fewest negative patients of a label that has a slope."""

RANDOM = 2.0
"""Slopes are multiplied by 1 - RANDOM / F, and not below 0. F, the size of a slope against its
sampling variance, is about 1 where a label is unrelated to the images."""

BEYOND = 1.0
"""Scores are drawn in to a norm of sqrt(numbers) + BEYOND, which 5 % of a normal sample exceed."""


@dataclass(frozen=True, slots=True)
class LabelResampling:
    """Replace each record by a fresh draw from a normal distribution with the record's labels.

    Of the release, the mean of the components given the labels (a linear model) and one covariance
    around it are estimated. A record keeps a share of its own distance from that mean, and the rest
    is drawn anew with the same covariance, so that a classifier learns the same.

    Every patient counts once in these estimates, with any number of images; scores that lie far
    from the public images are drawn in; the slope of a label is omitted if too few patients are
    positive or negative, and shrunk towards 0 as far as chance explains it (James and Stein).

    Guarantee, where ``kept`` is 0: given the labels, records depend on the images through these
    means and this covariance only, so that no attacker matches records to patients better than
    from the labels alone. Whether a patient was among those released is not hidden
    against an attacker who holds the patient's images and those of all others; see `guarantee`.

    Parameters
    ----------
    kept : float
        Share of the variance around the mean that stays the record's own, from 0 to below 1.
    components : int
        Of the whitening of codes; vectors keep all their numbers.
    copies : int
        Records drawn for each image. More than 1 only with ``kept`` 0: copies of one image would
        be averaged.
    patients : int
        Fewest patients of a release; there are always twice as many as numbers of a record.
    label_patients : int
        Fewest patients that are positive, and that are negative, for a label that changes the mean.

    Raises
    ------
    MechanismError
        A parameter is out of range.

    References
    ----------
    Muralidhar and Sarathy, Generating sufficiency-based non-synthetic perturbed data, Transactions
    on Data Privacy, 2008; James and Stein, Estimation with quadratic loss, Berkeley Symposium,
    1961.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> vectors = generator.normal(size=(400, 2))
    >>> records = Records.of(vectors, vectors[:, 0] > 0, np.arange(400))
    >>> drawn = LabelResampling().fit(records, generator).apply(records, generator)
    >>> bool(abs(np.corrcoef(drawn.array[:, 1], vectors[:, 1])[0, 1]) < 0.2)
    True
    >>> bool(drawn.array[drawn.labels[:, 0] == 1, 0].mean() > 0.6)
    True
    """

    kept: float = 0.0
    components: int = 40
    copies: int = 1
    patients: int = 20
    label_patients: int = LABEL_PATIENTS

    def __post_init__(self) -> None:
        """Check the parameters."""
        if not 0 <= self.kept < 1:
            raise MechanismError(f"kept is a share from 0 to below 1, got {self.kept}")
        if min(self.copies, self.components) < 1 or min(self.patients, self.label_patients) < 2:
            raise MechanismError(
                f"copies and components are 1 or more and patients 2 or more, got {self.copies}, "
                f"{self.components}, {self.patients} and {self.label_patients}"
            )
        if self.kept and self.copies > 1:
            raise MechanismError(
                "copies of a record that keeps a part of the original can be averaged; use "
                "kept=0 or copies=1"
            )

    @property
    def name(self) -> str:
        """Short name with the share that is kept and the copies."""
        share = f" kept={self.kept:g}" if self.kept else ""
        return f"resampling{share}" + (f" copies={self.copies}" if self.copies > 1 else "")

    def fit(self, public: Records, generator: np.random.Generator) -> FittedResampling:
        """Learn components and their scale on images of other patients than the released ones."""
        del generator
        numbers = public.array.shape[1] if public.array.ndim == 2 else self.components
        return FittedResampling(self, Whitening.fit(public.array, numbers))


@dataclass(frozen=True, eq=False, slots=True)
class FittedResampling:
    """What `LabelResampling.fit` returns; vectors of version 0.1 have no whitening."""

    mechanism: LabelResampling
    whitening: Whitening | None

    @property
    def guarantee(self) -> str:
        """What holds of every record."""
        fewest = self.mechanism.patients
        if self.mechanism.kept:
            return guarantee_text(
                "knows the public images, this mechanism and all labels",
                f"{1 - self.mechanism.kept:.0%} of the variance that a record has beyond its "
                "labels is random",
                f"the other {self.mechanism.kept:.0%} comes from the patient, who can be linked "
                "and recognized by it",
            )
        return guarantee_text(
            "knows the public images, this mechanism, all labels, and the images of other patients",
            "only the labels show which record belongs to which patient; "
            f"records depend on images through means and one covariance of {fewest} patients or "
            "more, in which every patient counts once",
            "whether a patient was released is not hidden from an attacker who holds the patient's "
            "images and the statistics of all others (membership); codes far from the mean "
            "are moved to a limit, which bounds the influence of a patient; the release is not "
            "differentially private",
        )

    def apply(self, records: Records, generator: np.random.Generator) -> Records:
        """Draw the records; needs enough patients for so many labels and components."""
        if self.whitening is None:
            raise MechanismError("this mechanism was fitted by version 0.1; fit it again to apply")
        owners = records.patient_of_each()
        patients = len(set(owners.tolist()))
        scores = self._scores(records.array)
        numbers = scores.shape[1]
        least = max(self.mechanism.patients, A_NUMBER * numbers)
        if patients < least:
            raise MechanismError(
                f"means and a covariance of {numbers} numbers of {patients} patients reveal "
                f"too much about each; release {least} patients or more, or fewer numbers"
            )
        norms = np.linalg.norm(scores, axis=1, keepdims=True)
        scores *= np.minimum(1, (np.sqrt(numbers) + BEYOND) / np.maximum(norms, 1e-12))
        means, covariance = _estimates(scores, records.labels, owners, self.mechanism)
        apart = scores - means
        root = np.linalg.cholesky(covariance)
        kept = self.mechanism.kept
        places = np.tile(np.arange(len(records)), self.mechanism.copies)
        fresh = generator.standard_normal((len(places), numbers)) @ root.T
        drawn = means[places] + np.sqrt(kept) * apart[places] + np.sqrt(1 - kept) * fresh
        order = generator.permutation(len(places)) if not kept else np.arange(len(places))
        chosen = records.select(places[order])
        return chosen.with_array(self._rebuild(drawn[order]))

    def represent(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring codes into the span of the components; vectors stay as they are."""
        return self._rebuild(self._scores(array))

    def to_manifest(self) -> dict[str, Any]:
        """Return the parameters and the guarantee."""
        return {
            "mechanism": "resampling",
            "kept": self.mechanism.kept,
            "components": None if self.whitening is None else len(self.whitening.deviations),
            "copies": self.mechanism.copies,
            "patients": self.mechanism.patients,
            "guarantee": self.guarantee,
        }

    def _scores(self, array: NDArray[np.float32]) -> NDArray[np.float64]:
        if self.whitening is None:
            return array.astype(np.float64)
        return self.whitening.scores(array)

    def _rebuild(self, scores: NDArray[np.float64]) -> NDArray[np.float32]:
        if self.whitening is None:
            return scores.astype(np.float32)
        return self.whitening.rebuild(scores)


def _estimates(
    scores: NDArray[np.float64],
    labels: NDArray[np.float32],
    owners: NDArray[np.str_],
    mechanism: LabelResampling,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of each record given its labels, and one covariance around the means."""
    _, owner, images = np.unique(owners, return_inverse=True, return_counts=True)
    weights = 1 / images[owner]  # a patient counts once
    centre = weights @ scores / weights.sum()
    design = _design(labels, owners, weights, mechanism.label_patients)
    count, numbers = len(images), scores.shape[1]
    inverse = np.linalg.inv(design.T @ (design * weights[:, None]))
    slopes = inverse @ design.T @ ((scores - centre) * weights[:, None])
    covariance = _covariance(scores - centre - design @ slopes, weights, count)
    variances = np.einsum("jd,jd->j", slopes, np.linalg.solve(covariance, slopes.T).T)
    ratios = variances / (numbers * np.maximum(np.diag(inverse), 1e-300))
    slopes *= np.maximum(0, 1 - RANDOM / np.maximum(ratios, 1e-300))[:, None]
    means = centre + design @ slopes
    return means, _covariance(scores - means, weights, count)


def _covariance(
    apart: NDArray[np.float64], weights: NDArray[np.float64], patients: int
) -> NDArray[np.float64]:
    """Return the covariance over patients, drawn towards a sphere the more numbers it has."""
    numbers = apart.shape[1]
    found = apart.T @ (apart * weights[:, None]) / weights.sum()
    share = numbers / (numbers + patients)
    sphere = max(float(np.trace(found)) / numbers, 1e-12) * np.eye(numbers)
    return np.asarray((1 - share) * found + share * sphere, np.float64)


def _design(
    labels: NDArray[np.float32],
    owners: NDArray[np.str_],
    weights: NDArray[np.float64],
    least: int,
) -> NDArray[np.float64]:
    """Return centred columns of the labels, and of whether they are known, that enough share."""
    unknown = np.isnan(labels)
    columns = []
    for states, known in ((labels, ~unknown), (unknown.astype(np.float32), unknown | True)):
        for values, has in zip(states.T, known.T, strict=True):
            sides = [set(owners[has & (values == side)].tolist()) for side in (0, 1)]
            if min(map(len, sides)) >= least:
                mean = weights[has] @ values[has] / weights[has].sum()
                columns.append(np.where(has, values - mean, 0.0))
    chosen = np.stack(columns, axis=1) if columns else np.zeros((len(labels), 0))
    while chosen.shape[1]:
        gram = chosen.T @ (chosen * weights[:, None])
        alone = 1 / np.diag(np.linalg.pinv(gram, hermitian=True)).clip(1e-300)
        if np.linalg.matrix_rank(gram, hermitian=True) == len(gram) and alone.min() >= least / 2:
            return chosen
        # half of 2 x `least` patients has this sum of squares: n1 n0 / (n1 + n0)
        small = np.flatnonzero(alone < least / 2)
        chosen = np.delete(chosen, int(small[-1]) if len(small) else len(gram) - 1, axis=1)
    return chosen
