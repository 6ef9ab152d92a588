"""What every mechanism can do, and several of them one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms.records import Records
from deepfixcx.mechanisms.simple import DataIndependent, Deterministic, guarantee_text

__all__ = ["Chain", "FittedChain", "FittedMechanism", "Mechanism", "Plain"]


class FittedMechanism(Protocol):
    """A mechanism that has learned what it needs and can make releases.

    Examples
    --------
    >>> isinstance(Plain().guarantee, str) and callable(Plain().represent)
    True
    """

    @property
    def guarantee(self) -> str:
        """Against which attacker what holds of every release, on average and in the worst case."""
        ...

    def apply(self, records: Records, generator: np.random.Generator) -> Records:
        """Make the records that are released."""
        ...

    def represent(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring unprotected codes (N, ...) into the form of the release, without protection.

        Whoever receives a release trains a model on it, and applies the model to own images in
        this form.
        """
        ...

    def to_manifest(self) -> dict[str, Any]:
        """Return plain JSON values that say what was done, for the papers of a release."""
        ...


class Mechanism(Protocol):
    """A mechanism before it has seen any image.

    Examples
    --------
    >>> Plain().name, callable(Plain().fit)
    ('plain', True)
    """

    @property
    def name(self) -> str:
        """Short and lasting, for tables and manifests."""
        ...

    def fit(self, public: Records, generator: np.random.Generator) -> FittedMechanism:
        """Learn from images of patients that are not in the release."""
        ...


@dataclass(frozen=True, slots=True)
class Plain(DataIndependent, Deterministic):
    """Release the codes as they are: what every mechanism is compared with.

    Guarantee: none.

    Parameters
    ----------
    name, guarantee : str
        As of every mechanism.

    Examples
    --------
    >>> "none, the codes are released as they are" in Plain().guarantee
    True
    """

    name: str = "plain"
    guarantee: str = guarantee_text(
        "knows any other image",
        "none, the codes are released as they are",
        "none; an attacker who holds the image, or another of the patient, recognizes its record",
    )

    def represent(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the codes."""
        return array

    def to_manifest(self) -> dict[str, Any]:
        """Return the name and the guarantee."""
        return {"mechanism": self.name, "guarantee": self.guarantee}


@dataclass(frozen=True, slots=True)
class Chain:
    """Mechanisms one after the other; each is fitted on what the ones before make of the public.

    Guarantee: each step's, of what it was given. What comes after a step cannot undo it, because it
    sees nothing else of the release.

    Parameters
    ----------
    steps : sequence of Mechanism
        At least one, in order.

    Raises
    ------
    MechanismError
        There is no step.

    Examples
    --------
    >>> from deepfixcx.mechanisms import KMixing, TaskProjection
    >>> Chain((TaskProjection(), KMixing(3))).name
    'projection + mixing k=3'
    """

    steps: Sequence[Mechanism]

    def __post_init__(self) -> None:
        """Check that there is something to do."""
        object.__setattr__(self, "steps", tuple(self.steps))
        if not self.steps:
            raise MechanismError("a chain needs mechanisms; give at least one")

    @property
    def name(self) -> str:
        """The names of the steps."""
        return " + ".join(step.name for step in self.steps)

    def fit(self, public: Records, generator: np.random.Generator) -> FittedChain:
        """Fit each step on what the ones before make of the public images."""
        fitted: list[FittedMechanism] = []
        seen = public
        for place, step in enumerate(self.steps):
            fitted.append(step.fit(seen, generator))
            if place + 1 < len(self.steps):
                seen = fitted[-1].apply(seen, generator)
        return FittedChain(tuple(fitted))


@dataclass(frozen=True, slots=True)
class FittedChain:
    """A chain whose steps are fitted; made by `Chain.fit`."""

    steps: tuple[FittedMechanism, ...]

    @property
    def guarantee(self) -> str:
        """The guarantees of the steps, in order."""
        return " Then ".join(step.guarantee for step in self.steps)

    def apply(self, records: Records, generator: np.random.Generator) -> Records:
        """Apply one step after the other."""
        for step in self.steps:
            records = step.apply(records, generator)
        return records

    def represent(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring codes into the form of the release, step by step."""
        for step in self.steps:
            array = step.represent(array)
        return array

    def to_manifest(self) -> dict[str, Any]:
        """Return the entries of the steps."""
        return {"mechanism": "chain", "steps": [step.to_manifest() for step in self.steps]}
