"""Task projection: of a code, only the few numbers that chosen labels need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._words import counted
from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms.directions import task_directions
from deepfixcx.mechanisms.records import Records
from deepfixcx.mechanisms.simple import Deterministic, guarantee_text
from deepfixcx.mechanisms.whitening import Whitening

__all__ = ["FittedProjection", "TaskProjection"]

IMAGES_A_COMPONENT = 4
"""More than a classifier of codes takes: what is kept is too little to fit noise afterwards."""


@dataclass(frozen=True, slots=True)
class TaskProjection:
    """Keep the few directions of a code that the labels need, by partial least squares.

    Guarantee: a record is a function of so many numbers of its code; codes that agree in them give
    the same record. All else that an image holds is gone, for attackers as for other research.

    Parameters
    ----------
    directions : int, optional
        How many; one for each label if not given.
    components : int, optional
        Of the whitening before; one for four images that it is fitted on if not given.
    decoded : bool
        Release codes of the old shape, the mean code given the few numbers, instead of the numbers
        themselves. They hold the same information, and images can be made of them.

    Raises
    ------
    MechanismError
        A parameter is out of range.

    References
    ----------
    Wold et al., PLS-regression: a basic tool of chemometrics, Chemometrics and Intelligent
    Laboratory Systems, 2001, doi:10.1016/S0169-7439(01)00155-1.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> codes = generator.random((120, 1, 4, 2, 2), np.float32)
    >>> public = Records.of(codes, codes[:, 0, 1, 0, 0] > 0.5, np.arange(120))
    >>> fitted = TaskProjection().fit(public, generator)
    >>> fitted.apply(public, generator).array.shape
    (120, 1)
    """

    directions: int | None = None
    components: int | None = None
    decoded: bool = False

    def __post_init__(self) -> None:
        """Check the parameters."""
        for name, value in (("directions", self.directions), ("components", self.components)):
            if value is not None and value < 1:
                raise MechanismError(f"{name} is 1 or more, got {value}")

    @property
    def name(self) -> str:
        """Short name with the number of directions."""
        kept = "" if self.directions is None else f" d={self.directions}"
        return f"projection{kept}" + (" decoded" if self.decoded else "")

    def fit(self, public: Records, generator: np.random.Generator) -> FittedProjection:
        """Find the directions on images of other patients than those of the release.

        Raises
        ------
        MechanismError
            A label has no yes or no, or there are not so many directions.
        """
        del generator
        chosen = self.components or max(2, len(public) // IMAGES_A_COMPONENT)
        whitening = Whitening.fit(public.array, chosen)
        scores = whitening.scores(public.array)
        # fully whitened, the labels would have only as many directions as there are labels
        soft = scores * np.sqrt(whitening.deviations / whitening.deviations[0])
        count = self.directions or public.labels.shape[1]
        weights = task_directions(scores if self.directions is None else soft, public.labels, count)
        if self.directions is not None:
            weights *= np.sqrt(whitening.deviations / whitening.deviations[0])[:, None]
        latent = scores @ weights
        weights = weights / latent.std(axis=0)
        # components as they are on average, given the few numbers
        back = np.linalg.lstsq(scores @ weights, scores, rcond=None)[0]
        return FittedProjection(self, whitening, weights, back)


@dataclass(frozen=True, eq=False, slots=True)
class FittedProjection(Deterministic):
    """What `TaskProjection.fit` returns.

    Attributes
    ----------
    mechanism : TaskProjection
        The parameters.
    whitening : Whitening
        Of the codes.
    weights : ndarray, shape (K, D)
        From components to the numbers that are kept, which have variance 1.
    back : ndarray, shape (D, K)
        From these to the mean components.
    """

    mechanism: TaskProjection
    whitening: Whitening
    weights: NDArray[np.float64]
    back: NDArray[np.float64]

    @property
    def guarantee(self) -> str:
        """What holds of every record."""
        kept = counted(self.weights.shape[1], "number")
        return guarantee_text(
            "knows the public images, this mechanism and all labels",
            f"a record is a function of {kept} of its code; all else of the image is gone",
            "an attacker who holds the image recognizes its record, unless a later step draws it "
            "anew",
        )

    def represent(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Project codes."""
        kept = self.whitening.scores(array) @ self.weights
        if self.mechanism.decoded:
            return self.whitening.rebuild(kept @ self.back)
        return kept.astype(np.float32)

    def to_manifest(self) -> dict[str, Any]:
        """Return the parameters and the guarantee."""
        return {
            "mechanism": "projection",
            "directions": int(self.weights.shape[1]),
            "components": int(self.weights.shape[0]),
            "decoded": self.mechanism.decoded,
            "guarantee": self.guarantee,
        }
