"""The interface of mechanisms, what they share, and chains of several."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms.records import Records

__all__ = [
    "Chain",
    "DataIndependent",
    "Deterministic",
    "FittedChain",
    "FittedMechanism",
    "Mechanism",
    "Plain",
    "guarantee_text",
]


def guarantee_text(attacker: str, average: str, worst: str) -> str:
    """Word a guarantee: against whom it holds, and what holds on average and in the worst case."""
    return f"Attacker: {attacker}. On average: {average}. Worst case: {worst}."


class DataIndependent:
    """A mechanism with nothing to learn: it is fitted from the start."""

    __slots__ = ()

    def fit(self, public: Records, generator: np.random.Generator) -> Self:
        """Learn nothing."""
        del public, generator
        return self


class Deterministic(ABC):
    """A fitted mechanism that does the same with every record, released or not."""

    __slots__ = ()

    @abstractmethod
    def represent(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what is released of codes."""

    def apply(self, records: Records, generator: np.random.Generator) -> Records:
        """Release every record; nothing is random."""
        del generator
        return records.with_array(self.represent(records.array))


class FittedMechanism(Protocol):
    """A mechanism that has learned what it needs and can make releases.

    Examples
    --------
    >>> isinstance(Plain().guarantee, str) and callable(Plain().represent)
    True
    """

    @property
    def guarantee(self) -> str:
        """What holds for every release and against which attacker, on average and at worst."""
        ...

    def apply(self, records: Records, generator: np.random.Generator) -> Records:
        """Make the records that are released."""
        ...

    def represent(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring unprotected codes (N, ...) into the form of the release, without protection.

        A recipient applies a model that was trained on the release to other images in this form.
        """
        ...

    def to_manifest(self) -> dict[str, Any]:
        """Return the entry of the manifest: plain JSON values."""
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
        """Short name for tables and manifests; it never changes."""
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
        As in `Mechanism` and `FittedMechanism`.

    Examples
    --------
    >>> "none, the codes are released as they are" in Plain().guarantee
    True
    """

    name: str = "plain"
    guarantee: str = guarantee_text(
        "knows any other image",
        "none, the codes are released as they are",
        "none; an attacker who holds the image, or another image of the patient, recognizes "
        "its record",
    )

    def represent(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the codes."""
        return array

    def to_manifest(self) -> dict[str, Any]:
        """Return the name and the guarantee."""
        return {"mechanism": self.name, "guarantee": self.guarantee}


@dataclass(frozen=True, slots=True)
class Chain:
    """Mechanisms in order; each is fitted on the public records as the steps before transform them.

    Guarantee: each step's, for its own input. A later step cannot undo an earlier one, because it
    receives nothing but the output of that step.

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
        """Check that there is a step."""
        object.__setattr__(self, "steps", tuple(self.steps))
        if not self.steps:
            raise MechanismError("a chain needs at least one mechanism")

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
        """Apply the steps in order."""
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
