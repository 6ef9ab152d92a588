"""Identity suppression: take away from codes what tells patients apart, and keep labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms.directions import identity_directions, task_directions
from deepfixcx.mechanisms.records import Records
from deepfixcx.mechanisms.simple import Deterministic, guarantee_text
from deepfixcx.mechanisms.whitening import Whitening

__all__ = ["FittedSuppression", "IdentitySuppression"]


@dataclass(frozen=True, slots=True)
class IdentitySuppression:
    """Set the components of codes that tell patients apart to their mean.

    Codes are whitened; directions are found along which images of one patient agree and those of
    different patients differ, all orthogonal to the directions that the labels need. Released is a
    code of the same shape, rebuilt from what is left; finer detail than the components is not.

    Guarantee: the released code is a linear function of components that are orthogonal to the
    removed ones, so codes that differ in removed directions only give the same record. It says
    nothing about identity that is written in other directions, and measurements show there is some.

    Parameters
    ----------
    directions : int
        How many are removed.
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
                f"of {self.components} components 1 to {self.components - 1} directions can be "
                f"removed, got {self.directions}"
            )

    @property
    def name(self) -> str:
        """Short name with the number of directions."""
        return f"suppression r={self.directions}"

    def fit(self, public: Records, generator: np.random.Generator) -> FittedSuppression:
        """Find the directions on images of other patients than those of the release.

        Raises
        ------
        MechanismError
            No patient has two images, or a label has no yes or no.
        """
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
    """What `IdentitySuppression.fit` returns.

    Attributes
    ----------
    mechanism : IdentitySuppression
        The parameters.
    whitening : Whitening
        Of the codes.
    removed : ndarray, shape (K, R)
        Orthonormal columns.
    """

    mechanism: IdentitySuppression
    whitening: Whitening
    removed: NDArray[np.float64]

    @property
    def guarantee(self) -> str:
        """What holds of every record."""
        return guarantee_text(
            "knows the public images, this mechanism and all labels",
            f"records do not depend on {self.removed.shape[1]} directions that tell patients "
            "apart; other directions tell them apart too",
            "a record is a fixed function of one image, so an attacker who holds the image "
            "recognizes it, unless a later step draws it anew",
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
