"""Quantization: each number becomes one of a few values that are fixed beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms.simple import DataIndependent, Deterministic, guarantee_text

__all__ = ["Quantization"]


@dataclass(frozen=True, slots=True)
class Quantization(DataIndependent, Deterministic):
    """Round every number to a power of a ratio, or to zero where it is small.

    Numbers of codes span orders of magnitude, so steps are equal ratios. Signs stay.

    Guarantee: every number of a record is one of values that are fixed before any image is seen,
    so it tells at most the logarithm of their number in bits. Two codes that round to the same
    values give the same record.

    Parameters
    ----------
    ratio : float
        Between neighbouring values, above 1.
    least : float
        The smallest value that is not zero; half a step below it a number becomes 0. Positive.
    largest : float
        The largest value; what is larger becomes it. 2**J is the largest of a Haar code.

    Raises
    ------
    MechanismError
        A parameter is out of range.

    Examples
    --------
    >>> rounding = Quantization(ratio=4.0, least=1 / 64, largest=4.0)
    >>> rounding.values
    5
    >>> rounding.represent(np.array([[0.0, -0.3, 0.9, 100.0]], np.float32)).tolist()
    [[0.0, -0.25, 1.0, 4.0]]
    """

    ratio: float = 2.0
    least: float = 1 / 256
    largest: float = 16.0

    def __post_init__(self) -> None:
        """Check the parameters."""
        if not (self.ratio > 1 and 0 < self.least <= self.largest and np.isfinite(self.largest)):
            raise MechanismError(
                f"quantization needs a ratio above 1 and 0 < least <= largest, got {self.ratio}, "
                f"{self.least} and {self.largest}"
            )

    @property
    def name(self) -> str:
        """Short name with the ratio."""
        return f"quantization ×{self.ratio:g}"

    @property
    def values(self) -> int:
        """How many sizes other than zero there are."""
        return int(np.floor(np.log(self.largest / self.least) / np.log(self.ratio) + 1e-9)) + 1

    @property
    def guarantee(self) -> str:
        """What holds of every record."""
        return guarantee_text(
            "knows this mechanism and any other image",
            f"every number is zero or one of {self.values} sizes that are fixed beforehand; the "
            "rounded numbers tell patients apart",
            "an attacker who holds the image, or another of the patient, recognizes its record"
            ", unless a later step draws it anew",
        )

    def represent(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Round the numbers of codes."""
        sizes = np.abs(array.astype(np.float64))
        smallest = self.least / np.sqrt(self.ratio)
        steps = np.log(np.maximum(sizes, smallest) / self.least) / np.log(self.ratio)
        steps = np.clip(np.round(steps), 0, self.values - 1)
        rounded = np.where(sizes < smallest, 0.0, self.least * self.ratio**steps)
        return np.copysign(rounded, array).astype(np.float32)

    def to_manifest(self) -> dict[str, Any]:
        """Return the parameters and the guarantee."""
        return {
            "mechanism": "quantization",
            "ratio": self.ratio,
            "least": self.least,
            "largest": self.largest,
            "values": self.values,
            "guarantee": self.guarantee,
        }
