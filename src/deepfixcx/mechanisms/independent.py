"""Mechanisms that need neither other images nor labels: a worker applies them to single codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deepfixcx.choices import Independent
from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms.protocol import DataIndependent, Deterministic, guarantee_text
from deepfixcx.packets import band_path, band_position

__all__ = ["INDEPENDENT", "BandSelection", "IndependentMechanism", "Quantization"]


@dataclass(frozen=True, slots=True)
class BandSelection(DataIndependent, Deterministic):
    """Set all bands to zero whose frequency lies outside a range.

    The frequency of a band is the larger of its two places among bands ordered by frequency, as a
    share of the highest: 0 is the approximation, 1 the finest edges.

    Guarantee: a record does not depend on the dropped bands at all. Which they are depends on the
    parameters only, so the choice itself reveals nothing about any image.

    Parameters
    ----------
    lowest, highest : float
        Bands from `lowest` to `highest` are kept, both included; 0 <= lowest <= highest <= 1.

    Raises
    ------
    MechanismError
        The range is empty or outside 0 to 1.

    Examples
    --------
    >>> codes = np.ones((1, 1, 16, 1, 1), np.float32)
    >>> BandSelection(lowest=0.5).represent(codes)[0, 0, :5, 0, 0].tolist()
    [0.0, 0.0, 0.0, 0.0, 1.0]
    """

    lowest: float = 0.0
    highest: float = 1.0

    def __post_init__(self) -> None:
        """Check the range."""
        if not 0 <= self.lowest <= self.highest <= 1:
            raise MechanismError(
                f"band selection needs 0 <= lowest <= highest <= 1, got {self.lowest} to "
                f"{self.highest}"
            )

    @property
    def name(self) -> str:
        """Short name with the range."""
        return f"bands {self.lowest:g}-{self.highest:g}"

    @property
    def guarantee(self) -> str:
        """What holds of every record."""
        return guarantee_text(
            "knows this mechanism and any other image",
            f"records do not depend on bands below {self.lowest:g} or above {self.highest:g} of "
            "the highest frequency; the other bands distinguish patients",
            "an attacker who holds the image, or another image of the patient, recognizes its "
            "record, unless a later mechanism replaces it by a random one",
        )

    def kept(self, bands: int) -> NDArray[np.bool_]:
        """Return which of 4**J bands are kept."""
        level = (bands.bit_length() - 1) // 2
        if bands != 4**level or level < 1:
            raise MechanismError(f"a code has 4, 16, 64, … bands, and these records have {bands}")
        highest = 2**level - 1
        shares = np.array(
            [max(band_position(band_path(number, level))) / highest for number in range(bands)]
        )
        return (shares >= self.lowest) & (shares <= self.highest)

    def represent(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Set the dropped bands of codes (N, C, 4**J, P, P) to zero."""
        if array.ndim not in (5, 6):
            raise MechanismError(
                f"band selection takes codes (N, C, 4**J, P, P), got {array.shape}; apply it "
                f"before mechanisms that make vectors"
            )
        kept = self.kept(array.shape[2])
        return np.where(kept.reshape(1, 1, -1, *[1] * (array.ndim - 3)), array, np.float32(0))

    def to_manifest(self) -> dict[str, Any]:
        """Return the parameters and the guarantee."""
        return {
            "mechanism": "bands",
            "lowest": self.lowest,
            "highest": self.highest,
            "guarantee": self.guarantee,
        }


@dataclass(frozen=True, slots=True)
class Quantization(DataIndependent, Deterministic):
    """Round every value to a power of a ratio, or to zero where it is small.

    Values of codes span orders of magnitude, so steps are equal ratios. Signs stay.

    Guarantee: every value of a record is one of a set that is fixed before any image is seen, so it
    reveals at most the logarithm of the size of that set, in bits. Two codes that round to the same
    values give the same record.

    Parameters
    ----------
    ratio : float
        Between neighbouring values, above 1.
    least : float
        The smallest value that is not zero, positive; half a step below it a value becomes 0.
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
        """Number of sizes other than zero."""
        return int(np.floor(np.log(self.largest / self.least) / np.log(self.ratio) + 1e-9)) + 1

    @property
    def guarantee(self) -> str:
        """What holds of every record."""
        return guarantee_text(
            "knows this mechanism and any other image",
            f"every value is zero or one of {self.values} magnitudes that are fixed beforehand; "
            "the rounded values distinguish patients",
            "an attacker who holds the image, or another image of the patient, recognizes its "
            "record, unless a later mechanism replaces it by a random one",
        )

    def represent(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Round the values of codes."""
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


IndependentMechanism: TypeAlias = BandSelection | Quantization

INDEPENDENT: Mapping[Independent, IndependentMechanism] = MappingProxyType(
    {"bands": BandSelection(highest=0.5), "quantization": Quantization(4.0)}
)
"""By the names that ``privatize --mechanism`` and `frontier` know: the coarse half of the
frequencies; and values rounded to powers of 4."""
