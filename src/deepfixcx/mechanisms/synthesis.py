"""Shrunk synthesis: records drawn from a model of public images, corrected by private slopes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms.label_model import MOST_LABELS, LabelModel, Measured, measure
from deepfixcx.mechanisms.projection import FittedProjection, TaskProjection
from deepfixcx.mechanisms.protocol import guarantee_text
from deepfixcx.mechanisms.records import Records
from deepfixcx.mechanisms.sensitivity import check_budget, rho_of
from deepfixcx.mechanisms.whitening import Whitening

__all__ = ["FittedSynthesis", "ShrunkSynthesis"]

Array = NDArray[np.float64]

DIRECTIONS = ("labels", "variance")
IMAGES_A_COMPONENT = 4
"""Public images for each component."""


@dataclass(frozen=True, slots=True)
class ShrunkSynthesis:
    """Draw records from a model of public images whose label slopes private patients correct.

    The model: the labels of a record come from a histogram of label patterns, and its K numbers
    from a normal distribution with a mean that is linear in the labels. Directions, covariance and
    first slopes are those of the public images. Of the private patients only two sums are read: the
    histogram, and what the public model does not explain of their numbers, times their labels. The
    slopes are corrected by these sums as far as sampling and noise do not explain the difference
    (empirical Bayes). So no record is of a patient, and neither are its labels.

    Guarantee: with `epsilon`, (epsilon, delta)-differential privacy for a *patient* with any number
    of images, against an attacker who knows everything else. Without, none in the worst case.

    Parameters
    ----------
    numbers : int
        K.
    epsilon, delta : float, optional
        Of the release. Without epsilon, the sums are exact.
    copies : int
        Records for each patient, of whom there are as many as the histogram counts.
    decoded : bool
        Release codes of the original shape instead of the numbers. Components that the numbers do
        not determine are drawn as public images have them.
    components : int, optional
        Of the whitening of codes; one for four images that it is fitted on if not given.
    directions : str
        ``"labels"``, partial least squares: the K directions that the labels need. ``"variance"``,
        the first K principal components, which depend on no label: labels that are released later
        have the same numbers, and what no label names stays in them.

    Raises
    ------
    MechanismError
        A parameter is out of range.

    References
    ----------
    Efron and Morris, Stein's estimation rule and its competitors, JASA, 1973; Bun and Steinke,
    Concentrated differential privacy, TCC, 2016, arXiv:1605.02065; Canonne, Kamath and Steinke, The
    discrete Gaussian for differential privacy, NeurIPS, 2020, arXiv:2004.00010.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> vectors = generator.normal(size=(400, 6))
    >>> records = Records.of(vectors, vectors[:, 0] > 0, np.arange(400))
    >>> public, private = records.select(range(200)), records.select(range(200, 400))
    >>> fitted = ShrunkSynthesis(numbers=2).fit(public, generator)
    >>> drawn = fitted.apply(private, generator)
    >>> drawn.array.shape, [len(each) for each in drawn.members[:2]]
    ((800, 2), [0, 0])
    """

    numbers: int = 8
    epsilon: float | None = None
    delta: float = 1e-5
    copies: int = 4
    decoded: bool = False
    components: int | None = None
    directions: str = "labels"

    def __post_init__(self) -> None:
        """Check the parameters."""
        if self.numbers < 1 or self.copies < 1:
            raise MechanismError(
                f"numbers and copies are 1 or more, got {self.numbers} and {self.copies}"
            )
        if self.directions not in DIRECTIONS:
            raise MechanismError(
                f"directions are one of {', '.join(DIRECTIONS)}, got {self.directions!r}"
            )
        if self.epsilon is not None:
            check_budget(self.epsilon, self.delta)

    @property
    def name(self) -> str:
        """Short name with the numbers and the budget."""
        budget = "" if self.epsilon is None else f" ε={self.epsilon:g} δ={self.delta:g}"
        kind = "" if self.directions == "labels" else " pca"
        return f"synthesis{kind} d={self.numbers}{budget}" + (" decoded" if self.decoded else "")

    def fit(self, public: Records, generator: np.random.Generator) -> FittedSynthesis:
        """Learn directions, covariance and slopes from images of other patients."""
        labels = public.labels.shape[1]
        if not 1 <= labels <= MOST_LABELS:
            raise MechanismError(f"synthesis takes 1 to {MOST_LABELS} labels, got {labels}")
        projection = self._projection(public, generator)
        numbers = projection.represent(public.array).astype(np.float64)
        model = LabelModel.fit(numbers, public.labels, public.patient_of_each())
        scores = projection.whitening.scores(public.array)
        rest = scores - numbers @ projection.back
        return FittedSynthesis(self, projection, model, rest.std(axis=0))

    def _projection(self, public: Records, generator: np.random.Generator) -> FittedProjection:
        most = max(2, len(public) // IMAGES_A_COMPONENT)
        task = TaskProjection(min(self.numbers, most), self.components)
        if self.directions == "labels":
            return task.fit(public, generator)
        whitening = Whitening.fit(public.array, self.components or most)
        first = np.eye(len(whitening.deviations))[:, : task.directions]
        return FittedProjection(task, whitening, first, first.T)


@dataclass(frozen=True, eq=False, slots=True)
class FittedSynthesis:
    """What `ShrunkSynthesis.fit` returns; all of it comes from the public images.

    `rest` (components,) are deviations of what the numbers do not determine.
    """

    mechanism: ShrunkSynthesis
    projection: FittedProjection
    model: LabelModel
    rest: Array

    @property
    def guarantee(self) -> str:
        """What holds of every record."""
        own = self.mechanism
        attacker = (
            "knows the public images, this mechanism, and the images and labels of all others"
        )
        drawn = (
            "records and their labels are drawn from a model, so that no record belongs to a "
            "patient; the model holds a histogram of labels and "
            f"{self.model.slopes.size} sums over the patients"
        )
        if own.epsilon is None:
            worst = (
                "whether a patient was among those released is not hidden (membership); residuals "
                "are reduced to a limit, which bounds the influence of a patient; the release is "
                "not differentially private"
            )
        else:
            worst = (
                f"({own.epsilon:g}, {own.delta:g})-differentially private for adding or removing a "
                "patient with all images, for all releases together that the private folder lists"
            )
        return guarantee_text(attacker, drawn, worst)

    @property
    def rho(self) -> float | None:
        """What the release costs in zero-concentrated privacy; None without a budget."""
        own = self.mechanism
        return None if own.epsilon is None else rho_of(own.epsilon, own.delta)

    def measure(self, records: Records, rho: float | None) -> Measured:
        """Read the two sums; the only step that sees private patients."""
        numbers = self.projection.represent(records.array).astype(np.float64)
        return measure(self.model, numbers, records.labels, records.patient_of_each(), rho)

    def draw(self, measured: Measured, generator: np.random.Generator) -> Records:
        """Draw records from what was measured, as many for each counted patient as `copies`."""
        shares, patients = measured.histogram(self.model)
        count = self.mechanism.copies * max(1, round(patients))
        places = np.searchsorted(np.cumsum(shares), (np.arange(count) + generator.random()) / count)
        states = generator.permutation(np.minimum(places, len(shares) - 1))
        drawn = self.numbers_of(states, measured, generator)
        labels = self.model.patterns[states].astype(np.float32)
        no_images = tuple(np.zeros(0, np.int64) for _ in range(count))
        return Records(self._released(drawn, generator), labels, np.zeros(0, np.str_), no_images)

    def numbers_of(
        self, states: NDArray[np.int64], measured: Measured, generator: np.random.Generator
    ) -> Array:
        """Draw a vector for each label pattern; means and slopes of the draws are not by chance."""
        seen = self.model.design[states]
        fresh = generator.standard_normal((len(states), len(self.model.root)))
        fresh -= seen @ np.linalg.lstsq(seen, fresh, rcond=None)[0]
        return np.asarray(
            seen @ measured.slopes(self.model) + fresh @ self.model.root.T, np.float64
        )

    def apply(self, records: Records, generator: np.random.Generator) -> Records:
        """Measure, and draw the records; with a budget, each call spends it again."""
        return self.draw(self.measure(records, self.rho), generator)

    def represent(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Project codes."""
        numbers = self.projection.represent(array)
        return self._rebuilt(numbers.astype(np.float64)) if self.mechanism.decoded else numbers

    def to_manifest(self) -> dict[str, Any]:
        """Return the parameters and the guarantee."""
        own = self.mechanism
        return {
            "mechanism": "synthesis",
            "synthetic": True,
            "numbers": len(self.model.root),
            "directions": own.directions,
            "epsilon": own.epsilon,
            "delta": None if own.epsilon is None else own.delta,
            "unit": "patient, added or removed",
            "copies": own.copies,
            "decoded": own.decoded,
            "guarantee": self.guarantee,
        }

    def _released(self, numbers: Array, generator: np.random.Generator) -> NDArray[np.float32]:
        if not self.mechanism.decoded:
            return numbers.astype(np.float32)
        rest = generator.standard_normal((len(numbers), len(self.rest))) * self.rest
        return self._rebuilt(numbers, rest)

    def _rebuilt(self, numbers: Array, rest: Array | float = 0.0) -> NDArray[np.float32]:
        return self.projection.whitening.rebuild(numbers @ self.projection.back + rest)
