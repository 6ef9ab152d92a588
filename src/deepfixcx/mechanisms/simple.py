"""What simple mechanisms share: those that learn nothing, and those in which nothing is random."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import numpy as np
from numpy.typing import NDArray

from deepfixcx.mechanisms.records import Records

__all__ = ["DataIndependent", "Deterministic"]


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
