"""Label resampling: records drawn from what the release has in common, given the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms.records import Records
from deepfixcx.mechanisms.whitening import Whitening

__all__ = ["FittedResampling", "LabelResampling"]

A_NUMBER = 2
"""Fewest patients for each number: a covariance of fewer is that of these very images."""

JITTER = 1e-9
"""Added to the diagonal of a covariance, so that it has a root."""


@dataclass(frozen=True, slots=True)
class LabelResampling:
    """Replace each record by a fresh draw from a normal distribution with the record's labels.

    Of the release, the mean of the components given the labels (a linear model) and one covariance
    around it are estimated. A record keeps a share of its own distance from that mean, and the rest
    is drawn anew with the same covariance, so that a classifier learns the same.

    Guarantee, where ``kept`` is 0: given the labels, records depend on the images through these
    means and this covariance only, which are of all patients. Records of equal labels are drawn
    alike, so nobody can tell better than from the labels which record stands in whose place. What
    the means and the covariance themselves tell is not covered: of many numbers they betray
    whether an image was among those released (membership), of a few hardly. Project first.

    Parameters
    ----------
    kept : float
        Share of the variance around the mean that stays the record's own, from 0 to below 1.
    components : int
        Of the whitening of codes; vectors have fewer.
    copies : int
        Records drawn for each image. More than 1 only with ``kept`` 0: copies of one image would
        be averaged.
    patients : int
        Fewest patients of a release; there are always twice as many as numbers of a record.

    Raises
    ------
    MechanismError
        A parameter is out of range.

    References
    ----------
    Muralidhar and Sarathy, Generating sufficiency-based non-synthetic perturbed data, Transactions
    on Data Privacy, 2008.

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

    def __post_init__(self) -> None:
        """Check the parameters."""
        if not 0 <= self.kept < 1:
            raise MechanismError(f"kept is a share from 0 to below 1, got {self.kept}")
        if self.copies < 1 or self.components < 1 or self.patients < 2:
            raise MechanismError(
                f"copies and components are 1 or more and patients 2 or more, got {self.copies}, "
                f"{self.components} and {self.patients}"
            )
        if self.kept and self.copies > 1:
            raise MechanismError(
                "several copies of a record that keeps its own part would be averaged; take kept=0 "
                "or copies=1"
            )

    @property
    def name(self) -> str:
        """Short name with the share that is kept and the copies."""
        share = f" kept={self.kept:g}" if self.kept else ""
        return f"resampling{share}" + (f" copies={self.copies}" if self.copies > 1 else "")

    def fit(self, public: Records, generator: np.random.Generator) -> FittedResampling:
        """Learn the components of codes on images of other patients than those of the release."""
        del generator
        if public.array.ndim == 2:
            return FittedResampling(self, None)
        return FittedResampling(self, Whitening.fit(public.array, self.components))


@dataclass(frozen=True, eq=False, slots=True)
class FittedResampling:
    """What `LabelResampling.fit` returns; it has no whitening where records are vectors."""

    mechanism: LabelResampling
    whitening: Whitening | None

    @property
    def guarantee(self) -> str:
        """What holds of every record."""
        if self.mechanism.kept:
            share = 1 - self.mechanism.kept
            return f"{share:.0%} of what a record has beyond its labels is drawn anew"
        return (
            "given its labels a record depends on images only through means and a covariance of "
            f"all patients, {self.mechanism.patients} or more"
        )

    def apply(self, records: Records, generator: np.random.Generator) -> Records:
        """Draw the records.

        Raises
        ------
        MechanismError
            Fewer patients than asked for, or too few for so many labels and components.
        """
        patients = len(set(records.patient_of_each().tolist()))
        scores = self._scores(records.array)
        design = _design(records.labels)
        least = max(self.mechanism.patients, design.shape[1] + 2, A_NUMBER * scores.shape[1])
        if patients < least:
            raise MechanismError(
                f"means and a covariance of {scores.shape[1]} numbers of {patients} patients tell "
                f"too much of each; release {least} patients or more, or fewer numbers"
            )
        slopes = np.linalg.lstsq(design, scores, rcond=None)[0]
        means = design @ slopes
        apart = scores - means
        covariance = apart.T @ apart / (len(apart) - np.linalg.matrix_rank(design))
        root = np.linalg.cholesky(
            covariance + JITTER * np.trace(covariance) * np.eye(len(covariance))
        )
        kept = self.mechanism.kept
        places = np.tile(np.arange(len(records)), self.mechanism.copies)
        fresh = generator.standard_normal((len(places), scores.shape[1])) @ root.T
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


def _design(labels: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return a one, each label, and for each label that is not always known whether it is."""
    unknown = np.isnan(labels)
    values = np.where(unknown, 0, labels).astype(np.float64)
    told = unknown[:, unknown.any(axis=0)].astype(np.float64)
    return np.column_stack([np.ones(len(labels)), values, told])
