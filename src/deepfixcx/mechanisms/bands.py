"""Band selection: keep the bands of some frequencies, whatever the images show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms.simple import DataIndependent, Deterministic, guarantee_text
from deepfixcx.packets import band_path, band_position

__all__ = ["BandSelection"]


@dataclass(frozen=True, slots=True)
class BandSelection(DataIndependent, Deterministic):
    """Set all bands to zero whose frequency lies outside a range.

    The frequency of a band is the larger of its two places among bands ordered by frequency, as a
    share of the highest: 0 is the approximation, 1 the finest edges.

    Guarantee: a record does not depend on the dropped bands at all. Which they are depends on the
    parameters only, so the choice itself tells nothing of any image.

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
                f"bands are kept from lowest to highest, 0 to 1, got {self.lowest} to "
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
            "the highest frequency; the other bands tell patients apart",
            "an attacker who holds the image, or another of the patient, recognizes its record"
            ", unless a later step draws it anew",
        )

    def kept(self, bands: int) -> NDArray[np.bool_]:
        """Return which of so many bands are kept.

        Raises
        ------
        MechanismError
            The number is not 4**J.

        Examples
        --------
        >>> BandSelection(highest=0.5).kept(4).tolist()
        [True, False, False, False]
        """
        level = (bands.bit_length() - 1) // 2
        if bands != 4**level or level < 1:
            raise MechanismError(f"a code has 4, 16, 64, … bands, and these records have {bands}")
        highest = 2**level - 1
        shares = np.array(
            [max(band_position(band_path(number, level))) / highest for number in range(bands)]
        )
        return (shares >= self.lowest) & (shares <= self.highest)

    def represent(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Drop the bands of codes (N, C, 4**J, P, P).

        Raises
        ------
        MechanismError
            The array is no code.
        """
        if array.ndim not in (5, 6):
            raise MechanismError(
                f"bands are those of codes (N, C, 4**J, P, P), got {array.shape}; select them first"
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
