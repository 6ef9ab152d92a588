"""What mechanisms share: how a guarantee is worded, nothing to learn, nothing that is random."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import numpy as np
from numpy.typing import NDArray

from deepfixcx.mechanisms.records import Records

__all__ = ["DataIndependent", "Deterministic", "guarantee_text"]


def guarantee_text(attacker: str, average: str, worst: str) -> str:
    """Word a guarantee: against whom it holds, and what holds on average and in the worst case.

    Examples
    --------
    >>> guarantee_text("knows all codes", "nothing holds", "nothing holds")
    'Attacker: knows all codes. On average: nothing holds. Worst case: nothing holds.'
    """
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
