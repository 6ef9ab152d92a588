"""Linear mechanisms: keep the directions that labels need, or remove those that show identity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._words import counted
from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms.protocol import Deterministic, guarantee_text
from deepfixcx.mechanisms.records import Records
from deepfixcx.mechanisms.whitening import Whitening, identity_directions, task_directions

__all__ = ["FittedProjection", "FittedSuppression", "IdentitySuppression", "TaskProjection"]

IMAGES_A_COMPONENT = 4
"""More components than a classifier of codes uses: D values are too few to overfit afterwards."""


@dataclass(frozen=True, slots=True)
class TaskProjection:
    """Keep the few directions of a code that the labels need, by partial least squares.

    Guarantee: a record is a function of D values of its code; codes that agree in these give
    the same record. All else that an image holds is gone, for attackers as for other research.

    Parameters
    ----------
    directions : int, optional
        D; one for each label if not given.
    components : int, optional
        Of the whitening before; one for four images that it is fitted on if not given.
    decoded : bool
        Release codes of the original shape, the mean code given the D values, instead of the
        values. They hold the same information, and can be decoded into images.

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
        """Find the directions on images of other patients than those of the release."""
        del generator
        chosen = self.components or max(2, len(public) // IMAGES_A_COMPONENT)
        whitening = Whitening.fit(public.array, chosen)
        scores = whitening.scores(public.array)
        # fully whitened components have only as many directions as there are labels
        soft = scores * np.sqrt(whitening.deviations / whitening.deviations[0])
        count = self.directions or public.labels.shape[1]
        weights = task_directions(scores if self.directions is None else soft, public.labels, count)
        if self.directions is not None:
            weights *= np.sqrt(whitening.deviations / whitening.deviations[0])[:, None]
        latent = scores @ weights
        weights = weights / latent.std(axis=0)
        # the mean components, given the values that are kept
        back = np.linalg.lstsq(scores @ weights, scores, rcond=None)[0]
        return FittedProjection(self, whitening, weights, back)


@dataclass(frozen=True, eq=False, slots=True)
class FittedProjection(Deterministic):
    """What `TaskProjection.fit` returns."""

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
            f"a record is a function of {kept} of its code; nothing else of the image is kept",
            "an attacker who holds the image recognizes its record, unless a later mechanism "
            "replaces it by a random one",
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


@dataclass(frozen=True, slots=True)
class IdentitySuppression:
    """Set the components of codes that distinguish patients to their mean.

    Codes are whitened; directions are found along which images of one patient agree and those of
    different patients differ, all orthogonal to the directions that the labels need. Released is a
    code of the same shape, rebuilt from the other components; finer detail is not released.

    Guarantee: the released code is a linear function of components that are orthogonal to the
    removed ones, so codes that differ in removed directions only give the same record. It says
    nothing about identity in other directions, and measurements find some there.

    Parameters
    ----------
    directions : int
        Directions to remove.
    components : int
        Of the whitening, before anything is removed.

    Raises
    ------
    MechanismError
        Nothing would be removed, or nothing left.

    References
    ----------
    Ravfogel et al., Null it out: guarding protected attributes by iterative nullspace projection,
    ACL, 2020, doi:10.18653/v1/2020.acl-main.647.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> public = Records.of(
    ...     generator.random((60, 12)), np.arange(60) // 2 % 2, np.arange(60) // 2
    ... )
    >>> fitted = IdentitySuppression(4, 12).fit(public, generator)
    >>> moved = fitted.represent(public.array) - public.array.mean(axis=0)
    >>> int(np.linalg.matrix_rank(moved, tol=1e-3))
    8
    """

    directions: int = 20
    components: int = 60

    def __post_init__(self) -> None:
        """Check the parameters."""
        if not 1 <= self.directions < self.components:
            raise MechanismError(
                f"1 to {self.components - 1} directions can be removed from {self.components} "
                f"components, got {self.directions}"
            )

    @property
    def name(self) -> str:
        """Short name with the number of directions."""
        return f"suppression r={self.directions}"

    def fit(self, public: Records, generator: np.random.Generator) -> FittedSuppression:
        """Find the directions on images of other patients than those of the release."""
        del generator
        whitening = Whitening.fit(public.array, self.components)
        scores = whitening.scores(public.array)
        count = public.labels.shape[1]
        needed = (
            task_directions(scores, public.labels, count) if count else np.zeros((len(scores.T), 0))
        )
        removed = identity_directions(scores, public.patient_of_each(), self.directions, needed)
        return FittedSuppression(self, whitening, removed)


@dataclass(frozen=True, eq=False, slots=True)
class FittedSuppression(Deterministic):
    """What `IdentitySuppression.fit` returns; `removed` (K, R) are orthonormal columns."""

    mechanism: IdentitySuppression
    whitening: Whitening
    removed: NDArray[np.float64]

    @property
    def guarantee(self) -> str:
        """What holds of every record."""
        return guarantee_text(
            "knows the public images, this mechanism and all labels",
            f"records do not depend on {self.removed.shape[1]} directions that distinguish "
            "patients; other directions distinguish them too",
            "a record is a fixed function of one image, so an attacker who holds the image "
            "recognizes it, unless a later mechanism replaces it by a random one",
        )

    def represent(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Remove the directions from codes."""
        scores = self.whitening.scores(array)
        return self.whitening.rebuild(scores - scores @ self.removed @ self.removed.T)

    def to_manifest(self) -> dict[str, Any]:
        """Return the parameters and the guarantee."""
        return {
            "mechanism": "suppression",
            "directions": int(self.removed.shape[1]),
            "components": int(self.removed.shape[0]),
            "guarantee": self.guarantee,
        }
